"""Items of other frameworks in DynamoDB: the contract on LangChain's and LlamaIndex's; what is found
in a table, and what must be named; what an item has no room for; servers that fail."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from synmem.backends.dynamodb.calls import Client
from synmem.backends.dynamodb.finding import ItemsFit
from synmem.backends.dynamodb.foreign_source import ForeignItems
from synmem.errors import (
    Changed,
    CorruptData,
    Rejected,
    StoreNotFound,
    StoreUnavailable,
    Unnamed,
    Unsupported,
)
from synmem.layouts import registry
from synmem.layouts.foreign import langchain, llamaindex
from synmem.layouts.own.dynamodb_items import json_form, low_level, size_of
from synmem.layouts.shapes import Items
from synmem.messages import STRAY, Conversation, Message, Unreadable
from synmem.store import START, Part, Store
from tests.backends.dynamodb import place as dynamodb_place
from tests.backends.dynamodb.place import client, opened, plain_table
from tests.backends.dynamodb.test_faults import Front, in_front, private, proxied
from tests.backends.langchain import WritingLangChain
from tests.conformance import (
    FULL,
    Opener,
    add,
    contents,
    details,
    ids,
    items,
    numbered,
    run,
    until,
)
from tests.layouts.foreign.reading import ReadingLlamaIndex
from tests.layouts.foreign.test_langchain import said
from tests.layouts.foreign.test_llamaindex import said as li_said
from tests.services import Server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamodb_place.credentials(monkeypatch)


@pytest.fixture
def url(dynamodb_server: Server) -> str:
    return dynamodb_server.url


@pytest.fixture
def table(url: str) -> Iterator[str]:
    """A table as LangChain's documentation makes it."""
    with dynamodb_place.own_table(url) as name:
        plain_table(url, name, SessionId="S")
        yield name


def element(said: Any) -> Any:
    """An element of a history: in JSON, or as an attribute."""
    return said["raw"] if isinstance(said, dict) and said.keys() == {"raw"} else low_level(said, 30)


def put(url: str, table: str, id_: str, history: Any, **more: Any) -> None:
    """An item as boto3 would write it: the history in JSON, or as an attribute."""
    value = {"L": [*map(element, history)]} if isinstance(history, list) else history
    with client(url) as boto:
        boto.put_item(TableName=table, Item={"SessionId": {"S": id_}, "History": value, **more})


def item(url: str, table: str, id_: str) -> Any:
    """An item as it is there, or None."""
    with client(url) as boto:
        key = {"SessionId": {"S": id_}}
        return boto.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def fits(said: Any) -> bool:
    """Whether DynamoDB can hold that JSON."""
    try:
        return size_of(low_level(said, 30)) < 400 * 1024
    except ValueError:
        return False


class TestLangChain(WritingLangChain):
    full = structs.replace(FULL, extra={"langchain": {"response_metadata": {"a": [1.5, None]}}})

    @pytest.fixture(autouse=True)
    def _there(self, url: str, table: str) -> None:
        self.url, self.table = url, table

    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(self.url, self.table, layout="langchain")

    def can_hold(self, message: Message) -> bool:
        return langchain.refusal(message) is None and fits(langchain.json_of(message))

    def test_a_reader_whose_place_is_gone_is_told(self, tmp_path: Any) -> None:
        """A conversation is one item, and read at one moment: its reader needs no place in it."""

        async def test(store: Store) -> None:
            async with contextlib.aclosing(store.read(["a"])) as pages:  # type: ignore[type-var]
                first = await anext(pages)
                await store.delete("a", upto=first.position(-1))
                rest = [m.content for page in [p async for p in pages] for m in page.items]
            assert rest == [f"message {n}" for n in range(2, 5)]
            with pytest.raises(Changed):
                await contents(store, "a", after=first.position(0))

        self.check(tmp_path, [Part(Conversation("a"), numbered(5))], test)

    def test_a_reader_sees_what_is_added_behind_its_place(self, tmp_path: Any) -> None:
        """As above: who looks again sees it."""

        async def test(store: Store) -> None:
            async with contextlib.aclosing(store.read(["a"])) as pages:  # type: ignore[type-var]
                first = await anext(pages)
                await add(store, "a", numbered(2, 3))
                assert [p async for p in pages][-1].items[-1].content == "message 2"  # type: ignore[union-attr]
            rest = await contents(store, "a", after=first.position(-1))
            assert rest == [f"message {n}" for n in range(2, 5)]

        self.check(tmp_path, [Part(Conversation("a"), numbered(3))], test)


class TestLlamaIndex(ReadingLlamaIndex):
    @pytest.fixture(autouse=True)
    def _there(self, url: str, table: str) -> None:
        self.url, self.table = url, table

    def can_hold(self, message: Message) -> bool:
        return fits(llamaindex.json_of(message))

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        for part in parts:
            history = [llamaindex.json_of(message) for message in part.messages]
            put(self.url, self.table, part.conversation.id, history)
        layout = {} if parts else {"layout": "llamaindex"}
        async with opened(self.url, self.table, write=False, **layout) as store:
            yield store


# --- what is found --------------------------------------------------------------------------


def looked(url: str, table: str, **how: Any) -> Any:
    """Every conversation's contents, as the store that is found has them."""

    async def main() -> Any:
        async with opened(url, table, write=False, **how) as store:
            return {i: await contents(store, i) for i in await ids(store)}

    return run(main())


def test_the_two_layouts_of_the_same_names_are_told_apart(url: str, table: str) -> None:
    put(url, table, "a", [said("human")])
    assert looked(url, table) == {"a": ["x"]}
    put(url, table, "a", [])
    put(url, table, "b", [li_said(), li_said()])
    assert looked(url, table) == {"b": ["x", "x"]}

    async def main() -> None:
        async with opened(url, table, write=False) as store:
            assert store.remark() == "layout llamaindex, attribute History"
            with pytest.raises(Unsupported, match="only be read"):
                await store.delete("b")
        async with opened(url, table, write=True) as store:  # nobody could write it anyway
            assert store.refusal(Message("user", "x"))

    run(main())


def test_a_table_without_any_says_which_layouts_it_may_be_of(url: str, table: str) -> None:
    for _ in range(2):
        with pytest.raises(Unnamed, match=r"History \(langchain\), History \(llamaindex\)"):
            looked(url, table)
        assert looked(url, table, layout="langchain") == {}
        put(url, table, "a", [])


def test_to_be_written_it_must_be_named(url: str, table: str) -> None:
    put(url, table, "a", [said("human")])

    async def main() -> None:
        with pytest.raises(Unnamed, match="langchain's"):
            async with opened(url, table, write=True):
                pass

    run(main())


def test_another_attribute_is_found_and_of_two_one_is_chosen(url: str, table: str) -> None:
    with client(url) as boto:
        one, two = ({"L": [low_level(said("human", content=text), 30)]} for text in ("1", "2"))
        key = {"SessionId": {"S": "a"}}
        boto.put_item(TableName=table, Item={**key, "Log": one})
        assert looked(url, table) == {"a": ["1"]}
        boto.put_item(TableName=table, Item={**key, "Log": one, "More": two})
    with pytest.raises(Unnamed, match=r"Log \(langchain\), More \(langchain\)") as caught:
        looked(url, table)
    assert "?layout=langchain&attribute=More" in str(caught.value.hint)
    assert looked(url, table, attribute="More") == {"a": ["2"]}


def test_what_is_of_no_layout_is_said_and_what_it_looks_like(url: str, table: str) -> None:
    put(url, table, "a", [{"said": "x"}], Other={"S": "x"})
    with pytest.raises(CorruptData) as caught:
        looked(url, table)
    assert "SessionId (HASH, S), and its items have History, Other, SessionId" in str(caught.value)
    assert "looks like langchain or llamaindex, of a version that is not known" in str(caught.value)
    with pytest.raises(Unsupported, match="no layout 'nope' on DynamoDB"):
        looked(url, table, layout="nope")
    with pytest.raises(CorruptData, match="somebody else's shape"):
        looked(url, table, layout="synmem")
    with pytest.raises(CorruptData, match="in the layout langchain"):
        looked(url, table, layout="langchain")


def test_what_lies_there_of_another_layout_is_said(url: str, table: str) -> None:
    put(url, table, "a", [said("human")])
    for asked in ({"layout": "llamaindex"}, {"attribute": "Log"}):
        with pytest.raises(CorruptData, match=r"; History is langchain's$") as caught:
            looked(url, table, **asked)
        assert "not known" not in str(caught.value)
        assert "?layout=langchain&attribute=History" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("types", "keys", "id_"),
    [
        ({"Who": "S"}, [{"S": "ü/1"}], "ü/1"),
        ({"Who": "N"}, [{"N": "5"}], "5"),
        ({"Who": "S", "Session": "S"}, [{"S": "u"}, {"S": 's"ü'}], '["u","s\\"ü"]'),
        ({"Who": "S", "Session": "N"}, [{"S": "u"}, {"N": "-0.5"}], '["u","-0.5"]'),
    ],
)
def test_an_id_is_the_key_or_both_of_them(url: str, types: Any, keys: Any, id_: str) -> None:
    """The table's keys may be called as their user likes, and be two, as LangChain's `key` has
    it."""
    with dynamodb_place.own_table(url) as table, client(url) as boto:
        plain_table(url, table, **types)
        key = dict(zip(types, keys, strict=True))
        history = {"L": [low_level(said("human"), 30)]}
        boto.put_item(TableName=table, Item={**key, "History": history})
        boto.put_item(TableName=table, Item={**{k: {t: "7"} for k, t in types.items()}, "Else": {"S": "x"}})  # fmt: skip

        async def main() -> None:
            async with opened(url, table, layout="langchain") as store:
                assert await ids(store) == [id_]
                for other in ("", "[]", '["u"]', '["u", "s"]', "05", "x", "[1]", "{", "nan", "1e999"):  # fmt: skip
                    if other != id_:
                        assert await contents(store, other) == []
                        assert not await store.delete(other)
                end = await add(store, id_, numbered(1))
                assert await contents(store, id_, after=end) == []
                if types != {"Who": "S"}:
                    with pytest.raises(Rejected, match=r"key|array"):
                        await add(store, "x", numbered(1))
            found = boto.get_item(TableName=table, Key=key)["Item"]["History"]["L"]
            assert len(found) == 2

        run(main())


def test_two_ids_that_are_one_number_are_asked_for_once(url: str) -> None:
    with dynamodb_place.own_table(url) as table, client(url) as boto:
        plain_table(url, table, Who="N")
        history = {"L": [low_level(said("human"), 30)]}
        boto.put_item(TableName=table, Item={"Who": {"N": "5"}, "History": history})

        async def main() -> None:
            async with opened(url, table, write=False) as store:
                asked = ["5", "5.0", "+5", "5", "7"]
                found = [i.id async for page in store.conversations(asked) for i in page]
                assert found == ["5"]
                assert await store.expiring(asked) == {}
            async with opened(url, table, layout="langchain") as store:
                for other in ("5.0", "05", "1e1"):
                    with pytest.raises(Rejected, match="another text"):
                        await add(store, other, numbered(1))
                await add(store, "5", numbered(1))

        run(main())


def test_our_own_table_is_not_given_to_another_layout(url: str) -> None:
    with dynamodb_place.own_table(url) as table:

        async def main() -> None:
            async with opened(url, table, create=True) as store:
                await add(store, "a", numbered(1))
                await store.delete("a")
            with pytest.raises(CorruptData, match="langchain"):
                async with opened(url, table, layout="langchain"):
                    pass

        run(main())


def test_a_table_whose_keys_are_bytes_is_of_no_layout(url: str) -> None:
    with dynamodb_place.own_table(url) as table:
        plain_table(url, table, SessionId="B")
        with pytest.raises(CorruptData, match=r"SessionId \(HASH, B\)"):
            looked(url, table)


def test_a_table_that_is_not_there_is_made_as_langchain_says_where_it_may_be(url: str) -> None:
    with dynamodb_place.own_table(url) as table:

        async def main() -> None:
            with pytest.raises(StoreNotFound):
                async with opened(url, table, layout="langchain"):
                    pass
            async with opened(url, table, layout="langchain", create=True) as store:
                assert await ids(store) == []
                assert not await store.delete("a")
                await add(store, "a", numbered(2))

        run(main())
        assert looked(url, table) == {"a": ["message 0", "message 1"]}
        with client(url) as boto:
            [key] = boto.describe_table(TableName=table)["Table"]["KeySchema"]
        assert key == {"AttributeName": "SessionId", "KeyType": "HASH"}


def test_more_than_an_answer_holds_is_read_whole(url: str, table: str) -> None:
    """Of a scan as of what is asked for by key: an answer has room for 1 MB, or 16 MB."""
    large = {"L": [element(said("human", content="x" * 390_000))]}
    names = [f"c{n:03}" for n in range(45)]
    with client(url) as boto:
        for name in names:
            boto.put_item(TableName=table, Item={"SessionId": {"S": name}, "History": large})

    async def main() -> None:
        async with opened(url, table, write=False, page_size=1000) as store:
            assert await ids(store) == names
            assert {i: d.messages for i, d in (await details(store)).items()} == dict.fromkeys(names, 1)  # fmt: skip
            read = [page.conversation async for page in store.read(names, limit=1)]
            assert sorted(read) == names

    run(main())


# --- what is odd ----------------------------------------------------------------------------


def test_what_cannot_be_read_stands_in_its_place(url: str, table: str) -> None:
    odd: list[Any] = [
        {"raw": {"S": "text"}}, {"raw": {"NULL": True}}, {"raw": {"SS": ["a"]}}, {"type": "human"},
        {"type": "human", "data": {"content": None}}, {"raw": {"B": b"\xff"}}, {"raw": {"N": "1e100"}},
        {"type": "human", "data": {"content": "x", "other": 1}},
    ]  # fmt: skip
    odd[-1] = {"raw": {"M": {"type": {"S": "human"}, "data": {"M": {"content": {"B": b"x"}}}}}}
    put(url, table, "a", [said("human"), *odd, said("human")])
    put(url, table, "b", {"S": "no list"})
    put(url, table, "c", {"M": {}})

    async def main() -> None:
        async with opened(url, table, layout="langchain") as store:
            found = await items(store, "a")
            assert [type(each) for each in found] == [Message, *[Unreadable] * len(odd), Message]
            assert found[1].position == "element 1"
            for name, kind in (("b", "text"), ("c", "a map")):
                [lost] = await items(store, name)
                assert f"not a list but {kind}" in lost.reason
                for write in (add(store, name, numbered(1)), store.delete(name)):
                    with pytest.raises(CorruptData, match=name):
                        await write
            assert {i: d.messages for i, d in (await details(store)).items()} == {"a": 10, "b": 1, "c": 1}  # fmt: skip
            end = await add(store, "a", numbered(1))
            assert await contents(store, "a", after=end) == []
            assert len(await items(store, "a")) == 11
            await store.delete("a", upto=[p.position(-1) async for p in store.read(["a"])][-2])
            assert await contents(store, "a") == ["message 0"]

    run(main())


def test_an_item_whose_key_is_longer_than_an_id_is_told(url: str, table: str) -> None:
    put(url, table, "x" * 1100, [said("human")])
    put(url, table, "a", [said("human")])

    async def main() -> None:
        async with opened(url, table, write=False) as store:
            for listed in (False, True):
                if listed:
                    assert await ids(store) == ["a"]
                [stray] = await store.strays()
                assert stray.kind == STRAY
                assert "1024 bytes" in stray.reason

    run(main())


def test_numbers_come_back_as_they_were_or_are_refused(url: str, table: str) -> None:
    def called(**args: Any) -> Message:
        return Message("assistant", "x", tool_calls=[{"id": "1", "name": "f", "arguments": args}])

    good = [called(a=0.1, b=-1.5e-7, c=10**37, d=[True, None, {}, ""]), called(n=-0.5)]
    bad = [called(a=1.0), called(a=float("nan")), called(a=10**38 + 1), called(a=1e-200), called(a=-0.0), called(**{"": 1}), called(**{"$dynamodb": 5}), called(**{"$dynamodb": {"B": 5}}), called(**{"$dynamodb": {"SS": [5]}})]  # fmt: skip

    async def main() -> None:
        async with opened(url, table, layout="langchain") as store:
            for message in bad:
                assert store.refusal(message), message
            await add(store, "a", good)
            assert await items(store, "a") == good

    run(main())


texts = some.text(max_size=3)
attributes = some.recursive(
    some.one_of(
        some.builds(lambda text: {"S": text}, texts),
        some.sampled_from([{"N": "5"}, {"N": "0.1"}, {"N": "1E+120"}, {"N": "0.1234567890123456789"}]),
        some.sampled_from([{"BOOL": True}, {"NULL": True}, {"SS": ["a"]}, {"NS": ["1"]}, {"BS": [b"a"]}]),
        some.builds(lambda data: {"B": data}, some.binary(max_size=3)),
    ),
    lambda inner: some.builds(lambda each: {"L": each}, some.lists(inner, max_size=3))
    | some.builds(
        lambda each: {"M": each},
        some.dictionaries(
            texts | some.sampled_from(["type", "data", "content", "role", "blocks", "additional_kwargs", "$dynamodb"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)  # fmt: skip
messages_or_not = some.one_of(
    attributes,
    some.builds(
        lambda kind, data: {"M": {"type": {"S": kind}, "data": data}},
        some.sampled_from(["human", "ai", "tool", "chat"]),
        attributes,
    ),
    some.builds(
        lambda role, blocks: {"M": {"role": {"S": role}, "blocks": blocks}}, texts, attributes
    ),
)


@given(some.lists(messages_or_not, max_size=4) | attributes)
def test_whatever_a_history_holds_it_is_read_or_says_why_not(history: Any) -> None:
    value = {"L": history} if isinstance(history, list) else history
    for layout in ("langchain", "llamaindex"):
        [shape] = registry.shapes(layout, "dynamodb")
        assert isinstance(shape, Items)
        fit = ItemsFit(layout, shape, "History", (("SessionId", "S"),))
        store = ForeignItems(Client({"table_name": "none"}), fit, made=False, page_size=2)
        told = store.told_by({"SessionId": {"S": "a"}, "History": value})
        assert len(told.messages) == (len(value["L"]) if "L" in value else 1)
        for element in value.get("L", []):
            assert shape.tells(json_form(element, keep_bytes=True)) in (True, False)


# --- 400 KB, and what else is in an item ----------------------------------------------------


def test_what_an_item_has_no_room_for_is_refused_before_anything_is_written(
    url: str, table: str
) -> None:
    large = [Message("user", "x" * 100_000)]

    async def main() -> None:
        async with opened(url, table, layout="langchain") as store:
            for _ in range(4):
                await add(store, "a", large)
            end = [p.position(-1) async for p in store.read(["a"])][-1]
            parts = [Part(Conversation("b"), numbered(1)), Part(Conversation("a"), large)]
            with pytest.raises(Rejected, match="409,600"):
                await store.append(parts)
            assert await ids(store) == ["a"]
            with pytest.raises(Rejected, match="409,600"):
                await store.replace(Conversation("a"), _pages(large * 2), upto=START)
            with pytest.raises(Rejected):
                await store.replace(Conversation("b"), _pages(large, large * 4), upto=START)
            assert "409,600" in str(store.refusal(Message("user", "é" * 210_000)))
            [end2] = await store.append([Part(Conversation("a"), large, end)], keep=2)
            assert len(await items(store, "a")) == 2
            await store.replace(Conversation("a"), _pages(large * 3), upto=end2)
            assert len(await items(store, "a")) == 3

    run(main())


def test_what_an_item_would_have_no_room_for_is_told_before_it_goes(url: str, table: str) -> None:
    """LangChain's words for a message are longer than those that somebody wrote it in."""
    lean = {"type": "human", "data": {"content": "x" * 100}}
    put(url, table, "full", [lean] * 2300)
    put(url, table, "half", [lean] * 1000)
    put(url, table, "odd", {"S": "x"})
    before = item(url, table, "full")

    async def main() -> None:
        async with opened(url, table, layout="langchain") as store:
            refused = await store.refuses_back(["full", "half", "none", "odd", ""])
            assert {*refused} == {"full"}
            assert "brought back, it takes its conversation to" in refused["full"]
            messages = await items(store, "half")
            await store.delete("half")
            await store.append([Part(Conversation("half"), messages)])
            assert await items(store, "half") == messages

    run(main())
    assert item(url, table, "full") == before


async def _pages(*pages: Sequence[Message]) -> AsyncIterator[Sequence[Message]]:
    for page in pages:
        yield page


def test_several_transactions_take_what_one_does_not(url: str, table: str) -> None:
    large = [Message("user", "x" * 150_000)]
    many = [Part(Conversation(f"c{n:03}"), numbered(2)) for n in range(230)]

    async def main() -> None:
        async with opened(url, table, layout="langchain", page_size=1000) as store:
            ends = await store.append(many)
            assert len(ends) == 230
            assert sorted(many_ids := await ids(store)) == sorted(part.conversation.id for part in many)  # fmt: skip
            await store.append([Part(part.conversation, large) for part in many[:60]])
            found = {i: d.messages for i, d in (await details(store)).items()}
            assert [found[i] for i in sorted(many_ids)] == [3] * 60 + [2] * 170
            with pytest.raises(Changed):
                await store.append([*many[:120], Part(Conversation("c200"), numbered(1), START)])
            assert {i: d.messages for i, d in (await details(store)).items()} == found

    run(main())


def test_other_attributes_of_an_item_stay(url: str, table: str) -> None:
    put(url, table, "a", [said("human")], expireAt={"N": "99"}, Owner={"S": "me"})
    put(url, table, "b", [said("human")], expireAt={"N": "99"})
    others = {"SessionId": {"S": "a"}, "expireAt": {"N": "99"}, "Owner": {"S": "me"}}

    async def main() -> None:
        async with opened(url, table, layout="langchain") as store:
            end = await add(store, "a", numbered(2))
            assert item(url, table, "a").items() >= others.items()
            await store.replace(Conversation("a"), _pages(numbered(1)), upto=end)
            assert item(url, table, "a").items() >= others.items()
            await store.append([Part(Conversation("a"), numbered(3))], keep=1)
            assert item(url, table, "a").items() >= others.items()
            for name in "ab":
                assert await store.delete(name)
                assert not await store.delete(name)
            assert await ids(store) == []
            assert item(url, table, "a") == {**others, "History": {"L": []}}
            assert item(url, table, "b") is None
            await add(store, "a", numbered(1))
            assert len(item(url, table, "a")["History"]["L"]) == 1

    run(main())


@pytest.mark.parametrize("attribute", ["expireAt", "Until"])
def test_the_time_that_an_item_has_left_is_told_and_set(
    url: str, table: str, attribute: str
) -> None:
    """In the attribute that the table has for it, or else in LangChain's."""
    if attribute != "expireAt":
        with client(url) as boto:
            said_so = {"Enabled": True, "AttributeName": attribute}
            boto.update_time_to_live(TableName=table, TimeToLiveSpecification=said_so)
    put(url, table, "a", [said("human")], **{attribute: {"N": str(int(time.time()) + 1000)}})
    put(url, table, "b", [said("human")])
    put(url, table, "c", [said("human")], **{attribute: {"S": "soon"}})

    async def main() -> None:
        async with opened(url, table, layout="langchain") as store:
            left = await store.expiring(["a", "b", "c", "none"])
            assert left.keys() == {"a"}
            assert 980 < left["a"] <= 1000
            await store.expire({"b": 500.0, "none": 5.0})
            assert 480 < (await store.expiring(["b"]))["b"] <= 500
            assert await ids(store) == ["a", "b", "c"]
            assert item(url, table, "none") is None

    run(main())


# --- several writers, and servers that fail -------------------------------------------------


def test_an_append_whose_answer_was_lost_is_one_append(url: str, table: str) -> None:
    async def main() -> None:
        with proxied(url) as (proxy, through):
            async with opened(through, table, layout="langchain") as store:
                for n in range(4):
                    proxy.cut_after_request(lambda sent: b".TransactWriteItems" in sent)
                    await add(store, "a", numbered(1, n))
                assert await contents(store, "a") == [f"message {n}" for n in range(4)]
                proxy.cut_after_request(lambda sent: b".TransactWriteItems" in sent)
                assert await store.delete("a")
                assert proxy.cuts == 5
                assert await ids(store) == []

    run(main())


def test_the_same_said_by_two_at_once_is_said_twice(url: str, table: str) -> None:
    async def main() -> None:
        async with (
            opened(url, table, layout="langchain") as one,
            opened(url, table, layout="langchain") as two,
        ):
            said_by = [add(store, "a", [Message("user", "hi")]) for store in (one, two) * 4]
            await asyncio.gather(*said_by)
            assert await contents(one, "a") == ["hi"] * 8

    run(main())


def test_a_server_that_throttles_or_leaves_some_for_later_is_asked_again(
    url: str, table: str
) -> None:
    turns: list[str] = []
    kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"

    class Throttle(Front):
        def answer(self, operation: str, body: bytes) -> None:
            turns.append(operation)
            slower = 400, json.dumps({"__type": kind, "message": "slower"}).encode()
            if operation == "BatchGetItem" and len(turns) % 2:
                asked = json.loads(body)["RequestItems"]
                [(name, what)] = asked.items()
                some = {**asked, name: {**what, "Keys": what["Keys"][:1]}}
                status, answer = self.done(json.dumps({"RequestItems": some}).encode())
                left = {name: {**what, "Keys": what["Keys"][1:]}} if what["Keys"][1:] else {}
                said = {**json.loads(answer), "UnprocessedKeys": left}
                self.say(status, json.dumps(said).encode())
            else:
                self.say(*(slower if len(turns) % 3 == 0 else self.done(body)))

    async def main(through: str) -> None:
        async with opened(through, table, layout="langchain", page_size=100) as store:
            names = [f"c{n}" for n in range(9)]
            await store.append([Part(Conversation(name), numbered(1)) for name in names])
            assert await ids(store) == names
            assert sorted([p.conversation async for p in store.read(names)]) == names
            assert await store.delete("c0")

    with in_front(Throttle, url) as through:
        run(main(through))
    assert "BatchGetItem" in turns


def test_a_server_that_leaves_all_for_later_is_unavailable(
    url: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.dynamodb.foreign_source._PATIENCE_S", 0.5)

    class Later(Front):
        def answer(self, operation: str, body: bytes) -> None:
            if operation == "BatchGetItem":
                later = {"Responses": {}, "UnprocessedKeys": json.loads(body)["RequestItems"]}
                self.say(200, json.dumps(later).encode())
            else:
                self.say(*self.done(body))

    with in_front(Later, url) as through, pytest.raises(StoreUnavailable):
        put(url, table, "a", [said("human")])
        looked(through, table)


def test_a_server_that_is_killed_under_a_read_and_an_append_is_asked_again(tmp_path: Any) -> None:
    """What it then has is in order, and has nothing twice; DynamoDB Local can lose the very last
    that it said it had done."""
    with private(tmp_path) as server:
        plain_table(server.url, "talks", SessionId="S")

        async def main() -> None:
            async with opened(server.url, "talks", layout="langchain") as store:
                await store.append([Part(Conversation(f"c{n}"), numbered(3)) for n in range(20)])
                done: list[str] = []
                working = asyncio.create_task(_work(store, done))
                await until(lambda: len(done) >= 5)
                server.kill()
                assert not working.done()
                server.start()
                await working
                found = await contents(store, "a")
                assert [text for text in WORK if text in found] == found
                assert len(found) >= len(WORK) - 1

        run(main())


WORK = [f"message {n}" for n in range(40)]


async def _work(store: Store, done: list[str]) -> None:
    for n, text in enumerate(WORK):
        await add(store, "a", [Message("user", text)])
        done.append(text)
        found = [page async for page in store.read([f"c{n % 20}"])]
        assert sum(len(page.items) for page in found) == 3
