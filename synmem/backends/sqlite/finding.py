"""Which table of an SQLite file is of another framework's layout."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.shape import TABLES
from synmem.errors import UnknownLayout, Unnamed, Unsupported
from synmem.layouts import naming, registry
from synmem.layouts.elsewhere import index_of
from synmem.layouts.own.sqlite_columns import quoted
from synmem.layouts.registry import SAMPLE, Fit, RowsFit, WholeFit
from synmem.layouts.shapes import Rows, Sketch

SKETCH: Final = (
    "SELECT t.name, c.name, c.type FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c "
    "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite~_%' ESCAPE '~' "
    "AND t.sql NOT LIKE 'CREATE VIRTUAL%'"  # its module may not be at hand
)
"""The tables of a file, and the columns of each with its type."""


def _known() -> list[str]:
    return [*TABLES, *registry.named("sqlite")]


async def find(file: File, layout: str | None, table: str | None, *, write: bool) -> Fit:
    """The table of a foreign layout that this file has; of the one that is named, and in the table
    that is named. Unnamed where several could be meant, or none is named and one must be."""
    sketch = await _sketch(file)
    if table is not None:  # SQLite's names know no capitals
        table = next((name for name in sketch if name.lower() == table.lower()), table)
    looks = await _looks(file, sketch, layout, table)
    fits = [fit for fit, _ in looks]
    if layout is None and table is None:
        fits = registry.meant(looks, sketch)
    if len(fits) == 1 and not (write and layout is None and _is_writable(fits[0])):
        file.made = True
        return fits[0]
    if fits:
        raise unnamed(file, fits)
    if layout in registry.LAYOUTS and (write or not sketch):
        shape = registry.shapes(layout, "sqlite")[0]
        if write and not (isinstance(shape, Rows) and shape.write is not None):
            raise Unsupported(f"{file.path}: what {layout} stores can only be read")
        if isinstance(shape, Rows) and (table or shape.table).lower() not in {
            *map(str.lower, sketch)
        }:
            _check_name(file, table or shape.table)
            return RowsFit(layout, shape, table or shape.table)
    there = registry.meant(await _looks(file, sketch, None, None), sketch)
    raise _missing(file, sketch, layout, table, there)


async def others(file: File) -> list[str]:
    """Tables of other layouts in a file that has our own, and how each is named; within a step."""
    looks = await _looks(file, await _sketch(file), None, None)
    return [f"{fit.table}: {_way(fit)}" for fit, has_rows in looks if has_rows]


async def _looks(
    file: File, sketch: Sketch, layout: str | None, table: str | None
) -> list[tuple[Fit, bool]]:
    """The tables that look like a layout's, and whether each has rows."""
    found = [
        (fit, await _tells(file, fit)) for fit in registry.fits("sqlite", sketch, layout, table)
    ]
    return [(fit, told) for fit, told in found if told is not None]


def _way(fit: Fit) -> str:
    """What chooses it, behind the file's path."""
    return naming.way(layout=fit.layout, table=fit.table)


def _is_writable(fit: Fit) -> bool:
    return isinstance(fit, RowsFit) and fit.shape.write is not None


def _check_name(file: File, table: str) -> None:
    """Unsupported for a name that SQLite keeps for itself, before anything is made."""
    if table.lower().startswith("sqlite_"):
        raise Unsupported(
            f"{file.path}: no table can be called {table}: SQLite keeps such names for itself",
            hint="choose another with ?table=",
        )


def _missing(
    file: File, sketch: Sketch, layout: str | None, table: str | None, there: Sequence[Fit]
) -> UnknownLayout:
    """What is said where nothing fits, but what is `there` of other layouts, or in other tables."""
    tables = f"its tables: {', '.join(sketch) or 'none'}"
    if table is not None and table not in sketch:
        return UnknownLayout(f"{file.path}: no table {table}", hint=tables)
    index = None if there else index_of(sketch)
    if index is not None:
        return UnknownLayout(
            f"{file.path}: {index.what}: no conversations lie in it", hint=index.hint
        )
    what = "a layout that synmem knows" if layout is None else f"the layout {layout}"
    where = "" if table is None else f" in its table {table}"
    like = registry.likeness("sqlite", sketch)
    return naming.not_there(
        f"{file.path}: no conversations in {what}{where} ({tables})",
        [naming.Other(fit.layout, fit.table, _way(fit)) for fit in there],
        registry.looks_like(like, [fit.layout for fit in there]),
        f"it knows, in an SQLite file, {', '.join(_known())}" if layout is None else None,
    )


def sketch_of(rows: Iterable[Sequence[Any]]) -> dict[str, dict[str, str]]:
    """The tables, and the columns of each, that the rows of `SKETCH` tell."""
    return {name: {row[1]: row[2] for row in some} for name, some in groupby(rows, itemgetter(0))}


async def _sketch(file: File) -> dict[str, dict[str, str]]:
    """The tables of a file, and the columns of each."""
    return sketch_of(await file.look(SKETCH))


async def _tells(file: File, fit: Fit) -> bool | None:
    """Whether there are records; None where there are, and none of the first is of the layout, or
    where it is known by other rows, and there are none."""
    tells, columns = None, "1"
    if isinstance(fit, WholeFit) and fit.plan.tells:
        return True if await file.look_at_all(fit.plan.tells) else None
    if isinstance(fit, RowsFit) and fit.shape.tells is not None:
        tells, columns = fit.shape.tells, ", ".join(map(quoted, fit.shape.record))
    rows = await file.look_at_all(f"SELECT {columns} FROM {quoted(fit.table)} LIMIT {SAMPLE}")
    return None if rows and tells is not None and not any(map(tells, rows)) else bool(rows)


def unnamed(file: File, fits: Sequence[Fit]) -> Unnamed:
    """What is said where none of these is named, and one must be."""
    if len(fits) == 1:
        [fit] = fits
        return naming.to_be_named(file.name, f"its table {fit.table} is", fit.layout)
    tables = ", ".join(f"{fit.table} ({fit.layout})" for fit in fits)
    why = f"several of its tables hold conversations: {tables}"
    return naming.to_be_chosen(file.name, why, map(_way, fits))
