"""LlamaIndex's chat store in PostgreSQL, a row a session: the contract, elements that are odd, and
what the real one writes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as some

from synmem.errors import Changed, Unsupported
from synmem.layouts.foreign.llamaindex import SHAPES
from synmem.layouts.foreign.llamaindex_messages import json_of, message_of
from synmem.layouts.shapes import Rows
from synmem.messages import Message, Unreadable, encodable
from synmem.store import Part, Store
from tests.backends.postgres.test_foreign import Space, space
from tests.conformance import add, contents, ids, items, numbered, run
from tests.layouts.foreign.reading import ReadingLlamaIndex
from tests.layouts.foreign.test_llamaindex import IMAGE, json_values, said, text, theirs
from tests.services.llamaindex import LlamaIndex, llamaindex

__all__ = ["space"]

TABLE = (
    "CREATE TABLE {0} (id SERIAL PRIMARY KEY, key VARCHAR NOT NULL, value {1}[], "
    'CONSTRAINT "{0}:unique_key" UNIQUE (key))'
)


def put(space: Space, key: str, history: Sequence[Any] | None, table: str = "chatstore") -> None:
    """A row as LlamaIndex has it: of messages, or of texts that are to be none."""
    kind = space.rows(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'value'",
        values=[f"{space.schema}.{table}"],
    )[0][0]  # fmt: skip
    texts = None if history is None else [
        each if each is None or isinstance(each, str) else json.dumps(each) for each in history
    ]  # fmt: skip
    space.rows(
        f"INSERT INTO {table} (key, value) VALUES ($1, $2::text[]::{kind}) RETURNING 1",
        values=[key, texts],
    )


@pytest.fixture(params=["json", "jsonb"])
def filled(space: Space, request: pytest.FixtureRequest) -> Space:
    """A schema with an empty chat store."""
    space.rows(TABLE.format("chatstore", request.param), "SELECT 1")
    return space


class TestChatStore(ReadingLlamaIndex):
    @pytest.fixture(autouse=True)
    def _space(self, filled: Space) -> None:
        self.space = filled
        [(kind,)] = filled.rows(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = $1::regclass AND attname = 'value'",
            values=[f"{filled.schema}.chatstore"],
        )
        self.is_binary = kind == "jsonb[]"

    def can_hold(self, message: Message) -> bool:
        """Whether JSONB takes its text."""
        text = json.dumps(json_of(message), ensure_ascii=False)
        return not self.is_binary or (encodable(text) and "\\u0000" not in text)

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        def fill() -> None:
            for part in parts:
                put(self.space, part.conversation.id, [*map(json_of, part.messages)])

        await asyncio.to_thread(fill)
        async with self.space.opened(layout="llamaindex", table="chatstore") as store:
            yield store

    def test_ids_are_opaque(self, tmp_path: Any) -> None:
        pytest.skip("as with LangChain's: all but those with NUL")


def test_an_element_that_cannot_be_read_stands_in_its_place(filled: Space) -> None:
    odd = ["5", "null", None, "{}", '{"role": "user", "blocks": 5}', '{"role": "user", "blocks": [{}]}']  # fmt: skip
    put(filled, "a", [said(), *odd, said()])
    put(filled, "none", None)
    put(filled, "empty", [])

    async def main() -> None:
        async with filled.opened() as store:
            assert store.remark() == "layout llamaindex (PostgresChatStore), table chatstore"
            assert await ids(store) == ["a"]
            for reverse in (False, True):
                found = await items(store, "a", reverse=reverse)
                kinds = [type(each) for each in found]
                assert kinds == [Message, *[Unreadable] * len(odd), Message]
            with pytest.raises(Unsupported):
                await add(store, "a", numbered(1))
        async with filled.opened(write=True, layout="llamaindex", table="chatstore") as store:
            with pytest.raises(Unsupported, match="only be read"):
                await add(store, "a", numbered(1))

    run(main())


def test_who_reads_while_it_is_written_anew_is_told(filled: Space) -> None:
    put(filled, "a", [said()] * 5)

    async def main() -> None:
        async with filled.opened() as store:
            pages = store.read(["a"])
            await anext(pages)
            more = json.dumps(said())
            add = f"UPDATE chatstore SET value = array_append(value, '{more}') RETURNING 1"
            await asyncio.to_thread(filled.rows, add)
            with pytest.raises(Changed):
                await anext(pages)
            assert len(await contents(store, "a")) == 6

    run(main())


def test_another_table_of_that_shape_is_not_taken_for_one(space: Space) -> None:
    space.rows(TABLE.format("kv", "json"), "SELECT 1")
    put(space, "a", [{"k": 1}], "kv")

    async def main() -> None:
        async with space.opened():
            pass

    with pytest.raises(Exception, match="kv"):
        run(main())


[ARRAYS] = [
    shape
    for shape in SHAPES["postgres"]
    if isinstance(shape, Rows) and shape.version == "PostgresChatStore"
]
texts = some.none() | theirs.map(json.dumps) | json_values.map(json.dumps) | json_values


@given(some.none() | some.lists(texts, max_size=4) | json_values)
def test_whatever_a_row_has_it_is_read_or_says_why_not(value: Any) -> None:
    assert ARRAYS.tells is not None
    assert ARRAYS.tells((value,)) in (True, False)
    with contextlib.suppress(ValueError):
        found = ARRAYS.unfold((value,))
        assert len(found) == len(value or ())


@pytest.fixture(scope="module")
def real() -> Iterator[LlamaIndex]:
    with llamaindex("postgres") as running:
        yield running


@pytest.mark.real
@pytest.mark.parametrize("use_jsonb", [False, True])
def test_what_the_real_one_writes_is_read(space: Space, real: LlamaIndex, use_jsonb: bool) -> None:
    talk = [
        said("system"), said("user", text("a"), IMAGE), said("model", n=5),
        said("tool", name="f", tool_call_id="c"),
    ]  # fmt: skip
    url = urlsplit(space.url)
    where = {
        "kind": "postgres", "host": url.hostname, "port": str(url.port or 5432),
        "database": url.path[1:], "user": url.username or "", "password": url.password or "",
        "table_name": "Mine", "schema_name": space.schema, "use_jsonb": use_jsonb,
    }  # fmt: skip
    real.ask("call", method="set_messages", given={"key": "a/ü", "messages": talk[:2]}, **where)
    for message in talk[2:]:
        real.ask("call", method="add_message", given={"key": "a/ü", "message": message}, **where)

    async def main() -> None:
        async with space.opened() as store:
            assert await items(store, "a/ü") == [*map(message_of, talk)]

    run(main())
