"""Chatbox's export."""

from datetime import UTC, datetime
from typing import Any

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import contents, unfolded

AT = datetime.fromtimestamp(1_790_000_000, UTC)


def said(id_: str, role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    parts = tuple(
        {"type": "text", "text": each} if isinstance(each, str) else each for each in parts
    )
    return {
        "id": id_,
        "role": role,
        "contentParts": [*parts],
        "timestamp": 1_790_000_000_000,
        **more,
    }


def session(*messages: Any, **about: Any) -> dict[str, Any]:
    return {"id": "s", "name": "S", "type": "chat", "messages": [*messages], **about}


def export(*sessions: Any) -> dict[str, Any]:
    keyed = {f"session:{each['id']}": each for each in sessions}
    return unfolded(
        "chatbox", {"x.json": {**keyed, "settings": {"apiKey": "secret"}, "__exported_items": []}}
    )


def test_an_answer_is_a_run_and_no_key_of_an_api_is_read() -> None:
    call = {"type": "tool-call", "state": "result", "toolCallId": "c", "toolName": "f", "args": {"n": 1},
            "result": {"content": [{"type": "text", "text": "r"}]}}  # fmt: skip
    found = export(
        session(said("1", "assistant", {"type": "reasoning", "text": "hm"}, "a", call, "b"))
    )["s"]
    asked, result, answer = found.messages
    assert asked == Message(
        "assistant", "a", created_at=AT, tool_calls=[{"id": "c", "name": "f", "arguments": {"n": 1}}],
        extra={"chatbox": {"id": "1", "blocks": [{"type": "reasoning", "text": "hm"}, {"state": "result"}]}},
    )  # fmt: skip
    assert (result.role, result.content, result.tool_call_id) == ("tool", "r", "c")
    assert answer.content == "b"
    assert "secret" not in repr(found)


def test_earlier_threads_are_conversations_and_what_was_said_instead_are_branches() -> None:
    lists = [{"messages": [said("4", "assistant", "x"), said("5", "user", "y")]}, {"messages": []}]
    found = export(
        session(
            said("1", "user", "a"), said("2", "assistant", "b"), said("3", "user", "c"),
            threads=[{"id": "t", "name": "T", "messages": [said("0", "user", "old")], "createdAt": 1}],
            messageForksHash={"1": {"position": 1, "lists": lists}},
        )
    )  # fmt: skip
    assert contents(found["s"].messages) == ["a", "b", "c"]
    assert {leaf: contents(branch) for leaf, branch in found["s"].branches.items()} == {
        "5": ["a", "x", "y"]
    }
    assert (found["t"].title, contents(found["t"].messages)) == ("T", ["old"])
    assert found["t"].extra == {"chatbox": {"createdAt": 1, "thread_of": "s"}}


def test_what_was_said_instead_within_what_was_said_instead_is_a_branch_too() -> None:
    one = [{"messages": [said("4", "assistant", "x"), said("5", "user", "y")]}, {"messages": []}]
    two = [{"messages": [said("6", "user", "z")]}, {"messages": []}]
    forks = {"1": {"position": 1, "lists": one}, "4": {"position": 1, "lists": two}}
    found = export(
        session(said("1", "user", "a"), said("2", "assistant", "b"), messageForksHash=forks)
    )["s"]
    assert {leaf: contents(branch) for leaf, branch in found.branches.items()} == {
        "5": ["a", "x", "y"], "6": ["a", "x", "z"],
    }  # fmt: skip


def test_older_exports_have_a_list_and_a_content() -> None:
    old = {"id": "1", "role": "user", "content": "a", "reasoningContent": "hm"}
    found = unfolded("chatbox", {"x.json": {"chat-sessions": [session(old)]}})["s"]
    assert contents(found.messages) == ["a"]
    assert found.messages[0].extra == {"chatbox": {"id": "1", "blocks": [{"reasoning": "hm"}]}}  # type: ignore[union-attr]


def test_an_image_is_named_by_its_key() -> None:
    image = {"type": "image", "storageKey": "picture:1"}
    [message] = export(session(said("1", "user", image, "look")))["s"].messages
    assert message.parts[0] == {"type": "image_url", "image_url": {"url": "picture:1"}}


def test_what_cannot_be_read_is_named_and_hides_nothing() -> None:
    found = export(session(said("1", "user", "a"), 3, {"id": "2"}, said("3", "user", "c")))["s"]
    assert [type(each) for each in found.messages] == [Message, Unreadable, Unreadable, Message]


def test_a_session_that_is_none_or_is_there_twice_is_named_and_hides_no_other() -> None:
    whole = session(said("1", "user", "a"), said("2", "user", "b"))
    value = {
        "session:s": whole,
        "session:t": session(said("3", "user", "c")),
        "session:u": 5,
        "session:v": {"id": "v"},
        "chat-sessions": [3],
    }
    found = unfolded("chatbox", {"x.json": value})
    assert {id_: contents(each.messages) for id_, each in found.items()} == {
        "s": ["a", "b"], "session:t": ["!"], "session:u": ["!"], "v": ["!"], "0": ["!"],
    }  # fmt: skip


def test_a_thread_that_is_none_hides_not_its_session() -> None:
    found = export(session(said("1", "user", "a"), threads=[{"id": "t", "messages": 5}]))
    assert [contents(each.messages) for each in found.values()] == [["a"], ["!"]]
