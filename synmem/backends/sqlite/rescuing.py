"""What can still be read of a damaged SQLite file: everything on sound pages.

Rows are found twice. By ranges of their numbers: a range that cannot be read is read from both ends
up to what stops it, and what is between is halved, down to single rows. And by the index, which
also knows the numbers, and whose, of rows that lie on damaged pages. What the index knows and no
page gives is `Unreadable` in its place; numbers of which nobody knows whether they were rows are
named as `Damage`. The bytes of a page are left to SQLite: what it does not take for a row is none.
"""

import asyncio
import sqlite3
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

from synmem.backends.sqlite.errors import code_of, translating
from synmem.backends.sqlite.ids import NotUtf8, shown, text_or_bytes
from synmem.backends.sqlite.place import Place
from synmem.errors import Unsupported
from synmem.finishing import to_its_end
from synmem.layouts.own.beside import read_description
from synmem.messages import STRAY, Damage, Holds, Message, Unreadable, chunks
from synmem.store import ConversationInfo, Page

_BAD: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB}
_MOST_RANGES: Final = 1_000_000
"""So many are tried: a number that damage made may be very large."""

_MOST_NAMED: Final = 1_000
_DAMAGED: Final = "damaged"
_UNREAD: Final = "cannot be read, as far as there were any"
_LOST: Final = "its row lies on a damaged page"
_WHERE: Final = "it lies on a damaged page"
_LARGEST: Final = 2**63 - 1

Rows = list[tuple[Any, ...]]


class Rescued:
    """A store of what can be read; see `Store` for what its methods promise. It only reads."""

    def __init__(self, place: Place, *, page_size: int) -> None:
        file, shape = place.file, place.shape
        if file.connection is None or not (shape.numbered or shape.key != "id"):
            raise Unsupported(f"{file.path}: its rows have no numbers by which to rescue them")
        self.name = str(file.path)
        self.holds: Holds = place.table.holds
        self._file = file
        self._table = place.table
        self._key = shape.key
        self._page_size = page_size
        self._found: _Found | None = None

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`."""
        found = await self._look()
        names = sorted(found.rows, key=str.encode)
        if ids is not None:
            names = [name for name in dict.fromkeys(ids) if name in found.rows]
        for some in chunks(names, self._page_size):
            yield await self._in_thread(partial(self._infos, some, details))

    async def read(self, conversations: Sequence[str]) -> AsyncIterator[Page]:
        """See `Store.read`: whole conversations, from the first message on."""
        found = await self._look()
        for name in dict.fromkeys(conversations):
            numbers = found.rows.get(name, array("q"))
            for some in chunks(numbers, self._page_size):
                items = await self._in_thread(partial(self._items, name, some))
                yield Page(name, items, partial(_number_at, some))

    async def damage(self) -> list[Damage]:
        """Rows that cannot be read and of which nobody knows whose they are, and strays."""
        found = await self._look()
        lost = [
            Damage(_DAMAGED, f"row {low}" if low == high else f"rows {low} to {high}", _UNREAD)
            for low, high in found.lost
        ]
        strays = [
            Damage(STRAY, f"row {number}", "its conversation_id names none")
            for number in found.strays
        ]
        of_index = Damage(_DAMAGED, "index", "what the index says cannot be read whole")
        return (lost + strays)[:_MOST_NAMED] + [of_index] * found.index_is_bad

    async def close(self) -> None:
        """See `Store.close`."""

    async def _look(self) -> "_Found":
        if self._found is None:
            self._found = await self._in_thread(lambda db: _Found(db, self._key))
        return self._found

    async def _in_thread(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Work on a connection of its own, which an interrupt ends."""
        with translating(self.name, temporary=True):
            db = sqlite3.connect(self._file.uri_to_read(), uri=True, check_same_thread=False)
            with closing(db):
                db.execute("PRAGMA query_only=ON")
                db.execute("PRAGMA cell_size_check=ON")
                db.text_factory = text_or_bytes

                def stop() -> None:
                    db.interrupt()
                    db.set_progress_handler(lambda: 1, 1)  # the queries that are still to come

                return await to_its_end(asyncio.to_thread(work, db), hurry=stop)

    def _items(
        self, name: str, numbers: Sequence[int], db: sqlite3.Connection
    ) -> list[Message | Unreadable]:
        columns = ", ".join(self._table.columns)
        key = self._key
        select = f"SELECT {key}, conversation_id, {columns} FROM messages NOT INDEXED WHERE {key}"
        rows: dict[int, tuple[Any, ...]] = {}
        # What lies far apart is sought row by row: others' rows lie between.
        dense = numbers[-1] - numbers[0] < 2 * len(numbers)
        ends = [numbers[0], numbers[-1]]
        if not dense or not _gathered(db, f"{select} BETWEEN ? AND ?", ends, rows):
            for number in numbers:
                if number not in rows:
                    _gathered(db, f"{select} = ?", [number], rows)
        return [self._item(name, number, rows.get(number)) for number in numbers]

    def _item(self, name: str, number: int, row: tuple[Any, ...] | None) -> Message | Unreadable:
        if row is None or shown(row[1]) != name:
            return Unreadable(str(number), f"row {number}: {_LOST}")
        try:
            return self._table.decode(row[2:])
        except ValueError as error:
            return Unreadable(str(number), f"row {number}: {error}")

    def _infos(
        self, names: Sequence[str], details: bool, db: sqlite3.Connection
    ) -> list[ConversationInfo]:
        return [self._info(db, name, details) for name in names]

    def _info(self, db: sqlite3.Connection, name: str, details: bool) -> ConversationInfo:
        count = len(self._found.rows[name]) if self._found else None
        if not details or "title" not in self.holds.conversation_fields:
            return ConversationInfo(id=name, messages=count)
        try:
            there = dict(
                db.execute(
                    "SELECT name, CAST(value AS BLOB) FROM messages_meta "
                    "WHERE conversation_id = ? AND name IN ('title', 'extra')",
                    [name],
                )
            )
        except sqlite3.DatabaseError as error:
            _check_bad(error)
            why = f"its title or extra cannot be read: {_WHERE}"
            return ConversationInfo(id=name, messages=count, unreadable=why)
        told = read_description(there.get("title"), there.get("extra"), _WHERE)
        return ConversationInfo(id=name, messages=count, **told)


class _Found:
    """The numbers of the rows of each conversation, in order, those that are lost among them."""

    def __init__(self, db: sqlite3.Connection, key: str) -> None:
        self._db = db
        self._key = key
        self.rows: dict[str, array[int]] = {}
        self.lost: list[tuple[int, int]] = []
        """Numbers, from the first to the last, that cannot be read and may have been rows."""
        self.strays: list[int] = []
        self.index_is_bad = False
        whose: dict[int, str] = {}
        known = self._by_index()
        unread = self._by_numbers(whose, known)
        for number, name in known.items():
            if number not in whose:
                whose[number] = name
        for number in sorted(whose):
            self.rows.setdefault(whose[number], array("q")).append(number)
        self.lost = [span for span in unread if not self._all_known(span, known)]

    @staticmethod
    def _all_known(span: tuple[int, int], known: dict[int, str]) -> bool:
        low, high = span
        return high - low < len(known) and all(n in known for n in range(low, high + 1))

    # --- by ranges of numbers ---

    def _by_numbers(self, whose: dict[int, str], known: dict[int, str]) -> list[tuple[int, int]]:
        """Note whose every readable row is; the ranges that cannot be read."""
        unread: list[tuple[int, int]] = []
        waiting = [(-_LARGEST - 1, _LARGEST)]
        bound = self._bounds(known)
        for _ in range(_MOST_RANGES):
            if not waiting:
                break
            low, high = waiting.pop()
            if self._reads(low, high, whose, ascending=True):
                continue
            low, high = max(low, bound[0]), min(high, bound[1])
            seen = [n for n in (self._last, low - 1) if n is not None]
            low = max(seen) + 1
            self._reads(low, high, whose, ascending=False)
            if self._last is not None:
                high = min(high, self._last - 1)
            if low > high:
                continue
            if low == high:
                unread.append((low, high))
                continue
            middle = (low + high) // 2
            waiting += [(middle + 1, high), (low, middle)]
        clamped = [(max(low, bound[0]), min(high, bound[1])) for low, high in waiting]
        return _joined([*unread, *clamped])

    def _bounds(self, known: dict[int, str]) -> tuple[int, int]:
        """Between which numbers rows may lie that cannot be read."""
        lows, highs = [1, *known], [0, *known]
        ends = {f"SELECT max({self._key}) FROM messages NOT INDEXED": highs}
        ends["SELECT seq FROM sqlite_sequence WHERE name = 'messages'"] = highs
        ends[f"SELECT min({self._key}) FROM messages NOT INDEXED"] = lows
        for sql, values in ends.items():
            try:
                values += [row[0] for row in self._db.execute(sql) if type(row[0]) is int]
            except sqlite3.OperationalError:  # there is no such table
                continue
            except sqlite3.DatabaseError as error:
                _check_bad(error)
        return min(lows), max(highs)

    def _reads(self, low: int, high: int, whose: dict[int, str], *, ascending: bool) -> bool:
        """Note whose the rows of a range are, from one end up to what stops it; tell whether all
        of it was read. The last that was read is `_last`."""
        self._last: int | None = None
        order = "ASC" if ascending else "DESC"
        try:
            for number, value in self._db.execute(
                f"SELECT {self._key}, conversation_id FROM messages NOT INDEXED "
                f"WHERE {self._key} BETWEEN ? AND ? ORDER BY {self._key} {order}",
                [low, high],
            ):
                # A page of another place may lie here.
                if type(number) is not int or not low <= number <= high:
                    return False
                if self._last is not None and (number > self._last) is not ascending:
                    return False
                self._last = number
                if (name := shown(value)) is None or isinstance(value, NotUtf8):
                    self.strays.append(number)
                else:
                    whose[number] = name
        except sqlite3.DatabaseError as error:
            _check_bad(error)
            return False
        return True

    # --- by the index ---

    def _by_index(self) -> dict[int, str]:
        """The conversations of the rows that an index knows."""
        known: dict[int, str] = {}
        for name in self._indexes():
            for order in ("ASC", "DESC"):
                sql = (
                    f"SELECT {self._key}, conversation_id FROM messages INDEXED BY `{name}` "
                    f"WHERE conversation_id > '' ORDER BY conversation_id {order}, "
                    f"{self._key} {order}"
                )
                rows: dict[int, tuple[Any, ...]] = {}
                whole = _gathered(self._db, sql, [], rows)
                known |= {n: each for n, (_, v) in rows.items() if (each := shown(v)) is not None}
                if whole:
                    return known
                self.index_is_bad = True
        return known

    def _indexes(self) -> Iterator[str]:
        """Those that hold conversation and number, and nothing else: no row is read for them."""
        try:
            for _, name, *_, partial in self._db.execute("PRAGMA index_list(messages)").fetchall():
                columns = self._db.execute(f"PRAGMA index_info(`{name}`)").fetchall()
                if [each[2] for each in columns] == ["conversation_id"] and not partial:
                    yield name
        except sqlite3.DatabaseError as error:
            _check_bad(error)


def _gathered(
    db: sqlite3.Connection, sql: str, values: Sequence[Any], rows: dict[int, tuple[Any, ...]]
) -> bool:
    """The rows of a query, by their numbers, up to what cannot be read; whether that was all."""
    try:
        for row in db.execute(sql, values):
            if type(row[0]) is int:
                rows.setdefault(row[0], row)
    except sqlite3.DatabaseError as error:
        _check_bad(error)
        return False
    return True


def _check_bad(error: sqlite3.DatabaseError) -> None:
    """Raise it again where it is no damage."""
    if code_of(error) not in _BAD:
        raise error


def _number_at(numbers: Sequence[int], index: int) -> str:
    return str(numbers[index])


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if found and found[-1][1] + 1 == low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found
