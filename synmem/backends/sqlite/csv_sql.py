"""CSV made inside SQLite, for a store that loads it as it is.

SQL makes the lines, but where a row has more than role, content and time: there stand a mark that
nobody can guess, a JSON array of its other columns, and the mark again, and `finished_csv` puts
the metadata in their place. What `MakesCsv.csv` leaves out comes out as None.
"""

import json
import os
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from synmem.layouts.own.sqlite_tables import Table
from synmem.messages import JSONObject, decode_objects, format_time, parse_time

_MARK: Final = os.urandom(16).hex()
_BETWEEN: Final = os.urandom(16).hex()

# Most times; of the others Python is asked.
_DAY: Final = (
    "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    "|(?:0[13578]|1[02])-31)"
)
_TIME: Final = f"[1-9][0-9]{{3}}-{_DAY}T(?:[01][0-9]|2[0-3])(?::[0-5][0-9]){{2}}[.][0-9]{{6}}Z"
_TIMES: Final = re.compile(f"{_TIME}(?:{_MARK}{_TIME})*")

_decode_rows = msgspec.json.Decoder(list[str | None]).decode_lines
_dump = json.JSONEncoder(ensure_ascii=False).encode
_UNUSUAL: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def csv_query(table: Table, marks: str) -> str:
    """A query of these conversations, in order: id, count, last row, times, lines. Its rows come
    along an index, so in the order of their ids."""
    time = "created_at" if "created_at" in table.columns else "NULL"
    times = f"group_concat({time}, '{_MARK}')"
    rest = [c for c in table.columns if c not in ("role", "content", "created_at")]
    # As bytes: where they are not UTF-8, the driver would leave its cursor open.
    return (
        f"SELECT conversation_id, count(*), max(id), CAST({times} AS BLOB), "
        f"CAST(group_concat({_line_sql(time, rest)}, char(10)) AS BLOB) FROM messages "
        f"WHERE conversation_id IN ({marks}) GROUP BY conversation_id ORDER BY conversation_id"
    )


def _line_sql(time: str, rest: Sequence[str]) -> str:
    texts = " || ".join(map(_quoted_sql, ("conversation_id", "role", "content")))
    # JSON takes no BLOB: where one stands in the place of a text, the query fails.
    blobs = " ".join(
        f"WHEN typeof({column}) = 'blob' THEN json_array({column})"
        for column in ("role", "content", time)
    )
    nothing = " AND ".join(f"{column} IS NULL" for column in rest)
    return (
        f"CASE {blobs} ELSE '' END || {texts} || CASE WHEN {nothing} THEN '' "
        f"ELSE '{_MARK}' || json_array({', '.join(rest)}) || '{_MARK}' END || "
        f"',' || coalesce({time}, '')"
    )


def _quoted_sql(column: str) -> str:
    return f"""'"' || replace({column}, '"', '""') || '",'"""


def finished_csv(rows: Sequence[Sequence[Any]]) -> list[bytes | None]:
    """The lines of each conversation of which the query told; or None."""
    try:
        return [*_finished(rows)]
    except _UNUSUAL:
        if len(rows) == 1:
            return [None]
        return [lines for row in rows for lines in finished_csv([row])]


def _finished(rows: Sequence[Sequence[Any]]) -> list[bytes]:
    _check_times([row[-2].decode() for row in rows if row[-2] is not None])
    joined = _BETWEEN.join(row[-1] for row in rows)
    if "\0" in joined:
        raise ValueError("NUL is not for every store")
    if _MARK in joined:
        pieces = joined.split(_MARK)
        pieces[1::2] = _metadata(_decode_rows("\n".join(pieces[1::2])))
        joined = "".join(pieces)
    return [lines + b"\n" for lines in joined.encode().split(_BETWEEN.encode())]


def _check_times(each: Sequence[str]) -> None:
    """ValueError where any of these times is not as `messages.format_time` writes it."""
    times = _MARK.join(each)
    if each and not _TIMES.fullmatch(times):
        for time in times.split(_MARK):
            if format_time(parse_time(time)) != time:
                raise ValueError(f"another program's time: {time}")


def _metadata(rows: Sequence[Sequence[str | None]]) -> list[str]:
    """As it stands in the line of each of these rows, which may have nothing else."""
    nothing = [None] * (len(rows[0]) - 1)
    texts = [row[0] or "" for row in rows if row[1:] == nothing]
    found = decode_objects(texts) if len(texts) == len(rows) else None
    if found is None or not _are_flat(found):
        raise ValueError("it has other fields, or metadata that is not flat")
    return _shown(found)


def _are_flat(found: Sequence[JSONObject]) -> bool:
    keys = {key for each in found for key in each}
    kinds = {type(value) for each in found for value in each.values()}
    return kinds <= {str, int, bool} and "".join(keys).isascii()


def _shown(found: Sequence[JSONObject]) -> list[str]:
    """Each as it stands in a line. They are written as one array with a word between that nobody
    can guess, which takes a third of the time."""
    orders: dict[tuple[str, ...], list[str]] = {}
    items: list[JSONObject | str] = []
    for each in found:
        keys = (*each,)
        if keys not in orders:
            orders[keys] = sorted(keys, key=lambda key: (len(key), key))
        items += ({key: each[key] for key in orders[keys]}, _BETWEEN)
    text = _dump(items[:-1])[1:-1]
    if "\\u0000" in text:
        raise ValueError("NUL is not for every store")
    shown = text.replace('"', '""').split(f', ""{_BETWEEN}"", ')
    return ["" if each == "{}" else f'"{each}"' for each in shown]
