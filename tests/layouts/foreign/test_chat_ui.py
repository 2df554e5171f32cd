"""HuggingChat's documents: the tree, calls among the updates, and what is kept of each."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given

from synmem.layouts.foreign import chat_ui
from synmem.layouts.foreign.chat_ui import unfold
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.odd import JSON, documents, is_well_told
from tests.layouts.test_fixtures import FIXTURES, compare_told

AT = datetime(2026, 9, 21, 20, 13, 26, tzinfo=UTC)


def told(*messages: Any, **about: Any) -> Any:
    return unfold("c", {"conversations": [{"_id": "c", "messages": [*messages], **about}]})


def test_the_fixture_is_read_exactly() -> None:
    text = (FIXTURES / "chat-ui-mongodb" / "conversations.jsonl").read_text()
    found = [json.loads(line) for line in text.split("\n") if line]
    compare_told(
        "chat-ui-mongodb",
        {
            each["_id"]["$oid"]: unfold(each["_id"]["$oid"], {"conversations": [each]})
            for each in found
        },
    )
    assert all(map(chat_ui.SHAPES["mongo"][0].tells, found))


def test_before_2024_the_messages_are_a_plain_list() -> None:
    said = told({"from": "user", "content": "a"}, {"from": "assistant", "content": "b"})
    assert said.messages == [Message("user", "a"), Message("assistant", "b")]
    assert said.branches == {}
    assert said.leaf is None


def test_what_has_no_word_of_ours_is_kept() -> None:
    said = told(
        {
            "id": "m", "from": "assistant", "content": "", "reasoning": "hm", "score": 1,
            "createdAt": AT, "updates": [
                {"type": "status", "status": "started"}, {"type": "stream", "token": "x\0\0"},
                {"type": "tool", "subtype": "call", "uuid": "u", "call": {"name": "f", "parameters": {}, "toolId": "t"}},
                {"type": "tool", "subtype": "error", "uuid": "u", "message": "it broke"},
            ],
        },
        title="t", model="llama", userId="u",
    )  # fmt: skip
    assert (said.title, said.extra) == ("t", {"chat_ui": {"model": "llama", "userId": "u"}})
    update = {"type": "tool", "uuid": "u"}
    assert said.messages == [
        Message(
            "assistant", "", created_at=AT, tool_calls=[{"id": "u", "name": "f", "arguments": {}}],
            extra={"chat_ui": {
                "id": "m", "score": 1, "updates": [{"type": "status", "status": "started"}],
                "blocks": [{**update, "subtype": "call", "call": {"toolId": "t"}}],
            }},
        ),
        Message(
            "tool", "it broke", created_at=AT, tool_call_id="u", name="f",
            extra={"chat_ui": {
                "id": "m", "blocks": [{**update, "subtype": "error", "message": "it broke"}],
            }},
        ),
        Message(
            "assistant", "", created_at=AT,
            extra={"chat_ui": {"id": "m", "blocks": [{"type": "reasoning", "reasoning": "hm"}]}},
        ),
    ]  # fmt: skip


def test_a_message_that_cannot_be_read_is_named_in_its_place() -> None:
    said = told(
        {"id": "a", "from": "user", "content": "one", "ancestors": []},
        {"id": "b", "from": "assistant", "content": None, "ancestors": ["a"]},
        5,
        {"id": "c", "from": "user", "content": "three", "ancestors": ["a", "b"]},
        rootMessageId="a",
    )
    assert [each.content if isinstance(each, Message) else each for each in said.messages] == [
        "one",
        Unreadable("b", "message b: its content is no text"),
        Unreadable("2", "message 2: the message is no object"),
        "three",
    ]
    assert said.branches == {}
    assert said.leaf == "c"


@given(documents("id", "from", "content", "ancestors", "updates", "files", "createdAt", "reasoning"))  # fmt: skip
def test_anything_at_all_is_told_or_named(some: Any) -> None:
    assert is_well_told(lambda: told(*some, rootMessageId="a"))


@given(documents("type", "subtype", "uuid", "call", "result", "content", "originalId"), JSON)
def test_anything_among_the_updates_is_told_or_named(some: Any, root: Any) -> None:
    message = {"id": "m", "from": "assistant", "content": "x", "updates": some}
    assert is_well_told(lambda: told(message, rootMessageId=root))
