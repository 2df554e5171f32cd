"""A PostgreSQL database: its few connections, our tables found or made, its errors as ours.

Everything here bears a pooler in transaction mode (PgBouncer): no prepared statement has a name,
no setting outlives a transaction, no lock a session; types are those that asyncpg knows unasked.
"""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from synmem.backends.patience import ANSWER_S, CONNECT_S
from synmem.backends.postgres.dsn import FORM, for_asyncpg, unknown
from synmem.backends.postgres.errors import translating
from synmem.errors import (
    CorruptData,
    ProfileError,
    StoreError,
    StoreUnavailable,
    Unsupported,
)
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.layouts.own.postgres_rows import COLUMNS, Own
from synmem.masking import mask, mask_text, secrets_of, unquoted

TABLE: Final = "synapsekit_conversations"
MOST_CONNECTIONS: Final = 4
"""So many connections a store has at most, where so many tasks ask at once."""

_BESIDE: Final = ("_meta", "_calls", "_seq")
_MAX_NAME: Final = 63 - max(map(len, _BESIDE))
"""Bytes of a table's name: PostgreSQL cuts longer names, and two could become one."""

_MAKING: Final = 0x73796E6D656D
"""The advisory lock under which tables are made: two that make them at once take turns."""


class Table:
    """Our tables and how statements name them; `made` says whether they are there."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.named = "schema" in settings or "table" in settings
        self.schema: str | None = settings.get("schema")
        self.name: str = settings.get("table", TABLE)
        self.made = False
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
        for key, name, most in (("schema", self.schema, 63), ("table", self.name, _MAX_NAME)):
            if name is not None and ("\x00" in name or not 1 <= len(name.encode()) <= most):
                raise ProfileError(f"{key} is a name of 1 to {most} bytes of UTF-8, without NUL")

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
        return self._quoted("_meta")

    @property
    def calls(self) -> str:
        """The table of the tokens of what was written within the hour."""
        return self._quoted("_calls")

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
        return self._quoted("_seq")

    def _quoted(self, ending: str) -> str:
        name = identifier(self.name + ending)
        return name if self.schema is None else f"{identifier(self.schema)}.{name}"


class Database:
    """The connections to a database, and our tables in it."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.table = Table(settings)
        self.name = _shown(settings)
        self.encoding = "UTF8"
        self._secrets = secrets_of(settings)
        self._dsn = for_asyncpg(settings["dsn"])
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(MOST_CONNECTIONS)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection to oneself, outside any transaction; what is open at the end is undone."""
        async with self._room:
            with translating(self.name, self._secrets):
                connection = await self._connected()
                try:
                    yield connection
                    self._idle.append(connection)
                except (asyncpg.PostgresError, StoreError):
                    await to_its_end(self._settle(connection))
                    raise
                except asyncio.CancelledError:
                    await to_its_end(self._undo(connection))
                    raise
                except BaseException:
                    # Interrupted in the middle of an answer: nobody can tell what comes next.
                    connection.terminate()
                    raise

    async def _connected(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        try:
            return await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_S,
                command_timeout=ANSWER_S,
                statement_cache_size=0,
            )
        except TimeoutError as error:
            raise StoreUnavailable(
                f"{self.name}: no connection within {CONNECT_S:.0f} seconds", hint="try again later"
            ) from error
        except ssl.SSLCertVerificationError:  # which is a ValueError too
            raise
        except (asyncpg.UndefinedObjectError, asyncpg.ProtocolViolationError) as error:
            # PostgreSQL's word for a setting that it does not know, and a pooler's.
            if _NO_SETTING.search(str(error)) is None:
                raise
            raise unknown(self.name, mask_text(str(error), self._secrets)) from error
        except OSError as error:
            if not self._is_of_a_file(error):
                raise
            raise ProfileError(
                f"{self.name}: the files for TLS cannot be used: {error}",
                hint="sslrootcert, sslcert and sslkey name files in PEM form",
            ) from error
        except ValueError as error:
            raise ProfileError(
                f"{self.name}: {mask_text(str(error), self._secrets)}", hint=FORM
            ) from error

    def _is_of_a_file(self, error: OSError) -> bool:
        """Whether a file for TLS that the DSN names is not there, or is none."""
        if isinstance(error, ssl.SSLError):
            return error.library in ("X509", "PEM")
        named = [unquoted(name) for name in _TLS_FILE.findall(self._dsn)]
        return isinstance(error, FileNotFoundError) and not all(map(os.path.exists, named))

    async def _settle(self, connection: Any) -> None:
        """Undo what the statement that failed belongs to, and keep the connection if it is good."""
        try:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
            if not connection.is_closed():
                self._idle.append(connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            connection.terminate()
        except BaseException:
            connection.terminate()
            raise

    async def _undo(self, connection: Any) -> None:
        """Where a statement was cancelled: the server is told, and what it belongs to is rolled
        back. A connection that is only cut off would wait for its locks there, and keep others."""
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await connection.execute("ROLLBACK", timeout=CANCELLED_S)
        connection.terminate()  # the word to the server may come late, and end another statement

    async def look(self) -> None:
        """Find our tables; CorruptData where others stand in their place."""
        table = self.table
        async with self.connection() as connection:
            found = await connection.fetchrow(
                _LOOK, table.rows, [table.name + ending for ending in _BESIDE], [*_NEEDED]
            )
        self.encoding = found["encoding"]
        if found["schema"] is None:
            table.made = False
            return
        columns = {_CITEXT.sub("session_id text", column) for column in found["columns"]}
        missing = {f"{name} {kind}" for name, kind in _NEEDED.items()} - columns
        if missing:
            names = ", ".join(column.partition(" ")[0] for column in found["columns"])
            raise CorruptData(
                f"{self.name}: the table {table.name} is not synmem's (its columns: {names})",
                hint="name another one with ?table=",
            )
        if len(found["beside"]) < len(_BESIDE):
            lacks = sorted({table.name + ending for ending in _BESIDE} - set(found["beside"]))
            raise CorruptData(
                f"{self.name}: beside the table {table.name} there is no {', no '.join(lacks)}",
                hint="restore it from a backup, or name another table with ?table=",
            )
        _tell_apart(table, found["own"])
        table.folds = found["folds"]
        table.schema = found["schema"]  # whatever the search path becomes, it is this one
        table.made = True

    async def make(self) -> None:
        """Make the tables, at the first write; two that do so at once both succeed."""
        if self.table.made:
            return
        if self.encoding != "UTF8":
            raise Unsupported(
                f"{self.name}: the database is in {self.encoding}, which cannot hold every text",
                hint="make one with ENCODING 'UTF8' TEMPLATE template0",
            )
        async with self.connection() as connection:
            await connection.execute(_schema(self.table))
        await self.look()

    async def close(self) -> None:
        """Close the connections; twice is once."""
        idle, self._idle = self._idle, []
        try:
            await to_its_end(self._close(idle), within_s=CANCELLED_S)
        finally:
            for connection in idle:
                if not connection.is_closed():
                    connection.terminate()

    async def _close(self, idle: Sequence[Any]) -> None:
        for connection in idle:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await connection.close(timeout=CONNECT_S)


def identifier(name: str) -> str:
    """A name as SQL has it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL has it, whatever is in it and whatever the server's settings are."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


_NEEDED: Final = {"session_id": "text", "id": "bigint", **COLUMNS}

_CITEXT: Final = re.compile(r"^session_id (.*\.)?citext$")

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


def _tell_apart(table: Table, found: str | None) -> None:
    """Which of the columns that are not ours are carried, and why others are not. Those that are
    generated come back by themselves."""
    columns = msgspec.json.decode(found or "[]", type=list[tuple[str, str, bool, bool, bool]])
    table.hidden = [name for name, _, _, _, seen in columns if not seen]
    table.bound = [name for name, _, _, always, seen in columns if seen and always]
    table.own = [
        Own(name, kind, filled)
        for name, kind, filled, always, seen in columns
        if seen and not always
    ]


def _schema(table: Table) -> str:
    """The statements that make our tables, in one transaction."""
    columns = ", ".join(
        f"{identifier(name)} {kind}" + (" NOT NULL" if name in ("role", "content") else "")
        for name, kind in COLUMNS.items()
    )
    # Ids compare by bytes: the order does not change with the system's locale, nor does the index.
    session = 'session_id text COLLATE "C" NOT NULL'
    return "; ".join(
        (
            "BEGIN",
            f"SELECT pg_advisory_xact_lock({_MAKING})",
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


_NO_SETTING: Final = re.compile("unrecognized configuration parameter|unsupported startup param")
_TLS_FILE: Final = re.compile("[?&]ssl(?:rootcert|cert|key|crl)=([^&#]*)")


def _shown(settings: Mapping[str, Any]) -> str:
    """The store's name: its DSN, masked, and what else says where it is."""
    name = mask(settings["dsn"])
    for key in ("schema", "table"):
        if key in settings:
            name += f"{'&' if '?' in name else '?'}{key}={settings[key]}"
    return name
