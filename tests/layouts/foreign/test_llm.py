"""llm's logs: both generations of them, older files that lack tables, and what cannot be read."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.foreign.llm import _unfold
from synmem.messages import Conversation, Message, Unreadable
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

NEW = FIXTURES / "llm-logs-new" / "logs.db"
LEGACY = FIXTURES / "llm-logs-legacy" / "logs.db"
MIXED = FIXTURES / "llm-logs-mixed" / "logs.db"


class TestThreads(WholeReading):
    """A message is a part whose text stands in its payload, as text with fragments in it does:
    SQLite has no lone surrogates, and JSON has."""

    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, NEW)
        for part in [*parts, Part(Conversation("nothing"), [])]:
            self._thread(db, part)

    def _thread(self, db: sqlite3.Connection, part: Part) -> None:
        id_, tip = part.conversation.id, None
        for n, message in enumerate(part.messages):
            parent, tip = tip, f"{id_} {n}"
            db.execute("INSERT INTO messages VALUES (?, ?, ?, NULL)", (tip, parent, _role(message)))
            payload = json.dumps({"text_ref": [{"literal": message.content}]})
            db.execute(
                "INSERT INTO parts (message_hash, position, type, payload) VALUES (?, 0, 'text', ?)",
                (tip, payload),
            )
        db.execute("INSERT INTO threads VALUES (?, NULL, ?, NULL, NULL)", (id_, tip))

    def spoil(self, db: sqlite3.Connection) -> None:
        db.execute("UPDATE parts SET payload = '{' WHERE message_hash = 'a 1'")

    def held(self, index: int, message: Message) -> Message:
        return Message(_role(message), message.content, extra={"llm": {"hash": f"a {index}"}})


def _role(message: Message) -> str:
    return message.role.encode("utf-8", "replace").decode()


# --- threads --------------------------------------------------------------------------------


def copied(fixture: Path, tmp_path: Path) -> Path:
    """A fixture that may be changed."""
    return Path(shutil.copy(fixture, tmp_path / "logs.db"))


def test_a_turn_tells_the_time_of_its_messages_and_its_answer_all_else(tmp_path: Path) -> None:
    path = copied(NEW, tmp_path)
    with database(path) as db:
        db.execute("INSERT INTO schemas VALUES ('s', '{\"type\": \"object\"}')")
        db.execute(
            "UPDATE turns SET options_json = '{\"t\": 0.5}', schema_id = 's', response_json = '[1]'"
        )
    system, first, one, second, two = read(path, "plain")
    assert system.created_at == first.created_at == one.created_at
    assert second.created_at == two.created_at > one.created_at
    assert first.extra == {"llm": {"hash": "b2:7c7ce7a8c8678064f7ee9604e0aa19a0"}}
    assert two.extra["llm"]["turn"] == {
        "id": "01m7yezx6tsb0195v683y4gb5q", "model": "scripted", "options": {"t": 0.5},
        "input_tokens": 3, "output_tokens": 5, "duration_ms": 0, "response_json": [1],
        "schema": {"type": "object"},
    }  # fmt: skip


def test_what_a_fork_has_from_elsewhere_has_no_time_of_its_own_turn(tmp_path: Path) -> None:
    path = copied(NEW, tmp_path)
    with database(path) as db:
        tip = "b2:1ff4506ba0342f2c26376d6e9d6c600a"
        asked = db.execute("SELECT parent_hash FROM messages WHERE hash = ?", [tip]).fetchone()[0]
        db.execute(
            "INSERT INTO turns (id, thread_id, parent_message_hash, tip_message_hash, datetime_utc) "
            "VALUES ('t', 'forked', ?, ?, '2026-11-22T00:00:00+00:00')",
            (asked, tip),
        )
    times = [message.created_at for message in read(path, "forked")]
    assert times[:3] == [None] * 3
    assert times[3] == times[4] is not None


def test_every_kind_of_part_is_kept(tmp_path: Path) -> None:
    path = copied(NEW, tmp_path)
    parts = [
        ("reasoning", "because", None),
        ("text", "one", {"provider_metadata": {"k": 1}}),
        ("tool_call", None, {"name": "f", "arguments": {"x": 1}, "tool_call_id": "c1", "server_executed": True}),
        ("tool_result", None, {"name": "f", "output": "r1", "tool_call_id": "c1", "exception": "E"}),
        ("tool_result", None, {"name": "f", "output": "r2", "tool_call_id": "c2"}),
        ("text", "two", None),
        ("text", "three", None),
        ("attachment", None, {"attachment": {"id": "gone"}}),
    ]  # fmt: skip
    with database(path) as db:
        tip = db.execute("SELECT tip_message_hash FROM threads WHERE id = 'tricky'").fetchone()[0]
        db.execute("DELETE FROM parts WHERE message_hash = ?", [tip])
        for n, (kind, said, payload) in enumerate(parts):
            db.execute(
                "INSERT INTO parts (message_hash, position, type, text, payload) "
                "VALUES (?, ?, ?, ?, ?)",
                (tip, n, kind, said, payload and json.dumps(payload)),
            )
    _, first, one, two, last = read(path, "tricky")
    assert (first.role, first.content) == ("assistant", "one")
    assert first.tool_calls == [{"id": "c1", "name": "f", "arguments": {"x": 1}}]
    assert first.extra["llm"]["reasoning"] == "because"
    assert [part["type"] for part in first.extra["llm"]["parts"]] == ["text", "tool_call"]
    assert [(m.role, m.content, m.tool_call_id, m.name) for m in (one, two)] == [
        ("tool", "r1", "c1", "f"), ("tool", "r2", "c2", "f"),
    ]  # fmt: skip
    assert one.extra["llm"]["parts"][0]["exception"] == "E"
    assert (last.role, last.content) == ("assistant", "two\nthree")
    assert last.parts == [{"type": "text", "text": text} for text in ("two", "three")]
    assert last.extra["llm"]["attachments"] == [{"sha256": "gone"}]
    assert "turn" in last.extra["llm"]
    assert "turn" not in first.extra["llm"]


def test_texts_and_files_stand_in_their_order(tmp_path: Path) -> None:
    path = copied(NEW, tmp_path)
    with database(path) as db:
        db.execute(
            "INSERT INTO parts (message_hash, position, type, text) SELECT message_hash, 2, 'text', "
            "'last' FROM parts WHERE type = 'attachment'"
        )
    user, _ = read(path, "multipart")
    assert [part["type"] for part in user.parts] == ["text", "image_url", "text"]
    assert user.content == f"{user.parts[0]['text']}\nlast"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("UPDATE messages SET parent_hash = 'gone' WHERE parent_hash LIKE 'b2:04%'", 0),
        ("UPDATE messages SET parent_hash = (SELECT tip_message_hash FROM threads WHERE id = 'plain') "
         "WHERE role = 'system'", 0),
        ("UPDATE parts SET payload = '[1]' WHERE text = 'Paris.'", 2),
        ("UPDATE parts SET text = x'00' WHERE text = 'Paris.'", 2),
        ("UPDATE messages SET role = 5.5 WHERE hash LIKE 'b2:04%'", 2),
        ("UPDATE messages SET role = x'00' WHERE hash LIKE 'b2:04%'", 2),
    ],
)  # fmt: skip
def test_what_cannot_be_read_stands_in_its_place(tmp_path: Path, change: str, where: int) -> None:
    path = copied(NEW, tmp_path)
    with database(path) as db:
        db.execute(change)
    found = read(path, "plain")
    unreadable = [n for n, each in enumerate(found) if isinstance(each, Unreadable)]
    if "role = 5.5" in change:
        assert found[2].role == "5.5"  # a column of text makes text of it
    else:
        assert unreadable == [where]
    assert found[-1].content == "Tokyo."


def test_a_fragment_that_is_gone_is_said(tmp_path: Path) -> None:
    path = copied(NEW, tmp_path)
    with database(path) as db:
        db.execute("DELETE FROM fragments WHERE id = 1")
    _, asked, answer = read(path, "fragments")
    assert "fragment 1 is not there" in asked.reason
    assert answer.content == "ok"


# --- prompts and answers --------------------------------------------------------------------


def test_an_older_file_lacks_tables_and_columns(tmp_path: Path) -> None:
    """As llm 0.13 made it."""
    path = tmp_path / "logs.db"
    with database(path) as db:
        db.execute("CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT)")
        db.execute(
            "CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, "
            "prompt_json TEXT, options_json TEXT, response TEXT, response_json TEXT, "
            "conversation_id TEXT REFERENCES conversations (id), duration_ms INTEGER, "
            "datetime_utc TEXT)"
        )
        db.execute("INSERT INTO conversations VALUES ('a', 'Hi', 'm')")
        db.execute(
            "INSERT INTO responses VALUES ('1', 'm', 'Hi', 's', '{\"p\": 1}', '{}', 'Hello', "
            "'{oops', 'a', 5, '2024-01-01T00:00:00')"
        )

    async def main() -> None:
        async with opened(path) as store:
            (info,) = (await details(store)).values()
            assert info.extra == {"llm": {"name": "Hi", "model": "m"}}
            assert store.remark() == "layout llm (older), table responses"
            system, user, answer = await items(store, "a")
            assert (system.role, user.content, answer.content) == ("system", "Hi", "Hello")
            assert answer.created_at.isoformat() == "2024-01-01T00:00:00+00:00"
            assert answer.extra["llm"] == {
                "response": "1", "model": "m", "options": {}, "duration_ms": 5,
                "prompt_json": {"p": 1}, "response_json": "{oops",
            }  # fmt: skip

    run(main())


def test_a_system_prompt_is_shown_when_it_changes(tmp_path: Path) -> None:
    path = copied(LEGACY, tmp_path)
    with database(path) as db:
        db.execute("UPDATE responses SET system = 'another' WHERE prompt = 'And of Japan?'")
        db.execute(
            "INSERT INTO responses (id, conversation_id, prompt, system, response) "
            "VALUES ('zz', 'plain', 'x', 'another', 'y')"
        )
    assert [m.content for m in read(path, "plain") if m.role == "system"] == [
        "You are a terse assistant.", "another",
    ]  # fmt: skip


def test_what_a_tool_gave_keeps_its_error_and_its_files(tmp_path: Path) -> None:
    path = copied(LEGACY, tmp_path)
    with database(path) as db:
        db.execute("UPDATE tool_results SET exception = 'E: x', output = NULL")
        db.execute("INSERT INTO tool_results_attachments SELECT 1, id, 0 FROM attachments")
        db.execute("UPDATE tool_calls SET arguments = '{oops'")
    _, call, result, _ = read(path, "tools")
    assert call.tool_calls[0]["arguments"] == "{oops"
    assert (result.content, result.extra["llm"]["exception"]) == ("", "E: x")
    assert result.parts[0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert result.extra["llm"]["attachments"][0]["type"] == "image/png"


def test_files_that_lie_elsewhere_are_named(tmp_path: Path) -> None:
    path = copied(LEGACY, tmp_path)
    with database(path) as db:
        db.execute("UPDATE attachments SET content = NULL, url = 'https://example.com/a.png'")
    user, _ = read(path, "multipart")
    assert user.parts[1] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with database(path) as db:
        db.execute("UPDATE attachments SET type = NULL, url = NULL, path = '/a.pdf'")
    user, _ = read(path, "multipart")
    assert user.parts[1]["file"] == {
        "file_data": "/a.pdf", "media_type": "application/octet-stream",
    }  # fmt: skip


def test_a_file_that_lies_nowhere_hides_no_text(tmp_path: Path) -> None:
    for fixture in (LEGACY, NEW):
        path = copied(fixture, tmp_path)
        with database(path) as db:
            db.execute("UPDATE attachments SET content = NULL")
        user, _ = read(path, "multipart")
        assert user.content.startswith("What is in this picture?")
        assert user.extra["llm"]["attachments"][0]["type"] == "image/png"


def test_a_thread_ends_at_its_newest_message() -> None:
    with database(NEW) as db:
        tips = db.execute("SELECT id, tip_message_hash FROM threads WHERE id = 'tricky'").fetchall()
    ((id_, tip),) = tips
    assert _unfold(id_, rows_of(NEW, "llm")[id_]).leaf == tip


def test_a_thread_that_says_nothing_yet_hides_nothing(tmp_path: Path) -> None:
    path = copied(MIXED, tmp_path)
    with database(path) as db:
        db.execute("UPDATE threads SET tip_message_hash = NULL WHERE id = 'plain'")
    assert [m.content for m in read(path, "plain")][-1] == "Tokyo."
    assert read(path, "brand-new")


def test_a_response_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    path = copied(LEGACY, tmp_path)
    with database(path) as db:
        db.execute("UPDATE responses SET prompt = x'00' WHERE response = 'Paris.'")
        db.execute("INSERT INTO responses (id, prompt, response) VALUES ('none', 'x', 'y')")

    async def main() -> None:
        async with opened(path) as store:
            first, *rest = await items(store, "plain")
            assert "response 01m7yezxhr92dxpakeg34jqn01" in first.reason
            assert [m.content for m in rest] == [
                "You are a terse assistant.", "And of Japan?", "Tokyo.",
            ]  # fmt: skip
            assert len(await ids(store)) == 7
            assert [stray.reason for stray in await store.strays()] == [
                "the id of a conversation is NULL"
            ]

    run(main())


def test_of_a_conversation_that_both_have_the_thread_wins(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(copied(MIXED, tmp_path)) as store:
            assert store.remark() == "layout llm (newer), table threads"
            assert len(await ids(store)) == 8
            assert (await contents(store, "plain"))[-1] == "Oslo."
            assert (await contents(store, "tricky"))[0].startswith("line1")

    run(main())


# --- what llm itself writes -----------------------------------------------------------------


def _as_llm_says(found: list[Message]) -> list[Any]:
    """What is read, as the program tells it."""
    return [
        {
            "role": each.role,
            "text": each.content,
            "calls": [[call["name"], call["arguments"]] for call in each.tool_calls or ()],
            "images": sum(part["type"] == "image_url" for part in each.parts or ()),
        }
        for each in found
    ]


OLDER = ("llm==0.27.1", "httpx")
NEWER = ("llm==0.36",)


@pytest.mark.real
@pytest.mark.parametrize("packages", [OLDER, NEWER])
def test_what_llm_writes_is_read_as_llm_reads_it(tmp_path: Path, packages: Sequence[str]) -> None:
    path = tmp_path / "logs.db"
    with framework.running(packages, "llm_logs_program.py") as llm:
        written = llm.ask("write", path=str(path))
        for conversation in written:
            expected = llm.ask("read", path=str(path), conversation=conversation)
            assert expected
            assert _as_llm_says(read(path, conversation)) == expected

    async def main() -> None:
        async with opened(path) as store:
            assert await ids(store) == sorted(written)

    run(main())


@pytest.mark.real
def test_a_file_that_the_newer_llm_goes_on_with_is_read_as_it_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    with framework.running(OLDER, "llm_logs_program.py") as older:
        (first, *_) = older.ask("write", path=str(path))
    with framework.running(NEWER, "llm_logs_program.py") as newer:
        newer.ask("go_on", path=str(path), conversation=first)
        expected = newer.ask("read", path=str(path), conversation=first)
    assert _as_llm_says(read(path, first)) == expected
    assert [m.content for m in read(path, first)][-2:] == ["And then?", "answer to And then?"]


MORE = {
    NEW: "INSERT INTO threads SELECT id || ?, '', tip_message_hash, NULL, ? FROM threads "
    "WHERE id = 'plain'",
    LEGACY: "INSERT INTO responses (id, conversation_id, prompt, response) "
    "SELECT id || ?, conversation_id || ?, prompt, response FROM responses "
    "WHERE conversation_id = 'plain'",
}
"""Another conversation like one that is there."""


@pytest.mark.real
@pytest.mark.parametrize(("packages", "fixture"), [(OLDER, LEGACY), (NEWER, NEW)])
def test_a_live_llm_that_waits_for_a_second_never_fails_beside_a_reader(
    tmp_path: Path, packages: Sequence[str], fixture: Path
) -> None:
    path = copied(fixture, tmp_path)
    with database(path) as db:
        db.executemany(MORE[fixture], [(n, n) for n in range(500)])
    answer: dict[str, Any] = {}
    with framework.running(packages, "llm_logs_program.py") as llm:
        thread = threading.Thread(
            target=lambda: answer.update(llm.ask("live", path=str(path), seconds=6))
        )
        thread.start()
        count = 0
        while thread.is_alive():
            count += run(_read_all(path))
        thread.join()
    assert answer["errors"] == []
    assert answer["count"] > 5
    assert count > 1000


async def _read_all(path: Path) -> int:
    async with opened(path, page_size=1000) as store:
        names = [info.id async for page in store.conversations() for info in page]
        return sum([len(page.items) async for page in store.read(names)])


# --- whatever stands there ------------------------------------------------------------------

THERE = [rows_of(path, "llm") for path in (NEW, LEGACY, MIXED)]


@settings(max_examples=300, deadline=None)
@given(some.sampled_from(THERE).flatmap(spoiled))
def test_whatever_stands_there_is_messages_or_unreadable(
    spoilt: tuple[str, Mapping[str, Sequence[Sequence[Any]]]],
) -> None:
    check(_unfold, *spoilt)
