"""The conversations that `ls` found, and what of them is read when they are shown."""

from typing import TYPE_CHECKING, NamedTuple

from synmem.cli import render
from synmem.cli.run import Session
from synmem.cli.words import count
from synmem.errors import SynmemError
from synmem.messages import chunks

if TYPE_CHECKING:
    from synmem.operations.glances import Glance
    from synmem.store import ConversationInfo, Store

_AT_ONCE = 50
"""Rows that are drawn at once: what is read for them beside the list is read for no more."""
_READ = 500


class Listed(NamedTuple):
    """The conversations in their order; of each the store that it was found in, and where there
    are several what that is called; and whether something could not be read."""

    found: "list[ConversationInfo]"
    stores: "list[Store]"
    whose: list[str] | None
    partly: bool
    of: int = 0
    """How many there are, where these are not all."""


async def draw(session: Session, listed: Listed, *, long: bool) -> None:
    """The table on a terminal. What is read for it is read for the rows that are shown: who leaves
    the pager early has no more read."""
    from synmem.cli.screen.columns import cells, terminal_width
    from synmem.cli.screen.conversations import Conversations

    if not listed.found:
        return
    table = Conversations(listed.found, listed.whose, long=long)
    failed: dict[int, SynmemError] = {}
    with render.paged() as out:
        out(table.head())
        for first in range(0, len(listed.found), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            seen = await _glances(listed, some, failed, long=long, titled=table.titled)
            out(table.rows(listed.found[some], first, seen))
    for error in failed.values():  # the list itself is whole
        render.note_error(f"{'sizes and ' if long else ''}first words are left out", error)
    messages = sum(info.messages or 0 for info in listed.found)
    known = all(info.messages is not None for info in listed.found)
    counted = count(max(listed.of, len(listed.found)), "conversation")
    if listed.of > len(listed.found):
        counted = f"{len(listed.found):,} of {counted}"
    elif known:
        counted += f", {count(messages, 'message')}"
    fits = cells(counted) + cells(_next(session)) + 3 <= terminal_width()
    session.hint(f"{counted} · {_next(session)}" if fits else f"{counted}\n{_next(session)}")


def _next(session: Session) -> str:
    """What shows one of them."""
    if session.is_of_several:
        return "synmem show STORE ID"
    return session.typing("show", "ID")


async def _glances(
    listed: Listed, some: slice, failed: dict[int, SynmemError], *, long: bool, titled: bool
) -> "list[Glance | None]":
    """What is read of these rows: of those without a title the first words, with `long` all. A
    store that has `failed` is not asked again."""
    from synmem.operations.glances import glances

    wanted: dict[int, tuple[Store, list[str]]] = {}
    pairs = [*zip(listed.found[some], listed.stores[some], strict=True)]
    for info, store in pairs:
        if id(store) not in failed and (long or (titled and not info.title)):
            wanted.setdefault(id(store), (store, []))[1].append(info.id)
    seen: dict[int, dict[str, Glance]] = {}
    for key, (store, ids) in wanted.items():
        try:
            seen[key] = await glances(store, ids, whole=long)
        except SynmemError as error:
            failed[key] = error
    return [seen.get(id(store), {}).get(info.id) for info, store in pairs]


async def sizes_of(listed: Listed) -> "list[Glance]":
    """What all of them hold, for JSON."""
    from synmem.operations.glances import Glance, glances

    of_store: dict[int, tuple[Store, list[str]]] = {}
    for info, store in zip(listed.found, listed.stores, strict=True):
        of_store.setdefault(id(store), (store, []))[1].append(info.id)
    seen = {
        (key, name): glance
        for key, (store, ids) in of_store.items()
        for some in chunks(ids, _READ)
        for name, glance in (await glances(store, some, whole=True)).items()
    }
    pairs = zip(listed.found, listed.stores, strict=True)
    return [seen.get((id(store), info.id), Glance()) for info, store in pairs]
