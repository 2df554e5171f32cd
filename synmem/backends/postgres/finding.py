"""Which table of a PostgreSQL database is of another framework's layout."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from synmem.backends.postgres.encoding import bytes_sql, is_text_sql, text_of
from synmem.backends.postgres.opening import Database
from synmem.backends.postgres.table import identifier
from synmem.errors import AccessDenied, StoreError, StoreUnavailable, UnknownLayout, Unnamed
from synmem.layouts import naming, registry
from synmem.layouts.registry import SAMPLE, Fit, RowsFit, WholeFit
from synmem.layouts.shapes import Rows, Shape, Sketch, Whole

_MOST_TOLD: Final = 20
"""So many tables are named, where none fits."""

ROW_ID: Final = "rowid"
"""What a layout calls the number of a row where no column is that: `ctid` here."""

TIMES: Final = ("timestamp with time zone", "timestamp without time zone", "date")

ARRAYS: Final = ("json[]", "jsonb[]")

_NO_TEXTS: Final = frozenset({
    *TIMES, "boolean", "smallint", "integer", "bigint", "real", "double precision", "numeric",
    "bytea", "uuid", *ARRAYS,
})  # fmt: skip
"""Types that the driver makes something else of than text."""

_AS_THEY_ARE: Final = _NO_TEXTS | {"text", "character varying", "json", "jsonb"}
"""The types that a layout gets as the driver has them: JSON as text, times as datetimes. Others it
gets as text, which the server makes of them: the driver would have to ask for their form."""

Schemas = Mapping[str, Sketch]


class Found(NamedTuple):
    """A table that is of a layout, or that is to be made."""

    fit: Fit
    schema: str | None
    """Where it stands; None: where a new table of a bare name is made."""
    on_path: bool
    """Whether its bare name finds it."""


def _known() -> list[str]:
    return ["synmem", *registry.named("postgres")]


async def find(
    database: Database,
    layout: str | None,
    table: str | None,
    schema: str | None,
    *,
    write: bool,
) -> Found | None:
    """The table of a foreign layout that there is: of the one that is named, in the table or
    schema that is named. None: there is none, and no reason why our own should not be made.

    Unnamed where several could be meant, or none is named and one must be; UnknownLayout where
    tables are there, and none can be read.
    """
    schemas = await _sketch(database, schema)
    found = await _fits(database, schemas, layout, table, on_path=schema is None)
    if len(found) == 1 and not (write and layout is None and _is_writable(found[0])):
        return found[0]
    if found:
        raise unnamed(database.name, found)
    if not write:
        await _check_readable(database, schemas, schema, layout, table)
    seen: Sketch = {name: columns for each in schemas.values() for name, columns in each.items()}
    if layout is not None and (write or not seen):
        shape = _made_as(layout, table)
        if isinstance(shape, Rows) and (table or shape.table) not in seen:
            return Found(RowsFit(layout, shape, table or shape.table), schema, schema is None)
    if layout is None and (write or (table is not None and table not in seen)):
        return None
    if schema is None:
        elsewhere = await _sketch(database, None, elsewhere=True)
        if found := await _fits(database, elsewhere, layout, table):
            raise unnamed(database.name, found, elsewhere=True)
    if layout is None and not seen:
        return None
    there = await _fits(database, schemas, None, None, on_path=schema is None)
    raise _missing(database.name, seen, layout, table, there)


async def others(database: Database) -> list[str]:
    """Tables of other layouts in a database that has our own, and how each is named."""
    found = await _fits(database, await _sketch(database, None), None, None, on_path=True)
    return [f"{each.fit.table}: {_way(each, table=True)}" for each in found]


def _made_as(layout: str, table: str | None) -> Shape:
    """In which shape a layout is made: the one whose table is called so, else its first."""
    shapes = registry.shapes(layout, "postgres")
    named = (each for each in shapes if isinstance(each, Rows) and each.table == table)
    return next(named, shapes[0])


def _is_writable(found: Found) -> bool:
    return isinstance(found.fit, RowsFit) and found.fit.shape.write is not None


def readable(column: str, kind: str) -> str:
    """A column of that type as a layout gets it."""
    name = identifier(column)
    return name if kind in _AS_THEY_ARE else f"{name}::text"


def is_text(kind: str) -> bool:
    """Whether a layout gets columns of that type as text."""
    return kind not in _NO_TEXTS


# --- what there is --------------------------------------------------------------------------

_COLUMNS: Final = """
SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, NULL)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND {where}
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND has_schema_privilege(n.oid, 'USAGE')
    AND ($1 OR has_column_privilege(c.oid, a.attnum, 'SELECT'))
ORDER BY n.nspname, c.relname, a.attnum
"""


async def _sketch(
    database: Database, schema: str | None, *, elsewhere: bool = False, hidden: bool = False
) -> Schemas:
    """The tables and views that this role may read, and the columns of each, by schema: of the one
    that is named, else those that a bare name finds, or those that it does not. `hidden`: also what
    it may not read."""
    where, values = "n.nspname = $2", [schema]
    if schema is None:
        where, values = f"{'NOT ' if elsewhere else ''}pg_table_is_visible(c.oid)", []
    found: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    rows = await database.fetch(_COLUMNS.format(where=where), hidden, *values)
    for space, table, column, kind in rows:
        found[space][table][column] = kind
    return found


async def _check_readable(
    database: Database, schemas: Schemas, schema: str | None, layout: str | None, table: str | None
) -> None:
    """AccessDenied, where a table would be of a layout if this role could read all of it."""
    for space, sketch in (await _sketch(database, schema, hidden=True)).items():
        for fit in registry.fits("postgres", sketch, layout, table):
            if not _has_columns(fit, sketch):
                continue
            seen = schemas.get(space, {})
            for name, columns in _needed(fit).items():
                if lacking := columns - seen.get(name, {}).keys():
                    whole = name not in seen
                    raise _denied(database.name, fit, space, name, lacking, whole=whole)


async def _fits(
    database: Database,
    schemas: Schemas,
    layout: str | None,
    table: str | None,
    *,
    on_path: bool = False,
) -> list[Found]:
    """What fits there. By bare names tables are found in several schemas, as if they were one."""
    spaces = {name: space for space, tables in schemas.items() for name in tables}
    together: Sketch = {name: schemas[space][name] for name, space in spaces.items()}
    looks: list[tuple[Found, bool]] = []
    for space, sketch in {"": together}.items() if on_path else schemas.items():
        for fit in registry.fits("postgres", sketch, layout, table):
            each = Found(fit, space or spaces[fit.table], on_path)
            if any(_is_same(each, other) for other, _ in looks):
                continue  # of an empty table several shapes may be true
            told = None
            if _has_columns(fit, sketch):
                told = await _tells(database, each, sketch[fit.table])
            if told is not None:
                looks.append((each, told))
    if layout is not None or table is not None:
        return [each for each, _ in looks]
    meant = registry.meant([(each.fit, has_rows) for each, has_rows in looks], together)
    return [each for each, _ in looks if any(each.fit is fit for fit in meant)]


def _is_same(one: Found, other: Found) -> bool:
    """Whether both are of one layout in one table."""
    return (one.fit.layout, one.fit.table, one.schema) == (
        other.fit.layout,
        other.fit.table,
        other.schema,
    )


def _has_columns(fit: Fit, sketch: Sketch) -> bool:
    """Whether it has names to the letter: two that differ in capitals are two here."""
    if isinstance(fit, WholeFit) and fit.table != next(iter(fit.shape.tables)):
        return False
    return all(sketch.get(name, {}).keys() >= columns for name, columns in _needed(fit).items())


def _needed(fit: Fit) -> Mapping[str, frozenset[str]]:
    """Its tables, and the columns that each of them must have."""
    shape = fit.shape
    if isinstance(shape, Whole):
        return shape.tables
    columns = {*shape.columns, *shape.record, *shape.order, shape.conversation} - {ROW_ID}
    return {fit.table: frozenset(columns)}


async def _tells(database: Database, found: Found, columns: Mapping[str, str]) -> bool | None:
    """Whether there are records; None where there are, and none of the first is of the layout."""
    fit = found.fit
    tells, record = None, "1"
    if isinstance(fit, RowsFit) and fit.shape.tells is not None:
        tells = fit.shape.tells
        record = ", ".join(_told_sql(name, columns[name]) for name in fit.shape.record)
    place = f"{identifier(found.schema or '')}.{identifier(fit.table)}"
    try:
        rows: list[Any] = await database.fetch(f"SELECT {record} FROM {place} LIMIT {SAMPLE}")
    except (StoreUnavailable, AccessDenied):
        raise
    except StoreError:
        return None  # a view that is not filled, or of what is gone: it hinders no other
    told = [[*map(text_of, row)] for row in rows]
    return None if rows and tells is not None and not any(map(tells, told)) else bool(rows)


def _told_sql(column: str, kind: str) -> str:
    """A column as it is looked at to tell a layout, whatever is in it."""
    if is_text(kind):
        return bytes_sql(identifier(column))
    if kind in ARRAYS:  # of JSON: one that is no text is no record that tells
        return f"CASE WHEN {is_text_sql(identifier(column))} THEN {identifier(column)} END"
    return readable(column, "" if kind in TIMES else kind)  # some times the driver does not have


# --- what is said ---------------------------------------------------------------------------


def unnamed(name: str, found: Sequence[Found], *, elsewhere: bool = False) -> Unnamed:
    """What is said where none of these is named, and one must be."""
    if len(found) == 1 and not elsewhere:
        fit = found[0].fit
        own = "--layout synmem makes our own beside it"
        return naming.to_be_named(name, f"its table {fit.table} is", fit.layout, own)
    tables = ", ".join(f"{_place(each)} ({each.fit.layout})" for each in found)
    why = f"several of its tables hold conversations: {tables}"
    if elsewhere:
        why = f"conversations lie in schemas that are not on the search path: {tables}"
    ways = (_way(each, table=len(found) > 1) for each in found)
    return naming.to_be_chosen(name, why, ways)


def _denied(
    name: str, fit: Fit, schema: str, table: str, columns: Iterable[str], *, whole: bool
) -> AccessDenied:
    """What is said where a role may not read a table, or these columns of it. Its schema is named:
    the search path of whoever grants it may be another."""
    what = "" if whole else f"the columns {', '.join(sorted(columns))} of "
    return AccessDenied(
        f"{name}: the role may not read {what}its table {table}, which looks like {fit.layout}'s",
        hint=f"GRANT SELECT ON {identifier(schema)}.{identifier(table)} lets it",
    )


def _place(found: Found) -> str:
    return found.fit.table if found.on_path else f"{found.schema}.{found.fit.table}"


def _way(found: Found, *, table: bool) -> str:
    """What chooses it, behind a URL."""
    keys = {"layout": found.fit.layout}
    if table:
        keys["table"] = found.fit.table
    if not found.on_path:
        keys["schema"] = found.schema or ""
    return naming.way(**keys)


def _missing(
    name: str, seen: Sketch, layout: str | None, table: str | None, there: Sequence[Found]
) -> UnknownLayout:
    """What is said where nothing fits, but what is `there` of other layouts, or in other tables."""
    names = sorted(seen)
    more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
    tables = f"its tables: {', '.join(names[:_MOST_TOLD]) or 'none'}{more}"
    if table is not None and table not in seen:
        return UnknownLayout(f"{name}: no table {table}", hint=tables)
    what = "a layout that synmem knows" if layout is None else f"the layout {layout}"
    where = "" if table is None else f" in its table {table}"
    if table is not None:
        tables = f"its columns: {', '.join(seen[table])}"
    like = registry.likeness("postgres", seen)
    return naming.not_there(
        f"{name}: no conversations in {what}{where} ({tables})",
        [naming.Other(each.fit.layout, _place(each), _way(each, table=True)) for each in there],
        registry.looks_like(like, [each.fit.layout for each in there]),
        f"it knows, in PostgreSQL, {', '.join(_known())}; ?table= names another table, and "
        "`synmem add` makes one of our own",
    )
