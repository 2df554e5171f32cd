"""LibreChat's documents: the tree, the parts of an answer, and what is kept of each."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from synmem.layouts.foreign import librechat
from synmem.layouts.foreign.librechat import unfold
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import contents, unfolded
from tests.layouts.foreign.odd import documents, is_well_told
from tests.layouts.test_fixtures import FIXTURES, compare_told

ROOT = "00000000-0000-0000-0000-000000000000"


def lines(name: str) -> list[Any]:
    text = (FIXTURES / "librechat-mongodb" / name).read_text()
    return [json.loads(line) for line in text.split("\n") if line]


def told(*messages: Any, **about: Any) -> Any:
    return unfold("c", {"conversations": [{"conversationId": "c", **about}], "messages": messages})


def test_the_fixture_is_read_exactly() -> None:
    messages = lines("messages.jsonl")
    compare_told(
        "librechat-mongodb",
        {
            id_: unfold(
                id_,
                {
                    "conversations": [about],
                    "messages": [each for each in messages if each["conversationId"] == id_],
                },
            )
            for about in lines("conversations.jsonl")
            for id_ in [about["conversationId"]]
        },
    )
    assert all(map(librechat.SHAPES["mongo"][0].tells, lines("conversations.jsonl")))


def test_what_has_no_word_of_ours_is_kept() -> None:
    said = told(
        {
            "_id": 1, "messageId": "m", "parentMessageId": ROOT, "isCreatedByUser": False,
            "sender": "GPT", "model": "gpt-4o", "text": "", "tokenCount": 7, "error": None,
            "createdAt": {"$date": "2026-09-21T20:13:26Z"}, "feedback": {"rating": "thumbsUp"},
            "content": [
                {"type": "text", "text": {"value": "hm", "annotations": []}},
                {"type": "agent_update", "agent_update": {"index": 1}},
                {"type": "tool_call", "tool_call": {"id": "1", "name": "f", "args": "{oops", "progress": 0.5}},
            ],
        },
        title="t", user="u", expiredAt="2026-10-21T00:00:00.500Z", messages=[1],
    )  # fmt: skip
    assert said.title == "t"
    assert said.extra == {"librechat": {"user": "u", "expiredAt": "2026-10-21T00:00:00.500Z"}}
    assert said.messages == [
        Message(
            "assistant", "hm", created_at=datetime(2026, 9, 21, 20, 13, 26, tzinfo=UTC),
            tool_calls=[{"id": "1", "name": "f", "arguments": "{oops"}],
            extra={
                "librechat": {
                    "messageId": "m", "parentMessageId": ROOT, "sender": "GPT", "model": "gpt-4o",
                    "tokenCount": 7, "feedback": {"rating": "thumbsUp"},
                    "blocks": [
                        {"type": "text", "text": {"value": "hm", "annotations": []}},
                        {"type": "agent_update", "agent_update": {"index": 1}},
                        {"type": "tool_call", "tool_call": {"progress": 0.5}},
                    ],
                }
            },
        )
    ]  # fmt: skip


def test_a_document_that_cannot_be_read_is_named_in_its_place() -> None:
    at = [{"$date": f"2026-09-21T20:13:2{second}Z"} for second in range(4)]
    said = told(
        {"messageId": "c", "parentMessageId": "b", "text": "three", "createdAt": at[2]},
        {"messageId": "a", "parentMessageId": None, "text": "one", "createdAt": at[0]},
        {"messageId": "b", "parentMessageId": "a", "text": 5, "createdAt": at[1]},
        {"messageId": 7, "parentMessageId": "c", "text": "four", "createdAt": at[3]},
    )
    contents = [each.content if isinstance(each, Message) else each for each in said.messages]
    assert contents == [
        "one",
        Unreadable("b", "message b: its text is no text"),
        "three",
        Unreadable("7", "message 7: its messageId is no text"),
    ]
    assert said.branches == {}


@pytest.mark.parametrize("key", ["promptPrefix", "system"])
def test_the_system_prompt_comes_first_in_every_branch(key: str) -> None:
    said = told(
        {"messageId": "a", "text": "one"}, {"messageId": "b", "text": "two"}, **{key: "be brief"}
    )
    assert [each.content for each in said.messages] == ["be brief", "two"]
    assert [each.content for each in said.branches["a"]] == ["be brief", "one"]
    assert said.leaf == "b"


@given(documents("messageId", "parentMessageId", "text", "content", "files", "isCreatedByUser", "createdAt"))  # fmt: skip
def test_anything_at_all_is_told_or_named(some: Any) -> None:
    assert is_well_told(lambda: told(*some))


@given(documents("type", "text", "think", "tool_call", "image_file", "error"))
def test_anything_among_the_parts_is_told_or_named(some: Any) -> None:
    assert is_well_told(lambda: told({"messageId": "m", "content": some}))


# --- exports --------------------------------------------------------------------------------


def exported(messages: list[Any], **about: Any) -> Any:
    about = {"conversationId": "c1", "endpoint": "openAI", "title": "T", **about}
    return unfolded("librechat", {"x.json": {**about, "messages": messages}})["c1"]


def spoken(id_: str, parent: str | None, at: int, **more: Any) -> dict[str, Any]:
    told = {
        "messageId": id_,
        "isCreatedByUser": False,
        "text": id_,
        "createdAt": f"2026-01-01T00:00:0{at}Z",
    }
    return {**told, "parentMessageId": parent, **more}


def test_an_export_within_and_one_behind_the_other_say_the_same() -> None:
    flat = [spoken("a", None, 1), spoken("b", "a", 2), spoken("c", "a", 3), spoken("d", "c", 4)]
    within = {
        **flat[0],
        "children": [{**flat[1], "children": []}, {**flat[2], "children": [flat[3]]}],
    }
    for told in (exported(flat), exported([within], recursive=True)):
        assert [m.content for m in told.messages] == ["a", "c", "d"]
        assert {leaf: [m.content for m in said] for leaf, said in told.branches.items()} == {
            "b": ["a", "b"]
        }
        assert told.title == "T"


def test_an_exports_prompt_is_said_first_and_its_options_are_kept() -> None:
    told = exported(
        [spoken("a", None, 1)], options={"promptPrefix": "S", "model": "m"}, exportAt="12:00"
    )
    assert [(m.role, m.content) for m in told.messages] == [("system", "S"), ("assistant", "a")]
    assert told.extra == {
        "librechat": {"endpoint": "openAI", "options": {"model": "m"}, "exportAt": "12:00"}
    }


def test_an_export_nested_deeply_is_read() -> None:
    deep: dict[str, Any] = spoken("last", None, 9)
    for n in range(300):
        deep = {**spoken(str(n), None, 1), "children": [deep]}
    assert len(exported([deep]).messages) == 301


@pytest.mark.parametrize("odd", [{"0": spoken("b", "a", 2)}, "b", 3, True])
def test_answers_that_are_no_list_are_named_and_hide_nothing(odd: Any) -> None:
    told = exported([{**spoken("a", None, 1), "children": odd}, spoken("c", "a", 3)])
    assert contents(told.messages) == ["a", "c", "!"]
    assert told.messages[-1].reason == "message a: its children are no list"
