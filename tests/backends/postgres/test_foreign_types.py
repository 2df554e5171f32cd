"""Tables of other frameworks whose columns are of types that somebody chose: which ids and texts
they cut or hold to be the same, and times that Python has none of."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from synmem.errors import Rejected, StoreError
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import Part, Store
from tests.backends.postgres.test_foreign_odd import Base, base, human, said
from tests.conformance import add, items, numbered, run
from tests.services import unique

__all__ = ["base"]  # a fixture


def made(base: Base, kind: str, *names: str, message: str = "JSONB") -> None:
    """LangChain's table with ids of a type, and a row of each of these conversations."""
    base.run(
        f"CREATE TABLE message_store (id SERIAL PRIMARY KEY, session_id {kind}, message {message})",
        "SELECT",
    )
    for name in names:
        base.run(
            "INSERT INTO message_store (session_id, message) VALUES ($1, $2)",
            values=[name, human("message 0")],
        )


def made_folding(base: Base, *names: str) -> None:
    """The same, where ids that differ in capitals are one to the column."""
    try:
        base.run("CREATE EXTENSION citext", "SELECT")
    except (asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFileError) as error:
        pytest.skip(f"this server cannot: {error}")
    made(base, "citext", *names)


# --- what a column cuts or changes ----------------------------------------------------------


@pytest.mark.parametrize("kind", ["char(3)", "bpchar", "varchar(3)"])
def test_an_id_is_written_as_it_is_or_refused(base: Base, kind: str) -> None:
    made(base, kind, "a", "abc")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            await add(store, "abc", numbered(1, 1))
            await add(store, "ab", numbered(1))
            for name in ("abcd", "ab ", "abc "):
                if (name, kind) in (("ab ", "varchar(3)"), ("abcd", "bpchar")):
                    continue  # there it is an id as any other
                with pytest.raises(Rejected, match="session_id") as caught:
                    await add(store, name, numbered(1))
                assert [each[0] for each in caught.value.reasons] == [name]

    run(main())
    assert base.contents() == said({"a": 1, "ab": 1, "abc": 2})


def test_a_message_that_its_column_has_no_room_for_is_refused(base: Base) -> None:
    made(base, "text", "a", message="varchar(300)")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            long = Message("user", "x" * 300)
            assert "'message'" in store.refusal(long)
            with pytest.raises(Rejected, match="'message'") as caught:
                await add(store, "a", [*numbered(1, 1), long])
            assert [each[:2] for each in caught.value.reasons] == [("a", 1)]
            await add(store, "a", numbered(1, 1))

    run(main())
    assert base.contents() == said({"a": 2})


def test_an_id_that_the_column_takes_for_another_is_refused(base: Base) -> None:
    made_folding(base, "Bob", "ann")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            parts = [Part(Conversation(name), numbered(1)) for name in ("bob", "eve", "Eve")]
            with pytest.raises(Rejected, match="are one to the table's column") as caught:
                await store.append(parts)
            assert sorted(each[0] for each in caught.value.reasons) == ["Eve", "bob", "eve"]
            await add(store, "Bob", numbered(1, 1))
            await add(store, "eve", numbered(1))
            assert await store.delete("ann")

    run(main())
    assert base.contents() == said({"Bob": 2, "eve": 1})


def test_where_two_ids_are_one_to_the_column_nothing_is_cut(base: Base) -> None:
    made_folding(base, "Bob", "bob")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            assert "'bob'" in (await store.refuses_back(["Bob"]))["Bob"]
            with pytest.raises(Rejected, match="'bob'"):
                await store.delete("Bob")

    run(main())
    assert base.contents() == said({"Bob": 1, "bob": 1})


# --- what a table refuses, and its number ---------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        "CREATE UNIQUE INDEX once ON message_store (md5(message))",
        "ALTER TABLE message_store ADD CONSTRAINT once UNIQUE (message)",
        "ALTER TABLE message_store ADD CONSTRAINT once UNIQUE (message) DEFERRABLE INITIALLY DEFERRED",
        "ALTER TABLE message_store ADD CONSTRAINT once CHECK (message NOT LIKE '%message 2%')",
    ],
)  # fmt: skip
def test_a_row_that_a_rule_of_somebody_refuses_is_named_and_nothing_is_written(
    base: Base, rule: str
) -> None:
    """It was said that the sequence is behind, with a `setval` that mends nothing."""

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            await add(store, "z", numbered(1, 2))
        await asyncio.to_thread(
            base.run, f"{rule} NOT VALID" if "CHECK" in rule else rule, "SELECT"
        )
        async with base.opened(write=True, layout="langchain") as store:
            given = [("b", numbered(1, 7)), ("a", [*numbered(2), *numbered(2, 2)])]
            parts = [Part(Conversation(name), messages) for name, messages in given]
            with pytest.raises(Rejected, match="once") as caught:
                await store.append(parts)
            assert [each[:2] for each in caught.value.reasons] == [("a", 2)]
            assert "setval" not in str(caught.value.hint)
            await add(store, "a", numbered(1))

    made(base, "text", message="TEXT")
    run(main())
    found = {name: [m["content"] for m in each] for name, each in contents_of(base).items()}
    assert found == {"a": ["message 0"], "z": ["message 2"]}


def contents_of(base: Base) -> dict[str, list[dict[str, str]]]:
    """What the rows say, by conversation."""
    found: dict[str, list[dict[str, str]]] = {}
    for name, message in base.run("SELECT session_id, message FROM message_store ORDER BY id"):
        found.setdefault(name, []).append(json.loads(message)["data"])
    return found


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TABLE message_store (id SERIAL, session_id TEXT, message TEXT, PRIMARY KEY (session_id, id))",
        "CREATE TABLE message_store (id SERIAL PRIMARY KEY, session_id TEXT, message TEXT) PARTITION BY RANGE (id); CREATE TABLE all_of_them PARTITION OF message_store DEFAULT",
    ],
)  # fmt: skip
def test_a_number_that_is_taken_means_the_sequence(base: Base, ddl: str) -> None:
    base.run(*ddl.split("; "), "SELECT")
    for n in range(2):
        base.run(
            "INSERT INTO message_store (session_id, message) VALUES ('a', $1)",
            values=[human(f"message {n}")],
        )
    base.run("SELECT setval('message_store_id_seq', 1)")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            with pytest.raises(StoreError, match="sequence") as caught:
                await add(store, "a", numbered(1))
            assert "setval" in str(caught.value.hint)

    run(main())


# --- what a table would not take back -------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "more"),
    [
        ("text CHECK (length(message) < 70)", ()),
        ("varchar(60)", ()),
        ("jsonb CHECK (NOT (message->'data' ? 'id'))", ()),
        ("text", ("CREATE UNIQUE INDEX ON message_store ((length(message) / 100))",)),
        ("text", ("ALTER TABLE message_store ADD CHECK (id > 0)",)),
        ("text", ("ALTER TABLE message_store ADD EXCLUDE USING btree (session_id WITH =, (length(message) / 100) WITH =) DEFERRABLE INITIALLY DEFERRED",)),
    ],
)  # fmt: skip
def test_what_the_table_would_not_take_back_is_told_before_it_goes(
    base: Base, message: str, more: tuple[str, ...]
) -> None:
    """LangChain's words for a message are longer than those that somebody wrote it in."""
    made(base, "text", "a", message=message)
    base.run(*more, "SELECT")
    size = 100 if more else 1  # what an index takes for two, and does no longer
    base.run(
        "INSERT INTO message_store (session_id, message) VALUES ('a', $1)",
        values=[human("message 1").ljust(size)],
    )
    before = base.run("SELECT id, message::text FROM message_store ORDER BY id")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            assert [*await store.refuses_back(["a", "none"])] == ["a"]

    run(main())
    assert base.run("SELECT id, message::text FROM message_store ORDER BY id") == before


@pytest.mark.parametrize("kind", ["varchar(36)", "text REFERENCES people", "text"])
def test_what_it_would_take_back_it_does(base: Base, kind: str) -> None:
    base.run("CREATE TABLE people (id text PRIMARY KEY)", "INSERT INTO people VALUES ('a')", "SELECT")  # fmt: skip
    made(base, kind, "a", "a", "a")
    base.run("CREATE UNIQUE INDEX ON message_store (session_id, id)", "SELECT")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            assert await store.refuses_back(["a", "none"]) == {}

    run(main())
    assert len(base.run("SELECT FROM message_store")) == 3


@pytest.mark.parametrize("layout", ["langchain", "llamaindex", "openai_agents"])
def test_in_a_table_as_its_framework_makes_it_nothing_is_tried(base: Base, layout: str) -> None:
    async def written() -> None:
        async with base.opened(write=True, layout=layout) as store:
            await add(store, "a", numbered(1))

    async def tried() -> None:
        async with base.opened(write=True, layout=layout) as store:
            assert await store.refuses_back(["a", "none"]) == {}

    given = "SELECT sequencename, last_value FROM pg_sequences"  # a trial takes numbers
    run(written())
    before = base.run(given)
    run(tried())
    assert [row[1] for row in before] == [1]
    assert base.run(given) == before


# --- times that Python has none of ----------------------------------------------------------

ODD = ["infinity", "-infinity", "10000-01-01", "0044-03-15 BC"]

AGENTS = (
    "CREATE TABLE agent_messages (id SERIAL PRIMARY KEY, session_id VARCHAR NOT NULL, "
    "message_data TEXT NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
SESSIONS = (
    "CREATE TABLE agent_sessions (session_id VARCHAR PRIMARY KEY, "
    "created_at TIMESTAMP NOT NULL DEFAULT now(), updated_at TIMESTAMP NOT NULL DEFAULT now())"
)
SPRING = (
    "CREATE TABLE spring_ai_chat_memory (conversation_id VARCHAR(36) NOT NULL, content TEXT "
    'NOT NULL, type VARCHAR(10) NOT NULL, "timestamp" TIMESTAMP NOT NULL)'
)


def item(text: str) -> str:
    """A message as OpenAI Agents stores it."""
    return json.dumps({"role": "user", "content": text})


def in_order_of(base: Base, odd: str, *good: str) -> list[str]:
    """What is said, in order, where one message is of an odd time."""
    rows = base.run(
        "SELECT n FROM unnest($1::text[]) WITH ORDINALITY AS given(at, n) ORDER BY at::timestamp",
        values=[[odd, *good]],
    )
    return ["odd" if n == 1 else f"message {n - 2}" for (n,) in rows]


@pytest.mark.parametrize("index", ["", "CREATE INDEX ON agent_messages (session_id, created_at)"])
@pytest.mark.parametrize("odd", ODD)
def test_one_odd_time_of_openai_agents_hides_no_other_message(
    base: Base, odd: str, index: str
) -> None:
    times = ["2024-01-01", "2024-01-02 10:00:00.5", "2024-01-03"]
    base.run(SESSIONS, AGENTS, index or "SELECT", "SELECT")
    for n, at in enumerate([odd, *times], -1):
        base.run(
            "INSERT INTO agent_messages (session_id, message_data, created_at) "
            "VALUES ('a', $1, $2::text::timestamp)",
            values=[item(f"message {n}"), at],
        )
    expected = in_order_of(base, odd, *times)

    async def main() -> None:
        async with base.opened(write=True, layout="openai_agents") as store:
            for reverse in (False, True):
                found = await items(store, "a", reverse=reverse)
                told = ["odd" if isinstance(m, Unreadable) else m.content for m in found]
                assert told == (expected[::-1] if reverse else expected)
                (unread,) = [each for each in found if isinstance(each, Unreadable)]
                assert f"no time: '{odd[:4]}" in unread.reason
                times_read = {m.content: m.created_at for m in found if isinstance(m, Message)}
                assert times_read["message 1"].isoformat() == "2024-01-02T10:00:00.500000+00:00"
            if expected[-1] == "odd":
                with pytest.raises(Rejected, match="time of the message beside it"):
                    await add(store, "a", [Message("user", "behind")])
            else:
                await add(store, "a", [Message("user", "behind")])
            await add(store, "b", numbered(1))
            assert await store.delete("a")

    run(main())


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_time_of_langchain_s_hides_no_other_message(base: Base, odd: str) -> None:
    name = str(UUID(int=7))
    base.run(
        "CREATE TABLE chat_history (id SERIAL PRIMARY KEY, session_id UUID NOT NULL, "
        "message JSONB NOT NULL, created_at TIMESTAMPTZ NOT NULL DEFAULT NOW())",
        "SELECT",
    )
    for n in range(5):
        base.run(
            "INSERT INTO chat_history (session_id, message) VALUES ($1, $2)",
            values=[name, human(f"message {n}")],
        )

    async def main() -> list[Message | Unreadable]:
        async with base.opened(write=True, layout="langchain") as store:
            return await items(store, name)

    before = run(main())
    base.run(f"UPDATE chat_history SET created_at = '{odd}' WHERE id = 3", "SELECT")
    after = run(main())
    assert isinstance(after.pop(2), Unreadable)
    assert after == before[:2] + before[3:]
    assert base.opens() == "layout langchain (langchain-postgres), table chat_history"


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_time_of_spring_ai_changes_no_other(base: Base, odd: str) -> None:
    base.run(SPRING, "SELECT")
    times = ["2024-01-01", "2024-01-02 10:00:00.5", "2024-01-03"]
    for n, at in enumerate(times):
        base.run(
            "INSERT INTO spring_ai_chat_memory VALUES ('a', $1, 'USER', $2::text::timestamp)",
            values=[f"message {n}", at],
        )

    async def main() -> list[Message]:
        async with base.opened() as store:
            return await items(store, "a")

    before = run(main())
    base.run(
        "INSERT INTO spring_ai_chat_memory VALUES ('a', 'odd', 'USER', $1::text::timestamp)",
        values=[odd],
    )
    after = run(main())
    assert [message.content for message in after] == in_order_of(base, odd, *times)
    (message,) = (each for each in after if each.content == "odd")
    assert message.extra["spring_ai"]["timestamp"].startswith(odd[:9])
    assert [each for each in after if each.content != "odd"] == before


# --- databases of another encoding ----------------------------------------------------------


@contextlib.contextmanager
def encoded(base: Base, encoding: str) -> Iterator[None]:
    """The database is one of this encoding."""
    url, name = base.url, unique("d")
    base.run(
        f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C'", "SELECT"
    )
    base.url = urlsplit(url)._replace(path=f"/{name}").geturl()
    try:
        yield
    finally:
        base.url = url
        base.run(f"DROP DATABASE {name} WITH (FORCE)")


def test_bytes_that_are_no_utf_8_hide_no_other_record(base: Base) -> None:
    bad = human("\xff").replace("\\u00ff", "\\xff")
    with encoded(base, "SQL_ASCII"):
        made(base, "TEXT", "a", "b", "é", message="TEXT")
        base.run(
            f"UPDATE message_store SET message = E'{bad}' WHERE id = 1",
            "INSERT INTO message_store (session_id, message) "
            "SELECT E'\\xff', message FROM message_store WHERE id = 2",
            "SELECT",
        )

        async def main() -> None:
            async with base.opened(write=True, layout="langchain") as store:
                await add(store, "a", numbered(1))
                assert await names_of(store) == ["a", "b", "é"]
                for reverse in (False, True):
                    found = await items(store, "a", reverse=reverse)
                    kinds = [type(each) for each in found]
                    assert kinds == [Message, Unreadable] if reverse else [Unreadable, Message]
                assert [m.content for m in await items(store, "é")] == ["message 0"]
                strays = [(each.position, each.reason) for each in await store.strays()]
                assert strays == [("row 4", "its session_id is not UTF-8")]
                assert await store.total() == 5

        run(main())
        assert base.opens() == "layout langchain (SQLChatMessageHistory), table message_store"


def test_what_the_encoding_of_the_database_lacks_is_refused(base: Base) -> None:
    with encoded(base, "LATIN1"):

        async def main(*expected: str) -> None:
            async with base.opened(write=True, layout="langchain") as store:
                assert await names_of(store, "✓", *expected) == [*expected]
                parts = [Part(Conversation(name), numbered(1)) for name in ("ü", "✓")]
                with pytest.raises(Rejected, match="LATIN1") as caught:
                    await store.append(parts)
                assert [each[0] for each in caught.value.reasons] == ["✓"]
                assert await items(store, "✓") == []
                await add(store, "ü", numbered(1, len(expected)))

        run(main())
        run(main("ü"))
        assert base.contents() == said({"ü": 2})


def test_a_message_that_the_encoding_lacks_a_character_of_is_named(base: Base) -> None:
    with encoded(base, "LATIN1"):
        made(base, "TEXT", "a", message="JSONB")

        async def main() -> None:
            async with base.opened(write=True, layout="langchain") as store:
                given = [*numbered(1, 1), Message("user", "grün ✓ ✗"), *numbered(1, 2)]
                with pytest.raises(Rejected) as caught:
                    await add(store, "a", given)
                why = "the database is in LATIN1, which lacks U+2713 ('✓')"
                assert caught.value.reasons == [("a", 1, why)]
                assert len(await items(store, "a")) == 1
                await add(store, "a", [Message("user", "grün")])
                assert [m.content for m in await items(store, "a")] == ["message 0", "grün"]

        run(main())


def test_as_an_escape_of_json_in_a_text_each_character_has_its_place(base: Base) -> None:
    with encoded(base, "LATIN1"):
        made(base, "TEXT", "a", message="TEXT")

        async def main() -> None:
            async with base.opened(write=True, layout="langchain") as store:
                await add(store, "a", [Message("user", "grün ✓")])
                assert [m.content for m in await items(store, "a")] == ["message 0", "grün ✓"]

        run(main())


async def names_of(store: Store, *ids: str) -> list[str]:
    """The conversations that are there, of these or of all."""
    return [info.id async for infos in store.conversations(ids or None) for info in infos]
