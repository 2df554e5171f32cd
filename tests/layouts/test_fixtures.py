"""Stores that the real frameworks wrote: each is read exactly as its `expected.json` says.

A line for each. Where its layout is still to come, the line says what is missing, and fails when
the fixture is suddenly read.
"""

import asyncio
import base64
import contextlib
import copy
import filecmp
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
import redis
from bson import json_util

import synmem
from synmem.layouts.foreign import openai_agents_items
from synmem.layouts.interchange import anthropic
from synmem.layouts.registry import LAYOUTS
from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable, as_dict
from synmem.operations.moving.naming import layout_of
from synmem.store import ConversationInfo, Store, SupportsBranches
from tests.backends.dynamodb import place as dynamodb_place
from tests.backends.mongo.place import placed
from tests.cli.moved import run
from tests.layouts.interchange import forms
from tests.services import redis_json, unique

FIXTURES = Path(__file__).parent.parent / "fixtures"
ORIGINALS = FIXTURES.parents[2] / "shared" / "fixtures"


class Fixture(NamedTuple):
    """A store that is read: the folder of that name, and in it what is opened."""

    name: str
    place: str
    backend: str = "sqlite"
    elsewhere: tuple[str, ...] = ()
    """The conversations that lie in other files of the folder."""


ALL = [
    Fixture("synapsekit-sqlite", "conversations.db"),
    Fixture("synapsekit-redis", "redis.json", "redis"),
    Fixture("langchain-sql-sqlite", "message_store.db"),
    Fixture("agent-framework-file", ".", "file"),
    Fixture("agent-framework-redis", "redis.json", "redis"),
    Fixture("agno-sqlite-v2", "agno.db"),
    Fixture("agno-sqlite-v3", "agno.db"),
    Fixture("aider-history", ".aider.chat.history.md", "file"),
    Fixture("anthropic-messages", "requests.jsonl", "file"),
    Fixture("anythingllm", "anythingllm.db"),
    Fixture("big-agi-export", ".", "file"),
    Fixture("chainlit-postgres", "chainlit-postgres.sql", "postgres"),
    Fixture("chat-ui-mongodb", "conversations.jsonl", "mongo"),
    Fixture("chatbox-export", "chatbox-exported-data-2026-9-21.json", "file"),
    Fixture("chatgpt-export", "conversations.json", "file"),
    Fixture("cherry-studio-backup", "data.json", "file"),
    Fixture("claude-ai-export", "conversations.json", "file"),
    Fixture("claude-code", "projects", "file"),
    Fixture("cline-sessions", "sessions", "file"),
    Fixture("cline-tasks", "tasks", "file"),
    Fixture("codex-rollouts", "sessions", "file"),
    Fixture("codex-rollouts-legacy", "sessions", "file"),
    Fixture("continue-sessions", "sessions", "file"),
    Fixture("copilot-cli", "session-state", "file"),
    Fixture("crush", "crush.db"),
    Fixture("cursor-vscdb", "state.vscdb"),
    Fixture("dify-postgres", "dify-postgres.sql", "postgres"),
    Fixture("flowise-postgres", "flowise-postgres.sql", "postgres"),
    Fixture("gemini-cli", "tmp", "file"),
    Fixture("gemini-contents", ".", "file"),
    Fixture("google-adk-sqlalchemy", "sessions.db"),
    Fixture("google-adk-sqlite", "session.db"),
    Fixture("goose", "20250801_120000.jsonl", "file", elsewhere=(*(f"20260921_{n}" for n in range(1, 8)), "20260921_99")),
    Fixture("goose", "sessions.db", elsewhere=("20250801_120000",)),
    Fixture("haystack-json", "messages.json", "file"),
    Fixture("jan-threads", "threads", "file"),
    Fixture("langchain-community-postgres", "message_store.sql", "postgres"),
    Fixture("langchain-dynamodb", "SessionTable.json", "dynamodb"),
    Fixture("langchain-file", ".", "file"),
    Fixture("langchain-mongodb", "message_store.jsonl", "mongo"),
    Fixture("langchain-postgres", "chat_history.sql", "postgres"),
    Fixture("langchain-redis-json", "redisjson.json", "redis"),
    Fixture("langchain-redis-list", "redis.json", "redis"),
    Fixture("langchainjs-postgres", "langchainjs-postgres.sql", "postgres"),
    Fixture("langgraph-postgres", "checkpoints.sql", "postgres"),
    Fixture("langgraph-sqlite", "checkpoints.sqlite"),
    Fixture("librechat-export", ".", "file"),
    Fixture("librechat-mongodb", "messages.jsonl", "mongo"),
    Fixture("llamaindex-dynamodb", "Chats.json", "dynamodb"),
    Fixture("llamaindex-mongo", "sessions.jsonl", "mongo"),
    Fixture("llamaindex-postgres", "chatstore.sql", "postgres"),
    Fixture("llamaindex-redis", "redis.json", "redis"),
    Fixture("llamaindex-simple-json", "chat_store.json", "file"),
    Fixture("llamaindex-simple-json-legacy", "chat_store.json", "file"),
    Fixture("llamaindex-sqlalchemy-sqlite", "memory.db"),
    Fixture("llamaindex-sqlite", "chatstore.db"),
    Fixture("llm-logs-legacy", "logs.db"),
    Fixture("llm-logs-mixed", "logs.db"),
    Fixture("llm-logs-new", "logs.db"),
    Fixture("lmstudio-conversations", "conversations", "file"),
    Fixture("lobechat-postgres", "lobechat-postgres.sql", "postgres"),
    Fixture("mem0-history", "history.db"),
    Fixture("open-webui", "webui.db"),
    Fixture("openai-agents-encrypted", "encrypted.db"),
    Fixture("openai-agents-mongodb", "agent_messages.jsonl", "mongo"),
    Fixture("openai-agents-redis", "redis.json", "redis"),
    Fixture("openai-agents-sqlalchemy-postgres", "agents.sql", "postgres"),
    Fixture("openai-agents-sqlalchemy-sqlite", "sqlalchemy.db"),
    Fixture("openai-agents-sqlite", "sessions.db"),
    Fixture("openai-agents-sqlite-advanced", "advanced.db"),
    Fixture("openai-chat-jsonl", "train.jsonl", "file"),
    Fixture("opencode-json", "storage", "file"),
    Fixture("opencode-sqlite", "opencode.db"),
    Fixture("pydantic-ai-json", ".", "file"),
    Fixture("qwen-code", "projects", "file"),
    Fixture("sharegpt", "sharegpt.json", "file"),
    Fixture("sharegpt", "sharegpt.jsonl", "file"),
    Fixture("sillytavern-chats", "data", "file"),
    Fixture("spring-ai-postgres", "spring-ai-postgres.sql", "postgres"),
    Fixture("strands-files", ".", "file"),
    Fixture("text-generation-webui", "user_data", "file"),
    Fixture("vercel-ai-postgres", "vercel-ai-postgres.sql", "postgres"),
    Fixture("vscode-chat-sessions", "workspaceStorage", "file"),
    Fixture("zed-threads", "threads.db"),
]  # fmt: skip


# --- what must be there ---------------------------------------------------------------------


def test_every_fixture_has_its_line() -> None:
    names = {fixture.name for fixture in ALL}
    assert names == {path.name for path in FIXTURES.iterdir() if path.is_dir()}
    assert len(names) == 82
    for fixture in ALL:
        assert (FIXTURES / fixture.name / fixture.place).exists(), fixture


def test_the_fixtures_are_the_originals() -> None:
    if not ORIGINALS.is_dir():
        pytest.skip("the originals lie beside the repository only where synmem is made")
    ours, theirs = ([p for p in f.rglob("*") if p.is_file()] for f in (FIXTURES, ORIGINALS))
    names = {p.relative_to(FIXTURES) for p in ours} - {Path("README.md")}
    assert names == {p.relative_to(ORIGINALS) for p in theirs}
    assert all(filecmp.cmp(FIXTURES / n, ORIGINALS / n, shallow=False) for n in names)


@pytest.mark.parametrize("fixture", ALL, ids=lambda each: each.name)
def test_a_fixture_is_read_exactly_and_nothing_is_changed(
    fixture: Fixture, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    expected = expected_of(fixture)
    with opened(fixture, tmp_path, request) as (address, state):
        before = state()
        found, branches = asyncio.run(_read(address))
        assert _exported(address) == {
            info.id: [(m.role, m.content) for m in said]
            for info, said in found
            if all(m.role != "encrypted" for m in said)
        }
        each, _ = asyncio.run(_read(f"{address}?branches=true")) if _named(expected) else ([], 0)
        assert state() == before
    written = _written(fixture.name)
    untold, more = UNTOLD.get(fixture.name, (set(), 0))
    assert untold <= {info.id for info, _ in found}
    found = [(info, said) for info, said in found if info.id not in untold]
    if fixture.name in UNTITLED:
        assert all(info.title for info, _ in found)
        found = [(msgspec.structs.replace(info, title=None), said) for info, said in found]
    _compare(found, [one for one in expected if one not in _named(expected)], written)
    assert branches == _other_branches(expected) + more
    if each:
        ids = [f"{one['id']}#{one['branch']}" if one in _named(expected) else one["id"] for one in expected]  # fmt: skip
        _compare(
            each, [{**one, "id": id_} for one, id_ in zip(expected, ids, strict=True)], written
        )


@pytest.mark.parametrize("fixture", ALL, ids=lambda each: each.name)
def test_what_is_exported_of_a_fixture_is_what_the_types_of_a_form_take(
    fixture: Fixture, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with opened(fixture, tmp_path, request) as (address, _):
        for form in forms.FORMS:
            done = run("export", "-f", form, "-p", address)
            assert done.exit_code in (0, 6), done.stderr  # 6: some is encrypted, or is left out
            found = forms.objects(done.stdout_bytes)
            assert found or fixture.name == "openai-agents-encrypted"
            for each in found:
                forms.check_valid(form, each)
            _, bad = forms.told(form, done.stdout_bytes)
            assert not bad


@contextlib.contextmanager
def opened(
    fixture: Fixture, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The address of a copy of it, and what tells the state of that."""
    folder = tmp_path / "fixture"
    shutil.copytree(FIXTURES / fixture.name, folder)
    place = folder / fixture.place
    if fixture.backend in ("sqlite", "file"):
        yield str(place), lambda: _state(folder)
        return
    with LOADED[fixture.backend](place, request) as there:
        yield there


def expected_of(fixture: Fixture) -> list[dict[str, Any]]:
    """What is said in its place."""
    told = json.loads((FIXTURES / fixture.name / "expected.json").read_text())["conversations"]
    return [each for each in told if each["id"] not in fixture.elsewhere]


def _exported(address: str) -> dict[str, list[tuple[str, str]]]:
    """What the command line says that is said there."""
    done = run("export", "-p", address, "--json")
    assert done.exit_code in (0, 6), done.stderr  # 6: some is encrypted
    return {
        each["conversation_id"]: [(m["role"], m["content"]) for m in each["messages"]]
        for each in json.loads(done.stdout)
    }


def _named(expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The branches that are expected, but for the current ones."""
    return [one for one in expected if one.get("branch", "main") != "main"]


def _written(name: str) -> Callable[[Message], Any] | None:
    """Where a message says by its own fields what a record is: what would be written of it."""
    if name.startswith("openai-agents"):
        return openai_agents_items.json_of
    if name == "anthropic-messages":
        return lambda message: anthropic.content_of([message])
    return None


async def _read(address: str) -> tuple[list[tuple[ConversationInfo, list[Message]]], int]:
    """Every conversation, as it is listed, and its messages; how many other branches there are."""
    async with synmem.open_store(address) as store:
        assert layout_of(store) in (None, *LAYOUTS)
        found = [
            (info, await _messages(store, info.id))
            async for page in store.conversations(details=True)
            for info in page
        ]
        return found, store.passed_over() if isinstance(store, SupportsBranches) else 0


async def _messages(store: Store, conversation: str) -> list[Message]:
    """Its messages; in the place of each that is encrypted, one of that role."""
    items = [item async for page in store.read([conversation]) for item in page.items]
    return [item if isinstance(item, Message) else _encrypted(item) for item in items]


def _encrypted(item: Unreadable) -> Message:
    assert "only its key opens it" in item.reason, item
    return Message("encrypted", "")


def _state(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """All names in a folder, and each file's time and bytes. Not the folder's own time: beside a
    database in WAL mode two files come and go."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes()) if path.is_file() else (0, b"")
        for path in folder.rglob("*")
    }


# --- servers --------------------------------------------------------------------------------


@contextlib.contextmanager
def _redis(place: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The keys of a dump, in a database where no other test has any."""
    url = urlsplit(request.getfixturevalue("redis_server").url)._replace(path="/15").geturl()
    dump = json.loads(place.read_text())
    if {kept["type"] for kept in dump.values()} == {"ReJSON-RL"}:
        with redis_json.running() as server:
            server.keys |= {key: kept["value"] for key, kept in dump.items()}
            yield server.url, lambda: copy.deepcopy(server.keys)
        return
    with redis.Redis.from_url(url) as raw:
        write = {"set": raw.sadd, "list": raw.rpush}
        try:
            for key, kept in dump.items():
                if kept["type"] == "hash":
                    raw.hset(key, mapping=kept["value"])
                elif kept["type"] == "string":
                    raw.set(key, kept["value"])
                else:
                    write[kept["type"]](key, *kept["value"])
                if kept["ttl"] > 0:
                    raw.expire(key, kept["ttl"])
            yield url, lambda: {k: (raw.dump(k), raw.pexpiretime(k)) for k in raw.keys("*")}
        finally:
            raw.delete(*dump)


@contextlib.contextmanager
def _postgres(
    place: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The tables of a dump, in a database of its own."""
    server, name = request.getfixturevalue("postgres_server"), unique()
    url = urlsplit(server.url)._replace(path=f"/{name}").geturl()
    server.run(f'CREATE DATABASE "{name}"')
    try:
        asyncio.run(_restore(url, place))
        yield url, lambda: asyncio.run(_rows(url))
    finally:
        server.run(f'DROP DATABASE "{name}" WITH (FORCE)')


async def _restore(url: str, dump: Path) -> None:
    """What pg_dump wrote, but for references to tables that are not in it. Rows that lie beside it
    as JSON lines too are those: the dump has lost each CR of a text."""
    lines = {
        path.name.removesuffix(".rows.jsonl"): path.read_bytes().decode().split("\n")
        for path in dump.parent.glob("*.rows.jsonl")
    }
    connection = await asyncpg.connect(url)
    try:
        for statement in f"{dump.read_text()}SELECT".split(";\n"):
            into = re.search(r'^INSERT INTO public\."?(\w+)', statement, re.MULTILINE)
            if not (
                (into and into[1] in lines)
                or "FOREIGN KEY" in statement
                or "transaction_timeout" in statement
            ):
                await connection.execute(statement)
        for table, rows in lines.items():
            for row in filter(None, rows):
                await connection.execute(
                    f'INSERT INTO public."{table}" '
                    f'SELECT * FROM json_populate_record(NULL::public."{table}", $1)',
                    row,
                )
    finally:
        await connection.close()


async def _rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that can be seen of a database: every row, and which transaction wrote it last."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT oid::regclass::text, relkind::text FROM pg_class WHERE relkind IN ('r', 'S', 'i')"
            " AND relnamespace NOT IN ('pg_catalog'::regnamespace,"
            " 'information_schema'::regnamespace, 'pg_toast'::regnamespace)"
        )
        return {
            name: []
            if kind == "i"
            else [
                tuple(row)
                for row in await connection.fetch(
                    f"SELECT xmin::text, ctid::text, * FROM {name} ORDER BY ctid"
                )
            ]
            for name, kind in names
        }
    finally:
        await connection.close()


@contextlib.contextmanager
def _mongo(place: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[[], Any]]]:
    """A collection for each file, in a database of its own."""
    with placed(request.getfixturevalue("mongo_server").url) as there:
        names = [path.stem for path in place.parent.glob("*.jsonl")]
        for name in names:
            lines = (place.parent / f"{name}.jsonl").read_text().split("\n")
            there.database[name].insert_many([json_util.loads(line) for line in lines if line])
        yield (
            there.cli_url,
            lambda: {
                name: ([*there.database[name].find()], there.database[name].index_information())
                for name in sorted(there.database.list_collection_names())
            },
        )


@contextlib.contextmanager
def _dynamodb(
    place: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The items of a scan, in a table of their own."""
    url = request.getfixturevalue("dynamodb_server").url
    dynamodb_place.credentials(request.getfixturevalue("monkeypatch"))
    with dynamodb_place.own_table(url) as name, dynamodb_place.client(url) as boto:
        dynamodb_place.plain_table(url, name, SessionId="S")
        for item in json.loads(place.read_text())["Items"]:
            boto.put_item(TableName=name, Item=_with_bytes(item))
        yield (
            f"dynamodb://us-east-1/{name}?endpoint_url={url}",
            lambda: (
                boto.scan(TableName=name)["Items"],
                boto.describe_table(TableName=name)["Table"]["KeySchema"],
            ),
        )


def _with_bytes(value: Any) -> Any:
    """The same with bytes for what a dump has as `{"B": base64}`."""
    if isinstance(value, list):
        return [_with_bytes(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(each) if key == "B" and isinstance(each, str) else _with_bytes(each)
        for key, each in value.items()
    }


LOADED = {"dynamodb": _dynamodb, "mongo": _mongo, "postgres": _postgres, "redis": _redis}
"""How a dump is brought to a server."""


# --- what is there, and what should be ------------------------------------------------------

SAID = {"role", "text", "tool_calls", "tool_call_id", "name", "metadata"}
"""What has a field of a message: it must be there where it is expected, and nowhere else."""

KEPT = {"raw", "status", "function_call", "invalid_tool_calls", "attachments", "recipient",
        "files", "thinking"}  # fmt: skip
"""What must be kept somewhere in a message, as it was written, or be written so again."""

NAMED = {"files", "attachments"}
"""Of these what they are called, and what is in them, under whatever keys."""

OTHER = {"text_contains", "native_type", "images"}
ABOUT = {"where", "fixture_name", "composed", "other_threads"}
"""How the fixture was made, or what is left out; nothing of the store."""

OF_CONVERSATION = {"id", "messages", "title", "summary", "other_branches", "branch"}
KEPT_OF_CONVERSATION = {"thread_of", "app_name", "user_id", "parent", "forked_from", "session_type"}
COUNTED = {"reverted", "hidden", "excluded_rows", "missing_bubbles"}
"""How many messages or rows of a conversation are not listed: it says so under the same key."""

UNTOLD: dict[str, tuple[set[str], int]] = {
    "claude-code": (
        {"agent-00000000-0000-4000-8000-000000000020@11111111-2222-4333-8444-555555555555"}, 1
    ),
}  # fmt: skip
"""By fixture, what lies there that its `expected.json` says nothing of: conversations, and how many
other branches."""

UNTITLED = {"copilot-cli"}
"""The fixtures whose `expected.json` leaves out the titles that are there."""

ROLES = {"system", "developer", "user", "assistant", "tool", "reasoning"}


def compare_told(fixture: str, found: dict[str, Told]) -> None:
    """That a layout's `unfold`, of each conversation's records, says what the fixture expects."""
    expected = json.loads((FIXTURES / fixture / "expected.json").read_text())["conversations"]
    listed = []
    for id_, told in found.items():
        info = ConversationInfo(id=id_, title=told.title or None, extra=told.extra)
        assert all(isinstance(each, Message) for each in told.messages), told.messages
        listed.append((info, cast(list[Message], [*told.messages])))
    _compare([each for each in listed if each[1]], expected)
    assert sum(len(told.branches) for told in found.values()) == _other_branches(expected)


def _other_branches(expected: list[dict[str, Any]]) -> int:
    """How many there are; what was reverted is one until it is removed."""
    told = sum(each.get("other_branches", 0) + ("reverted" in each) for each in expected)
    return told + len(_named(expected))


def _named_apart(expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, in which those of ADK's sessions that have one id are called by all of their key."""
    ids = [one["id"] for one in expected]
    return [
        {**one, "id": f"{one['app_name']}/{one['user_id']}/{one['id']}"}
        if ids.count(one["id"]) > 1
        else one
        for one in expected
    ]


def _compare(
    found: list[tuple[ConversationInfo, list[Message]]],
    expected: list[dict[str, Any]],
    written: Callable[[Message], Any] | None = None,
) -> None:
    expected = _named_apart([each for each in expected if each["messages"]])  # else there is none
    assert sorted(info.id for info, _ in found) == sorted(each["id"] for each in expected)
    for info, messages in found:
        [about] = [each for each in expected if each["id"] == info.id]
        unknown = about.keys() - OF_CONVERSATION - KEPT_OF_CONVERSATION - COUNTED - ABOUT
        assert not unknown, f"nothing compares {unknown} of a conversation"
        assert info.title == (about.get("title", about.get("summary")) or None)
        assert info.messages in (None, len(messages))
        for key in about.keys() & KEPT_OF_CONVERSATION:
            assert _holds(info.extra, about[key]), key
        for key in about.keys() & COUNTED:
            assert _holds(info.extra, {key: about[key]}), key
        assert len(messages) == len(about["messages"])
        for message, wanted in zip(messages, about["messages"], strict=True):
            _compare_message(message, wanted, written(message) if written else None)


def _compare_message(message: Message, wanted: dict[str, Any], written: Any = None) -> None:
    unknown = wanted.keys() - SAID - KEPT - OTHER - ABOUT
    assert not unknown, f"nothing compares {unknown} of a message"
    said = {key: value for key, value in wanted.items() if key in SAID}
    ours = as_dict(message)
    there = {"text": ours["content"], **{k: v for k, v in ours.items() if k in SAID}}
    if "text_contains" in wanted:
        assert wanted["text_contains"] in there.pop("text")
    assert there == said
    beside = [message.parts, message.extra, written]
    for key in wanted.keys() & KEPT:
        each = _leaves(wanted[key]) if key in NAMED else [wanted[key]]
        assert all(_holds(beside, one) for one in each), f"{key} is not kept"
    if "native_type" in wanted:
        own_word = wanted["native_type"] == "chat" and message.role not in ROLES
        assert own_word or _holds(beside, wanted["native_type"])
    if "images" in wanted:
        images = [part for part in message.parts or [] if part["type"] == "image_url"]
        assert len(images) == wanted["images"]


def _leaves(value: Any) -> list[Any]:
    """All that is no list and no object in a JSON value."""
    if not isinstance(value, dict | list):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    return [leaf for each in inner for leaf in _leaves(each)]


def _holds(value: Any, wanted: Any) -> bool:
    """Whether `wanted` is in a JSON value, at whatever depth; what is there may have more keys."""
    if _fits(value, wanted):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and any(_holds(each, wanted) for each in inner)


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(value, dict):
        return all(key in value and _fits(value[key], each) for key, each in wanted.items())
    if isinstance(wanted, list) and isinstance(value, list):
        return len(value) == len(wanted) and all(map(_fits, value, wanted))
    return bool(value == wanted) and type(value) is type(wanted)
