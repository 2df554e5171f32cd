"""What the scripts that read do, in plain commands: for a user who has no right to scripts, and for
the lists of other frameworks.

A page is one LRANGE that begins 16 items before its anchor. Between two commands somebody else may
write: what tells where a page stands is always in that one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from synmem.backends.redis.positions import TRACE, Trace, packed, parsed, stands
from synmem.backends.redis.scripts import (
    BEGIN,
    DETAILS,
    EXPIRING,
    GO_ON,
    KNOWN,
    LENGTHS,
    NOTE,
    NOTES,
)
from synmem.errors import AccessDenied, CorruptData

Ask = Callable[[Sequence[Sequence[Any]]], Awaitable[list[Any]]]
"""What a server answers to each of these commands (`Server.ask_all`)."""

_SOUGHT: Final = 1000
"""So many items are fetched at once where a position is sought."""

_TRIES: Final = 3


class Stretch(NamedTuple):
    """Items of a list that follow one another, oldest first."""

    first: int
    """The index of the first of them, counted from the oldest."""
    items: list[bytes]
    before: int
    """How many stand there only to tell where the others do."""


async def beginnings(
    ask: Ask, keys: Sequence[bytes], size: int, *, last: bool, room: int, newest_first: bool = False
) -> list[Stretch | bytes | None]:
    """The first (or last) few items of as many of these lists as there is room for, at least of
    one: None where there is none, the type of what is not a list."""
    found: list[Stretch | bytes | None] = []
    taken = 0
    for length in allowed(await ask([("LLEN", key) for key in keys])):
        take = 0 if isinstance(length, CorruptData) else min(length, size)
        if taken and taken + take > room:
            break
        taken += take
        found.append(Stretch(0, [], 0) if take else b"" if length else None)
    some = keys[: len(found)]
    await _name_kinds(ask, some, found)
    await _fill(ask, some, found, size, last, newest_first)
    return found


async def _name_kinds(ask: Ask, keys: Sequence[bytes], found: list[Any]) -> None:
    """Put the type of each key in its place that is no list's."""
    places = [place for place, each in enumerate(found) if each == b""]
    kinds = allowed(await ask([("TYPE", keys[place]) for place in places]))
    for place, kind in zip(places, kinds, strict=True):
        found[place] = None if kind == b"none" else kind


async def _fill(
    ask: Ask, keys: Sequence[bytes], found: list[Any], size: int, last: bool, newest_first: bool
) -> None:
    """Fetch the items of the lists that were found."""
    places = [place for place, each in enumerate(found) if isinstance(each, Stretch)]
    wanted = size + TRACE - 1 if last else size
    from_head = last == newest_first
    span = (0, wanted - 1) if from_head else (-wanted, -1)
    commands: list[Sequence[Any]] = [("LRANGE", keys[place], *span) for place in places]
    if last:  # after the items: what comes meanwhile makes an index too high, and it is sought
        commands += [("LLEN", keys[place]) for place in places]
    answers = allowed(await ask(commands))
    lengths = answers[len(places) :] if last else [0] * len(places)
    for place, items, length in zip(places, answers, lengths, strict=False):
        if not items or isinstance(items, CorruptData) or isinstance(length, CorruptData):
            found[place] = None
            continue
        first = max(0, length - wanted) if len(items) == wanted else 0
        before = max(0, len(items) - size) if last else 0
        found[place] = Stretch(first, _oldest_first(items, newest_first), before)


def _oldest_first(items: list[bytes], newest_first: bool) -> list[bytes]:
    return items[::-1] if newest_first else items


async def behind(
    ask: Ask, key: bytes, position: str, size: int, *, reverse: bool, newest_first: bool = False
) -> Stretch | None:
    """So many items behind a position (or before it, where `reverse`) and its own item with them,
    and those that stand before; None where the position is gone, or could be at two places."""
    list_ = _List(ask, key, newest_first)
    index, trace = parsed(position)
    for _ in range(_TRIES):
        low = max(0, index - TRACE + 1 - (size if reverse else 0))
        items = await list_.items(low, index + (0 if reverse else size))
        at = index - low
        if stands(trace, items, at):
            return Stretch(low, items, max(0, at - size) if reverse else at)
        found = await list_.find(index, trace)
        if found is None:
            return None
        index = found
    return None


class _List:
    """A list, whose items are counted from the oldest."""

    def __init__(self, ask: Ask, key: bytes, newest_first: bool) -> None:
        self._ask = ask
        self._key = key
        self._newest_first = newest_first

    async def items(self, low: int, high: int) -> list[bytes]:
        """Those from one index to another; none where there is no list."""
        span = (-high - 1, -low - 1) if self._newest_first else (low, high)
        [items] = allowed(await self._ask([("LRANGE", self._key, *span)]))
        return [] if isinstance(items, CorruptData) else _oldest_first(items, self._newest_first)

    async def find(self, index: int, trace: Trace) -> int | None:
        """Where a trace stands below an index; None where it is nowhere, or at two places."""
        found = None
        [length] = allowed(await self._ask([("LLEN", self._key)]))
        top = min(index, 0 if isinstance(length, CorruptData) else length) - 1
        while top >= trace.size - 1:
            low = max(0, top - _SOUGHT + 1)
            before = min(low, trace.size - 1)
            items = await self.items(low - before, top)
            for at in range(before, len(items)):
                if stands(trace, items, at):
                    if found is not None:
                        return None
                    found = low - before + at
            top = low - 1
        return found


def allowed(answers: list[Any]) -> list[Any]:
    """The answers, if this user may have them all."""
    for answer in answers:
        if isinstance(answer, AccessDenied):
            raise answer
    return answers


# --- in the place of the scripts ------------------------------------------------------------


async def _begin(ask: Ask, keys: Sequence[bytes], size: int, last: int, room: int) -> list[Any]:
    found = await beginnings(ask, keys, size, last=bool(last), room=room)
    return [
        [each.first + len(each.items), *packed(each.items)]
        if isinstance(each, Stretch)
        else each or 0
        for each in found
    ]


async def _go_on(ask: Ask, keys: Sequence[bytes], position: bytes, size: int, back: int) -> Any:
    found = await behind(ask, keys[0], position.decode(), size, reverse=bool(back))
    if found is None:
        return 0
    if back:
        return [found.first, found.before, *packed(found.items[:-1])]
    return [found.first, found.before + 1, *packed(found.items)]


async def _lengths(ask: Ask, keys: Sequence[bytes]) -> list[int]:
    answers = allowed(await ask([("LLEN", key) for key in keys]))
    return [-1 if isinstance(length, CorruptData) else length for length in answers]


async def _details(ask: Ask, keys: Sequence[bytes]) -> list[Any]:
    commands: list[Sequence[Any]] = []
    for list_, beside in zip(keys[::2], keys[1::2], strict=True):
        commands += [
            ("LLEN", list_), ("LINDEX", list_, 0), ("LINDEX", list_, -1),
            ("HMGET", beside, "title", "extra"),
        ]  # fmt: skip
    answers = allowed(await ask(commands))
    return [_detail(*answers[at : at + 4]) for at in range(0, len(answers), 4)]


def _detail(length: Any, first: Any, last: Any, named: Any) -> Any:
    if isinstance(length, CorruptData):
        return -1
    if first is None or last is None:
        return 0
    title, extra = (None, None) if isinstance(named, CorruptData) else named
    return [length, first, last, title, extra]


async def _expiring(ask: Ask, keys: Sequence[bytes]) -> list[int]:
    return allowed(await ask([("PTTL", key) for key in keys]))


async def _known(ask: Ask, keys: Sequence[bytes]) -> list[Any]:
    return allowed(await ask([("GET", key) for key in keys]))


async def _note(ask: Ask, keys: Sequence[bytes], field: bytes) -> bytes | None:
    length, text = allowed(await ask([("LLEN", keys[0]), ("HGET", keys[1], field)]))
    return None if _is_no_list(length) or isinstance(text, CorruptData) else text


async def _notes(ask: Ask, keys: Sequence[bytes]) -> list[Any]:
    commands: list[Sequence[Any]] = []
    for list_, beside in zip(keys[::2], keys[1::2], strict=True):
        commands += [("LLEN", list_), ("HGETALL", beside)]
    answers = allowed(await ask(commands))
    return [
        [] if _is_no_list(length) or isinstance(notes, CorruptData) else notes
        for length, notes in zip(answers[::2], answers[1::2], strict=True)
    ]


def _is_no_list(length: Any) -> bool:
    return isinstance(length, CorruptData) or length == 0


PLAIN: Final[Mapping[str, Callable[..., Awaitable[Any]]]] = {
    BEGIN.sha: _begin, GO_ON.sha: _go_on, LENGTHS.sha: _lengths, DETAILS.sha: _details,
    EXPIRING.sha: _expiring, KNOWN.sha: _known, NOTE.sha: _note, NOTES.sha: _notes,
}  # fmt: skip
"""By the name of each script that reads: the same without it."""
