"""A table or view of another framework, as its layout declares it: how statements name it, and its
rows.

Rows are ordered by columns, of which the last numbers them: an integer, and never twice the same in
a conversation. Where nothing promises that, as in a view, their numbers are counted anew for each
query, within their conversation, and the table can only be read.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from synmem.backends.postgres.encoding import NO_ENCODING, bytes_sql
from synmem.backends.postgres.finding import (
    ARRAYS,
    ROW_ID,
    TIMES,
    is_text,
    readable,
)
from synmem.backends.postgres.foreign_ids import IdColumn
from synmem.backends.postgres.odd import ENDS, either, if_text_sql, if_time_sql
from synmem.backends.postgres.opening import Database
from synmem.backends.postgres.table import identifier
from synmem.backends.records import Row
from synmem.layouts.registry import RowsFit
from synmem.layouts.shapes import Record

IDS_A_QUERY: Final = 1000

_INTEGERS: Final = ("smallint", "integer", "bigint")


class ColumnInfo(msgspec.Struct, frozen=True, array_like=True):
    """A column of the table."""

    name: str
    type: str
    required: bool
    """Whether it is never NULL."""
    filled: bool
    """Whether the server gives a value where a new row has none."""
    computed: bool
    """Whether only the server gives it one."""
    default: str | None
    """What that is, as SQL."""
    most: int | None
    """So many characters it has at most, where it says so."""


class Facts(msgspec.Struct, frozen=True):
    """What the server says of a table."""

    kind: str
    """As `pg_class.relkind` has it."""
    columns: list[ColumnInfo]
    indexes: list[tuple[bool, list[str]]]
    """Of each whether no two rows have the same there, and its columns."""
    exact: bool
    """Whether ids that are equal in the collation of their column are the same."""
    watched: str
    """What may do something else than is asked for where a row is written; empty where nothing."""
    refers: str | None
    """The table to which the column of the conversation's id refers, quoted, where it does."""
    encoding: str
    """That of the database."""


class Count(NamedTuple):
    """How many rows a conversation has, and between which numbers they lie."""

    conversation: str
    rows: int
    first: int
    last: int


class ForeignTable:
    """The rows of the table that was found, or that is to be made; queries on them."""

    def __init__(self, database: Database, fit: RowsFit, schema: str | None) -> None:
        """`schema`: where it stands; None, where it is made by its bare name."""
        self.database = database
        self.fit = fit
        self.shape = fit.shape
        self._schema = schema
        self._know(_NOTHING)

    @property
    def name(self) -> str:
        """The table, quoted and with its schema."""
        return self.beside(self.fit.table)

    def beside(self, table: str) -> str:
        """A table that stands beside it."""
        name = identifier(table)
        return name if self._schema is None else f"{identifier(self._schema)}.{name}"

    @property
    def place(self) -> tuple[str, str | None]:
        """Its name and its schema."""
        return self.fit.table, self._schema

    @property
    def path_sql(self) -> list[str]:
        """What lets bare names be found where it is made."""
        if self._schema is None:
            return []
        return [f"SET LOCAL search_path TO {identifier(self._schema)}"]

    async def is_made(self) -> bool:
        """Whether it is there: another program may have made it meanwhile."""
        if not self.facts.columns:
            await self.look()
        return bool(self.facts.columns)

    async def look(self) -> None:
        """Ask what the server says of it."""
        for schema, *told in await self.database.fetch(_LOOK, self.name, self.shape.conversation):
            self._schema = schema  # whatever the search path becomes, it is this one
            self._know(Facts(*told[:1], *map(_parsed, told[1:3], _KINDS), *told[3:]))

    def _know(self, facts: "Facts") -> None:
        shape = self.shape
        self.facts = facts
        self._columns = {column.name: column for column in facts.columns}
        known = {shape.conversation, *shape.order, *shape.record}
        self.others = [each for each in facts.columns if each.name not in known]
        """The columns that the layout does not know."""
        self.id = IdColumn(
            shape.conversation,
            self.type_of(shape.conversation),
            exact=facts.exact,
            most=self.most_of(shape.conversation),
            encoding=facts.encoding,
        )
        *self.keys, self.last = shape.order
        self.is_numbered = self._is_number(self.last)
        """Whether the last column of the order numbers the rows of a conversation."""
        if not self.is_numbered:
            self.keys = [key for key in shape.order if key != ROW_ID]
        self._numbers_all = (True, [self.last]) in facts.indexes
        """Whether no two rows of the table have the same number there."""
        self.is_indexed = self.id.is_native and any(
            columns[0] == shape.conversation for _, columns in facts.indexes
        )
        """Whether an index finds the rows of a conversation: else each look is through them all."""
        self.is_swept = self.is_numbered and not self.is_indexed and not self.keys
        """Whether its rows are found by their numbers, and only by these are in their order."""
        self._told = [*self.keys, *shape.record]
        keys = [f"k{n}" for n in range(len(self.keys))]
        self._letters = ["s", "n", *keys, *(f"r{n}" for n in range(len(shape.record)))]
        kinds = [self.type_of(column) for column in self._told]
        self._times = [n for n, kind in enumerate(kinds, 2) if kind in TIMES]
        """Which of what is selected are times."""
        texts = [n for n, kind in enumerate(kinds, 2) if is_text(kind)]
        self._is_all_text = len(texts) == len(kinds) and facts.encoding != NO_ENCODING
        """Whether keys and record are texts, in UTF-8."""
        self._texts = [0, *texts] if facts.encoding == NO_ENCODING else []
        """Which of it are texts that may be no UTF-8."""
        self._arrays = [n for n, kind in enumerate(kinds, 2) if self._texts and kind in ARRAYS]
        """Which of it are arrays of such."""
        self.live = f" AND ({shape.live})" if shape.live else ""

    def default_of(self, column: str) -> str | None:
        """What a column that is never NULL has where a row has no value for it, as SQL."""
        found = self._columns.get(column)
        return None if found is None or not found.required else found.default

    def most_of(self, column: str) -> int | None:
        """How many characters a column has at most; None where it does not say so."""
        found = self._columns.get(column)
        return None if found is None else found.most

    def type_of(self, column: str) -> str:
        """The type of a column, as the server calls it: a cast to it cuts nothing."""
        found = self._columns.get(column)
        return "text" if found is None else found.type

    def _is_number(self, column: str) -> bool:
        """Whether it is an integer that no two rows of a conversation have."""
        found = self._columns.get(column)
        return (
            found is not None
            and found.type in _INTEGERS
            and found.required
            and any(
                unique and column in columns and {*columns} <= {column, self.shape.conversation}
                for unique, columns in self.facts.indexes
            )
        )

    # --- queries ---

    def selected(self, where: str) -> str:
        """A query of rows: `s` is the conversation's id, `n` the number, `k0`... what stands before
        it in the order, `r0`... the record."""
        return f"SELECT {self.columns_sql()} FROM {self.name} WHERE {where}{self.live}"

    def columns_sql(self) -> str:
        """What such a query selects."""
        told = [readable(column, self.type_of(column)) for column in self._told]
        values = [self.id.text, self._number(), *told]
        named = zip(values, self._letters, strict=True)
        return ", ".join(f"{value} AS {letter}" for value, letter in named)

    def _number(self) -> str:
        if self.is_numbered:
            return identifier(self.last)
        # Rows that are equal in all that orders them come as they lie in the table.
        place = {"r": ["ctid"], "m": ["ctid"], "p": ["tableoid", "ctid"]}.get(self.facts.kind, [])
        order = ", ".join([*map(identifier, self.keys), *place])
        ordered = f" ORDER BY {order}" if order else ""
        return f"row_number() OVER (PARTITION BY {self.id.text}{ordered})"

    def order(self, *, reverse: bool = False) -> str:
        """What the rows of a conversation are sorted by; NULL comes last, as a framework sees it
        that says nothing of it."""
        way = "DESC" if reverse else "ASC"
        keys = [f"k{index}" for index in range(len(self.keys))] if self.is_numbered else []
        return ", ".join(f"{key} {way}" for key in (*keys, "n"))

    async def rows_from(
        self, conversation: str, number: int | None, reverse: bool, size: int
    ) -> list[Row]:
        """So many rows of a conversation, all or from the one with this number on."""
        if not await self.is_made():
            return []
        of = self.id.among("$1")
        values: list[Any] = [self.id.values([conversation]), size]
        tail = f"ORDER BY {self.order(reverse=reverse)} LIMIT $2"
        if number is None:
            return await self.rows("SELECT * FROM ({}) AS found " + tail, of, values)
        sql = f"SELECT * FROM ({{}}) AS found WHERE {self.not_before('$3', reverse=reverse)} {tail}"
        return await self.rows(sql, of, [*values, number])

    def not_before(self, number: str, *, reverse: bool) -> str:
        """The condition that a row, of those that `{}` in the query is, does not come before the
        one of that number, in reading direction."""
        than = "<" if reverse else ">"
        sql = f"n {than}= {number}"
        if not self.is_numbered or not self.keys:
            return sql
        anchor = f"(SELECT {{key}} FROM ({{rows}}) AS one WHERE n = {number})"
        keys = [
            (key, anchor.format(key=key, rows="{}"))
            for key in (f"k{i}" for i in range(len(self.keys)))
        ]
        if all(self._columns[key].required for key in self.keys):
            ours = ", ".join(key for key, _ in keys)
            theirs = ", ".join(at for _, at in keys)
            return f"({ours}, n) {than}= ({theirs}, {number})"  # which an index answers
        for key, at in reversed(keys):
            low, high = (at, key) if reverse else (key, at)
            beyond = f"{key} {than} {at} OR ({low} IS NULL AND {high} IS NOT NULL)"
            sql = f"({beyond} OR ({key} IS NOT DISTINCT FROM {at} AND {sql}))"
        return sql

    async def first_rows(self, ids: Sequence[str], most: int) -> list[Row]:
        """The first so many rows of these conversations, one after another as they are named,
        which is in the order of their bytes."""
        if not await self.is_made():
            return []
        if self.is_indexed:
            return await self._rows_of_each(ids, self.order(), most, most)
        sql = f'SELECT * FROM ({{}}) AS found ORDER BY s COLLATE "C", {self.order()} LIMIT $2'
        return await self.rows(sql, self.id.among("$1"), [self.id.values(ids), most])

    async def end_rows(
        self, ids: Sequence[str], reverse: bool, each: int, connection: Any = None
    ) -> list[Row]:
        """The first or last so many of each of these conversations, one after another; within a
        transaction, over its connection."""
        if not await self.is_made():
            return []
        order = self.order(reverse=reverse)
        if self.is_indexed:
            return await self._rows_of_each(ids, order, each, None, connection)
        ranked = f"SELECT *, row_number() OVER (PARTITION BY s ORDER BY {order}) AS nth"
        sql = f"{ranked} FROM ({{}}) AS found"
        return await self.rows(
            f'SELECT * FROM ({sql}) AS ranked WHERE nth <= $2 ORDER BY s COLLATE "C", nth',
            self.id.among("$1"),
            [self.id.values(ids), each],
            connection,
        )

    async def counts(self, where: str, values: Sequence[Any]) -> list[Count]:
        """How many rows each conversation has of which they fulfil this, in the order of the ids'
        bytes; `$2` in `values` is for how many conversations. Only where the rows are found by
        them, between which numbers these lie."""
        span = "min(n), max(n)" if self.is_swept else "0, 0"
        found = await self.database.fetch(
            f"SELECT s, count(*), {span} FROM ({self.selected(where)}) AS found "
            'GROUP BY s ORDER BY s COLLATE "C" LIMIT $2',
            *values,
        )
        return [Count(*row) for row in found]

    async def numbers_from(self, first: str, most: int) -> list[tuple[str, list[int]]]:
        """The numbers of the first so many rows of the conversations from this one on, in the order
        of their ids' bytes, by conversation."""
        if not await self.is_made():
            return []
        rows = self.selected(f'{self.id.text} COLLATE "C" >= $1 AND {self.id.readable}')
        # In one collation: what is sorted already is not hashed and sorted once more.
        some = f'SELECT s COLLATE "C" AS s, n FROM ({rows}) AS found ORDER BY 1, 2 LIMIT $2'
        return [
            (name, numbers)
            for name, numbers in await self.database.fetch(
                f"SELECT s, array_agg(n) FROM ({some}) AS swept GROUP BY s ORDER BY s",
                first,
                most,
            )
        ]

    async def numbered_columns(
        self, ids: Sequence[str], numbers: Sequence[int]
    ) -> list[tuple[str, Sequence[Sequence[Any]]]]:
        """Column by column the records of the rows of these conversations that have these numbers,
        by which they come, by conversation; of a table that has nothing else to order them by. As
        arrays they take a quarter of the work that rows take."""
        number = identifier(self.last)
        some = f"{self.id.among('$1')} AND {number} = ANY($2::bigint[])"
        values: list[Any] = [self.id.values(ids), numbers]
        if self._numbers_all and numbers and (span := _span(numbers)) is not None:
            # No other rows have these: so they are found in two thirds of the time.
            some, values = f"{number} BETWEEN $1::bigint AND $2::bigint", [*span]
        if self._is_all_text:
            told = ", ".join(f"array_agg({each} ORDER BY n)" for each in self._letters[2:])
            sql = f"SELECT s, {told} FROM ({self.selected(some)}) AS found GROUP BY s"
            found = await self.database.fetch(sql, *values)
            return [(name, columns) for name, *columns in found]
        runs: dict[str, list[Record]] = {}
        for row in await self.rows("SELECT * FROM ({}) AS found ORDER BY n", some, values):
            runs.setdefault(row.conversation, []).append(row.record)
        return [(name, [*zip(*records, strict=True)]) for name, records in runs.items()]

    async def _rows_of_each(
        self,
        ids: Sequence[str],
        order: str,
        each: int,
        most: int | None,
        connection: Any = None,
    ) -> list[Row]:
        return await self.rows(
            f"SELECT found.* FROM unnest($1::{self.id.type}[]) AS wanted(id) CROSS JOIN LATERAL "
            f"(SELECT * FROM ({{}}) AS one ORDER BY {order} LIMIT $2) AS found LIMIT $3",
            self.id.equals("wanted.id"),
            [self.id.values(ids), each, most],
            connection,
        )

    async def rows(
        self, sql: str, where: str, values: Sequence[Any], connection: Any = None
    ) -> list[Row]:
        """The rows of a query, in which `{}` is that of all rows that fulfil this. A time that is
        no datetime is text: one outside the years 1 to 9999, or an infinity; and text that is not
        UTF-8 is bytes."""
        place = connection or self.database
        query = sql.replace("{}", self.selected(where))
        if not self._texts:
            with contextlib.suppress(OverflowError):
                found = await place.fetch(query, *values)
                if not self._has_ends(found):
                    return [self.as_row(row) for row in found]
        found = await place.fetch(self._with_odd(query), *values)
        width = len(self._letters)
        return [self.as_row([*map(either, row[:width], row[width:])]) for row in found]

    def _has_ends(self, rows: Sequence[Any]) -> bool:
        """Whether a time may be infinite: the driver has the first and the last for these."""
        return any(row[n] in ENDS for n in self._times for row in rows)

    def _with_odd(self, query: str) -> str:
        """The same rows, each of the columns twice: then times as text, where they are no datetime,
        and texts as bytes, where they may be no UTF-8."""
        values, others = [*self._letters], ["NULL"] * len(self._letters)
        for n in self._times:
            letter = self._letters[n]
            values[n], others[n] = if_time_sql(letter)
        for n in self._texts:
            values[n], others[n] = "NULL", bytes_sql(self._letters[n])
        for n in self._arrays:
            values[n], others[n] = if_text_sql(self._letters[n])
        return f"SELECT {', '.join([*values, *others])} FROM ({query}) AS told"

    def as_row(self, row: Any) -> Row:
        """What `selected` gives."""
        record = 2 + len(self.keys)
        return Row(row[0], row[1], row[2:record], row[record : record + len(self.shape.record)])


def _span(numbers: Sequence[int]) -> tuple[int, int] | None:
    """The first and the last of numbers of which none is there twice, if all between are there."""
    first, last = min(numbers), max(numbers)
    return (first, last) if last - first + 1 == len(numbers) else None


_NOTHING: Final = Facts("r", [], [], exact=True, watched="", refers=None, encoding="UTF8")
_KINDS: Final = (list[ColumnInfo], list[tuple[bool, list[str]]])


def _parsed(text: str, kind: Any) -> Any:
    return msgspec.json.decode(text, type=kind)


_LOOK: Final = """
SELECT n.nspname::text, c.relkind::text,
    (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, -1), a.attnotnull,
            a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, a.attgenerated <> '',
            pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.atttypmod >= 4 AND a.atttypid
            IN ('bpchar'::regtype, 'varchar'::regtype) THEN a.atttypmod - 4 END
            ) ORDER BY a.attnum)::text
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
            LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT coalesce(json_agg(json_build_array(i.indisunique AND i.indimmediate,
            ARRAY(SELECT a.attname FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, nth)
                JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
                WHERE k.nth <= i.indnkeyatts ORDER BY k.nth))), '[]')::text
        FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
            AND i.indexprs IS NULL),
    NOT EXISTS (SELECT FROM pg_attribute AS a JOIN pg_collation AS o ON o.oid = a.attcollation
        WHERE a.attrelid = c.oid AND a.attname = $2 AND NOT o.collisdeterministic),
    CASE WHEN c.relkind NOT IN ('r', 'p') THEN 'is no ordinary table'
        WHEN EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
            AND t.tgenabled <> 'D') THEN 'has a trigger'
        WHEN EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = c.oid
            AND r.rulename <> '_RETURN' AND r.ev_enabled <> 'D') THEN 'has a rule'
        WHEN EXISTS (SELECT FROM pg_constraint AS f WHERE f.confrelid = c.oid
            AND f.contype = 'f') THEN 'has rows that another table refers to'
        ELSE '' END,
    (SELECT f.confrelid::regclass::text FROM pg_constraint AS f JOIN pg_attribute AS a
        ON a.attrelid = c.oid AND f.conkey = ARRAY[a.attnum]
        WHERE f.conrelid = c.oid AND f.contype = 'f' AND a.attname = $2 LIMIT 1),
    current_setting('server_encoding')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)
"""
