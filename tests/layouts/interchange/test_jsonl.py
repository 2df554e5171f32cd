"""JSON Lines: pages at once are lines one by one, and title lines keep what they carry."""

import json
import math

import pytest

from synmem.layouts.interchange import jsonl as jsonlines
from synmem.messages import (
    Conversation,
    Message,
    Unreadable,
    encode_line,
    encode_lines,
    line_prefix,
    parse_json,
)

MESSAGES = [
    Message("user", "plain"),
    Message("user", "a\n{b}\n{\"c\"}", {"k": "\n{"}),
    Message("user", "null"),
    Message("user", "x", {"n": math.nan, "none": None}),
    Message("user", "broken \ud800"),
    Message("user", "big", {"n": 2**70}),
]  # fmt: skip


@pytest.mark.parametrize("name", ["a", "b\n{", 'q"', "é", "\0"])
def test_a_page_is_its_lines(name: str) -> None:
    prefix = line_prefix(name)
    for page in (MESSAGES, MESSAGES[:2], MESSAGES[:1], MESSAGES[4:], []):
        expected = b"".join(encode_line(prefix, message) for message in page)
        assert encode_lines(name, page) == expected


@pytest.mark.parametrize(
    "conversation",
    [
        Conversation("a", "t"),
        Conversation("a", "", None),
        Conversation("a", None, {"x": [2**70, None]}),
        Conversation("a", "broken \ud800 \n", {"\0": "\ud800"}),
    ],
)
def test_a_title_line_says_all_of_a_conversation(conversation: Conversation) -> None:
    line = jsonlines.title_line(conversation)
    assert line.count(b"\n") == 1
    assert jsonlines.is_title(parse_json(line))
    assert jsonlines.title_of(parse_json(line)) == conversation


def test_a_conversation_that_has_neither_title_nor_extra_has_no_title_line() -> None:
    assert jsonlines.title_line(Conversation("a", None, {})) == b""


@pytest.mark.parametrize("data", [{"title": 5}, {"extra": []}, {"extra": "x"}, {"title": ["x"]}])
def test_a_title_line_of_other_types_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"title|extra"):
        jsonlines.title_of({"conversation_id": "a", **data})


def test_a_mark_stands_for_an_unreadable_record() -> None:
    record = Unreadable("7:3", "no role")
    for name in ("a", None):
        assert jsonlines.mark_of(jsonlines.mark_line(name, record)) == record
    assert jsonlines.mark_of(b'{"content": "\\"unreadable\\""}') is None
    assert jsonlines.mark_of(encode_line(line_prefix("a"), Message("u", '"unreadable"'))) is None


@pytest.mark.parametrize("name", ["", "x" * 1025, "é" * 513, "\ud800"])
@pytest.mark.parametrize("given", [None, "other"])
def test_a_line_of_an_id_that_none_can_have_is_no_message(name: str, given: str | None) -> None:
    line = json.dumps({"conversation_id": name, "role": "user", "content": "x"}).encode()
    with pytest.raises(ValueError, match="the id"):
        jsonlines.read_line(line, conversation=given)


def test_a_line_without_an_id_is_one_of_the_conversation_given() -> None:
    nameless = {"role": "user", "content": "x"}
    for data in (nameless, {**nameless, "conversation_id": None}):
        line = json.dumps(data).encode()
        assert jsonlines.read_line(line, conversation="a").role == "user"
        with pytest.raises(ValueError, match="no conversation_id"):
            jsonlines.read_line(line)
