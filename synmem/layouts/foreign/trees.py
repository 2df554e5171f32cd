"""Conversations that are trees: each record says behind which other one it stands."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synmem.messages import Unreadable


class Node(NamedTuple):
    """A record's id, and that of the one before it, None at a beginning.

    Where the record cannot be read, or not where it stands, `id` or `parent` is a `LOST`.
    """

    id: str
    parent: str | None


LOST = "\0"
"""No record has it: an id, or a parent, that cannot be told. It stands behind the record before,
and what has no id is of the current branch, so that whoever reads that is told of it."""


class Paths(NamedTuple):
    """The ways from a beginning to a leaf, as indexes of records."""

    current: list[int]
    others: dict[str, list[int]]
    """By the id of the leaf; one without has its index, as text."""


def paths(nodes: Sequence[Node], last: int | None = None) -> Paths:
    """Every branch of these records, oldest record first. The current one leads to `last`, or else
    to the newest leaf. A record that is on no way to a leaf, in a circle, is one itself."""
    if not nodes:
        return Paths([], {})
    parents = [*_parents(nodes)]
    inner = {*parents}
    leaves = [index for index in range(len(nodes)) if index not in inner]
    if last is None:
        last = leaves[-1] if leaves else len(nodes) - 1
    current = _way(last, parents)
    for index in [at for at, node in enumerate(nodes) if node.id == LOST and at not in current]:
        behind = next((i for i, at in enumerate(current) if at > index), len(current))
        current.insert(behind, index)
    others: dict[str, list[int]] = {}
    seen = {*current}
    for leaf in (*reversed(leaves), *reversed(range(len(nodes)))):
        if leaf not in seen:
            way = _way(leaf, parents)
            seen.update(way)
            name = nodes[leaf].id
            others[str(leaf) if name == LOST or name in others else name] = way
    return Paths(current, others)


def _parents(nodes: Sequence[Node]) -> Iterator[int | None]:
    """Of each record the index of the one before it. Behind one that is not there stands what
    begins; but where one before it has lost its id, that is it."""
    places = {node.id: index for index, node in enumerate(nodes)}
    lost = None
    for index, (id_, parent) in enumerate(nodes):
        if id_ == LOST or parent == LOST:
            yield index - 1 if index else None
        else:
            yield None if parent is None else places.get(parent, lost)
        if id_ == LOST:
            lost = index


def _way(leaf: int, parents: Sequence[int | None]) -> list[int]:
    way: dict[int, None] = {}
    at: int | None = leaf
    while at is not None and at not in way:
        way[at] = None
        at = parents[at]
    return [*reversed(way)]


def chain(leaf: str, parents: Mapping[str, Any]) -> tuple[list[str], list[Unreadable]]:
    """The ids from a beginning to a leaf, by what the parent of each is (None: it has none), where
    none may be missing; and what stands before them where one is, or they go round in a circle."""
    found = [leaf]
    seen = {leaf}
    while (parent := parents[found[-1]]) is not None:
        if parent not in parents or parent in seen:
            why = "stands before itself" if parent in seen else "is not there"
            reason = f"message {parent}, which comes before {found[-1]}, {why}"
            return found[::-1], [Unreadable(str(parent), reason)]
        found.append(parent)
        seen.add(parent)
    return found[::-1], []
