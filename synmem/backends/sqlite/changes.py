"""Telling whether an SQLite file, or the rows of a conversation, are what they were.

The file by what the file system says of it and of its WAL: no second descriptor is opened, since
closing one drops the locks that this process has on the file. The rows by a hash of each, which
SQLite sums up: a million take about half a second.
"""

import os
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from synmem.backends.paging import storable
from synmem.backends.sqlite.place import Place
from synmem.messages import chunks
from synmem.store import Position

_SETTLED_S: Final = 2.0
"""File systems tell times no finer than this: what was written so lately may be again, and the
time stay the same."""

_QUERY_CONVERSATIONS: Final = 400  # two values each; SQLite before 3.32 takes 999

_USUAL: Final = 4
"""Role, content, metadata, and time where there is one."""

_PRINT: Final = "synmem_row_print"
"""Of 32 bits, so that the sum over 2**31 rows has 63."""


def version_of(path: Path) -> str | None:
    """What changes with every write to the file; None where the last was just now, or none can be
    told."""
    try:
        file = path.resolve(strict=True)
        told = [_told(file.stat())]
        wal = file.with_name(file.name + "-wal")
        if wal.exists() and (status := wal.stat()).st_size:
            told.append(_told(status))
    except OSError:
        return None
    newest = max(changed for _, changed in told) / 1e9
    if abs(time.time() - newest) < _SETTLED_S:
        return None
    return " ".join(text for text, _ in told)


def _told(status: os.stat_result) -> tuple[str, int]:
    # Of the times one can be set by anybody, and the other by nobody.
    parts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return ":".join(map(str, parts)), max(status.st_mtime_ns, status.st_ctime_ns)


async def prints_of(place: Place, upto: Mapping[str, Position]) -> dict[str, str]:
    """Of the rows of each conversation up to a position: how many, and the sum of their hashes.
    Within a step."""
    file, columns = place.file, place.table.columns
    numbers = {name: place.number_at(position) for name, position in upto.items()}
    lying = await place.values(storable([*numbers]))
    if file.connection is None:
        return {}
    await file.define(_PRINT, zlib.crc32)
    key = f"m.{place.shape.key}"
    row = _row_sql(key, [f"m.{column}" for column in columns])
    found: dict[str, str] = {}
    wanted = list(lying)
    for some in chunks(wanted, _QUERY_CONVERSATIONS):
        values = ", ".join(f"({n}, ?, ?)" for n in range(len(some)))
        rows = await file.rows(
            f"SELECT w.column1, count(*), sum({_PRINT}({row})) FROM (VALUES {values}) AS w "
            f"JOIN messages AS m ON {place.shape.ids.match('w.column2')} AND {key} <= w.column3 "
            "GROUP BY w.column1",
            [value for name in some for value in (lying[name], numbers[name])],
        )
        found.update((some[n], f"{count} {total}") for n, count, total in rows)
    return found


def _row_sql(key: str, columns: Sequence[str]) -> str:
    """A row as one value of bytes: text need not be UTF-8, and each value of a row costs time. So
    the columns that are hardly ever filled are looked at together first."""
    usual, others = columns[:_USUAL], columns[_USUAL:]
    sql = _joined(key, columns)
    if len(others) > 1:
        empty = " AND ".join(f"{column} IS NULL" for column in others)
        sql = f"CASE WHEN {empty} THEN {_joined(key, usual)} ELSE {sql} END"
    return f"CAST({sql} AS BLOB)"


def _joined(key: str, columns: Sequence[str]) -> str:
    return " || char(31) || ".join([key, *(f"ifnull({column}, char(30))" for column in columns)])
