"""The memories that lie in a store, each on the real one: results, windows, sharing, closing."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import synapsekit.memory

from synmem.errors import Changed
from synmem.memory import (
    DynamoDBMemory,
    MongoMemory,
    PostgresMemory,
    RedisConversationMemory,
    RedisMemory,
    SQLiteConversationMemory,
    SqliteMemory,
    SummaryMemory,
)
from tests.memory.models import Echo, Failing
from tests.services import unique

KINDS = ("sqlite", "redis", "postgres", "mongo", "dynamodb")
Make = Callable[..., Any]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Iterator[Make]:
    """Makes memories of one kind, over one store; they are emptied and closed at the end."""
    kind, session = request.param, unique()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    url = "" if kind == "sqlite" else request.getfixturevalue(f"{kind}_server").url
    made: list[Any] = []

    def memory(session_id: str = "default", **how: Any) -> Any:
        name = f"{session} {session_id}"
        if kind == "sqlite":
            new: Any = SqliteMemory(str(tmp_path / "m.db"), name, **how)
        elif kind == "redis":
            new = RedisMemory(url, name, **how)
        elif kind == "postgres":
            new = PostgresMemory(url, name, **how)
        elif kind == "mongo":
            new = MongoMemory(url, session, session_id=name, **how)
        else:
            new = DynamoDBMemory(session, name, endpoint_url=url, create=True, **how)
        made.append(new)
        return new

    yield memory

    async def end() -> None:
        for each in made:
            await each.clear()
            await each.close()

    asyncio.run(end())


def said(count: int, start: int = 0) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"said {n}"} for n in range(start, start + count)]


async def fill(memory: Any, count: int) -> None:
    for message in said(count):
        await memory.add(**message)


def test_what_was_said_is_there_for_the_next_object_too(make: Make) -> None:
    async def main() -> None:
        memory = make()
        assert await memory.get() == []
        await memory.add("user", "Hello! \ud800 \x00 👋")
        await memory.add("assistant", "Hi there!")
        expected = [
            {"role": "user", "content": "Hello! \ud800 \x00 👋"},
            {"role": "assistant", "content": "Hi there!"},
        ]
        assert await make().get() == expected
        assert make("other").to_messages() == []
        assert await make("other").get() == []
        assert memory.to_messages() == expected  # before its first get: what it added
        assert memory.to_string() == "User: Hello! \ud800 \x00 👋\nAssistant: Hi there!"
        await memory.clear()
        assert (await make().get(), memory.to_messages()) == ([], [])

    asyncio.run(main())


def test_the_window_keeps_the_newest_in_the_store(make: Make) -> None:
    async def main() -> None:
        memory = make(max_messages=3)
        await fill(memory, 5)
        assert memory.to_messages() == said(3, 2)
        assert await make().get() == said(3, 2)

    asyncio.run(main())


def test_no_more_than_the_window_is_returned_whatever_the_store_has(make: Make) -> None:
    """A reader of many pages finds more where a writer is at work meanwhile."""

    async def main() -> None:
        await fill(make(), 5)
        memory = make(max_messages=3)
        assert await memory.get() == memory.to_messages() == said(3, 2)
        assert await make(max_messages=9).get() == said(5)

    asyncio.run(main())


def test_one_object_serves_one_event_loop_after_the_other_and_many_tasks(make: Make) -> None:
    memory = make()
    for n in range(3):
        asyncio.run(memory.add("user", f"{n}"))

    async def main() -> None:
        async with memory:
            await asyncio.gather(*(memory.add("user", "at once") for _ in range(10)))
        assert await memory.count() == 13  # closed, and opened again

    asyncio.run(main())


def test_summary_memory_is_one_atomic_step_in_the_store(make: Make) -> None:
    async def main() -> None:
        model = Echo()
        memory = SummaryMemory(make(), model, max_messages=4)
        await fill(memory, 7)
        expected = [
            {"role": "system", "content": "Summary of earlier conversation:\nanswer 2"},
            *said(2, 5),
        ]
        assert await make().get() == memory.to_messages() == expected
        assert len(model.prompts) == 2

    asyncio.run(main())


def test_a_summary_of_messages_that_are_gone_replaces_nothing(make: Make) -> None:
    async def main() -> None:
        memory = make()
        await fill(memory, 4)
        _, which = await memory.oldest(3)
        await memory.clear()
        for message in said(4, 4):
            await memory.add(**message)
        with pytest.raises(Changed):
            await memory.replace_oldest(which, "system", "a summary of others")
        assert await memory.get() == said(4, 4)

    asyncio.run(main())


def test_two_programs_that_summarize_at_once_lose_nothing(make: Make) -> None:
    class Meanwhile:
        """While it thinks, the other program summarizes the same messages."""

        async def generate(self, prompt: str) -> str:
            await SummaryMemory(make(), Echo(), max_messages=4).add("user", "said 5")
            return "too late"

    async def main() -> None:
        await fill(make(), 4)
        await SummaryMemory(make(), Meanwhile(), max_messages=4).add("user", "said 4")
        assert await make().get() == [
            {"role": "system", "content": "Summary of earlier conversation:\nanswer 1"},
            *said(2, 4),
        ]

    asyncio.run(main())


def test_a_model_that_fails_loses_nothing(make: Make) -> None:
    async def main() -> None:
        memory = SummaryMemory(make(), Failing(), max_messages=2)
        await fill(memory, 2)
        with pytest.raises(RuntimeError):
            await memory.add("user", "said 2")
        assert await make().get() == said(3)

    asyncio.run(main())


def test_a_record_that_cannot_be_read_is_never_replaced(tmp_path: Path) -> None:
    async def main() -> None:
        path, model = str(tmp_path / "c.db"), Echo()
        synapsekit.memory.SQLiteConversationMemory(path, "c").close()
        memory = SummaryMemory(SqliteMemory(path, "c"), model, max_messages=4)
        await fill(memory, 4)
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE messages SET metadata = '{bad' WHERE content = 'said 2'")
            db.commit()
            for message in said(5, 4):
                await memory.add(**message)
            # What stood before it is summarized, once; what is behind it waits.
            assert [content for (content,) in db.execute("SELECT content FROM messages")] == [
                "Summary of earlier conversation:\nanswer 1",
                *[f"said {n}" for n in range(2, 9)],
            ]
            assert model.prompts[0].endswith("User: said 0\nUser: said 1")
            assert len(model.prompts) == 1
            db.execute("UPDATE messages SET metadata = NULL")
            db.commit()
        await memory.add("user", "said 9")
        assert await memory.get() == [
            {"role": "system", "content": "Summary of earlier conversation:\nanswer 2"},
            *said(2, 8),
        ]
        await memory.close()

    asyncio.run(main())


# --- the synchronous two, beside SynapseKit's -------------------------------------------------


@pytest.fixture(params=["sqlite", "redis"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes ours and SynapseKit's over one store."""
    made: list[Any] = []
    prefix = f"{unique()}:"

    def memories(name: str = "c", window: int | None = None) -> tuple[Any, Any]:
        if request.param == "sqlite":
            path = str(tmp_path / "c.db")
            both = (
                SQLiteConversationMemory(path, name, window),
                synapsekit.memory.SQLiteConversationMemory(path, name, window),
            )
        else:
            url = request.getfixturevalue("redis_server").url
            both = (
                RedisConversationMemory(url, name, window, prefix),
                synapsekit.memory.RedisConversationMemory(url, name, window, prefix),
            )
        made.extend(both)
        return both

    yield memories
    for each in made:
        each.clear()
        each.close()


@pytest.mark.parametrize("window", [None, 1, 2])
def test_ours_and_synapsekits_share_a_conversation_call_by_call(
    pair: Make, window: int | None
) -> None:
    ours, theirs = pair(window=window)
    for n, (role, content, metadata) in enumerate(
        [("user", "a", None), ("assistant", "é 👋", {"k": [1.5, None]}), ("system", "", {}),
         ("user", "x\ny", {"synmem": 1, 2: (3,)}), ("tool", "z", None), ("user", "end", {"deep": {"a": []}})]
    ):  # fmt: skip
        (ours, theirs)[n % 2].add(role, content, metadata)
        assert ours.get_messages() == theirs.get_messages()
        assert ours.format_context() == theirs.format_context()
        assert len(ours) == len(theirs) == min(n + 1, 2 * (window or 9))
        assert ours.list_conversations() == theirs.list_conversations() == ["c"]
    other, _ = pair("b: */é")
    other.add("user", "x")
    assert ours.list_conversations() == theirs.list_conversations() == ["b: */é", "c"]
    theirs.clear()
    assert (ours.get_messages(), len(ours), ours.format_context()) == ([], 0, "")


def test_a_window_of_nothing_keeps_nothing(pair: Make) -> None:
    ours, _ = pair(window=0)
    ours.add("user", "x")
    assert (ours.get_messages(), ours.list_conversations()) == ([], [])


def test_they_work_inside_a_running_event_loop(pair: Make) -> None:
    async def main() -> None:
        ours, theirs = pair()
        ours.add("user", "x")
        with ours:
            assert len(ours) == 1
        assert theirs.get_messages() == ours.get_messages() == [{"role": "user", "content": "x"}]

    asyncio.run(main())


# --- arguments and ends -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make_it", "named"),
    [
        (lambda p: SqliteMemory(p, max_messages=0), "max_messages must be >= 1"),
        (lambda p: SqliteMemory(p, session_id=""), "session_id must be a string"),
        (lambda p: SqliteMemory(p, session_id=5), "session_id must be a string"),
        (lambda p: SQLiteConversationMemory(p, "x" * 1025), "conversation_id cannot be 'xxx"),
        (lambda p: SqliteMemory(None), "db_path must be a path"),
        (lambda p: RedisConversationMemory(prefix=None), "prefix must be a string"),
        (lambda p: RedisMemory(""), "url must be a string"),
        (lambda p: PostgresMemory(None), "dsn must be a string"),
        (lambda p: DynamoDBMemory(""), "table_name must be a string"),
        (lambda p: MongoMemory(db_name=""), "db_name must be a string"),
        (lambda p: SQLiteConversationMemory(p).add("user", "x", {"a": p.encode()}), "must be JSON"),
        (lambda p: SQLiteConversationMemory(p, window=-1), "window must be >= 0"),
        (lambda p: SQLiteConversationMemory(p).add("user", "x", [1]), "metadata must be a dict"),
        (lambda p: RedisMemory(ttl_seconds=0), "ttl_seconds must be >= 1"),
        (lambda p: PostgresMemory("postgresql://x", max_messages="3"), "must be a whole number"),
        (lambda p: RedisMemory("http://x"), "url must begin with redis://"),
        (lambda p: RedisConversationMemory("http://x"), "url must begin with redis://"),
        (lambda p: RedisMemory("redis://x:port"), "url must be redis://"),
        (lambda p: RedisMemory("redis://x:65536"), "url must be redis://"),
        (lambda p: PostgresMemory("nonsense"), "dsn must begin with postgresql://"),
        (lambda p: PostgresMemory("postgresql://u:to/ken@x/db"), "dsn must be postgresql://"),
        (lambda p: MongoMemory("nonsense"), "uri must begin with mongodb://"),
        (lambda p: MongoMemory("mongodb://x:1,y:z"), "uri must be mongodb://"),
        (lambda p: DynamoDBMemory("t", endpoint_url="nonsense"), "endpoint_url must begin with"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, make_it: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named) as found:
        make_it(str(tmp_path / "x.db"))
    assert "ken" not in str(found.value)  # a password that is not quoted


@pytest.mark.parametrize(
    "make_it",
    [
        lambda: RedisMemory("unix:///tmp/redis.sock?db=1"),
        lambda: RedisMemory("rediss://:s%40%2F@[::1]:6380/2"),
        lambda: PostgresMemory("postgresql:///db?host=/run/postgresql"),
        lambda: PostgresMemory("postgres://u:p%3A@a:5432,b/db?target_session_attrs=any"),
        lambda: MongoMemory("mongodb://u:p@a:27017,b.c,[::1]:27018/?replicaSet=r"),
        lambda: MongoMemory("mongodb://%2Ftmp%2Fmongodb-27017.sock"),
        lambda: MongoMemory("mongodb+srv://u:p@cluster.example.com/db"),
        lambda: DynamoDBMemory("t", endpoint_url="http://localhost:8000/"),
    ],
)
def test_every_form_of_an_address_is_taken_and_nobody_asked(make_it: Any) -> None:
    make_it()


def test_a_driver_that_is_not_installed_is_an_import_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r"synmem-cli\[redis\]"):
        RedisMemory()


def test_the_constructors_make_the_file(tmp_path: Path) -> None:
    SqliteMemory(str(tmp_path / "a.db"))
    SQLiteConversationMemory(str(tmp_path / "b.db")).close()
    ours, theirs = tmp_path / "b.db", tmp_path / "c.db"
    synapsekit.memory.SQLiteConversationMemory(str(theirs)).close()
    assert ours.read_bytes()[:16] == theirs.read_bytes()[:16]
    assert (tmp_path / "a.db").exists()


def test_sqlites_word_for_memory_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with SQLiteConversationMemory(":memory:") as ours:
        metadata = {"k": [1]}
        ours.add("user", "x", metadata)
        metadata["k"].append(2)
        assert ours.get_messages() == [{"role": "user", "content": "x", "metadata": {"k": [1]}}]
        assert ours.list_conversations() == ["default"]
        assert len(SQLiteConversationMemory(":memory:")) == 0  # each has its own
    memory = SqliteMemory(":memory:")
    asyncio.run(memory.add("user", "x"))
    assert asyncio.run(memory.get()) == [{"role": "user", "content": "x"}]
    assert not (tmp_path / ":memory:").exists()


def test_memories_over_one_server_share_its_connections(postgres_server: Any) -> None:
    dsn, session = postgres_server.url, unique()
    shown = f"{dsn}{'&' if '?' in dsn else '?'}application_name={session}"
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"

    async def connections() -> int:
        import asyncpg

        db = await asyncpg.connect(dsn)
        try:
            for _ in range(50):  # a connection that is closed leaves the list a little later
                count = await db.fetchval(asked, session)
                if not count:
                    break
                await asyncio.sleep(0.02)
            return int(count)
        finally:
            await db.close()

    async def main() -> None:
        made = [PostgresMemory(shown, f"{session} {n}") for n in range(30)]
        await asyncio.gather(*(memory.add("user", "x") for memory in made))
        assert 1 <= await connections() <= 4
        await made[0].close()
        await made[0].close()
        assert await made[1].count() == 1  # one that is closed closes no other's
        for memory in made:
            await memory.clear()
            await memory.close()
        assert await connections() == 0

    asyncio.run(main())


FORKED = """
import asyncio, os, sys
from synmem.memory import SqliteMemory, SQLiteConversationMemory
memory, other = SqliteMemory(sys.argv[1]), SQLiteConversationMemory(sys.argv[2])
other.add("user", "parent")
asyncio.run(memory.add("user", "parent"))
child = os.fork()
other.add("user", "both")
asyncio.run(memory.add("user", "both"))
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print(len(other), asyncio.run(memory.count()))
"""

AT_EXIT = """
import atexit, sys
from synmem.memory import SQLiteConversationMemory
memory, other = SQLiteConversationMemory(sys.argv[1]), SQLiteConversationMemory(sys.argv[2])
memory.add("user", "x")
atexit.register(memory.close)
class Bot:
    def __del__(self, memory=other):
        memory.close()
bot = Bot()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize(
    ("program", "printed"), [(FORKED, "3 3\n"), (AT_EXIT, "")], ids=["forked", "at exit"]
)
def test_a_program_that_forks_or_closes_at_its_very_end_does_not_hang(
    tmp_path: Path, program: str, printed: str
) -> None:
    files = tmp_path / "a.db", tmp_path / "b.db"
    done = subprocess.run(
        # Python 3.12 and later warn of any fork beside a thread.
        [sys.executable, "-W", "ignore:This process", "-c", program, *files],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


LEFT_OPEN = """
import asyncio, sys
from synmem.memory import SqliteMemory, SQLiteConversationMemory
memory, other = SqliteMemory(sys.argv[1]), SQLiteConversationMemory(sys.argv[2])
other.add("user", "x")
asyncio.run(memory.add("user", "x"))
print(len(other), asyncio.run(memory.count()))
"""


def test_a_program_that_closes_nothing_ends_all_the_same(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LEFT_OPEN, tmp_path / "a.db", tmp_path / "b.db"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 1\n", "")
