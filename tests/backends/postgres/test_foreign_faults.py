"""Tables of other frameworks where something fails: an answer that was lost, many writers at once,
rows with anything in them; and what is only read of LangChain.js and Spring AI."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from msgspec import structs

from synmem.layouts.foreign import langchain, llamaindex, openai_agents, spring_ai
from synmem.layouts.shapes import Rows
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import START, Part, Store, once
from tests.backends.postgres.test_foreign import Space, space
from tests.conformance import AT, Reading, add, contents, details, ids, items, numbered, run
from tests.services.proxy import Proxy

__all__ = ["space"]  # a fixture

# --- an answer that was lost ----------------------------------------------------------------


@pytest.fixture
def proxied(space: Space) -> Iterator[tuple[Proxy, str]]:
    host, _, rest = space.url.rpartition("@")[2].partition(":")
    port = int(rest.partition("/")[0])
    with Proxy(port, host) as proxy:
        yield proxy, space.url.replace(f"{host}:{port}", f"127.0.0.1:{proxy.port}")
        assert proxy.cuts == 1


@pytest.mark.parametrize("when", ["after", "before"])
@pytest.mark.parametrize("what", ["append", "expected", "replace", "front", "delete"])
@pytest.mark.parametrize("layout", ["langchain", "openai_agents"])
def test_a_write_whose_answer_was_lost_is_done_once(
    space: Space, proxied: tuple[Proxy, str], layout: str, what: str, when: str
) -> None:
    proxy, dsn = proxied
    word = b"COMMIT" if when == "after" else b"txid_current_if_assigned"
    old, new = ["message 0", "message 1", "message 2"], ["message 3", "message 4"]

    async def main() -> None:
        async with space.opened(write=True, layout=layout) as store:
            await add(store, "c", numbered(3))
        async with space.opened(write=True, layout=layout, dsn=dsn) as store:
            first, *_, end = [
                p.position(i) async for p in store.read(["c"]) for i in range(len(p.items))
            ]
            proxy.cut_after_request(lambda sent: word in sent)
            if what == "append":
                end = await add(store, "c", numbered(2, 3))
                assert await contents(store, "c", after=end) == []
                assert await contents(store, "c") == old + new
            elif what == "expected":
                await store.append([Part(Conversation("c"), numbered(2, 3), end)])
                assert await contents(store, "c") == old + new
            elif what == "replace":
                await store.replace(Conversation("c"), once(numbered(2, 3)), upto=end)
                assert await contents(store, "c") == new
            elif what == "front":
                await store.replace(Conversation("c"), once(numbered(2, 3)), upto=first)
                assert await contents(store, "c") == new + old[1:]
            else:
                assert await store.delete("c")
                assert await contents(store, "c") == []

    run(main())


def test_writers_that_put_in_front_at_once_take_no_number_twice(space: Space) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            stores = [
                await stack.enter_async_context(space.opened(write=True, layout="langchain"))
                for _ in range(4)
            ]
            for n in range(4):
                await add(stores[0], f"c{n}", numbered(2, 10))

            async def fronts(store: Store, name: str) -> None:
                for n in range(5):
                    await store.replace(Conversation(name), once(numbered(1, n)), upto=START)

            await asyncio.gather(*(fronts(store, f"c{n}") for n, store in enumerate(stores)))
            for n in range(4):
                found = await contents(stores[0], f"c{n}")
                assert found == [f"message {m}" for m in (4, 3, 2, 1, 0, 10, 11)]

    run(main())


def test_what_would_not_have_its_place_again_is_not_removed(space: Space) -> None:
    async def main() -> None:
        async with space.opened(write=True, layout="openai_agents") as store:
            await add(store, "a", numbered(3))
            await add(store, "b", numbered(3))
            assert await store.refuses_back(["a", "b", "none"]) == {}

    run(main())
    space.rows("UPDATE agent_messages SET created_at = now() + interval '1 day' WHERE id = 3", "SELECT")  # fmt: skip

    async def told() -> None:
        async with space.opened(write=True, layout="openai_agents") as store:
            (why,) = (await store.refuses_back(["a", "b"])).items()
            assert why[0] == "a"
            assert "time to come" in why[1]

    run(told())


# --- rows with anything in them -------------------------------------------------------------

_text = some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | _text
    | some.sampled_from(["human", "ai", "content", "text", "user", "assistant", "message"]),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(
        some.sampled_from(["type", "data", "content", "role", "blocks", "tool_calls", "id", "name",
                           "args", "additional_kwargs", "block_type", "text", "output"]) | _text,
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
_SHAPES = [
    shape
    for module in (langchain, llamaindex, openai_agents, spring_ai)
    for shape in module.SHAPES["postgres"]
    if isinstance(shape, Rows)
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(values=some.lists(_values, min_size=4, max_size=4), shape=some.sampled_from(_SHAPES))
def test_whatever_stands_in_a_row_is_messages_or_named(values: list[Any], shape: Rows) -> None:
    for texts in (values, [json.dumps(value) for value in values], [*values[:1], AT, *values[2:]]):
        record = [*texts, *texts][: len(shape.record)]
        if shape.tells is not None:
            shape.tells(record)
        try:
            found = shape.unfold(record)
        except ValueError:
            continue
        assert all(isinstance(each, Message | Unreadable) for each in found)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(values=some.lists(_values, min_size=1, max_size=8))
def test_whatever_lies_in_the_table_hides_nothing(space: Space, values: list[Any]) -> None:
    space.rows(
        "DROP TABLE IF EXISTS message_store",
        "CREATE TABLE message_store (id SERIAL PRIMARY KEY, session_id TEXT, message JSONB)",
        "SELECT",
    )
    good = json.dumps({"type": "human", "data": {"content": "good"}})
    space.rows(
        "INSERT INTO message_store (session_id, message) SELECT 'a', m::jsonb "
        "FROM unnest($1::text[]) AS given(m)",
        values=[[good, *map(json.dumps, values), good]],
    )

    async def main() -> None:
        async with space.opened(layout="langchain") as store:
            found = await items(store, "a")
            assert len(found) == len(values) + 2
            assert found[0].content == found[-1].content == "good"
            assert [type(each) for each in await items(store, "a", reverse=True)] == [type(each) for each in reversed(found)]  # fmt: skip

    run(main())


# --- what is only read ----------------------------------------------------------------------


class ReadingPlain(Reading):
    """A layout of roles and contents; each part is written with plain statements."""

    table: Sequence[str] = ()

    @pytest.fixture(autouse=True)
    def _space(self, space: Space) -> None:
        self.space = space

    def row(self, number: int, conversation: str, message: Message) -> tuple[str, Sequence[Any]]:
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        connection = await asyncpg.connect(
            self.space.url, server_settings={"search_path": self.space.schema}
        )
        for statement in self.table:
            await connection.execute(statement)
        number = 0
        for part in parts:
            for message in part.messages:
                if self.can_hold(message):
                    number += 1
                    sql, values = self.row(number, part.conversation.id, message)
                    await connection.execute(sql, *values)
        await connection.close()
        layout = type(self).layout  # type: ignore[attr-defined]
        async with self.space.opened(layout=layout) as store:
            yield store

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def can_hold(self, message: Message) -> bool:
        texts = (message.content, message.role, message.name or "")
        return not any(
            "\0" in text or (not text.isascii() and not _encodes(text)) for text in texts
        )

    async def _refused(self, store: Store, message: Message) -> None:
        """PostgreSQL could not hold it."""

    def test_metadata_survives_exactly(self, tmp_path: Any) -> None:
        pytest.skip("there is no metadata")

    def test_every_field_survives(self, tmp_path: Any) -> None:
        pytest.skip("there are a role and a content")

    def test_ids_are_opaque(self, tmp_path: Any) -> None:
        pytest.skip("as with LangChain's: all but those with NUL")

    def test_details_of_conversations(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = await details(store)
            assert {i: info.messages for i, info in found.items()} == {"a": 3, "b": 5}

        parts = [Part(Conversation(i), numbered(count)) for i, count in (("a", 3), ("b", 5))]
        self.check(tmp_path, parts, test)

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [
            Message(m.role, m.content, name=m.name, tool_call_id=m.tool_call_id) for m in messages
        ]


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class TestLangChainJs(ReadingPlain):
    layout = "langchain"
    table = ("CREATE TABLE n8n_chat_histories (id SERIAL PRIMARY KEY, session_id varchar(255) NOT NULL, message jsonb NOT NULL)",)  # fmt: skip

    def row(self, number: int, conversation: str, message: Message) -> tuple[str, Sequence[Any]]:
        said = {"type": "human", "content": message.content, "name": message.name, "tool_call_id": message.tool_call_id}  # fmt: skip
        said = {key: value for key, value in said.items() if value is not None}
        sql = "INSERT INTO n8n_chat_histories (session_id, message) VALUES ($1, $2)"
        return sql, [conversation, json.dumps(said)]


@pytest.mark.parametrize("numbers", ["sequence", "zero", "none"])
class TestSpringAi:
    """All ages of it."""

    def test_the_order_is_that_of_the_numbers_or_of_the_times(
        self, space: Space, numbers: str
    ) -> None:
        column = "" if numbers == "none" else ", sequence_id bigint NOT NULL"
        space.rows(
            "CREATE TABLE spring_ai_chat_memory (conversation_id varchar(36) NOT NULL, content text "
            f'NOT NULL, type varchar(10) NOT NULL, "timestamp" timestamp NOT NULL{column})',
            "SELECT",
        )
        for name in ("a", "b"):
            for n in (3, 1, 4, 0, 2):
                at = "2026-01-01" if numbers == "sequence" else f"2026-01-01 00:00:00.00{n}"
                more = "" if numbers == "none" else ", 0" if numbers == "zero" else f", {n}"
                space.rows(
                    f"INSERT INTO spring_ai_chat_memory VALUES ('{name}', 'message {n}', 'USER', "
                    f"'{at}'{more})",
                    "SELECT",
                )

        async def main() -> None:
            async with space.opened() as store:
                expected = [f"message {n}" for n in range(5)]
                for name in ("a", "b"):
                    assert await contents(store, name) == expected
                    assert await contents(store, name, reverse=True) == expected[::-1]
                first = (await items(store, "a"))[0]
                assert first.extra["spring_ai"]["timestamp"].startswith("2026-01-01T00:00:00")
                assert first.created_at is None
                assert await ids(store) == ["a", "b"]
                assert structs.asdict(store.holds)["own"] is False
                assert ("extra" in store.holds.fields) is (numbers != "none")

        run(main())


def test_a_type_that_spring_ai_does_not_have_is_named(space: Space) -> None:
    space.rows(
        "CREATE TABLE spring_ai_chat_memory (conversation_id text, content text, type text, "
        '"timestamp" timestamp)',
        "INSERT INTO spring_ai_chat_memory VALUES ('a', 'x', 'ROBOT', now()), ('a', NULL, 'USER', now())",
        "SELECT",
    )

    async def main() -> None:
        async with space.opened() as store:
            found = await items(store, "a")
            assert [type(each) for each in found] == [Unreadable, Unreadable]
            assert "ROBOT" in found[0].reason

    run(main())
