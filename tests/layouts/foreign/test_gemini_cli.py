"""Gemini CLI's sessions."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import contents, lines, unfolded

ID = "9e118ff6-01fc-4837-8292-59a418b2cfb7"
AT = datetime(2026, 11, 28, 19, 10, tzinfo=UTC)
META = {
    "sessionId": ID,
    "projectHash": "abc",
    "startTime": "2026-11-28T19:10:00.000Z",
    "kind": "main",
}
FILE = "tmp/demo/chats/session-2026-11-28T19-10-9e118ff6.jsonl"


def said(id_: str, kind: str, content: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "timestamp": "2026-11-28T19:10:00.000Z",
        "type": kind,
        "content": content,
        **more,
    }


def result(id_: str, text: str) -> dict[str, Any]:
    return {"functionResponse": {"id": id_, "name": "f", "response": {"output": text}}}


def session(*steps: Any, file: str = FILE, meta: Any = META) -> Any:
    return unfolded("gemini_cli", {file: lines(meta, *steps)})[ID]


def test_a_record_comes_again_in_its_place_when_its_calls_arrive() -> None:
    call = {
        "id": "c1",
        "name": "f",
        "args": {"n": 1},
        "status": "success",
        "result": [result("c1", "r")],
    }
    found = session(
        said("1", "user", [{"text": "a"}]),
        said("2", "gemini", "b"),
        said("3", "info", "noticed"),
        said("2", "gemini", "b", toolCalls=[call], tokens={"input": 1}),
        said("4", "user", [result("c1", "r")]),
        said("5", "gemini", "c"),
    )
    assert [*found.messages] == [
        Message("user", "a", created_at=AT, extra={"gemini_cli": {"id": "1"}}),
        Message(
            "assistant", "b", created_at=AT,
            tool_calls=[{"id": "c1", "name": "f", "arguments": {"n": 1}}],
            extra={"gemini_cli": {"id": "2", "tokens": {"input": 1}, "blocks": [{"status": "success"}]}},
        ),
        Message("tool", "r", created_at=AT, tool_call_id="c1", name="f", extra={"gemini_cli": {"id": "2"}}),
        Message("assistant", "c", created_at=AT, extra={"gemini_cli": {"id": "5"}}),
    ]  # fmt: skip


def test_resuming_writes_two_records_of_one_id_and_calls_as_parts() -> None:
    call = {"functionCall": {"id": "c1", "name": "f", "args": {}}}
    found = session(
        said("1", "user", "old"),
        {"$set": {"messages": [
            said("0", "user", [{"text": "<session_context>much</session_context>"}]),
            said("1", "user", [{"text": "a"}]),
            said("2", "gemini", [{"text": "hm", "thought": True}, {"text": "b"}, call]),
            said("2", "user", [result("c1", "r"), result("c1", "r")]),
        ], "lastUpdated": "x"}},
        META,
        said("3", "gemini", "c"),
    )  # fmt: skip
    assert [(each.role, each.content) for each in found.messages] == [
        ("user", "a"), ("assistant", "b"), ("tool", "r"), ("assistant", "c"),
    ]  # fmt: skip
    assert found.branches == {}


def test_what_was_rewound_is_another_branch() -> None:
    turns = [said(str(n), ("user", "gemini")[n % 2], str(n)) for n in range(4)]
    found = session(*turns, {"$rewindTo": "gone"}, said("5", "user", "anew"))
    assert contents(found.messages) == ["anew"]
    found = session(*turns, {"$rewindTo": "2"}, said("5", "user", "anew"))
    assert contents(found.messages) == ["0", "1", "anew"]
    assert found.leaf == "5"
    assert {leaf: [m.content for m in branch] for leaf, branch in found.branches.items()} == {
        "3": ["0", "1", "2", "3"]
    }
    again = session(*turns, {"$rewindTo": "2"}, said("2", "user", "2 again"))
    assert contents(again.messages) == ["0", "1", "2 again"]


def test_a_session_of_which_all_was_taken_back_is_its_newest_branch() -> None:
    turns = [said("1", "user", "a"), said("2", "gemini", "b")]
    found = session(*turns, {"$rewindTo": "1"}, said("3", "user", "c"), {"$rewindTo": "3"})
    assert (contents(found.messages), found.leaf) == (["c"], "3")
    assert {leaf: [m.content for m in branch] for leaf, branch in found.branches.items()} == {
        "2": ["a", "b"]
    }


def test_what_was_typed_is_the_text_and_what_it_names_is_beside_it() -> None:
    image = {"inlineData": {"data": "AA==", "mimeType": "image/png"}}
    sent = [{"text": "look @x.png"}, {"text": "\n--- Content"}, image]
    [message] = session(said("1", "user", sent, displayContent=[{"text": "look @x.png"}])).messages
    assert message.content == "look @x.png"
    assert [part["type"] for part in message.parts] == ["text", "image_url"]
    assert {"text": "\n--- Content"} in message.extra["gemini_cli"]["blocks"]


def test_of_several_files_of_a_session_the_one_with_most_is_read() -> None:
    full = lines(META, said("1", "user", "a"), said("2", "gemini", "b"))
    stub = lines(META, {"$set": {"messages": [said("0", "user", "<session_context>x")]}})
    other = "tmp/demo/chats/session-2026-11-28T19-11-9e118ff6.jsonl"
    for files in ({FILE: full, other: stub}, {FILE: stub, other: full}):
        assert contents(unfolded("gemini_cli", files)[ID].messages) == ["a", "b"]
    older = {**META, "messages": [said("1", "user", "a")], "summary": "Old"}
    found = unfolded("gemini_cli", {FILE.replace(".jsonl", ".json"): older, FILE: full})
    assert [*found] == [ID]
    assert contents(found[ID].messages) == ["a", "b"]


def test_of_several_files_of_a_session_one_that_is_cut_off_hides_no_other() -> None:
    cut, older = b'{"sessionId": "x", "projectHash": "y", "messages": [', FILE[:-1]
    found = unfolded("gemini_cli", {older: cut, FILE: lines(META, said("1", "user", "a"))})[ID]
    assert contents(found.messages) == ["a", "!"]
    assert found.messages[-1].reason.startswith(f"{older}: ")  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="Expecting value"):
        unfolded("gemini_cli", {older: cut, FILE.replace("19-10-", "19-11-")[:-1]: cut})


def test_a_sub_agent_names_who_asked() -> None:
    meta = {**META, "kind": "subagent"}
    found = session(said("1", "user", "a"), file=f"tmp/demo/chats/parent-1/{ID}.jsonl", meta=meta)
    assert found.extra["gemini_cli"]["parent"] == "parent-1"


def test_the_older_form_is_one_object_with_a_summary() -> None:
    files = {
        FILE.replace("jsonl", "json"): {
            **META,
            "messages": [said("1", "user", "a")],
            "summary": "T",
        }
    }
    found = unfolded("gemini_cli", files)[ID]
    assert (found.title, contents(found.messages)) == ("T", ["a"])


def test_a_record_that_is_none_hides_no_other_of_a_list() -> None:
    both = [said("1", "user", "a"), 3, said("2", "gemini", "b")]
    assert contents(session({"$set": {"messages": both}}).messages) == ["a", "!", "b"]
    old = unfolded("gemini_cli", {FILE.replace("jsonl", "json"): {**META, "messages": both}})[ID]
    assert contents(old.messages) == ["a", "!", "b"]


def test_what_cannot_be_read_is_named_in_its_place() -> None:
    data = lines(
        META, said("1", "user", "a"), b'{"id": ', said("2", "gemini", 3), said("3", "gemini", "c")
    )
    found = unfolded("gemini_cli", {FILE: data + b'{"id": "torn'})[ID]
    assert contents(found.messages) == ["a", "!", "!", "c"]
    assert [each.position for each in found.messages if isinstance(each, Unreadable)] == [
        f"{FILE}:3",
        "2",
    ]


@pytest.mark.parametrize("name", ["logs.json", "checkpoint-x.json", "projects.json"])
def test_what_lies_beside_sessions_is_none(name: str) -> None:
    assert unfolded("gemini_cli", {f"tmp/demo/{name}": json.dumps(META)}) == {}
