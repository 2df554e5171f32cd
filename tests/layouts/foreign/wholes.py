"""What the tests of layouts share that are read by whole conversations, in SQLite files."""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import strategies as some

from synmem.backends.sqlite.foreign_whole import on
from synmem.backends.telling import told_by
from synmem.layouts.registry import WholeFit, fits
from synmem.layouts.shapes import Record, Told
from synmem.messages import Message, Unreadable, canonical, refusal
from synmem.store import Part, Store
from tests.backends.sqlite.test_store import opened
from tests.conformance import items, run
from tests.layouts.foreign.reading import ReadingTheirs

FIXTURES = Path(__file__).parents[2] / "fixtures"
Rows = Mapping[str, Sequence[Record]]


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """A file, committed at the end."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        yield db
        db.commit()


def read(path: Path, conversation: str = "a", **how: Any) -> list[Any]:
    """The messages of a conversation in a file."""

    async def main() -> list[Any]:
        async with opened(path, **how) as store:
            return await items(store, conversation)

    found: list[Any] = run(main())
    return found


def made_as(db: sqlite3.Connection, fixture: Path) -> None:
    """Make the tables of a fixture in a file, or empty those that are there."""
    with contextlib.closing(sqlite3.connect(f"file:{fixture}?immutable=1", uri=True)) as there:
        tables = there.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' "
            "AND name NOT LIKE '%_fts%' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
        ).fetchall()
    for name, sql in tables:
        db.execute(sql.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
        db.execute(f'DELETE FROM "{name}"')


class WholeReading(ReadingTheirs):
    """The contract on a file that a test writes in the layout's own form."""

    def fill(self, db: sqlite3.Connection, parts: Sequence[Part]) -> None:
        """Put these conversations into a file, where nothing is but perhaps others of them."""
        raise NotImplementedError

    def spoil(self, db: sqlite3.Connection) -> None:
        """Break the record of `message 1` in the conversation `a`."""
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        await self.put(parts, tmp_path)
        async with opened(tmp_path / "theirs.db") as store:
            yield store

    async def put(self, parts: Sequence[Part], tmp_path: Any) -> None:
        with database(tmp_path / "theirs.db") as db:
            self.fill(db, parts)

    async def spoil_one(self, tmp_path: Any) -> None:
        with database(tmp_path / "theirs.db") as db:
            self.spoil(db)


# --- reading without a store ----------------------------------------------------------------


def fit_of(db: sqlite3.Connection, layout: str) -> WholeFit:
    """The one shape of the layout that the tables of a file have."""
    tables = [
        name
        for name, sql in db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
        if not sql.startswith("CREATE VIRTUAL")
    ]
    sketch = {
        name: {row[1]: row[2] for row in db.execute(f'PRAGMA table_info("{name}")')}
        for name in tables
    }
    (fit,) = fits("sqlite", sketch, layout)
    assert isinstance(fit, WholeFit)
    return fit


def rows_of(path: Path, layout: str) -> dict[str, dict[str, list[list[Any]]]]:
    """By conversation, the rows of each query that the layout asks."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        plan = fit_of(db, layout).plan
        ids = [row[0] for row in db.execute(f"SELECT DISTINCT id FROM ({plan.listing})")]
        found: dict[str, dict[str, list[list[Any]]]] = {
            id_: {name: [] for name in plan.queries} for id_ in ids
        }
        for name, sql in plan.queries.items():
            for id_, *record in db.execute(on(sql, len(ids)), ids):
                found[id_][name].append(record)
    return found


def check(unfold: Any, id_: str, rows: Rows) -> None:
    """What `unfold` makes of rows, whatever stands in them, is messages and unreadable records, or
    it raises as a store expects it."""
    check_told(told_by(partial(unfold, id_, rows)))


def check_told(told: Any) -> None:
    """That what is told is messages, and what cannot be read with the reason."""
    assert isinstance(told, Told)
    for said in (told.messages, *told.branches.values()):
        assert len(said) == sum(1 for _ in said)
        for each in said:
            assert isinstance(each, Message | Unreadable)
            if isinstance(each, Message) and refusal(each) is None:
                canonical(each)
            if isinstance(each, Unreadable):
                assert isinstance(each.position, str)
                assert each.reason
    assert all(isinstance(leaf, str) for leaf in told.branches)
    assert isinstance(told.leaf, str | None)


_SCALARS = some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5)
ANY_JSON = some.recursive(
    _SCALARS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
"""Any value that JSON has."""


@some.composite
def _cell(draw: some.DrawFn, before: Any) -> Any:
    """Another value in the place of one: any that SQLite has, or JSON that has another in it."""
    if isinstance(before, str) and draw(some.booleans()):
        with contextlib.suppress(ValueError):
            return json.dumps(draw(within(json.loads(before))))
    return draw(
        some.none()
        | some.integers(-(2**63), 2**63 - 1)
        | some.floats(allow_nan=False)
        | some.binary(max_size=5)
        | some.text(max_size=5)
        | ANY_JSON.map(json.dumps)
    )


@some.composite
def within(draw: some.DrawFn, value: Any) -> Any:
    """The value, in which something, at whatever depth, is another one or is missing."""
    keys = (
        list(value)
        if isinstance(value, dict)
        else range(len(value) if isinstance(value, list) else 0)
    )
    if not keys or draw(some.integers(0, 5)) == 0:
        return draw(ANY_JSON)
    key: Any = draw(some.sampled_from(keys))
    copy = value.copy()
    if isinstance(value, dict) and draw(some.integers(0, 3)) == 0:
        del copy[key]
    else:
        copy[key] = draw(within(value[key]))
    return copy


@some.composite
def spoiled(draw: some.DrawFn, there: Mapping[str, Rows]) -> tuple[str, Rows]:
    """One of these conversations, in whose rows some values are others, and some rows missing."""
    id_ = draw(some.sampled_from(sorted(there)))
    rows = {name: [[*row] for row in of_query] for name, of_query in there[id_].items()}
    for _ in range(draw(some.integers(1, 3))):
        name = draw(some.sampled_from(sorted(rows)))
        if not rows[name]:
            continue
        index = draw(some.integers(0, len(rows[name]) - 1))
        row = rows[name][index]
        if draw(some.integers(0, 9)) == 0:
            del rows[name][index]
        elif row:
            column = draw(some.integers(0, len(row) - 1))
            row[column] = draw(_cell(row[column]))
    return id_, rows
