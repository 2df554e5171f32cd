"""Qwen Code's sessions."""

from typing import Any

import pytest

from synmem.messages import Unreadable
from tests.layouts.foreign.folders import contents, files_of, lines, unfolded

ID = "38263002-cc8b-46cc-861f-3a3d6c21fa8b"
FILE = f"projects/-home-dev-demo/chats/{ID}.jsonl"


def line(id_: str, parent: str | None, kind: str, *parts: Any, **more: Any) -> dict[str, Any]:
    told = {"uuid": id_, "parentUuid": parent, "sessionId": ID, "type": kind, "cwd": "/x",
            "timestamp": "2026-11-28T19:15:00.177Z"}  # fmt: skip
    if parts:
        role = "model" if kind == "assistant" else "user"
        told["message"] = {
            "role": role,
            "parts": [{"text": p} if isinstance(p, str) else p for p in parts],
        }
    return told | more


def session(*said: Any) -> Any:
    return unfolded("qwen_code", {FILE: lines(*said)})[ID]


def test_system_lines_are_links_and_going_back_leaves_a_branch() -> None:
    found = session(
        line("1", None, "user", "a"),
        line("2", "1", "system", subtype="ui_telemetry"),
        line("3", "2", "assistant", "b"),
        line("4", "3", "user", "c"),
        line("5", "3", "user", "d"),
    )
    assert contents(found.messages) == ["a", "b", "d"]
    assert found.leaf == "5"
    assert {leaf: [m.content for m in said] for leaf, said in found.branches.items()} == {
        "4": ["a", "b", "c"]
    }
    assert found.extra == {"qwen_code": {"cwd": "/x"}}


def test_a_session_of_which_all_was_taken_back_is_what_was_said_last() -> None:
    found = session(
        line("1", None, "user", "a"),
        line("2", "1", "assistant", "b"),
        line("3", None, "system", subtype="ui_telemetry"),
    )
    assert (contents(found.messages), found.leaf) == (["a", "b"], "2")


def test_what_was_typed_is_the_text_and_what_was_sent_is_kept() -> None:
    typed = {"userText": "look @x", "status": "success"}
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    found = session(
        line("1", None, "system", subtype="at_command", systemPayload=typed),
        line("2", "1", "user", "look @x", "\n--- Content", image),
    )
    [message] = found.messages
    assert message.content == "look @x"
    assert {"text": "\n--- Content"} in message.extra["qwen_code"]["blocks"]
    assert [part["type"] for part in message.parts] == ["text", "image_url"]


def test_a_result_answers_its_call_and_is_told_once() -> None:
    call = {"functionCall": {"id": "c", "name": "f", "args": {"n": 1}}}
    result = {"functionResponse": {"id": "c", "name": "f", "response": {"output": "r"}}}
    found = session(
        line("1", None, "assistant", {"text": "hm", "thought": True}, "b", call),
        line("2", "1", "tool_result", result, toolCallResult={"callId": "c", "resultDisplay": "r"}),
    )
    asked, answered = found.messages
    assert asked.tool_calls == [{"id": "c", "name": "f", "arguments": {"n": 1}}]
    assert asked.extra["qwen_code"]["blocks"] == [{"text": "hm", "thought": True}]
    assert (answered.role, answered.content, answered.tool_call_id) == ("tool", "r", "c")
    assert answered.extra == {"qwen_code": {"uuid": "2"}}


def test_what_cannot_be_read_is_named_and_hides_nothing() -> None:
    data = lines(
        line("1", None, "user", "a"),
        b"{",
        b"",
        line("2", "1", "assistant", 3),
        line("3", "2", "user", "c") | {"type": []},
        line("4", "3", "user", "d"),
    )
    found = unfolded("qwen_code", {FILE: data + b'{"uuid": "torn'})[ID]
    assert contents(found.messages) == ["a", "!", "!", "!", "d"]
    assert [e.position for e in found.messages if isinstance(e, Unreadable)] == [
        f"{FILE}:2",
        f"{FILE}:4",
        f"{FILE}:5",
    ]


@pytest.mark.parametrize("less", ["projects/", "projects/-home-dev-demo/chats/"])
def test_a_folder_within_is_read_as_all_of_it_is(less: str) -> None:
    files = files_of("qwen-code")
    assert (
        unfolded("qwen_code", {n.removeprefix(less): d for n, d in files.items()}).keys()
        == unfolded("qwen_code", files).keys()
    )
