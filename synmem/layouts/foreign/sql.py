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


def ownerless(
    table: str, column: str, owner: str, key: str = "id", *, as_text: bool = False, where: str = ""
) -> str:
    """A query, for `Plan.strays`, of the rows of a table, called `t`, of which the column is the
    `key` of no row of the owner; compared as text where their types differ."""
    theirs, its = (
        f"CAST({each} AS TEXT)" if as_text else each for each in (f't."{column}"', f'o."{key}"')
    )
    return (
        f"SELECT CASE WHEN t.\"{column}\" IS NULL THEN 'table {table}' "
        f"ELSE '{table} of {column} ' || CAST(t.\"{column}\" AS TEXT) END, "
        f"CASE WHEN t.\"{column}\" IS NULL THEN 'its {column} is NULL' "
        f"ELSE 'there is no such row in {owner}' END, count(*) FROM \"{table}\" AS t "
        f'WHERE NOT EXISTS (SELECT 1 FROM "{owner}" AS o WHERE {its} = {theirs})'
        f'{where and f" AND {where}"} GROUP BY t."{column}"'
    )


def by_first(rows: Sequence[Record]) -> defaultdict[Any, list[Record]]:
    """Rows, less their first column, by what stands in that."""
    found: defaultdict[Any, list[Record]] = defaultdict(list)
    for first, *others in rows:
        found[first].append(others)
    return found
