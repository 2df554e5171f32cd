"""VS Code's log of what happened to a value: a line of JSON for each operation.

Kind 0 is the whole value; 1 sets what is at a path of keys, 3 removes it; 2 cuts off an array there
and appends to it.
"""

from collections.abc import Sequence
from typing import Any

from synmem.layouts.foreign import json_lines
from synmem.layouts.foreign.values import object_of
from synmem.layouts.shapes import MALFORMED
from synmem.messages import Unreadable, parse_json


def replayed(name: str, data: bytes) -> tuple[Any, list[Unreadable]]:
    """The value after all operations, None where there is none yet; and the lines that are no
    operations, or not on what is there."""
    value: Any = None
    odd = []
    for number, line in json_lines.numbered(data):
        try:
            value = _after(value, object_of(parse_json(line), "the line"))
        except MALFORMED as error:
            odd.append(json_lines.unreadable(name, number, line, error))
    return value, odd


def _after(value: Any, said: dict[str, Any]) -> Any:
    kind, path = said["kind"], said.get("k", [])
    if kind == 0:
        return said["v"]
    if not isinstance(path, list) or kind not in (1, 2, 3):
        raise ValueError(f"there is no operation of kind {kind!r} on {path!r}")
    if not path:
        raise ValueError("an operation on nothing")
    within = _at(value, path[:-1])
    if kind == 1:
        _set(within, path[-1], said.get("v"))
    elif kind == 2:
        _push(within, path[-1], said)
    elif isinstance(within, dict):
        within.pop(path[-1], None)
    else:
        _set(within, path[-1], None)
    return value


def _at(value: Any, path: Sequence[Any]) -> Any:
    for key in path:
        value = value[_index(key) if isinstance(value, list) else key]
    return value


def _set(within: Any, key: Any, value: Any) -> None:
    if isinstance(within, list) and _index(key) == len(within):
        within.append(value)
    elif isinstance(within, list):
        within[key] = value
    else:
        object_of(within, "what is to be changed")
        within[str(key)] = value


def _push(within: Any, key: Any, said: dict[str, Any]) -> None:
    there = within[_index(key)] if isinstance(within, list) else within.get(key)
    if there is None:
        there = []
        _set(within, key, there)
    if not isinstance(there, list):
        raise ValueError(f"{key!r} is no array")
    if said.get("i") is not None:
        del there[_index(said["i"]) :]
    more = said.get("v", [])
    if not isinstance(more, list):
        raise ValueError("what is to be appended is no array")
    there += more


def _index(key: Any) -> int:
    if type(key) is not int or key < 0:
        raise ValueError(f"{key!r} is no index")
    return key
