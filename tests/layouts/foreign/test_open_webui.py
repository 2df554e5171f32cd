"""Open WebUI's chats: their trees, in both places where messages lie; what cannot be read."""

import itertools
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from synmem.layouts.foreign.open_webui import _unfold
from synmem.messages import Message, Unreadable
from synmem.store import Part
from tests.backends.sqlite.test_store import opened
from tests.conformance import contents, details, ids, items, run
from tests.layouts.foreign.wholes import (
    FIXTURES,
    WholeReading,
    check,
    database,
    made_as,
    read,
    rows_of,
    spoiled,
)
from tests.services import framework

WEBUI = FIXTURES / "open-webui" / "webui.db"
BRANCH = "87c88bfe-2cb0-4852-8d38-df8b3fbee10a"
TOOLS = "1d10cc82-a1ac-47ad-8249-43f66c180263"
PLAIN = "e734173c-34b4-4d3a-bab4-c636d34c0e3e"


class TestOpenWebui(WholeReading):
    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, WEBUI)
        for part in parts:
            ids = [str(n) for n in range(len(part.messages))]
            nodes = {
                id_: {
                    "id": id_,
                    "parentId": before,
                    "role": message.role,
                    "content": message.content,
                    "name": message.name,
                }
                for id_, before, message in zip(ids, [None, *ids], part.messages, strict=False)
            }
            chat = {"history": {"messages": nodes, "currentId": ids[-1]}}
            db.execute(
                "INSERT INTO chat (id, chat) VALUES (?, ?)",
                (part.conversation.id, json.dumps(chat)),
            )

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute(
            "UPDATE chat SET chat = json_set(chat, '$.history.messages.1.content', 5) WHERE id = 'a'"
        )

    def held(self, index: int, message: Message) -> Message:
        about: dict[str, Any] = {"id": str(index)}
        if index:
            about["parentId"] = str(index - 1)
        if message.name is not None:
            about["name"] = message.name
        return Message(message.role, message.content, extra={"open_webui": about})


def copied(tmp_path: Path) -> Path:
    """The fixture, to be changed."""
    return Path(shutil.copy(WEBUI, tmp_path / "webui.db"))


def changed(path: Path, conversation: str, change: Any) -> None:
    """Let a function change the JSON of a chat."""
    with database(path) as db:
        (text,) = db.execute("SELECT chat FROM chat WHERE id = ?", [conversation]).fetchone()
        chat = json.loads(text)
        change(chat)
        db.execute("UPDATE chat SET chat = ? WHERE id = ?", (json.dumps(chat), conversation))


def test_each_branch_is_read_by_the_id_of_its_leaf(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(copied(tmp_path)) as store:
            assert await contents(store, BRANCH) == ["Pick a colour", "Blue"]
            assert store.passed_over() == 1
            assert await contents(store, f"{BRANCH}#bran-m1") == ["Pick a colour", "Red"]
            assert await store.leaf(BRANCH) == "bran-m2"
            assert await store.leaf(f"{BRANCH}#bran-m1") == "bran-m1"
        async with opened(copied(tmp_path), branches=True) as store:
            assert f"{BRANCH}#bran-m1" in await ids(store)
            assert len(await ids(store)) == 8
            assert (await details(store))[f"{BRANCH}#bran-m1"].title == "branch"

    run(main())


def test_what_a_message_and_a_chat_have_beside_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(copied(tmp_path)) as store:
            about = (await details(store))[PLAIN].extra["open_webui"]
            assert about["meta"] == {"tags": ["fixture"]}
            assert about["user_id"] == "user-1"
            assert about["chat"]["params"] == {"system": "You are a terse assistant."}
            *_, last = await items(store, PLAIN)
            assert last.created_at.isoformat() == "2026-01-01T00:00:04+00:00"
            assert last.extra["open_webui"]["usage"]["output_tokens"] == 5
            assert last.extra["open_webui"]["modelName"] == "Mock"

    run(main())


def test_what_newer_versions_write_to_a_table_of_their_own_wins(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("""UPDATE chat_message SET content = '"Kyoto."' WHERE id LIKE '%plai-m4'""")
        db.execute(
            "INSERT INTO chat_message (id, chat_id, parent_id, role, content, created_at) VALUES "
            '(?, ?, \'plai-m4\', \'user\', \'[{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]\', 5)',
            (f"{PLAIN}-new", PLAIN),
        )
        db.execute("UPDATE chat SET current_message_id = 'new' WHERE id = ?", [PLAIN])
    *_, tokyo, last = read(path, PLAIN)
    assert tokyo.content == "Kyoto."
    assert tokyo.extra["open_webui"]["modelName"] == "Mock"
    assert (last.content, len(last.parts)) == ("one\ntwo", 2)
    with database(path) as db:
        db.execute("UPDATE chat SET chat = '{oops' WHERE id = ?", [PLAIN])
    odd, *rest = read(path, PLAIN)
    assert "not JSON" in odd.reason
    assert [m.content for m in rest][-2:] == ["Kyoto.", "one\ntwo"]


def test_a_row_that_does_not_say_what_it_follows_is_where_the_chat_has_it(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("UPDATE chat_message SET parent_id = NULL")
    assert len(read(path, PLAIN)) == 5


def test_an_older_file_lacks_that_table_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "webui.db"
    with database(path) as db, database(Path(shutil.copy(WEBUI, tmp_path / "there.db"))) as there:
        db.execute(
            "CREATE TABLE chat (id VARCHAR(255), user_id VARCHAR(255), title TEXT, chat TEXT, created_at DATETIME)"
        )
        db.executemany(
            "INSERT INTO chat VALUES (?, ?, ?, ?, ?)",
            there.execute("SELECT id, user_id, title, chat, created_at FROM chat"),
        )
    assert [m.content for m in read(path, BRANCH)] == ["Pick a colour", "Blue"]
    assert [m.role for m in read(path, PLAIN)][:2] == ["system", "user"]


def test_without_a_current_message_the_newest_leaf_counts(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("UPDATE chat SET current_message_id = 'gone'")
    changed(path, BRANCH, lambda chat: chat["history"].update(currentId=None))
    assert [m.content for m in read(path, BRANCH)] == ["Pick a colour", "Blue"]


def test_a_current_message_in_the_middle_leads_on_to_the_last_that_follows(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("UPDATE chat SET current_message_id = substr(current_message_id, 1, 6) || '1'")
    assert [m.content for m in read(path, PLAIN)][-1] == "Tokyo."
    assert [m.content for m in read(path, BRANCH)] == ["Pick a colour", "Red"]
    with database(path) as db:
        db.execute("UPDATE chat SET current_message_id = 'bran-m0' WHERE id = ?", [BRANCH])
        db.execute("UPDATE chat_message SET parent_id = 'plai-m4' WHERE id LIKE '%plai-m1'")
    assert [m.content for m in read(path, BRANCH)] == ["Pick a colour", "Blue"]
    assert len(read(path, PLAIN)) == 5  # they go round


def test_a_title_that_only_the_chats_own_json_has_is_not_lost(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("UPDATE chat SET title = NULL WHERE id = ?", [PLAIN])
        db.execute("UPDATE chat SET title = 'another' WHERE id = ?", [BRANCH])

    async def main() -> None:
        async with opened(path) as store:
            found = await details(store)
            assert found[PLAIN].title == "plain"
            assert "title" not in found[PLAIN].extra["open_webui"]["chat"]
            assert found[BRANCH].title == "another"
            assert found[BRANCH].extra["open_webui"]["chat"]["title"] == "branch"

    run(main())


def test_a_chat_from_before_there_were_branches_is_a_list(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("DELETE FROM chat_message")
    changed(path, PLAIN, lambda chat: chat.pop("history"))
    changed(path, PLAIN, lambda chat: [m.pop("id") for m in chat["messages"]])
    assert [m.content for m in read(path, PLAIN)][1:] == [
        "Hello, what is the capital of France?", "Paris.", "And of Japan?", "Tokyo.",
    ]  # fmt: skip


def test_images_are_parts_and_other_files_are_kept(tmp_path: Path) -> None:
    path = copied(tmp_path)
    files = [
        {"type": "image", "url": "data:,x"},
        {"type": "file", "url": "u", "content_type": "image/png", "name": "n"},
        {"type": "file", "url": "v", "name": "a.pdf"},
        5,
    ]
    with database(path) as db:
        db.execute(
            "UPDATE chat_message SET files = ? WHERE id LIKE '%tool-m0'", [json.dumps(files)]
        )
    asked = read(path, TOOLS)[0]
    assert asked.parts == [
        {"type": "text", "text": "What's the weather in Zürich?"},
        {"type": "image_url", "image_url": {"url": "data:,x"}},
        {"type": "image_url", "image_url": {"url": "u"}},
    ]
    assert asked.extra["open_webui"]["files"] == files


@pytest.mark.parametrize("text", ["", "Let me see.\nIt is 21.", "It was edited."])
def test_an_answer_says_what_its_output_has(tmp_path: Path, text: str) -> None:
    path = copied(tmp_path)
    thought = {"type": "reasoning", "id": "r", "content": [{"type": "output_text", "text": "hm"}]}
    call = {"type": "function_call", "id": "fc", "call_id": "1", "name": "f", "arguments": "{}"}
    picture = {"type": "input_image", "image_url": "u"}
    result = {
        "type": "function_call_output", "id": "fco", "call_id": "1",
        "output": [{"type": "input_text", "text": "21"}, picture],
    }  # fmt: skip
    texts = [
        {"type": "message", "id": f"m{n}", "content": [{"type": "output_text", "text": text}]}
        for n, text in enumerate(["Let me see.", "It is 21.", "\n"])
    ]
    output = [thought, texts[0], call, result, texts[1], {"type": "open_webui:x"}, texts[2]]
    with database(path) as db:
        db.execute(
            "UPDATE chat_message SET content = ?, output = ? WHERE id LIKE '%tool-m1'",
            (json.dumps(text), json.dumps(output)),
        )
    _, asked, answer, last = read(path, TOOLS)
    content = asked.extra["open_webui"].get("content")
    assert content == ("It was edited." if text == "It was edited." else None)
    assert (asked.role, asked.content) == ("assistant", "Let me see.")
    assert asked.tool_calls == [{"id": "1", "name": "f", "arguments": {}}]
    assert asked.extra["open_webui"]["blocks"] == [
        thought, {"type": "message", "id": "m0"}, {"type": "function_call", "id": "fc"},
    ]  # fmt: skip
    assert (answer.role, answer.content, answer.tool_call_id) == ("tool", "21", "1")
    assert answer.extra["open_webui"]["blocks"][0]["output"][1] == picture
    assert (last.content, last.created_at) == ("It is 21.", asked.created_at)
    assert {m.extra["open_webui"]["id"] for m in (asked, answer, last)} == {"tool-m1"}


def test_an_output_that_says_nothing_leaves_the_text(tmp_path: Path) -> None:
    path = copied(tmp_path)
    output = [{"type": "reasoning", "id": "r", "content": []}]
    with database(path) as db:
        db.execute(
            "UPDATE chat_message SET output = ? WHERE id LIKE '%plai-m4'", [json.dumps(output)]
        )
    last = read(path, PLAIN)[-1]
    assert (last.content, last.extra["open_webui"]["output"]) == ("Tokyo.", output)


@pytest.mark.parametrize("other", [{"type": "file", "url": "v"}, 5])
def test_a_file_beside_an_image_is_kept_whatever_it_is(tmp_path: Path, other: Any) -> None:
    path = copied(tmp_path)
    files = json.dumps([{"type": "image", "url": "u"}, other])
    with database(path) as db:
        db.execute("UPDATE chat_message SET files = ? WHERE id LIKE '%tool-m0'", [files])
    asked = read(path, TOOLS)[0]
    assert [part["type"] for part in asked.parts] == ["text", "image_url"]
    assert asked.extra["open_webui"]["files"][1] == other


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE chat_message SET content = '{oops' WHERE id LIKE '%plai-m2'",
        "UPDATE chat_message SET content = '5' WHERE id LIKE '%plai-m2'",
        "UPDATE chat_message SET content = '[\"x\"]' WHERE id LIKE '%plai-m2'",
        "UPDATE chat_message SET role = x'00' WHERE id LIKE '%plai-m2'",
    ],
)
def test_a_message_that_cannot_be_read_stands_in_its_place(tmp_path: Path, change: str) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute(change)
    found = read(path, PLAIN)
    assert [type(each) for each in found] == [Message, Message, Unreadable, Message, Message]
    assert "plai-m2" in found[2].reason


def test_a_chat_of_which_there_are_messages_alone_is_not_there(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("DELETE FROM chat WHERE id = ?", [PLAIN])
    assert read(path, PLAIN) == []


def test_a_message_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("DELETE FROM chat_message")
    changed(path, PLAIN, lambda chat: chat["history"]["messages"].update({"plai-m3": [1]}))
    found = read(path, PLAIN)
    assert [type(each) for each in found] == [Message, Message, Message, Unreadable, Message]


@settings(max_examples=300, deadline=None)
@given(spoiled(rows_of(WEBUI, "open_webui")))
def test_whatever_stands_there_is_messages_or_unreadable(
    spoilt: tuple[str, Mapping[str, Sequence[Sequence[Any]]]],
) -> None:
    check(_unfold, *spoilt)


# --- what Open WebUI itself writes ----------------------------------------------------------

PACKAGES = (
    "aiohttp==3.14.5", "aiosqlite==0.22.1", "alembic==1.18.4", "authlib==1.7.2", "bcrypt==5.0.0",
    "beautifulsoup4==4.14.3", "cryptography==48.0.1", "fastapi==0.136.3", "httpx==0.28.1",
    "markdown==3.10.2", "orjson==3.11.9", "pillow==13.0.0", "pydantic==2.13.4",
    "python-dotenv==1.2.4", "python-mimeparse==2.0.0", "python-socketio==5.16.2", "redis==8.0.1",
    "requests==2.34.2", "sqlalchemy[asyncio]==2.0.50", "typer==0.29.2", "uvicorn==0.54.0",
)  # fmt: skip
"""What its models and migrations import, in the versions that it asks for; all that it asks for
is some gigabytes."""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[framework.Framework, Path]]:
    """Open WebUI, running, and the database that it made."""
    folder = tmp_path_factory.mktemp("open-webui")
    with framework.running(
        PACKAGES, "open_webui_program.py", alone=["open-webui==0.12.4"], DATA_DIR=str(folder)
    ) as webui:
        yield webui, folder / "webui.db"


def _as_it_says(found: Sequence[Message]) -> list[Any]:
    """What is read, as the program tells it."""
    keys = ("id", "model", "done", "usage", "files", "sources", "error", "statusHistory")
    told = []
    for _, group in itertools.groupby(found, lambda each: each.extra["open_webui"]["id"]):
        messages = [*group]
        own = messages[0].extra["open_webui"]
        parts = [part for each in messages for part in each.parts or ()]
        images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        if images:
            own = {"files": [{"type": "image", "url": url} for url in images], **own}
        told.append({
            **{key: own[key] for key in keys if key in own},
            "timestamp": messages[0].created_at.timestamp(),
            "said": [_said(each) for each in messages],
        })  # fmt: skip
    return told


def _said(message: Message) -> Any:
    calls = [[call["id"], call["name"], call["arguments"]] for call in message.tool_calls or ()]
    said: dict[str, Any] = {"role": message.role, "content": message.content, "calls": calls}
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    return said


@pytest.mark.real
def test_what_open_webui_writes_is_read_as_it_shows_it(
    real: tuple[framework.Framework, Path],
) -> None:
    webui, path = real
    webui.ask("write")
    expected = webui.ask("read")

    async def main() -> None:
        async with opened(path) as store:
            assert await store.strays() == []
            found = await details(store)
            assert found.keys() == expected.keys()
            for id_, chat in expected.items():
                told = await items(store, id_)
                if id_ == "plain":
                    system = told.pop(0)
                    assert (system.role, system.content) == ("system", "Be brief.")
                assert _as_it_says(told) == chat.pop("messages")
                about = found[id_].extra["open_webui"]
                times = [about["created_at"], about["updated_at"]]
                assert (found[id_].title, times) == (chat.pop("title"), chat.pop("times"))
                assert about.get("chat", {}).get("models") == chat.pop("models")
                assert {key: about.get(key) for key in chat} == chat
        async with opened(path, branches=True) as store:
            others = {id_ for id_ in await ids(store) if id_ not in expected}
            assert others == {f"branches#{leaf}" for leaf in ("red", "green", "seven")}
            assert await contents(store, "branches#green") == ["Pick a colour", "Green"]
            assert await contents(store, "branches#seven") == ["Pick a number", "7"]

    run(main())


@pytest.mark.real
def test_a_chat_that_open_webui_writes_meanwhile_is_read_as_it_was_then(
    real: tuple[framework.Framework, Path],
) -> None:
    webui, path = real
    turns = 40
    answer: list[int] = []
    thread = threading.Thread(
        target=lambda: answer.append(webui.ask("live", id_="live", turns=turns))
    )
    thread.start()
    lengths: list[int] = []
    while thread.is_alive():
        lengths.append(_words(read(path, "live")))
    thread.join()
    assert answer == [4 * turns]
    assert lengths == sorted(lengths)
    assert len({*lengths}) > 3
    assert _words(read(path, "live")) == 4 * turns


def _words(found: Sequence[Message]) -> int:
    """How many words the answers of a live chat have; all are whole but the last one."""
    asked, answers = found[::2], found[1::2]
    assert [m.content for m in asked] == [f"ask {n}" for n in range(len(asked))]
    words = [m.content.split() for m in answers]
    assert [{*said} for said in words[:-1]] == [{f"w{n}"} for n in range(len(words) - 1)]
    assert all(len(said) == 4 for said in words[:-1])
    return sum(map(len, words))
