"""VS Code's log of operations on a value."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from synmem.layouts.foreign.operation_log import replayed
from tests.layouts.foreign.folders import files_of, lines
from tests.layouts.foreign.wholes import ANY_JSON


def after(*operations: Any) -> Any:
    value, odd = replayed("log", lines({"kind": 0, "v": {"a": [1, 2, 3], "b": {}}}, *operations))
    assert odd == []
    return value


def op(kind: int, *path: Any, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "k": [*path], **more}


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        (op(1, "b", "c", v=4), {"a": [1, 2, 3], "b": {"c": 4}}),
        (op(1, "a", 1, v=4), {"a": [1, 4, 3], "b": {}}),
        (op(1, "a", 3, v=4), {"a": [1, 2, 3, 4], "b": {}}),
        (op(2, "a", v=[4, 5]), {"a": [1, 2, 3, 4, 5], "b": {}}),
        (op(2, "a", v=[4], i=1), {"a": [1, 4], "b": {}}),
        (op(2, "a", i=0), {"a": [], "b": {}}),
        (op(2, "a", i=9, v=[4]), {"a": [1, 2, 3, 4], "b": {}}),
        (op(2, "c", v=[4]), {"a": [1, 2, 3], "b": {}, "c": [4]}),
        (op(3, "b"), {"a": [1, 2, 3]}),
        (op(3, "x"), {"a": [1, 2, 3], "b": {}}),
        (op(3, "a", 1), {"a": [1, None, 3], "b": {}}),
        ({"kind": 0, "v": 1}, 1),
    ],
)
def test_an_operation_changes_what_is_at_its_path(operation: Any, value: Any) -> None:
    assert after(operation) == value


@pytest.mark.parametrize(
    "operation",
    [
        op(1, v=1),
        op(1, "a", 9, v=1),
        op(1, "a", -1, v=1),
        op(1, "a", 10**18, v=1),
        op(1, "x", "y", v=1),
        op(1, "a", 0, "y", v=1),
        op(2, "b", v=[1]),
        op(2, "a", v=1),
        op(2, "a", i="x"),
        op(2, "a", 0, v=[1]),
        op(4, "a"),
        {"kind": 1, "k": "a", "v": 1},
        {"k": ["a"]},
        {"kind": 0},
        3,
        b'{"kind": 1,',
    ],
)
def test_what_is_no_operation_is_named_and_the_others_are_done(operation: Any) -> None:
    log = lines({"kind": 0, "v": {"a": [1], "b": {}}}, operation, op(2, "a", v=[2]))
    value, [odd] = replayed("log", log)
    assert value["a"] == [1, 2]
    assert odd.reason.startswith("log, line 2: ")


def test_a_log_that_is_being_written_is_what_it_was_before_its_last_line() -> None:
    fixture = files_of("vscode-chat-sessions", "workspaceStorage/0123abcd/chatSessions")
    log = fixture["8ba7bf22-239a-4ab6-8548-3bb2ed09eb8d.jsonl"]
    ends = [at + 1 for at, byte in enumerate(log) if byte == 10]
    for start, stop in zip([0, *ends], ends, strict=False):
        before = json.dumps(replayed("log", log[:start])[0])
        for length in range(start, stop - 1):
            value, odd = replayed("log", log[:length])
            assert (json.dumps(value), odd) == (before, [])


@given(some.lists(ANY_JSON | some.builds(lambda k, p, v, i: {"kind": k, "k": p, "v": v, "i": i},
    some.integers(0, 4), some.lists(some.sampled_from(["a", "b", 0, 1, -1, None]), max_size=3),
    ANY_JSON, some.none() | some.integers(-1, 3)), max_size=8))  # fmt: skip
def test_any_log_is_a_value_and_named_lines(operations: list[Any]) -> None:
    value, odd = replayed("log", lines({"kind": 0, "v": {"a": [[]], "b": {}}}, *operations))
    json.dumps(value)
    assert all(each.reason for each in odd)
