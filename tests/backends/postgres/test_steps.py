"""The tokens of writes in PostgreSQL: as documented, and true whoever else is at work."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from synmem.backends.postgres.writing import begin_sql, commit_sql
from synmem.errors import Changed, Rejected
from synmem.messages import Conversation
from synmem.store import START, Part, Step, SupportsSteps, once
from tests.backends.postgres.test_store import Place, place, write
from tests.conformance import add, contents, ids, numbered, run
from tests.services.proxy import Proxy

__all__ = ["place"]  # a fixture

A, B = "a" * 32, "b" * 32 + ".7"


def test_the_raw_rows_are_as_documented(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            stepping: object = store
            assert isinstance(stepping, SupportsSteps)
            await store.append([Part(Conversation("c", "T"), numbered(2))], token=A)
            assert await store.call_off([Step("d\x00", B), Step("c", A)]) == {Step("c", A)}
            await store.delete("c")
            assert await ids(store) == []
            assert await store.notes(["", "c"]) == {}

    run(main())
    rows = place.rows(f'SELECT * FROM "{place.table}_meta" ORDER BY name')
    assert [tuple(row) for row in rows] == [
        ("", f"step:{A}", '"done"'), ("", f"step:{B}", '"off"'),
    ]  # fmt: skip


def test_no_conversation_has_the_id_under_which_they_lie(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            await store.append([Part(Conversation("c"), numbered(2))], token=A)
            with pytest.raises(Rejected):
                await add(store, "", numbered(1))
            with pytest.raises(Rejected):
                await store.replace(Conversation(""), once(numbered(1)), upto=START)
            # Another program's rows may have it all the same.
            insert = "INSERT INTO {} (session_id, role, content) VALUES ('', 'u', 'x')"
            await asyncio.to_thread(place.rows, insert)
            assert await store.delete("") is True
            assert await store.steps_done([Step("c", A)]) == {Step("c", A)}

    run(main())


def test_a_delete_that_found_nothing_is_no_step_that_was_done(place: Place) -> None:
    write(place, "c", numbered(1))

    async def main() -> None:
        async with place.opened(write=True) as store:
            assert await store.delete("none", token=A) is False
            assert await store.steps_done([Step("none", A)]) == set()
            with pytest.raises(Changed):
                await store.delete("c", begins="77", token=A)
            with pytest.raises(Changed):
                await store.delete("c", upto="77", token=A)
            with pytest.raises(Changed):
                await store.append([Part(Conversation("c"), numbered(1), START)], token=A)
            assert await store.steps_done([Step("none", A)]) == set()
            assert await store.delete("c", token=A) is True

    run(main())


def test_many_go_in_few_round_trips(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, "c", numbered(1))
    steps = [Step(f"c{n}", f"{n:032x}") for n in range(2500)] + [Step("\ud800", A)]
    calls: list[str] = []
    for name in ("execute", "fetch"):
        monkeypatch.setattr(asyncpg.Connection, name, counted(name, calls))

    async def main() -> None:
        async with place.opened(write=True) as store:
            await store.append([Part(Conversation("c7"), numbered(1))], token=steps[7].token)
            calls.clear()
            assert await store.call_off(steps) == {steps[7]}
            assert await store.steps_done(steps) == {steps[7]}
            await store.forget_steps(steps)
            assert await store.steps_done(steps) == set()
            assert len(calls) < 35

    run(main())
    assert place.rows(f'SELECT FROM "{place.table}_meta"') == []


def counted(name: str, calls: list[str]) -> Any:
    real = getattr(asyncpg.Connection, name)

    async def call(self: Any, sql: str, *values: Any, **how: Any) -> Any:
        calls.append(sql)
        return await real(self, sql, *values, **how)

    return call


def test_reading_them_makes_no_table_and_calling_off_does(place: Place) -> None:
    async def main() -> None:
        async with place.opened(write=True) as store:
            step = Step("c", A)
            assert await store.steps_done([step]) == set()
            await store.forget_steps([step])
            unmade = "SELECT WHERE to_regclass($1) IS NULL"
            assert await asyncio.to_thread(place.rows, unmade, f'"{place.table}"')
            assert await store.call_off([step]) == set()  # a write may be on its way to make it
            with pytest.raises(Changed, match="called off"):
                await store.append([Part(Conversation("c"), numbered(1))], token=A)
            assert await ids(store) == []

    run(main())


@contextlib.asynccontextmanager
async def under_way(place: Place, store: Any, names: list[str]) -> Any:
    """A write of another client that stopped before its commit, as such a one does it."""
    connection = await asyncpg.connect(place.url)
    try:
        status = await connection.execute(begin_sql(store._table, names, A))
        assert status == "SELECT 0"
        await connection.execute(f'DELETE FROM "{place.table}" WHERE session_id = $1', names[0])
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK", "killed", "killed late"])
def test_calling_off_waits_for_what_is_under_way_and_tells_the_truth(
    place: Place, outcome: str
) -> None:
    write(place, "c", numbered(3))
    write(place, "d", numbered(3))

    async def main() -> None:
        async with place.opened(write=True) as store, place.opened(write=True) as other:
            async with under_way(place, store, ["c", "d"]) as connection:
                commit = commit_sql(store._table, "0e984725-c51c-4bf4-9960-e1c80e27aba0", A)
                remember = commit.removesuffix("; COMMIT")
                if outcome == "killed late":
                    # The server still works for it, and its client is no more.
                    work = f"SELECT pg_sleep(1); {commit}"
                    working = asyncio.create_task(connection.execute(work))
                    await asyncio.sleep(0.2)
                    connection.terminate()
                    await asyncio.gather(working, return_exceptions=True)
                else:
                    await connection.execute(remember)
                # By any of its conversations.
                calling = asyncio.create_task(other.call_off([Step("d", A), Step("e", B)]))
                await asyncio.sleep(0.3)
                assert not calling.done()
                if outcome == "killed":
                    connection.terminate()
                elif outcome != "killed late":
                    await connection.execute(outcome)
                done = await calling
            assert done == ({Step("d", A)} if outcome in ("COMMIT", "killed late") else set())
            assert await store.steps_done([Step("d", A), Step("e", B)]) == done
            if done:
                assert await store.delete("c", token=A) is True
                assert await ids(store) == ["d"]
            else:
                with pytest.raises(Changed):
                    await store.delete("c", token=A)
                assert await ids(store) == ["c", "d"]

    run(main())


@pytest.fixture
def proxy(place: Place) -> Iterator[tuple[Proxy, str]]:
    port = int(place.url.rpartition(":")[2].partition("/")[0])
    with Proxy(port) as proxy:
        yield proxy, place.url.replace(f":{port}/", f":{proxy.port}/")


@pytest.mark.parametrize("needle", [b"; COMMIT", b"pg_advisory_xact_lock", b"min(id)"])
def test_a_write_with_a_token_whose_answer_was_lost_is_done_once(
    place: Place, proxy: tuple[Proxy, str], needle: bytes
) -> None:
    write(place, "c", numbered(4))
    between, dsn = proxy

    async def main() -> None:
        async with place.opened(write=True, dsn=dsn) as store:
            second = [p.position(-1) async for p in store.read(["c"], limit=2)][-1]
            between.cut_after_request(lambda sent: needle in sent)
            new = once(numbered(1, 9))
            await store.replace(Conversation("c"), new, upto=second, token=A)
            assert await contents(store, "c") == ["message 9", "message 2", "message 3"]
            assert await store.steps_done([Step("c", A)]) == {Step("c", A)}

    run(main())
    assert between.cuts == 1


def test_two_that_call_off_the_same_and_write_at_once_do_not_wait_for_each_other(
    place: Place,
) -> None:
    steps = [Step(f"c{n % 40}", f"{n:032x}") for n in range(400)]

    async def main() -> None:
        async with place.opened(write=True) as one, place.opened(write=True) as two:
            for n in range(40):
                await add(one, f"c{n}", numbered(1))
            outcomes = await asyncio.gather(
                one.call_off(steps), two.call_off(steps[::-1]),
                *(one.append([Part(Conversation(f"c{n % 40}"), numbered(1))], token=f"{n:032x}")
                  for n in range(0, 400, 9)),
                return_exceptions=True,
            )  # fmt: skip
            done = await one.steps_done(steps)
            assert outcomes[0] == outcomes[1] == done
            ends = [outcome for outcome in outcomes[2:] if not isinstance(outcome, Changed)]
            assert not [end for end in ends if isinstance(end, BaseException)]
            assert len(ends) == len(done)

    run(main())
