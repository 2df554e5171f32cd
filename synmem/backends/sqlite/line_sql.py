"""Interchange lines made inside SQLite, where they come out byte for byte as Python makes them.

SQL makes a line of `conversation_id`, `role` and `content`. Behind it, where a row has more, stand
a mark, a JSON array of its other columns, and the mark again (`line_sql`); JSON text holds no raw
control characters, so the mark and the newline stand for themselves. `finished` puts what the
layout reads from those columns into the lines. Whatever would not be the same comes out as None,
and is for the ordinary way: what cannot be read, what is packed, and what has `null` in it, which
`messages.encode_line` writes in ASCII.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import repeat
from operator import contains
from typing import Any, Final, NamedTuple

import msgspec

from synmem.layouts.own.sqlite_tables import Table
from synmem.layouts.own.synapsekit import RESERVED, parse_metadata
from synmem.messages import (
    MAX_DEPTH,
    JSONObject,
    Message,
    decode_objects,
    format_time,
    refusal,
)

MARK: Final = "\x01"
_BETWEEN: Final = "\x02"
_ROLE, _CONTENT = "some role", "some content"  # of the rows of which only the rest is looked at
_HEAD: Final = len(f'{{"role":"{_ROLE}","content":"{_CONTENT}"')

_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_decode_rows = msgspec.json.Decoder(list[str | None]).decode_lines
_UNUSUAL: Final = (msgspec.MsgspecError, ValueError, RecursionError)

_LINE: Final = "json_object('conversation_id', conversation_id, 'role', role, 'content', content)"


def line_sql(columns: Sequence[str], there: Sequence[str] | None = None) -> str:
    """The expression of a row's line; of these columns the table has those that are `there`."""
    rest = ", ".join(c if there is None or c in there else "NULL" for c in columns[2:])
    return (
        f"CASE WHEN coalesce({rest}, NULL) IS NULL THEN {_LINE} "
        f"ELSE {_LINE} || char(1) || json_array({rest}) || char(1) END"
    )


class Run(NamedTuple):
    """Conversations that are read together: by their ids, or in one sweep where the rows of all
    lie one behind the other, from `low` on."""

    ids: list[str]
    counts: list[int]
    low: int | None

    @property
    def messages(self) -> int:
        """How many rows they have."""
        return sum(self.counts)

    def expected(self) -> list[tuple[str | None, int]]:
        """What the first two columns of a `lines_query` must be."""
        if self.low is not None:
            return [(None, self.messages)]
        return [*zip(self.ids, self.counts, strict=True)]


_SWEPT: Final = 200  # fewer rows are not worth a query of their own


def counts_sql(table: str, marks: str) -> str:
    """Of these conversations, in order: id, count, first and last row. From the index alone."""
    return (
        f"SELECT conversation_id, count(*), min(id), max(id) FROM {table} WHERE conversation_id "
        f"IN ({marks}) GROUP BY conversation_id ORDER BY conversation_id"
    )


def runs_of(
    rows: Iterable[tuple[str, int, int, int]], apart: Collection[str], *, most: int
) -> list[Run]:
    """How to read what `counts_sql` tells of, in order, at most so many rows at once."""
    swept: list[tuple[Run, int]] = []
    for conversation, count, low, high in rows:
        whole = high - low + 1 == count and conversation not in apart
        if whole and swept:
            last, end = swept[-1]
            if last.low is not None and end + 1 == low and end - last.low + 1 + count <= most:
                last.ids.append(conversation)
                last.counts.append(count)
                swept[-1] = last, high
                continue
        swept.append((Run([conversation], [count], low if whole else None), high))
    return _gathered((run for run, _ in swept), most)


def _gathered(runs: Iterable[Run], most: int) -> list[Run]:
    """The same, with what is not worth a sweep put together."""
    found: list[Run] = []
    room = 0
    for run in runs:
        if run.low is not None and run.messages >= min(_SWEPT, most):
            found.append(run)
        elif found and found[-1].low is None and run.messages <= room:
            found[-1].ids.extend(run.ids)
            found[-1].counts.extend(run.counts)
            room -= run.messages
        else:
            found.append(Run(run.ids, run.counts, None))
            room = most - run.messages
    return found


def lines_query(table: str, line: str, run: Run) -> tuple[str, list[Any]]:
    """A query of the lines of all conversations of a run, or of each, and its values: id (or
    NULL), count, lines. Its rows come along an index, so in the order of their ids."""
    # As bytes: where they are not UTF-8, the driver would leave its cursor open.
    select = f"count(*), CAST(group_concat({line}, char(10)) AS BLOB) FROM {table} WHERE "
    if run.low is not None:
        return f"SELECT NULL, {select} id BETWEEN ? AND ?", [run.low, run.low + run.messages - 1]
    marks = ", ".join("?" * len(run.ids))
    by = "GROUP BY conversation_id ORDER BY conversation_id"
    return f"SELECT conversation_id, {select} conversation_id IN ({marks}) {by}", run.ids


def parted(run: Run, texts: Sequence[str]) -> list[str] | None:
    """The lines of each conversation of a run; None where they are not as many as expected."""
    if run.low is None:
        return [*texts]
    [text] = texts
    # A raw newline stands nowhere but between lines, and each begins with its conversation.
    found, begin = [], 0
    for conversation in run.ids[1:]:
        end = text.find(f'\n{{"conversation_id":{_encode(conversation).decode()},', begin)
        found.append(text[begin:end])
        begin = end + 1
        if not begin:
            return None
    found.append(text[begin:])
    counts = [each.count("\n") + 1 for each in found]
    return found if counts == run.counts else None


_PROBED: Final = "".join(map(chr, range(0x180))) + "\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff"


def probe() -> tuple[str, list[str], str]:
    """A query, its values, and what an SQLite must answer that writes JSON as msgspec does."""
    text = _encode(_PROBED).decode()
    line = f'{{"a":{text}}}{MARK}[{text},null]{MARK}'
    made = "json_object('a', column1) || char(1) || json_array(column1, NULL) || char(1)"
    sql = f"SELECT group_concat({made}, char(10)) FROM (VALUES (?1), (?1))"
    return sql, [_PROBED], f"{line}\n{line}"


def finished(table: Table, texts: Sequence[str]) -> list[bytes | None]:
    """The lines of each conversation, or None where they are for the ordinary way."""
    try:
        return [*_finished(table, texts)]
    except _UNUSUAL:
        if len(texts) == 1:
            return [None]
        return [each for text in texts for each in finished(table, [text])]


def _finished(table: Table, texts: Sequence[str]) -> list[bytes]:
    joined = _BETWEEN.join(texts)
    if MARK in joined:
        pieces = joined.split(MARK)
        pieces[1::2] = _rests(table, pieces[1::2])
        pieces[:-1:2] = [line[:-1] for line in pieces[:-1:2]]  # the brace comes with the rest
        joined = "".join(pieces)
    if "null" in joined:
        raise ValueError("null is written the slow way")
    data = joined.encode()
    each = data.split(_BETWEEN.encode()) if len(texts) > 1 else [data]
    return [lines + b"\n" for lines in each]


def _rests(table: Table, arrays: Sequence[str]) -> list[str]:
    """What follows the content in the line of each of these, from the comma to the brace."""
    rows = _decode_rows("\n".join(arrays))
    found = _metadata_of(rows)
    if found is not None:
        lines = _encode_lines(found).decode().split("\n")
        return [f',"metadata":{line}}}' if line != "{}" else "}" for line in lines[:-1]]
    messages = [table.decode((_ROLE, _CONTENT, *row)) for row in rows]
    if not all(m.role is _ROLE and m.content is _CONTENT for m in messages):
        raise ValueError("its role or content is packed")
    return [line[_HEAD:] for line in _encode_lines(messages).decode().split("\n")[:-1]]


def alike(source: Table, dest: Table, texts: Sequence[str]) -> list[bool]:
    """Whether the rows of each conversation can be taken over as they stand: every record is
    readable, any store can hold it, and the destination's layout would write it in this form."""
    arrays = [text.split(MARK)[1::2] for text in texts]
    try:
        return [*_all_alike(source, dest, arrays)]
    except _UNUSUAL:
        return [_is_alike(source, dest, each) for each in arrays]


def _is_alike(source: Table, dest: Table, arrays: Sequence[str]) -> bool:
    try:
        return _all_alike(source, dest, [arrays])[0]
    except _UNUSUAL:
        return False


def _all_alike(source: Table, dest: Table, arrays: Sequence[Sequence[str]]) -> list[bool]:
    """ValueError or one of msgspec's, where any is not."""
    flat = [array for each in arrays for array in each]
    if flat:
        rows = _decode_rows("\n".join(flat))
        found = _metadata_of(rows)
        if found is not None:
            # Only what is nested too deeply can be refused of it, which takes as many brackets.
            deep = [
                each
                for each, (text, *_) in zip(found, rows, strict=True)
                if len(text or "") > MAX_DEPTH
            ]
            messages = [Message(_ROLE, _CONTENT, each) for each in deep]
        else:
            width = len(source.columns) - 2
            messages = [source.decode((_ROLE, _CONTENT, *row[:width])) for row in rows]
            if not all(map(_keeps_form(source, dest), rows, messages)):
                raise ValueError("it would be written in another form")
        if any(map(refusal, messages)):
            raise ValueError("no store can hold it")
    return [True] * len(arrays)


def _keeps_form(source: Table, dest: Table) -> Callable[[Sequence[str | None], Message], bool]:
    """Between these layouts, whether a row is as the second writes the message."""
    if dest.name == "synapsekit":
        return lambda row, message: True
    if source.name != dest.name:  # what is packed in the one has columns in the other
        return lambda row, message: RESERVED not in (parse_metadata(row[0]) or {})
    return lambda row, message: (
        row[1] is None
        or (message.created_at is not None and row[1] == format_time(message.created_at))
    )


def _metadata_of(rows: Sequence[Sequence[str | None]]) -> list[JSONObject] | None:
    """The metadata of rows that have nothing else, all at once; None where that does not do."""
    nothing = [None] * (len(rows[0]) - 1)
    texts = [row[0] for row in rows if row[0] and row[1:] == nothing]
    found = decode_objects(texts) if len(texts) == len(rows) else None
    reserved = found is not None and any(map(contains, found, repeat(RESERVED)))
    return None if reserved else found
