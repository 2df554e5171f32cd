"""The tokens of writes, remembered in TABLE_meta: under the session_id '', which is no
conversation's, as `step:TOKEN` with the value "done" or "off" in JSON."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from synmem.backends.postgres.opening import Table, literal
from synmem.layouts.own.postgres_rows import stored_id
from synmem.layouts.own.synapsekit import encodable
from synmem.store import Step

STEPS_A_CALL: Final = 1000
"""So many are looked up, called off or forgotten in one go."""

_DONE: Final = '"done"'
_OFF: Final = '"off"'


def find_sql(table: Table, token: str) -> str:
    """A statement that gives a row where the token is known: its value."""
    return (
        f"SELECT value FROM {table.meta} WHERE session_id = '' AND name = {literal(_name(token))}"
    )


def remember_sql(table: Table, token: str) -> str:
    """A statement that remembers it as done."""
    name = literal(_name(token))
    return f"INSERT INTO {table.meta} (session_id, name, value) VALUES ('', {name}, '{_DONE}')"


def is_done(value: str) -> bool:
    """Whether the write of this value was done; else it was called off."""
    return value == _DONE


def chunks(steps: Collection[Step]) -> list[list[Step]]:
    """As many as go in one call; without those that can be in no store."""
    fit = [step for step in dict.fromkeys(steps) if encodable(step.conversation + step.token)]
    return [fit[start : start + STEPS_A_CALL] for start in range(0, len(fit), STEPS_A_CALL)]


def conversations(steps: Sequence[Step]) -> list[str]:
    """The conversations of these, as `session_id` has them."""
    return [stored_id(step.conversation) for step in steps]


def names(steps: Sequence[Step]) -> list[str]:
    """Under what they are remembered, each once and in order: two that write some of the same
    at once do not wait for each other."""
    return sorted({_name(step.token) for step in steps})


def done_sql(table: Table) -> str:
    """A query of those of the names `$1` that were done."""
    return (
        f"SELECT name FROM {table.meta} "
        f"WHERE session_id = '' AND name = ANY($1::text[]) AND value = '{_DONE}'"
    )


def done_of(steps: Sequence[Step], found: Sequence[Any]) -> set[Step]:
    """Which steps these are, of what `done_sql` found."""
    done = {name for (name,) in found}
    return {step for step in steps if _name(step.token) in done}


async def call_off(connection: Any, table: Table, steps: Sequence[Step]) -> set[Step]:
    """Call these off, under the locks of their conversations: those that were done."""
    await connection.execute(
        f"INSERT INTO {table.meta} (session_id, name, value) "
        f"SELECT '', name, '{_OFF}' FROM unnest($1::text[]) AS given(name) ON CONFLICT DO NOTHING",
        names(steps),
    )
    # A second statement: it sees also what was committed while the first waited.
    return done_of(steps, await connection.fetch(done_sql(table), names(steps)))


async def forget(connection: Any, table: Table, steps: Sequence[Step]) -> None:
    """Remember these no longer."""
    await connection.execute(
        f"DELETE FROM {table.meta} WHERE session_id = '' AND name = ANY($1::text[])", names(steps)
    )


def _name(token: str) -> str:
    return f"step:{token}"
