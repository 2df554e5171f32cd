"""Dify's rows: questions and answers, an agent's steps, and the tree that they form."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given

from synmem.layouts.foreign.dify import unfold
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import contents
from tests.layouts.foreign.odd import is_well_told
from tests.layouts.foreign.rows import odd_rows, rows

AT = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)
ABOUT = {"id": "c", "name": "A title", "system_instruction": "be brief", "is_deleted": False}


def row(id_: str, query: Any, answer: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "query": query,
        "answer": answer,
        "created_at": "2026-09-21T14:13:21",
        **more,
    }


def told(*messages: Any, **beside: Any) -> Any:
    return unfold("c", rows(conversations=[ABOUT], messages=messages, **beside))


def test_what_has_no_word_of_ours_is_kept_with_the_answer() -> None:
    said = told(
        row("m", "q", "a", message=[{"role": "user"}], message_metadata='{"usage": 1}', error="x"),
        feedback=[{"message_id": "m", "rating": "like"}],
        files=[
            {"message_id": "m", "type": "image", "url": "https://x/a.png", "belongs_to": "user"},
            {"message_id": "m", "type": "document", "url": "b", "belongs_to": "assistant"},
        ],
    )
    assert (said.title, said.extra) == ("A title", {"dify": {"system_instruction": "be brief"}})
    image, file = (
        {"type": "image", "url": "https://x/a.png", "belongs_to": "user"},
        {"type": "document", "url": "b", "belongs_to": "assistant"},
    )
    assert said.messages == [
        Message(
            "user", "q", created_at=AT,
            parts=[
                {"type": "text", "text": "q"},
                {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
            ],
            extra={"dify": {"id": "m", "blocks": [{"type": "file", "file": image}]}},
        ),
        Message(
            "assistant", "a", created_at=AT,
            extra={"dify": {
                "id": "m", "message_metadata": {"usage": 1}, "error": "x",
                "feedback": [{"rating": "like"}], "blocks": [{"type": "file", "file": file}],
            }},
        ),
    ]  # fmt: skip


def test_an_agents_steps_come_before_its_answer_which_is_not_said_twice() -> None:
    said = told(
        row("m", "q", "a"),
        thoughts=[
            {
                "message_id": "m", "thought": "let me", "tool": "f;g",
                "tool_input": '{"f": {"x": 1}, "g": "plain"}', "observation": '{"f": {"y": 2}}',
            },
            {"message_id": "m", "thought": "", "tool": "h", "tool_input": "{oops", "observation": "42 "},
            {"message_id": "m", "thought": "a", "tool": ""},
        ],
    )  # fmt: skip
    _, first, f, g, h, last = said.messages
    assert first.content == "let me"
    assert first.tool_calls == [
        {"name": "f", "arguments": {"x": 1}},
        {"name": "g", "arguments": "plain"},
        {"name": "h", "arguments": "{oops"},
    ]
    assert [(each.name, each.content) for each in (f, g, h)] == [
        ("f", '{"y":2}'), ("g", '{"f": {"y": 2}}'), ("h", "42 "),
    ]  # fmt: skip
    assert last.content == "a"


def test_rows_that_say_nothing_of_the_one_before_are_a_list() -> None:
    nil = "00000000-0000-0000-0000-000000000000"
    said = told(row("1", "a", "b", parent_message_id=nil), row("2", "c", "d"))
    assert contents(said.messages) == ["a", "b", "c", "d"]
    assert said.branches == {}
    assert said.leaf == "2"


def test_the_newest_row_says_which_branch_is_current() -> None:
    said = told(
        row("1", "a", "b"),
        row("2", "c", "d", parent_message_id="1"),
        row("3", "e", "f", parent_message_id="1"),
    )
    assert contents(said.messages) == ["a", "b", "e", "f"]
    assert {leaf: contents(branch) for leaf, branch in said.branches.items()} == {
        "2": ["a", "b", "c", "d"]
    }
    assert said.leaf == "3"


def test_a_row_that_cannot_be_read_is_named_and_hides_nothing() -> None:
    said = told(row("1", "a", "b"), row("2", None, "d"), row("3", "e", "f"), "no row")
    assert said.messages[2] == Unreadable("2", "message 2: its query is no text")
    assert said.messages[5] == Unreadable("message", "the row cannot be read: the row is no object")
    assert contents(each for each in said.messages if isinstance(each, Message)) == [*"abef"]


def test_a_deleted_conversation_is_none() -> None:
    assert unfold("c", rows(messages=[row("1", "a", "b")])).messages == []


@given(
    odd_rows(
        conversations=("id", "name", "inputs"),
        messages=("id", "query", "answer", "parent_message_id", "created_at", "message_metadata"),
        thoughts=("message_id", "thought", "tool", "tool_input", "observation"),
        files=("message_id", "type", "url", "belongs_to"),
        feedback=("message_id", "rating"),
    )
)
def test_anything_at_all_is_told_or_named(found: Any) -> None:
    found["conversations"].insert(0, ['{"id": "c"}'])
    found["messages"].append(['{"id": "a", "query": "b", "answer": "a"}'])
    assert is_well_told(lambda: unfold("c", found))
