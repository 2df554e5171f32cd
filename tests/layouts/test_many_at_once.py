"""What is done for many lines or messages at once is what would be done for each."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.layouts.interchange.jsonl import read_line, read_lines
from synmem.layouts.own.sqlite_tables import OwnTable, SynapseKitTable
from synmem.messages import Message, refusal
from tests.conformance import AT, FULL, METADATA, TEXTS

GOOD = b'{"conversation_id":"a","role":"user","content":"x"}'


@pytest.mark.parametrize(
    "lines",
    [
        [GOOD, b'{"conversation_id":"b","role":"user","content":"x"}'],
        [b'{"conversation_id":"a","role":"user","content":"x","metadata":{"a":[1', b"]}}", GOOD],
        [GOOD + b" " + GOOD, b""],
        [GOOD + GOOD, b""],
        [GOOD, b""],
        [GOOD, b"null"],
        [GOOD, b'"text"'],
        [
            b'{"conversation_id":"a","role":"user","content":"x","metadata":{"a":[1',
            b"]}}",
            GOOD + b"," + GOOD,
        ],
        [
            b'{"conversation_id":"a","role":"user","content":"x","metadata":{"a":["',
            b'"]}}',
            GOOD + b"," + GOOD,
            GOOD,
        ],
        [GOOD, GOOD.replace(b'"x"', b'"x","more":1')],
        [GOOD, GOOD.replace(b'"x"', b'"x","extra":{"jsonl":{"reason":"r","at":1}}')],
        [GOOD, GOOD.replace(b'"x"', b'"x","created_at":"2026-11-21T07:00:00+01:00"')],
        [GOOD, GOOD.replace(b'"x"', b'"x","created_at":"2026-11-21T07:00:00"')],
        [GOOD, GOOD.replace(b'"x"', b'"x","metadata":{"a":NaN}')],
        [GOOD, GOOD.replace(b'"x"', b'"\\ud800"')],
        [GOOD, b"\xff"],
    ],
)
def test_lines_that_are_not_the_usual_ones_are_left_to_the_slow_way(lines: list[bytes]) -> None:
    assert read_lines(lines, "a") is None


SMALL = [text for name, text in TEXTS.items() if name != "a megabyte"]


@settings(deadline=None)
@given(st.lists(st.sampled_from([*SMALL, "", "x"]), max_size=4), st.sampled_from(METADATA))
def test_usual_lines_are_read_as_each_by_itself(texts: list[str], metadata: Any) -> None:
    objects: list[dict[str, Any]] = [
        {"conversation_id": "a", "role": "user", "content": text, "metadata": metadata}
        for text in texts
    ]
    objects.append({"conversation_id": "a", "role": "user", "content": "x", "metadata": {}})
    objects[-1]["created_at"] = "2026-11-21T06:00:00.123456Z"
    for ascii_only in (True, False):
        if not ascii_only and any("\ud800" <= c <= "\udfff" for text in texts for c in text):
            continue
        lines = [json.dumps(each, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
                 for each in objects]  # fmt: skip
        found = read_lines(lines, "a")
        assert found is None or found == [read_line(line) for line in lines]
    assert read_lines([GOOD] * 3, "a") == [Message("user", "x")] * 3
    assert read_lines([GOOD], "b") is None


@pytest.mark.parametrize("table", [OwnTable(), SynapseKitTable()])
def test_a_bare_row_is_what_the_table_encodes(table: Any) -> None:
    messages = [Message(role, text) for text in TEXTS.values() for role in ("user", text)]
    messages += [Message("user", "x", metadata) for metadata in METADATA]
    messages += [FULL, Message("user", "x", None, AT), Message("user", "x", {}), Message("", "")]
    messages += [Message("user", "x", name=""), Message("user", "x", None, AT.replace(tzinfo=None))]
    bad: Any = Message("user", 5)  # type: ignore[arg-type]
    bare = [table.bare(message) for message in messages]
    assert table.bare(bad) is None
    assert any(bare)
    for message, row in zip(messages, bare, strict=True):
        if row is not None:
            rest = (None,) * (len(table.columns) - table.common)
            assert refusal(message) is None
            assert (*row, *rest) == tuple(table.encode(message))
