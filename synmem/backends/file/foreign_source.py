"""The conversations of other programs' files: where each lies, and what it says.

What was seen is kept by group of files, as `remembered.py` has it: a group whose files are as they
were is not read again. A conversation that several groups tell is the one that has most messages
(then the newest, then the last by name); the others are named, and are a fault where they say what
that one does not.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from synmem.backends.file.foreign_units import NotOurs, Tellings, Units, UnitsAnew, moment_of
from synmem.backends.file.members import Member, Place
from synmem.backends.file.opening import Steps, translating
from synmem.backends.file.remembered import Chapter, Entry, Listed, Remembered, told_about
from synmem.backends.file.scanning import chapters
from synmem.backends.file.slices import in_slices
from synmem.backends.paging import closed
from synmem.backends.telling import MOST_STRAYS
from synmem.backends.whole import Listed as Shown
from synmem.errors import CorruptData
from synmem.layouts.shapes import MALFORMED, Told
from synmem.messages import STRAY, TWICE, Damage, Holds, Message, Unreadable, canonical, chunks
from synmem.store import ConversationInfo, Position

_KEPT_BYTES: Final = 1 << 22
"""So much of what was read last is kept as messages: what is listed is often read next."""


_SMALL: Final = 1 << 18
"""A place of so few bytes is read again each time."""

_T = TypeVar("_T")


class _Place(NamedTuple):
    """Where a conversation lies: in which group, in which of its entries."""

    group: str
    entry: int
    listed: Listed


class Asked(msgspec.Struct, array_like=True):
    """A conversation that is to be read: in which files, as they were seen, and where in them."""

    id: str
    group: str
    files: Sequence[str]
    stamp: list[Member]
    entry: Entry
    """Without what was seen in it."""
    size: int
    """How many bytes are its own, more or less, of those that are read for it."""


class FilesSource:
    """The `Source` of a place of files."""

    def __init__(
        self, place: Place, units: Units, remembered: Remembered | None, *, page_size: int
    ) -> None:
        self.name = place.name
        self._held = place
        self._units = units
        self._remembered = remembered
        self._page_size = page_size
        self._files: dict[str, Sequence[str]] = {}
        self._chapters: dict[str, Chapter] | None = None
        """What was seen of each group; None before it was looked for what is remembered."""
        self._places: dict[str, _Place] = {}
        self._order: list[str] = []
        self._at = 0
        """The conversations in their order, and where in it somebody is who reads all."""
        self._strays: list[Damage] = []
        self._others: list[_Place] = []
        """Where conversations lie that are read in another place."""
        self._recent: dict[tuple[str, int], tuple[list[Member], int, Tellings]] = {}
        self._recent_bytes = 0
        self._was_seen = self._is_new = False
        """Whether all was looked at, and whether that is more than is remembered."""
        self._alone = asyncio.Lock()
        self._is_closed = False

    # --- see `Source` ---

    async def ids(self) -> AsyncIterator[list[str]]:
        """See `Source.ids`; in the order of the files' names."""
        await self._do(self._look())
        for some in chunks([*self._places], self._page_size):
            yield [*some]

    async def listed(self, ids: Sequence[str] | None) -> AsyncIterator[list[Shown]]:
        """See `Remembers.listed`."""
        await self._do(self._look() if ids is None else self._locate(ids))
        chosen = self._places if ids is None else [id_ for id_ in ids if id_ in self._places]
        for some in chunks([*chosen], self._page_size):
            yield [_shown(self._places[id_].listed) for id_ in some]

    async def told(self, ids: Sequence[str]) -> Mapping[str, Told]:
        """See `Source.told`."""
        return await self._do(self._told(ids))

    async def strays(self) -> list[Damage]:
        """See `Source.strays`: files of which nothing can be read, what is there twice, and what
        may not be looked into."""
        await self._do(self._look())
        closed = [
            Damage(STRAY, name, f"it cannot be looked into: {why}")
            for name, why in sorted(self._held.closed.items())
        ]
        return (closed + self._strays + await self._do(self._compared()))[:MOST_STRAYS]

    async def version(self) -> str | None:
        """See `Source.version`: the state of every file."""
        groups = await asyncio.to_thread(self._groups)
        digest = hashlib.sha256()
        for name, (files, stamp) in groups.items():
            digest.update(repr((name, files, [tuple(each) for each in stamp])).encode())
        return digest.hexdigest()

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str]:
        """See `Remembers.fingerprints`: the state of the files that a conversation lies in."""
        await self._do(self._locate([*upto]))
        there = {id_: self._places[id_] for id_ in upto if id_ in self._places}
        return {id_: self._fingerprint(place) for id_, place in there.items()}

    async def close(self) -> None:
        """See `Source.close`."""
        if not self._is_closed:
            self._is_closed = True
            if self._is_new:
                await asyncio.to_thread(self._remember)
            self._held.close()

    # --- for those who read it by other processes ---

    @property
    def size(self) -> int:
        """How many bytes all files that were seen have."""
        return sum(member.size for each in self._known().values() for member in each.stamp)

    def anew(self) -> UnitsAnew | None:
        """How another process reads the same as fast; None where it cannot."""
        return self._units.anew()

    async def asked(self, ids: Sequence[str]) -> list[Asked]:
        """Where these conversations lie, those that exist."""
        await self._do(self._locate(ids))
        return [self._asked(id_, self._places[id_]) for id_ in ids if id_ in self._places]

    def following(self, id_: str, count: int) -> list[Asked]:
        """As `asked`, so many conversations that are listed behind that one, as they were seen."""
        try:
            self._at = self._order.index(id_, self._at)
        except ValueError:
            return []
        behind = self._order[self._at + 1 : self._at + 1 + count]
        return [self._asked(each, self._places[each]) for each in behind]

    def _asked(self, id_: str, place: _Place) -> Asked:
        chapter = (self._chapters or {})[place.group]
        seen = chapter.entries[place.entry]
        entry = Entry([], "", seen.key, seen.start, seen.stop)
        size = _size(chapter, seen) // len(seen.listed)
        return Asked(id_, place.group, self._files[place.group], chapter.stamp, entry, size)

    async def _do(self, steps: Steps[_T]) -> _T:
        if self._is_closed:
            steps.close()
            raise closed(self.name)
        async with self._alone:
            with translating(self.name):
                return await in_slices(steps)

    # --- where conversations lie ---

    def _groups(self) -> dict[str, tuple[Sequence[str], list[Member]]]:
        with translating(self.name):
            return self._units.groups()

    def _look(self) -> Steps[None]:
        """See what every group tells; what is as it was is known."""
        known = self._known()
        groups = self._units.groups()
        stale = {
            name: (files, stamp)
            for name, (files, stamp) in groups.items()
            if name not in known or known[name].stamp != stamp
        }
        seen = (yield from chapters(self._units, stale)) if stale else {}
        self._files = {name: files for name, (files, _) in groups.items()}
        self._chapters = {name: seen.get(name) or known[name] for name in groups}
        self._is_new |= bool(stale) or known.keys() != groups.keys()
        if not self._was_seen:
            self._remember()
        self._was_seen = True
        self._index()

    def _remember(self) -> None:
        """Keep what was seen, where it is new: at first, and when the store is closed, not each
        time that a live file grows."""
        if self._is_new and self._remembered and self._chapters and _is_worth_it(self._chapters):
            self._remembered.save(self._chapters)
        self._is_new = False

    def _known(self) -> dict[str, Chapter]:
        if self._chapters is None:
            self._chapters = self._remembered.load() if self._remembered else {}
        return self._chapters

    def _index(self) -> None:
        """Where each conversation lies, from what was seen."""
        self._places, self._strays, self._others = {}, [], []
        for name, chapter in (self._chapters or {}).items():
            for number, entry in enumerate(chapter.entries):
                if entry.why:
                    self._strays.append(Damage(STRAY, name, f"it cannot be read: {entry.why}"))
                for listed in entry.listed:
                    self._put(_Place(name, number, listed))
        self._order, self._at = [*self._places], 0

    def _put(self, place: _Place) -> None:
        """The conversation lies there, unless another place has more of it."""
        id_ = place.listed.id
        other = self._places.get(id_)
        if other is not None:
            less, place = sorted((other, place), key=_worth)
            self._others.append(less)
        self._places[id_] = place

    def _compared(self) -> Steps[list[Damage]]:
        """The conversations that are not read, since another place has as much of them or more:
        whether it has all that they say."""
        found = []
        for less in self._others:
            id_ = less.listed.id
            more = self._places[id_]
            yield
            missing = _all_said(self._at_place(less)) - _all_said(self._at_place(more))
            yield
            if missing:
                lacks = f"{len(missing):,} of the messages that are here"
                why = f"conversation {id_!r} is read in {more.group}, which lacks {lacks}"
                found.append(Damage(STRAY, less.group, why))
            else:
                why = f"conversation {id_!r} is in {more.group} too, with as many messages or more"
                found.append(Damage(TWICE, less.group, why))
        return found

    def _locate(self, ids: Sequence[str]) -> Steps[None]:
        """See where these conversations lie, as it is now: where nothing is known yet, first in
        files that are called as they are."""
        if not self._places and not self._known():
            yield from self._guess(ids)
        for id_ in ids:
            if id_ not in self._places or not self._is_as_seen(self._places[id_].group):
                yield from self._look()
                return

    def _is_as_seen(self, group: str) -> bool:
        chapter = (self._chapters or {})[group]
        return self._units.stamp(self._files[group]) == chapter.stamp

    def _guess(self, ids: Sequence[str]) -> Steps[None]:
        """Look into those groups alone whose names have one of these ids in them."""
        groups = self._units.groups()
        found: dict[str, Chapter] = {}
        for name, (files, _) in groups.items():
            if any(id_ in name for id_ in ids):
                found[name] = yield from self._units.chapter(files, name)
        self._files = {name: files for name, (files, _) in groups.items()}
        self._chapters = found
        self._index()

    def _fingerprint(self, place: _Place) -> str:
        chapter = (self._chapters or {})[place.group]
        entry = chapter.entries[place.entry]
        seen = repr(([tuple(each) for each in chapter.stamp], entry.start, entry.stop))
        return hashlib.sha256(seen.encode()).hexdigest()

    # --- what they say ---

    def _told(self, ids: Sequence[str]) -> Steps[dict[str, Told]]:
        yield from self._locate(ids)
        found: dict[str, Told] = {}
        for id_ in ids:
            if id_ in self._places:
                found[id_] = self._one(id_)
            yield
        return found

    def _one(self, id_: str) -> Told:
        return self._at_place(self._places[id_])

    def _at_place(self, place: _Place) -> Told:
        group, number, listed = place
        chapter = (self._chapters or {})[group]
        try:
            tellings = self._tellings(group, number, chapter)
        except (*MALFORMED, OSError, CorruptData, NotOurs) as error:
            return Told(messages=[Unreadable(group, f"{group}: {error}")])
        return tellings.get(listed.id) or Told(messages=[])

    def _tellings(self, group: str, number: int, chapter: Chapter) -> Tellings:
        """What an entry says: read now, unless it was read just before."""
        key = (group, number)
        kept = self._recent.pop(key, None)
        if kept is None or kept[0] != chapter.stamp:
            self._recent_bytes -= 0 if kept is None else kept[1]
            entry = chapter.entries[number]
            told = self._units.told(self._files[group], group, entry)
            kept = (chapter.stamp, _size(chapter, entry), told)
            self._recent_bytes += kept[1]
        self._recent[key] = kept
        while len(self._recent) > 1 and self._recent_bytes > _KEPT_BYTES:
            self._recent_bytes -= self._recent.pop(next(iter(self._recent)))[1]
        return kept[2]


def _is_worth_it(seen: Mapping[str, Chapter]) -> bool:
    """Whether reading all of this again takes longer than remembering it."""
    return sum(member.size for each in seen.values() for member in each.stamp) > _SMALL


def _size(chapter: Chapter, entry: Entry) -> int:
    return entry.stop - entry.start or sum(member.size for member in chapter.stamp)


_SAID: Final = Holds(fields=frozenset({"role", "content", "tool_calls", "tool_call_id", "parts"}))


def _all_said(told: Told) -> set[bytes]:
    """What is said in any branch, by whom; not when, or what else is known of it."""
    ways = (told.messages, *told.branches.values())
    return {
        canonical(each, _SAID) if isinstance(each, Message) else each.reason.encode()
        for way in ways
        for each in way
    }


def _worth(place: _Place) -> tuple[int, int, str]:
    return place.listed.messages, place.listed.last_us or 0, place.group


def _shown(listed: Listed) -> Shown:
    title, extra = told_about(listed.about)
    info = ConversationInfo(
        id=listed.id,
        messages=listed.messages,
        first_at=moment_of(listed.first_us),
        last_at=moment_of(listed.last_us),
        title=title or None,
        extra=extra or None,
    )
    return Shown(info, listed.branches)
