"""Where the values of a JSON file stand that is larger than memory."""

import contextlib
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.file import elements as scanner
from synmem.backends.file.elements import elements, elements_from, starts

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=12)
    | st.sampled_from(['}]"\\', "\ud800", "\ud83d\ude00", "\\", "x" * 40])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.fixture(autouse=True, params=[1, 7, 64])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every value is cut somewhere."""
    monkeypatch.setattr(scanner, "_BLOCK", request.param)


def found(raw: bytes, *at: str) -> list[tuple[str, Any]]:
    return [(e.key, json.loads(raw[e.start : e.stop])) for e in elements(io.BytesIO(raw), at) if e]


def in_parts(raw: bytes, starts_at: list[int], *at: str) -> list[Any]:
    """What the parts of an array say that begin there."""
    file = io.BytesIO(raw)
    said = [each.value for each in elements(file, at, starts_at[0] if starts_at else None) if each]
    for start, stop in zip(starts_at, [*starts_at[1:], None], strict=False):
        said += [each.value for each in elements_from(file, start, stop)]
    return said


def same(one: Any, other: Any) -> bool:
    """NaN is itself here."""
    return json.dumps(one) == json.dumps(other)


@settings(deadline=None)
@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 0, 3]), st.booleans())
def test_every_value_is_found_where_it_stands(
    values: list[Any], indent: int | None, ascii_: bool
) -> None:
    for ensure in {ascii_, "\ud800" in str(values)}:
        for wrap, at in ((values, ()), ({"a": [1], "b": {"c": values, "d": 2}}, ("b", "c"))):
            text = json.dumps(wrap, indent=indent, ensure_ascii=ensure or _is_odd(values))
            assert same([value for _, value in found(text.encode(), *at)], values)


LIKE = st.fixed_dictionaries({"id": LEAVES, "said": VALUES}, optional={"more": VALUES})
"""Values that begin alike, as those of an export do."""
NESTED = st.builds(
    lambda id_, inner: {"id": id_, "said": inner}, LEAVES, st.lists(LIKE, max_size=3)
)


@settings(deadline=None)
@given(st.lists(LIKE | NESTED | VALUES, max_size=8), st.sampled_from([None, 0, 3]))
def test_values_that_begin_alike_are_found_and_parsed(
    values: list[Any], indent: int | None
) -> None:
    raw = json.dumps(values, indent=indent).encode()
    told = [each for each in elements(io.BytesIO(raw), ()) if each]
    assert same([each.value for each in told], values)
    assert same([json.loads(raw[each.start : each.stop]) for each in told], values)


@settings(deadline=None)
@given(st.lists(LIKE | NESTED, max_size=8), st.sampled_from([None, 1]), st.integers(1, 5))
def test_an_array_is_read_in_parts_or_they_are_found_to_be_none(
    values: list[Any], indent: int | None, count: int
) -> None:
    raw = json.dumps({"a": 1, "b": values}, indent=indent).encode()
    found = starts(io.BytesIO(raw), ("b",), len(raw), count)
    assert len(found) < count
    try:
        told = in_parts(raw, found, "b")
    except ValueError:
        assert any(isinstance(each["said"], list | dict) and each["said"] for each in values)
    else:
        assert same(told, values)


def test_only_where_an_element_begins_a_part_may_begin() -> None:
    values = [{"id": n, "said": [{"id": 1, "said": "}, {"}] * n} for n in range(4)]
    raw = json.dumps(values).encode()
    begins = [each.start for each in elements(io.BytesIO(raw), ()) if each]
    told = []
    for start in range(1, len(raw)):
        with contextlib.suppress(ValueError):
            assert in_parts(raw, [start]) == values
            told.append(start)
    assert told == begins[1:]


def test_a_large_array_is_parted_evenly() -> None:
    raw = json.dumps([{"id": n, "said": [{"id": n}] * 9} for n in range(1000)]).encode()
    found = starts(io.BytesIO(raw), (), len(raw), 4)
    assert [round(4 * start / len(raw)) for start in found] == [1, 2, 3]
    assert len(in_parts(raw, found)) == 1000


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"{}", b'{"a": {"id": 1, "b": 2}}', b'[1, {"id": 1, "b": 2}]', b'[{"id": 1}, {"', b"["],
)
def test_what_begins_otherwise_is_not_parted(raw: bytes) -> None:
    assert starts(io.BytesIO(raw), (), len(raw), 4) == []


def _is_odd(values: Any) -> bool:
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5))
def test_members_come_with_their_keys(members: dict[str, Any]) -> None:
    raw = json.dumps(members, indent=1).encode()
    assert same(found(raw), [[key, value] for key, value in members.items()])


def test_a_file_that_is_cut_anywhere_gives_what_is_whole_and_then_says_so() -> None:
    values = [
        {"a": [1, {"b": 'x}]"\\'}]},
        30,
        "s",
        None,
        True,
        1.5e300,
        float("nan"),
        "\ud800",
        [],
        {},
    ]
    raw = json.dumps(values).encode()
    for cut in range(len(raw)):
        given: list[Any] = []
        with pytest.raises(ValueError, match="JSON"):
            for each in elements(io.BytesIO(raw[:cut]), ()):
                assert each is not None
                given.append(json.loads(raw[each.start : each.stop]))
        assert same(given, values[: len(given)])


@pytest.mark.parametrize(
    "raw",
    [b"", b"3", b'"x"', b"[1 2]", b"[1,]", b"[tru]", b'{"a" 1}', b"{1: 2}", b"[1,,2]", b"nul"],
)
def test_what_is_no_such_json_is_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        found(raw)


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="it has no 'c'"):
        found(b'{"a": 1, "b": [2]}', "c")


def test_a_byte_order_mark_is_passed_over() -> None:
    assert found(b"\xef\xbb\xbf [1]") == [("", 1)]


def test_a_value_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "LARGEST", 100)
    with pytest.raises(ValueError, match="a value of more than 100 bytes"):
        found(json.dumps(["x" * 300]).encode())
