"""Files of which each object is a conversation: where it stands, what it is called, what is wrong."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.errors import UsageError
from synmem.layouts.interchange.objects import same, strict
from synmem.messages import Conversation, Message
from tests.layouts.interchange.forms import (
    ANY_TEXT,
    FILES,
    FIXTURES,
    FORMS,
    JSON,
    jsonl_of,
    objects,
    told,
    unchanged,
    written,
)

SAID: dict[str, Any] = {
    "openai": {"messages": [{"role": "user", "content": "x"}]},
    "anthropic": {"system": "s", "messages": [{"role": "user", "content": "x"}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "x"}]},
}
ALL = [(form, file) for form, files in FILES.items() for file in files]


def ids(form: str, data: bytes, **how: Any) -> list[str]:
    return [conversation.id for conversation, _ in told(form, data, **how)[0]]


@pytest.mark.parametrize("form", FORMS)
def test_a_conversation_is_called_by_its_id_or_where_it_stands(form: str) -> None:
    said = SAID[form]
    data = jsonl_of(
        said, {**said, "id": "a"}, {**said, "id": 7}, {**said, "id": ["b"]}, {**said, "id": ""}
    )
    expected = ["line-1", "a", "7", "line-4", "line-5"]
    assert ids(form, data) == expected
    assert ids(form, b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")) == expected
    assert ids(form, b"\n \n" + data) == ["line-3", "a", "7", "line-6", "line-7"]
    array = json.dumps(objects(data), indent=1).encode()
    assert ids(form, array) == [each.replace("line", "item") for each in expected]


@pytest.mark.parametrize("form", FORMS)
def test_no_two_conversations_are_taken_for_one(form: str) -> None:
    same_id = {**SAID[form], "id": "line-4"}
    data = jsonl_of(same_id, same_id, {**same_id, "id": "line-4#2"}, SAID[form])
    found, bad = told(form, data + b"{torn\n" + jsonl_of({**same_id, "id": "line-5"}))
    assert [conversation.id for conversation, _ in found] == [
        "line-4", "line-4#2", "line-4#2#2", "line-4#3", "line-5#2",
    ]  # fmt: skip
    assert all(len([m for m in messages if m.role == "user"]) == 1 for _, messages in found)
    assert [name for name, _, _ in bad] == ["line-5"]
    back = objects(written(form, found))
    assert [each.get("id") for each in back[:3]] == ["line-4", "line-4", "line-4#2"]


@pytest.mark.parametrize("form", FORMS)
def test_one_that_has_no_id_may_be_called_otherwise(form: str) -> None:
    said = SAID[form]
    assert ids(form, jsonl_of({**said, "id": "a"}, said), conversation="mine") == ["a", "mine"]
    with pytest.raises(UsageError, match="--conversation mine: several"):
        told(form, jsonl_of(said, said), conversation="mine")


@pytest.mark.parametrize("form", FORMS)
def test_an_object_may_be_spread_over_lines(form: str) -> None:
    data = json.dumps(SAID[form], indent=2).encode()
    assert ids(form, data) == ["item-1"]
    assert ids(form, data + b"\n" + data) == ["item-1", "item-2"]
    assert told(form, b"[]") == told(form, b"") == told(form, b"  \n") == ([], [])
    with pytest.raises(ValueError, match="line 1, column 4: something follows"):
        told(form, b"[] x")


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_conversation_is_one_record_that_cannot_be_read(form: str) -> None:
    key = "conversations" if form == "sharegpt" else "messages"
    bad_lines = [
        b"{torn",
        b"7",
        b'"x"',
        b'{"other": 1}',
        b'{"%s": {}}' % key.encode(),
        b'{"n": 1e400}',
        b'{"x": "\xff"}',
    ]
    data = jsonl_of(SAID[form]) + b"\n".join(bad_lines) + b"\n" + jsonl_of(SAID[form]) + b'{"cut'
    found, bad = told(form, data)
    assert [conversation.id for conversation, _ in found] == ["line-1", "line-9"]
    assert bad == [
        ("line-2", "2", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("line-3", "3", "not a JSON object"),
        ("line-4", "4", "not a JSON object"),
        ("line-5", "5", f"no {key}"),
        ("line-6", "6", f"{key} is no JSON array"),
        ("line-7", "7", "a number that is too large: 1e400"),
        ("line-8", "8", "not UTF-8 at byte 8"),
        ("line-10", "10", "torn: the file ends in the middle of this line"),
    ]
    array = b'[%s, 7, {"n": 1e400}]' % json.dumps(SAID[form]).encode()
    found, bad = told(form, array)
    assert [conversation.id for conversation, _ in found] == ["item-1"]
    assert [(name, why) for name, _, why in bad] == [
        ("item-2", "not a JSON object"), ("item-3", "a number that is too large: 1e400"),
    ]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_message_that_is_none_hides_no_other(form: str) -> None:
    key = "conversations" if form == "sharegpt" else "messages"
    good = SAID[form][key][0]
    deep: Any = {}
    for _ in range(200):
        deep = {"x": deep}
    items = [good, 7, {}, {**good, "deep": deep}, good]
    found, bad = told(form, jsonl_of({key: items}))
    [(conversation, messages)] = found
    assert [message.content for message in messages] == ["x", "x"]
    assert {name for name, _, _ in bad} == {conversation.id} == {"line-1"}
    assert [at for _, at, _ in bad] == [f"1, message {n}" for n in (2, 3, 4)]
    assert bad[0][2] == "not a JSON object"
    assert bad[2][2] == "extra is nested more than 100 levels deep"


@pytest.mark.parametrize(("form", "file"), ALL)
def test_a_fixture_is_written_back_as_it_was(form: str, file: str) -> None:
    data = (FIXTURES / file).read_bytes()
    there = json.loads(data) if file.endswith(".json") else objects(data)
    found, bad = told(form, data)
    assert not bad
    first = written(form, found)
    assert unchanged(objects(first), there)
    assert written(form, told(form, first)[0]) == first


@pytest.mark.parametrize(("form", "file"), ALL)
def test_every_beginning_of_a_file_tells_the_same_or_says_what_is_wrong(
    form: str, file: str
) -> None:
    data = (FIXTURES / file).read_bytes()
    whole, _ = told(form, data)
    for end in range(len(data)):
        try:
            found, bad = told(form, data[:end])
        except ValueError as error:
            assert "line" in str(error)
            continue
        assert len(bad) <= 1
        assert found == whole[: len(found)]


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_json_in_its_place_is_a_conversation_or_says_what_is_wrong(
    form: str, data: st.DataObject
) -> None:
    key = "conversations" if form == "sharegpt" else "messages"
    keys = st.sampled_from([key, "role", "content", "from", "value", "tool_calls", "type", "id", "system", "text", "function"])  # fmt: skip
    value = (
        JSON | ANY_TEXT | st.sampled_from(["user", "assistant", "tool", "human", "function_call"])
    )
    item = st.dictionaries(
        keys, value | st.lists(st.dictionaries(keys, value), max_size=2), max_size=4
    )
    said = data.draw(st.dictionaries(keys, JSON, max_size=2))
    said[key] = data.draw(st.lists(item, max_size=3) | JSON)
    found, bad = told(form, jsonl_of(said))
    assert len(found) <= 1
    count = len(said[key]) if isinstance(said[key], list) else 1
    assert sum(len(messages) for _, messages in found) + len(bad) >= (count > 0)


def test_json_that_only_python_reads_is_none() -> None:
    assert strict({"a": None, "b": "null"}) == b'{"a":null,"b":"null"}'
    with pytest.raises(ValueError, match="NaN"):
        strict({"a": [float("nan")]})
    with pytest.raises(ValueError, match="lone surrogate"):
        strict({"a": "\ud800"})


@pytest.mark.parametrize(
    ("left", "right", "are_same"),
    [
        (1, 1, True), (1, 1.0, False), (1, True, False), ({"a": [1]}, {"a": [1]}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), ({"a": [1]}, {"a": [1.0]}, False),
        ([], {}, False), (None, None, True), ({"a": 1}, {"a": 1, "b": None}, False),
    ],
)  # fmt: skip
def test_values_are_the_same_by_type_and_value(left: Any, right: Any, are_same: bool) -> None:
    assert same(left, right) is are_same


def test_a_conversation_of_which_nothing_can_be_written_is_not() -> None:
    for form in FORMS:
        assert written(form, []) == written(form, [(Conversation("a"), [])]) == b""
        data = written(form, [(Conversation("a"), []), (Conversation("b"), [Message("user", "x")])])
        assert len(objects(data)) == 1
