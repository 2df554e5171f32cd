"""What the layouts share that lie in several tables: their queries."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from synmem.layouts.shapes import Columns, Record, Sketch


def lowered(sketch: Sketch) -> dict[str, dict[str, str]]:
    """A sketch in small letters, as SQLite and PostgreSQL compare names that are not quoted."""
    return {
        table.lower(): {name.lower(): kind for name, kind in columns.items()}
        for table, columns in sketch.items()
    }


def columns(there: Columns, names: Sequence[str], alias: str) -> str:
    """These columns of a table as a query selects them; NULL for those that it lacks."""
    return ", ".join(f'{alias}."{name}"' if name in there else "NULL" for name in names)


def texts(there: Columns, names: Sequence[str], alias: str) -> str:
    """The same of columns of JSON, as text, which SQLite's are anyway."""
    return ", ".join(
        f'CAST({alias}."{name}" AS TEXT)' if name in there else "NULL" for name in names
    )


def by_first(rows: Sequence[Record]) -> defaultdict[Any, list[Record]]:
    """Rows, less their first column, by what stands in that."""
    found: defaultdict[Any, list[Record]] = defaultdict(list)
    for first, *others in rows:
        found[first].append(others)
    return found
