"""Apps keep their files open, in WAL mode, and write while they are read: what was committed is
read, what was not is not, and nothing of it is touched."""

import contextlib
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synmem.messages import Message
from tests.backends.sqlite.test_store import opened
from tests.conformance import ids, items, run
from tests.layouts.foreign.wholes import FIXTURES, read

Add = Callable[[sqlite3.Connection, str], None]


def _opencode(db: sqlite3.Connection, text: str) -> None:
    time_ = f'{{"created": {time.time_ns() // 1_000_000}}}'
    db.execute(
        "INSERT INTO message VALUES (?, 'ses_ddc70e304ffeOLprqcYXXirmQu', 1895892911370, 1, ?)",
        (f"msg_z{text}", f'{{"role": "user", "time": {time_}}}'),
    )
    data = json.dumps({"type": "text", "text": text})
    db.execute(
        "INSERT INTO part VALUES (?, ?, 'x', 1, 1, ?)", (f"prt_{text}", f"msg_z{text}", data)
    )


def _crush(db: sqlite3.Connection, text: str) -> None:
    parts = json.dumps([{"type": "text", "data": {"text": text}}])
    db.execute(
        "INSERT INTO messages (id, session_id, role, parts, created_at, updated_at)"
        " VALUES (?, 'ecbdbaf0-924f-466b-8609-fb46ce32eb75', 'user', ?, 1890000000, 1)",
        (text, parts),
    )


def _goose(db: sqlite3.Connection, text: str) -> None:
    content = json.dumps([{"type": "text", "text": text}])
    db.execute(
        "INSERT INTO messages (session_id, role, content_json, created_timestamp)"
        " VALUES ('20260921_1', 'user', ?, 1890000000)",
        (content,),
    )


CURSOR = "b264fbf8-a4eb-4dfe-bf81-71a96588f6ef"


def _cursor(db: sqlite3.Connection, text: str) -> None:
    """As Cursor does it: the bubble first, and then the whole composer anew."""
    key = f"composerData:{CURSOR}"
    ((value,),) = db.execute("SELECT value FROM cursorDiskKV WHERE key = ?", (key,))
    composer = json.loads(value)
    composer["fullConversationHeadersOnly"].append({"bubbleId": text, "type": 1})
    bubble = json.dumps({"type": 1, "text": text})
    db.execute("INSERT INTO cursorDiskKV VALUES (?, ?)", (f"bubbleId:{CURSOR}:{text}", bubble))
    db.execute("INSERT INTO cursorDiskKV VALUES (?, ?)", (key, json.dumps(composer)))


def _anythingllm(db: sqlite3.Connection, text: str) -> None:
    response = json.dumps({"text": text})
    db.execute(
        "INSERT INTO workspace_chats (workspaceId, prompt, response) VALUES (1, 'x', ?)",
        (response,),
    )


ZED = "dbd64931-4241-4e9b-a187-f9a447319767"


def _zed(db: sqlite3.Connection, text: str) -> None:
    ((data,),) = db.execute("SELECT data FROM threads WHERE id = ?", (ZED,))
    thread = json.loads(data)
    thread["messages"].append({"User": {"content": [{"Text": text}]}})
    db.execute("UPDATE threads SET data = ? WHERE id = ?", (json.dumps(thread).encode(), ZED))


APPS: dict[str, tuple[str, str, Add]] = {
    "anythingllm": ("anythingllm.db", "demo", _anythingllm),
    "crush": ("crush.db", "ecbdbaf0-924f-466b-8609-fb46ce32eb75", _crush),
    "cursor-vscdb": ("state.vscdb", CURSOR, _cursor),
    "goose": ("sessions.db", "20260921_1", _goose),
    "opencode-sqlite": ("opencode.db", "ses_ddc70e304ffeOLprqcYXXirmQu", _opencode),
    "zed-threads": ("threads.db", ZED, _zed),
}


@contextlib.contextmanager
def running(app: str, folder: Path) -> Iterator[tuple[Path, str, Add, sqlite3.Connection]]:
    """The app's file, which is open in WAL mode."""
    name, conversation, add = APPS[app]
    path = Path(shutil.copy(FIXTURES / app / name, folder / name))
    with contextlib.closing(sqlite3.connect(path, check_same_thread=False)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        yield path, conversation, add, db


@pytest.mark.parametrize("app", APPS)
def test_what_was_committed_is_read_and_nothing_is_touched(app: str, tmp_path: Path) -> None:
    with running(app, tmp_path) as (path, conversation, add, db):
        add(db, "committed")
        db.commit()
        add(db, "not yet")
        files = [path, path.with_name(path.name + "-wal")]
        before = [(each.read_bytes(), each.stat().st_mtime_ns) for each in files]
        found = read(path, conversation)
        assert found[-1].content == "committed"
        assert all(isinstance(each, Message) for each in found)
        assert [(each.read_bytes(), each.stat().st_mtime_ns) for each in files] == before
        db.commit()
        assert read(path, conversation)[-1].content == "not yet"


@pytest.mark.parametrize("app", APPS)
def test_an_app_that_goes_on_writing_is_read_as_it_was_at_one_moment(
    app: str, tmp_path: Path
) -> None:
    done = threading.Event()
    with running(app, tmp_path) as (path, conversation, add, db):

        def write() -> None:
            for n in range(1000):
                if done.wait(0.002):
                    return
                add(db, f"{n:04}")
                db.commit()

        async def main() -> None:
            async with opened(path) as store:
                count = 0
                for _ in range(10):
                    assert conversation in await ids(store)
                    said = await items(store, conversation)
                    texts = [each.content for each in said if each.content.isdecimal()]
                    assert texts == [f"{n:04}" for n in range(len(texts))]
                    assert len(said) >= count
                    count = len(said)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            run(main())
        finally:
            done.set()
            thread.join()
