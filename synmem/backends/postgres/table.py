"""A table of messages in a database, and what stands beside it: found or made, and how statements
name it and read its rows."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from synmem import messages as model
from synmem.backends.patience import again
from synmem.backends.postgres.errors import Lost
from synmem.backends.postgres.opening import Database
from synmem.errors import CorruptData, ProfileError, UnknownLayout, Unsupported
from synmem.layouts.own.postgres_rows import Layout, Own, Row
from synmem.messages import Holds, Message
from synmem.store import Position

MAKING_SQL: Final = f"BEGIN; SELECT pg_advisory_xact_lock({0x73796E6D656D})"
"""How a transaction begins in which tables are made: two that make them at once take turns."""

TIMESTAMP: Final = "timestamp with time zone"


class NotOurs(UnknownLayout):
    """The table of that name has other columns."""


class Table:
    """A table of messages in the layout that it is given; `made` says whether it is there."""

    def __init__(self, database: Database, layout: Layout, settings: Mapping[str, Any]) -> None:
        self.database = database
        self.layout = layout
        self.stored_id = layout.stored_id
        """How `session_id` has the id of a conversation."""
        self.shown_id = layout.shown_id
        self.columns = ["session_id", *layout.columns]
        """The columns of a row that is given no id."""
        self.types = {"session_id": "text", "id": "bigint", **layout.columns}
        """The types of all that are ours, by their names and in their order."""
        self.was_named = "schema" in settings or "table" in settings
        self.schema: str | None = settings.get("schema")
        self.name: str = settings.get("table", layout.table)
        self._beside = (layout.meta, layout.calls, layout.sequence)
        self.made = False
        self.encoding = "UTF8"
        """The database's, which may not hold every text."""
        self.folds = False
        """Whether its ids compare otherwise than by their bytes: as citext, or by a collation for
        which two texts are one. Its index is then of no use, and COPY does not know the type."""
        self.own: list[Own] = []
        """Its columns that are not ours, as they were when it was found: those that are written
        and that this role may read."""
        self.bound: list[str] = []
        """Those that nobody may write: an identity that is always the server's to give."""
        self.hidden: list[str] = []
        """Those that this role may not read."""
        # PostgreSQL cuts longer names, and two could become one.
        longest = 63 - max(map(len, self._beside))
        for key, name, most in (("schema", self.schema, 63), ("table", self.name, longest)):
            if name is not None and ("\x00" in name or not 1 <= len(name.encode()) <= most):
                raise ProfileError(f"{key} is a name of 1 to {most} bytes of UTF-8, without NUL")

    # --- how statements name it ---

    @property
    def rows(self) -> str:
        """The table of messages, quoted and with its schema."""
        return self._quoted("")

    @property
    def session(self) -> str:
        """The id of a row's conversation, which compares by its bytes."""
        return self.session_of("")

    def session_of(self, row: str) -> str:
        """The same of a row that a statement names so."""
        column = f"{row}.session_id" if row else "session_id"
        return f'({column}::text COLLATE "C")' if self.folds else column

    @property
    def meta(self) -> str:
        """The table of titles, extras and notes."""
        return self._quoted(self.layout.meta)

    @property
    def calls(self) -> str:
        """The table of the tokens of what was written within the hour."""
        return self._quoted(self.layout.calls)

    @property
    def is_ours_alone(self) -> bool:
        """Whether all that is in a row is in our columns."""
        return not (self.own or self.bound or self.hidden or self.folds)

    @property
    def numbers(self) -> str:
        """The sequence of ids, as `nextval` takes it."""
        return literal(self.sequence)

    @property
    def sequence(self) -> str:
        """The sequence of ids."""
        return self._quoted(self.layout.sequence)

    def _quoted(self, ending: str) -> str:
        name = identifier(self.name + ending)
        return name if self.schema is None else f"{identifier(self.schema)}.{name}"

    # --- what is in its rows ---

    @property
    def encode(self) -> Callable[[Message], Row]:
        """How messages become rows of the table as it is, without session_id and id."""
        return functools.partial(self.layout.encode, self.own)

    @property
    def holds(self) -> Holds:
        """See `Store.holds`."""
        return self.layout.holds(self.own)

    def refusal(self, message: Message) -> str | None:
        """See `Store.refusal`: what no store can hold, and what does not fit into a row."""
        return model.refusal(message) or self.layout.refusal(self.own, message)

    def decode(self, rows: Sequence[Any]) -> list[Message]:
        """The messages of rows that were read as `columns_sql` says; ValueError where any cannot
        be read."""
        return self.layout.decode(self.own, rows)

    def columns_sql(self, *, times_as_text: bool = False) -> str:
        """What is read of the rows that a query names `found`."""
        ours = [
            _ours_sql(name, kind, times_as_text=times_as_text)
            for name, kind in self.layout.columns.items()
        ]
        return ", ".join([self.session, "id", *ours, *map(_own_sql, self.own)])

    def raw_columns_sql(self) -> str:
        """The columns as they are: all that this role may read, without those that are
        generated."""
        own = [*(column.name for column in self.own), *self.bound]
        return ", ".join(map(identifier, [*self.types, *own]))

    # --- whether it is there ---

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a query; none where our tables are not made yet."""
        return await self.database.fetch(sql, *values) if await self.is_made() else []

    async def is_made(self) -> bool:
        """Whether our tables are there: another program may have made them meanwhile."""
        if not self.made:
            await self.look()
        return self.made

    async def has_more(self) -> bool:
        """Whether a bare name finds other tables than ours in this database."""
        ours = [self.name + ending for ending in ("", *self._beside)]
        return bool(await self.database.fetch(_MORE, ours))

    async def look(self) -> None:
        """Find our tables; CorruptData where others stand in their place."""
        names = [self.name + ending for ending in self._beside]
        (found,) = await self.database.fetch(_LOOK, self.rows, names, [*self.types])
        self.encoding = found["encoding"]
        if found["schema"] is None:
            self.made = False
            return
        store = self.database.name
        columns = {_CITEXT.sub("session_id text", column) for column in found["columns"]}
        if {f"{name} {kind}" for name, kind in self.types.items()} - columns:
            there = ", ".join(column.partition(" ")[0] for column in found["columns"])
            raise NotOurs(
                f"{store}: the table {self.name} is not synmem's (its columns: {there})",
                hint="name another one with ?table=",
            )
        if lacks := sorted(set(names) - set(found["beside"])):
            raise CorruptData(
                f"{store}: beside the table {self.name} there is no {', no '.join(lacks)}",
                hint="restore it from a backup, or name another table with ?table=",
            )
        self._tell_apart(found["own"])
        self.folds = found["folds"]
        self.schema = found["schema"]  # whatever the search path becomes, it is this one
        self.made = True

    def _tell_apart(self, found: str | None) -> None:
        """Which of the columns that are not ours are carried, and why others are not. Those that
        are generated come back by themselves."""
        columns = msgspec.json.decode(found or "[]", type=list[tuple[str, str, bool, bool, bool]])
        self.hidden = [name for name, _, _, _, seen in columns if not seen]
        self.bound = [name for name, _, _, always, seen in columns if seen and always]
        self.own = [
            Own(name, kind, filled)
            for name, kind, filled, always, seen in columns
            if seen and not always
        ]

    async def make(self) -> None:
        """Make the tables, at the first write; two that do so at once both succeed."""
        if self.made:
            return
        if self.encoding != "UTF8":
            raise Unsupported(
                f"{self.database.name}: the database is in {self.encoding}, which cannot hold every"
                " text",
                hint="make one with ENCODING 'UTF8' TEMPLATE template0",
            )

        async def step() -> None:
            async with self.database.connection() as connection:
                await connection.execute(_schema(self))

        await again(step, (Lost,))
        await self.look()


def is_time_sql(column: str) -> str:
    """Whether a datetime can be this time."""
    return f"{column} >= '0001-01-01 00:00Z' AND {column} < '10000-01-01 00:00Z'"


def time_as_text_sql(column: str) -> str:
    """A time as `messages.format_time` writes it, and any that no datetime can be in another
    form."""
    return (
        f"CASE WHEN {is_time_sql(column)} THEN to_char({column} AT TIME ZONE 'UTC', "
        f"""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ELSE {column}::text END"""
    )


def _ours_sql(name: str, kind: str, *, times_as_text: bool) -> str:
    column = identifier(name)
    if kind == TIMESTAMP:
        return time_as_text_sql(column) if times_as_text else column
    return f"{column}::text" if kind == "jsonb" else column


def _own_sql(column: Own) -> str:
    """A column that is not ours, as text. A time is the same whatever the session's zone is: two
    servers are compared by it."""
    name = f"found.{identifier(column.name)}"
    return time_as_text_sql(name) if column.type == TIMESTAMP else f"{name}::text"


def identifier(name: str) -> str:
    """A name as SQL has it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL has it, whatever is in it and whatever the server's settings are."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


_CITEXT: Final = re.compile(r"^session_id (.*\.)?citext$")

_MORE: Final = """
SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema' AND pg_table_is_visible(c.oid)
    AND c.relname <> ALL ($1::text[]) LIMIT 1
"""

_LOOK: Final = """
SELECT current_setting('server_encoding') AS encoding, n.nspname::text AS schema,
    EXISTS (SELECT FROM pg_attribute AS a LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
        WHERE a.attrelid = c.oid AND a.attname = 'session_id'
            AND (format_type(a.atttypid, NULL) LIKE '%citext'
                OR to_jsonb(o)->>'collisdeterministic' = 'false')) AS folds,
    ARRAY(SELECT a.attname::text || ' ' || format_type(a.atttypid, NULL) FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS columns,
    ARRAY(SELECT b.relname::text FROM pg_class AS b
        WHERE b.relnamespace = c.relnamespace AND b.relname = ANY($2::text[])) AS beside,
    (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, -1),
            a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
            a.attidentity = 'a', has_column_privilege(c.oid, a.attnum, 'SELECT'))
            ORDER BY a.attnum)::text
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attgenerated = '' AND a.attname <> ALL ($3::text[])) AS own
FROM (SELECT to_regclass($1::text)) AS wanted(oid)
    LEFT JOIN pg_class AS c ON c.oid = wanted.oid
    LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
"""


def _schema(table: Table) -> str:
    """The statements that make our tables, in one transaction."""
    columns = ", ".join(
        f"{identifier(name)} {kind}" + (" NOT NULL" if name in ("role", "content") else "")
        for name, kind in table.layout.columns.items()
    )
    # Ids compare by bytes: the order does not change with the system's locale, nor does the index.
    session = 'session_id text COLLATE "C" NOT NULL'
    return "; ".join(
        (
            MAKING_SQL,
            f"CREATE SEQUENCE IF NOT EXISTS {table.sequence}",
            f"CREATE TABLE IF NOT EXISTS {table.rows} ({session}, id bigint NOT NULL "
            f"DEFAULT nextval({table.numbers}), {columns}, PRIMARY KEY (session_id, id))",
            f"ALTER SEQUENCE {table.sequence} OWNED BY {table.rows}.id",
            f"CREATE TABLE IF NOT EXISTS {table.meta} ({session}, name text NOT NULL, "
            "value text NOT NULL, PRIMARY KEY (session_id, name))",
            f"CREATE TABLE IF NOT EXISTS {table.calls} (token uuid PRIMARY KEY, "
            "at timestamp with time zone NOT NULL DEFAULT now())",
            "COMMIT",
        )
    )


def row_id(position: Position) -> int:
    """The `id` of a row; ValueError where no position of ours looks like that."""
    try:
        number = int(position)
    except ValueError:
        number = 1 << 63
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"not a position of a PostgreSQL store: {position!r}")
    return number
