"""Measurements of what is on a machine: six programs' places, against `ls` of one of them."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, benchmark
from benchmarks.measure import Result, command

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"

TIMES = 100
"""So many times as much as in the fixture lies in each place."""

_SETTLED_S = 3
"""So long after it was written a file counts as one that nobody writes to."""

_DATABASES = {
    "llm-logs-legacy/logs.db": (
        ".config/io.datasette.llm", {"conversations": ["id"], "responses": ["id", "conversation_id"]},
    ),
    "mem0-history/history.db": (".mem0", {"messages": ["id", "session_scope"]}),
    "open-webui/webui.db": (".open-webui", {"chat": ["id"], "chat_message": ["id", "chat_id"]}),
    "opencode-sqlite/opencode.db": (
        ".local/share/opencode",
        {
            "session": ["id", "slug"],
            "message": ["id", "session_id"],
            "part": ["id", "session_id", "message_id"],
        },
    ),
    "zed-threads/threads.db": (".local/share/zed/threads", {"threads": ["id"]}),
}  # fmt: skip
"""Fixture -> the folder of its place, and the columns of its tables that make a row another."""


@benchmark
def places(b: Bench) -> Iterator[Result]:
    """`discover` and `search --everywhere`, warm, against `ls` of one of six places."""
    home = b.folder / "home"
    _fill(home)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SYNMEM_"))}
    environment = {**kept, "HOME": str(home)}
    time.sleep(_SETTLED_S)
    listing = command(b.synmem("ls", "-p", "claude-code"), env=environment)
    for arguments in (["discover"], ["search", "--everywhere", "weather", "-q"]):
        subprocess.run(b.synmem(*arguments), env=environment, check=True, capture_output=True)
        ours = command(b.synmem(*arguments), env=environment)
        what = " ".join(arguments[:2])
        yield b.compare(f"{what} / ls", ours, listing, first=3, goal=2, speed=False)


def _fill(home: Path) -> None:
    for fixture, (folder, tables) in _DATABASES.items():
        (home / folder).mkdir(parents=True)
        with contextlib.closing(
            sqlite3.connect(shutil.copy(FIXTURES / fixture, home / folder))
        ) as db:
            for table, keys in tables.items():
                _multiply(db, table, keys)
            db.commit()
    sessions = [*(FIXTURES / "claude-code" / "projects").rglob("*.jsonl")]
    for number in range(TIMES * len(sessions)):
        session = sessions[number % len(sessions)]
        name = str(uuid.UUID(int=number + 1))
        folder = home / ".claude" / "projects" / f"-home-{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        data = session.read_bytes().replace(session.stem.encode(), name.encode())
        (folder / f"{name}.jsonl").write_bytes(data)


def _multiply(db: sqlite3.Connection, table: str, keys: list[str]) -> None:
    """Each row so many times, each time as another: its keys have a number behind them."""
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    others = ", ".join(f"{name} || '~' || n" if name in keys else name for name in names)
    db.execute(
        f"WITH RECURSIVE times(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM times WHERE n < ?) "
        f"INSERT INTO {table} SELECT {others} FROM {table}, times",
        (TIMES - 1,),
    )
