"""JSON documents of other frameworks in Redis: one a message, put in order by what they say."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from synmem.errors import Changed, Unsupported
from synmem.layouts.foreign.langchain_messages import json_of, refusal
from synmem.layouts.foreign.langchain_redis import DOCUMENTS
from synmem.messages import Conversation, Message, Unreadable
from synmem.messages import refusal as refuses
from synmem.store import Part, Store
from tests.backends.redis.place import opened
from tests.cli.moved import run as cli
from tests.conformance import Reading, add, contents, ids, items, numbered, run
from tests.services.redis_json import Documents, running

AT = 1_795_244_934.180893


def document(session: str, n: int, message: Message) -> dict[str, Any]:
    """A message as langchain-redis writes it."""
    return {**json_of(message), "message_id": ulid(n), "session_id": session, "timestamp": AT + n}


def ulid(n: int) -> str:
    return f"01M7YEZH1{n:017}"


@pytest.fixture
def server() -> Iterator[Documents]:
    with running() as server:
        yield server


class TestLangChain(Reading):
    @pytest.fixture(autouse=True)
    def its_server(self, server: Documents) -> None:
        self.server = server

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        for part in parts:
            for n, message in reversed([*enumerate(part.messages)]):
                id_ = part.conversation.id
                self.server.keys[f"chat:{id_}:{ulid(n)}"] = document(id_, n, message)
        async with opened(self.server.url, write=False, layout="langchain") as store:
            yield store

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    def can_hold(self, message: Message) -> bool:
        return refusal(message) is None

    async def _refused(self, store: Store, message: Message) -> None:
        raise AssertionError("LangChain takes all")

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [
            structs.replace(
                message,
                metadata=None,
                created_at=datetime.fromtimestamp(AT + n, UTC),
                extra={"langchain": {"message_id": ulid(n)}},
            )
            for n, message in enumerate(messages)
        ]

    @pytest.mark.parametrize("name", ["empty", "surrogate high", "surrogate low", "nul", "emoji"])
    def test_text_survives(self, tmp_path: Any, name: str) -> None:
        if name.startswith("surrogate"):
            pytest.skip("RedisJSON holds UTF-8")
        super().test_text_survives(tmp_path, name)

    test_metadata_survives_exactly = None  # type: ignore[assignment]
    test_every_field_survives = None  # type: ignore[assignment]
    test_details_of_conversations = None  # type: ignore[assignment]
    test_an_empty_store_lists_nothing_and_reads_nothing = None  # type: ignore[assignment]

    def test_it_is_found_and_only_read(self, tmp_path: Any) -> None:
        async def test(_: Store) -> None:
            self.server.keys["chat:other"] = "text"
            async with opened(self.server.url, write=False) as store:
                assert store.remark() == "layout langchain (RedisJSON), JSON documents chat:..."
                assert await ids(store) == ["a"]
                with pytest.raises(Unsupported):
                    await add(store, "a", numbered(1))
            assert not [each for each in self.server.asked if "SET" in each[0].upper()]

        self.check(tmp_path, [_part("a", 3)], test)

    def test_a_record_that_cannot_be_read_hides_nothing(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            keys = self.server.keys
            keys[f"chat:a:{ulid(1)}"]["data"]["content"] = None
            keys[f"chat:a:{ulid(2)}"]["timestamp"] = "soon"
            keys[f"chat:a:{ulid(3)}"]["session_id"] = "b"
            keys[f"chat:a:{ulid(4)}"] = [5]
            said = await items(store, "a")
            assert [each.content for each in said if isinstance(each, Message)] == [
                "message 0",
                "message 5",
            ]
            assert isinstance(said[1], Unreadable)
            bad = [each for each in said if isinstance(each, Unreadable)]
            assert [each.position for each in bad] == [f"chat:a:{ulid(n)}" for n in (1, 2, 3, 4)]
            assert "its session_id is 'b'" in bad[2].reason
            assert await ids(store) == ["a"]

        self.check(tmp_path, [_part("a", 6)], test)

    def test_it_passes_with_its_last_message(self, tmp_path: Any) -> None:
        async def test(store: Any) -> None:
            keys = [*self.server.keys]
            self.server.left_ms |= {key: 1000 * n for n, key in enumerate(sorted(keys), 1)}
            del self.server.left_ms[f"chat:b:{ulid(1)}"]
            assert await store.expiring(["a", "b", "none"]) == {"a": 3.0}
            with pytest.raises(Unsupported):
                await store.expire({"a": 5.0})

        self.check(tmp_path, [_part("a", 3), _part("b", 3)], test)

    def test_a_document_of_which_the_id_can_be_none_is_named_as_a_stray(
        self, tmp_path: Any
    ) -> None:
        async def test(store: Any) -> None:
            named = {
                f"chat::{ulid(1)}": "the id has 0 bytes of UTF-8, not 1 to 1,024",
                f"chat:b\udcff:{ulid(1)}": "the id is not UTF-8",
                f"chat:{'x' * 1025}:{ulid(1)}": "the id has 1025 bytes of UTF-8, not 1 to 1,024",
            }
            for name in named:
                self.server.keys[name] = document("", 1, Message("user", "lost"))
            self.server.keys["chat:other"] = {"is": "nobody's"}
            expected = {repr(name)[:60]: why for name, why in named.items()}
            for _ in range(2):
                assert {each.position: each.reason for each in await store.strays()} == expected
                assert await ids(store) == ["a"]
            assert len(await store.damage()) == 3

        self.check(tmp_path, [_part("a", 3)], test)
        for command in ("ls", "stats", "check", "export"):
            result = cli(command, "-p", self.server.url)
            assert result.exit_code == 6, command
            assert f"chat::{ulid(1)}" in result.stderr

    def test_a_reading_and_a_listing_each_look_once_at_what_keys_there_are(
        self, tmp_path: Any
    ) -> None:
        def looks() -> int:
            asked, self.server.asked[:] = self.server.asked[:], []
            return sum(each[:2] == ["SCAN", "0"] for each in asked)

        async def test(store: Any) -> None:
            looks()
            names = [f"c{n:02}" for n in range(20)]
            assert len([page async for page in store.read(names)]) == 20
            assert looks() == 1
            assert len(await ids(store)) == 20
            await store.strays()
            assert looks() == 1
            self.server.keys[f"chat:c00:{ulid(9)}"] = document("c00", 9, Message("user", "later"))
            assert await contents(store, "c00") == ["message 0", "later"]
            assert looks() == 1

        self.check(tmp_path, [_part(f"c{n:02}", 1) for n in range(20)], test)

    def test_what_is_changed_under_the_reader(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            positions = [
                p.position(i) async for p in store.read(["a"]) for i in range(len(p.items))
            ]
            self.server.keys[f"chat:a:{ulid(9)}"] = document("a", 9, Message("user", "later"))
            assert await contents(store, "a", after=positions[-1]) == ["later"]
            del self.server.keys[f"chat:a:{ulid(5)}"]
            with pytest.raises(Changed):
                await contents(store, "a", after=positions[5])

        self.check(tmp_path, [_part("a", 6)], test)


def _part(conversation: str, count: int) -> Part:
    return Part(Conversation(conversation), numbered(count))


ANY = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text(max_size=3)
    | some.lists(some.none(), max_size=1)
)


@given(
    some.dictionaries(
        some.sampled_from(["type", "data", "session_id", "timestamp", "x"]),
        ANY | some.just("human") | some.just({"content": "x"}),
    )
)
def test_whatever_lies_there_is_a_message_or_says_why_not(there: Any) -> None:
    DOCUMENTS.tells(there)
    try:
        DOCUMENTS.order_of(":", there)
        found = DOCUMENTS.unfold(there)
    except (ValueError, KeyError, TypeError):
        return
    assert [refuses(message) for message in found] == [None]


def test_a_server_without_documents_is_asked_for_none(server: Documents) -> None:
    async def main() -> None:
        async with opened(server.url, write=False, layout="langchain") as store:
            assert store.name == server.url

    run(main())
