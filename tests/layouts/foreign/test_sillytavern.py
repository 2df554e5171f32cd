"""SillyTavern's chats: swipes, what is hidden, groups, and what tools have done."""

from datetime import UTC, datetime
from typing import Any

import pytest

from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import lines, texts, unfolded

HEADER = {"user_name": "Ann", "character_name": "Bot", "create_date": "2026-09-21@14h14m20s"}


def said(mes: Any, *, user: bool = False, **more: Any) -> dict[str, Any]:
    name = "Ann" if user else "Bot"
    return {"name": name, "is_user": user, "is_system": False, "mes": mes, "extra": {}, **more}


def told(*rows: Any, header: Any = HEADER) -> Told:
    return unfolded("sillytavern", {"chats/Bot/Bot - x.jsonl": lines(header, *rows)})["Bot - x"]


def messages(*rows: Any) -> list[Any]:
    return [*told(*rows).messages]


def test_each_other_swipe_is_a_branch_that_ends_with_it() -> None:
    infos = [{"send_date": 1790000000000, "extra": {"reasoning": "hm"}}, {}, None]
    found = told(
        said("Pick", user=True),
        said("Blue", swipes=["Red", "Blue", "Green"], swipe_id=1, swipe_info=infos),
        said("Why?", user=True),
    )
    assert [each[1] for each in texts([*found.messages])] == ["Pick", "Blue", "Why?"]
    assert {leaf: [t for _, t in texts([*way])] for leaf, way in found.branches.items()} == {
        "1.0": ["Pick", "Red"], "1.2": ["Pick", "Green"],
    }  # fmt: skip
    red = found.branches["1.0"][-1]
    assert isinstance(red, Message)
    assert red.created_at == datetime.fromtimestamp(1790000000, UTC)
    assert red.extra is not None
    assert {"type": "reasoning", "text": "hm"} in red.extra["sillytavern"]["blocks"]
    assert found.leaf == "2.0"


@pytest.mark.parametrize("at", [None, -1, 7, "1"])
def test_where_the_swipe_that_is_shown_is_not_numbered_its_text_tells(at: Any) -> None:
    found = told(said("B", swipes=["A", "B"], swipe_id=at))
    assert texts([*found.messages]) == [("assistant", "B")]
    assert [texts([*way]) for way in found.branches.values()] == [[("assistant", "A")]]


def test_a_text_that_is_none_of_its_swipes_leaves_them_all() -> None:
    found = told(said("C", swipes=["A", "B"]))
    assert texts([*found.messages]) == [("assistant", "C")]
    assert len(found.branches) == 2


def test_what_is_hidden_is_counted_and_what_tools_did_is_told() -> None:
    run = {"id": "c", "displayName": "f", "name": "f", "parameters": '{"n": 1}', "result": {"a": 2}}
    notice = said("ran", is_system=True, extra={"tool_invocations": [run, {**run, "id": "d"}]})
    found = told(said("hid", user=True, is_system=True), said("a"), notice, said("b"))
    assert texts([*found.messages]) == [
        ("assistant", "a"), ("assistant", ""), ("tool", '{"a":2}'), ("tool", '{"a":2}'),
        ("assistant", "b"),
    ]  # fmt: skip
    calls = found.messages[1]
    assert isinstance(calls, Message)
    assert calls.tool_calls == [{"id": i, "name": "f", "arguments": {"n": 1}} for i in ("c", "d")]
    assert found.extra == {"sillytavern": {**HEADER, "hidden": 1}}


def test_a_narrator_is_the_system_and_each_member_of_a_group_has_a_name() -> None:
    found = messages(
        said("It rains.", extra={"type": "narrator"}), said("I am Eve.", name="Eve"), said("hi")
    )
    assert [each[0] for each in texts(found)] == ["system", "assistant", "assistant"]
    assert [each.extra["sillytavern"]["name"] for each in found] == ["Bot", "Eve", "Bot"]


@pytest.mark.parametrize(
    ("date", "at"),
    [
        (1790000000000, datetime.fromtimestamp(1790000000, UTC)),
        ("2026-09-21T14:13:20.000Z", datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)),
        ("September 21, 2026 2:14pm", None),
        ("2026-9-21 @14h 11m 20s 0ms", None),
        ("2026-09-21T14:13:20", None),
    ],
)
def test_a_time_without_a_zone_stays_as_it_is(date: Any, at: Any) -> None:
    (found,) = messages(said("a", send_date=date))
    assert found.created_at == at
    assert found.extra["sillytavern"].get("send_date") == (None if at else date)


def test_images_and_files_are_sent() -> None:
    media = [{"type": "image", "url": "/b.png"}, {"type": "video", "url": "/c.mp4"}, 3]
    extra = {"image": "/a.png", "inline_image": True, "media": media, "files": [{"url": "/d"}]}
    (found,) = messages(said("a", user=True, extra=extra))
    assert [p["image_url"]["url"] for p in found.parts if p["type"] == "image_url"] == [
        "/a.png", "/b.png",
    ]  # fmt: skip
    own = found.extra["sillytavern"]
    assert own["extra"] == {"inline_image": True}
    assert {"type": "file", "url": "/d"} in own["blocks"]
    assert {"type": "media", "media": media[1]} in own["blocks"]


def test_an_older_chat_of_a_group_has_no_header() -> None:
    found = told(said("b"), header=said("a", user=True))
    assert texts([*found.messages]) == [("user", "a"), ("assistant", "b")]


def test_backups_are_read_only_where_they_are_looked_at() -> None:
    data = lines(HEADER, said("a"))
    both = {"chats/Bot/x.jsonl": data, "backups/chat_bot_1.jsonl": data}
    assert [*unfolded("sillytavern", both)] == ["x"]
    assert [*unfolded("sillytavern", {"chat_bot_1.jsonl": data})] == ["chat_bot_1"]


def test_what_cannot_be_read_is_named_and_hides_no_other() -> None:
    found = told(
        said("a"), "{", "[]", {}, said(3), said("b", swipes=["x", 3, "b"], swipe_id=2),
        said("c", extra={"tool_invocations": 3}), said("d", extra=3, swipes=3, swipe_id={}),
    )  # fmt: skip
    kinds = [type(each) for each in found.messages]
    assert kinds == [Message, *[Unreadable] * 4, Message, Unreadable, Message]
    assert [each.position for each in found.messages if isinstance(each, Unreadable)] == [
        f"chats/Bot/Bot - x.jsonl:{n}" for n in (3, 4, 5, 6, 8)
    ]
    (bad,) = (w[-1] for w in found.branches.values() if isinstance(w[-1], Unreadable))
    assert "line 7, swipe 1" in bad.reason


def test_what_is_no_chat_is_not_taken_for_one() -> None:
    for first in ({"chat_metadata": {}}, {"name": "x", "mes": "y", "is_user": 1}, {"mes": "x"}):
        assert unfolded("sillytavern", {"x.jsonl": lines(first, said("a"))}) == {}
