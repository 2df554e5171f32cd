"""Agent Framework's messages: what is read of them, and which keys in Redis are whose."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from synmem.layouts.foreign.agent_framework import SHAPES, messages_of
from synmem.messages import Message, Unreadable, refusal
from tests.layouts.foreign.folders import lines, unfolded
from tests.layouts.foreign.folders import messages as told

[LISTS] = SHAPES["redis"]


def said(role: str, *contents: Any, **more: Any) -> Any:
    """A message as Agent Framework writes it."""
    each = [{**content, "additional_properties": {}} for content in contents]
    return {"type": "message", "role": role, "contents": each, "additional_properties": {}, **more}


def text(words: str, **more: Any) -> Any:
    return {"type": "text", "text": words, **more}


def result(call: str, said: Any = None, **more: Any) -> Any:
    return {"type": "function_result", "call_id": call, "result": said, **more}


IMAGE = {"type": "data", "uri": "data:image/png;base64,AA==", "media_type": "image/png"}
CALL = {
    "type": "function_call",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"n": 1}',
    "hosted": False,
}
OURS = {"id": "c1", "name": "f", "arguments": {"n": 1}}
PART = {"type": "image_url", "image_url": {"url": IMAGE["uri"]}, "media_type": "image/png"}
HM = {"type": "text_reasoning", "text": "hm", "protected_data": "x"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (said("user", text("x")), [Message("user", "x")]),
        (said("user"), [Message("user", "")]),
        (said("user", text("x"), author_name="bob", message_id="m"), [Message("user", "x", name="bob", extra={"agent_framework": {"message_id": "m"}})]),
        ({"type": "chat_message", "role": {"value": "user"}, "contents": []}, [Message("user", "", extra={"agent_framework": {"type": "chat_message"}})]),
        (said("user", text("a"), IMAGE, text("b")), [Message("user", "a\nb", parts=[text("a"), PART, text("b")])]),
        (said("user", text("a", annotations=[1])), [Message("user", "a", parts=[text("a", annotations=[1])])]),
        (said("assistant", HM, text("a"), CALL), [Message("assistant", "a", parts=[HM, text("a")], tool_calls=[OURS])]),
        (said("assistant", {**CALL, "arguments": "{oops", "status": "done"}), [Message("assistant", "", tool_calls=[{**OURS, "arguments": "{oops", "status": "done"}])]),
        (
            said("tool", result("c1", "a", items=[text("a")]), result("c2", {"n": 1}, exception="no")),
            [
                Message("tool", "a", tool_call_id="c1"),
                Message("tool", '{"n":1}', tool_call_id="c2", extra={"agent_framework": {"exception": "no", "result": {"n": 1}}}),
            ],
        ),
        (said("tool", result("c1", "a", items=[text("a"), IMAGE])), [Message("tool", "a", tool_call_id="c1", parts=[text("a"), PART])]),
        (said("user", text("x"), result("c1", "a")), [Message("user", "x"), Message("tool", "a", tool_call_id="c1")]),
        (said("user", result("c1", "a"), text("x")), [Message("tool", "a", tool_call_id="c1"), Message("user", "x")]),
        (said("user", {"type": "new", "what": 1}), [Message("user", "", parts=[{"type": "new", "what": 1}])]),
    ],
)  # fmt: skip
def test_what_is_read(theirs: Any, ours: list[Message]) -> None:
    assert messages_of(theirs) == ours


@pytest.mark.parametrize(
    "theirs",
    [5, {}, {"role": "user"}, said("user") | {"role": None}, said("user") | {"contents": [5]},
     said("user", {"type": "text"}), said("user", text(5)), said("tool", result(5))],  # type: ignore[arg-type]
)  # fmt: skip
def test_what_is_no_message_says_why(theirs: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        messages_of(theirs)


ANY = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=3),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
KINDS = some.sampled_from(["text", "data", "uri", "function_call", "function_result", "new"])
KEYS = ("text", "uri", "media_type", "call_id", "name", "arguments", "result", "items")
CONTENT = some.fixed_dictionaries({"type": KINDS | ANY}, optional=dict.fromkeys(KEYS, ANY))


@given(
    some.fixed_dictionaries(
        {"role": ANY | some.just("user"), "contents": some.lists(CONTENT, max_size=3) | ANY},
        optional={"author_name": ANY, "type": ANY},
    )
)
def test_whatever_lies_there_is_messages_or_says_why_not(theirs: Any) -> None:
    LISTS.tells(json.dumps(theirs).encode())
    try:
        found = LISTS.unfold(json.dumps(theirs).encode())
    except ValueError:
        return
    assert found
    for message in found:
        assert isinstance(message.content, str)
        assert refusal(message) is None


def test_a_key_says_its_session() -> None:
    encoded = "~redis-session-ovzwk4r2gqzc7q54n3b26y3pmrssbyu4sm"
    for rest, id_ in (
        (":user:42", "user:42"), (":", ""), ("", None), ("other", None),
        ("|v2|~none|app|~none|redis_memory|plain", "plain"),
        (f"|v2|t|app|a|s|{encoded}", "user:42/ünïcode ✓"),
        ("|v2|t|app|a|s|~redis-session-sha256-00", "~redis-session-sha256-00"),
        ("|v2|t|app|a|s|~redis-session-!", "~redis-session-!"),
        ("|v2|t|app|plain", None),
    ):  # fmt: skip
        assert LISTS.id_of(rest) == id_


def test_a_session_of_several_scopes_is_several_conversations_and_an_older_key_is_passed_over() -> (
    None
):
    one, two, alone = "|v2|t1|app|a|s|x", "|v2|t2|app|a|s|x", "|v2|t1|app|a|s|y"
    assert LISTS.keys_of is not None
    assert LISTS.keys_of([":y", alone, ":z"]) == {"y": alone, "z": ":z"}
    assert LISTS.keys_of([":x", one, two]) == {one[4:]: one, two[4:]: two, "x": ":x"}


# --- files ----------------------------------------------------------------------------------


def packed(*messages: Any) -> bytes:
    """As records of MessagePack."""
    records = [msgspec.msgpack.encode(each) for each in messages]
    return b"".join(len(each).to_bytes(4, "big") + each for each in records)


FORMS: Any = pytest.mark.parametrize(("ending", "form"), [("jsonl", lines), ("msgpack", packed)])


@FORMS
def test_a_file_is_called_as_its_session_or_as_that_in_base32(ending: str, form: Any) -> None:
    data = form(said("user", text("hi")))
    files = {
        f"a.b.{ending}": data,
        f"~session-ovzwk4r2gqzc7q54n3b26y3pmrssbyu4sm.{ending}": data,
        f"~session-sha256-00ff.{ending}": data,
    }
    found = unfolded("agent_framework", files)
    assert found.keys() == {"a.b", "user:42/ünïcode ✓", "~session-sha256-00ff"}
    assert all([*told.messages] == [Message("user", "hi")] for told in found.values())


@FORMS
def test_a_record_that_cannot_be_read_is_named_and_hides_no_other(ending: str, form: Any) -> None:
    good = said("user", text("hi"))
    found = told("agent_framework", {f"a.{ending}": form(good, {"role": 3}, 4, good)})
    assert [type(each) for each in found] == [Message, Unreadable, Unreadable, Message]
    assert "the message has no role" in found[1].reason


@FORMS
def test_a_record_that_is_being_written_is_not_there_yet(ending: str, form: Any) -> None:
    data = form(said("user", text("a")), said("user", text("b")))
    length = len(form(said("user", text("a"))))
    for end in range(length, len(data) - 1):
        assert told("agent_framework", {f"a.{ending}": data[:end]}) == [Message("user", "a")]


def test_a_line_that_is_cut_off_before_others_is_named() -> None:
    data = lines(said("user", text("a")), b'{"type": "mess', said("user", text("b")))
    found = told("agent_framework", {"a.jsonl": data})
    assert [type(each) for each in found] == [Message, Unreadable, Message]
    assert found[1].reason.startswith("a.jsonl, line 2: ")
    assert found[1].text == '{"type": "mess'


def test_records_that_are_no_messagepack_are_named() -> None:
    broken = (3).to_bytes(4, "big") + b"\xc1\xc1\xc1"
    found = told("agent_framework", {"a.msgpack": packed(said("user", text("a"))) + broken * 2})
    assert [type(each) for each in found] == [Message, Unreadable, Unreadable]
