"""The tokens of writes, remembered in TABLE_meta: under the session_id '', which is no
conversation's, as `step:TOKEN` with the value "done" or "off" in JSON."""

import functools
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from synmem.backends.postgres.table import Table
from synmem.backends.postgres.writing import STEP_DONE, Writer, step_name
from synmem.messages import chunks, encodable
from synmem.store import Step

STEPS_A_CALL: Final = 1000
"""So many are looked up, called off or forgotten in one go."""

_OFF: Final = '"off"'


async def steps_done(table: Table, steps: Collection[Step]) -> set[Step]:
    """See `SupportsSteps.steps_done`."""
    done: set[Step] = set()
    for some in _calls(steps):
        done |= _those(some, await table.fetch(_done_sql(table), _names(some)))
    return done


async def call_off(writer: Writer, steps: Collection[Step]) -> set[Step]:
    """See `SupportsSteps.call_off`: it waits for what is under way."""
    done: set[Step] = set()
    for some in _calls(steps):
        write = functools.partial(_call_off, table=writer.table, steps=some)
        names = [writer.table.stored_id(step.conversation) for step in some]
        done |= await writer.transaction(names, write)
    return done


async def forget_steps(writer: Writer, steps: Collection[Step]) -> None:
    """See `SupportsSteps.forget_steps`."""
    for some in _calls(steps) if await writer.table.is_made() else ():
        write = functools.partial(_forget, table=writer.table, steps=some)
        await writer.transaction([], write)


def _calls(steps: Collection[Step]) -> Iterator[list[Step]]:
    """As many as go in one call; without those that can be in no store."""
    fit = [step for step in dict.fromkeys(steps) if encodable(step.conversation + step.token)]
    return chunks(fit, STEPS_A_CALL)


def _names(steps: Sequence[Step]) -> list[str]:
    """Under what they are remembered, each once and in order: two that write some of the same
    at once do not wait for each other."""
    return sorted({step_name(step.token) for step in steps})


def _done_sql(table: Table) -> str:
    """A query of those of the names `$1` that were done."""
    return (
        f"SELECT name FROM {table.meta} "
        f"WHERE session_id = '' AND name = ANY($1::text[]) AND value = '{STEP_DONE}'"
    )


def _those(steps: Sequence[Step], found: Sequence[Any]) -> set[Step]:
    done = {name for (name,) in found}
    return {step for step in steps if step_name(step.token) in done}


async def _call_off(connection: Any, table: Table, steps: Sequence[Step]) -> set[Step]:
    """Call these off, under the locks of their conversations: those that were done."""
    await connection.execute(
        f"INSERT INTO {table.meta} (session_id, name, value) "
        f"SELECT '', name, '{_OFF}' FROM unnest($1::text[]) AS given(name) ON CONFLICT DO NOTHING",
        _names(steps),
    )
    # A second statement: it sees also what was committed while the first waited.
    return _those(steps, await connection.fetch(_done_sql(table), _names(steps)))


async def _forget(connection: Any, table: Table, steps: Sequence[Step]) -> None:
    await connection.execute(
        f"DELETE FROM {table.meta} WHERE session_id = '' AND name = ANY($1::text[])", _names(steps)
    )
