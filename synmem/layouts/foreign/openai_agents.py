"""OpenAI Agents' sessions: an item of the Responses API a row, in tables that its users name; and
those of `AdvancedSQLiteSession`, which has a table beside that says of which branch each row is.

A time is one of UTC, in seconds; where rows are ordered by it, each has one.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import structs

from synmem.layouts.foreign.openai_agents_items import (
    HOLDS,
    TIMED,
    compact,
    json_of,
    refusal,
    unfold,
)
from synmem.layouts.foreign.placing import between
from synmem.layouts.shapes import (
    Beside,
    Documents,
    Lists,
    Plan,
    Record,
    Rows,
    Sketch,
    Told,
    Whole,
    Write,
)
from synmem.messages import JSONObject, Message, Unreadable, parse_json

TITLE: Final = "OpenAI Agents"


def _time(message: Message) -> str | None:
    """When it was said, as SQLite writes CURRENT_TIMESTAMP."""
    at = message.created_at
    return None if at is None else at.isoformat(" ")[:19]


def _text_between(message: Message, before: Any, behind: Any) -> str:
    """The time of a message between two rows of SQLite's, which may have anything for a time: to
    SQLite, numbers come before all text, and bytes behind it."""
    if isinstance(before, bytes):
        raise ValueError("the time of the message in front of it is a BLOB: no text comes behind")
    if isinstance(behind, int | float):
        raise ValueError("the time of the message behind it is a number: no text comes before")
    now = datetime.now(UTC).isoformat(" ")[:19]
    low, high = (each if isinstance(each, str) else None for each in (before, behind))
    return str(between(_time(message), now, low, high))


def _naive_between(message: Message, before: Any, behind: Any) -> datetime:
    """The time of a message between two rows of PostgreSQL's, in UTC as all of them."""
    for beside in (before, behind):
        if isinstance(beside, str):
            raise ValueError(
                f"the time of the message beside it is none that can be read: {beside}"
            )
    own = message.created_at and message.created_at.replace(tzinfo=None)
    found: datetime = between(own, datetime.now(UTC).replace(tzinfo=None), before, behind)
    return found


def _tells(record: Record) -> bool:
    """Whether there is an item, of whatever kind, or what EncryptedSession makes of one."""
    try:
        item = parse_json(record[0])
    except (ValueError, TypeError):
        return False
    return isinstance(item, dict) and not item.keys().isdisjoint(("role", "type", "__enc__"))


_WRITE: Final = Write(
    fold=lambda message: (json.dumps(json_of(message)), _time(message)),
    refusal=refusal,
    schema={
        "sqlite": (
            """CREATE TABLE IF NOT EXISTS agent_sessions (
                session_id TEXT PRIMARY KEY,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
            )""",
            """CREATE TABLE {table} (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                session_id TEXT NOT NULL,
                message_data TEXT NOT NULL,
                created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                FOREIGN KEY (session_id) REFERENCES agent_sessions (session_id)
                    ON DELETE CASCADE
            )""",
            """CREATE INDEX {table:idx_*_session_id}
            ON {table} (session_id, id)
        """,
        )
    },
    beside={
        "sqlite": Beside(
            table="agent_sessions",
            opens="INSERT OR IGNORE INTO {table} (session_id) VALUES (?)",
            touches="UPDATE {table} SET updated_at = CURRENT_TIMESTAMP WHERE session_id = ?",
            ends="DELETE FROM {table} WHERE session_id = ?",
        )
    },
)

_SQLITE: Final = Rows(
    table="agent_messages",
    any_name=True,
    version="SQLiteSession",
    columns=frozenset({"id", "session_id", "message_data", "created_at"}),
    types={"session_id": frozenset({"text"})},
    without=frozenset({"message_structure"}),
    tells=_tells,
    conversation="session_id",
    order=("id",),
    record=("message_data", "created_at"),
    unfold=lambda record: unfold(*record),
    holds=TIMED,
    write=_WRITE,
)
"""`SQLiteSession` and `AsyncSQLiteSession`, which read a session by id; a message that says no time
has none."""

_ALCHEMY: Final = structs.replace(
    _SQLITE,
    version="SQLAlchemySession",
    types={"session_id": frozenset({"varchar"})},
    order=("created_at", "id"),
    holds=structs.replace(TIMED, stamps=True),
    write=structs.replace(
        _WRITE,
        fold=lambda message: (compact(message), None),
        key=_text_between,
    ),
)
"""`SQLAlchemySession`, which reads a session by time, and of a second by id."""


_POSTGRES: Final = structs.replace(
    _ALCHEMY,
    types={"session_id": frozenset({"character varying", "text"})},
    holds=structs.replace(TIMED, stamps=True, time_us=1),
    write=Write(
        fold=lambda message: (compact(message), None),
        refusal=refusal,
        key=_naive_between,
        schema={
            "postgres": (
                "CREATE TABLE IF NOT EXISTS agent_sessions (\n\tsession_id VARCHAR NOT NULL, "
                "\n\tcreated_at TIMESTAMP WITHOUT TIME ZONE DEFAULT CURRENT_TIMESTAMP NOT NULL, "
                "\n\tupdated_at TIMESTAMP WITHOUT TIME ZONE DEFAULT CURRENT_TIMESTAMP NOT NULL, "
                "\n\tPRIMARY KEY (session_id)\n)",
                "CREATE TABLE {table} (\n\tid SERIAL NOT NULL, \n\tsession_id VARCHAR NOT NULL, "
                "\n\tmessage_data TEXT NOT NULL, "
                "\n\tcreated_at TIMESTAMP WITHOUT TIME ZONE DEFAULT CURRENT_TIMESTAMP NOT NULL, "
                "\n\tPRIMARY KEY (id), \n\tFOREIGN KEY(session_id) REFERENCES agent_sessions "
                "(session_id) ON DELETE CASCADE\n)",
                "CREATE INDEX {table:idx_*_session_time} ON {table} (session_id, created_at)",
            )
        },
        beside={
            "postgres": Beside(
                table="agent_sessions",
                opens="INSERT INTO {table} (session_id) VALUES ($1) ON CONFLICT DO NOTHING",
                touches="UPDATE {table} SET updated_at = CURRENT_TIMESTAMP WHERE session_id = $1",
                ends="DELETE FROM {table} WHERE session_id = $1",
            )
        },
    ),
)
"""The same on PostgreSQL."""

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
        strays="SELECT 'rows of session ' || m.session_id, 'they have no place in a branch, where "
        f"others have one', count(*) FROM {table} AS m WHERE m.id NOT IN (SELECT message_id FROM "
        "message_structure WHERE message_id IS NOT NULL) AND m.session_id IN (SELECT s.session_id "
        "FROM message_structure AS s) GROUP BY m.session_id",
    )


def _unfold_branches(_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    """Each branch has its rows; a session that a plain `SQLiteSession` wrote has none."""
    branches: dict[str, list[Message | Unreadable]] = {}
    for branch, *row in rows["placed"] or rows["plain"]:
        branches.setdefault(str(branch), []).append(_placed(*row))
    current = _MAIN if _MAIN in branches else next(reversed(branches), _MAIN)
    leaf = current if rows["placed"] else None
    return Told(messages=branches.pop(current, []), branches=branches, leaf=leaf)


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

# --- batches --------------------------------------------------------------------------------


def _live(about: JSONObject | None) -> JSONObject:
    """Only what was added since a session was last cleared; at first no record said when."""
    generation = (about or {}).get("_generation", 0)
    if not isinstance(generation, int) or generation == 0:
        return {"generation": {"$in": [0, None]}}
    return {"generation": generation}


def _unfold_batch(document: JSONObject) -> list[Message | Unreadable]:
    """The items that were added at once; before there were batches, one."""
    said: list[Message | Unreadable] = []
    for index, text in enumerate(_batch(document)):
        try:
            said += unfold(text)
        except ValueError as error:
            raw = text if isinstance(text, str) else None
            said.append(Unreadable(f"item {index}", str(error), raw))
    return said


def _batch(document: JSONObject) -> list[Any]:
    texts = document.get("message_data")
    return texts if isinstance(texts, list) else [texts]


def _tells_batch(document: JSONObject) -> bool:
    is_placed = isinstance(document.get("session_id"), str) and "seq" in document
    return is_placed and any(_tells((text,)) for text in _batch(document))


_MONGO: Final = Documents(
    collection="agent_messages",
    database="agents",
    tells=_tells_batch,
    conversation="session_id",
    order=("seq",),
    fields=frozenset({"session_id", "seq", "generation", "message_data"}),
    beside="agent_sessions",
    live=_live,
    single=False,
    unfold=_unfold_batch,
    holds=HOLDS,
)
"""`MongoDBSession`, which passes over what it cannot read."""

# --- Redis ----------------------------------------------------------------------------------

_MESSAGES: Final = ":messages"


def _id_of(rest: str) -> str | None:
    is_list = rest.startswith(":") and rest[1:].endswith(_MESSAGES)
    return rest[1 : -len(_MESSAGES)] if is_list else None


_LISTS: Final = Lists(
    prefix="agents:session",
    id_of=_id_of,
    key_of=lambda id_: f":{id_}{_MESSAGES}",
    tells=lambda item: _tells((item,)),
    unfold=unfold,
    holds=HOLDS,
    fold=lambda message: compact(message).encode(),
    refusal=refusal,
    hash_of=lambda id_: f":{id_}",
)
"""`RedisSession`."""

SHAPES: Final = {
    "mongo": (_MONGO,),
    "postgres": (_POSTGRES,),
    "redis": (_LISTS,),
    "sqlite": (_SQLITE, _ALCHEMY, _BRANCHES),
}
