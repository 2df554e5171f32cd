"""Conversations that are trees: each record says behind which other one it stands."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from synmem.layouts.lazy import Lazy, Said
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
    """The ways from a beginning to a leaf."""

    current: list[int]
    """The indexes of its records."""
    leaves: Mapping[str, int] = {}
    """The index of each other leaf, by its id; one without has its index, as text."""
    parents: Sequence[int | None] = ()
    """Of each record the index of the one before it."""
    leaf: str | None = None
    """The id of the record at which the current one ends; None where it has none."""


def listed(nodes: Sequence[Node]) -> Paths:
    """One way, of all these records as they come."""
    return Paths([*range(len(nodes))], leaf=_leaf(nodes[-1]) if nodes else None)


def versions(records: Iterable[tuple[int, int]]) -> tuple[list[Node], int | None]:
    """The versions of records, one behind another: of each record how many there are, and which of
    them is shown. Those of a record stand behind the one that is shown of the record before. Also
    the index of the last one that is shown."""
    nodes: list[Node] = []
    parent: str | None = None
    last: int | None = None
    for index, (count, shown) in enumerate(records):
        behind = parent
        for number in range(count):
            id_ = f"{index}.{number}"
            if number == shown:
                parent, last = id_, len(nodes)
            nodes.append(Node(id_, behind))
    return nodes, last


def paths(nodes: Sequence[Node], last: int | None = None) -> Paths:
    """Every branch of these records, oldest record first. The current one leads to `last`, or else
    to the newest leaf. A record that is on no way to a leaf, in a circle, is one itself."""
    if not nodes:
        return Paths([])
    parents = [*_parents(nodes)]
    inner = {*parents}
    leaves = [index for index in range(len(nodes)) if index not in inner]
    if last is None:
        last = leaves[-1] if leaves else len(nodes) - 1
    seen: set[int] = set()
    way = _rest(last, parents, seen)
    lost = [at for at, node in enumerate(nodes) if node.id == LOST and at not in seen]
    told = {*lost}
    others: dict[str, int] = {}
    for leaf in (*reversed(leaves), *reversed(range(len(nodes)))):
        if leaf not in seen and leaf not in told:
            _rest(leaf, parents, seen)
            name = nodes[leaf].id
            others[str(leaf) if name == LOST or name in others else name] = leaf
    return Paths(_merged(way, lost), others, parents, _leaf(nodes[last]))


def _leaf(node: Node) -> str | None:
    return None if node.id == LOST else node.id


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


def _rest(leaf: int, parents: list[int | None], seen: set[int]) -> list[int]:
    """The way to a leaf, from behind the last record of it that was seen already: so each record
    is walked over once, however many branches it is in. A circle is cut where it was come to."""
    way: dict[int, None] = {}
    at: int | None = leaf
    while at is not None and at not in seen and at not in way:
        way[at] = None
        at = parents[at]
    if at in way:
        parents[next(reversed(way))] = None
    seen.update(way)
    return [*reversed(way)]


def _merged(way: Sequence[int], lost: Sequence[int]) -> list[int]:
    """The way, and each of these before the first record that is newer."""
    found: list[int] = []
    waiting = [*reversed(lost)]
    for at in way:
        while waiting and waiting[-1] < at:
            found.append(waiting.pop())
        found.append(at)
    return [*found, *reversed(waiting)]


class Branches(Mapping[str, Sequence[Said]]):
    """What is said on each way to another leaf, by the leaf's id.

    Ways share most of their records: all of them at once would be as much as both together. So
    each is built when it is read, and how long it is and where it ends are known without.
    """

    def __init__(
        self,
        ways: Paths,
        said: Callable[[int], Sequence[Said]],
        first: Sequence[Said] = (),
    ) -> None:
        """`said`: what a record says, by its index; `first` stands before every way."""
        self._ways = ways
        self._said = said
        self._first = first
        self._ends: dict[int | None, _Ends] = {None: _ends(None, first)}

    def __getitem__(self, leaf: str) -> Sequence[Said]:
        return _Way(self, self._ways.leaves[leaf])

    def __iter__(self) -> Iterator[str]:
        return iter(self._ways.leaves)

    def __len__(self) -> int:
        return len(self._ways.leaves)

    def ends(self, leaf: int) -> "_Ends":
        """How many messages lead to a record, the first and the last."""
        for at in reversed(self._up(leaf, self._ends)):
            self._ends[at] = _ends(self._ends[self._ways.parents[at]], self._said(at))
        return self._ends[leaf]

    def way(self, leaf: int) -> list[Said]:
        """All of them."""
        return [*self._first, *(m for at in reversed(self._up(leaf)) for m in self._said(at))]

    def _up(self, leaf: int, known: Collection[int | None] = (None,)) -> list[int]:
        """The records from a leaf up to one that is known, or a beginning."""
        found: list[int] = []
        at: int | None = leaf
        while at is not None and at not in known:
            found.append(at)
            at = self._ways.parents[at]
        return found


class _Ends(NamedTuple):
    """How many messages a way has, the first of them and the last."""

    length: int
    first: Said | None
    last: Said | None


def _ends(before: _Ends | None, said: Sequence[Said]) -> _Ends:
    """Those of a way that goes on with these."""
    length, first, last = before or (0, None, None)
    if not said:
        return _Ends(length, first, last)
    return _Ends(length + len(said), first if length else said[0], said[-1])


class _Way(Lazy):
    """What is said on the way to a leaf."""

    def __init__(self, branches: Branches, leaf: int) -> None:
        self._branches = branches
        self._leaf = leaf

    def __len__(self) -> int:
        return self._branches.ends(self._leaf).length

    def made(self, at: int) -> Said:
        """See `Lazy.made`: all are built where it is neither the first nor the last."""
        length, first, last = self._branches.ends(self._leaf)
        end = first if at == 0 else last if at == length - 1 else None
        return self._branches.way(self._leaf)[at] if end is None else end

    def made_at(self, indexes: range) -> Sequence[Said]:
        """See `Lazy.made_at`: all are built once."""
        way = self._branches.way(self._leaf)
        return [way[at] for at in indexes]

    def __iter__(self) -> Iterator[Said]:
        return iter(self._branches.way(self._leaf))


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
