"""The DynamoDB store: the contract on a table of ours and on one without our index; the raw items
as the docstring has them; tables and items that are not what they should be."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.dynamodb.head import HEAD, key_of
from synmem.backends.dynamodb.store import open as open_dynamodb
from synmem.backends.dynamodb.table import shard
from synmem.backends.inmemory import InMemoryStore
from synmem.errors import Changed, CorruptData, Rejected, StoreNotFound, Unsupported
from synmem.layouts.own.dynamodb_items import KEYS_TAKE, LARGEST
from synmem.messages import Conversation, Message, Unreadable
from synmem.store import START, Part, SupportsRemark, once
from tests.backends.dynamodb import place as dynamodb_place
from tests.backends.dynamodb.place import client, opened, plain_table, put_raw, raw_items
from tests.conformance import (
    AT,
    FULL,
    METADATA,
    Opener,
    Writing,
    add,
    contents,
    details,
    ids,
    items,
    numbered,
    run,
)
from tests.services import Server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamodb_place.credentials(monkeypatch)


@pytest.fixture
def url(dynamodb_server: Server) -> str:
    return dynamodb_server.url


@pytest.fixture
def table(url: str) -> Iterator[str]:
    with dynamodb_place.own_table(url) as name:
        yield name


class TestOwnTable(Writing):
    @pytest.fixture(autouse=True)
    def place(self, url: str, table: str) -> None:
        self.url, self.table = url, table

    def can_hold(self, message: Message) -> bool:
        return len(message.content) < 400_000

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(self.url, self.table, create=True)

    def spoil(self, tmp_path: Any, conversation: str, field: str) -> None:
        spoil(self.url, self.table, conversation, "begins" if field == "head" else field)


def spoil(url: str, table: str, conversation: str, attribute: str, value: Any = None) -> None:
    """Make this attribute of the head another one."""
    with client(url) as boto:
        boto.update_item(
            TableName=table,
            Key=key_of(conversation, HEAD),
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": attribute},
            ExpressionAttributeValues={":value": value or {"S": "no"}},
        )


class TestTableWithoutIndex(TestOwnTable):
    @pytest.fixture(autouse=True)
    def place(self, url: str, table: str) -> None:
        self.url, self.table = url, table
        plain_table(url, table)


# --- the data layout ---


def test_an_empty_title_leaves_no_attribute_and_a_null_note_is_none(url: str, table: str) -> None:
    def head() -> set[str]:
        return {"title", "extra", "note:null"} & set(raw_items(url, table)[0])

    async def main() -> None:
        async with opened(url, table, create=True) as store:
            await store.append([Part(Conversation("c", "T", {"k": 1}), numbered(2))])
            spoil(url, table, "c", "note:null", {"S": "null"})
            assert await store.notes(["c"]) == {}
            await store.append([Part(Conversation("c", ""), numbered(1))])
            assert head() == {"extra", "note:null"}
            await store.replace(Conversation("c", "", {}), once(numbered(1)), upto=START)
            assert head() == {"note:null"}
            assert await contents(store, "c") == [f"message {n}" for n in (0, 0, 1, 0)]

    run(main())


def test_the_raw_items_are_as_documented(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            await store.append([Part(Conversation("c", "Title", {"k": 1.5}), [FULL])])
            await add(store, "c", [Message("user", "\ud800x", {"half": 0.5})])
            await store.set_note("c", "summary", {"text": "s"})

    run(main())
    head, first, second = raw_items(url, table)
    assert (head.pop("session_id"), head.pop("n")) == ({"S": "c"}, {"N": str(HEAD)})
    assert head.pop("version")["S"] == first["call"]["S"]
    assert head.pop("listed")["S"] in "01234567"
    assert head == {
        "title": {"S": '"Title"'},
        "extra": {"S": '{"k":1.5}'},
        "note:summary": {"S": '{"text":"s"}'},
    }
    assert len(first.pop("call")["S"]) == 32
    tool = {"city": {"S": "Zürich"}, "n": {"N": str(2**70)}}
    part = [{"type": {"S": "text"}, "text": {"S": "text of the parts"}},
            {"type": {"S": "image_url"}, "image_url": {"M": {"url": {"S": "x"}}}}]  # fmt: skip
    assert first == {
        "session_id": {"S": "c"}, "n": {"N": "1"}, "i": {"N": "0"},
        "role": {"S": "assistant"}, "content": {"S": "text of the parts"},
        "created_at": {"S": "2026-11-21T06:00:00.123456Z"}, "metadata": {"M": {"k": {"N": "1"}}},
        "tool_calls": {"L": [{"M": {"id": {"S": "call_1"}, "name": {"S": "weather"}, "arguments": {"M": tool}}}]},
        "tool_call_id": {"S": "call_0"}, "name": {"S": "bob"}, "parts": {"L": [{"M": p} for p in part]},
        "carried": {"S": '{"extra":{"langchain":{"response_metadata":{"a":[1.5,null]}}}}'},
    }  # fmt: skip
    del second["call"]
    assert second == {
        "session_id": {"S": "c"}, "n": {"N": "2"}, "i": {"N": "0"}, "role": {"S": "user"},
        "content": {"S": "?x"},
        "carried": {"S": '{"content":"\\ud800x","metadata":{"half":0.5}}'},
    }  # fmt: skip


def test_what_is_hidden_and_shown_is_as_documented(url: str, table: str) -> None:
    plain_table(url, table)

    async def main() -> None:
        async with opened(url, table) as store:
            end = await add(store, "c", numbered(3))
            assert [item["n"]["N"] for item in raw_items(url, table)] == ["1", "2", "3"]
            await add(store, "c", numbered(2, 3))
            await store.replace(Conversation("c"), once(numbered(2, 7)), upto=end)
            assert await contents(store, "c") == [f"message {n}" for n in (7, 8, 3, 4)]

    run(main())
    head, *rest = raw_items(url, table)
    low = 1 - 10**9
    assert [int(item["n"]["N"]) for item in rest] == [low, low + 1, 4, 5]
    spans = {name: int(head[name]["N"]) for name in ("begins", "skip_from", "skip_to", "above")}
    assert spans == {"begins": low, "skip_from": low + 2, "skip_to": 4, "above": 3}
    assert "listed" not in head


def test_nothing_is_left_of_a_deleted_conversation(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            end = await add(store, "c", numbered(130))
            await store.replace(Conversation("c", "T"), once(numbered(120)), upto=end)
            await store.set_note("c", "n", 1)
            assert len(raw_items(url, table)) == 121
            assert await store.delete("c")

    run(main())
    assert raw_items(url, table) == []


def test_a_table_that_is_not_there_is_made_only_by_a_write_that_may(url: str, table: str) -> None:
    async def main() -> None:
        for how, hint in (({"write": False, "create": True}, "add"), ({"write": True}, "create")):
            with pytest.raises(StoreNotFound) as caught:
                async with opened(url, table, **how):
                    pass
            assert hint in str(caught.value.hint)
        async with opened(url, table, create=True) as store:
            assert await ids(store) == []
            assert await store.delete("c") is False
            with client(url) as boto:
                assert table not in boto.list_tables()["TableNames"]
            await add(store, "c", numbered(1))
        with client(url) as boto:
            made = boto.describe_table(TableName=table)["Table"]
        assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert [i["IndexName"] for i in made["GlobalSecondaryIndexes"]] == ["synmem_conversations"]

    run(main())


def test_two_who_make_the_table_at_once_both_write(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as one, opened(url, table, create=True) as two:
            await asyncio.gather(*(add(s, "c", numbered(2)) for s in (one, two, one)))
            assert len(await contents(one, "c")) == 6
            assert await ids(two) == ["c"]

    run(main())


def test_what_was_opened_for_reading_does_not_write(url: str, table: str) -> None:
    plain_table(url, table)

    async def main() -> None:
        async with opened(url, table, write=False) as store:
            for attempt in (
                add(store, "c", numbered(1)), store.delete("c"), store.set_note("c", "n", 1),
                store.replace(Conversation("c"), once(numbered(1)), upto=START),
            ):  # fmt: skip
                with pytest.raises(Unsupported):
                    await attempt

    run(main())


@pytest.mark.parametrize(
    "keys",
    [{"session_id": "S"}, {"session_id": "S", "n": "S"}, {"id": "N", "n": "N"}],
    ids=str,
)
def test_a_table_of_another_shape_is_named(url: str, table: str, keys: Any) -> None:
    plain_table(url, table, **keys)

    async def main() -> None:
        with pytest.raises(CorruptData) as caught:
            async with opened(url, table, create=True):
                pass
        for name in keys:
            assert f"{name} (" in str(caught.value)

    run(main())


def test_an_unknown_layout_is_said(url: str) -> None:
    with pytest.raises(Unsupported, match="nobody"):
        run(open_dynamodb({"table_name": "t", "layout": "nobody"}))


def test_a_store_says_how_it_lists(url: str, table: str) -> None:
    async def main() -> None:
        plain_table(url, table)
        async with opened(url, table) as store:
            assert isinstance(store, SupportsRemark)
            assert "Scan" in store.remark()
        with dynamodb_place.own_table(url) as other:
            async with opened(url, other, create=True) as store:
                await add(store, "c", numbered(1))
                assert store.remark() == "listing by index"

    run(main())


# --- items ---


@pytest.mark.parametrize("broken", [
    {"content": {"S": "x"}}, {"role": {"S": "user"}}, {"role": {"S": "user"}, "content": {"N": "5"}},
    {"role": {"S": "user"}, "content": {"S": "x"}, "metadata": {"S": "x"}},
    {"role": {"S": "user"}, "content": {"S": "x"}, "metadata": {"M": {"k": {"SS": ["a"]}}}},
    {"role": {"S": "user"}, "content": {"S": "x"}, "created_at": {"S": "yesterday"}},
    {"role": {"S": "user"}, "content": {"S": "x"}, "carried": {"S": "{"}},
    {"role": {"S": "user"}, "content": {"S": "x"}, "parts": {"L": [{"N": "1"}]}},
], ids=str)  # fmt: skip
def test_an_item_that_cannot_be_read_hides_nothing_else(url: str, table: str, broken: Any) -> None:
    plain_table(url, table)

    async def main() -> None:
        async with opened(url, table) as store:
            await add(store, "c", numbered(1))
            put_raw(url, table, "c", "2", **broken)
            await add(store, "c", numbered(1, 1))
            first, middle, last = await items(store, "c")
            assert isinstance(middle, Unreadable)
            assert "item 2" in middle.reason
            assert (first.content, last.content) == ("message 0", "message 1")

    run(main())


def test_items_of_another_program_are_read_whole_and_appended_to(url: str, table: str) -> None:
    plain_table(url, table)
    said = {"role": {"S": "user"}, "content": {"S": "x"}}
    put_raw(url, table, "c", "1763000000.25", **said, metadata={"M": {"k": {"N": "1.5"}}})
    put_raw(url, table, "c", "1763000000.5", **said, ttl={"N": "1800000000"})

    async def main() -> None:
        async with opened(url, table) as store:
            assert await ids(store) == ["c"]
            page = await anext(store.read(["c"]))
            assert page.items == [
                Message("user", "x", {"k": 1.5}),
                Message("user", "x", extra={"dynamodb": {"ttl": 1800000000}}),
            ]
            await store.append([Part(Conversation("c"), numbered(1), page.position(1))])
            assert await contents(store, "c", after=page.position(0)) == ["x", "message 0"]
            with pytest.raises(Changed):
                await store.append([Part(Conversation("c"), numbered(1), START)])
            assert await store.delete("c", upto=page.position(0))
            assert await contents(store, "c") == ["x", "message 0"]

    run(main())


def test_a_message_of_just_400_kb_is_held_and_one_byte_more_refused(url: str, table: str) -> None:
    room = LARGEST - KEYS_TAKE - len("rolecontentuser")
    largest = Message("user", "x" * room)

    async def main() -> None:
        async with opened(url, table, create=True) as store:
            assert store.refusal(largest) is None
            name = "i" * 1024
            await add(store, name, [*numbered(1), *[largest] * 12])
            assert (await items(store, name))[1:] == [largest] * 12
            for message in (
                Message("user", "x" * (room + 1)),
                Message("user", "é" * (room // 2 + 1)),
                Message("user", "x", {"k": ["a" * 1000] * 410}),
                Message("user", "\ud800" * 60_000),
            ):
                assert "bytes" in str(store.refusal(message))

    run(main())


def test_what_the_head_cannot_hold_is_refused(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            with pytest.raises(Rejected):
                await store.append([Part(Conversation("c", "x" * 400_000), numbered(1))])
            assert await ids(store) == []
            await add(store, "c", numbered(1))
            with pytest.raises(Rejected):
                await store.set_note("c", "n", "x" * 400_000)
            assert await store.note("c", "n") is None

    run(main())


# --- what was left by somebody who was killed ---


async def staged(store: Any, conversation: str, upto: str, *, count: int = 5) -> Any:
    """A replace that has written its messages and not shown them."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def pages() -> AsyncIterator[list[Message]]:
        yield [Message("system", f"hidden {n}") for n in range(count)]
        reached.set()
        await go_on.wait()

    task = asyncio.create_task(store.replace(Conversation(conversation), pages(), upto=upto))
    await reached.wait()
    return task, go_on


@pytest.mark.parametrize("create", [True, False], ids=["index", "scan"])
def test_a_replace_that_was_killed_leaves_the_old_and_is_cleared_up(url: str, table: str, create: bool) -> None:  # fmt: skip
    if not create:
        plain_table(url, table)

    async def main() -> None:
        async with opened(url, table, create=create) as store:
            end = await add(store, "a", numbered(3))
            for conversation, upto in (("a", end), ("absent", START)):
                task, _ = await staged(store, conversation, upto)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert len(raw_items(url, table)) == 3 + 5 + 5 + 2
            assert await ids(store) == ["a"]
            assert await contents(store, "a") == await contents(store, "a", limit=9) == [f"message {n}" for n in range(3)]  # fmt: skip
            assert await contents(store, "absent", reverse=True) == []
            (info,) = [i async for page in store.conversations(details=True) for i in page]
            assert info.messages == 3
            await add(store, "absent", numbered(1, 8))
            assert await contents(store, "absent") == ["message 8"]
            assert await store.delete("absent")
            await store.replace(Conversation("a"), once(numbered(1, 9)), upto=end)
            assert await contents(store, "a") == ["message 9"]
            await store.delete("a")
        assert raw_items(url, table) == []

    run(main())


def test_a_delete_during_a_replace_stops_it_and_loses_nothing(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            end = await add(store, "a", numbered(3))
            await add(store, "a", numbered(2, 3))
            for conversation, upto in (("a", end), ("absent", START)):
                task, go_on = await staged(store, conversation, upto)
                await store.delete(conversation, upto=None if upto == START else upto)
                go_on.set()
                with pytest.raises(Changed):
                    await task
            assert await contents(store, "a") == ["message 3", "message 4"]
            assert await ids(store) == ["a"]
        assert len(raw_items(url, table)) == 3

    run(main())


def test_what_is_appended_during_a_replace_stays(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            end = await add(store, "a", numbered(3))
            for conversation, upto in (("a", end), ("absent", START)):
                task, go_on = await staged(store, conversation, upto, count=120)
                await add(store, conversation, numbered(2, 3))
                go_on.set()
                await task
                said = await contents(store, conversation)
                assert said == [*(f"hidden {n}" for n in range(120)), "message 3", "message 4"]

    run(main())


def test_a_reader_sees_the_old_front_or_the_new_one(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store, opened(url, table, create=True, page_size=500) as reader:  # fmt: skip
            await add(store, "a", [Message("user", "0 old")] * 120)
            done = asyncio.Event()

            async def writer() -> None:
                for turn in range(1, 6):
                    page = await anext(reader.read(["a"]))
                    new = [Message("user", f"{turn} new")] * (100 + turn)
                    await store.replace(Conversation("a"), once(new), upto=page.position(-1))
                done.set()

            async def look() -> None:
                while not done.is_set():
                    for reverse in (False, True):
                        page = await anext(reader.read(["a"], reverse=reverse))
                        said = [m.content for m in page.items]
                        assert len(set(said)) == 1
                        turn = int(said[0].split()[0])
                        assert len(said) == (100 + turn if turn else 120)

            await asyncio.gather(writer(), look())

    run(main())


async def every_id(store: Any) -> list[str]:
    return sorted([info.id async for page in store.conversations() for info in page])


def set_head(url: str, table: str, conversation: str, **attributes: Any) -> None:
    """The head as one write leaves it, when whoever wrote it is killed then."""
    put_raw(url, table, conversation, str(HEAD), version={"S": "x"}, **attributes)


@pytest.mark.parametrize("create", [True, False], ids=["index", "scan"])
def test_a_delete_that_was_killed_has_deleted(url: str, table: str, create: bool) -> None:
    if not create:
        plain_table(url, table)
    listed = {"listed": {"S": shard("a")}} if create else {}

    async def main() -> None:
        async with opened(url, table, create=create) as store:
            for conversation in "abc":
                await add(store, conversation, numbered(3))
            set_head(url, table, "a", begins={"N": "3"}, **listed)
            for conversation in "bc":
                set_head(url, table, conversation, begins={"N": "4"}, above={"N": "3"})
            assert await ids(store) == ["a"]
            assert await contents(store, "a") == ["message 2"]
            assert await contents(store, "b") == await contents(store, "c", reverse=True) == []
            await store.append([Part(Conversation("b"), numbered(2, 7), START)])
            assert await contents(store, "b") == ["message 7", "message 8"]
            assert await ids(store) == ["a", "b"]
            assert await store.delete("c") is False
            assert await store.delete("b") is await store.delete("a") is True
        assert raw_items(url, table) == []

    run(main())


def test_a_replace_that_was_killed_when_it_was_shown_has_replaced(url: str, table: str) -> None:
    async def main() -> None:
        plain_table(url, table)
        async with opened(url, table) as store:
            await add(store, "a", numbered(6))
            said = {"role": {"S": "system"}, "content": {"S": "new"}, "call": {"S": "y"}}
            put_raw(url, table, "a", "-9", i={"N": "0"}, **said)
            span = {"begins": {"N": "-9"}, "skip_from": {"N": "-8"}, "skip_to": {"N": "5"}}
            set_head(url, table, "a", above={"N": "4"}, **span)
            expected = ["new", "message 4", "message 5"]
            assert await contents(store, "a") == expected
            assert await contents(store, "a", reverse=True) == expected[::-1]
            assert await contents(store, "a", reverse=True, limit=3) == expected[::-1]
            pages = [p async for p in store.read(["a"])]
            assert await contents(store, "a", after=pages[0].position(0)) == expected[1:]
            (info,) = [i async for p in store.conversations(details=True) for i in p]
            assert info.messages == 3
            await store.replace(Conversation("a"), once(numbered(1)), upto=pages[0].position(0))
            assert await contents(store, "a") == ["message 0", "message 4", "message 5"]
        assert len(raw_items(url, table)) == 4

    run(main())


# --- sizes ---


@pytest.mark.parametrize("create", [True, False], ids=["index", "scan"])
def test_a_call_larger_than_a_transaction_comes_whole_and_in_order(url: str, table: str, create: bool) -> None:  # fmt: skip
    if not create:
        plain_table(url, table)
    parts = [
        Part(Conversation("long"), numbered(250), START),
        *(Part(Conversation(f"c{n}"), numbered(21), START) for n in range(12)),
        Part(Conversation("large"), [Message("user", "x" * 300_000)] * 30),
    ]

    async def main() -> None:
        async with opened(url, table, create=create, page_size=1000) as store:
            ends = await store.append(parts)
            for part, end in zip(parts, ends, strict=True):
                found = [m async for p in store.read([part.conversation.id]) for m in p.items]
                assert found == list(part.messages)
                positions = [p.position(-1) async for p in store.read([part.conversation.id])]
                assert positions[-1] == end
            await add(store, "long", numbered(200, 250))
            found = {i.id: i async for p in store.conversations(details=True) for i in p}
            assert found["long"].messages == 450
            assert found["large"].messages == 30
            assert await every_id(store) == sorted(part.conversation.id for part in parts)

    run(main())


def test_times_of_a_long_conversation_are_of_its_ends(url: str, table: str) -> None:
    messages = [Message("user", "x", created_at=AT + timedelta(seconds=n)) for n in range(600)]

    async def main() -> None:
        async with opened(url, table, create=True) as store:
            await add(store, "a", messages)
            (info,) = [i async for p in store.conversations(["a"], details=True) for i in p]
            assert (info.messages, info.first_at, info.last_at) == (
                600,
                AT,
                messages[-1].created_at,
            )

    run(main())


@pytest.mark.parametrize(
    ("field", "value"),
    [("title", {"S": "5"}), ("title", {"NULL": True}), ("title", {"B": b"\xff"}),
     ("extra", {"S": "[]"}), ("extra", {"M": {}})],
)  # fmt: skip
def test_what_lies_beside_and_cannot_be_read_is_named(
    url: str, table: str, field: str, value: Any
) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            await store.append([Part(Conversation("c", "Title", {"k": 1}), numbered(1))])
            await store.set_note("c", "n", 1)
            spoil(url, table, "c", field, value)
            spoil(url, table, "c", "note:n")
            assert str((await details(store))["c"].unreadable).startswith(f"{field} is")
            with pytest.raises(CorruptData, match="note:n is not JSON"):
                await store.note("c", "n")
            assert [m.content async for p in store.read(["c"]) for m in p.items] == ["message 0"]

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_any_history_is_the_one_of_the_store_in_memory(url: str, table: str, seed: int) -> None:
    chance = random.Random(seed)

    async def said(store: Any) -> Any:
        names = sorted([i.id async for p in store.conversations() for i in p])
        whole = {name: [m async for p in store.read([name]) for m in p.items] for name in names}
        details = [(i.id, i.messages, i.title) async for p in store.conversations(details=True) for i in p]  # fmt: skip
        return whole, sorted(details)

    async def place(store: Any, name: str, index: int) -> str:
        found = [p.position(i) async for p in store.read([name]) for i in range(len(p.items))]
        return found[index % len(found)] if found else START

    async def step(store: Any, verb: str, name: str, n: int) -> Any:
        messages = [
            Message("user", f"{n}.{k}", METADATA[(n + k) % len(METADATA)]) for k in range(n % 4)
        ]
        if verb == "append":
            await store.append([Part(Conversation(name, f"t{n}" if n % 3 else None), messages)], keep=n % 7 + 1)  # fmt: skip
        elif verb == "delete":
            await store.delete(name)
        elif verb == "cut":
            upto = await place(store, name, n)
            if upto != START:
                await store.delete(name, upto=upto)
        else:
            upto = await place(store, name, n) if n % 4 else START
            await store.replace(Conversation(name), once(messages), upto=upto)

    async def main() -> None:
        if seed % 2:
            plain_table(url, table)
        model = InMemoryStore()
        async with opened(url, table, create=True) as store:
            for turn in range(25):
                verb = chance.choice(["append", "append", "append", "delete", "cut", "replace", "replace"])  # fmt: skip
                name, n = chance.choice("ab"), chance.randrange(100)
                await step(model, verb, name, n)
                await step(store, verb, name, n)
                assert await said(store) == await said(model), (turn, verb, name, n)

    run(main())


# --- the command line ---


def test_every_command_works_on_it(url: str, table: str, tmp_path: Path) -> None:
    from tests.cli.moved import run as synmem

    config = tmp_path / "config.toml"
    config.write_text(
        f'[profiles.d]\nbackend = "dynamodb"\ntable_name = "{table}"\nregion = "us-east-1"\n'
        f'endpoint_url = "{url}"\ncreate = true\n'
    )
    at = ("-p", "d", "--config", config)
    assert synmem("show", "a", *at).exit_code == 3
    assert synmem("add", "a", "hello there", "-m", '{"k": 0.5}', *at).exit_code == 0
    assert synmem("add", "a", "general", "-r", "assistant", *at).exit_code == 0
    assert synmem("show", "a", *at).stdout == "User: hello there\nAssistant: general\n"
    (listed,) = json.loads(synmem("ls", "--json", *at).stdout)
    assert (listed["conversation_id"], listed["messages"]) == ("a", 2)
    assert "hello" in synmem("search", "hello", *at).stdout
    exported = synmem("export", "--seal", "-o", tmp_path / "x.jsonl", *at)
    assert exported.exit_code == 0, exported.output
    assert synmem("migrate", "d", tmp_path / "copy.db", "--config", config).exit_code == 0
    assert synmem("check", "d", tmp_path / "copy.db", "--config", config).exit_code == 0
    assert synmem("clear", "a", "--yes", *at).exit_code == 0
    assert synmem("ls", *at).stdout == ""
    assert synmem("undo", *at).exit_code == 0
    assert synmem("check", "d", tmp_path / "copy.db", "--config", config).exit_code == 0
    assert synmem("clear", "a", "--yes", "--no-backup", *at).exit_code == 0
    assert synmem("import", tmp_path / "x.jsonl", *at).exit_code == 0
    assert synmem("check", "d", tmp_path / "x.jsonl", "--config", config).exit_code == 0
    assert synmem("add", "a", "new", *at).exit_code == 0
    assert synmem("check", "d", tmp_path / "x.jsonl", "--config", config).exit_code == 7
    assert "listing by index" in synmem("profile", "test", "d", "--config", config).stdout
    told = json.loads(synmem("profile", "test", "d", "--json", "--config", config).stdout)
    assert told["remark"] == "listing by index"
    there = f"dynamodb://us-east-1/{table}?endpoint_url={url}"
    assert synmem("show", "a", "--last", "1", "-p", there).stdout == "User: new\n"


def test_a_table_without_our_index_is_listed_by_scan_and_the_profile_test_says_so(url: str, table: str) -> None:  # fmt: skip
    from tests.cli.moved import run as synmem

    plain_table(url, table)
    there = f"dynamodb://us-east-1/{table}?endpoint_url={url}"
    assert synmem("add", "a", "hello", "-p", there).exit_code == 0
    assert synmem("ls", "-p", there).stdout == "a\n"
    assert "listing by Scan" in synmem("profile", "test", "-p", there).stdout
