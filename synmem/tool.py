"""What the command line does, from Python. A place is what it takes: a profile's name, a URL or a
path; or a store that is open already.

Nothing here prints, asks or exits: what went wrong is raised, or told in what comes back.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from synmem import backends, folders, profiles
from synmem.errors import CorruptData, Unsupported, UsageError
from synmem.messages import STRAY, Damage
from synmem.profiles import Profile
from synmem.store import Store, SupportsExports

if TYPE_CHECKING:
    from synmem.operations.listing import Match
    from synmem.operations.moving.check import Checked
    from synmem.operations.moving.receipt import Entry
    from synmem.operations.searching.search import Found

Place = str | Path | Store


@contextlib.asynccontextmanager
async def open_store(
    place: str | Path | None = None, *, write: bool = False, config: Path | None = None
) -> AsyncIterator[Store]:
    """The store at a place, closed at the end; without one that of the default profile.

    Without `write` one that is not there is `StoreNotFound`, and nothing is created or changed.
    """
    async with open_profile(_resolved(place, config), write=write) as store:
        yield store


@contextlib.asynccontextmanager
async def open_profile(
    profile: Profile, *, write: bool = False, planning: bool = False
) -> AsyncIterator[Store]:
    """The store of this profile, closed at the end; see `backends.open_store`. Unsupported where
    it is to be written, or that is planned, and is a known program's own."""
    if profile.program is not None and (write or planning):
        raise Unsupported(
            f"{profile.name} is where {profile.program} keeps its own conversations: it is only "
            "read",
            hint=f"`synmem migrate {profile.name} FILE.db` copies them into a file of yours",
        )
    if write and profile.origins.get("db_path") == "default":
        # Nobody named a folder, so nobody has made it.
        folders.private(Path(profile.settings["db_path"]).parent)
    opened = backends.open_store(
        profile.backend, profile.connection(), write=write, planning=planning
    )
    async with opened as store:
        yield store


def _resolved(place: str | Path | None, config: Path | None = None) -> Profile:
    if isinstance(place, Path):  # a path, also where a profile is called so, or it has a ?
        return profiles.from_address(f"file://{quote(os.fsencode(place.absolute()))}")
    return profiles.resolve(place, config)


def _opened(place: Place, *, write: bool = False) -> contextlib.AbstractAsyncContextManager[Store]:
    if isinstance(place, str | Path):
        return open_store(place, write=write)
    return contextlib.nullcontext(place)


# --- moving ---------------------------------------------------------------------------------


class Migrated(msgspec.Struct, frozen=True):
    """What `migrate` did: conversations that were looked at, messages written and read back, and
    those that stayed behind; conversations without times, which a filter by time left out; by
    conversation what went wrong; what in the source belongs to no conversation; and which fields
    could not be compared, since one of the two stores lacks them."""

    conversations: int
    written: int
    left: int
    untimed: int
    problems: dict[str, str]
    strays: list[Damage]
    not_compared: list[str]

    @property
    def ok(self) -> bool:
        """Whether the destination now has all that was asked for."""
        return not (self.problems or self.left or self.strays)


async def migrate(
    source: Place,
    dest: Place,
    *,
    match: "Match" = None,
    since: datetime | None = None,
    until: datetime | None = None,
    on_conflict: str = "skip",
    archive: bool = False,
    jobs: int = 2,
) -> Migrated:
    """Copy conversations to another store, read them back and compare.

    Run it again at any time: it goes on where it ended, and doubles nothing. `match` takes globs
    of ids, `since` and `until` (with a zone) the time of the last message. `on_conflict`: what is
    done with a conversation that is another one in the destination; skip, stop, rename or extend
    (to replace it is left to the command, which keeps what gives way for `synmem undo`). An
    `archive` keeps it, and what the source drops, and takes what is new as `ID#LEAF` beside it.
    CorruptData where the source is a file that is cut short or altered: nothing was written.
    """
    from synmem.operations.moving.batch import CONFLICTS
    from synmem.operations.moving.receipt import Ledger
    from synmem.operations.moving.transfer import Options, Transfer

    ways = [way for way in CONFLICTS if way != "replace"]
    if on_conflict not in ways:
        raise UsageError(f"on_conflict={on_conflict!r}", hint=f"one of {', '.join(ways)}")
    if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
        raise UsageError(
            "since and until need a zone", hint="as in datetime(2026, 1, 1, tzinfo=UTC)"
        )
    problems: dict[str, str] = {}

    def tell(entry: "Entry") -> None:
        if entry.kind is not None:
            problems[entry.conversation] = f"{entry.kind}: {entry.problem or ''}"

    async with _opened(source) as ours, _opened(dest, write=True) as theirs:
        label = _resolved(source).name if isinstance(source, str | Path) else source.name
        options = Options(
            match=match,
            since=since,
            until=until,
            on_conflict=on_conflict,
            archive=archive,
            jobs=jobs,
            label=label,
        )
        conversations = written = left = untimed = 0
        not_compared: list[str] = []
        found = await _strays(ours)
        strays = [] if match else found  # what has no id is like none
        for each in await _sources(ours):
            with Ledger() as ledger:
                transfer = Transfer(each, theirs, ledger, options, tell=tell)
                await transfer.copy()
                await transfer.verify()
            conversations += transfer.conversations
            written += transfer.written
            left += transfer.left
            untimed += transfer.untimed
            not_compared = transfer.not_compared
            if transfer.stopped:
                break
    return Migrated(conversations, written, left, untimed, problems, strays, not_compared)


async def _strays(store: Store) -> list[Damage]:
    """Records of no conversation, which harm none; CorruptData where the store is damaged
    otherwise: a line that cannot be read could belong anywhere."""
    from synmem.operations.looking import damage_of, faults

    found = faults(await damage_of(store))
    for each in found:
        if each.kind != STRAY:
            what = f"{store.name} is damaged ({each.kind}): {each.reason}"
            raise CorruptData(f"nothing was written: {what}")
    return found


async def _sources(store: Store) -> list[Store]:
    """The exports in a store, each brought by itself; CorruptData where parts are missing."""
    from synmem.operations.moving.sets import Piece, plan

    if not isinstance(store, SupportsExports):
        return [store]
    found = await store.exports()
    pieces = [Piece(0, i, e.conversations, e.parts, apart=True) for i, e in enumerate(found)]
    plan([store.name], pieces, joined=False, apart=True)  # refuses parts without the others
    return [each.store for each in found]


# --- comparing and searching ----------------------------------------------------------------


class Report(msgspec.Struct, frozen=True):
    """What `check` found: the conversations that are not equal or cannot be read, and what else
    is wrong with the stores."""

    differences: "list[Checked]"
    damage: list[Damage]

    @property
    def ok(self) -> bool:
        """Whether there is nothing of either."""
        return not (self.differences or self.damage)


async def check(
    source: Place, dest: Place | None = None, *, match: "Match" = None, one_way: bool = False
) -> Report:
    """Read a store through, or compare two, message by message.

    The state of a difference is that of the command: `+` only in the source, `-` only in the
    destination, `<` the destination is behind, `>` ahead, `*` different, `!` unreadable. With
    `one_way` nobody looks for what only the destination has.
    """
    from synmem.operations.looking import damage_of, faults
    from synmem.operations.moving.check import Checked, Soundness, check, sound
    from synmem.operations.moving.compare import State

    differences: list[Checked] = []
    async with _opened(source) as ours:
        damage = faults(await damage_of(ours))
        if dest is None:
            async for broken in sound(ours, Soundness(), match=match):
                differences += [
                    Checked(each.conversation_id, State.UNREADABLE, each.reason) for each in broken
                ]
            return Report(differences, damage)
        async with _opened(dest) as theirs:
            damage += faults(await damage_of(theirs))
            damage = [each for each in damage if not (match and each.kind == STRAY)]
            async for found in check(ours, theirs, match=match, one_way=one_way):
                differences += [each for each in found if each.state is not State.EQUAL]
    return Report(differences, damage)


async def search(
    place: Place, text: str, *, conversation: str | None = None, k: int = 5
) -> "Found":
    """The `k` best messages that hold every word, and every "quoted phrase", of a text.

    A large store that is given by its place gets an index in the state folder.
    """
    from synmem.operations.derived import word_file
    from synmem.operations.searching.search import search

    index = word_file(_resolved(place).identity) if isinstance(place, str | Path) else None
    async with _opened(place) as store:
        return await search(store, text, conversation=conversation, k=k, index=index)
