"""Records of many parts: which messages they are told as, and what is kept of each part."""

from collections import Counter
from typing import Any

import pytest

from synmem.layouts.foreign.runs import (
    Aside,
    Call,
    File,
    Image,
    Other,
    Piece,
    Reasoning,
    Result,
    Text,
    arguments_of,
    messages_of,
)
from synmem.layouts.foreign.trees import LOST, Branches, Node, paths
from synmem.messages import Message

CALL = {"id": "1", "name": "f", "arguments": {"a": 1}}


def told(*pieces: Piece, **settings: Any) -> list[Message]:
    return messages_of(pieces, "x", **settings)


def test_text_after_a_call_begins_a_new_message_and_results_stand_behind_theirs() -> None:
    assert told(
        Reasoning({"thought": "t"}),
        Text("a"),
        Call("1", "f", {"a": 1}),
        Call("2", "g", {}),
        Result("2", "g", "two"),
        Text("b"),
        Result("1", "f", "one"),
    ) == [
        Message(
            "assistant", "a",
            tool_calls=[CALL, {"id": "2", "name": "g", "arguments": {}}],
            extra={"x": {"blocks": [{"thought": "t"}]}},
        ),
        Message("tool", "two", tool_call_id="2", name="g"),
        Message("tool", "one", tool_call_id="1", name="f"),
        Message("assistant", "b"),
    ]  # fmt: skip


def test_reasoning_after_a_call_begins_a_new_message_too_and_an_image_does_not() -> None:
    messages = told(Call("1", "f", {"a": 1}), Image("u"), Reasoning({"r": 1}), Text("b"))
    assert messages == [
        Message(
            "assistant", "", tool_calls=[CALL],
            parts=[{"type": "image_url", "image_url": {"url": "u"}}],
        ),
        Message("assistant", "b", extra={"x": {"blocks": [{"r": 1}]}}),
    ]  # fmt: skip


def test_a_result_without_an_id_answers_the_last_call() -> None:
    first, result, last = told(Call(None, "f", 1), Result(None, "f", "r"), Text("b"))
    assert first.tool_calls == [{"name": "f", "arguments": 1}]
    assert (result.role, result.content, last.content) == ("tool", "r", "b")


def test_several_texts_are_parts_and_one_is_none() -> None:
    assert told(Text("a"), Text("b")) == [
        Message("assistant", "a\nb", parts=[{"type": "text", "text": t} for t in "ab"])
    ]
    assert told(Text("a"))[0].parts is None


def test_a_record_without_parts_is_a_message_only_where_it_is_an_answer() -> None:
    assert told() == [Message("assistant", "")]
    assert told(Other({"error": 1})) == [
        Message("assistant", "", extra={"x": {"blocks": [{"error": 1}]}})
    ]
    assert told(role="user") == told(Aside({"step": 1}), role="user") == []


def test_a_question_of_which_no_part_can_be_told_is_a_message_that_keeps_them() -> None:
    own = [{"text": ["damaged"]}, {"step": 1}]
    assert told(Other(own[0]), Aside(own[1]), role="user") == [
        Message("user", "", extra={"x": {"blocks": own}})
    ]
    assert told(Text(""), role="user") == [Message("user", "")]
    assert told(File({"name": "a"}), role="user") == [
        Message("user", "", extra={"x": {"blocks": [{"name": "a"}]}})
    ]


def test_what_a_record_says_beside_stands_with_its_first_message_and_its_id_with_all() -> None:
    pieces = Text("a"), Call("1", "f", {}), Result("1", "f", "r"), Text("b")
    messages = told(*pieces, record={"id": 7}, extra={"model": "m"})
    assert [message.extra for message in messages] == [
        {"x": {"id": 7, "model": "m"}}, {"x": {"id": 7}}, {"x": {"id": 7}},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{oops", "{oops"),
        ("[1]", "[1]"),
        ({"a": 1}, {"a": 1}),
        (None, None),
    ],
)
def test_arguments_are_read_where_they_are_an_object(said: Any, arguments: Any) -> None:
    assert arguments_of(said) == arguments


# --- trees ----------------------------------------------------------------------------------


def told_of(nodes: list[Node], last: int | None = None) -> tuple[list[int], dict[str, list[Any]]]:
    """The current way, and the others."""
    ways = paths(nodes, last)
    branches: Any = Branches(ways, lambda index: [Message("user", str(index))])
    return ways.current, {leaf: [int(m.content) for m in way] for leaf, way in branches.items()}


def test_the_newest_leaf_says_which_branch_is_current() -> None:
    nodes = [Node("q", None), Node("a", "q"), Node("b", "q"), Node("c", "b")]
    assert told_of(nodes) == ([0, 2, 3], {"a": [0, 1]})
    assert told_of(nodes, 1) == ([0, 1], {"c": [0, 2, 3]})
    assert told_of([]) == ([], {})


def test_a_record_that_cannot_be_told_stands_behind_the_one_before_and_parts_nothing() -> None:
    nodes = [Node("q", None), Node(LOST, LOST), Node("b", "gone"), Node("c", "b")]
    assert told_of(nodes) == ([0, 1, 2, 3], {})
    nodes = [Node("q", None), Node("a", "q"), Node(LOST, LOST), Node("b", "q"), Node(LOST, LOST)]
    assert told_of(nodes, 3) == ([0, 2, 3, 4], {"a": [0, 1]})


def test_what_stands_behind_one_that_was_deleted_begins() -> None:
    assert told_of([Node("a", None), Node("c", "b")]) == ([1], {"a": [0]})


def test_circles_and_doubles_end_and_hide_nothing() -> None:
    assert told_of([Node("a", "b"), Node("b", "a")]) == ([0, 1], {})
    current, others = told_of([Node("a", "b"), Node("b", "a"), Node("c", None), Node("c", None)])
    assert current == [3]
    assert others == {"c": [2], "b": [0, 1]}
    circle = [Node("a", "c"), Node("b", "a"), Node("c", "b"), Node("d", "b"), Node("e", "a")]
    current, others = told_of(circle)
    assert {*current}.union(*others.values()) == {*range(5)}


def test_of_many_long_branches_each_record_is_looked_at_once_until_they_are_read() -> None:
    """How they are listed: the lengths and ends of a thousand ways, over ten thousand records."""
    trunk = [Node(str(n), str(n - 1) if n else None) for n in range(10_000)]
    nodes = trunk + [Node(f"leaf {n}", str(9_000 + n)) for n in range(1_000)]
    asked = Counter[int]()

    def said(index: int) -> list[Message]:
        asked[index] += 1
        return [Message("user", str(index))]

    branches: Any = Branches(paths(nodes, 9_999), said, [Message("system", "x")])
    assert not asked
    found = {leaf: (len(way), way[0].content, way[-1].content) for leaf, way in branches.items()}
    assert found["leaf 0"] == (9_003, "x", "10000")
    assert len(found) == 1_000
    assert max(asked.values()) == 1
    assert len(asked) == 11_000
    assert [m.content for m in branches["leaf 7"]][-2:] == ["9007", "10007"]


def test_a_way_is_a_sequence_as_any_other() -> None:
    said: list[list[Any]] = [[], [Message("user", "a"), Message("user", "b")], []]
    nodes = [Node("x", None), Node("y", "x"), Node("z", "y"), Node("now", None)]
    (way,) = Branches(paths(nodes, 3), [*said, []].__getitem__).values()
    assert (len(way), way[0], way[-1], way[1:]) == (2, said[1][0], said[1][1], said[1][1:])
    (none,) = Branches(paths([Node("x", None), Node("y", None)]), lambda _: []).values()
    assert not none
    with pytest.raises(IndexError):
        none[0]
