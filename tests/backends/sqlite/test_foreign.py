"""Tables of other frameworks in SQLite: the contract on LangChain's; records of several messages or
none; what is found in a file, and what must be named."""

import contextlib
import itertools
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synmem.backends.sqlite import foreign_sweep
from synmem.errors import Changed, Unsupported
from synmem.layouts import registry
from synmem.layouts.shapes import Record, Rows
from synmem.messages import Holds, Message, Unreadable, as_dict, ascii_json, from_dict
from synmem.store import Part, Store
from tests.backends.langchain import WritingLangChain
from tests.backends.sqlite.test_store import opened
from tests.conformance import (
    Opener,
    Reading,
    add,
    contents,
    details,
    items,
    numbered,
    run,
)


class TestLangChain(WritingLangChain):
    def stores(self, tmp_path: Any) -> Opener:
        return lambda: opened(tmp_path / "message_store.db", write=True, layout="langchain")


@pytest.mark.parametrize("remembered", [1, 2, 3, 7, 1000])
def test_many_are_read_as_they_are_now_also_where_no_index_finds_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    monkeypatch.setattr(foreign_sweep, "_ROWS", remembered)
    path = tmp_path / "message_store.db"
    sizes = {f"c{n}": n % 4 for n in range(12)}

    async def found(store: Store) -> dict[str, int]:
        counts = dict.fromkeys(sizes, 0)
        async for page in store.read([*sizes]):
            counts[page.conversation] += len(page.items)
        return counts

    async def main() -> None:
        async with (
            opened(path, write=True, layout="langchain") as one,
            opened(path, write=True, layout="langchain") as two,
        ):
            for round_ in range(3):  # a row of each conversation, then of the next
                for name, size in sizes.items():
                    if round_ < size:
                        await add(one, name, numbered(1, round_))
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute(
                    "INSERT INTO message_store (session_id) VALUES (CAST(x'6332ff' AS TEXT))"
                )
                db.commit()
            assert await found(one) == sizes
            for writer in (one, two):
                await add(writer, "c5", numbered(2))
                await writer.delete("c3")
                sizes.update(c5=sizes["c5"] + 2, c3=0)
                assert await found(one) == sizes

    run(main())


@pytest.mark.parametrize("at", range(1, 9))
def test_a_long_one_that_is_written_meanwhile_is_read_on_from_where_it_was(
    tmp_path: Path, at: int
) -> None:
    path = tmp_path / "message_store.db"

    async def main() -> None:
        async with (
            opened(path, write=True, layout="langchain") as one,
            opened(path, write=True, layout="langchain") as two,
        ):
            for name in "ab":
                await add(one, name, numbered(7))
            found: dict[str, list[str]] = {"a": [], "b": []}
            pages = 0
            async for page in one.read(["a", "b"]):
                found[page.conversation] += [said.content for said in page.items]
                pages += 1
                if pages == at:
                    await add(two, "b", numbered(1, 7))
            said = [f"message {n}" for n in range(8)]
            assert found["a"] == said[:7]
            assert found["b"] == said or (at == 8 and found["b"] == said[:7])

    run(main())


def test_of_a_long_one_whose_place_is_gone_a_reader_is_told(tmp_path: Path) -> None:
    path = tmp_path / "message_store.db"

    async def main() -> None:
        async with (
            opened(path, write=True, layout="langchain") as one,
            opened(path, write=True, layout="langchain") as two,
        ):
            for name in "ab":
                await add(one, name, numbered(7))
            await add(two, "c", numbered(1))
            pages = one.read(["a", "b"])
            await anext(pages)
            await two.delete("a")
            with pytest.raises(Changed):
                await anext(pages)

    run(main())


# --- records of several messages, or of none ------------------------------------------------


def _unfold(record: Record) -> list[Message]:
    (text,) = record
    return [from_dict(each, origin="turns") for each in json.loads(text)]


TURNS = Rows(
    table="turns",
    columns=frozenset({"talk", "day", "said", "archived"}),
    without=frozenset({"turns_v2"}),
    conversation="talk",
    order=("day", "rowid"),
    record=("said",),
    live="archived = 0",
    single=False,
    unfold=_unfold,
    holds=Holds(conversation_fields=frozenset(), own=False, lasting_positions=False),
)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout that is one file, and one line of the registry."""
    monkeypatch.setitem(registry.LAYOUTS, "turns", ("sqlite",))
    module = SimpleNamespace(SHAPES={"sqlite": (TURNS,)})
    monkeypatch.setitem(sys.modules, "synmem.layouts.foreign.turns", module)


def fill(path: Path, talks: dict[str, Sequence[Sequence[Message]]]) -> None:
    """A file with these records; behind each stands an archived one."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE turns (talk TEXT, day TEXT, said TEXT, archived INTEGER)")
        for name, records in talks.items():
            for n, record in enumerate(records):
                said = ascii_json([*map(as_dict, record)])
                day = None if n < 2 else f"day {n // 3:05}"  # NULL comes first, and days repeat
                db.execute("INSERT INTO turns VALUES (?, ?, ?, 0)", (name, day, said))
                db.execute("INSERT INTO turns VALUES (?, ?, '[5]', 1)", (name, day))
        db.commit()


def in_records(messages: Sequence[Message]) -> list[Sequence[Message]]:
    """Messages as records of none to three of them."""
    left, sizes = [*messages], itertools.cycle((0, 1, 3, 0, 0, 0, 2))
    records: list[Sequence[Message]] = []
    while left:
        size = next(sizes)
        records.append(left[:size])
        left = left[size:]
    return [*records, [], [], []]


@pytest.mark.usefixtures("turns")
class TestSeveralMessagesARecord(Reading):
    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        path = tmp_path / "turns.db"
        fill(
            path, {p.conversation.id: in_records(p.messages) for p in parts} | {"nothing": [[], []]}
        )
        async with opened(path) as store:
            yield store

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()


def test_our_own_tables_are_opened_without_a_look_at_other_layouts(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"

    async def main() -> None:
        async with opened(path, write=True) as store:
            await add(store, "a", numbered(1))

    run(main())
    code = (
        "import asyncio, sys; from synmem.backends import open_store\n"
        "async def main():\n"
        f"    async with open_store('sqlite', {{'db_path': {str(path)!r}}}) as store:\n"
        "        async for page in store.read(['a']): pass\n"
        "asyncio.run(main())\n"
        "print(*[m for m in sys.modules if 'foreign' in m or 'registry' in m or 'shapes' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.usefixtures("turns")
def test_a_layout_that_is_not_written_says_so(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    fill(path, {"a": [numbered(2)]})

    async def main() -> None:
        async with opened(path, layout="turns", write=True) as store:
            assert "turns" in store.refusal(Message("user", "x"))
            with pytest.raises(Unsupported, match="only be read"):
                await add(store, "a", numbered(1))
            with pytest.raises(Unsupported):
                await store.delete("a")
            assert await contents(store, "a") == ["message 0", "message 1"]

    run(main())


@pytest.mark.usefixtures("turns")
def test_a_table_that_must_not_stand_beside_it_makes_it_another_layout(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    fill(path, {"a": [numbered(1)]})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE turns_v2 (x)")

    async def main() -> None:
        async with opened(path):
            pass

    with pytest.raises(Exception, match="turns_v2"):
        run(main())


@pytest.mark.usefixtures("turns")
def test_a_record_that_cannot_be_read_stands_in_its_place_between_pages(tmp_path: Path) -> None:
    path = tmp_path / "turns.db"
    fill(path, {"a": [numbered(1, n) for n in range(5)]})
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE turns SET said = 'oops' WHERE said LIKE '%message 2%'")
        db.commit()

    async def main() -> None:
        async with opened(path) as store:
            for reverse in (False, True):
                found = await items(store, "a", reverse=reverse)
                assert [type(each) for each in found] == [
                    Message,
                    Message,
                    Unreadable,
                    Message,
                    Message,
                ]
                assert found[2].text == "oops"
            assert (await details(store))["a"].messages == 5

    run(main())
