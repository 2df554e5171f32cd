"""Where the values of a JSON file stand that is larger than memory."""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.file import elements as scanner
from synmem.backends.file.elements import elements

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
