"""`synmem stats`: how much there is in a store, or in several."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from synmem.cli import render
from synmem.cli.damage import name_strays, name_unreadable
from synmem.cli.options import StoreArgument
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.several import Sources, sources_of
from synmem.cli.words import place
from synmem.errors import StoreNotFound

if TYPE_CHECKING:
    from synmem.messages import JSONObject
    from synmem.operations.derived import IndexFile
    from synmem.operations.stats import Stats
    from synmem.profiles import Profile

_ONLY_JSON = ("months", "largest")
_NUMBERS = ("conversations", "messages", "characters", "estimated_tokens")


class _Counted(NamedTuple):
    """What there is in a store: its name, the numbers, whether records belong nowhere, which were
    named, and the indexes of it that we keep."""

    name: str
    total: "Stats"
    strays: bool
    indexes: "Sequence[IndexFile]"


@command("layout", "branches", "everywhere", "servers")
async def stats(session: Session, store: StoreArgument = None) -> int | None:
    """Count conversations, messages, roles and tokens.

    Characters are those of the contents. A token is four characters of what would be sent: content
    or parts, names and tool calls. The indexes that `search` keeps of a store are named, with their
    sizes.

    On a terminal roles are drawn as bars and months as sparks, and the largest conversations are
    named. In a pipe a line for each number, a tab between its name and its value; of several
    stores, each line says first whose it is.

    \b
    synmem stats chat.db
    synmem stats -p prod --json
    synmem stats --everywhere
    """
    session.at(store)
    if (several := sources_of(session)) is not None:
        return await _of_several(session, several)
    counted = await _counted(session, session.resolve())
    data = _as_dict(counted)
    if session.json:
        render.json_line(data)
    elif render.is_terminal():
        _draw(counted)
    else:
        for row in _flat(data):
            render.fields(*row)
    return PARTLY if name_unreadable(counted.total.unreadable) or counted.strays else None


async def _of_several(session: Session, several: Sources) -> int | None:
    done, partly = await several.gathered(lambda each: _counted(each.session, each.profile))
    rows = [{**_as_dict(counted), "store": source.label} for source, counted in done]
    if session.json:
        render.json_line(rows)
    elif render.is_terminal():
        _compared(rows)
    else:
        for row in rows:
            for key, value in _flat({key: row[key] for key in row if key != "store"}):
                render.fields(row["store"], key, value)
    unreadable = [name_unreadable(each.total.unreadable, f"{s.label}: ") for s, each in done]
    partly = partly or any(unreadable) or any(each.strays for _, each in done)
    return PARTLY if partly else None


async def _counted(session: Session, profile: "Profile") -> _Counted:
    from synmem.cli.progress import progress
    from synmem.operations.derived import indexes_of
    from synmem.operations.stats import Stats, stats
    from synmem.store import SupportsTotal

    name, total, strays = profile.where, Stats(), False
    try:
        async with session.open_profile(profile) as store:
            await session.tell_others(store)
            name = store.name
            with progress(f"Counting {place(name)}", quiet=session.quiet) as bar:
                if bar.watched and isinstance(store, SupportsTotal):
                    bar.expect(await store.total())
                total = await stats(store, bar.advance)
            strays = await name_strays(store, quiet=session.quiet)
    except StoreNotFound:
        if not session.nothing_yet(profile):
            raise
    return _Counted(name, total, strays, indexes_of(profile.identity, profile.file))


def _as_dict(counted: _Counted) -> "JSONObject":
    from synmem.messages import format_time

    total = counted.total
    return {
        "store": counted.name,
        "conversations": total.conversations,
        "messages": total.messages,
        "roles": dict(total.roles.most_common()),
        "characters": total.characters,
        "estimated_tokens": total.estimated_tokens,
        "first_at": format_time(total.first_at) if total.first_at else None,
        "last_at": format_time(total.last_at) if total.last_at else None,
        "unreadable": len(total.unreadable),
        "indexes": [
            {"kind": each.kind, "path": str(each.path), "bytes": each.bytes}
            for each in counted.indexes
        ],
        "months": total.by_month(),
        "largest": [
            {"conversation_id": each.conversation, "title": each.title, "messages": each.messages}
            for each in total.largest
        ],
    }


def _flat(data: "JSONObject") -> list[tuple[str, str]]:
    """One row for each number; the messages of each role below those of all."""
    rows = []
    for key, value in data.items():
        if key == "roles":
            rows += [(f"messages {role}", str(count)) for role, count in value.items()]
        elif key == "indexes":
            rows += [(f"index of {each['kind']}", str(each["bytes"])) for each in value]
        elif key not in _ONLY_JSON:
            rows.append((key, "" if value is None else str(value)))
    return rows


def _draw(counted: _Counted) -> None:
    from synmem.cli.screen.numbers import numbers

    lines = numbers(counted.name, counted.total, counted.indexes)
    render.write("\n".join([*lines, ""]).encode("utf-8", "backslashreplace"))


def _compared(rows: "Sequence[JSONObject]") -> None:
    """A row for each of several stores, and one for all."""
    from synmem.cli.screen.styles import DIM
    from synmem.cli.screen.tables import Column, show_table

    if not rows:
        return
    total: JSONObject = {key: sum(row[key] for row in rows) for key in _NUMBERS}
    total["first_at"] = min((row["first_at"] for row in rows if row["first_at"]), default=None)
    total["last_at"] = max((row["last_at"] for row in rows if row["last_at"]), default=None)
    cells = [*(_cells(row["store"], row) for row in rows), _cells("all", total)]
    columns = [
        Column("store", least=12, middle=True),
        Column("conversations", right=True, goes=1),
        Column("messages", right=True),
        Column("characters", right=True, goes=5),
        Column("tokens", right=True, goes=4),
        Column("first", goes=3, style=DIM),
        Column("last", goes=2, style=DIM),
    ]
    show_table(columns, cells)


def _cells(name: str, data: "JSONObject") -> list[str]:
    """Numbers with commas; of the times the days."""
    days = [(data[key] or "")[:10] for key in ("first_at", "last_at")]
    return [name, *(f"{data[key]:,}" for key in _NUMBERS), *days]
