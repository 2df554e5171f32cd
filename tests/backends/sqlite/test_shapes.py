"""Tables `messages` that are not as we or SynapseKit make them: what they hold comes back."""

import asyncio
import contextlib
import hashlib
import multiprocessing
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.sqlite.store import open as open_sqlite
from synmem.errors import Changed, Rejected, StoreError, StoreUnavailable, Unsupported
from synmem.messages import Conversation, Message, Unreadable, canonical
from synmem.store import START, Part, Step, SupportsSteps, SupportsTrial, once
from tests.backends.sqlite.test_copying import Counting, moved
from tests.backends.sqlite.test_lines import both_ways, kinds
from tests.conformance import FULL, add, begin, contents, details, ids, items, numbered

COLUMNS = {
    "synapsekit": "conversation_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, "
    "metadata TEXT",
    "synmem": "conversation_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, "
    "metadata TEXT, created_at TEXT, tool_calls TEXT, tool_call_id TEXT, name TEXT, parts TEXT, "
    "extra TEXT",
}
META = (
    "CREATE TABLE messages_meta (conversation_id TEXT NOT NULL, name TEXT NOT NULL,"
    " value TEXT NOT NULL, PRIMARY KEY (conversation_id, name)) WITHOUT ROWID"
)
NUMBERED = "id INTEGER PRIMARY KEY AUTOINCREMENT"
BARE_ID = "id INTEGER PRIMARY KEY"


@contextlib.asynccontextmanager
async def opened(path: Path, page_size: int = 2, **more: Any) -> AsyncIterator[Any]:
    write = more.pop("write", True)
    store = await open_sqlite({"db_path": str(path), **more}, write=write, page_size=page_size)
    try:
        yield store
    finally:
        await store.close()


def make(
    path: Path, layout: str, *more: str, key: str = NUMBERED, tail: str = "", index: bool = True
) -> Path:
    """A file with a table `messages` of its own kind; statements behind its columns, after it."""
    columns = [each for each in more if not each.startswith("CREATE")]
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        parts = [key, COLUMNS[layout], *columns]
        db.execute(f"CREATE TABLE messages ({', '.join(each for each in parts if each)}) {tail}")
        if index:
            db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        if layout == "synmem":
            db.execute(META)
        for statement in more:
            if statement.startswith("CREATE"):
                db.execute(statement)
    return path


def put(path: Path, conversation: str, content: str, **columns: Any) -> None:
    names = ["conversation_id", "role", "content", *columns]
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            f"INSERT INTO messages ({quoted}) VALUES ({', '.join('?' * len(names))})",
            [conversation, "user", content, *columns.values()],
        )


def raw(path: Path, *, of: str = "messages") -> list[Any]:
    """All rows without their ids, with the kind of each value."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        cursor = db.execute(f"SELECT * FROM {of} ORDER BY 1")
        kept = [i for i, column in enumerate(cursor.description) if column[0] != "id"]
        return [[(type(row[i]), row[i]) for i in kept] for row in cursor]


def dump(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [*db.iterdump()]


@pytest.fixture(params=["synmem", "synapsekit"])
def layout(request: Any) -> str:
    return str(request.param)


VALUES: list[Any] = [
    "x", "", "5", " 7.5e1 ", "a\x00b", "é👋", 0, 5, -(2**63), 2**63 - 1, 1.5, 5.0, -0.0, 1e300,
    float("inf"), b"", b"\xff\x00", None, "nan", "0x10", "12345678901234567890", ".5", "5.", "5e",
    2.0**62, 2.0**63,
]  # fmt: skip
TYPES = ["TEXT", "INTEGER", "REAL", "", "BLOB", "NUMERIC", "DATETIME", "VARCHAR(9)", "ANY"]
NAMES = [
    "tenant", "with `tick`", 'with "quotes"', "it's", "order", "rowid", "number", "kind", "c0", "é",
    "source", "a, b", "[x]", "Tenant 2", "oid", "{}", "%s", "?",
]  # fmt: skip


# --- columns of somebody's own ----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_any_name_is_read_and_comes_back(
    tmp_path: Path, layout: str, name: str
) -> None:
    column = "`" + name.replace("`", "``") + "` TEXT"
    path = make(tmp_path / "s.db", layout, column, "two")
    for n in range(5):
        put(path, "c", f"{n}", **({name: f"v{n}"} if n % 2 else {}), two=b"\x00\xff" if n else None)
    before = raw(path)
    blob = {"two": {"base64": "AP8="}}

    async def main() -> None:
        async with opened(path) as store:
            found = await items(store, "c")
            assert [each.extra for each in found] == [
                None, {layout: {name: "v1", **blob}}, {layout: blob},
                {layout: {name: "v3", **blob}}, {layout: blob},
            ]  # fmt: skip
            assert await items(store, "c", reverse=True) == found[::-1]
            assert await items(store, "c", limit=2) == found[:2]
            assert (await details(store))["c"].messages == 5
            for put_back in (store.append, None):
                assert await store.delete("c", begins=await begin(store, "c"))
                if put_back is not None:
                    await put_back([Part(Conversation("c"), found, START)])
                else:
                    await store.replace(Conversation("c"), once(found), upto=START)
                assert await items(store, "c") == found
                assert raw(path) == before

    asyncio.run(main())


@pytest.mark.parametrize("declared", TYPES)
@pytest.mark.parametrize("strict", [False, True])
def test_values_of_every_kind_come_back_to_their_column(
    tmp_path: Path, layout: str, declared: str, strict: bool
) -> None:
    if strict and (declared not in ("TEXT", "INTEGER", "REAL", "BLOB", "ANY")):
        pytest.skip("STRICT tables have no such type")
    path = make(tmp_path / "s.db", layout, f"own {declared}", tail="STRICT" if strict else "")
    for value in VALUES:
        with contextlib.suppress(sqlite3.IntegrityError):
            put(path, "c", "x", own=value)
    before = raw(path)

    async def main() -> None:
        async with opened(path) as store:
            found = await items(store, "c")
            assert len(found) == len(before)
            assert all(isinstance(each, Message) for each in found)
            await store.delete("c")
            await store.append([Part(Conversation("c"), found)])
            assert raw(path) == before
            assert await store.refuses_back(["c"]) == {}

    asyncio.run(main())


@pytest.mark.parametrize("declared", TYPES)
def test_a_column_alters_nothing_that_it_is_given(
    tmp_path: Path, layout: str, declared: str
) -> None:
    """What it would not give back as it is stays in extra."""
    path = make(tmp_path / "s.db", layout, f"own {declared}", "other DEFAULT 'd'")
    values: list[Any] = [
        *(each for each in VALUES if not isinstance(each, bytes | None)), True, False, 2**63, 2**70,
        [1], {}, {"a": 1}, {"base64": "AP8="}, {"base64": "AP8"}, {"base64": 5}, "\ud800",
        {"base64": "AP8=", "more": 1}, float("nan"),
    ]  # fmt: skip
    messages = [
        Message("user", "x", extra={layout: {"own": v, "other": w}, "else": 1})
        for v in values
        for w in (None, v)
    ]
    no_object: list[Any] = [5, [], "own"]
    messages += [Message("user", "x", extra={layout: each}) for each in no_object]

    async def main() -> None:
        async with opened(path) as store:
            await add(store, "a", [m for m in messages if isinstance(m.extra[layout], dict)])  # type: ignore[index]
            await store.replace(Conversation("b"), once(messages[:-3]), upto=START)
            for name in "ab":
                there = [canonical(message) for message in await items(store, name)]
                assert there == [canonical(message) for message in messages[:-3]]
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("ALTER TABLE messages DROP COLUMN other")
        async with opened(path) as store:
            await add(store, "c", messages[-3:])
            assert await items(store, "c") == messages[-3:]

    asyncio.run(main())


def test_other_keys_of_the_layout_stay_beside_the_columns(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "tenant TEXT")
    message = Message("user", "é", {"k": 1}, extra={layout: {"tenant": "x", "org": 5}, "more": [1]})

    async def main() -> None:
        async with opened(path) as store:
            await add(store, "c", [message, FULL, Message("user", "\ud800", extra=message.extra)])
            assert await items(store, "c") == [
                message, FULL, Message("user", "\ud800", extra=message.extra),
            ]  # fmt: skip
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            told = db.execute("SELECT tenant FROM messages ORDER BY id").fetchall()
            assert told == [("x",), (None,), ("x",)]
            db.execute("ALTER TABLE messages ADD COLUMN org")
            db.execute("UPDATE messages SET org = 'other' WHERE id = 1")
        async with opened(path) as store:
            # Whoever wrote it there: neither of the two is dropped.
            first, *_ = await items(store, "c")
            assert isinstance(first, Unreadable)
            assert "'org' stands in a column and in extra" in first.reason

    asyncio.run(main())


def test_text_of_a_column_that_is_not_utf8_is_named(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "tenant TEXT")
    put(path, "c", "good", tenant=b"\xff")
    put(path, "c", "bad")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE messages SET tenant = CAST(x'ff' AS TEXT) WHERE content = 'bad'")

    async def main() -> None:
        async with opened(path, 10) as store:
            good, bad = await items(store, "c")
            assert good.extra == {layout: {"tenant": {"base64": "/w=="}}}
            assert bad == Unreadable("2", "row 2: tenant is text that is not UTF-8")

    asyncio.run(main())


def test_a_column_that_must_have_a_value(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "tenant TEXT NOT NULL")
    for n in range(3):
        put(path, "c", f"{n}", tenant="x")
    before = raw(path)

    async def main() -> None:
        async with opened(path) as store:
            found = await items(store, "c")
            with pytest.raises(Rejected, match="'tenant' must have a value") as told:
                await store.append([Part(Conversation("d"), [*numbered(2), found[0]])])
            assert [each[:2] for each in told.value.reasons] == [("d", 0), ("d", 1)]
            with pytest.raises(Rejected, match="'tenant' must have a value"):
                await store.replace(Conversation("c"), once(numbered(1)), upto=START)
            for none in (None, 5, True):
                with pytest.raises(Rejected):
                    await add(store, "d", [Message("user", "x", extra={layout: {"tenant": none}})])
            assert raw(path) == before
            assert await store.refuses_back(["c"]) == {}
            first = await begin(store, "c")
            assert await store.delete("c", upto=first)
            await store.replace(Conversation("c"), once(found[:1]), upto=START)
            assert await items(store, "c") == found

    asyncio.run(main())


def test_a_default_is_for_what_says_nothing(tmp_path: Path, layout: str) -> None:
    path = make(
        tmp_path / "s.db", layout, "a TEXT DEFAULT 'x'", "b NOT NULL DEFAULT (1 + 1)", "d DEFAULT NULL"
    )  # fmt: skip
    put(path, "old", "0", a=None, b=5)
    put(path, "old", "1")
    before = raw(path)

    async def main() -> None:
        async with opened(path) as store:
            found = await items(store, "old")
            assert [each.extra[layout] for each in found] == [
                {"a": None, "b": 5}, {"a": "x", "b": 2},
            ]  # fmt: skip
            assert await store.refuses_back(["old"]) == {}
            await store.delete("old")
            await store.replace(Conversation("old"), once(found), upto=START)
            assert raw(path) == before
            many = [*numbered(120), *(Message("user", f"é{n}") for n in range(3))]
            await add(store, "new", many)
            await store.replace(Conversation("front"), once(numbered(2)), upto=START)
            for name in ("new", "front"):
                each = await items(store, name)
                assert {str(m.extra) for m in each} == {str({layout: {"a": "x", "b": 2}})}
            assert [m.content for m in await items(store, "new")] == [m.content for m in many]

    asyncio.run(main())


def test_generated_and_hidden_columns_are_left_alone(tmp_path: Path, layout: str) -> None:
    path = make(
        tmp_path / "s.db", layout, "size AS (length(content)) STORED", "upper AS (upper(content))"
    )

    async def main() -> None:
        async with opened(path) as store:
            await add(store, "c", numbered(3))
            assert await items(store, "c") == numbered(3)
            assert {*await kinds(store)} == {"c"}  # lines are made of it

    asyncio.run(main())
    assert [row[-2][1] for row in raw(path)] == [9] * 3


def test_a_column_of_somebodys_own_in_a_large_table(tmp_path: Path, layout: str) -> None:
    many = [f"column_{n}" for n in range(300)]
    path = make(tmp_path / "s.db", layout, *many)
    messages = [
        Message("user", f"{n}", extra={layout: dict.fromkeys(many[n:], n)}) for n in range(60)
    ]

    async def main() -> None:
        async with opened(path) as store:
            await add(store, "c", messages)
            assert await items(store, "c") == messages

    asyncio.run(main())


def test_the_layout_that_is_named_may_know_less(tmp_path: Path) -> None:
    """Our own file read as SynapseKit's: what it has more comes along, and comes back."""
    path = make(tmp_path / "s.db", "synmem")

    async def main() -> None:
        async with opened(path) as store:
            await add(store, "c", [FULL, Message("user", "é")])
            before = raw(path)
        async with opened(path, layout="synapsekit") as store:
            found = await items(store, "c")
            assert found[0].extra["synapsekit"]["created_at"] == "2026-11-21T06:00:00.123456Z"
            await store.delete("c")
            await add(store, "c", found)
            # SynapseKit writes metadata with spaces.
            assert [row[:3] + row[4:] for row in raw(path)] == [r[:3] + r[4:] for r in before]
        async with opened(path) as store:
            assert await items(store, "c") == [FULL, Message("user", "é")]

    asyncio.run(main())


# --- the fast ways ---------------------------------------------------------------------------


def test_no_fast_way_passes_over_a_column(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "tenant TEXT")
    for name in "abc":
        for n in range(3):
            put(path, name, f"{n}", tenant=f"of {name}")

    async def main() -> None:
        async with opened(path) as store:
            assert b"of a" in await both_ways(store)
            assert await store.csv(["a", "b"]) == ([], [])
            assert await store.digests(["a"]) == {}
            there = [m for name in "abc" for m in await items(store, name)]
            for to, *more in (("synmem",), ("synapsekit",), (layout, "tenant TEXT")):
                async with opened(make(tmp_path / f"{to}{len(more)}.db", to, *more)) as dest:
                    counting = Counting(dest)
                    entries, _ = await moved(store, counting)
                    assert [entry[7] for entry in entries] == [True] * 3
                    assert counting.copied == []
                    assert [m for name in "abc" for m in await items(dest, name)] == there
            async with opened(make(tmp_path / "plain.db", layout)) as source:
                await add(source, "new", numbered(3))
                counting = Counting(store)
                await moved(source, counting)
                assert counting.copied == []
                assert await items(store, "new") == numbered(3)

    asyncio.run(main())


# --- tables that are numbered otherwise --------------------------------------------------------


WRITABLE = [
    (BARE_ID, ""),
    (BARE_ID, "WITHOUT ROWID"),
    ("id INT PRIMARY KEY NOT NULL", ""),
    ("id BIGINT NOT NULL PRIMARY KEY", "WITHOUT ROWID"),
    (NUMBERED, "STRICT"),
    ("id INTEGER PRIMARY KEY DESC", ""),
    ("id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK AUTOINCREMENT", ""),
]


@pytest.mark.parametrize(("key", "tail"), WRITABLE)
def test_a_table_with_integer_ids_can_be_written_and_undone(
    tmp_path: Path, layout: str, key: str, tail: str
) -> None:
    path = make(tmp_path / "s.db", layout, "tenant TEXT NOT NULL", key=key, tail=tail)
    said = {layout: {"tenant": "x"}}
    messages = [Message("user", f"{n}", extra=said) for n in range(5)]

    async def main() -> None:
        async with opened(path) as store:
            lasting = "AUTOINCREMENT" in key
            assert store.holds.lasting_positions is lasting
            end = await add(store, "c", messages)
            assert await store.append([Part(Conversation("d"), messages, START)]) != [end]
            before = raw(path)
            assert await store.refuses_back(["c", "d", "none"]) == {}
            assert raw(path) == before
            begins = await begin(store, "c")
            positions = [
                p.position(i) async for p in store.read(["c"]) for i in range(len(p.items))
            ]
            assert positions[-1] == end
            assert [m async for p in store.read(["c"], after=positions[1]) for m in p.items] == (
                messages[2:]
            )
            assert await store.delete("c", upto=positions[2], begins=begins)
            assert await items(store, "c") == messages[3:]
            await store.replace(Conversation("c"), once(messages[:3]), upto=START)
            assert await items(store, "c") == messages
            assert await store.delete("d")
            await store.append([Part(Conversation("d"), messages, START)])
            assert sorted(raw(path), key=str) == sorted(before, key=str)
            with pytest.raises(Changed):
                await store.delete("c", upto=positions[2])
            assert await store.append([Part(Conversation("c"), messages)], keep=2)
            assert await items(store, "c") == messages[3:]
            assert await items(store, "c", reverse=True) == messages[:2:-1]

    asyncio.run(main())


@pytest.mark.parametrize("tail", ["", "WITHOUT ROWID"])
def test_an_id_that_was_given_to_another_message_is_no_position(
    tmp_path: Path, layout: str, tail: str
) -> None:
    path = make(tmp_path / "s.db", layout, key=BARE_ID, tail=tail)

    async def main() -> None:
        async with opened(path) as store, opened(path) as other:
            end = await add(store, "c", numbered(3))
            begins = await begin(store, "c")
            await other.delete("c")
            await add(other, "c", numbered(3, 7))
            for attempt in (
                store.delete("c", upto=end),
                store.delete("c", begins=begins),
                store.replace(Conversation("c"), once(numbered(1)), upto=end),
                store.append([Part(Conversation("c"), numbered(1), end)]),
                items(store, "c", after=end),
            ):
                with pytest.raises(Changed):
                    await attempt
            assert await items(store, "c") == numbered(3, 7)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("key", "tail", "values"),
    [
        ("id TEXT PRIMARY KEY", "", ["z", "b", "y", "a", "m"]),
        ("id TEXT PRIMARY KEY", "WITHOUT ROWID", ["a", "b", "m-1", "y", "z"]),
        ("id INTEGER", "", [7, 7, 7, 1, 1]),
        ("id", "", ["x", 5, b"b", None, 1.5]),
        ("id INTEGER, PRIMARY KEY (conversation_id, id)", "WITHOUT ROWID", [1, 2, 3, 4, 5]),
        ("id INTEGER, PRIMARY KEY (conversation_id, id)", "", [1, 2, 3, 4, 5]),
    ],
)
def test_a_table_with_other_ids_is_read_in_its_order_and_not_written(
    tmp_path: Path, layout: str, key: str, tail: str, values: Sequence[Any]
) -> None:
    key, _, constraint = key.partition(", ")
    more = [constraint] if constraint else []
    path = make(tmp_path / "s.db", layout, *more, key=key, tail=tail)
    many = "PRIMARY KEY (" in constraint or "PRIMARY" not in key
    for name in ("c", "d") if many else ("c",):
        for n, value in enumerate(values):
            put(path, name, f"{name}{n}", id=value)
    before = dump(path)

    async def main() -> None:
        async with opened(path) as store:
            assert store.holds.lasting_positions is False
            names = await ids(store)
            for name in names:
                expected = [f"{name}{n}" for n in range(5)]
                assert await contents(store, name) == expected
                assert [m.content for m in await items(store, name, reverse=True)] == expected[::-1]
            found = await items(store, "c", limit=2)
            told = [
                [m.content for m in page.items]
                async for page in store.read(names, limit=1, reverse=True)
            ]
            assert told == [[f"{name}4"] for name in names]
            assert {info.messages for info in (await details(store)).values()} == {5}
            if not tail:
                assert found[0].extra[layout]["id"] == values[0]
            await both_ways(store)
            for attempt in (
                add(store, "c", numbered(1)),
                store.delete("c"),
                store.replace(Conversation("c"), once([]), upto=START),
                store.refuses_back(["c"]),
            ):
                with pytest.raises(Unsupported, match="no INTEGER PRIMARY KEY"):
                    await attempt
            async with opened(tmp_path / "dest.db", layout="synmem") as dest:
                entries, _ = await moved(store, dest)
                assert [entry[7] for entry in entries] == [True] * len(names)

    asyncio.run(main())
    assert dump(path) == before


def test_a_view_is_read_and_not_written(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout)
    for n in range(5):
        put(path, "c", f"{n}")
        put(path, "d", f"{n}")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE messages RENAME TO log")
        db.execute("CREATE VIEW messages AS SELECT * FROM log")

    async def main() -> None:
        async with opened(path) as store:
            assert await contents(store, "c") == [f"{n}" for n in range(5)]
            assert {info.messages for info in (await details(store)).values()} == {5}
            with pytest.raises(Unsupported):
                await store.delete("c")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("key", "tail"), [(NUMBERED, ""), (BARE_ID, "WITHOUT ROWID"), ("id TEXT PRIMARY KEY", "")]
)
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_reading_leaves_the_folder_byte_for_byte(
    tmp_path: Path, layout: str, key: str, tail: str, journal: str
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    path = make(folder / "s.db", layout, "tenant TEXT", key=key, tail=tail)
    for n in range(3):
        put(path, "c", f"{n}", tenant="x", id=n + 1)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode={journal}")
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    assert before.keys() == {"s.db"}

    async def main() -> None:
        async with opened(path, write=False) as store:
            assert await contents(store, "c") == ["0", "1", "2"]
            assert (await details(store))["c"].messages == 3
            await both_ways(store)

    asyncio.run(main())
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


# --- whether it would take back what is taken --------------------------------------------------

HARMLESS = [
    "CREATE TABLE audit (what); ",
    "CREATE TRIGGER t1 AFTER DELETE ON messages BEGIN INSERT INTO audit VALUES (old.content); END",
    "CREATE TRIGGER t2 AFTER INSERT ON messages BEGIN INSERT INTO audit VALUES (new.content); END",
    "CREATE UNIQUE INDEX u ON messages (conversation_id, content)",
]

REFUSING = {
    "would not": [
        "CREATE TRIGGER t BEFORE INSERT ON messages WHEN new.content = 'bad' "
        "BEGIN SELECT RAISE(ABORT, 'not again'); END"
    ],
    "rolled back": [
        "CREATE TRIGGER t BEFORE INSERT ON messages WHEN new.content = 'bad' "
        "BEGIN SELECT RAISE(ROLLBACK, 'not again'); END"
    ],
    "not there": [
        "CREATE TRIGGER t BEFORE INSERT ON messages WHEN new.content = 'bad' "
        "BEGIN SELECT RAISE(IGNORE); END"
    ],
    "not let it go": [
        "CREATE TRIGGER t BEFORE DELETE ON messages WHEN old.content = 'bad' "
        "BEGIN SELECT RAISE(IGNORE); END"
    ],
    "kept": [
        "CREATE TRIGGER t BEFORE DELETE ON messages WHEN old.content = 'bad' "
        "BEGIN SELECT RAISE(ABORT, 'kept'); END"
    ],
    "'own' would change": [
        "own TEXT",
        "CREATE TRIGGER t AFTER INSERT ON messages WHEN new.content = 'bad' "
        "BEGIN UPDATE messages SET own = 'now' WHERE id = new.id; END",
    ],
    "'role' would change": [
        "CREATE TRIGGER t AFTER INSERT ON messages WHEN new.content = 'bad' "
        "BEGIN UPDATE messages SET role = 'x' WHERE id = new.id; END"
    ],
    "no such function": [
        "CREATE TRIGGER t AFTER INSERT ON messages WHEN new.content = 'bad' "
        "BEGIN SELECT unknown_function(new.id); END"
    ],
    "CHECK": ["CHECK (id > 0 OR content <> 'bad')"],
}


@pytest.mark.parametrize("why", [*REFUSING, "nothing"])
@pytest.mark.parametrize("key", [NUMBERED, BARE_ID])
@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_a_table_would_not_take_back_is_found_and_nothing_is_changed(
    tmp_path: Path, layout: str, why: str, key: str, journal: str, at: int
) -> None:
    more = REFUSING.get(why, [each.removesuffix("; ") for each in HARMLESS])
    triggers = [each for each in more if each.startswith("CREATE TRIGGER")]
    path = make(
        tmp_path / "s.db", layout, *(each for each in more if each not in triggers), key=key
    )
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode={journal}")
    for name in ("a", "b", "c", "d", "e"):
        for n in range(3):
            put(path, name, "bad" if name in "bd" and n == at else f"{n}")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for statement in triggers:
            db.execute(statement)
    before = dump(path)

    async def main() -> None:
        async with opened(path) as store:
            assert isinstance(store, SupportsTrial)
            for _ in range(2):
                refused = await store.refuses_back([*"abcde", "none", "\ud800"])
                which = {"nothing": "", "no such function": "abcde"}.get(why, "bd")
                assert [*refused] == [*which]
                expected = "not again" if why == "rolled back" else why
                assert all(expected in each for each in refused.values()), refused
                assert dump(path) == before
            assert await store.refuses_back([]) == {}

    asyncio.run(main())
    assert dump(path) == before


def test_json_is_compared_by_its_value_in_a_trial(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "own")
    texts = ['{"a":   1, "b": [1.0, "\\u00e9"]}', "", "null", "{}", '{"b": 1, "a": null}', None]
    for n, text in enumerate(texts):
        put(path, f"{n}", "x", metadata=text)
    if layout == "synmem":
        put(path, "time", "x", created_at="2026-11-21T08:00:00+02:00", extra='{"k" : 1}')

    async def main() -> None:
        async with opened(path) as store:
            assert await store.refuses_back(await ids(store)) == {}

    asyncio.run(main())


def test_a_row_that_cannot_be_read_hinders_no_trial(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "own")
    put(path, "a", "x", metadata="no JSON")
    put(path, "b", "x", metadata=b"\xff")
    put(path, "c", "x")

    async def main() -> None:
        async with opened(path) as store:
            assert await store.refuses_back(await ids(store)) == {}
            assert (await store.refuses_back(["a"])) == {}

    asyncio.run(main())


def test_a_trial_of_many_conversations(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "own")
    names = [f"c{n:04}" for n in range(1203)]

    async def main() -> None:
        async with opened(path, 1000) as store:
            await store.append([Part(Conversation(name), numbered(2)) for name in names])
            with contextlib.closing(sqlite3.connect(path)) as db, db:
                db.execute(
                    "CREATE TRIGGER t BEFORE INSERT ON messages "
                    "WHEN new.conversation_id IN ('c0007', 'c1111') "
                    "BEGIN SELECT RAISE(ROLLBACK, 'never'); END"
                )
            before = dump(path)
            assert [*await store.refuses_back(names)] == ["c0007", "c1111"]
            assert dump(path) == before

    asyncio.run(main())


def test_a_trial_reaches_every_row_in_transactions_of_some_rows(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages end within conversations and between them; who is refused is not looked at again."""
    monkeypatch.setattr("synmem.backends.sqlite.trial.ROWS_A_TRIAL", 4)
    path = make(tmp_path / "s.db", layout)
    sizes = {"a": 1, "b": 11, "c": 3, "d": 4, "e": 8, "f": 1, "g": 9}
    for _ in range(11):
        for name in sizes:
            if sizes[name]:
                sizes[name] -= 1
                put(path, name, f"{name}{sizes[name]}")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE bad (what)")
        db.execute(
            "CREATE TRIGGER t BEFORE INSERT ON messages WHEN new.content IN bad "
            "BEGIN SELECT RAISE(ABORT, 'never'); END"
        )
        contents = [row[0] for row in db.execute("SELECT content FROM messages")]

    async def main() -> None:
        async with opened(path) as store:
            assert await store.refuses_back([*sizes, "none"]) == {}
            for content in contents:
                with contextlib.closing(sqlite3.connect(path)) as db, db:
                    db.execute("DELETE FROM bad")
                    db.executemany("INSERT INTO bad VALUES (?)", [(content,), ("c0",)])
                before = dump(path)
                refused = await store.refuses_back(["none", *reversed(sizes)])
                assert {*refused} == {"c", content[0]}
                assert dump(path) == before

    asyncio.run(main())


def test_a_trial_keeps_apart_what_a_column_takes_for_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        columns = COLUMNS["synapsekit"].replace("TEXT NOT", "TEXT COLLATE NOCASE NOT", 1)
        db.execute(f"CREATE TABLE messages ({NUMBERED}, {columns}, CHECK (content <> 'never'))")
        db.executemany(
            "INSERT INTO messages (conversation_id, role, content) VALUES (?, 'user', 'x')",
            [("a",)] * 4500 + [("b",)],
        )

    async def main() -> None:
        async with opened(path) as store:
            assert await store.refuses_back(["a", "b"]) == {}
            assert await store.refuses_back(["A", "b"]) == {}  # "A" is not there
            put(path, "A", "x")
            assert await store.refuses_back(["A", "b"]) == {}
            assert await store.delete("A")
            assert len(await items(store, "a")) == 4500

    asyncio.run(main())


async def statements(store: Any, work: Any) -> tuple[Any, list[str]]:
    """What this work gives, and the SQL that it runs."""
    ran: list[str] = []
    await store.place.file.connection.set_trace_callback(ran.append)
    result = await work
    await store.place.file.connection.set_trace_callback(None)
    return result, ran


def synapsekit(path: Path) -> None:
    """A file as SynapseKit itself makes it."""
    from synapsekit.memory.sqlite import SQLiteConversationMemory

    memory = SQLiteConversationMemory(db_path=str(path), conversation_id="theirs")
    memory.add("user", "x", metadata={"k": 1})
    memory.close()


def test_in_a_plain_table_nothing_is_tried_and_one_look_tells(tmp_path: Path, layout: str) -> None:
    made = tmp_path / "made.db"
    if layout == "synapsekit":
        synapsekit(made)
    somebodys = make(tmp_path / "s.db", layout, "CREATE INDEX more ON messages (role, id DESC)")
    with contextlib.closing(sqlite3.connect(somebodys)) as db, db:
        db.execute("ALTER TABLE messages RENAME TO old")
        db.execute("ALTER TABLE old RENAME TO messages")
        db.execute("CREATE TABLE others (id INTEGER PRIMARY KEY, x UNIQUE CHECK (x > 5))")
        db.execute(
            "CREATE TRIGGER t BEFORE INSERT ON others BEGIN SELECT RAISE(ABORT, 'never'); END"
        )

    async def main() -> None:
        for path in (made, somebodys):
            async with opened(path, layout=layout) as store:
                await add(store, "a", numbered(3))
            async with opened(path, layout=layout) as store:
                refused, ran = await statements(store, store.refuses_back(["a", "none"]))
                assert refused == {}
                assert len(ran) == 2
                assert "schema_version" in ran[0]
                assert "FROM sqlite_schema" in ran[1]
                _, ran = await statements(store, store.refuses_back(["a", "none"]))
                assert len(ran) == 1  # whether the schema is as it was
                with contextlib.closing(sqlite3.connect(path)) as db, db:
                    db.execute(
                        "CREATE TRIGGER t2 BEFORE INSERT ON messages "
                        "BEGIN SELECT RAISE(ABORT, 'never'); END"
                    )
                assert [*await store.refuses_back(["a", "none"])] == ["a"]
                with contextlib.closing(sqlite3.connect(path)) as db, db:
                    db.execute("DROP TRIGGER t2")
                assert await store.refuses_back(["a", "none"]) == {}

    asyncio.run(main())


NOT_PLAIN = [
    ["own"],
    ["UNIQUE (conversation_id, content)"],
    ["CHECK (content <> 'bad')"],
    ["FOREIGN KEY (conversation_id) REFERENCES people (id)"],
    ["CREATE UNIQUE INDEX u ON messages (conversation_id, id)"],
    ["CREATE INDEX i ON messages (lower(content))"],
    ["CREATE INDEX i ON messages (role) WHERE content > 'a'"],
    ["CREATE TABLE child (of INTEGER REFERENCES messages (id))"],
    ["CREATE TRIGGER t AFTER DELETE ON messages BEGIN SELECT 1; END"],
    ["CREATE TRIGGER T AFTER DELETE ON MESSAGES BEGIN SELECT 1; END"],
]


@pytest.mark.parametrize("more", NOT_PLAIN)
def test_what_could_refuse_is_tried(tmp_path: Path, layout: str, more: list[str]) -> None:
    path = make(tmp_path / "s.db", layout, *more)
    put(path, "a", "x")

    async def main() -> None:
        async with opened(path) as store:
            refused, ran = await statements(store, store.refuses_back(["a"]))
            assert refused == {}
            assert "ROLLBACK" in ran

    asyncio.run(main())


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("CREATE UNIQUE INDEX u ON messages_meta (lower(value))", None),
        ("WHEN new.name = 'title' BEGIN SELECT RAISE(ABORT, 'never'); END", "never"),
        ("WHEN new.name = 'extra' BEGIN SELECT RAISE(IGNORE); END", "its extra"),
        ("WHEN new.name = 'note:n' BEGIN SELECT RAISE(ROLLBACK, 'never'); END", "never"),
        ("WHEN new.name LIKE 'step:%' BEGIN SELECT RAISE(ABORT, 'never'); END", None),
    ],
)
def test_a_title_or_a_note_that_would_not_come_back_is_found(
    tmp_path: Path, bad: str, why: str | None
) -> None:
    path = tmp_path / "s.db"

    async def main() -> None:
        async with opened(path) as store:
            for name in "abc":
                await add(store, name, numbered(1))
            full = Conversation("b", "Title", {"e": 1})
            await store.append([Part(full, [])], token="a" * 32)
            await store.set_note("b", "n", [1])
            trigger = (
                bad
                if bad.startswith("C")
                else f"CREATE TRIGGER t BEFORE INSERT ON messages_meta {bad}"
            )
            with contextlib.closing(sqlite3.connect(path)) as db, db:
                db.execute(trigger)
            before = dump(path)
            refused = await store.refuses_back([*"abc"])
            assert [*refused] == (["b"] if why else [])
            assert (why or "") in refused.get("b", "")
            assert dump(path) == before

    asyncio.run(main())


def test_an_id_that_no_store_takes_is_not_taken_back(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout)
    put(path, "x" * 1025, "x")

    async def main() -> None:
        async with opened(path) as store:
            refused = await store.refuses_back(["x" * 1025])
            assert "1025 bytes" in refused["x" * 1025]

    asyncio.run(main())


# --- columns of ours that take no NULL, and rows that are refused -------------------------------


def tightened(path: Path, layout: str, column: str, more: str) -> Path:
    """A table in which a column that we know is declared otherwise."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        columns = COLUMNS[layout].replace(f"{column} TEXT", f"{column} TEXT {more}", 1)
        assert columns != COLUMNS[layout]
        db.execute(f"CREATE TABLE messages ({NUMBERED}, {columns})")
        db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        if layout == "synmem":
            db.execute(META)
    return path


PLAIN = [Message("user", "é"), Message("user", "x"), Message("user", "y", {"k": 1})]


@pytest.mark.parametrize("default", ["", " DEFAULT '{}'", " CHECK (json_valid(metadata))"])
def test_metadata_that_takes_no_null_is_an_empty_object(
    tmp_path: Path, layout: str, default: str
) -> None:
    path = tightened(tmp_path / "s.db", layout, "metadata", f"NOT NULL{default}")
    put(path, "old", "1", metadata='{"a": 1}')
    put(path, "old", "2", metadata="{}")

    async def main() -> None:
        async with opened(path) as store:
            assert await store.refuses_back(["old"]) == {}
            wanted = await items(store, "old")
            await store.delete("old")
            await add(store, "old", wanted)
            assert await items(store, "old") == wanted
            for messages in (PLAIN, [FULL], numbered(3)):
                await store.delete("c")
                ends = await store.append([Part(Conversation("c"), messages)])
                assert await items(store, "c") == messages
                await store.replace(Conversation("c"), once(messages), upto=ends[0])
                assert await items(store, "c") == messages
                await both_ways(store)
            async with opened(tmp_path / "source.db", layout=layout) as source:
                await add(source, "moved", PLAIN)
                entries, _ = await moved(source, store)
                assert [entry[7] for entry in entries] == [True]
            assert await items(store, "moved") == PLAIN

    asyncio.run(main())
    with contextlib.closing(sqlite3.connect(path)) as db:
        found = {row[0] for row in db.execute("SELECT metadata FROM messages WHERE content='x'")}
    assert found == {"{}"}


@pytest.mark.parametrize(
    "column", ["created_at", "tool_calls", "tool_call_id", "name", "parts", "extra"]
)
@pytest.mark.parametrize("default", ["", " DEFAULT '[]'"])
def test_another_column_that_takes_no_null_refuses_clearly(
    tmp_path: Path, column: str, default: str
) -> None:
    path = tightened(tmp_path / "s.db", "synmem", column, f"NOT NULL{default}")
    whole = Message(
        "user", "x", None, numbered(1)[0].created_at or datetime(2026, 1, 1, tzinfo=UTC),
        [{"id": "1"}], "t", "n", [{"type": "text"}], {"e": 1},
    )  # fmt: skip

    async def main() -> None:
        async with opened(path) as store:
            bare = Message("user", "x")
            assert f"{column!r} must have a value" in (store.refusal(bare) or "")
            with pytest.raises(Rejected, match=column) as caught:
                await add(store, "c", [whole, bare])
            assert [reason[:2] for reason in caught.value.reasons] == [("c", 1)]
            with pytest.raises(Rejected, match=column):
                await store.replace(Conversation("c"), once([whole, bare]), upto=START)
            assert await ids(store) == []
            await add(store, "c", [whole])
            assert await items(store, "c") == [whole]
            assert await store.refuses_back(["c"]) == {}

    asyncio.run(main())


@pytest.mark.parametrize("column", ["tool_calls", "tool_call_id", "name", "parts", "extra"])
def test_a_default_of_a_column_of_ours_is_not_taken_for_a_value(
    tmp_path: Path, column: str
) -> None:
    path = tightened(tmp_path / "s.db", "synmem", column, "DEFAULT 'x'")

    async def main() -> None:
        async with opened(path) as store:
            await add(store, "c", [*PLAIN, *numbered(2)])
            assert await items(store, "c") == [*PLAIN, *numbered(2)]
            assert await store.refuses_back(["c"]) == {}

    asyncio.run(main())


REFUSALS = [
    ["CHECK (content NOT LIKE 'bad%')"],
    [
        "CREATE TRIGGER t BEFORE INSERT ON messages WHEN new.content LIKE 'bad%' "
        "BEGIN SELECT RAISE(ABORT, 'CHECK'); END"
    ],
    [
        "CREATE TRIGGER t BEFORE INSERT ON messages WHEN new.content LIKE 'bad%' "
        "BEGIN SELECT RAISE(ROLLBACK, 'CHECK'); END"
    ],
    [
        "CREATE TRIGGER t AFTER INSERT ON messages WHEN new.content LIKE 'bad%' "
        "BEGIN SELECT RAISE(FAIL, 'CHECK'); END"
    ],
]


def texts(*contents: str) -> list[Message]:
    return [Message("user", each) for each in contents]


@pytest.mark.parametrize("more", REFUSALS)
def test_what_the_table_refuses_is_rejected_by_name(
    tmp_path: Path, layout: str, more: list[str]
) -> None:
    path = make(tmp_path / "s.db", layout, *more)

    async def main() -> None:
        async with opened(path) as store:
            end = await add(store, "old", texts("1", "2"))
            before = dump(path)
            parts = [
                Part(Conversation("a"), texts("1", "2")),
                Part(Conversation("b"), texts("1", "2", "bad", "4", "bad")),
                Part(Conversation("old"), texts("3")),
                Part(Conversation("c"), texts("bad")),
                Part(Conversation("d"), [*texts("1") * 60, *texts("bad")]),
            ]
            with pytest.raises(Rejected, match="CHECK") as caught:
                await store.append(parts)
            told = [(each[0], each[1]) for each in caught.value.reasons]
            assert told == [("b", 2), ("c", 0), ("d", 60)]
            assert dump(path) == before
            for at in (0, 1, 4, 62):
                messages = [*texts("1") * at, *texts("bad", "2", "bad")]
                for upto in (end, START):
                    with pytest.raises(Rejected, match="CHECK") as caught:
                        await store.replace(Conversation("old"), once(messages), upto=upto)
                    assert [each[:2] for each in caught.value.reasons] == [("old", at)]
                assert dump(path) == before
            await store.append(parts[:1])
            await store.replace(Conversation("old"), once(texts("new")), upto=end)
            assert await contents(store, "old") == ["new"]

    asyncio.run(main())


def test_what_only_together_is_refused_names_the_one_behind(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "UNIQUE (content)")

    async def main() -> None:
        async with opened(path) as store:
            parts = [Part(Conversation(each), texts(each, "same")) for each in "abc"]
            with pytest.raises(Rejected, match="UNIQUE") as caught:
                await store.append(parts)
            assert [each[:2] for each in caught.value.reasons] == [("b", 1), ("c", 1)]
            assert await ids(store) == []

    asyncio.run(main())


def test_where_no_message_by_itself_is_refused_all_are_named(tmp_path: Path) -> None:
    path = make(
        tmp_path / "s.db",
        "synmem",
        "CREATE TRIGGER t BEFORE INSERT ON messages_meta WHEN new.name = 'title' "
        "BEGIN SELECT RAISE(ABORT, 'no titles'); END",
    )

    async def main() -> None:
        async with opened(path) as store:
            parts = [Part(Conversation("a", "T"), texts("1")), Part(Conversation("b"), texts("2"))]
            with pytest.raises(Rejected, match="no titles") as caught:
                await store.append(parts)
            assert [each[:2] for each in caught.value.reasons] == [("a", 0), ("b", 0)]
            with pytest.raises(Rejected, match="no titles"):
                await store.replace(parts[0].conversation, once(texts("1", "2")), upto=START)
            assert await ids(store) == []

    asyncio.run(main())


def test_a_copy_leaves_what_the_table_refuses(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "CHECK (content <> 'bad')")

    async def main() -> None:
        source_path = tmp_path / "source.db"
        async with opened(path) as store, opened(source_path, layout=layout) as source:
            await add(source, "a", texts("1", "2"))
            await add(source, "b", texts("1", "bad"))
            given = [Conversation("a"), Conversation("b")]
            copied, left = await store.copy(source, given)
            assert (copied, left) == ([], [])
            assert await ids(store) == []
            await moved(source, store)
            assert await contents(store, "a") == ["1", "2"]
            assert await contents(store, "b") == ["1"]

    asyncio.run(main())


def test_a_trial_on_a_file_that_is_not_there_makes_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "none.db") as store:
            assert await store.refuses_back(["a"]) == {}
        assert not (tmp_path / "none.db").exists()

    asyncio.run(main())


def test_a_trial_needs_the_lock_and_may_write(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.sqlite.file.BUSY_TIMEOUT_S", 0.1)
    path = make(tmp_path / "s.db", layout, "own")
    put(path, "a", "x")

    async def main() -> None:
        async with opened(path) as store:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable, match="locked"):
                    await store.refuses_back(["a"])
            assert await store.refuses_back(["a"]) == {}
        async with opened(path, write=False) as store:
            with pytest.raises(Unsupported, match="for reading"):
                await store.refuses_back(["a"])

    asyncio.run(main())


async def cut_off(store: Any, work: Any, at: int) -> bool:
    """Do this work, cut off while its statement of that number runs; tell whether it was."""
    task: asyncio.Future[Any] = asyncio.ensure_future(work)
    left = at

    def counting(statement: Any) -> Any:
        async def counted(*values: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                task.cancel()
            return await statement(*values)

        return counted

    connection = store.place.file.connection
    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute", "executemany", "execute_fetchall"):
            patch.setattr(connection, name, counting(getattr(connection, name)))
        await asyncio.wait([task])
    return task.cancelled()


def test_a_trial_that_is_cut_off_leaves_nothing(tmp_path: Path, layout: str) -> None:
    path = make(tmp_path / "s.db", layout, "own")
    for n in range(30):
        put(path, f"c{n}", "x")
    before = dump(path)

    async def main() -> None:
        async with opened(path) as store, opened(path) as other:
            names = await ids(store)
            at = 1
            while await cut_off(store, store.refuses_back(names), at):
                assert dump(path) == before
                assert await other.delete("none") is False  # the lock is free
                at += 1
            assert at > 10

    asyncio.run(main())
    assert dump(path) == before


def try_out(path: str) -> None:
    async def main() -> None:
        async with opened(Path(path)) as store:
            names = await ids(store)
            while True:
                await store.refuses_back(names)

    asyncio.run(main())


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_trial_that_is_killed_leaves_nothing(tmp_path: Path, layout: str, journal: str) -> None:
    path = make(tmp_path / "s.db", layout, "own")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA journal_mode={journal}")
        db.executemany(
            "INSERT INTO messages (conversation_id, role, content, own) VALUES (?, 'u', 'x', 5)",
            [(f"c{n}",) for n in range(2000)],
        )
    before = hashlib.sha256("".join(dump(path)).encode()).hexdigest()
    spawn = multiprocessing.get_context("spawn")
    for delay in (0.7, 0.75, 0.8):
        process = spawn.Process(target=try_out, args=(str(path),))
        process.start()
        process.join(delay)
        process.kill()
        process.join()
        assert hashlib.sha256("".join(dump(path)).encode()).hexdigest() == before


def test_a_write_that_is_cut_off_is_done_or_not_and_frees_the_lock(
    tmp_path: Path, layout: str
) -> None:
    path = make(tmp_path / "s.db", layout)

    async def main() -> None:
        async with opened(path) as store, opened(path) as other:
            writes: list[Callable[[], Any]] = [
                lambda: store.delete("c"),
                lambda: store.append([Part(Conversation("c"), numbered(2))]),
                lambda: store.replace(Conversation("c"), once(numbered(2)), upto=START),
            ]
            for write in writes:
                at = 1
                while True:
                    await other.delete("c")
                    await add(other, "c", numbered(2))
                    cut = await cut_off(store, write(), at)
                    await add(other, "more", numbered(1))
                    assert len(await contents(other, "c")) in (0, 2, 4)
                    if not cut:
                        break
                    at += 1
                assert at > 3

    asyncio.run(main())


# --- steps ------------------------------------------------------------------------------------


def test_the_raw_rows_of_steps_are_as_documented_and_seen_by_nobody(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def main() -> None:
        async with opened(path) as store:
            remembers: Any = isinstance(store, SupportsSteps)
            assert remembers
            assert await store.steps_done([Step("a", "a" * 32)]) == set()
            await store.forget_steps([Step("a", "a" * 32)])
            assert not path.exists()
            part = Part(Conversation("a", "T"), numbered(2))
            await store.append([part], token="a" * 32)
            assert await store.call_off([Step("a", "b" * 32 + ".1")]) == set()
            assert raw(path, of="messages_meta")[:2] == [
                [(str, ""), (str, f"step:{'a' * 32}"), (str, '"done"')],
                [(str, ""), (str, f"step:{'b' * 32}.1"), (str, '"off"')],
            ]
            with contextlib.closing(sqlite3.connect(path)) as db, db:
                db.execute(
                    "INSERT INTO messages (conversation_id, role, content) VALUES ('','','')"
                )
            assert await ids(store) == ["a"]
            assert await store.described(["a", ""]) == ["a"]
            assert await store.notes(["a", ""]) == {}
            assert [damage.position for damage in await store.damage()] == ["row 3"]
            await store.delete("")
            await store.delete("a")
            assert await store.steps_done([Step("a", "a" * 32)]) == {Step("a", "a" * 32)}
            assert len(raw(path, of="messages_meta")) == 2

    asyncio.run(main())


def test_a_file_of_another_program_remembers_no_step(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def main() -> None:
        async with opened(path, layout="synapsekit") as store:
            assert not isinstance(store, SupportsSteps)
            token = "a" * 32
            for attempt in (
                store.append([Part(Conversation("a"), numbered(1))], token=token),
                store.delete("a", token=token),
                store.replace(Conversation("a"), once([]), upto=START, token=token),
            ):
                with pytest.raises(Unsupported):
                    await attempt
            assert not path.exists()

    asyncio.run(main())


def test_a_write_that_fails_remembers_no_step(tmp_path: Path) -> None:
    path = make(tmp_path / "s.db", "synmem", "CHECK (content <> 'bad')")
    step = Step("a", "a" * 32)

    async def main() -> None:
        async with opened(path) as store:
            for messages in ([Message("user", "bad")], [Message("user", "x"), Message("u", "bad")]):
                with pytest.raises(StoreError, match="CHECK"):
                    await store.append([Part(Conversation("a"), messages)], token=step.token)
                with pytest.raises(StoreError, match="CHECK"):
                    await store.replace(
                        Conversation("a"), once(messages), upto=START, token=step.token
                    )
            assert await store.steps_done([step]) == set()
            assert await ids(store) == []

    asyncio.run(main())


def remove_all(path: str) -> None:
    async def main() -> None:
        async with opened(Path(path)) as store:
            for n in range(2000):
                await store.delete(f"c{n}", token=f"{n:032x}")

    asyncio.run(main())


def test_of_a_killed_writer_the_store_tells_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def main() -> None:
        async with opened(path, 1000) as store:
            await store.append([Part(Conversation(f"c{n}"), numbered(2)) for n in range(2000)])
            spawn = multiprocessing.get_context("spawn")
            process = spawn.Process(target=remove_all, args=(str(path),))
            process.start()
            while len(await ids(store)) > 1950:
                pass
            process.kill()
            process.join()
            steps = [Step(f"c{n}", f"{n:032x}") for n in range(2000)]
            done = await store.call_off(steps)
            there = {*await ids(store)}
            assert 0 < len(done) < 2000
            assert {step.conversation for step in done} == {f"c{n}" for n in range(2000)} - there
            assert await store.steps_done(steps) == done

    asyncio.run(main())
