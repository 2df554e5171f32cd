"""Conversations that are files: called as these, and with others beside them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from synmem.layouts.foreign.values import id_of, list_of, told
from synmem.layouts.shapes import MALFORMED, Files, Told, reason
from synmem.messages import JSONObject, Message, Unreadable, parse_json


def each_ending(*endings: str) -> Callable[[Sequence[str]], Mapping[str, Sequence[str]]]:
    """The `Folder.group` of a layout of which each file that ends so stands by itself."""

    def group(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {name: (name,) for name in names if name.lower().endswith(endings)}

    return group


def stem(name: str) -> str:
    """What a file is called, less the folders that it is in and its ending."""
    last = name.rpartition("/")[2]
    return last.rpartition(".")[0] or last


def each_told(
    messages: Any, make: Callable[[Any], Sequence[Message | Unreadable]]
) -> list[Message | Unreadable]:
    """What the elements of a list of messages say; ValueError where it is no list."""
    listed = list_of(messages, "its messages")
    return [m for index, each in enumerate(listed) for m in told("message", index, make, each)]


def each_list(
    lists: Mapping[str, Any], make: Callable[[Any], Sequence[Message | Unreadable]]
) -> dict[str, Told]:
    """The conversations of which each is a list of messages under its id; what is none is told in
    its place, and hides no other."""
    found = {}
    for id_, messages in lists.items():
        try:
            said = each_told(messages, make)
        except MALFORMED as error:
            said = [Unreadable(id_, f"conversation {id_}: {reason(error)}")]
        found[id_] = Told(messages=said)
    return found


def each_conversation(
    records: Iterable[tuple[object, Any]],
    make: Callable[[object, Any], Iterable[tuple[str, Told]]],
) -> dict[str, Told]:
    """The conversations that are made of records and what these are known by, by their ids.

    What cannot be made is named, and hides no other. Of two that are called the same the one with
    more messages stays, and the other is named.
    """
    found: dict[str, Told] = {}
    odd: list[tuple[object, str]] = []
    for at, record in records:
        try:
            for id_, one in make(at, record):
                other = found.get(id_)
                if other is not None and other.messages and one.messages:
                    odd.append((at, f"it is called {id_!r}, as another with as many messages"))
                if other is None or len(one.messages) > len(other.messages):
                    found[id_] = one
        except MALFORMED as error:
            odd.append((id_of(record, at), reason(error)))
    for at, why in odd:
        id_ = str(at)
        while id_ in found:
            id_ = f"({id_})"
        found[id_] = Told(messages=[Unreadable(str(at), f"conversation {at}: {why}")])
    return found


def object_beside(files: Files, name: str, damaged: list[Unreadable]) -> JSONObject:
    """The object in a file beside the messages, empty where there is none. What cannot be read of
    it is told among the damaged, and hides no message."""
    said = json_beside(files, name, damaged)
    if isinstance(said, dict):
        return said
    if said is not None:
        damaged.append(Unreadable(name, f"{name}: it is no object"))
    return {}


def json_beside(files: Files, name: str, damaged: list[Unreadable]) -> Any:
    """What a file beside the messages says, as `object_beside`; None where it is not there."""
    if name not in files.data:
        return None
    try:
        return parse_json(files.data[name])
    except ValueError as error:
        damaged.append(Unreadable(name, f"{name}: not JSON: {error}"))
        return None
