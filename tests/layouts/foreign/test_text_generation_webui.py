"""text-generation-webui's chats: versions, calls, older files."""

from typing import Any

import pytest

from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import texts, unfolded

NAME = "20260921-14-13-20"


def told(*rows: Any, **more: Any) -> Told:
    said = {"internal": [*rows], "visible": [], **more}
    return unfolded("text_generation_webui", {f"{NAME}.json": said})[NAME]


def test_other_versions_are_branches_of_their_text() -> None:
    versions = [
        {"content": "Red & <b>", "visible_content": "Red &amp; &lt;b&gt;", "timestamp": "t"},
        {"content": "Blue"},
        {"content": "Green"},
    ]
    found = told(
        ["Pick", "Blue"], ["Why?", "Calm."],
        metadata={"assistant_0": {"versions": versions, "current_version_index": 1}},
    )  # fmt: skip
    assert [each[1] for each in texts([*found.messages])] == ["Pick", "Blue", "Why?", "Calm."]
    assert {leaf: [t for _, t in texts([*way])] for leaf, way in found.branches.items()} == {
        "1.0": ["Pick", "Red & <b>"], "1.2": ["Pick", "Green"],
    }  # fmt: skip
    red = found.branches["1.0"][-1]
    assert isinstance(red, Message)
    assert red.extra == {"text_generation_webui": {"timestamp": "t"}}


@pytest.mark.parametrize("at", [None, 5, -1, "0", True])
def test_where_the_version_that_is_shown_is_not_numbered_its_text_tells(at: Any) -> None:
    about = {"versions": [{"content": "A"}, {"content": "B"}], "current_version_index": at}
    found = told(["q", "B"], metadata={"assistant_0": about})
    assert [texts([*way])[-1] for way in found.branches.values()] == [("assistant", "A")]


def test_a_question_that_was_edited_has_versions_too() -> None:
    about = {"versions": [{"content": "p"}, {"content": "q"}], "current_version_index": 1}
    found = told(["q", "a"], metadata={"user_0": about})
    assert [texts([*way]) for way in found.branches.values()] == [[("user", "p")]]


def test_calls_of_each_round_stand_before_the_answer() -> None:
    def call(n: int) -> dict[str, Any]:
        return {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    steps = [
        {"tool_calls": [call(1), call(2)], "content": ""},
        {"role": "tool", "content": "r1", "tool_call_id": "c1"},
        {"role": "tool", "content": {"a": 1}, "tool_call_id": "c2"},
        {"tool_calls": [call(3)], "content": None},
        {"role": "tool", "content": "r3", "tool_call_id": "c3"},
    ]
    found = told(["q", "<think>t</think>a"], metadata={"assistant_0": {"tool_sequence": steps}})
    assert texts([*found.messages]) == [
        ("user", "q"), ("assistant", ""), ("tool", "r1"), ("tool", '{"a":1}'),
        ("assistant", ""), ("tool", "r3"), ("assistant", "<think>t</think>a"),
    ]  # fmt: skip
    made = [m.tool_calls for m in found.messages if isinstance(m, Message) and m.tool_calls]
    assert [[each["id"] for each in calls] for calls in made] == [["c1", "c2"], ["c3"]]


def test_what_was_attached_is_an_image_or_named() -> None:
    image = {"name": "p.png", "type": "image", "image_data": "data:image/png;base64,AA=="}
    file = {"name": "a.txt", "type": "text/plain", "content": "x"}
    found = told(["q", "a"], metadata={"user_0": {"attachments": [image, file]}}).messages[0]
    assert isinstance(found, Message)
    assert found.parts is not None
    assert found.parts[1]["image_url"] == {"url": "data:image/png;base64,AA=="}
    assert found.extra is not None
    assert file in found.extra["text_generation_webui"]["blocks"]


def test_a_greeting_answers_no_question_and_an_empty_one_is_one() -> None:
    found = told(["<|BEGIN-VISIBLE-CHAT|>", "Welcome!"], ["", ""])
    assert texts([*found.messages]) == [("assistant", "Welcome!"), ("user", ""), ("assistant", "")]


def test_the_oldest_files_have_other_names_for_it_and_a_folder_says_who_it_is() -> None:
    old = {"data": [["q", "a"]], "data_visible": [["q", "a"]]}
    [(id_, found)] = unfolded(
        "text_generation_webui", {"logs/chat/Eve/E_persistent.json": old}
    ).items()
    assert id_ == "E_persistent"
    assert texts([*found.messages]) == [("user", "q"), ("assistant", "a")]
    assert found.extra == {"text_generation_webui": {"character": "Eve"}}


def test_what_cannot_be_read_is_named_and_hides_no_other() -> None:
    found = told(
        ["q", "a"], 3, ["x"], [3, "b"], ["c", "d"],
        metadata={"assistant_4": {"tool_sequence": 3}, "user_4": []},
    )  # fmt: skip
    kinds = [type(each) for each in found.messages]
    assert kinds == [
        Message,
        Message,
        Unreadable,
        Unreadable,
        Unreadable,
        Message,
        Message,
        Unreadable,
    ]


def test_a_long_chat_is_told_by_how_it_begins() -> None:
    rows = [["q" * 1000, "a"]] * 100
    assert len(told(*rows).messages) == 200


def test_what_is_no_chat_is_not_taken_for_one() -> None:
    for other in (
        {"internal": [["a", "b"]]},
        {"internal": [{"a": 1}], "visible": []},
        {"data": [["a", "b"]]},
        {"x": 1, "internal": [], "visible": []},
        [["a", "b"]],
    ):
        assert unfolded("text_generation_webui", {"x.json": other}) == {}
