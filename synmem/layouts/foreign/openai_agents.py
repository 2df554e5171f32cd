"""OpenAI Agents' sessions: an item of the Responses API a row, in tables that its users name; and
those of `AdvancedSQLiteSession`, which has a table beside that says of which branch each row is.

A time is one of UTC, in seconds. A message that says none gets the time at which it is written, as
every row does there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from synmem.layouts.foreign.openai_agents_items import TIMED, unfold
from synmem.layouts.shapes import Plan, Record, Rows, Sketch, Told, Whole
from synmem.messages import Message, Unreadable, parse_json


def _tells(record: Record) -> bool:
    """Whether there is an item, of whatever kind, or what EncryptedSession makes of one."""
    try:
        item = parse_json(record[0])
    except (ValueError, TypeError):
        return False
    return isinstance(item, dict) and not item.keys().isdisjoint(("role", "type", "__enc__"))


_SQLITE: Final = Rows(
    table="agent_messages",
    any_name=True,
    columns=frozenset({"id", "session_id", "message_data", "created_at"}),
    types={"session_id": frozenset({"text"})},
    without=frozenset({"message_structure"}),
    tells=_tells,
    conversation="session_id",
    order=("id",),
    record=("message_data", "created_at"),
    unfold=lambda record: unfold(*record),
    holds=TIMED,
)
"""`SQLiteSession` and `AsyncSQLiteSession`, which read a session by id."""

_ALCHEMY: Final = structs.replace(
    _SQLITE,
    version="SQLAlchemySession",
    types={"session_id": frozenset({"varchar"})},
    order=("created_at", "id"),
)
"""`SQLAlchemySession`, which reads a session by time, and of a second by id."""

# --- branches -------------------------------------------------------------------------------

_MAIN: Final = "main"
"""The branch that a session is on when a program opens it."""


def _plan(sketch: Sketch) -> Plan:
    """The table of the items may have any name."""
    columns = _SQLITE.columns
    named = [name for name, found in sketch.items() if columns <= {*map(str.lower, found)}]
    items = _SQLITE.table if _SQLITE.table in named or not named else named[0]
    table = '"' + items.replace('"', '""') + '"'
    told = f"SELECT m.session_id, {{}}, m.id, m.message_data, m.created_at FROM {table} AS m"
    return Plan(
        listing=f"SELECT session_id AS id FROM {table}",
        queries={
            "placed": f"{told.format('s.branch_id')} JOIN message_structure AS s ON s.message_id "
            "= m.id WHERE m.session_id IN {ids} ORDER BY s.sequence_number, s.id",
            "plain": f"{told.format('NULL')} WHERE m.session_id IN {{ids}} ORDER BY m.id",
        },
    )


def _unfold_branches(_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    """Each branch has its rows; a session that a plain `SQLiteSession` wrote has none."""
    branches: dict[str, list[Message | Unreadable]] = {}
    for branch, *row in rows["placed"] or rows["plain"]:
        branches.setdefault(str(branch), []).append(_placed(*row))
    current = _MAIN if _MAIN in branches else next(reversed(branches), _MAIN)
    return Told(messages=branches.pop(current, []), branches=branches)


def _placed(number: Any, text: Any, created_at: Any) -> Message | Unreadable:
    try:
        (message,) = unfold(text, created_at)
    except ValueError as error:
        said = text if isinstance(text, str) else None
        return Unreadable(str(number), f"row {number}: {error}", said)
    return message


_BRANCHES: Final = Whole(
    tables={
        "message_structure": frozenset({"session_id", "message_id", "branch_id", "sequence_number"})
    },
    version="AdvancedSQLiteSession",
    plan=_plan,
    unfold=_unfold_branches,
    holds=TIMED,
)
"""`AdvancedSQLiteSession`, which sees no row that has no place in a branch."""

SHAPES: Final = {"sqlite": (_SQLITE, _ALCHEMY, _BRANCHES)}
