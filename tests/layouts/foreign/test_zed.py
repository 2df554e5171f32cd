"""Zed's threads: both forms of messages, calls and their results, rows that are packed."""

import json
import shutil
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from synmem.layouts.foreign.zed import unfold
from synmem.messages import Message, Unreadable
from synmem.store import Part
from tests.backends.sqlite.test_store import opened
from tests.conformance import details, run
from tests.layouts.foreign.odd import JSON, document, is_well_told
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
from tests.layouts.packed import packed

ZED = FIXTURES / "zed-threads" / "threads.db"


def told(*messages: Any, kind: str = "json", **thread: Any) -> Any:
    data: Any = json.dumps({"messages": [*messages], **thread})
    return unfold("t", {"threads": [["A title", kind, data, None, None, None, None, None]]})


def user(*content: Any, **more: Any) -> dict[str, Any]:
    return {"User": {"id": "u", "content": [*content], **more}}


def agent(*content: Any, **results: Any) -> dict[str, Any]:
    return {"Agent": {"content": [*content], "tool_results": results}}


def use(**call: Any) -> dict[str, Any]:
    return {"ToolUse": {"id": "c", "name": "f", **call}}


def contents(found: Any) -> list[tuple[str, str]]:
    return [(each.role, each.content) for each in found.messages]


# --- version 0.3 ----------------------------------------------------------------------------


def test_an_answer_and_its_results_are_messages_and_keep_what_they_have() -> None:
    thought = {"Thinking": {"text": "hm", "signature": "s"}}
    mention = {"Mention": {"uri": {"File": {"abs_path": "/a"}}, "content": "print(1)"}}
    found = told(
        user({"Text": "Hi"}, mention),
        agent(
            thought, {"Text": "Let me see."}, use(raw_input='{"a": 1}', input={"a": 1}),
            {"Text": "It is 21."},
            c={"tool_use_id": "c", "tool_name": "f", "is_error": False, "content": {"Text": "21"}},
        ),
        "Resume",
        {"Compaction": {}},
        version="0.3.0",
    )  # fmt: skip
    assert found.title == "A title"
    assert found.extra == {"zed": {"version": "0.3.0"}}
    assert found.messages == [
        Message("user", "Hi", extra={"zed": {"id": "u", "blocks": [mention]}}),
        Message(
            "assistant", "Let me see.",
            tool_calls=[{"id": "c", "name": "f", "arguments": {"a": 1}}],
            extra={"zed": {"blocks": [thought]}},
        ),
        Message(
            "tool", "21", tool_call_id="c", name="f",
            extra={"zed": {"blocks": [{"result": {"is_error": False}}]}},
        ),
        Message("assistant", "It is 21."),
    ]  # fmt: skip


IMAGE = {"Image": {"source": "AA==", "size": None}}


@pytest.mark.parametrize(
    ("content", "text", "kept"),
    [
        ([{"Text": "a"}, {"Text": "b"}], "a\nb", None),
        ([{"Text": "a"}, IMAGE], "a", [{"Text": "a"}, IMAGE]),
        ("as text", "as text", None),
        ({"type": "text", "text": "x"}, "x", None),
        ([], "", None),
        (None, "", None),
        (IMAGE, "", IMAGE),
    ],
)
def test_a_result_is_told_whatever_form_it_has(content: Any, text: str, kept: Any) -> None:
    *_, found = told(agent(use(input={}), c={"tool_name": "f", "content": content})).messages
    assert (found.role, found.content, found.tool_call_id, found.name) == ("tool", text, "c", "f")
    blocks = (found.extra or {"zed": {"blocks": [{"result": {}}]}})["zed"]["blocks"]
    assert blocks[0]["result"].get("content") == kept


def test_what_the_model_wrote_is_kept_where_it_says_something_else() -> None:
    (found,) = told(agent(use(raw_input='{"a": ', input={"a": 1}))).messages
    assert found.tool_calls == [{"id": "c", "name": "f", "arguments": {"a": 1}}]
    assert found.extra == {"zed": {"blocks": [{"ToolUse": {"raw_input": '{"a": '}}]}}


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ({"source": "AA==", "size": None}, "data:image/png;base64,AA=="),
        ({"source": "data:image/webp;base64,AA=="}, "data:image/webp;base64,AA=="),
        ({"size": 1}, None),
    ],
)
def test_an_image_is_a_part(image: Any, url: str | None) -> None:
    (found,) = told(user({"Text": "x"}, {"Image": image})).messages
    images = [part["image_url"]["url"] for part in found.parts or () if "image_url" in part]
    assert images == ([] if url is None else [url])


def test_an_answer_without_text_is_a_message_and_a_question_only_where_something_is_sent() -> None:
    found = told(user({"Mention": {"content": "x"}}), agent(), user("Odd", {"New": 1}), user())
    assert contents(found) == [("user", ""), ("assistant", ""), ("user", "")]
    assert found.messages[2].extra["zed"]["blocks"] == [{"type": "Odd"}, {"New": 1}]


def test_what_cannot_be_read_is_named_and_hides_no_other() -> None:
    found = told(
        user({"Text": "one"}), user({"Text": 5}), 5, {"User": "x"}, {"Agent": {"content": "x"}},
        agent({"ToolUse": 5}), agent(c=5), {"role": 5}, user(5), user({"Text": "two"}),
    ).messages  # fmt: skip
    assert [type(each) is Message for each in found] == [True, *[False] * 8, True]
    assert found[1] == Unreadable("1", "message 1: its text is no text")


# --- before that ----------------------------------------------------------------------------


def test_messages_of_earlier_versions_are_told_too() -> None:
    found = told(
        {"id": 0, "role": "user", "segments": [{"type": "text", "text": "Hi"}], "context": "<ctx>", "creases": []},
        {
            "id": 1, "role": "assistant",
            "segments": [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "Let me see."}],
            "tool_uses": [{"id": "c", "name": "f", "input": {"a": 1}}],
            "tool_results": [{"tool_use_id": "c", "is_error": False, "content": "21"}],
        },
        {"id": 2, "role": "user", "segments": [{"type": "text", "text": ""}], "tool_results": [
            {"tool_use_id": "d", "content": "22"},
        ]},
        {"id": 3, "role": "assistant", "text": "It is 21."},
        {"id": 4, "role": "system", "segments": [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "s"}]},
        {"id": 5, "role": "user", "segments": [{"type": "new"}]},
        summary="Another title",
    )  # fmt: skip
    assert contents(found) == [
        ("user", "Hi"), ("assistant", "Let me see."), ("tool", "21"), ("tool", "22"),
        ("assistant", "It is 21."), ("system", "s"), ("user", ""),
    ]  # fmt: skip
    assert found.messages[0].extra == {"zed": {"id": 0, "context": "<ctx>"}}
    assert found.messages[1].tool_calls == [{"id": "c", "name": "f", "arguments": {"a": 1}}]
    assert found.messages[3].tool_call_id == "d"


# --- rows -----------------------------------------------------------------------------------


def add(db: sqlite3.Connection, id_: str, kind: Any, data: Any) -> None:
    db.execute(
        "INSERT INTO threads (id, summary, updated_at, data_type, data) VALUES (?, 'T', 'now', ?, ?)",
        (id_, kind, data),
    )


def test_a_thread_that_cannot_be_read_is_named_and_hides_no_other(tmp_path: Path) -> None:
    path = Path(shutil.copy(ZED, tmp_path / "threads.db"))
    good = json.dumps({"messages": [user({"Text": "Hi"})]}).encode()
    with database(path) as db:
        for id_, kind, data in (
            ("text", "json", good.decode()), ("bytes", "json", good), ("packed", "zstd", packed(good)),
            ("torn", "zstd", packed(good)[:-3]), ("no frame", "zstd", good), ("no bytes", "zstd", "x"),
            ("no JSON", "json", "{oops"), ("not utf-8", "json", b"\xff"), ("list", "json", "[]"),
            ("no messages", "json", "{}"), ("unknown", "brotli", good), ("5", "json", 5), (None, "json", good),
        ):  # fmt: skip
            add(db, id_, kind, data)
    for id_ in ("text", "bytes", "packed"):
        (message,) = read(path, id_)
        assert message.content == "Hi"
    reasons = {}
    for id_ in ("torn", "no frame", "no bytes", "no JSON", "not utf-8", "list", "no messages", "unknown", "5"):  # fmt: skip
        (odd,) = read(path, id_)
        reasons[id_] = odd.reason.removeprefix(f"thread {id_}: ")
    assert reasons["torn"] == "its zstd frame is cut short"
    assert reasons["no frame"].startswith("it is no zstd frame, or damaged")
    assert reasons["no messages"] == "its messages are no list"
    assert reasons["unknown"] == "its data_type is 'brotli'"
    assert reasons["list"] == "its data is no object"

    async def main() -> None:
        async with opened(path) as store:
            listed = await details(store)
            assert len(listed) == 7 + 12
            assert listed["torn"].title == "T"
            assert [each.reason for each in await store.strays()] == [
                "the id of a conversation is NULL"
            ]

    run(main())


def test_without_what_unpacks_them_packed_threads_say_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("backports", "backports.zstd", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    (odd,) = read(ZED, "e7bcf64c-c105-4106-8e2d-230104ee5602")
    assert "pip install 'synmem-cli[zstd]'" in odd.reason
    assert len(read(ZED, "dbd64931-4241-4e9b-a187-f9a447319767")) == 4


def test_an_older_file_has_fewer_columns(tmp_path: Path) -> None:
    path = tmp_path / "threads.db"
    with database(path) as db:
        db.execute("CREATE TABLE threads (id TEXT, summary TEXT, updated_at TEXT, data_type TEXT, data BLOB)")  # fmt: skip
        add(db, "a", "json", json.dumps({"messages": [user({"Text": "Hi"})], "summary": "x"}))
    (message,) = read(path, "a")
    assert message.content == "Hi"


class TestZed(WholeReading):
    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        made_as(db, ZED)
        for number, part in enumerate(parts):
            messages = [
                {"id": n, "role": m.role, "text": m.content} for n, m in enumerate(part.messages)
            ]
            data = json.dumps({"messages": messages}).encode()
            kinds = (("zstd", packed(data)), ("json", data))
            add(db, part.conversation.id, *kinds[number % 2])

    def spoil(self, db: sqlite3.Connection) -> None:
        messages = [
            {"id": n, "role": "user", "text": 5 if n == 1 else f"message {n}"} for n in range(3)
        ]
        db.execute("UPDATE threads SET data_type = 'json', data = ? WHERE id = 'a'", [json.dumps({"messages": messages})])  # fmt: skip

    def held(self, index: int, message: Message) -> Message:
        return Message(message.role, message.content, extra={"zed": {"id": index}})


@settings(max_examples=200, deadline=None)
@given(spoiled(rows_of(ZED, "zed")))
def test_whatever_stands_there_is_messages_or_unreadable(found: Any) -> None:
    check(unfold, *found)


@given(
    document("messages", "title", "summary", "updated_at"),
    document("content", "tool_results", "id", "role", "segments", "text", "tool_uses"),
    document("Text", "Image", "ToolUse", "Mention", "type", "id", "source", "content", "text"),
    JSON,
)
def test_anything_at_all_is_told_or_named(thread: Any, message: Any, part: Any, other: Any) -> None:
    for content in ([part], [{"ToolUse": part}], [{"Image": part}], other):
        one = {**message, "content": content, "tool_results": {"a": part}}
        earlier = {"role": "user", "segments": [part], "tool_uses": content, "tool_results": [part]}
        for messages in ([{"User": one}, {"Agent": one}, message, other, earlier], other):
            data = json.dumps({**thread, "messages": messages})
            found = {"threads": [["T", "json", data, None, None, None, None, None]]}
            assert is_well_told(lambda found=found: unfold("t", found))  # type: ignore[misc]
