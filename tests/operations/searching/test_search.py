"""Search: the scan, the index, and that both say the same."""

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synmem.backends import open_store
from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.searching.search import Found, search
from synmem.operations.searching.wanted import Wanted
from synmem.operations.searching.word_index import forget
from synmem.store import Part, Store, once


def store_of(**conversations: list[str]) -> InMemoryStore:
    store = InMemoryStore(page_size=2)
    parts = [
        Part(Conversation(name), [Message("user", text) for text in texts])
        for name, texts in conversations.items()
    ]
    asyncio.run(store.append(parts))
    return store


def found(store: InMemoryStore, text: str, **options: object) -> Found:
    return asyncio.run(search(store, text, **options))  # type: ignore[arg-type]


def places(result: Found) -> list[tuple[str, int]]:
    return [(hit.conversation_id, hit.position) for hit in result.hits]


def test_positions_are_counted_from_one_across_pages() -> None:
    store = store_of(a=["x"] * 4 + ["redis"], b=["redis and more words"])
    result = found(store, "redis")
    assert places(result) == [("a", 5), ("b", 1)]
    assert result.hits[0].content == "redis"


def test_only_the_k_best_are_kept() -> None:
    store = store_of(a=["redis " * n for n in range(1, 400)])
    scores = [hit.score for hit in found(store, "redis", k=400).hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.score for hit in found(store, "redis", k=3).hits] == scores[:3]


def test_of_equal_scores_the_newer_comes_first() -> None:
    store = InMemoryStore()
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (2, 3, 1)]
    messages = [Message("user", "redis", created_at=time) for time in times]
    asyncio.run(store.append([Part(Conversation("a"), [*messages, Message("user", "redis")])]))
    asyncio.run(store.append([Part(Conversation("0"), [Message("user", "redis")] * 2)]))
    expected = [("a", 2), ("a", 1), ("a", 3), ("0", 2), ("0", 1), ("a", 4)]
    assert places(found(store, "redis", k=9)) == expected


def test_an_unreadable_record_is_named_and_counts_as_a_position(tmp_path: Path) -> None:
    store = store_of(a=["x", "y", "redis"])
    store._held["a"].messages[1] = Unreadable("7", "bad \ud800 JSON")
    plain = found(store, "redis")
    assert places(plain) == [("a", 3)]
    assert [(each.position, each.conversation_id) for each in plain.unreadable] == [(2, "a")]
    indexed = found(store, "redis", index=tmp_path / "i.db", large=0)
    assert indexed.indexed
    assert indexed.unreadable[0].position == 2


def test_a_conversation_that_is_not_there_is_not_found() -> None:
    store = store_of(a=["redis"], b=["redis"])
    assert places(found(store, "redis", conversation="b")) == [("b", 1)]
    with pytest.raises(ConversationNotFound):
        found(store, "redis", conversation="c")


def test_a_small_store_gets_no_index(tmp_path: Path) -> None:
    file = tmp_path / "i.db"
    assert not found(store_of(a=["redis"]), "redis", index=file).indexed
    assert not file.exists()


def test_before_an_index_is_made_it_is_told_how_many_messages_there_are(tmp_path: Path) -> None:
    store, file, told = store_of(a=["x"] * 30, b=["x"]), tmp_path / "i.db", list[int]()
    found(store, "x", index=file, large=32, expect=told.append)
    assert told == []
    for _ in range(2):
        found(store, "x", index=file, large=10, expect=told.append)
    assert told == [31]


def test_the_index_is_private(tmp_path: Path) -> None:
    file = tmp_path / "i.db"
    assert found(store_of(a=["redis"]), "redis", index=file, large=0).indexed
    assert file.stat().st_mode & 0o077 == 0


def test_a_damaged_index_is_done_without_and_made_anew(tmp_path: Path) -> None:
    store, file = store_of(a=["redis"]), tmp_path / "i.db"
    file.write_bytes(b"not a database at all" * 100)
    notes: list[str] = []
    result = found(store, "redis", index=file, large=0, note=notes.append)
    assert places(result) == [("a", 1)]
    assert not result.indexed
    assert "without the index" in notes[-1]
    assert found(store, "redis", index=file, large=0).indexed


def test_an_index_that_another_search_holds_is_done_without(tmp_path: Path) -> None:
    store, file = store_of(a=["redis"]), tmp_path / "i.db"
    found(store, "redis", index=file, large=0)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        result = found(store, "redis", index=file, large=0)
    finally:
        other.close()
    assert places(result) == [("a", 1)]
    assert not result.indexed
    assert found(store, "redis", index=file, large=0).indexed


def test_two_searches_at_once_are_both_right(tmp_path: Path) -> None:
    store, file = store_of(a=["redis"] * 50, b=["redis"]), tmp_path / "i.db"

    async def both() -> list[Found]:
        return await asyncio.gather(
            *(search(store, "redis", k=60, index=file, large=0) for _ in range(4))
        )

    for result in asyncio.run(both()):
        assert len(result.hits) == 51


def test_only_what_is_new_is_read_again(tmp_path: Path) -> None:
    store, file = store_of(a=["redis"] * 500), tmp_path / "i.db"
    found(store, "redis", index=file, large=0)
    asyncio.run(store.append([Part(Conversation("a"), [Message("user", "newer redis")])]))
    reads: list[int] = []
    whole = store._page
    store._page = lambda *args: (reads.append(1), whole(*args))[1]  # type: ignore[method-assign]
    result = found(store, "newer", index=file, large=0)
    assert places(result) == [("a", 501)]
    assert result.indexed
    assert len(reads) < 30


def test_an_interrupted_search_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    store, file = store_of(a=["redis " * 50] * 3000), tmp_path / "i.db"
    whole, pages = store._page, list[int]()

    async def interrupted() -> None:
        task = asyncio.create_task(search(store, "redis", index=file, large=0))

        def cancelling(*args: Any) -> Any:
            pages.append(1)
            if len(pages) == 800:
                task.cancel()
            return whole(*args)

        store._page = cancelling  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    result = found(store, "redis", index=file, large=0)
    assert result.indexed
    assert len(result.hits) == 5


def test_a_state_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = found(store_of(a=["redis"]), "redis", index=tmp_path / "file" / "i.db", large=0)
    assert places(result) == [("a", 1)]
    assert not result.indexed


def test_a_forgotten_index_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "i.db"
    found(store_of(a=["redis"]), "redis", index=file, large=0)
    forget(file)
    assert list(tmp_path.glob("i.db*")) == []


def at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def described_store() -> InMemoryStore:
    store = InMemoryStore(page_size=2)
    call = {"id": "1", "name": "redis_get", "arguments": {}}
    talk = [
        Message("user", "hello", created_at=at(1)),
        Message("assistant", "", tool_calls=[call], created_at=at(2)),
        Message("tool", "42", name="redis_get", created_at=at(3)),
        Message("assistant", "Redis says 42"),
    ]
    parts = [
        Part(Conversation("a", title="All of Redis"), talk),
        Part(Conversation("b", title="Other things"), [Message("user", "redis", created_at=at(5))]),
    ]
    asyncio.run(store.append(parts))
    return store


@pytest.mark.parametrize("indexed", [False, True])
def test_titles_and_names_of_tools_are_found(indexed: bool, tmp_path: Path) -> None:
    options = {"index": tmp_path / "i.db", "large": 0} if indexed else {}
    store = described_store()
    result = found(store, "redis", k=9, **options)
    assert [
        (h.conversation_id, h.position, h.role, h.content) for h in result.hits if h.is_title
    ] == [("a", 1, "title", "All of Redis")]
    assert sorted(places(result)) == [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 1)]
    assert {h.title for h in result.hits} == {"All of Redis", "Other things"}
    assert [h.tools for h in result.hits if h.position == 2] == [["redis_get"]]
    assert result.total == 5
    assert found(store, "all redis", **options).total == 1
    assert found(store, "all says", **options).total == 0


@pytest.mark.parametrize("indexed", [False, True])
def test_roles_and_times_choose_and_what_has_no_time_is_counted(
    indexed: bool, tmp_path: Path
) -> None:
    options = {"index": tmp_path / "i.db", "large": 0} if indexed else {}
    store = described_store()

    def chosen(*roles: str, **times: datetime) -> tuple[list[tuple[str, int]], int]:
        result = found(store, "redis", k=9, wanted=Wanted(roles, **times), **options)
        assert result.total == len(result.hits)
        return sorted(places(result)), result.untimed

    assert chosen("assistant") == ([("a", 2), ("a", 4)], 0)
    assert chosen("tool", "user") == ([("a", 3), ("b", 1)], 0)
    assert chosen("title") == ([("a", 1)], 0)
    assert chosen(since=at(2), until=at(3)) == ([("a", 2)], 2)  # the title has no time either
    assert chosen("assistant", since=at(2)) == ([("a", 2)], 1)
    assert chosen("user", until=at(5)) == ([], 0)


def test_a_role_that_utf_8_cannot_carry_is_chosen_exactly(tmp_path: Path) -> None:
    store = InMemoryStore()
    asyncio.run(store.append([Part(Conversation("a"), [Message("\udc80", "redis")])]))
    for options in ({}, {"index": tmp_path / "i.db", "large": 0}):
        for role, count in (("\udc80", 1), ("\\udc80", 0)):
            wanted = Wanted([role])
            assert found(store, "redis", wanted=wanted, **options).total == count


def test_the_total_counts_what_is_not_shown(tmp_path: Path) -> None:
    store = store_of(a=["redis"] * 30, b=["x"])
    for options in ({}, {"index": tmp_path / "i.db", "large": 0}):
        result = found(store, "redis", k=3, **options)
        assert (len(result.hits), result.total) == (3, 30)


@pytest.mark.parametrize("indexed", [False, True])
def test_where_nothing_is_found_near_words_are_told(indexed: bool, tmp_path: Path) -> None:
    options = {"index": tmp_path / "i.db", "large": 0} if indexed else {}
    store = described_store()
    more = [Message("user", "PgBouncer pools"), Message("user", "a radish")]
    asyncio.run(store.append([Part(Conversation("c", title="Thoughts on zebras"), more)]))

    def near(text: str) -> Sequence[str]:
        result = found(store, text, near=True, **options)
        assert result.total == 0
        return result.near

    assert near("redus") == ["redis"]
    assert near("erdis")[0] == "redis"
    assert near("pgbuncer") == ["pgbouncer"]
    assert near("zebra") == ["zebras"]
    assert near("redis pols") == ["pools"]
    assert near("redis radish") == []  # both are there
    assert near("xy") == []
    assert found(store, "redus", **options).near == ()


def test_a_changed_title_is_found_and_one_of_what_is_gone_is_not(tmp_path: Path) -> None:
    store, options = described_store(), {"index": tmp_path / "i.db", "large": 0}

    def titles(text: str) -> list[str]:
        return [h.content for h in found(store, text, k=99, **options).hits if h.is_title]

    assert titles("redis") == ["All of Redis"]
    asyncio.run(store.append([Part(Conversation("a", title="Valkey"), [Message("user", "x")])]))
    assert titles("redis") == []
    assert titles("valkey") == ["Valkey"]
    asyncio.run(store.append([Part(Conversation("a", title=""), [Message("user", "x")])]))
    assert titles("valkey") == []
    asyncio.run(store.delete("b"))
    assert titles("other") == []
    connection = sqlite3.connect(tmp_path / "i.db")
    assert connection.execute("SELECT * FROM title").fetchall() == []
    connection.close()


TEXTS = st.sampled_from(
    ["a", "b", "a b", "b a", "a a c", "é", "語a", "", "a-b", "x" * 50, "ab abc"]
)
TITLES = st.sampled_from([None, "", "a", "b a", "abc", "é"])
MESSAGES = st.builds(
    Message,
    st.sampled_from(["user", "tool"]),
    TEXTS,
    created_at=st.sampled_from([None, at(1), at(2)]),
    tool_calls=st.sampled_from([None, None, [{"name": "a_b"}]]),
    name=st.sampled_from([None, "abc"]),
)
QUERIES = st.sampled_from(["a", "b a", '"a b"', "e", "語", "a*", "ab*", '"b a*"', "x* b*", "語*"])
WANTED = st.builds(
    Wanted,
    st.sampled_from([(), (), ("user",), ("tool", "title")]),
    st.sampled_from([None, None, at(2)]),
    st.sampled_from([None, None, at(2)]),
)
STEPS = st.one_of(
    st.tuples(
        st.just("append"), st.sampled_from("pq"), st.tuples(st.lists(MESSAGES, max_size=40), TITLES)
    ),
    st.tuples(st.just("trim"), st.sampled_from("pq"), st.integers(1, 20)),
    st.tuples(st.just("delete"), st.sampled_from("pq"), st.none()),
    st.tuples(st.just("replace"), st.sampled_from("pq"), st.lists(TEXTS, max_size=3)),
    st.tuples(st.just("search"), QUERIES, WANTED),
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, max_size=12), MESSAGES)
def test_the_index_and_the_scan_say_the_same_of_any_history(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, object]], last: Message
) -> None:
    file = tmp_path_factory.mktemp("index") / "i.db"
    store = InMemoryStore(page_size=3)
    for step, name, value in [*steps, ("append", "p", ([last], "a")), ("search", "a*", Wanted())]:
        if step == "search":
            for only in (None, *store._held):
                plain = found(store, name, k=7, conversation=only, wanted=value)
                indexed = found(
                    store, name, k=7, conversation=only, wanted=value, index=file, large=0
                )
                assert indexed.indexed
                assert indexed.hits == plain.hits
                assert (indexed.total, indexed.untimed) == (plain.total, plain.untimed)
        else:
            asyncio.run(change(store, step, name, value))


async def change(store: InMemoryStore, step: str, name: str, value: object) -> None:
    if step == "append":
        assert isinstance(value, tuple)
        messages, title = value
        await store.append([Part(Conversation(name, title=title), messages)])
    elif name in store._held:
        numbers = store._held[name].numbers
        if step == "delete":
            await store.delete(name)
        elif step == "trim":
            assert isinstance(value, int)
            await store.delete(name, upto=str(numbers[min(value, len(numbers)) - 1]))
        else:
            assert isinstance(value, list)
            messages = [Message("system", text) for text in value]
            await store.replace(Conversation(name), once(messages), upto=str(numbers[0]))


def test_the_index_follows_an_sqlite_file_whatever_happens_to_it(tmp_path: Path) -> None:
    async def both(store: Store, text: str) -> None:
        plain = await search(store, text, k=9)
        indexed = await search(store, text, k=9, index=tmp_path / "i.db", large=0)
        assert indexed.indexed
        assert indexed.hits == plain.hits

    async def live() -> None:
        settings = {"db_path": str(tmp_path / "chat.db")}
        async with open_store("sqlite", settings, write=True) as store:
            texts = ["redis one", "two", "redis three", "four redis redis"] * 10
            part = [Message("user", text) for text in texts]
            await store.append([Part(Conversation("a"), part), Part(Conversation("b"), part[:3])])
            await both(store, "redis")
            await store.append([Part(Conversation("a"), part)], keep=50)
            await both(store, "redis")
            await store.append([Part(Conversation("b"), part)])
            await both(store, "three")
            ends = [page.position(4) async for page in store.read(["a"], limit=5)]
            await store.replace(
                Conversation("a"), once([Message("system", "redis summary")]), upto=ends[0]
            )
            await both(store, "redis summary")
            await store.delete("b")
            await both(store, "redis")

    asyncio.run(live())
