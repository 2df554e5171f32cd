"""`synmem list-conversations`, or `ls`: which conversations a store has."""

import contextlib
import functools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synmem.cli import completing, render
from synmem.cli.listed import Listed, draw, sizes_of
from synmem.cli.options import MatchOption, StoreArgument
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.several import sources_of
from synmem.cli.words import count
from synmem.errors import StoreNotFound, UsageError
from synmem.messages import chunks

if TYPE_CHECKING:
    from datetime import datetime

    from synmem.operations.glances import Glance
    from synmem.operations.listing import Match
    from synmem.profiles import Profile
    from synmem.store import ConversationInfo, Store

FORMATS = ("table", "ids", "json", "jsonl")
SORTS = ("id", "messages", "updated")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_PAGE = 10_000

IdleOption = Annotated[
    str | None,
    typer.Option("--idle", metavar="TIME", help="Only those without a message since: 30d."),
]
SortOption = Annotated[
    str | None,
    typer.Option(
        "--sort", metavar="KEY", autocompletion=completing.one_of(*SORTS),
        help="id, messages (most first) or updated (newest first). [default: updated on a "
        "terminal, id in a pipe]",
    ),
]  # fmt: skip
LimitOption = Annotated[int | None, typer.Option("--limit", metavar="N", help="At most so many.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        autocompletion=completing.one_of(*FORMATS),
        help="table (on a terminal), ids (in a pipe), json or jsonl.",
    ),
]
LongOption = Annotated[
    bool,
    typer.Option(
        "--long", "-l",
        help="First time, last role and size too, in a table or JSON: all is read for that.",
    ),
]  # fmt: skip
NulOption = Annotated[
    bool, typer.Option("-0", "--null", help="A NUL after each id, for xargs -0.")
]  # fmt: skip


@command("layout", "branches", "everywhere", "servers")
async def list_conversations(
    session: Session,
    store: StoreArgument = None,
    match: MatchOption = None,
    idle: IdleOption = None,
    sort: SortOption = None,
    limit: LimitOption = None,
    long: LongOption = False,
    form: FormatOption = None,
    null: NulOption = False,
) -> int | None:
    """List the conversations.

    On a terminal the newest stand first, each with its title, or else with what the user said
    first. In a pipe there is one id a line, sorted.

    \b
    synmem ls chat.db
    synmem ls --match 'user-*' --sort updated --limit 10
    synmem ls -0 --idle 90d | xargs -0 synmem export -o old.jsonl --
    synmem ls --everywhere --sort updated --limit 20
    """
    session.at(store)
    form = _form(session, form, null)
    drawn = form == "table" and render.is_terminal()
    sort = sort or ("updated" if drawn else "id")
    if sort not in SORTS:
        raise UsageError(f"--sort {sort!r}", hint=f"one of {', '.join(SORTS)}")
    if limit is not None and limit < 0:
        raise UsageError("--limit is 0 or more")
    before = _before(idle)
    details = form != "ids" or sort != "id"
    async with contextlib.AsyncExitStack() as opened:
        there: list[int] = []
        cut = functools.partial(_cut, sort=sort, limit=limit, there=there)
        find = functools.partial(
            _found, opened=opened, match=match, before=before, details=details, cut=cut
        )
        listed = (await _listed(session, find, sort, limit))._replace(of=sum(there))
        if not (listed.found or listed.whose or match or before) and limit is None:
            from synmem.cli.empty import tell_empty

            tell_empty(session)
        if drawn:
            code = _name_unreadable(listed.found, listed.whose)
            await draw(session, listed, long=long)
        else:
            sizes = await sizes_of(listed) if long and form in ("json", "jsonl") else None
            await opened.aclose()  # a store is not held while somebody is slow to read
            code = print_conversations(listed.found, form, null, listed.whose, sizes)
    return code or (PARTLY if listed.partly else None)


async def _listed(session: Session, find: "_Find", sort: str, limit: int | None) -> Listed:
    """The conversations of the store, or of several, sorted and limited over all; where they are
    sorted by their ids, store by store."""
    if (several := sources_of(session)) is None:
        found, store, strays = await find(session, session.resolve())
        return Listed(found, [store] * len(found) if store else [], None, strays)
    done, partly = await several.gathered(lambda each: find(each.session, each.profile))
    rows = [
        (info, store, source.label)
        for source, (found, store, _) in done
        if store is not None
        for info in found
    ]
    if sort != "id":
        rows.sort(key=lambda row: _place(row[0], sort))
    rows = rows[:limit]
    partly = partly or any(strays for _, (_, _, strays) in done)
    return Listed(
        [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], partly
    )


def _form(session: Session, form: str | None, null: bool) -> str:
    form = session.json_or(form)
    if form is None:
        form = "table" if render.is_terminal() and not null else "ids"
    if form not in FORMATS:
        raise UsageError(f"--format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    if null and form != "ids":
        raise UsageError(f"-0 prints ids, not {form}")
    return form


def _before(idle: str | None) -> "datetime | None":
    from synmem.cli.times import optional_moment

    return optional_moment(idle, option="--idle")


def _cut(found: "list[ConversationInfo]", sort: str, limit: int | None, there: list[int]) -> None:
    _sort(found, sort)
    there.append(len(found))
    if limit is not None:
        del found[limit:]


_Find = Callable[
    [Session, "Profile"], Awaitable[tuple[list["ConversationInfo"], "Store | None", bool]]
]


async def _found(
    session: Session,
    profile: "Profile",
    *,
    opened: contextlib.AsyncExitStack,
    match: "Match",
    before: "datetime | None",
    details: bool,
    cut: "Callable[[list[ConversationInfo]], None]",
) -> "tuple[list[ConversationInfo], Store | None, bool]":
    """The conversations, their store, which stays open, and whether there are records that belong
    to none, which are named."""
    from synmem.cli.damage import name_strays
    from synmem.operations.listing import listing

    found: list[ConversationInfo] = []
    untimed: list[int] = []
    store, strays = None, False
    pages = functools.partial(listing, match=match, idle_before=before, untimed=untimed.append)
    try:
        opening = session.open_profile(profile, telling=False)
        store = await opened.enter_async_context(opening)
        async for page in pages(store, details=details):
            found += page
        cut(found)
        strays = match is None and await name_strays(store, quiet=session.quiet)
        session.tell_branches(store, [info.id for info in found])
        await session.tell_others(store)
    except StoreNotFound:
        if not session.nothing_yet(profile):
            raise
    note_untimed(session, sum(untimed))
    return found, store, strays


def note_untimed(session: Session, number: int) -> None:
    """What a filter by time could not judge, in a note."""
    if number:
        session.note(f"left out {count(number, 'conversation')} whose last message has no time")


def _sort(found: "list[ConversationInfo]", by: str) -> None:
    found.sort(key=lambda info: info.id)  # code points sort as their UTF-8 does
    if by != "id":
        found.sort(key=lambda info: _place(info, by))


def _place(info: "ConversationInfo", by: str) -> float:
    """Where it stands among others: those with most messages first, or the newest."""
    if by == "messages":
        return -(info.messages or 0)
    return -info.last_at.timestamp() if info.last_at else float("inf")


def print_conversations(
    found: "Sequence[ConversationInfo]",
    form: str,
    null: bool = False,
    whose: Sequence[str] | None = None,
    sizes: "Sequence[Glance] | None" = None,
) -> int | None:
    """Print them in one of FORMATS; PARTLY where an id cannot be printed as it is, or where of a
    conversation something cannot be read, which is named. `whose`: the store of each; `sizes`:
    what JSON says besides."""
    code = _name_unreadable(found, whose)
    if form == "ids":
        return _ids([info.id for info in found], null, whose) or code
    if form == "table":
        _table(found, whose)
    else:
        _json(found, form, whose, sizes)
    return code


def _name_unreadable(
    found: "Sequence[ConversationInfo]", whose: Sequence[str] | None
) -> int | None:
    code = None
    for number, info in enumerate(found):
        if info.unreadable is not None:
            store = f"{whose[number]}: " if whose else ""
            reason = render.visible_line(info.unreadable)
            render.note(f"{store}{render.visible_line(info.id)}: unreadable: {reason}")
            code = PARTLY
    return code


def _ids(ids: list[str], null: bool, whose: Sequence[str] | None) -> int | None:
    """One id a line, or before a NUL each, behind its store and a tab where there are several; what
    would be read as two ids is named instead."""
    breaks = re.compile("\0") if null else _CONTROL
    bad = [each for each in ids if breaks.search(each)] if breaks.search("".join(ids)) else []
    for each in bad:
        why = "holds a NUL" if null else "holds a control character (-0 prints it)"
        render.note(f"left out: {render.visible_line(each)} {why}")
    left_out = set(bad)
    if whose:
        pairs = zip(whose, ids, strict=True)
        lines = [f"{store}\t{each}" for store, each in pairs if each not in left_out]
    else:
        lines = [each for each in ids if each not in left_out] if bad else ids
    end = "\0" if null else "\n"
    shown = render.visible if render.is_terminal() and not null else str
    for some in chunks(lines, _PAGE):
        render.write(shown(end.join(some) + end).encode())
    return PARTLY if bad else None


def _table(found: "Sequence[ConversationInfo]", whose: Sequence[str] | None) -> None:
    """The table in a pipe, nothing cut; on a terminal as it is drawn, without first words."""
    from synmem.cli.times import shown

    if not found:
        return
    if render.is_terminal():
        from synmem.cli.screen.conversations import Conversations

        table = Conversations(found, whose)
        with render.paged() as out:
            out(table.head())
            out(table.rows(found, 0, [None] * len(found)))
        return
    titled = any(info.title for info in found)
    columns = ["conversation", "messages", "first", "last", "title"][: 5 if titled else 4]
    rows = []
    for info in found:
        messages = "" if info.messages is None else f"{info.messages:,}"
        row = [info.id, messages, shown(info.first_at), shown(info.last_at), info.title or ""]
        rows.append(row[: len(columns)])
    if whose:
        rows = [[store, *row] for store, row in zip(whose, rows, strict=True)]
        columns = ["store", *columns]
    render.table(columns, rows, right=[2 if whose else 1])


def _json(
    found: "Sequence[ConversationInfo]",
    form: str,
    whose: Sequence[str] | None,
    sizes: "Sequence[Glance] | None",
) -> None:
    """An array, or a line each; written in pages."""
    array = form == "json"
    encoded = _encoder()
    stores = [{"store": store} for store in whose] if whose else [{}] * len(found)
    more: Sequence[Mapping[str, Any]] = [{}] * len(found)
    if sizes is not None:
        more = [{"last_role": each.last_role, "bytes": each.bytes} for each in sizes]
    if array:
        render.write_json(b"[")
    for number, page in enumerate(chunks([*zip(found, stores, more, strict=True)], _PAGE)):
        lines = [encoded(*each) for each in page]
        if array:
            render.write_json((b",\n" if number else b"") + b",\n".join(lines))
        else:
            render.write_json(b"\n".join(lines) + b"\n")
    if array:
        render.write_json(b"]\n")


_Encoded = Callable[["ConversationInfo", Mapping[str, Any], Mapping[str, Any]], bytes]


def _encoder() -> _Encoded:
    """How a conversation is written as JSON; what it needs is loaded once, not for each."""
    import msgspec

    from synmem.messages import dump_json, format_time

    encode = msgspec.json.Encoder().encode

    def encoded(
        info: "ConversationInfo", store: Mapping[str, Any], more: Mapping[str, Any]
    ) -> bytes:
        data = {
            **store,
            "conversation_id": info.id,
            "messages": info.messages,
            "first_at": format_time(info.first_at) if info.first_at else None,
            "last_at": format_time(info.last_at) if info.last_at else None,
            "title": info.title,
            **more,
        }
        try:
            return encode(data)  # no float is in it: null is null
        except UnicodeEncodeError:
            return dump_json(data)  # a lone surrogate in the title

    return encoded
