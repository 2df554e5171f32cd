"""What lies beside a conversation is read as it was set, or named as what it is not."""

from typing import Any

import pytest

from synmem.layouts.own.beside import read_beside


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [("title", '"T"', "T"), ("title", "null", None), ("extra", b'{"k":1}', {"k": 1}),
     ("note:n", "[1]", [1]), ("note:n", "5", 5)],
)  # fmt: skip
def test_what_was_set_comes_back(field: str, text: str | bytes, value: Any) -> None:
    assert read_beside(field, text) == value


@pytest.mark.parametrize(
    ("field", "text", "why"),
    [("title", "no", "title is not JSON"), ("title", "5", "title is JSON, but not text"),
     ("extra", "[]", "extra is JSON, but not an object"), ("note:n", "", "note:n is not JSON"),
     ("extra", 5, "extra is not JSON")],
)  # fmt: skip
def test_what_it_is_not_is_said(field: str, text: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_beside(field, text)
