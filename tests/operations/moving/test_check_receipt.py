"""What a receipt proves later."""

import asyncio
import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import CorruptData, Unsupported, UsageError
from synmem.messages import Conversation, Holds, Unreadable
from synmem.operations.moving.check_receipt import check_receipt, parse_receipt
from synmem.operations.moving.compare import State
from synmem.store import Part
from tests.operations.moving.test_transfer import Poor, fill, messages, run


def encoded(receipt: dict[str, Any]) -> bytes:
    return json.dumps(receipt).encode()


async def receipt_of(source: Any, dest: Any, **options: Any) -> dict[str, Any]:
    return (await run(source, dest, exact=True, **options)).receipt


async def found(receipt: dict[str, Any], store: Any, **options: Any) -> dict[str, Any]:
    checks = check_receipt(parse_receipt(encoded(receipt), "r.json"), store, **options)
    return {c.conversation: (c.state, c.detail) async for page in checks for c in page}


SAID = {"same": "abc", "gone": "a", "less": "abcd", "more": "ab", "other": "ab", "broken": "abcde"}


def test_every_state_is_told() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=2), InMemoryStore(page_size=2)
        for name, said in SAID.items():
            await fill(source, name, *said, title="T")
        receipt = await receipt_of(source, dest)
        assert set((await found(receipt, dest)).values()) == {(State.EQUAL, "")}
        await dest.delete("gone")
        await dest.append([Part(Conversation("more"), messages("c"))])
        dest._held["less"].messages.pop()
        dest._held["other"].messages[0] = messages("x")[0]
        dest._held["broken"].messages[3] = Unreadable("7", "not JSON")
        await fill(dest, "not in it", "x")
        assert await found(receipt, dest) == {
            "same": (State.EQUAL, ""),
            "gone": (State.ABSENT, ""),
            "less": (State.BEHIND, "3 of 4 messages"),
            "more": (State.AHEAD, "from message 3 on"),
            "other": (State.DIFFERENT, "its first 2 messages have another digest"),
            "broken": (State.UNREADABLE, "message 4: not JSON"),
        }
        assert set(await found(receipt, dest, match="[gs]*")) == {"same", "gone"}

    asyncio.run(main())


@pytest.mark.parametrize("again", [False, True])
def test_a_title_that_was_lost_or_changed_is_a_difference(again: bool) -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "a", "1", title="T", extra={"k": 1})
        receipt = await receipt_of(source, dest)
        if again:
            receipt = await receipt_of(source, dest)
        dest._held["a"].title = None
        assert await found(receipt, dest) == {"a": (State.DIFFERENT, "title")}
        await dest.append([Part(Conversation("a", "T", {"k": 1.0}), [])])
        assert await found(receipt, dest) == {"a": (State.DIFFERENT, "extra")}
        await dest.append([Part(Conversation("a", None, {"k": 1}), [])])
        assert await found(receipt, dest) == {"a": (State.EQUAL, "")}

    asyncio.run(main())


class Uncounted(InMemoryStore):
    """Cannot tell cheaply how many messages there are."""

    def _info(self, conversation: str, details: bool) -> Any:
        return super()._info(conversation, False)


@pytest.mark.parametrize("kind", [InMemoryStore, Uncounted])
def test_an_extended_conversation_is_proven_where_its_part_stands(kind: Any) -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), kind()
        await fill(source, "a", *"cdefgh")
        await fill(dest, "a", *"abcdef")
        receipt = await receipt_of(source, dest, on_conflict="extend")
        assert receipt["conversations"][0]["at"] == (2 if kind is InMemoryStore else "end")
        assert await found(receipt, dest) == {"a": (State.EQUAL, "")}
        dest._held["a"].messages[1] = messages("x")[0]
        assert await found(receipt, dest) == {"a": (State.EQUAL, "")}
        dest._held["a"].messages[2] = messages("x")[0]
        assert (await found(receipt, dest))["a"][0] is State.DIFFERENT

    asyncio.run(main())


def test_what_was_not_brought_over_is_not_asked_for() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "a", "1")
        await fill(dest, "a", "x")
        receipt = await receipt_of(source, dest)
        assert parse_receipt(encoded(receipt), "r.json").proven == 0
        assert await found(receipt, dest) == {}

    asyncio.run(main())


class Coarse(InMemoryStore):
    holds = Holds(time_us=1000)


def test_a_store_that_lacks_a_field_cannot_be_compared() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "a", "1")
        receipt = await receipt_of(source, dest)
        for poor, lacks in ((Poor(), "created_at, tool_calls"), (Coarse(), "below 1000 us")):
            with pytest.raises(Unsupported, match=lacks):
                await found(receipt, poor)
        poor = Poor()
        receipt = await receipt_of(source, poor)
        assert await found(receipt, poor) == await found(receipt, dest) == {"a": (State.EQUAL, "")}

    asyncio.run(main())


async def _receipt() -> dict[str, Any]:
    source = InMemoryStore()
    for name in ("é", "b", "\U0001f600", "\uffff"):
        await fill(source, name, "1", "2")
    return await receipt_of(source, InMemoryStore())


def test_an_altered_receipt_is_named() -> None:
    receipt = asyncio.run(_receipt())
    lines = receipt["conversations"]
    parse_receipt(encoded({**receipt, "conversations": lines[::-1]}), "r.json")  # no alteration
    parse_receipt(json.dumps(receipt, indent=2).encode(), "r.json")
    for change in (
        {"conversations": lines[1:]},
        {"conversations": [{**lines[0], "digest": lines[0]["digest"][:-1] + "x"}, *lines[1:]]},
        {"conversations": [{**lines[0], "conversation_id": "c"}, *lines[1:]]},
        {"conversations": [{**lines[0], "digest": None}, *lines[1:]]},
        {"conversations": [{**lines[0], "messages": "2"}, *lines[1:]]},
        {"conversations": [[], *lines[1:]]},
        {"root": "sha256:00"},
        {"counts": {"conversations": 5}},
        {"scheme": 2},
        {"receipt": 1},
        {"receipt": 3},
        {"fields": ["role", "mood"]},
        {"time_us": "1"},
    ):
        with pytest.raises(CorruptData, match=r"r\.json.*altered"):
            parse_receipt(encoded({**receipt, **change}), "r.json")


def test_a_receipt_that_was_cut_anywhere_is_named() -> None:
    data = encoded(asyncio.run(_receipt()))
    for end in range(15, len(data)):
        with pytest.raises(CorruptData, match="cut short or altered"):
            parse_receipt(data[:end], "r.json")


@pytest.mark.parametrize("data", [b"", b"hello", b"[]", b'{"a":1}', b"\xff\xfe", b'{"conversation_id":"a"}\n'])  # fmt: skip
def test_what_is_no_receipt_is_a_usage_error(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"r\.json is not a receipt"):
        parse_receipt(data, "r.json")


def test_a_dry_run_proves_nothing() -> None:
    async def main() -> None:
        source = InMemoryStore()
        await fill(source, "a", "1")
        receipt = await receipt_of(source, InMemoryStore(), dry_run=True)
        with pytest.raises(UsageError, match="dry run"):
            parse_receipt(encoded(receipt), "r.json")

    asyncio.run(main())


# --- all that it says -----------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a JSON value, objects and lists included."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))


def altered(receipt: dict[str, Any], path: tuple[Any, ...], chance: random.Random) -> Any:
    """The receipt with one thing changed, left out or added."""
    found: Any = copy.deepcopy(receipt)
    *way, last = path
    holder = found
    for key in way:
        holder = holder[key]
    value = holder[last]
    how = chance.choice(["change", "change", "leave out", "add"])
    if how == "leave out":
        del holder[last]
    elif how == "add" and isinstance(value, dict):
        value["more"] = chance.choice([None, 1, "x"])
    elif how == "add" and isinstance(value, list):
        value.append(copy.deepcopy(value[-1]) if value else "more")
    elif isinstance(value, bool):
        holder[last] = not value
    elif isinstance(value, int):
        holder[last] = chance.choice([value + 1, value - 1, float(value), str(value), None])
    elif isinstance(value, str):
        holder[last] = chance.choice([value + "x", value[:-1] or "x", value.upper() + ".", None])
    elif isinstance(value, dict):
        value["more"] = 1
    else:
        holder[last] = [*value, "more"] if value else ["more"]
    return found


async def receipts() -> list[dict[str, Any]]:
    """Some that say all that a receipt can say."""
    source, dest = InMemoryStore(page_size=2), Poor()
    await fill(source, "équal", "1", "2", title="T")
    await fill(source, "other", "1", "2")
    await fill(source, "tail", *"cdefgh")
    await fill(source, "behind", *"abcd")
    await fill(dest, "other", "z")
    await fill(dest, "tail", *"abcdef")
    await fill(dest, "behind", "a")
    source._held["behind"].messages[3] = Unreadable("9", "not JSON")
    return [
        await receipt_of(source, InMemoryStore()),
        await receipt_of(source, dest),
        await receipt_of(source, dest, on_conflict="extend"),
        await receipt_of(source, dest, on_conflict="rename"),
    ]


def mutations(cases: int, seed: int) -> None:
    """Each thing that a receipt says, changed in some way: found, or the same JSON."""
    chance = random.Random(seed)
    told: set[str] = set()
    for receipt in asyncio.run(receipts()):
        parse_receipt(encoded(receipt), "r.json")
        paths = list(leaves(receipt))
        told |= {str(path[-1]) for path in paths}
        for path in paths:
            for _ in range(cases):
                data = altered(receipt, path, chance)
                try:
                    parse_receipt(encoded(data), "r.json")
                except (CorruptData, UsageError):
                    continue
                raise AssertionError((seed, path, data))
    assert told >= {
        "source", "destination", "action", "not_compared", "fields", "problem", "kind", "counts",
        "own", "at", "source_id", "messages", "digest", "content", "scheme", "time_us",
    }  # fmt: skip


def test_whatever_is_altered_in_a_receipt_is_found() -> None:
    mutations(2, 17)


@pytest.mark.real
def test_whatever_is_altered_in_a_receipt_is_found_ten_times() -> None:
    for seed in range(10):
        mutations(2, seed)


@pytest.mark.parametrize(
    ("there", "twice"),
    [
        (b'"source":', b'"source":"elsewhere","source":'),
        (b'"counts": {', b'"counts": {"copied": 9, '),
        (b'"action":', b'"action":"equal","action":'),
        (b'"conversations": [', b'"conversations": [], "conversations": ['),
    ],
)
def test_what_a_receipt_says_twice_is_altered(there: bytes, twice: bytes) -> None:
    data = encoded(asyncio.run(_receipt()))
    parse_receipt(data, "r.json")
    for again in (data.replace(there, twice, 1), data.replace(there, twice + b" ", 1)):
        assert again != data
        with pytest.raises(CorruptData, match=r"r\.json.*altered.*twice"):
            parse_receipt(again, "r.json")


def test_a_receipt_of_no_conversations_is_as_it_was_written() -> None:
    receipt = asyncio.run(receipt_of(InMemoryStore(), InMemoryStore()))
    assert receipt["conversations"] == receipt["not_compared"] == []
    assert not parse_receipt(encoded(receipt), "r.json").conversations


def test_a_receipt_of_the_older_scheme_is_checked_as_it_was() -> None:
    receipt = asyncio.run(_receipt())
    lines = sorted(receipt["conversations"], key=lambda each: each["conversation_id"].encode())
    old = {**receipt, "receipt": 1, "root": receipt["content"]}
    del old["content"]
    parsed = parse_receipt(encoded(old), "r.json")
    assert parsed.is_older
    assert parsed.about["version"] == 1
    assert not parse_receipt(encoded(receipt), "r.json").is_older
    for change in (
        {"conversations": lines[1:]},
        {"conversations": [{**lines[0], "digest": "sha256:00"}, *lines[1:]]},
        {"receipt": 2},
    ):
        with pytest.raises(CorruptData, match="altered"):
            parse_receipt(encoded({**old, **change}), "r.json")
    parse_receipt(encoded({**old, "source": "elsewhere"}), "r.json")  # it covers no more
