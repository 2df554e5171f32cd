"""What to do when what was named is not there: where it may be, and what is called almost so."""

import contextlib
import difflib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from synmem.cli import render
from synmem.cli.commands import SHORT_IDS, STORE_FIRST, main_name
from synmem.errors import (
    ConversationNotFound,
    ProfileNotFound,
    StoreNotFound,
    SynmemError,
)
from synmem.masking import mask

if TYPE_CHECKING:
    from synmem.cli.session import Session

_MOST: Final = 10_000
_SECONDS: Final = 1.0
"""So many conversations are looked at, within so long."""
_OFFERED: Final = 3
_TAKES_STORE: Final = frozenset({
    "cat", "clear", "context", "entities", "export", "show", "summarize",
})  # fmt: skip
"""Where a store that is not named is told to be: elsewhere there is nothing yet, or two."""
_ALIKE: Final = 0.6
"""As difflib measures it; of two random UUIDs it is less."""


class _There(NamedTuple):
    """The conversations of a store, with their titles; `whole` where these are all."""

    titles: dict[str, str | None]
    whole: bool


def name_store(session: "Session", error: SynmemError, *stores: Any) -> None:
    """Let the commands of an error's hint name the store that was typed: of these, which a command
    takes as arguments, the one that the error is about."""
    for store in stores:
        if isinstance(store, str) and str(error).startswith(f"{mask(store)}: "):
            session = replace(session, profile=store, typed=True)
    if error.hint:
        error.hint = session.with_stores(error.hint)


async def advise(session: "Session", error: SynmemError, values: Mapping[str, Any]) -> str | None:
    """Let an error say what to do next. The whole id, where an unambiguous beginning of one was
    typed and is enough."""
    name_store(session, error, values.get("source"), values.get("dest"))
    is_lost = isinstance(error, ConversationNotFound | StoreNotFound)
    if is_lost and not session.typed and (hint := _as_store(session, values)):
        error.hint = hint
        return None
    if isinstance(error, StoreNotFound):
        _advise_store(session, error)
    if isinstance(error, ConversationNotFound) and not session.is_of_several:
        return await _near(session, error)
    if isinstance(error, ProfileNotFound) and session.stood_first:
        _advise_order(session, error, values)
    return None


def _advise_order(session: "Session", error: SynmemError, values: Mapping[str, Any]) -> None:
    """Of two arguments the first is a store: they may stand the wrong way round, or be two words to
    look for."""
    from synmem.addresses import is_file

    first = session.profile or ""
    second = values.get("query" if session.command == "search" else "conversation") or ""
    if is_file(second):
        line = shlex.join(["synmem", session.command, second, first])
        error.hint = f"{second} is a file, and the store stands first: `{line}`"
    elif session.command == "search":
        line = shlex.join(["synmem", "search", f"{first} {second}"])
        error.hint = f"to look for both words: `{line}`; {error.hint}"


def _advise_store(session: "Session", error: SynmemError) -> None:
    """Where no store was named, and there is none, one is to be."""
    if session.command in _TAKES_STORE and _is_unnamed(session):
        shown = [shlex.quote(mask(word)) for word in session.line]
        first = main_name(session.command) in STORE_FIRST
        line = " ".join(["synmem", session.command, *([] if first else ["-p"]), "STORE", *shown])
        error.hint = f"no store was named: `{line}`; `synmem discover` finds those that are here"


def _is_unnamed(session: "Session") -> bool:
    """Whether it is the store that there is without any being named."""
    return session.profile is None and session.resolve().origins.get("db_path") == "default"


# --- a store that was taken for a conversation ----------------------------------------------


def _as_store(session: "Session", values: Mapping[str, Any]) -> str | None:
    """How the command takes the store that stands in the line as a conversation."""
    from synmem.addresses import is_address, status
    from synmem.cli.meant import is_store

    for word in _conversations_of(session, values):
        if "\0" in word or word not in session.line:
            continue
        if status(Path(word)) is not None:
            kind, store = "file", word if is_address(word) else f"./{word}"
        elif not is_address(word) and is_store(word, session.config):
            kind, store = "store", word
        else:
            continue
        rest = [*session.line]
        rest.remove(word)
        return f"{word} is a {kind}: {_lines(session.command, store, rest)}"
    return None


def _lines(command: str, store: str, rest: Sequence[str]) -> str:
    shown = [shlex.quote(mask(word)) for word in rest]
    if main_name(command) in STORE_FIRST:
        line = " ".join([f"`synmem {command}", shlex.quote(store), "CONVERSATION", *shown])
        return f"`synmem ls {shlex.quote(store)}` lists it, {line}` takes one of it"
    lacks = not rest and command in ("add", "entities", "clear", "summarize")
    ends = ["CONVERSATION"] if lacks else []
    return " ".join([f"`synmem {command} -p", shlex.quote(store), *shown, *ends]) + "`"


def _conversations_of(session: "Session", values: Mapping[str, Any]) -> list[str]:
    """The conversations that are named as arguments: not the files of options, which are files."""
    if session.command == "search":  # where the one that is named stands behind an option
        return []
    one = values.get("conversation")
    return [*([one] if one else []), *(values.get("conversations") or ())]


# --- ids that are near ----------------------------------------------------------------------


async def _near(session: "Session", error: ConversationNotFound) -> str | None:
    given = error.conversation
    there = await _found_soon(session, given)
    if there.whole and not there.titles:
        error.args = (f"{error}: nothing is in that store",)
        error.hint = _hint_to_fill(session)
        return None
    begin = sorted(each for each in there.titles if given and each.startswith(given))
    if len(begin) == 1 and there.whole and _takes_beginnings(session):
        whole = render.visible_line(begin[0])
        session.note(f"{whole}: the one conversation that begins with {given}")
        return begin[0]
    if near := _nearest(given, there.titles, begin):
        offered = [_shown(each, there.titles[each], given) for each in near]
        error.hint = f"did you mean {' or '.join(offered)}? {error.hint}"
    return None


def _hint_to_fill(session: "Session") -> str:
    if session.resolve().is_only_read:
        return "`synmem discover` finds the stores that are on this machine"
    return f"`{session.typing('add', 'ID', 'TEXT')}` adds a first message"


def _takes_beginnings(session: "Session") -> bool:
    """Whether a person is there, who sees which one was meant; a script's ids are whole."""
    is_person = render.is_terminal() and render.is_terminal(sys.stdin)
    return is_person and main_name(session.command) in SHORT_IDS


async def _found_soon(session: "Session", given: str) -> _There:
    """What is in the store, as far as that can be told soon; titles where no id begins so."""
    import asyncio

    from synmem.tool import open_profile

    there = _There({}, whole=False)
    with contextlib.suppress(TimeoutError, SynmemError):
        async with asyncio.timeout(_SECONDS), open_profile(session.resolve()) as store:
            async for page in store.conversations():
                there.titles.update((info.id, None) for info in page)
                if len(there.titles) > _MOST:
                    return there
            there = there._replace(whole=True)
            if any(each.startswith(given) for each in there.titles):
                return there
            async for page in store.conversations(details=True):
                there.titles.update((info.id, info.title) for info in page)
    return there


def _nearest(given: str, titles: Mapping[str, str | None], begin: Sequence[str]) -> list[str]:
    """Ids that begin so; else those that are alike, have it within, or in their titles."""
    folded = given.casefold()
    found = dict.fromkeys(begin)
    if len(found) < _OFFERED:
        found |= dict.fromkeys(difflib.get_close_matches(given, titles, _OFFERED, _ALIKE))
    if len(folded) > 2:
        found |= dict.fromkeys(each for each in titles if folded in each.casefold())
        found |= dict.fromkeys(
            each for each, title in titles.items() if title and folded in title.casefold()
        )
    return [each for each in found if render.visible_line(each) == each][:_OFFERED]


def _shown(conversation: str, title: str | None, given: str) -> str:
    """An id as it is typed in a shell; with its title, where that has what was looked for."""
    typed = shlex.quote(conversation)
    if not title or given.casefold() not in title.casefold():
        return typed
    return f"{typed} ({render.visible_line(title)[:60]})"
