"""Lines made inside SQLite: byte for byte those that the writer makes of the messages."""

import asyncio
import contextlib
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.lines import one_ahead
from synmem.backends.sqlite.store import open as open_sqlite
from synmem.formats import open_writer
from synmem.formats.jsonl import Writer
from synmem.messages import Conversation, Message
from synmem.operations.export import Export
from synmem.store import Lines, Part, Store, SupportsLines
from tests.conformance import AT, FULL, IDS, METADATA, TEXTS, numbered

KEY = {
    "synapsekit": "id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT NOT NULL, "
    "role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT",
}


@contextlib.asynccontextmanager
async def opened(path: Path, page_size: int = 1000, **more: Any) -> AsyncIterator[Any]:
    store = await open_sqlite({"db_path": str(path), **more}, write=True, page_size=page_size)
    try:
        yield store
    finally:
        await store.close()


class Plain:
    """A store of which nothing but its own six methods are known."""

    def __init__(self, store: Store) -> None:
        self.name, self.holds = store.name, store.holds
        self.read, self.conversations = store.read, store.conversations


async def exported(store: Any, *, seal: bool = False) -> tuple[bytes, Any]:
    export = Export(store, open_writer("jsonl", seal=seal))
    data = b"".join([piece async for piece in export.pieces()])
    told = export.conversations, export.messages, export.unreadable, export.left_out
    return data, told


async def both_ways(store: Any) -> bytes:
    """What is exported, which is the same with and without lines made in SQLite."""
    for seal in (True, False):
        fast, slow = await exported(store, seal=seal), await exported(Plain(store), seal=seal)
        assert fast == slow
    return fast[0]


async def kinds(store: Any) -> list[str | None]:
    """Of everything in the store: the conversations of lines, or None for a page."""
    ids = [info.id async for page in store.conversations() for info in page]
    return [
        " ".join(each.conversations) if isinstance(each, Lines) else None
        async for each in store.lines(ids)
    ]


@pytest.fixture(params=["synmem", "synapsekit"])
def layout(request: Any) -> str:
    return str(request.param)


@pytest.mark.parametrize("page_size", [2, 7, 1000])
def test_hostile_messages_come_out_the_same(tmp_path: Path, layout: str, page_size: int) -> None:
    texts = [text for name, text in TEXTS.items() if name != "a megabyte"]
    messages = [Message("user", text) for text in [*texts, "null", "a null é", "\x01[]\x01\x02"]]
    messages += [Message(text, "x") for text in texts]
    messages += [Message("user", "é", metadata) for metadata in METADATA]
    messages += [FULL, Message("user", "x", None, AT), Message("user", "x", {"a": None}, AT)]
    messages += [
        Message("user", "x", None, AT.replace(microsecond=0)),
        Message("tool", "", name=""),
    ]

    async def main() -> None:
        async with opened(tmp_path / "s.db", page_size, layout=layout) as store:
            makes_lines: Any = isinstance(store, SupportsLines)
            assert makes_lines
            alone = [Part(Conversation(f"{n}"), [m]) for n, m in enumerate(messages)]
            own: Any = {"title": "null é", "extra": {"k": [1.0]}} if layout == "synmem" else {}
            titled = [Part(Conversation(i, **own), numbered(3)) for i in IDS if i != "0"]
            await store.append([*alone, *titled, Part(Conversation("all"), messages)])
            await store.append([Part(Conversation(f"{n}"), [m]) for n, m in enumerate(messages)])
            data = await both_ways(store)
            assert data.count(b"\n") >= 3 * len(messages) + 3 * len(titled)
            made = await kinds(store)
            assert "plain" in made or any(each and " plain " in each for each in made)
            assert None in made

    asyncio.run(main())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text() | st.just("synmem"), JSON, max_size=3)
MESSAGES = st.builds(
    Message, st.sampled_from(["user", "é\n", ""]), st.text(), OBJECTS | st.none(),
    st.none() | st.just(AT) | st.just(AT.replace(microsecond=0)),
    st.none() | st.just([{"id": "1", "name": "é", "arguments": {"a": 1.5}}]),
    name=st.none() | st.text(),
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), MESSAGES), max_size=12), st.booleans())
def test_any_messages_come_out_the_same(
    tmp_path_factory: Any, layout: str, said: list[tuple[str, Message]], at_once: bool
) -> None:
    async def main() -> None:
        path = tmp_path_factory.mktemp("any") / "s.db"
        async with opened(path, 3, layout=layout) as store:
            for name, message in sorted(said, key=lambda pair: pair[0]) if at_once else said:
                if store.refusal(message) is None:
                    await store.append([Part(Conversation(name), [message])])
            await both_ways(store)

    asyncio.run(main())


def raw(path: Path, rows: Sequence[tuple[Any, ...]], columns: str = KEY["synapsekit"]) -> Path:
    """A file of these rows: conversation_id, role, content, metadata."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(f"CREATE TABLE messages ({columns})")
        db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        names = "conversation_id, role, content, metadata"
        for row in rows:
            marks = ["CAST(? AS TEXT)" if isinstance(v, bytes) else "?" for v in row]
            db.execute(f"INSERT INTO messages ({names}) VALUES ({', '.join(marks)})", row)
    return path


HOSTILE: list[Any] = [
    "", "{}", "null", "[]", "1", "{broken", '{"a": 1e400}', '{"a": NaN}', '{"a":1}\x01{"b":2}',
    '{"a": 1, "a": 2}', '{"a":\n1}', '{"a": [1\n', ',2]}', '{}\n{}', '{"b": 1.50, "c": 1E5}',
    '{"\\u0073ynmem": {"v": 1, "role": "x"}}', '{"synmem": {"v": 1, "content": "some content"}}',
    '{"synmem": {"v": 1, "created_at": "2026-11-21T06:00:00Z"}}', "{a: 1}", '{"a": 0x10}',
    '{"a": "\x01\\u0001\x02"}', b"\xff", b'{"a": "\xed\xa0\x80"}', "{} ", '{"a": "\\ud83d"}',
    "[" * 2000, '{"a":' * 500 + "1" + "}" * 500, 5, 1.5, '{"a": 123456789012345678901234567890}',
]  # fmt: skip

PLOTS = [("plot", ['{"a": [2', "]}", '{"c": 1} {"d": 2}']), ("plot,", ['{"a": [3', "]}", "{},{}"])]
"""Not JSON one by one, but together as many values as rows."""


@pytest.mark.parametrize("page_size", [2, 1000])
def test_rows_that_another_program_wrote_come_out_the_same(tmp_path: Path, page_size: int) -> None:
    rows: list[Any] = [("all", "user", "x", each) for each in HOSTILE]
    rows += [(f"{n}", "user", "x", each) for n, each in enumerate(HOSTILE)]
    rows += [("bad", b"\xff", "x", None), ("bad", "user", b"\xed\xa0\x80", None)]
    rows += [("good", "user", "x", '{"a": 1}')] * 7
    rows += [(name, "user", "x", each) for name, texts in PLOTS for each in texts]

    async def main() -> None:
        async with opened(raw(tmp_path / "s.db", rows), page_size) as store:
            await both_ways(store)

    asyncio.run(main())


@pytest.mark.parametrize(
    "columns",
    [
        KEY["synapsekit"].replace("content TEXT NOT NULL", "content"),
        KEY["synapsekit"].replace("role TEXT NOT NULL", "role TEXT"),
        KEY["synapsekit"].replace("conversation_id TEXT", "conversation_id TEXT COLLATE NOCASE"),
        KEY["synapsekit"].replace(" AUTOINCREMENT", ""),
        KEY["synapsekit"],
    ],
)
def test_lines_are_made_only_of_tables_in_which_nothing_but_text_lies(
    tmp_path: Path, columns: str
) -> None:
    async def main() -> None:
        rows = [("a", "user", 5, None), ("A", "user", "x", None), ("b", "user", "x", None)]
        path = raw(tmp_path / "s.db", rows, columns)
        async with opened(path) as store:
            made = await kinds(store)
            assert made == ["A", "a", "b"] if columns == KEY["synapsekit"] else {*made} == {None}

    asyncio.run(main())


def test_a_blob_keeps_its_neighbours_from_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "s.db") as store:
            await store.append([Part(Conversation(i), numbered(3)) for i in "abc"])
            with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as db, db:
                db.execute("UPDATE messages SET content = x'00' WHERE id = 2")
            _, (conversations, messages, unreadable, left_out) = await exported(store)
            assert (conversations, messages, left_out) == (3, 8, 1)
            assert (unreadable[0].conversation_id, unreadable[0].position) == ("a", 2)
            await both_ways(store)

    asyncio.run(main())


def test_what_lies_together_is_read_in_one_sweep_and_what_does_not_by_its_ids(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with opened(tmp_path / "s.db") as store:
            together = [Part(Conversation(f"a{n:03}"), numbered(10)) for n in range(100)]
            await store.append(together)
            await store.append([Part(Conversation("a050"), numbered(1))])
            await store.append([Part(Conversation(f"b{n}", title="T"), numbered(9)) for n in "12"])
            made = await kinds(store)
            assert [len((each or "").split()) for each in made] == [50, 1, 49, 1, 1]
            await both_ways(store)

    asyncio.run(main())


def test_a_conversation_that_goes_or_grows_meanwhile_is_as_it_is_then(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "s.db", 2) as store, opened(tmp_path / "s.db") as other:
            await store.append([Part(Conversation(f"c{n}"), numbered(2)) for n in range(9)])
            found: dict[str, int] = {}
            async for each in store.lines([f"c{n}" for n in range(9)]):
                ids = each.conversations if isinstance(each, Lines) else [each.conversation]
                for name in ids:
                    found[name] = found.get(name, 0) + 1
                if "c0" in ids:
                    await other.append([Part(Conversation("c7"), numbered(2))])
                    await other.delete("c8")
            assert sorted(found)[:8] == [f"c{n}" for n in range(8)]
            assert "c8" not in found

    asyncio.run(main())


def test_stopping_early_leaves_nothing_running(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "s.db", 2) as store:
            await store.append([Part(Conversation(f"c{n}"), numbered(2)) for n in range(9)])
            lines = store.lines([f"c{n}" for n in range(9)])
            async for _ in lines:
                break
            await lines.aclose()
            assert len(asyncio.all_tasks()) == 1
            assert len(await kinds(store)) > 1

    asyncio.run(main())


def test_the_next_query_is_with_sqlite_while_one_is_looked_at(tmp_path: Path) -> None:
    begun = {n: threading.Event() for n in (1, 2, 3)}

    async def main() -> None:
        file = File(tmp_path / "s.db")
        await file.connect(write=True)
        await file.define("begun", lambda n: begun[n].set())

        async def work(item: int) -> list[Any]:
            return await file.look("SELECT ?, begun(?)", [item, item])

        async for item, result in one_ahead(file, work, [1, 2, 3]):
            assert result == [(item, None)]
            if item < 3:
                assert begun[item + 1].wait(60)  # the event loop stands still
        await file.close()

    asyncio.run(main())


def test_only_what_lies_beside_is_described(tmp_path: Path, layout: str) -> None:
    async def main() -> None:
        async with opened(tmp_path / "s.db", layout=layout) as store:
            titled = [Conversation(f"t{n}", title="T") for n in range(600)]
            extra = Conversation("e", extra={"k": 1})
            described = [*titled, extra] if layout == "synmem" else []
            bare = [Conversation(c.id) for c in [*titled, extra] if not described]
            noted = Conversation("noted")
            parts = [*described, *bare, noted]
            await store.append([Part(c, numbered(1)) for c in parts])
            if layout == "synmem":
                await store.set_note("noted", "summary", {"k": 1})
            asked = [*(c.id for c in parts), "absent", "\ud800"]
            assert sorted(await store.described(asked)) == sorted(c.id for c in described)
            await both_ways(store)

    asyncio.run(main())


def test_the_writer_counts_lines_that_were_made_already() -> None:
    line = b'{"conversation_id":"a","role":"user","content":"x"}\n'
    ready, made = Writer(seal=True), Writer(seal=True)
    both = []
    for writer in (ready, made):
        data = writer.begin() + writer.conversation(Conversation("a", "T"))
        if writer is ready:
            data += writer.lines(0, 1, line) + writer.lines(1, 1, line.replace(b'"a"', b'"b"'))
        else:
            data += writer.messages([Message("user", "x")]) + writer.conversation(Conversation("b"))
            data += writer.messages([Message("user", "x")])
        both.append(data + writer.end())
    assert both[0] == both[1]
    assert json.loads(both[0].splitlines()[-1])["synmem"]["messages"] == 2
