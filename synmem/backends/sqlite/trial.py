"""Whether an SQLite file takes back what is taken from it, tried out and rolled back.

Its table may have columns, CHECKs, triggers and UNIQUE of somebody's own, of which one only
knows by trying, row for row: where it has none of them, nothing is tried.
"""

import contextlib
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from synmem.backends.paging import storable
from synmem.backends.sqlite.beside import Beside, set_beside
from synmem.backends.sqlite.errors import Refused, code_of
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.ids import shown
from synmem.backends.sqlite.place import IDS_A_QUERY, Place, marks
from synmem.backends.sqlite.writing import insert, last_number, lowest_number
from synmem.layouts.own.beside import read_beside
from synmem.layouts.own.sqlite_tables import OwnTable, Row, SynapseKitTable
from synmem.messages import Conversation, ascii_json, chunks
from synmem.store import Part

ROWS_A_TRIAL: Final = 2000
"""So many are held, and tried out in one transaction: others wait for the lock no longer."""

REFUSALS: Final = {
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_ERROR,  # a trigger calls a function that only its program knows
}

_Differences = Callable[[Sequence[Row]], Awaitable[dict[str, str]]]


class Trial:
    """Removing rows and bringing them back; the caller has the connection to itself."""

    def __init__(self, place: Place, beside: Beside, stored: Mapping[str, Any]) -> None:
        """`stored`: as what each of the conversations lies in the table."""
        self._stored = stored
        self._name = place.name
        self._place = place
        self._file = place.file
        self._table = place.table
        self._beside = beside

    async def refusals(self, rows: Sequence[Row]) -> dict[str, str]:
        """Why the file would not take these messages back, by their conversations; those it would
        not. Rows are in the order of their conversations."""
        return await self._tried(rows, self._differences)

    async def refusals_beside(self, rows: Sequence[Row]) -> dict[str, str]:
        """The same of what lies beside conversations: (conversation, name, JSON)."""
        return await self._tried(rows, self._differences_beside)

    async def refused(
        self, ids: Sequence[str], parts: Sequence[Sequence[Row]]
    ) -> list[tuple[str, int, str]]:
        """Of new rows behind each of these conversations, the first that the file refuses: which
        conversation, which row, why. Those behind it in its part are not looked at."""
        found: list[tuple[str, int, str]] = []
        taken: list[Row] = []
        with contextlib.suppress(
            sqlite3.IntegrityError, Refused
        ):  # others wrote, and what was taken is not
            try:
                await self._file.execute("BEGIN IMMEDIATE")
                number = await last_number(self._place, sum(map(len, parts)))
                for conversation, rows in zip(ids, parts, strict=True):
                    for index, values in enumerate(rows):
                        number += 1
                        row = (number, self._stored[conversation], *values)
                        try:
                            await insert(self._place, [row])
                        except Refused as error:
                            found.append((conversation, index, str(error)))
                            await self._file.execute("DELETE FROM messages WHERE id = ?", [number])
                            break
                        except sqlite3.IntegrityError as error:
                            found.append((conversation, index, f"{self._file.path}: {error}"))
                            await self._go_on(taken)
                            break
                        taken.append(row)
            finally:
                await self._file.rollback()
        return found

    async def _go_on(self, taken: Sequence[Row]) -> None:
        """Where what was refused has ended the transaction, write again what was taken before."""
        assert self._file.connection is not None
        if not self._file.connection.in_transaction:
            await self._file.execute("BEGIN IMMEDIATE")
            await insert(self._place, taken)

    async def _tried(self, rows: Sequence[Row], differences: _Differences) -> dict[str, str]:
        """Where SQLite refuses some together, each half is tried by itself, in a transaction of
        its own: what was refused may have ended the one before."""
        if not rows:
            return {}
        try:
            # Within: whoever is cut off here does not know whether it has begun.
            await self._file.execute("BEGIN IMMEDIATE")
            return await differences(rows)
        except sqlite3.Error as error:
            if code_of(error) not in REFUSALS:
                raise
            why = f"{self._file.path} would not take it back: {error}"
        finally:
            await self._file.rollback()
        ids = [*dict.fromkeys(row[0] for row in rows)]
        if len(ids) == 1:
            return {ids[0]: why}
        front = {*ids[: len(ids) // 2]}
        halves = (
            [row for row in rows if row[0] in front],
            [row for row in rows if row[0] not in front],
        )
        return {
            conversation: why
            for half in halves
            for conversation, why in (await self._tried(half, differences)).items()
        }

    async def _differences(self, rows: Sequence[Row]) -> dict[str, str]:
        """The same, of those with which SQLite has no fault; within a transaction."""
        found: dict[str, str] = {}
        before: list[Row] = []
        again: list[Row] = []
        for row in rows:
            with contextlib.suppress(ValueError):  # nobody removes what cannot be read
                message = self._table.decode(row[2:])
                if why := self._place.refusal(message):
                    found[row[0]] = why
                    continue
                before.append(row)
                again.append(self._table.encode(message))
        await self._delete([row[1] for row in before])
        for name in await self._still_there([row[1] for row in before]):
            found[name] = f"{self._file.path} would not let it go"
        # In front of what is there, as `replace` puts it, then behind all, as `append` does.
        count = len(before)
        for first in (await lowest_number(self._place, count) - count, None):
            start = await last_number(self._place, count) + 1 if first is None else first
            numbers = range(start, start + len(before))
            new = zip(numbers, before, again, strict=True)
            rows = [(n, self._stored[row[0]], *v) for n, row, v in new]
            await insert(self._place, rows, trial=True)
            found |= await self._compared(start, before)
            await self._delete(numbers)
        return found

    async def _delete(self, numbers: Sequence[int]) -> None:
        await self._file.many("DELETE FROM messages WHERE id = ?", [(n,) for n in numbers])

    async def _still_there(self, numbers: Sequence[int]) -> list[str]:
        """The conversations of these rows, those that a trigger has kept."""
        found: list[str] = []
        for some in chunks(numbers, IDS_A_QUERY):
            sql = f"SELECT conversation_id FROM messages WHERE id IN ({marks(some)})"
            found += [str(shown(row[0])) for row in await self._file.rows(sql, some)]
        return found

    async def _compared(self, start: int, before: Sequence[Row]) -> dict[str, str]:
        """What came back otherwise than it had been."""
        columns = ", ".join(("id", "conversation_id", *self._table.columns))
        told = await self._file.rows(
            f"SELECT {columns} FROM messages WHERE id BETWEEN ? AND ?",
            [start, start + len(before) - 1],
        )
        there = {row[0]: row for row in told}
        found: dict[str, str] = {}
        for number, row in enumerate(before, start):
            after = there.get(number)
            if after is None or shown(after[1]) != row[0]:
                found[row[0]] = f"{self._file.path} would not take it back: the row is not there"
            elif name := self._table.differing(row[2:], after[2:]):
                found[row[0]] = (
                    f"{self._file.path} would not take it back as it is: "
                    f"column {name!r} would change"
                )
        return found

    async def _differences_beside(self, rows: Sequence[Row]) -> dict[str, str]:
        """What of the titles, extras and notes would not come back; within a transaction."""
        values: dict[tuple[str, str], Any] = {}
        for conversation, name, text in rows:
            with contextlib.suppress(ValueError):  # nobody removes what cannot be read
                if value := read_beside(name, text):
                    values[conversation, name] = value
        await set_beside(self._file, [(*key, None) for key in values])
        await set_beside(self._file, [(*key, value) for key, value in values.items()], trial=True)
        ids = [*dict.fromkeys(conversation for conversation, _ in values)]
        after = {(row[0], row[1]): row[2] for row in await self._beside.all(ids)}
        return {
            key[0]: f"{self._file.path} would not take back its {key[1]}"
            for key, value in values.items()
            if after.get(key) != ascii_json(value)
        }


class Trials:
    """Whether the file takes what is meant for it; what it takes back of what is removed."""

    def __init__(self, place: Place, beside: Beside) -> None:
        self._name = place.name
        self._place = place
        self._file, self._ids = place.file, place.ids
        self._beside = beside
        self._plainness = Plainness()

    async def refused(
        self, parts: Sequence[Part], encoded: Sequence[Sequence[Row]], error: Refused
    ) -> list[tuple[str, int, str]]:
        """Which of these the file's tables refuse; all, where it is none by itself."""
        ids = [part.conversation.id for part in parts]
        async with self._file.step():
            trial = await self._trial(ids)
            found = await trial.refused(ids, encoded)
        return found or [(conversation, 0, str(error)) for conversation in ids]

    async def _trial(self, ids: Sequence[str]) -> Trial:
        """What tries out rows of these conversations; within a step."""
        return Trial(self._place, self._beside, await self._place.stored(ids))

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: some thousand rows in a transaction."""
        if not self._file.made:
            return {}
        await self._place.make()
        ids = sorted(storable(conversations))
        found = {each: why for each in ids if (why := self._place.id_refusal(Conversation(each)))}
        async with self._file.step():
            if await self._plainness.nothing_refuses(self._file):
                return found
        for chunk in chunks(ids, IDS_A_QUERY):
            async with self._file.step():
                values = await self._place.values(chunk)
            if self._ids.affinity == "BLOB":
                why = f"{self._name} would take it back as text, and its id is a number there"
                found |= {each: why for each, value in values.items() if type(value) is not str}
            await self._try_beside([each for each in chunk if each not in found], found)
            await self._try_rows({i: v for i, v in values.items() if i not in found}, found)
        return found

    async def _try_rows(self, values: dict[str, Any], found: dict[str, str]) -> None:
        """Remove and bring back every row of these conversations (and as what each lies there), and
        note who is refused."""
        left = dict(values)
        order = f"ORDER BY {self._ids.order}, id"
        while left:
            where, given = self._ids.where([*left.values()])
            rows = await self._try_some(f"{where} {order}", given, values, found)
            looked = {row[0] for row in rows}
            # The last one goes on from where it is: the index knows the place.
            while len(rows) == ROWS_A_TRIAL and rows[-1][0] not in found:
                conversation, number = rows[-1][:2]
                where, given = self._ids.where([values[conversation]])
                rest = f"{where} AND id > ? ORDER BY id"
                rows = await self._try_some(rest, [*given, number], values, found)
                looked |= {row[0] for row in rows}
            if not looked:  # the others are gone
                break
            left = {each: value for each, value in left.items() if each not in looked}

    async def _try_some(
        self, where: str, given: Sequence[Any], values: dict[str, Any], found: dict[str, str]
    ) -> list[Row]:
        """The same of the first rows of those; tell which."""
        trial = Trial(self._place, self._beside, values)
        async with self._file.step():
            rows = await self._place.rows(f"{where} LIMIT ?", [*given, ROWS_A_TRIAL])
            found |= await trial.refusals(rows)
        return rows

    async def _try_beside(self, ids: Sequence[str], found: dict[str, str]) -> None:
        """The same of what lies beside them."""
        if self._place.keeps_beside:
            async with self._file.step():
                trial = await self._trial(ids)
                found |= await trial.refusals_beside(await self._beside.all(ids))


class Plainness:
    """Whether nothing in a file could refuse a row; looked at anew where its schema has changed."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._plain = False

    async def nothing_refuses(self, file: File) -> bool:
        """Whether the tables are made exactly as we or SynapseKit make them, and nothing is tied to
        them but plain indexes: no trigger, no UNIQUE, no other table that refers to them."""
        [(version,)] = await file.look("PRAGMA schema_version")
        if version != self._version:
            statements = await file.look(
                "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND "
                "(lower(tbl_name) IN ('messages', 'messages_meta') "
                "OR sql LIKE '%references%messages%')"
            )
            self._plain = all(_is_ours(sql) for (sql,) in statements)
            self._version = version
        return self._plain


def _words(sql: str) -> str:
    """A statement, however it was spaced and written; a table that was renamed is in quotes."""
    return " ".join(re.findall(r"\w+|[^\w\s]", sql.lower().replace('"messages"', "messages")))


_TABLES: Final = {
    _words(sql)
    for sql in (*OwnTable.schema, *SynapseKitTable.schema)
    if sql.startswith("CREATE TABLE")
}
_COLUMN: Final = r"\w+( (asc|desc))?"
_INDEX: Final = re.compile(rf"create index \w+ on \w+ \( {_COLUMN}( , {_COLUMN})* \)")


def _is_ours(sql: str) -> bool:
    words = _words(sql)
    return words in _TABLES or _INDEX.fullmatch(words) is not None
