"""`synmem stats`: how much there is in a store, or in several."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from synmem.cli import render
from synmem.cli.damage import name_strays, name_unreadable
from synmem.cli.options import StoreArgument
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.several import Sources, sources_of
from synmem.errors import StoreNotFound

if TYPE_CHECKING:
    from synmem.messages import JSONObject
    from synmem.operations.derived import IndexFile
    from synmem.operations.stats import Stats
    from synmem.profiles import Profile

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

    In a pipe a line for each number, a tab between its name and its value; of several stores, each
    line says first whose it is.

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
        _table(data)
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
    from synmem.operations.derived import indexes_of
    from synmem.operations.stats import Stats, stats

    name, total, strays = profile.where, Stats(), False
    try:
        async with session.open_profile(profile) as store:
            await session.tell_others(store)
            name, total = store.name, await stats(store)
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
    }


def _flat(data: "JSONObject") -> list[tuple[str, str]]:
    """One row for each number; the messages of each role below those of all."""
    rows = []
    for key, value in data.items():
        if key == "roles":
            rows += [(f"messages {role}", str(count)) for role, count in value.items()]
        elif key == "indexes":
            rows += [(f"index of {each['kind']}", str(each["bytes"])) for each in value]
        else:
            rows.append((key, "" if value is None else str(value)))
    return rows


def _table(data: "JSONObject") -> None:
    from synmem.cli.words import size

    rows = [
        (
            render.visible_line(key.replace("_", " ")),
            f"{int(value):,}" if value.isdecimal() else render.visible_line(value),
        )
        for key, value in _flat({**data, "indexes": []})
    ]
    rows += [
        (f"index of {each['kind']}", f"{size(each['bytes'])}, {render.visible_line(each['path'])}")
        for each in data["indexes"]
    ]
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        render.line(f"{render.visible_line(key).ljust(width)}  {render.visible_line(value)}")


def _compared(rows: "Sequence[JSONObject]") -> None:
    """A row for each of several stores, and one for all."""
    if not rows:
        return
    total: JSONObject = {key: sum(row[key] for row in rows) for key in _NUMBERS}
    total["first_at"] = min((row["first_at"] for row in rows if row["first_at"]), default=None)
    total["last_at"] = max((row["last_at"] for row in rows if row["last_at"]), default=None)
    cells = [_cells(row["store"], row) for row in rows]
    titles = ["store", "conversations", "messages", "characters", "tokens", "first", "last"]
    render.table(titles, [*cells, _cells("all", total)], right=[1, 2, 3, 4])


def _cells(name: str, data: "JSONObject") -> list[str]:
    """Numbers with commas; of the times the days."""
    days = [(data[key] or "")[:10] for key in ("first_at", "last_at")]
    return [name, *(f"{data[key]:,}" for key in _NUMBERS), *days]
