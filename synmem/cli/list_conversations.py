"""`synmem list-conversations`, or `ls`: which conversations a store has."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import render
from synmem.cli.options import MatchOption, StoreArgument
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import count
from synmem.errors import StoreNotFound, UsageError
from synmem.messages import chunks

if TYPE_CHECKING:
    from datetime import datetime

    from synmem.operations.listing import Match
    from synmem.store import ConversationInfo

FORMATS = ("table", "ids", "json", "jsonl")
SORTS = ("id", "messages", "updated")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_PAGE = 10_000

IdleOption = Annotated[
    str | None,
    typer.Option("--idle", metavar="TIME", help="Only those without a message since: 30d."),
]
SortOption = Annotated[
    str,
    typer.Option(
        "--sort", metavar="KEY", help="id, messages (most first) or updated (newest first)."
    ),
]
LimitOption = Annotated[int | None, typer.Option("--limit", metavar="N", help="At most so many.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help="table (on a terminal), ids (in a pipe), json or jsonl.",
    ),
]
NulOption = Annotated[
    bool, typer.Option("-0", "--null", help="A NUL after each id, for xargs -0.")
]  # fmt: skip


@command("layout", "branches")
async def list_conversations(
    session: Session,
    store: StoreArgument = None,
    match: MatchOption = None,
    idle: IdleOption = None,
    sort: SortOption = "id",
    limit: LimitOption = None,
    form: FormatOption = None,
    null: NulOption = False,
) -> int | None:
    """List the conversations.

    \b
    synmem ls chat.db
    synmem ls --match 'user-*' --sort updated --limit 10
    synmem ls -0 --idle 90d | xargs -0 synmem export -o old.jsonl --
    """
    session.at(store)
    form = _form(session, form, null)
    if sort not in SORTS:
        raise UsageError(f"--sort {sort!r}", hint=f"one of {', '.join(SORTS)}")
    if limit is not None and limit < 0:
        raise UsageError("--limit is 0 or more")
    before = _before(idle)
    details = form != "ids" or sort != "id"
    cut = functools.partial(_cut, sort=sort, limit=limit)
    found, strays = await _found(session, match, before, details, cut)
    return print_conversations(found, form, null) or (PARTLY if strays else None)


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


def _cut(found: "list[ConversationInfo]", sort: str, limit: int | None) -> None:
    _sort(found, sort)
    if limit is not None:
        del found[limit:]


async def _found(
    session: Session,
    match: "Match",
    before: "datetime | None",
    details: bool,
    cut: "Callable[[list[ConversationInfo]], None]",
) -> "tuple[list[ConversationInfo], bool]":
    """The conversations; and whether there are records that belong to none, which are named."""
    from synmem.cli.damage import name_strays
    from synmem.operations.listing import listing

    profile = session.resolve()
    found: list[ConversationInfo] = []
    untimed: list[int] = []
    strays = False
    pages = functools.partial(listing, match=match, idle_before=before, untimed=untimed.append)
    try:
        async with session.open_profile(profile) as store:
            async for page in pages(store, details=details):
                found += page
            cut(found)
            strays = match is None and await name_strays(store)
            session.tell_branches(store, [info.id for info in found])
            await session.tell_others(store)
    except StoreNotFound:
        if not session.nothing_yet(profile):
            raise
    note_untimed(session, sum(untimed))
    return found, strays


def note_untimed(session: Session, number: int) -> None:
    """What a filter by time could not judge, in a note."""
    if number:
        session.note(f"left out {count(number, 'conversation')} whose last message has no time")


def _sort(found: "list[ConversationInfo]", by: str) -> None:
    found.sort(key=lambda info: info.id)  # code points sort as their UTF-8 does
    if by == "messages":
        found.sort(key=lambda info: -(info.messages or 0))
    elif by == "updated":
        found.sort(key=_age)


def _age(info: "ConversationInfo") -> float:
    return -info.last_at.timestamp() if info.last_at else float("inf")


def print_conversations(
    found: "Sequence[ConversationInfo]", form: str, null: bool = False
) -> int | None:
    """Print them in one of FORMATS; PARTLY where an id cannot be printed as it is, or where of a
    conversation something cannot be read, which is named."""
    code = _name_unreadable(found)
    if form == "ids":
        return _ids([info.id for info in found], null) or code
    if form == "table":
        _table(found)
    else:
        _json(found, form)
    return code


def _name_unreadable(found: "Sequence[ConversationInfo]") -> int | None:
    code = None
    for info in found:
        if info.unreadable is not None:
            reason = render.visible_line(info.unreadable)
            render.note(f"{render.visible_line(info.id)}: unreadable: {reason}")
            code = PARTLY
    return code


def _ids(ids: list[str], null: bool) -> int | None:
    """One id a line, or before a NUL each; what would be read as two ids is named instead."""
    breaks = re.compile("\0") if null else _CONTROL
    bad = [each for each in ids if breaks.search(each)] if breaks.search("".join(ids)) else []
    for each in bad:
        why = "holds a NUL" if null else "holds a control character (-0 prints it)"
        render.note(f"left out: {render.visible_line(each)} {why}")
    if bad:
        left_out = set(bad)
        ids = [each for each in ids if each not in left_out]
    end = "\0" if null else "\n"
    shown = render.visible if render.is_terminal() and not null else str
    for some in chunks(ids, _PAGE):
        render.write(shown(end.join(some) + end).encode())
    return PARTLY if bad else None


def _table(found: "Sequence[ConversationInfo]") -> None:
    from synmem.cli.times import shown

    if not found:
        return
    titled = any(info.title for info in found)
    columns = ["conversation", "messages", "first", "last", "title"][: 5 if titled else 4]
    rows = []
    for info in found:
        messages = "" if info.messages is None else f"{info.messages:,}"
        row = [info.id, messages, shown(info.first_at), shown(info.last_at), info.title or ""]
        rows.append(row[: len(columns)])
    render.table(columns, rows, right=[1])


def _json(found: "Sequence[ConversationInfo]", form: str) -> None:
    """An array, or a line each; written in pages."""
    array = form == "json"
    encoded = _encoder()
    if array:
        render.write_json(b"[")
    for number, page in enumerate(chunks(found, _PAGE)):
        lines = [encoded(info) for info in page]
        if array:
            render.write_json((b",\n" if number else b"") + b",\n".join(lines))
        else:
            render.write_json(b"\n".join(lines) + b"\n")
    if array:
        render.write_json(b"]\n")


def _encoder() -> "Callable[[ConversationInfo], bytes]":
    """How a conversation is written as JSON; what it needs is loaded once, not for each."""
    import msgspec

    from synmem.messages import dump_json, format_time

    encode = msgspec.json.Encoder().encode

    def encoded(info: "ConversationInfo") -> bytes:
        data = {
            "conversation_id": info.id,
            "messages": info.messages,
            "first_at": format_time(info.first_at) if info.first_at else None,
            "last_at": format_time(info.last_at) if info.last_at else None,
            "title": info.title,
        }
        try:
            return encode(data)  # no float is in it: null is null
        except UnicodeEncodeError:
            return dump_json(data)  # a lone surrogate in the title

    return encoded
