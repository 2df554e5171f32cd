"""Tables of other frameworks against the frameworks' own loops, each in the Python that has it.

Ours is a whole command, started and written out. Theirs is the loop alone: packages are loaded
before the clock starts, and what is read is thrown away.
"""

import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import data, native
from benchmarks.bench import Bench, benchmark
from benchmarks.measure import Result, Work, command, peak_mb, prepared, remove, sync, telling
from benchmarks.servers import program, psql
from tests.services import langchain, openai_agents, unique

LONG = 2_000
"""Messages of a conversation in LangChain's table: it has no index, so each look is through all."""
MEMORY_TIMES = 5
"""Memory is measured on so many times the messages: a million where nothing else is asked."""


@benchmark
def langchain_export(b: Bench) -> Iterator[Result]:
    """`export` from LangChain's table in SQLite against its own `messages`."""
    path = data.langchain_file(b.folder / "langchain.db", b.messages, max(1, b.messages // LONG))
    loop = _loop(b, langchain.installed(), "LANGCHAIN_READ", path)
    ours = command(b.synmem("export", "-q", "-p", path))
    yield b.compare("export LangChain / its messages", ours, loop, first=5, goal=8, speed=True)


@benchmark
def agents_export(b: Bench) -> Iterator[Result]:
    """`export` from OpenAI Agents' tables in SQLite against `get_items` of each session."""
    path = data.agents_file(b.folder / "agents.db", b.messages, b.messages // 20)
    loop = _loop(b, openai_agents.installed(), "AGENTS_READ", path)
    ours = command(b.synmem("export", "-q", "-p", path))
    yield b.compare("export OpenAI Agents / get_items", ours, loop, first=3, goal=5, speed=True)


@benchmark
def langchain_postgres(b: Bench) -> Iterator[Result]:
    """`migrate`, verified, from LangChain's table on PostgreSQL to our own, against INSERT SELECT."""
    url, table = b.server("postgres").url, unique("b")
    sql, theirs, copied = partial(psql, url), f"{table}_theirs", f"{table}_copied"
    drop = f"DROP TABLE IF EXISTS {table}, {table}_meta, {table}_calls, {copied}"
    try:
        _fill(b, url, theirs)
        yield b.compare(
            "migrate LangChain, PostgreSQL / INSERT SELECT",
            prepared(
                lambda: (sql(drop), sync()),
                command(
                    b.synmem(
                        "migrate", "-q", f"{url}?table={theirs}&layout=langchain", f"{url}?table={table}"
                    )
                ),
            ),
            prepared(
                lambda: (sql(drop), sql(_copied(copied)), sync()),
                command([program("psql"), "-q", url, "-c", _INSERT.format(copied, theirs)]),
            ),
            first=0.3, goal=0.5, speed=True,
        )  # fmt: skip
    finally:
        sql(drop)
        sql(f"DROP TABLE IF EXISTS {theirs}")


def _fill(b: Bench, url: str, table: str) -> None:
    """The messages in a table as PostgresChatMessageHistory of langchain-community makes it."""
    path = data.langchain_file(b.folder / "pg.db", b.messages, b.messages // 20)
    psql(url, f"CREATE TABLE {table} (id SERIAL PRIMARY KEY, session_id TEXT NOT NULL, message JSONB NOT NULL)")  # fmt: skip
    dump = shlex.join(["sqlite3", "-csv", str(path), "SELECT session_id, message FROM message_store ORDER BY id"])  # fmt: skip
    copy = f"\\copy {table} (session_id, message) FROM STDIN CSV"
    subprocess.run(f"{dump} | {shlex.join([program('psql'), '-q', url, '-c', copy])}", shell=True, check=True)  # fmt: skip
    psql(url, f"ANALYZE {table}")


def _copied(table: str) -> str:
    return (
        f'CREATE TABLE {table} (session_id text COLLATE "C", id bigserial, role text NOT NULL, '
        "content text NOT NULL, metadata jsonb, PRIMARY KEY (session_id, id))"
    )


_INSERT = (
    "INSERT INTO {} (session_id, role, content) SELECT session_id, message->>'type', "
    "message->'data'->>'content' FROM {} ORDER BY id"
)


@benchmark
def foreign_memory(b: Bench) -> Iterator[Result]:
    """Peak memory of `export`: five times the messages against half of that, in megabytes."""
    count = b.messages * MEMORY_TIMES
    makers: dict[str, Callable[[Path, int, int], Path]] = {
        "LangChain": data.langchain_file,
        "OpenAI Agents": data.agents_file,
    }
    for name, make in makers.items():
        peaks = []
        for messages in (count, count // 2):
            path = make(b.folder / f"large-{messages}.db", messages, messages // 20)
            peaks.append(peak_mb(b.synmem("export", "-q", "-p", path)))
            remove(path)
        large, small = peaks
        yield Result(f"peak MB, {name}, {count:,} / half", large, small, large / small, None, 1.2, 1.1, False)  # fmt: skip


def _loop(b: Bench, python: Path, name: str, path: Path) -> Work:
    """A program of `native` in the Python that has its framework."""
    program = b.folder / f"native_{name.lower()}.py"
    program.write_text(getattr(native, name))
    return telling([str(python), "-W", "ignore", str(program), str(path)])
