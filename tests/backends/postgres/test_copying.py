"""Conversations that go from SQLite to PostgreSQL as CSV: the rows are those that the ordinary way
writes, and the digests that the server makes of them tell every difference."""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synmem.backends.csv_rows import MakesCsv
from synmem.backends.inmemory import InMemoryStore
from synmem.backends.postgres.store import open as open_postgres
from synmem.messages import Conversation, Message
from synmem.operations.moving.receipt import Ledger
from synmem.operations.moving.transfer import Options, Transfer
from synmem.store import Copied, Part, Store, SupportsCopy
from tests.backends.postgres.test_store import Place
from tests.backends.sqlite.test_copying import Slow, moved
from tests.backends.sqlite.test_copying import opened as opened_file
from tests.backends.sqlite.test_lines import HOSTILE, MESSAGES, PLOTS, raw
from tests.conformance import AT, ids, numbered
from tests.hostile import hostile
from tests.services import Server
from tests.services.pooler import pooling
from tests.services.postgres import Postgres
from tests.services.proxy import Proxy

USUAL = [
    Message("user", "x"), Message("user", ""), Message("", '"'), Message("Human", '""\n,\r\n\t\\.'),
    Message("user", "\\.\n\\N\né\u2028\U0001f600\x01\x02\x7f", {"k": "\\u0041\"'\x01\n\x7f é"}),
    Message("a,\n\"b", "NULL", {"bb": 1, "a": True, "": "", "B": -(2**40), "ab": 2**70}),
    Message("user", "x", created_at=AT), Message("user", "x", {"n": 1}, AT.replace(microsecond=0)),
    Message("user", "x", None, AT.replace(year=1, month=1, day=1, hour=0, minute=0, second=0,
                                          microsecond=0)),
    Message("user", "x", None, AT.replace(year=9999, month=12, day=31, hour=23, minute=59,
                                          second=59, microsecond=999_999)),
]  # fmt: skip
"""Messages that can go as CSV."""


@pytest.fixture
def place(postgres_server: Server) -> Iterator[Place]:
    place = Place(postgres_server)
    yield place
    place.drop()


@pytest.fixture
def other(postgres_server: Server) -> Iterator[Place]:
    place = Place(postgres_server)
    yield place
    place.drop()


@contextlib.asynccontextmanager
async def opened(place: Place, dsn: str = "") -> AsyncIterator[Any]:
    store = await open_postgres({"dsn": dsn or place.url, "table": place.table}, write=True)
    try:
        yield store
    finally:
        await store.close()


class Telling(Slow):
    """A destination that remembers what it was told of what was copied."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._store = store
        self.told: dict[str, str] = {}

    async def copy(self, source: Store, conversations: Any) -> tuple[list[Copied], Any]:
        copied, left = await self._store.copy(source, conversations)
        self.told |= {each.conversation: each.digest for each in copied}
        return copied, left

    async def digests(self, conversations: Any) -> dict[str, str]:
        found: dict[str, str] = await self._store.digests(conversations)
        return found


def stored(place: Place) -> list[Any]:
    """Every row as it stands there, but for its id, conversation by conversation."""
    rows = place.rows(
        "SELECT session_id, role, content, metadata::text, created_at::text, tool_calls::text, "
        "tool_call_id, name, parts::text, extra::text, carried FROM {} ORDER BY session_id, id"
    )
    beside = place.rows(f'SELECT * FROM "{place.table}_meta" ORDER BY 1, 2')
    return [tuple(row) for row in [*rows, *beside]]


async def both_ways(source: Path, place: Place, other: Place, **options: Any) -> set[str]:
    """Copy to a store that copies by itself, and to one that does not: what they tell and what is
    stored is the same, and so are the digests. Tells what was copied."""
    async with (
        opened_file(source, options.pop("page_size", 1000), write=True) as ours,
        opened(place) as fast,
        opened(other) as slow,
    ):
        assert isinstance(ours, MakesCsv)
        telling, plain = Telling(fast), Slow(slow)
        assert isinstance(telling, SupportsCopy)
        assert not isinstance(plain, SupportsCopy)
        for _ in range(2):
            assert await moved(ours, telling, **options) == await moved(ours, plain, **options)
        assert await fast.digests([*telling.told]) == telling.told
    assert await asyncio.to_thread(stored, place) == await asyncio.to_thread(stored, other)
    return {*telling.told}


async def contents(store: Store, conversation: str) -> list[str]:
    pages = [page.items async for page in store.read([conversation])]
    return [item.content for items in pages for item in items if isinstance(item, Message)]


@pytest.mark.parametrize("layout", ["synmem", "synapsekit"])
def test_hostile_conversations_are_stored_as_the_ordinary_way_stores_them(
    tmp_path: Path, place: Place, other: Place, layout: str
) -> None:
    async def main() -> None:
        async with opened_file(tmp_path / "s.db", write=True, layout=layout) as source:
            await source.append(hostile())
            await source.append([Part(Conversation(f"u{n}"), [m]) for n, m in enumerate(USUAL)])
            await source.append([Part(Conversation("usual"), USUAL)])
        copied = await both_ways(tmp_path / "s.db", place, other, move=True)
        assert {*(f"small {n}" for n in range(120)), "u0", "u1", "u2", "u3"} <= copied
        assert not {"texts", "metadata", "fields"} & copied
        if layout == "synmem":
            assert {*(f"u{n}" for n in range(len(USUAL))), "usual", "long"} <= copied
        else:
            assert "u6" not in copied  # its time rides in the metadata

    asyncio.run(main())


def test_rows_that_another_program_wrote_are_stored_as_the_ordinary_way_stores_them(
    tmp_path: Path, place: Place, other: Place
) -> None:
    rows: list[Any] = [
        (f"{n:02} {k}", "user", "x", each) for n, each in enumerate(HOSTILE) for k in "ab"
    ]
    rows += [("bad", b"\xff", "x", None), ("bad", "user", b"\xed\xa0\x80", None)]
    rows += [("nul", "user", b"x\0y", None), ("Nul", b"\0", "x", None)]
    rows += [(name, "user", "x", each) for name, texts in PLOTS for each in texts]
    rows += [("x" * 1025, "user", "x", None), ("", "user", "x", None), ('"i,d\n"', '"', ",", None)]
    rows += [
        (f"good {n}", "user", "x", '{"a":   1, "\\u0062": "\\u00e9", "a": 2}') for n in range(9)
    ]
    copied = asyncio.run(both_ways(raw(tmp_path / "s.db", rows), place, other))
    assert {*(f"good {n}" for n in range(9)), '"i,d\n"'} <= copied
    assert not {"bad", "nul", "Nul"} & copied


def test_columns_that_another_program_wrote_are_stored_as_the_ordinary_way_stores_them(
    tmp_path: Path, place: Place, other: Place
) -> None:
    usual = [
        "2026-12-31T23:59:59.999999Z", "2024-02-29T00:00:00.000000Z", "2026-04-30T06:00:00.000001Z",
        "0001-01-01T00:00:00.000000Z", "2000-01-28T10:20:30.123456Z", "9999-12-31T23:59:59.999999Z",
        "0999-10-01T06:00:00.000000Z", "2026-11-21T06:00:00.100000Z", "2026-11-29T06:00:00.000000Z",
    ]  # fmt: skip
    times = [
        *usual, "2026-11-21T06:00:00Z", "2026-11-21 06:00:00+02:00", "now", 5, "", "infinity",
        "20261121T060000.1234567890Z", "2026-11-21T06:00:00.000000", "2026-11-21T24:00:00.000000Z",
        "2026-02-29T06:00:00.000000Z", "2026-02-30T06:00:00.000000Z", "2026-11-31T06:00:00.000000Z",
        "2026-11-21T06:00:60.000000Z", "0000-01-01T00:00:00.000000Z", "2026-11-21T06:00:00.000000Z\n",
        "0001-01-01T00:00:00.000000+14:00", "2026-11-21T06:00:00.123456+05:30",
        "2026-11-21T06:00:00.000000Z,2026-11-21T06:00:00.000000Z", "２026-11-21T06:00:00.000000Z",
    ]  # fmt: skip

    async def main() -> None:
        async with opened_file(tmp_path / "s.db", write=True) as source:
            await source.append([Part(Conversation(f"{n}"), USUAL[:2]) for n in range(len(times))])
            await source.append([Part(Conversation(f"blob {n}"), USUAL[:1]) for n in range(3)])
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as db, db:
            db.executemany(
                "UPDATE messages SET created_at = ? WHERE conversation_id = ? AND content = ''",
                [(time, f"{n}") for n, time in enumerate(times)],
            )
            for n, column in enumerate(("role", "content", "metadata")):
                db.execute(
                    f"UPDATE messages SET {column} = x'22' WHERE conversation_id = 'blob {n}'"
                )
        copied = await both_ways(tmp_path / "s.db", place, other)
        assert copied == {f"{n}" for n in range(len(usual))}

    asyncio.run(main())


_ANY = (
    st.lists(
        st.builds(
            Message, st.text(), st.text(),
            st.dictionaries(st.text(), st.text() | st.integers() | st.booleans(), max_size=4),
            st.none() | st.datetimes(timezones=st.just(AT.tzinfo)),
        ) | MESSAGES,
        min_size=1, max_size=40,
    ),
    st.lists(st.sampled_from("abcde"), max_size=5),
)  # fmt: skip


def _examples(count: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture]
    return settings(max_examples=count, deadline=None, suppress_health_check=checks)


@_examples(8)
@given(*_ANY)
def test_whatever_was_said_is_stored_as_the_ordinary_way_stores_it(
    tmp_path_factory: Any, postgres_server: Server, said: list[Message], there: list[str]
) -> None:
    _both_ways_of_any(tmp_path_factory, postgres_server, said, there)


@pytest.mark.real
@_examples(80)
@given(*_ANY)
def test_of_much_that_was_said_it_is_so(
    tmp_path_factory: Any, postgres_server: Server, said: list[Message], there: list[str]
) -> None:
    _both_ways_of_any(tmp_path_factory, postgres_server, said, there)


def _both_ways_of_any(
    tmp_path_factory: Any, postgres_server: Server, said: list[Message], there: list[str]
) -> None:
    places = Place(postgres_server), Place(postgres_server)
    chance = random.Random(len(said))

    async def main() -> None:
        path = tmp_path_factory.mktemp("any") / "s.db"
        async with opened_file(path, write=True) as source:
            for message in said:
                if source.refusal(message) is None:
                    name = chance.choice(["a", "b", "c", "d", "e", *map(str, range(40))])
                    await source.append([Part(Conversation(name, "t"), [message])])
        for place in places:
            async with opened(place) as dest:
                for name in there:
                    await dest.append([Part(Conversation(name), said[:1])])
        await both_ways(path, *places, page_size=chance.choice([1, 3, 1000]))

    try:
        asyncio.run(main())
    finally:
        for place in places:
            place.drop()


# --- proving -------------------------------------------------------------------------------------


CHANGES = [
    "UPDATE {0} SET content = content || ' ' WHERE id = 4",
    "UPDATE {0} SET role = role || content, content = '' WHERE id = 4",
    "UPDATE {0} SET role = '\"' || role WHERE id = 4",
    "UPDATE {0} SET content = 'message 2' WHERE id = 4",
    "UPDATE {0} SET metadata = '{{\"a\": 2}}' WHERE id = 4",
    "UPDATE {0} SET metadata = '{{}}' WHERE id = 5",
    "UPDATE {0} SET metadata = 'null' WHERE id = 5",
    "UPDATE {0} SET metadata = NULL WHERE id = 4",
    "UPDATE {0} SET created_at = created_at + interval '1 microsecond' WHERE id = 4",
    "UPDATE {0} SET created_at = created_at - interval '4050 years' WHERE id = 4",
    "UPDATE {0} SET created_at = 'infinity' WHERE id = 5",
    "UPDATE {0} SET created_at = now() WHERE id = 5",
    *(f"UPDATE {{0}} SET {name} = '' WHERE id = 5" for name in ("tool_call_id", "name", "carried")),
    *(f"UPDATE {{0}} SET {name} = 'null' WHERE id = 5" for name in ("tool_calls", "parts", "extra")),
    "UPDATE {0} SET id = 1000 WHERE id = 4",
    "UPDATE {0} SET session_id = 'd' WHERE id = 5",
    "DELETE FROM {0} WHERE id = 4",
    "DELETE FROM {0} WHERE session_id = 'b'",
    "INSERT INTO {0} (session_id, role, content) SELECT session_id, role, content FROM {0} WHERE id = 5",
    "ALTER TABLE {0} ALTER content DROP NOT NULL; INSERT INTO {0} (session_id, role) VALUES ('b', 'x')",
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_of_rows_that_were_changed_is_another(
    tmp_path: Path, place: Place, change: str
) -> None:
    async def main() -> None:
        async with opened_file(tmp_path / "s.db", write=True) as source, opened(place) as dest:
            messages = [Message("user", f"message {n}", {"a": n}, AT) for n in (1, 3)]
            messages[1:1] = [Message("user", "message 2")]
            await source.append([Part(Conversation(i), messages) for i in "abc"])
            with Ledger() as ledger:
                transfer = Transfer(source, dest, ledger, Options())
                await transfer.copy()
                told = {e.conversation: e.digest for page in ledger.pages() for e in page}
                assert await dest.digests("abc") == told
                for statement in change.split(";"):
                    await asyncio.to_thread(place.rows, statement)
                found = await dest.digests("abc")
                assert found.get("b") != told["b"]
                assert (found["a"], found["c"]) == (told["a"], told["c"])
                await transfer.verify()
                kinds = [entry.kind for page in ledger.pages() for entry in page]
                # What a reader takes for the same messages is the same, whatever the digest says;
                # and what was added behind them does no harm.
                same = ("'{{}}'", "INSERT")
                assert kinds == [None, None if any(s in change for s in same) else "failed", None]

    asyncio.run(main())


# --- what goes wrong -----------------------------------------------------------------------------


def test_what_is_there_already_or_comes_from_elsewhere_is_left_alone(
    tmp_path: Path, place: Place
) -> None:
    async def main() -> None:
        async with opened_file(tmp_path / "s.db", write=True) as source, opened(place) as dest:
            await source.append([Part(Conversation(i), numbered(3)) for i in "abc"])
            await dest.append([Part(Conversation("b"), numbered(1))])
            wanted = [Conversation(i) for i in ("a", "b", "c", "\ud800", "none", "nul\0")]
            copied, left = await dest.copy(source, wanted)
            assert [(c.conversation, c.messages, left) for c in copied] == [
                ("a", 3, []),
                ("c", 3, []),
            ]
            assert await dest.copy(source, wanted) == ([], [])
            assert await dest.copy(InMemoryStore(), wanted) == ([], [])
            assert await dest.digests(["none", "\ud800"]) == {}
            assert await ids(dest) == ["a", "b", "c"]
            assert await contents(dest, "b") == ["message 0"]

    asyncio.run(main())


def test_many_runs_at_once_double_nothing(
    tmp_path: Path, place: Place, postgres_server: Server
) -> None:
    async def main(dsn: str) -> None:
        async with opened_file(tmp_path / "s.db", write=True) as source, opened(place) as dest:
            names = [f"{n}" for n in range(300)]
            await source.append([Part(Conversation(i), numbered(7)) for i in names])
            async with opened(place, dsn) as another:
                stores = [dest, another, dest, another]
                told = await asyncio.gather(*(moved(source, store) for store in stores))
            assert sum(entry[4] for entries, _ in told for entry in entries) == 7 * len(names)
            assert {len(await contents(dest, i)) for i in names} == {7}

    if not isinstance(postgres_server, Postgres):
        pytest.skip("the pooler needs a server that lets it in without a password")
    with pooling(postgres_server.port) as pooler:  # half of them through it
        asyncio.run(main(f"postgresql://any@127.0.0.1:{pooler.port}/postgres"))
        assert pooler.switches


def test_a_copy_whose_answer_was_lost_is_done_once(
    tmp_path: Path, place: Place, postgres_server: Server
) -> None:
    host, _, rest = place.url.rpartition("@")[2].partition(":")

    async def main(proxy: Proxy) -> None:
        dsn = place.url.replace(f"{host}:{rest.partition('/')[0]}", f"127.0.0.1:{proxy.port}")
        async with opened_file(tmp_path / "s.db", write=True) as source, opened(place, dsn) as dest:
            await source.append([Part(Conversation(i), numbered(3)) for i in "ab"])
            proxy.cut_after_request(lambda sent: b"; COMMIT" in sent)
            copied, _ = await dest.copy(source, [Conversation("a"), Conversation("b", "title")])
            assert [each.messages for each in copied] == [3, 3]
            assert [await contents(dest, i) for i in "ab"] == [
                ["message 0", "message 1", "message 2"]
            ] * 2

    with Proxy(int(rest.partition("/")[0]), host) as proxy:
        asyncio.run(main(proxy))
    assert proxy.cuts == 1
    assert place.rows("SELECT count(*) FROM {}")[0][0] == 6


def test_many_conversations_take_more_than_one_step(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.sqlite.csv.CALL_MESSAGES", 5)

    async def main() -> None:
        async with opened_file(tmp_path / "s.db", 2, write=True) as source, opened(place) as dest:
            await source.append([Part(Conversation(i), numbered(2)) for i in "abcdefg"])
            await source.append([Part(Conversation("long"), numbered(5))])
            await source.append([Part(Conversation("wide"), [Message("user", "x" * 1_000_000)])])
            waiting, steps = [Conversation(i) for i in (*"gfedcba", "long", "wide")], []
            while waiting:
                copied, waiting = await dest.copy(source, waiting)
                steps.append([each.conversation for each in copied])
            assert steps == [["a", "b", "c", "d"], ["e", "f", "g"]]  # no more than is held at once

    asyncio.run(main())
