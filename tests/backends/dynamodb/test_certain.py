"""What was done is certain on DynamoDB: writers who race, who are killed at any request, whose
requests come late; the tokens in the raw items; and attributes of somebody else's."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from synmem.backends.dynamodb.head import HEAD
from synmem.backends.dynamodb.steps import BYTES
from synmem.errors import Changed, Rejected, StoreError, StoreUnavailable, Unsupported
from synmem.messages import Conversation, Message
from synmem.store import START, Part, Step, once
from tests.backends.dynamodb import place as dynamodb_place
from tests.backends.dynamodb.place import opened, plain_table, put_raw, raw_items
from tests.conformance import add, begin, contents, ids, items, numbered, run
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


def named(word: str, count: int) -> list[Message]:
    return [Message("user", f"{word} {n}") for n in range(count)]


async def said(store: Any, conversation: str) -> list[str]:
    return [m.content async for page in store.read([conversation]) for m in page.items]


OLD = [f"old {n}" for n in range(3)]
LATER = ["later 0", "later 1"]


async def old(store: Any, conversation: str) -> str:
    """A conversation of `OLD` and `LATER`; where the first ends."""
    end = await add(store, conversation, named("old", 3))
    await add(store, conversation, named("later", 2))
    return end


# --- two who replace at once ---


@pytest.mark.parametrize("races", [8, pytest.param(20, marks=pytest.mark.real)])
def test_of_two_replaces_that_race_one_is_done_and_the_other_not(
    url: str, table: str, races: int
) -> None:
    async def one_race(stores: Sequence[Any], n: int) -> None:
        name = f"c{n}"
        end = await old(stores[0], name)
        begins = await begin(stores[1], name)
        steps = [Step(name, f"{n:031x}{word}") for word in "ab"]

        async def write(store: Any, step: Step, word: str, wait: float) -> None:
            await asyncio.sleep(wait)
            new = once(named(word, 120))
            await store.replace(Conversation(name), new, upto=end, begins=begins, token=step.token)

        tasks = [
            asyncio.create_task(write(stores[0], steps[0], "a", n % 5 * 0.004)),
            asyncio.create_task(write(stores[1], steps[1], "b", n % 3 * 0.004)),
        ]
        if n % 4 == 3:
            await asyncio.sleep(n * 0.003)
            tasks[n % 2].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        done = await stores[1].call_off(steps)
        assert len(done) <= 1
        for step, outcome in zip(steps, outcomes, strict=True):
            assert (outcome is None) <= (step in done), outcome
            assert outcome is None or isinstance(outcome, Changed | asyncio.CancelledError)
        assert done or any(isinstance(o, asyncio.CancelledError) for o in outcomes)
        word = "".join("ab"[steps.index(step)] for step in done)
        expected = [m.content for m in named(word, 120)] if done else OLD
        for _ in range(2):
            assert await said(stores[0], name) == expected + LATER
            await asyncio.sleep(0.02)  # a request of the one that was cancelled may come
        assert await stores[0].steps_done(steps) == done

    async def main() -> None:
        async with opened(url, table, create=True, page_size=200) as one, opened(url, table, create=True, page_size=200) as two:  # fmt: skip
            await add(one, "first", numbered(1))
            for n in range(races):
                await one_race((one, two), n)
            for name in await every_id(one):
                await one.delete(name)
            steps = [Step(f"c{n}", f"{n:031x}{word}") for n in range(races) for word in "ab"]
            await one.forget_steps(steps)
            assert raw_items(url, table) == []

    run(main())


async def every_id(store: Any) -> list[str]:
    return [info.id async for page in store.conversations() for info in page]


def test_of_two_that_create_a_conversation_one_finds_it_there(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as one, opened(url, table, create=True) as two:
            await add(one, "first", numbered(1))
            for n in range(10):
                name = f"c{n}"
                outcomes = await asyncio.gather(
                    *(
                        s.replace(Conversation(name), once(named(w, 2)), upto=START, begins=START)
                        for s, w in ((one, "a"), (two, "b"))
                    ),
                    return_exceptions=True,
                )
                assert sorted(map(repr, map(type, outcomes))) == sorted(
                    map(repr, (type(None), Changed))
                )
                word = "ab"[outcomes.index(None)]
                assert await said(one, name) == [f"{word} 0", f"{word} 1"]

    run(main())


@pytest.mark.parametrize("create", [True, False], ids=["index", "scan"])
def test_what_is_appended_before_a_replace_is_shown_stops_one_that_expects_nothing(
    url: str, table: str, create: bool
) -> None:
    if not create:
        plain_table(url, table)

    async def main() -> None:
        async with opened(url, table, create=create) as store:

            async def new() -> Any:
                yield named("new", 2)
                await add(store, "c", numbered(1))

            with pytest.raises(Changed):
                await store.replace(Conversation("c"), new(), upto=START, begins=START)
            assert await contents(store, "c") == ["message 0"]
            assert len(raw_items(url, table)) == 2

    run(main())


# --- killed at any request ---


class Killer:
    """Kills whoever uses a store at its request number `at`: before it is sent, after it was
    answered, or so that it is sent, and done, `late`."""

    def __init__(self, store: Any, at: int, how: str, error: Callable[[], BaseException]) -> None:
        self.killed = False
        self._client = store.client
        self._call = store.client.call
        self._left = at
        self._how = how
        self._error = error
        self._late: tuple[str, Any] | None = None
        store.client.call = self

    async def __call__(self, operation: str, **arguments: Any) -> Any:
        self._left -= 1
        if self._left != 0:
            return await self._call(operation, **arguments)
        self.killed = True
        self._client.call = self._call
        if self._how == "after":
            await self._call(operation, **arguments)
        elif self._how == "late":
            self._late = operation, arguments
        raise self._error()

    async def come_late(self) -> None:
        """The request that was on its way comes to the server."""
        self._client.call = self._call
        if self._late is not None:
            operation, arguments = self._late
            try:
                await self._call(operation, **arguments)
            except StoreError as error:
                assert "ConditionalCheckFailed" in str(error), error


async def cut(store: Any, name: str, end: str, token: str) -> None:
    await store.delete(name, upto=end, begins=await begin(store, name), token=token)


async def clear(store: Any, name: str, end: str, token: str) -> None:
    await store.delete(name, token=token)


async def exchange(store: Any, name: str, end: str, token: str) -> None:
    await store.replace(Conversation(name), once(named("new", 101)), upto=end, token=token)


async def put_before(store: Any, name: str, end: str, token: str) -> None:
    begins = await begin(store, name)
    new = once(named("new", 2))
    await store.replace(Conversation(name), new, upto=START, begins=begins, token=token)


async def empty(store: Any, name: str, end: str, token: str) -> None:
    await store.replace(Conversation(name, "T"), once([]), upto=end, token=token)


async def append(store: Any, name: str, end: str, token: str) -> None:
    await store.append([Part(Conversation(name), named("new", 2))], token=token)


async def empty_before(store: Any, name: str, end: str, token: str) -> None:
    begins = await begin(store, name)
    await store.replace(Conversation(name, "T"), once([]), upto=end, begins=begins, token=token)


NEW = [f"new {n}" for n in range(101)]
VERBS: Any = {
    cut: LATER, clear: [], exchange: NEW + LATER, put_before: NEW[:2] + OLD + LATER,
    empty: LATER, append: OLD + LATER + NEW[:2],
}  # fmt: skip


@pytest.mark.real
@pytest.mark.parametrize(
    ("how", "error"),
    [("before", asyncio.CancelledError), ("after", asyncio.CancelledError),
     ("late", asyncio.CancelledError), ("late", lambda: StoreUnavailable("gone"))],
    ids=["before", "after", "late", "unavailable"],
)  # fmt: skip
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_writer_who_dies_at_any_request_has_written_all_or_nothing(
    url: str, table: str, verb: Any, how: str, error: Any
) -> None:
    async def killed_at(at: int, one: Any, two: Any) -> bool:
        name, token = f"c{at}", f"{at:032x}"
        end = await old(two, name)
        killer = Killer(one, at, how, error)
        try:
            await verb(one, name, end, token)
        except (asyncio.CancelledError, StoreUnavailable):
            assert killer.killed
        step = Step(name, token)
        done = await two.call_off([step])
        expected = VERBS[verb] if done else OLD + LATER
        for _ in range(2):
            assert await said(two, name) == expected
            assert await two.steps_done([step]) == done
            await killer.come_late()
        if done:
            await verb(two, name, end, token)
        else:
            with pytest.raises(Changed):
                await verb(two, name, end, token)
        assert await said(two, name) == expected
        await two.forget_steps([step])
        assert await said(two, name) == expected
        return killer.killed

    async def main() -> None:
        async with opened(url, table, create=True, page_size=200) as one, opened(url, table, create=True, page_size=200) as two:  # fmt: skip
            for store in (one, two):
                await add(store, "first", numbered(1))
            for at in itertools.count(1):
                if not await killed_at(at, one, two):
                    break
            assert at > 3
            for name in ["first", *(f"c{n + 1}" for n in range(at))]:
                await two.delete(name)  # it takes away what was left hidden, too
            assert raw_items(url, table) == []

    run(main())


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_write_without_a_token_that_comes_late_tears_nothing(
    url: str, table: str, verb: Any
) -> None:
    """Also where the writer saw its request fail, and cleared up behind itself."""

    async def main() -> None:
        async with opened(url, table, create=True, page_size=200) as one, opened(url, table, create=True, page_size=200) as two:  # fmt: skip
            for store in (one, two):
                await add(store, "first", numbered(1))
            for at in itertools.count(1):
                end = await old(two, f"c{at}")
                killer = Killer(one, at, "late", lambda: StoreUnavailable("gone"))
                try:
                    await verb(one, f"c{at}", end, None)
                except StoreUnavailable:
                    assert killer.killed
                await killer.come_late()
                assert await said(two, f"c{at}") in (OLD + LATER, VERBS[verb])
                if not killer.killed:
                    break

    run(main())


# --- tokens ---


@pytest.mark.parametrize("create", [True, False], ids=["index", "scan"])
def test_tokens_are_in_the_head_as_documented(url: str, table: str, create: bool) -> None:
    if not create:
        plain_table(url, table)
    one, two, three = "1" * 32, "2" * 32 + ".7", "3" * 32

    async def main() -> None:
        async with opened(url, table, create=create) as store:
            await add(store, "first", numbered(1))
            part = Part(Conversation("c", "T", {"k": 1}), numbered(2))
            await store.append([part], token=one)
            await store.set_note("c", "n", 1)
            await store.call_off([Step("c", two), Step("none", two)])
            assert heads() == {
                "c": {one, f"-{two}"}, "none": {f"-{two}"},
            }  # fmt: skip
            assert await store.delete("c", token=three)
            assert heads() == {"c": {one, f"-{two}", three}, "none": {f"-{two}"}}
            names = {"session_id", "n", "version", "begins", "above", "steps"}
            assert [i.keys() for i in raw_items(url, table) if i["session_id"]["S"] == "c"] == [names]  # fmt: skip
            assert await every_id(store) == ["first"]
            assert await every_detail(store) == ["first"]
            assert await every_detail(store, ["c", "none"]) == []
            assert await items(store, "c") == []
            assert await store.notes(["c", "none"]) == {}
            assert await store.delete("c") is False
            assert heads() == {"c": {one, f"-{two}", three}, "none": {f"-{two}"}}
            await store.forget_steps([Step("c", one), Step("c", two), Step("none", two)])
            assert heads() == {"c": {three}}
            await add(store, "c", numbered(1, 5))
            await store.forget_steps([Step("c", three)])
            assert heads() == {}
            assert await contents(store, "c") == ["message 5"]
            assert sorted(await every_id(store)) == ["c", "first"]

    def heads() -> Any:
        found = [item for item in raw_items(url, table) if int(item["n"]["N"]) == HEAD]
        return {i["session_id"]["S"]: set(i["steps"]["SS"]) for i in found if "steps" in i}

    run(main())


async def every_detail(store: Any, names: Any = None) -> list[str]:
    return [i.id async for page in store.conversations(names, details=True) for i in page]


def test_what_was_opened_for_reading_asks_and_no_more(url: str, table: str) -> None:
    plain_table(url, table)
    steps = [Step("c", "a" * 32)]

    async def main() -> None:
        async with opened(url, table, write=False) as store:
            assert await store.steps_done(steps) == set()
            for attempt in (store.call_off(steps), store.forget_steps(steps)):
                with pytest.raises(Unsupported):
                    await attempt
        assert raw_items(url, table) == []

    run(main())


def test_where_no_table_is_nothing_was_done_and_nothing_will_be(url: str, table: str) -> None:
    steps = [Step("c", "a" * 32), Step("", "a" * 32), Step("\ud800", "a" * 32)]

    async def main() -> None:
        async with opened(url, table, create=True) as store:
            assert await store.steps_done(steps) == set()
            await store.forget_steps(steps)
            assert await store.call_off(steps) == set()
            with pytest.raises(Changed):
                await store.append([Part(Conversation("c"), numbered(1))], token="a" * 32)

    run(main())


def test_many_steps_are_called_off_and_forgotten_in_few_requests(url: str, table: str) -> None:
    steps = [Step(f"c{n}", f"{n:032x}") for n in range(200)]
    steps += [Step("many", f"{n:032x}") for n in range(120)]

    async def main() -> None:
        async with opened(url, table, create=True) as store:
            await store.append([Part(Conversation("c3"), numbered(1))], token=steps[3].token)
            counted = 0
            call = store.client.call

            async def count(operation: str, **arguments: Any) -> Any:
                nonlocal counted
                counted += 1
                return await call(operation, **arguments)

            store.client.call = count
            assert await store.call_off(steps) == {steps[3]}
            assert counted < 60
            with pytest.raises(Changed):
                await store.delete("c7", token=steps[7].token)
            counted = 0
            assert await store.steps_done(steps) == {steps[3]}
            assert counted == 3
            await store.forget_steps(steps)
            assert [i["session_id"]["S"] for i in raw_items(url, table)] == ["c3", "c3"]

    run(main())


def test_forgetting_never_takes_what_is_appended_meanwhile(url: str, table: str) -> None:
    plain_table(url, table)

    async def main() -> None:
        async with opened(url, table) as one, opened(url, table) as two:
            for n in range(15):
                name, token = f"c{n}", f"{n:032x}"
                await add(one, name, numbered(1))
                await one.delete(name, token=token)
                await asyncio.gather(
                    one.forget_steps([Step(name, token)]),
                    _after(n * 0.001, add(two, name, numbered(1, 7))),
                )
                assert await contents(one, name) == ["message 7"]
                assert await one.delete(name)
        assert raw_items(url, table) == []

    run(main())


async def _after(seconds: float, work: Any) -> None:
    await asyncio.sleep(seconds)
    await work


def test_a_token_that_comes_during_a_delete_is_kept(url: str, table: str) -> None:
    """A delete puts another head in the place of the one that it saw."""

    async def main() -> None:
        async with opened(url, table, create=True) as one, opened(url, table, create=True) as two:
            await add(one, "c", numbered(2))
            call = one.client.call

            async def between(operation: str, **arguments: Any) -> Any:
                if operation == "transact_write_items":
                    one.client.call = call
                    assert await two.call_off([Step("c", "a" * 32)]) == set()
                return await call(operation, **arguments)

            one.client.call = between
            assert await one.delete("c", token="b" * 32)
            with pytest.raises(Changed):
                await one.append([Part(Conversation("c"), numbered(1))], token="a" * 32)
            assert await one.steps_done([Step("c", "b" * 32)])

    run(main())


def test_tokens_hold_up_no_replace_that_is_under_way(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            end = await old(store, "c")

            async def new() -> Any:
                yield named("new", 2)
                await store.append([Part(Conversation("c"), numbered(1))], token="a" * 32)
                await store.call_off([Step("c", "b" * 32)])
                await store.forget_steps([Step("c", "b" * 32)])

            await store.replace(Conversation("c"), new(), upto=end, token="c" * 32)
            assert await contents(store, "c") == ["new 0", "new 1", *LATER, "message 0"]
            assert len(await store.steps_done([Step("c", w * 32) for w in "abc"])) == 2

    run(main())


def test_an_append_of_one_step_is_one_transaction_and_a_larger_one_is_refused(
    url: str, table: str
) -> None:
    async def main() -> None:
        async with opened(url, table, create=True, page_size=200) as store:
            room = store.holds.atomic_messages
            await add(store, "first", numbered(1))
            whole = [Part(Conversation(f"a{n}", "T"), numbered(3)) for n in range(room // 5)]
            long = [Part(Conversation("long"), numbered(room - 2))]
            large = [Part(Conversation("large"), [Message("user", "x" * 380_000)] * 10)]
            counted = []
            transact = store.client.transact

            async def count(steps: Any) -> Any:
                counted.append(len(steps))
                return await transact(steps)

            store.client.transact = count
            for parts in (whole, long, large):
                counted.clear()
                await store.append(parts, token="a" * 32)
                assert len(counted) == 1
                assert counted[0] <= room
            counted.clear()
            for parts in (
                [*whole, Part(Conversation("b"), numbered(1))],
                [Part(Conversation("b"), numbered(room - 1))],
                [Part(Conversation("b"), [Message("user", "x" * 390_000)] * 10)],
                [Part(Conversation(f"b{n}", "t" * 290_000), numbered(1)) for n in range(14)],
            ):
                with pytest.raises(Rejected) as caught:
                    await store.append(parts, token="b" * 32)
                assert len(caught.value.reasons) == len(parts)
            assert counted == []
            share = store.holds.call_bytes // 500
            assert room // 3 * share * 2 < BYTES  # what the caller keeps to always fits

    run(main())


def test_an_append_of_nothing_is_remembered_and_makes_nothing(url: str, table: str) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            await add(store, "c", numbered(1))
            parts = [Part(Conversation("none", "T"), []), Part(Conversation("c", "T"), [])]
            for _ in range(2):
                assert (await store.append(parts, token="a" * 32))[0] == START
            steps = {Step("none", "a" * 32), Step("c", "a" * 32)}
            assert await store.steps_done(steps) == steps
            assert await ids(store) == ["c"]
            assert await every_detail(store, ["none"]) == []
            await store.forget_steps(steps)
            assert {item["session_id"]["S"] for item in raw_items(url, table)} == {"c"}

    run(main())


# --- where it begins ---


def before_the_switch(store: Any, act: Callable[[], Any]) -> None:
    """Do this once, right before the transaction that has a token is sent."""
    call = store.client.call

    async def acting(operation: str, **arguments: Any) -> Any:
        if operation == "transact_write_items" and "ADD #steps" in str(arguments):
            store.client.call = call
            await act()
        return await call(operation, **arguments)

    store.client.call = acting


@pytest.mark.parametrize("verb", [cut, put_before, empty_before], ids=lambda verb: verb.__name__)
def test_a_first_message_that_somebody_else_removed_is_missed(
    url: str, table: str, verb: Any
) -> None:
    """Another program changes no version: the transaction looks for the message itself."""

    async def remove_first() -> None:
        with dynamodb_place.client(url) as boto:
            first = {"session_id": {"S": "c"}, "n": {"N": "1"}}
            assert boto.delete_item(TableName=table, Key=first, ReturnValues="ALL_OLD")["Attributes"]  # fmt: skip

    async def main() -> None:
        async with opened(url, table, create=True) as store:
            end = await old(store, "c")
            before_the_switch(store, remove_first)
            with pytest.raises(Changed):
                await verb(store, "c", end, "a" * 32)
            assert await said(store, "c") == [*OLD[1:], *LATER]

    run(main())


def test_what_is_appended_just_before_a_conversation_is_made_stops_that(url: str, table: str) -> None:  # fmt: skip
    plain_table(url, table)

    async def main() -> None:
        async with opened(url, table) as store:
            for count in (2, 0):
                name = f"c{count}"
                before_the_switch(store, partial(add, store, name, numbered(1)))
                new = once(named("new", count))
                with pytest.raises(Changed):
                    await store.replace(
                        Conversation(name), new, upto=START, begins=START, token="a" * 32
                    )
                assert await contents(store, name) == ["message 0"]

    run(main())


# --- attributes of somebody else's ---

THEIRS: Any = {
    "tenant": {"S": "x"}, "empty": {"S": ""}, "ttl": {"N": "1800000000"}, "half": {"N": "0.5"},
    "exact": {"N": "0.12345678901234567890123456789"}, "yes": {"BOOL": True},
    "none": {"NULL": True}, "bytes": {"B": b"\xff\x00"}, "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2.5"]}, "blobs": {"BS": [b"a", b"b"]},
    "list": {"L": [{"B": b"x"}, {"L": []}, {"M": {}}]},
    "map": {"M": {"$dynamodb": {"M": {"B": {"S": "x"}}}, "k": {"N": "1"}}},
    "version": {"S": "theirs"}, "listed": {"BOOL": True}, "steps": {"SS": ["theirs"]},
}  # fmt: skip


def deep(levels: int) -> Any:
    return {"S": "x"} if levels == 0 else {"L": [deep(levels - 1)]}


def test_attributes_of_somebody_else_come_back_by_every_way_of_writing(
    url: str, table: str
) -> None:
    plain_table(url, table)
    text = {"role": {"S": "user"}, "content": {"S": "x"}}
    put_raw(url, table, "c", "1", **text, **THEIRS)
    put_raw(url, table, "c", "2.5", **text, extra={"M": {"k": {"N": "1"}}}, deep=deep(31))

    def raw(conversation: str) -> Any:
        found = [i for i in raw_items(url, table) if i["session_id"]["S"] == conversation]
        found = [item for item in found if float(item["n"]["N"]) > HEAD / 2]
        for item in found:
            for name in ("session_id", "n", "call", "i"):
                item.pop(name, None)
        return found

    async def main() -> None:
        async with opened(url, table) as store:
            before, messages = raw("c"), await items(store, "c")
            assert messages[0].extra["dynamodb"].keys() == THEIRS.keys()
            assert [store.refusal(message) for message in messages] == [None, None]
            await store.delete("c")
            assert raw("c") == []
            await store.replace(Conversation("c"), once(messages), upto=START)
            await store.append([Part(Conversation("d"), messages)])
            assert raw("c") == raw("d") == before
            assert await items(store, "c") == await items(store, "d") == messages

    run(main())


ODD_CALLS: dict[str, Any] = {
    "none": {}, "number": {"call": {"N": "5"}, "i": {"N": "0"}}, "empty": {"call": {"S": ""}},
    "alone": {"call": {"S": "theirs"}}, "colon": {"call": {"S": "a:b"}, "i": {"N": "1"}},
    "list": {"call": {"L": []}, "i": {"S": "x"}}, "text": {"call": {"S": "x"}, "i": {"S": "x"}},
}  # fmt: skip


def test_a_call_that_is_none_of_ours_hinders_no_write(url: str, table: str) -> None:
    plain_table(url, table)
    for name, odd in ODD_CALLS.items():
        for number in "12":
            text = {"role": {"S": "user"}, "content": {"S": f"message {number}"}}
            put_raw(url, table, name, number, **text, **odd)

    async def main() -> None:
        async with opened(url, table) as store:
            for name in ODD_CALLS:
                [page] = [page async for page in store.read([name])]
                upto, end = page.position(0), page.position(1)
                theirs = (page.items[0].extra or {}).get("dynamodb", {})
                assert theirs.keys() == ODD_CALLS[name].keys()
                copy = Part(Conversation(f"{name} again"), page.items)
                await store.append([copy])
                assert await items(store, copy.conversation.id) == page.items
                part = Part(Conversation(name), numbered(1, 3), expect=end)
                await store.append([part])
                assert await contents(store, name) == ["message 1", "message 2", "message 3"]
                assert await store.delete(name, upto=upto, begins=upto)
                await store.replace(Conversation(name), once(numbered(1)), upto=end)
                assert await contents(store, name) == ["message 0", "message 3"]

    run(main())


def test_an_attribute_named_as_the_key_of_our_index_stays_in_extra(url: str, table: str) -> None:
    messages = [Message("user", "x", extra={"dynamodb": {"listed": "5", "ttl": 1}})]

    async def main() -> None:
        async with opened(url, table, create=True) as store:
            await store.append([Part(Conversation("c"), messages)])
            await store.replace(Conversation("d"), once(messages), upto=START)
            for name in "cd":
                assert await items(store, name) == messages
            assert sorted(await every_id(store)) == ["c", "d"]
        assert all(item.get("ttl", {"N": "1"}) == {"N": "1"} for item in raw_items(url, table))

    run(main())
