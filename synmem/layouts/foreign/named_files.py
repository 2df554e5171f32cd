"""Conversations that are called as the files that they lie in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from synmem.layouts.foreign.values import told
from synmem.messages import Message, Unreadable


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
    if not isinstance(messages, list):
        raise ValueError("its messages are no list")
    return [m for index, each in enumerate(messages) for m in told("message", index, make, each)]
