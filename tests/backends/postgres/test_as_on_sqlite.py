"""Products that have the same tables on both: a fixture from SQLite, brought to PostgreSQL in the
types that they have there, is read as it is read from its file; and what the real ones write."""

import contextlib
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from synmem.store import Store
from tests.backends.postgres.test_foreign_whole import Place, place
from tests.backends.sqlite.test_store import opened
from tests.conformance import details, ids, items, run
from tests.layouts.foreign.test_agno import as_agno_says, packages
from tests.layouts.foreign.test_google_adk import PACKAGES, as_adk_says, older
from tests.services import framework

__all__ = ["place"]

FIXTURES = Path(__file__).parents[2] / "fixtures"

TYPES = {
    "VARCHAR": "varchar", "TEXT": "text", "BIGINT": "bigint", "BOOLEAN": "boolean", "JSON": "json",
    "DATETIME": "timestamp", "REAL": "double precision", "BLOB": "bytea",
}  # fmt: skip
OF_JSON = {"state", "event_data", "content"}
"""Columns of text that are JSONB on PostgreSQL."""


async def brought(path: Path, tables: list[str], place: Place) -> None:
    """Make these tables of a file on PostgreSQL, with their rows."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for table in tables:
            kinds = {}
            for row in db.execute(f"PRAGMA table_info({table})"):
                kind = TYPES[row[2].partition("(")[0]]
                kinds[row[1]] = "jsonb" if kind == "text" and row[1] in OF_JSON else kind
            named = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items())
            marks = ", ".join(f"${n + 1}" for n in range(len(kinds)))
            async with place.connected() as connection:
                await connection.execute(f"CREATE TABLE {table} ({named})")
                for row in db.execute(f"SELECT * FROM {table}"):
                    values = [
                        _as(kind, value) for kind, value in zip(kinds.values(), row, strict=True)
                    ]
                    await connection.execute(f"INSERT INTO {table} VALUES ({marks})", *values)


def _as(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "timestamp":
        return datetime.fromisoformat(value)
    return bool(value) if kind == "boolean" else value


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("open-webui/webui.db", ["chat", "chat_message"]),
        ("google-adk-sqlalchemy/sessions.db", ["sessions", "events"]),
        ("older ADK", ["sessions", "events"]),
        ("agno-sqlite-v2/agno.db", ["agno_sessions"]),
        ("agno-sqlite-v3/agno.db", ["agno_sessions", "agno_runs"]),
    ],
)
def test_what_lies_on_postgres_is_read_as_in_a_file(
    place: Place, tmp_path: Path, name: str, tables: list[str]
) -> None:
    path = older(tmp_path / "older.db") if name == "older ADK" else FIXTURES / name

    async def told(store: Store) -> dict[str, Any]:
        found = await details(store)
        for info in found.values():
            assert info.extra
        return {id_: (info.title, await _said(store, id_)) for id_, info in found.items()}

    async def main() -> None:
        await brought(path, tables, place)
        async with opened(path) as here, place.opened() as there:
            expected = await told(here)
            assert expected
            assert await told(there) == expected
            assert there.passed_over() == here.passed_over()
            assert await there.strays() == []

    run(main())


async def _said(store: Store, conversation: str) -> list[Any]:
    """Its messages, without the times that each server writes in its own way."""
    found = await items(store, conversation)
    for each in found:
        if (about := getattr(each, "extra", None)) and "google_adk" in about:
            about["google_adk"].pop("timestamp", None)
    return found


@pytest.mark.real
def test_what_adk_writes_is_read_as_adk_reads_it(place: Place) -> None:
    where = {"path": f"{place.url}#{place.schema}", "service": "postgres"}
    with framework.running(PACKAGES, "google_adk_program.py") as adk:
        adk.ask("write", **where)
        expected = adk.ask("read", **where)

    async def main() -> None:
        async with place.opened() as store:
            assert store.remark() == "layout google_adk (1), table sessions"
            assert await ids(store) == sorted(expected)
            for conversation, messages in expected.items():
                assert as_adk_says(await items(store, conversation)) == messages

    run(main())


@pytest.mark.real
@pytest.mark.parametrize("version", ["2.9.0", "3.1.10"])
def test_what_agno_writes_is_read_as_agno_reads_it(place: Place, version: str) -> None:
    path = f"{place.url}#{place.schema}"
    with framework.running(packages(version), "agno_program.py") as agno:
        written = agno.ask("write", path=path)
        expected = {one: agno.ask("read", path=path, conversation=one) for one in written}

    async def main() -> None:
        async with place.opened() as store:
            assert store.remark().startswith(f"layout agno ({version[0]})")
            assert await ids(store) == sorted(expected)
            for conversation, messages in expected.items():
                assert as_agno_says(await items(store, conversation)) == messages

    run(main())
