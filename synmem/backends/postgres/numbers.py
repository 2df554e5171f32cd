"""The sequence that ids come from: after a failover, a restore or a `setval` it may be behind its
table, and a new message would come before older ones."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from synmem.backends.postgres.errors import RowRefused
from synmem.backends.postgres.table import Table
from synmem.backends.postgres.taken import is_number_taken
from synmem.errors import StoreError
from synmem.messages import SEQUENCE, STRAY, Damage
from synmem.store import Position

MOST_DAMAGE: Final = 1000

_MOST: Final = 2**62
"""A sequence that is set above this one is soon at its end."""


def check_above(table: Table, before: Mapping[str, Position], first: Mapping[str, int]) -> None:
    """StoreError, where a first new id is not above all ids that its conversation had."""
    for name, number in first.items():
        last = int(before.get(name, number - 1))
        if number <= last:
            raise behind(table, last)


async def check_next(connection: Any, table: Table, ends: Mapping[str, Position]) -> None:
    """StoreError, where the next id is not above these ends; it is taken for that."""
    if ends:
        number = await connection.fetchval(f"SELECT nextval({table.numbers})")
        check_above(table, ends, dict.fromkeys(ends, number))


async def check_behind(table: Table, error: RowRefused) -> None:
    """Where a row was refused for an id that is there already: StoreError if the sequence is what
    is wrong, as far as this role may look."""
    if await is_number_taken(table.database, error, table.rows, "id", "session_id"):
        for is_it, _, highest in await table.fetch(_numbers_sql(table)):
            if is_it:
                raise behind(table, int(highest)) from error


def behind(table: Table, highest: int) -> StoreError:
    """What a writer is told; `highest` is an id that a new one does not come behind."""
    return StoreError(
        f"{table.database.name}: the sequence {table.sequence} is behind its table, and a new"
        " message would come before older ones; nothing was written",
        hint=_remedy(table, highest),
    )


async def damage(table: Table) -> list[Damage]:
    """Rows that belong to no conversation, and a sequence that is behind."""
    strange = await table.fetch(
        f"SELECT DISTINCT {table.session} FROM {table.rows} "
        f"WHERE strpos({table.session}, chr(16)) > 0 AND "
        f"strpos(regexp_replace({table.session}, chr(16) || '[0P]', '', 'g'), chr(16)) > 0 "
        f"LIMIT {MOST_DAMAGE}"
    )
    found = await strays(table, [session for (session,) in strange])
    for is_it, last, highest in await table.fetch(_numbers_sql(table)):
        if is_it:
            why = f"it is at {last or 0}, and there is an id {highest}: {_remedy(table, highest)}"
            found.append(Damage(SEQUENCE, table.sequence, why))
    return found


async def strays(table: Table, strange: Iterable[str]) -> list[Damage]:
    """Rows without an id, and those of the `strange` ones, which no id is stored as."""
    empty = await table.fetch(
        f"SELECT id FROM {table.rows} WHERE {table.session} = '' ORDER BY id LIMIT {MOST_DAMAGE}"
    )
    found = [Damage(STRAY, f"row {number}", "its session_id is empty") for (number,) in empty]
    why = "in it U+0010 stands without the 0 or P that synmem writes behind it"
    return found + [Damage(STRAY, f"session_id {each!r}", why) for each in sorted(strange)]


def _remedy(table: Table, highest: int) -> str:
    if highest > _MOST:
        return f"give its row in {table.rows} another id: there are too few above it"
    return f"SELECT setval({table.numbers}, (SELECT greatest(max(id), -min(id)) FROM {table.rows}))"


def _numbers_sql(table: Table) -> str:
    """Whether the sequence is behind, where it is, and the highest id: what `replace` has put in
    front has ids of the sequence, negated. The rows are looked at first: who writes meanwhile
    moves the sequence on."""
    sequence = f"{table.numbers}::regclass"
    return (
        "SELECT may AND coalesce(last, 0) < highest, last, highest FROM (SELECT highest, "
        f"has_sequence_privilege({sequence}, 'SELECT, USAGE') AS may, (SELECT last_value FROM "
        "pg_sequences AS s JOIN pg_namespace AS n ON n.nspname = s.schemaname JOIN pg_class AS c "
        f"ON c.relnamespace = n.oid AND c.relname = s.sequencename WHERE c.oid = {sequence}) "
        "AS last FROM (SELECT greatest(max(id), -(min(id)::numeric)) AS highest "
        f"FROM {table.rows}) AS ids) AS found"
    )
