"""`synmem stats`: how much there is in a store."""

from typing import TYPE_CHECKING

from synmem.cli import render
from synmem.cli.options import StoreArgument
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import StoreNotFound

if TYPE_CHECKING:
    from synmem.messages import JSONObject
    from synmem.operations.stats import Stats


@command("layout", "branches")
async def stats(session: Session, store: StoreArgument = None) -> int | None:
    """Count conversations, messages, roles and tokens.

    Characters are those of the contents. A token is four characters of what would be sent: content
    or parts, names and tool calls.

    In a pipe a line for each number, a tab between its name and its value.

    \b
    synmem stats chat.db
    synmem stats -p prod --json
    """
    session.at(store)
    name, total, strays = await _counted(session)
    data = _as_dict(name, total)
    if session.json:
        render.json_line(data)
    elif render.is_terminal():
        _table(data)
    else:
        for key, value in _flat(data):
            render.fields(key, value)
    for each in total.unreadable:
        where = f"{each.conversation_id}, message {each.position}"
        render.note(f"{render.visible_line(where)} cannot be read: {each.reason}")
    return PARTLY if total.unreadable or strays else None


async def _counted(session: Session) -> "tuple[str, Stats, bool]":
    """The store's name, what there is, and whether records belong nowhere, which are named."""
    from synmem.cli.damage import name_strays
    from synmem.operations.stats import Stats, stats

    profile = session.resolve()
    try:
        async with session.open_profile(profile) as store:
            await session.tell_others(store)
            return store.name, await stats(store), await name_strays(store)
    except StoreNotFound:
        if not session.nothing_yet(profile):
            raise
        return profile.where, Stats(), False


def _as_dict(name: str, total: "Stats") -> "JSONObject":
    from synmem.messages import format_time

    return {
        "store": name,
        "conversations": total.conversations,
        "messages": total.messages,
        "roles": dict(total.roles.most_common()),
        "characters": total.characters,
        "estimated_tokens": total.estimated_tokens,
        "first_at": format_time(total.first_at) if total.first_at else None,
        "last_at": format_time(total.last_at) if total.last_at else None,
        "unreadable": len(total.unreadable),
    }


def _flat(data: "JSONObject") -> list[tuple[str, str]]:
    """One row for each number; the messages of each role below those of all."""
    rows = []
    for key, value in data.items():
        if key == "roles":
            rows += [(f"messages {role}", str(count)) for role, count in value.items()]
        else:
            rows.append((key, "" if value is None else str(value)))
    return rows


def _table(data: "JSONObject") -> None:
    rows = [
        (
            render.visible_line(key.replace("_", " ")),
            f"{int(value):,}" if value.isdecimal() else render.visible_line(value),
        )
        for key, value in _flat(data)
    ]
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        render.line(f"{render.visible_line(key).ljust(width)}  {render.visible_line(value)}")
