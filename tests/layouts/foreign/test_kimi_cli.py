"""Kimi CLI's sessions, as its source says that it writes them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import check_cuts, check_spoiled, lines, spoiled, texts, unfolded

ROOT = "sessions/0123abcd/s1/"
CALL = {"type": "function", "id": "c1", "function": {"name": "f", "arguments": '{"n": 1}'}}
TALK: list[dict[str, Any]] = [
    {"role": "_system_prompt", "content": "You are Kimi."},
    {"role": "_checkpoint", "id": 0},
    {"role": "user", "content": "<system>CHECKPOINT 0</system>"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": [{"type": "think", "think": "hm"}, {"type": "text", "text": "a"}],
     "tool_calls": [CALL]},
    {"role": "_usage", "token_count": 10},
    {"role": "tool", "content": "r", "tool_call_id": "c1"},
    {"role": "user", "content": [{"type": "text", "text": "<system-reminder>\nx\n</system-reminder>"}]},
    {"role": "assistant", "content": "b"},
]  # fmt: skip
SAID = [("user", "hello"), ("assistant", "a"), ("tool", "r"), ("assistant", "b")]


def one(**files: bytes) -> Any:
    named = {f"{ROOT}{name}.jsonl": data for name, data in files.items()}
    return unfolded("kimi_cli", named)["s1"]


def test_what_was_said_is_read_without_what_the_program_adds() -> None:
    found = [*one(context=lines(*TALK)).messages]
    assert texts(found) == SAID
    assert found[1].tool_calls == [{"id": "c1", "name": "f", "arguments": {"n": 1}}]
    assert found[1].extra == {"kimi_cli": {"blocks": [{"type": "think", "think": "hm"}]}}
    assert found[2].tool_call_id == "c1"
    assert one(context=lines(*TALK)).extra is None


def test_what_was_set_aside_is_a_branch() -> None:
    more = {"role": "user", "content": "undone"}
    found = one(context=lines(*TALK[:4]), context_2=lines(*TALK), context_10=lines(*TALK[:4], more))
    assert texts([*found.messages]) == SAID[:1]
    assert {leaf: texts([*way]) for leaf, way in found.branches.items()} == {
        "context_10": [*SAID[:1], ("user", "undone")],
        "context_2": SAID,
    }


def test_after_all_was_cleared_the_last_that_was_said_is_there() -> None:
    found = one(context=lines(TALK[0]), context_1=lines(*TALK))
    assert texts([*found.messages]) == SAID
    assert found.branches == {}


def test_a_sub_agent_is_a_conversation_of_its_own_and_titles_lie_beside() -> None:
    found = unfolded(
        "kimi_cli",
        {
            f"{ROOT}context.jsonl": lines(*TALK),
            f"{ROOT}state.json": {"custom_title": "T", "archived": False},
            f"{ROOT}subagents/a1/context.jsonl": lines(*TALK[3:4]),
            f"{ROOT}subagents/a1/meta.json": {"agent_id": "a1", "description": "look"},
            f"{ROOT}wire.jsonl": lines({"type": "TurnBegin"}),
        },
    )
    assert {id_: told.title for id_, told in found.items()} == {"s1": "T", "s1/a1": "look"}
    own = {"about": {"agent_id": "a1", "description": "look"}, "parent": "s1"}
    assert found["s1/a1"].extra == {"kimi_cli": own}


def test_images_are_parts_and_results_may_be_more_than_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "id": None}}
    answer = [{"type": "text", "text": "r"}, image]
    [asked, result] = one(
        context=lines(
            {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
            {"role": "tool", "content": answer, "tool_call_id": "c"},
        )
    ).messages
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    assert asked.parts == [{"type": "text", "text": "look"}, url]
    assert (result.role, result.content) == ("tool", "r")
    assert result.extra == {"kimi_cli": {"blocks": [{"content": answer}]}}


def test_what_a_part_says_beside_its_text_is_kept() -> None:
    own = {"cache_control": {"type": "ephemeral"}}
    image = {"type": "image_url", "image_url": {"url": "https://x/a.png"}}
    parts = [{"type": "text", "text": "x", **own}, {**image, **own}]
    [found] = one(context=lines({"role": "user", "content": parts})).messages
    assert found.extra == {"kimi_cli": {"blocks": [own, own]}}


def test_what_cannot_be_read_is_named_and_hides_nothing() -> None:
    data = lines(*TALK[3:4], b'{"role": ', 3, {"role": "user", "content": 3}, *TALK[8:])
    found = [*one(context=data + b'{"role": "us').messages]
    assert [type(each) for each in found] == [Message, *[Unreadable] * 3, Message]
    assert f"{ROOT}context.jsonl, line 2" in found[1].reason


@pytest.mark.parametrize("name", ["context.jsonl", "context_1.jsonl", "state.json"])
def test_a_file_that_ends_at_any_byte_tells_no_wrong_conversation(name: str) -> None:
    files = {
        "context.jsonl": lines(*TALK),
        "context_1.jsonl": lines(*TALK),
        "state.json": b'{"a": 1}',
    }
    check_cuts("kimi_cli", {ROOT + each: data for each, data in files.items()}, ROOT + name)


@settings(deadline=None, max_examples=60)
@given(spoiled({f"{ROOT}context.jsonl": lines(*TALK).strip(), f"{ROOT}state.json": b'{"a": 1}'}))
def test_whatever_stands_in_files_is_told_or_named(files: dict[str, bytes]) -> None:
    check_spoiled("kimi_cli", files)


@given(some.sampled_from(["user", "system", "assistant", "tool", "_usage"]), some.text())
def test_files_of_other_names_are_not_taken_for_sessions(role: str, content: str) -> None:
    said = lines({"role": role, "content": content})
    assert unfolded("kimi_cli", {"chat.jsonl": said, "context.json": said}) == {}
