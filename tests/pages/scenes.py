"""The scenes of the pages: what lies on a machine before the commands of a block run.

Each is a function of the stage, and of the test's request, which gives the servers.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from synmem.backends import open_store
from synmem.messages import Conversation, Message
from synmem.store import Part
from tests.pages.shell import Stage
from tests.services import Given, free_port, unique

FIXTURES: Final = Path(__file__).parent.parent / "fixtures"

_DAY: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_CALL: Final = {"id": "call_1", "name": "track", "arguments": {"parcel": "4711"}}

SAID: Final[dict[str, list[Message]]] = {
    "user-1": [
        Message("user", "Hello, can I pay by invoice?"),
        Message("assistant", "Yes. Choose *Invoice* at the checkout; it is due after 30 days."),
        Message("user", "And how do I get a refund?"),
        Message(
            "assistant", "Send the parcel back within 14 days. The refund takes a week at most."
        ),
    ],
    "user-2": [
        Message("system", "You are the shop's assistant."),
        Message("user", "Where is my parcel 4711?"),
        Message("assistant", "", tool_calls=[_CALL]),
        Message("tool", '{"in": "Zürich"}', tool_call_id="call_1", name="track"),
        Message("assistant", "It is in Zürich, and with you tomorrow."),
    ],
    "user-3": [
        Message("user", "Kann ich die Adresse noch ändern? 🏠"),
        Message("assistant", "Ja, bis die Ware verschickt ist."),
    ],
}
"""What a shop's customers and its assistant have said."""


def nothing(_stage: Stage, _: object) -> None:
    """A fresh machine."""


# --- stores in files ---------------------------------------------------------------------------


def langchain(stage: Stage, _: pytest.FixtureRequest) -> None:
    """chat.db, as LangChain's SQLChatMessageHistory writes it."""
    with contextlib.closing(sqlite3.connect(stage.home / "chat.db")) as db, db:
        db.execute(
            "CREATE TABLE message_store (id INTEGER NOT NULL, session_id TEXT, message TEXT,"
            " PRIMARY KEY (id))"
        )
        rows = [(name, json.dumps(_of_langchain(m))) for name, said in SAID.items() for m in said]
        db.executemany("INSERT INTO message_store (session_id, message) VALUES (?, ?)", rows)


def _of_langchain(message: Message) -> dict[str, Any]:
    kind = {"user": "human", "assistant": "ai"}.get(message.role, message.role)
    data: dict[str, Any] = {"content": message.content, "additional_kwargs": {}}
    data |= {"response_metadata": {}, "type": kind, "name": message.name, "id": None}
    if kind == "ai":
        calls = [
            {"name": c["name"], "args": c["arguments"], "id": c["id"], "type": "tool_call"}
            for c in message.tool_calls or ()
        ]
        data |= {"tool_calls": calls, "invalid_tool_calls": [], "usage_metadata": None}
    if kind == "tool":
        data |= {"tool_call_id": message.tool_call_id, "artifact": None, "status": "success"}
    return {"type": kind, "data": data}


def chats(stage: Stage, _: object) -> None:
    """chat.db, as synmem writes it, with times and titles."""
    _append("sqlite", {"db_path": str(stage.home / "chat.db")}, _dated())


def programs(stage: Stage, _: object) -> None:
    """Claude Code and llm have been used, so long ago that days are shown and no ages."""
    work = stage.home / ".claude" / "projects" / "work"
    work.mkdir(parents=True)
    for path in (FIXTURES / "claude-code" / "projects").glob("*/[0-9a-f]*.jsonl"):
        if not path.stem.startswith("1111"):
            (work / path.name).write_bytes(path.read_bytes().replace(_WRITTEN, _LONG_AGO))
    logs = stage.home / ".config" / "io.datasette.llm" / "logs.db"
    logs.parent.mkdir(parents=True)
    shutil.copy(FIXTURES / "llm-logs-new" / "logs.db", logs)
    with contextlib.closing(sqlite3.connect(logs)) as db, db:
        for table in ("threads", "turns"):
            db.execute(
                f"UPDATE {table} SET datetime_utc = replace(datetime_utc, ?, ?)",
                [_WRITTEN.decode(), _LONG_AGO.decode()],
            )


_WRITTEN, _LONG_AGO = b"2026-11-21", b"2026-03-05"


def found(stage: Stage, _: pytest.FixtureRequest) -> None:
    """In ~/Downloads lies an export of ChatGPT's, and a database of LangChain's among others."""
    downloads = stage.home / "Downloads"
    downloads.mkdir()
    shutil.copytree(FIXTURES / "chatgpt-export", downloads / "chatgpt")
    (downloads / "chatgpt" / "expected.json").unlink()
    app = shutil.copy(
        FIXTURES / "langchain-sql-sqlite" / "message_store.db", downloads / "old-app.db"
    )
    os.utime(app, (_DAY.timestamp(), _DAY.timestamp()))
    (downloads / "holiday.jpg").write_bytes(b"\xff\xd8\xff")


def broken(stage: Stage, _: pytest.FixtureRequest) -> None:
    """An export of which one line is cut, and a table whose times have no zone."""
    (stage.home / "broken.jsonl").write_text(
        '{"conversation_id": "a", "role": "user", "content": "Hello!"}\n'
        '{"conversation_id": "b", "role": "user", "content": "Hi!"}\n'
        '{"conversation_id": "b", "role": "assistant", "cont\n'
    )
    (stage.home / "app.csv").write_text(
        "conversation_id,role,content,created_at\nc,user,Hallo!,2026-03-02 09:30:00\n"
    )


def ollama(stage: Stage, _: pytest.FixtureRequest) -> None:
    """A program `ollama` that answers, and a configuration that names it."""
    program = stage.home.parent / "bin" / "ollama"
    program.parent.mkdir(exist_ok=True)
    program.write_text(_OLLAMA)
    program.chmod(0o755)
    config = stage.home / ".config" / "synmem" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[llm]\ncommand = "ollama run gemma3"\n')


def trouble(stage: Stage, request: pytest.FixtureRequest) -> None:
    """What a newcomer has who meets errors: LangChain's chat.db, own.db and other.db of synmem's,
    a database of something else, one of two frameworks, an export that is cut short; no server,
    and no driver for MongoDB."""
    langchain(stage, request)
    for name, text in (("own.db", "Hello!"), ("other.db", "Hi!")):
        said = [Message("user", text)]
        _append("sqlite", {"db_path": str(stage.home / name)}, [Part(Conversation("user-1"), said)])
    with contextlib.closing(sqlite3.connect(stage.home / "notes.db")) as db, db:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
    shutil.copy(FIXTURES / "openai-agents-sqlite" / "sessions.db", stage.home / "two.db")
    with contextlib.closing(sqlite3.connect(stage.home / "two.db")) as db, db:
        db.execute("ATTACH ? AS other", [str(stage.home / "chat.db")])
        db.execute("CREATE TABLE message_store AS SELECT * FROM other.message_store")
    (stage.home / "short.jsonl").write_text(
        '{"synmem": {"sealed": 1}}\n{"conversation_id": "a", "role": "user", "content": "Hello!"}\n'
    )
    stage.instead["localhost:6399"] = f"127.0.0.1:{free_port()}"
    missing = stage.home.parent / "missing" / "pymongo"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ModuleNotFoundError(name='pymongo')\n")
    stage.variables["PYTHONPATH"] = str(missing.parent)


def examples(stage: Stage, request: pytest.FixtureRequest) -> None:
    """All that the examples of --help speak of: stores, profiles, files, programs."""
    for scene in (chats, programs, broken, ollama):
        scene(stage, request)
    dated = [
        Part(Conversation(part.conversation.id.replace("user", kind)), [*part.messages] * 10)
        for part in _dated()
        for kind in ("user", "test", "bot")
    ]
    for name in ("local.db", "prod.db", "cache.db", "old.db"):
        _append("sqlite", {"db_path": str(stage.home / name)}, dated)
    with (stage.home / ".config" / "synmem" / "config.toml").open("a") as config:
        for name in ("local", "prod", "cache", "old"):
            file = stage.home / f"{name}.db"
            config.write(f'\n[profiles.{name}]\nbackend = "sqlite"\ndb_path = "{file}"\n')
    (stage.home / "prompt.txt").write_text("Be brief.")
    for folder in ("Downloads", "mnt/backup/home"):
        (stage.home / folder).mkdir(parents=True)
    ssh = stage.home.parent / "bin" / "ssh"
    ssh.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    ssh.chmod(0o755)


_OLLAMA: Final = """#!/bin/sh
case "$(cat)" in
  *"commas"*4711*) echo 'parcel 4711' ;;
  *"commas"*Z*rich*) echo 'parcel 4711, Zürich' ;;
  *"commas"*) echo NONE ;;
  *"Describe parcel"*) echo 'What the customer has ordered; it is in Zürich.' ;;
  *"Describe"*) echo 'The city in which the parcel is.' ;;
  *) echo 'The customer asked about paying by invoice and about refunds.' ;;
esac
"""


def _dated() -> Iterable[Part]:
    titles = {"user-1": "Invoices and refunds", "user-2": "Parcel 4711", "user-3": None}
    for day, (name, said) in enumerate(SAID.items()):
        at = _DAY + timedelta(days=day)
        messages = [
            replace(m, created_at=at + timedelta(minutes=number)) for number, m in enumerate(said)
        ]
        yield Part(Conversation(name, title=titles[name]), messages)


def _append(backend: str, settings: dict[str, Any], parts: Iterable[Part]) -> None:
    async def main() -> None:
        async with open_store(backend, settings, write=True) as store:
            await store.append(list(parts))

    asyncio.run(main())


# --- servers ---------------------------------------------------------------------------------


def postgres(stage: Stage, request: pytest.FixtureRequest) -> None:
    """A database of PostgreSQL at db.internal/chat; its password is in PGPASSWORD."""
    server, name = request.getfixturevalue("postgres_server"), unique()
    _own(server)
    server.run(_ROLE, f"CREATE DATABASE {name} OWNER app")
    stage.variables["PGPASSWORD"] = "s3cret"
    stage.instead["db.internal/chat"] = f"127.0.0.1:{server.port}/{name}"


def redis(stage: Stage, request: pytest.FixtureRequest) -> None:
    """Redis at localhost:6379/0, with nothing in it: what other tests have there is elsewhere."""
    from redis import Redis

    server = request.getfixturevalue("redis_server")
    _own(server)
    url = server.url.removesuffix("/0") + "/9"
    with Redis.from_url(url) as client:
        client.flushdb()
    stage.instead["localhost:6379/0"] = url.removeprefix("redis://")


def mongo(stage: Stage, request: pytest.FixtureRequest) -> None:
    """MongoDB at db.internal/chat."""
    server = request.getfixturevalue("mongo_server")
    stage.instead["db.internal/chat"] = f"{server.url.removeprefix('mongodb://')}/{unique()}"


def dynamodb(stage: Stage, request: pytest.FixtureRequest) -> None:
    """DynamoDB Local at 127.0.0.1:8000, and credentials."""
    server = request.getfixturevalue("dynamodb_server")
    stage.instead["127.0.0.1:8000"] = server.url.removeprefix("http://")
    stage.instead["eu-central-1/chat"] = f"eu-central-1/{unique()}"
    stage.variables |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


_ROLE: Final = """DO $$ BEGIN CREATE ROLE app LOGIN PASSWORD 's3cret';
EXCEPTION WHEN duplicate_object THEN NULL; END $$"""


def _own(server: Any) -> None:
    """A page is tried on a server of the tests' own alone: it wants it empty, or a role there."""
    if isinstance(server, Given):
        pytest.skip("the server of the environment is not ours to empty")
