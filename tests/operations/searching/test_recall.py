"""Search by meaning: what it finds, and how its index follows the store."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synmem.backends import open_store
from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound, ModelError, UsageError
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.derived import forget, meaning_file
from synmem.operations.searching import meaning_index
from synmem.operations.searching.recall import Meanings
from synmem.operations.searching.search import Found, search
from synmem.operations.searching.wanted import Wanted
from synmem.store import Part, Store, once
from synmem.vectors import WordLlama
from synmem.vectors.embedding import EMBEDDED


class Counting(WordLlama):
    """WordLlama that writes down what it is given, and fails when it is told to."""

    def __init__(self, model: str = "counting", size: int = 256) -> None:
        super().__init__()
        self.model = model
        self.size = size
        self.texts: list[str] = []
        self.good_for: float = float("inf")

    async def embed(self, texts: list[str]) -> np.ndarray:
        if len(self.texts) + len(texts) > self.good_for:
            raise ModelError("no credit left")
        self.texts += texts
        return (await super().embed(texts))[:, : self.size]

    def asked(self) -> list[str]:
        """What it was given since it was asked last, without the query."""
        found, self.texts = self.texts, []
        return sorted(text for text in found if text != "query")


MODEL = WordLlama()


def store_of(**conversations: list[str]) -> InMemoryStore:
    store = InMemoryStore(page_size=2)
    asyncio.run(add(store, **conversations))
    return store


async def add(store: Store, **conversations: list[str]) -> None:
    await store.append(
        [
            Part(Conversation(name), [Message("user", text) for text in texts])
            for name, texts in conversations.items()
        ]
    )


def found(store: Store, text: str, index: Path | None = None, **options: Any) -> Found:
    embedder = options.pop("embedder", None) or MODEL
    heard = options.pop("heard", [])
    meanings = Meanings(store, embedder, index, note=heard.append)
    return asyncio.run(meanings.search(text, **options))


def contents(result: Found) -> list[str]:
    return [hit.content for hit in result.hits]


# --- what is found --------------------------------------------------------------------------


def at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


@pytest.mark.parametrize("roles", [(), ("user",), ("assistant", "\udc80")])
@pytest.mark.parametrize("since", [None, at(2)])
@pytest.mark.parametrize("until", [None, at(3)])
def test_of_roles_and_times_the_nearest_are_those_of_all_that_are_wanted(
    roles: tuple[str, ...], since: datetime | None, until: datetime | None, tmp_path: Path
) -> None:
    store = InMemoryStore(page_size=2)
    talk = [
        Message(role, f"{text} {day}", created_at=None if day is None else at(day))
        for role in ("user", "assistant", "\udc80")
        for day in (1, 2, 3, None)
        for text in ("the cat", "a long journey " * 200)
    ]
    parts = [Part(Conversation("a", title="T"), talk), Part(Conversation("b"), talk[:5])]
    asyncio.run(store.append(parts))
    every = found(store, "animal", k=99).hits
    wanted = [
        hit for hit in every
        if hit.role in (roles or (hit.role,))
        and ((since is None and until is None) or hit.created_at is not None)
        and (since is None or (hit.created_at or at(1)) >= since)
        and (until is None or (hit.created_at or at(9)) < until)
    ]  # fmt: skip
    for _ in range(2):  # indexed now, and before
        result = found(store, "animal", tmp_path / "i.db", k=7, wanted=Wanted(roles, since, until))
        assert result.hits == wanted[:7]
        assert {hit.title for hit in result.hits if hit.conversation_id == "a"} <= {"T"}
        by_time = since is not None or until is not None
        untimed = [h for h in every if h.created_at is None and h.role in (roles or (h.role,))]
        assert result.untimed == (len(untimed) if by_time else 0)


TALK = {
    "trip": [
        "We land in Lisbon on Friday and stay for four nights.",
        "The hotel is next to the river.",
        "Do not forget your passport.",
        "Breakfast is included in the price of the room.",
    ],
    "work": [
        "The deployment failed because the disk was full.",
        "The invoice for March has not been paid yet.",
        "She wants to leave the company and look for another job.",
        "The meeting is moved to half past three.",
    ],
    "home": [
        "The washing machine leaks water on the floor.",
        "Our son has a fever and stays in bed.",
        "The cat brought a mouse into the kitchen.",
        "I planted tomatoes and basil on the balcony.",
    ],
}
PARAPHRASES = {
    "airplane arrives in Portugal": "We land in Lisbon on Friday and stay for four nights.",
    "child is sick": "Our son has a fever and stays in bed.",
    "employee quits": "She wants to leave the company and look for another job.",
    "bill outstanding": "The invoice for March has not been paid yet.",
    "growing vegetables in the garden": "I planted tomatoes and basil on the balcony.",
    "postponed conference": "The meeting is moved to half past three.",
    "server out of storage space": "The deployment failed because the disk was full.",
    "the laundry appliance is broken": "The washing machine leaks water on the floor.",
    "pets": "The cat brought a mouse into the kitchen.",
    "travel documents": "Do not forget your passport.",
}


@pytest.mark.parametrize("query", PARAPHRASES)
def test_a_paraphrase_is_found_that_shares_no_word(query: str) -> None:
    store = store_of(**TALK)
    assert not asyncio.run(search(store, query)).hits
    result = found(store, query, k=1)
    assert contents(result) == [PARAPHRASES[query]]


def test_a_hit_says_where_it_stands(tmp_path: Path) -> None:
    hit = found(store_of(**TALK), "child is sick", tmp_path / "i.db").hits[0]
    assert (hit.conversation_id, hit.position, hit.role) == ("home", 2, "user")
    assert 0 < hit.score < 1


def test_the_nearest_come_first_and_no_more_than_were_asked_for(tmp_path: Path) -> None:
    result = found(store_of(**TALK), "the hotel room", tmp_path / "i.db", k=7)
    scores = [hit.score for hit in result.hits]
    assert len(scores) == 7
    assert scores == sorted(scores, reverse=True)


def test_one_conversation_alone_is_searched_and_indexed(tmp_path: Path) -> None:
    embedder = Counting()
    store = store_of(**TALK)
    result = found(store, "query", tmp_path / "i.db", conversation="home", embedder=embedder, k=99)
    assert {hit.conversation_id for hit in result.hits} == {"home"}
    assert embedder.asked() == sorted(TALK["home"])
    assert len(found(store, "query", tmp_path / "i.db", embedder=embedder, k=99).hits) == 12
    assert embedder.asked() == sorted(TALK["trip"] + TALK["work"])


def test_a_conversation_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ConversationNotFound):
        found(store_of(**TALK), "x", conversation="nobody")


def test_an_empty_query_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        found(store_of(**TALK), " \n")


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    assert found(InMemoryStore(), "x", tmp_path / "i.db").hits == []


def test_messages_without_text_and_of_hostile_text_are_no_obstacle(tmp_path: Path) -> None:
    texts = ["", " \n ", "nul \0", "lone \ud800", "\U0001f600", "x" * 30_000, "the dog barks"]
    store = store_of(a=texts)
    result = found(store, "puppy", tmp_path / "i.db", k=9)
    assert sorted(contents(result)) == sorted(texts[2:])
    assert result.hits[0].position == 7


def test_an_unreadable_record_is_named_and_counts_as_a_position(tmp_path: Path) -> None:
    store = store_of(a=["x", "y", "the dog barks"])
    store._held["a"].messages[1] = Unreadable("7", "bad \ud800 JSON")
    for _ in range(2):
        result = found(store, "hound", tmp_path / "i.db", k=1)
        assert [(hit.position, hit.content) for hit in result.hits] == [(3, "the dog barks")]
        assert [(each.conversation_id, each.position) for each in result.unreadable] == [("a", 2)]


def test_a_needle_in_a_long_message_is_found() -> None:
    filler = "Shares rose as the central bank kept its interest rate unchanged. " * 300
    needle = filler + "The dentist appointment is on Thursday, in the morning. " + filler
    store = store_of(a=[filler, needle, "Hello there"])
    assert found(store, "when do I see the dentist?", k=1).hits[0].position == 2


# --- the index follows the store ------------------------------------------------------------


def test_only_what_is_new_is_embedded(tmp_path: Path) -> None:
    embedder, index, heard = Counting(), tmp_path / "i.db", []
    store = store_of(a=[f"text {i}" for i in range(40)], b=["other"])
    found(store, "query", index, embedder=embedder, heard=heard)
    assert len(embedder.asked()) == 41
    assert heard == ["indexed 41 messages"]
    found(store, "query", index, embedder=embedder, heard=heard)
    assert embedder.asked() == []
    assert len(heard) == 1
    asyncio.run(add(store, a=["new 1", "new 2"], c=["new 3"]))
    result = found(store, "new 2", index, embedder=embedder, k=1)
    assert (result.hits[0].conversation_id, result.hits[0].position) == ("a", 42)
    assert embedder.asked() == ["new 1", "new 2", "new 2", "new 3"]


def test_what_was_deleted_trimmed_or_replaced_is_not_found(tmp_path: Path) -> None:
    index, embedder = tmp_path / "i.db", Counting()
    store = store_of(a=["alpha", "beta", "gamma"], b=["delta"], c=["epsilon", "zeta"])
    assert len(found(store, "query", index, embedder=embedder, k=99).hits) == 6
    positions = [page.position(0) for page in asyncio.run(pages(store, "a"))]

    async def change() -> None:
        await store.delete("b")
        await store.delete("a", upto=positions[0])
        await store.replace(
            Conversation("c"), once([Message("system", "eta")]),
            upto=(await pages(store, "c"))[0].position(0),
        )  # fmt: skip

    embedder.asked()
    asyncio.run(change())
    result = found(store, "query", index, embedder=embedder, k=99)
    assert sorted(contents(result)) == sorted(contents(found(store, "query", k=99)))
    assert "alpha" not in embedder.asked()
    for hit in result.hits:
        assert hit.content in asyncio.run(texts(store, hit.conversation_id))


async def pages(store: Store, name: str) -> list[Any]:
    return [page async for page in store.read([name])]


async def texts(store: Store, name: str) -> list[str]:
    return [item.content for page in await pages(store, name) for item in page.items]


def test_a_conversation_of_the_same_name_and_length_is_another_one(tmp_path: Path) -> None:
    index = tmp_path / "i.db"
    store = store_of(a=["apples", "pears"])
    found(store, "fruit", index)
    asyncio.run(store.delete("a"))
    asyncio.run(add(store, a=["trains", "buses"]))
    assert sorted(contents(found(store, "fruit", index))) == ["buses", "trains"]


def test_a_text_changed_in_the_middle_is_never_shown_as_it_was(tmp_path: Path) -> None:
    index = tmp_path / "i.db"
    store = store_of(a=["first", "apples", "last"])
    found(store, "fruit", index)
    # Behind the store's back: the same number of messages, the same ends.
    store._held["a"].messages[1] = Message("user", "trains")
    assert sorted(contents(found(store, "fruit", index))) == ["first", "last", "trains"]


WORDS = ["apples", "trains", "Lisbon", "", "the dog barks"]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["append", "trim", "replace", "delete", "search"]),
        st.sampled_from("ab"),
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=20),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(CHANGES)
def test_whatever_happens_to_a_store_the_index_says_what_a_new_one_would(
    tmp_path: Path, changes: list[tuple[str, str, list[str]]]
) -> None:
    store, index = InMemoryStore(page_size=7), tmp_path / "i.db"
    index.unlink(missing_ok=True)
    for what, name, some in [*changes, ("search", "a", [])]:
        asyncio.run(change(store, what, name, some))
        if what == "search":
            kept, fresh = found(store, "query", index, k=99), found(store, "query", k=99)
            assert sorted(kept.hits, key=str) == sorted(fresh.hits, key=str)


async def change(store: InMemoryStore, what: str, name: str, some: list[str]) -> None:
    if what == "append":
        await add(store, **{name: some})
    found = [page.position(i) for page in await pages(store, name) for i in range(len(page.items))]
    if not found:
        return
    if what == "delete":
        await store.delete(name)
    upto = found[min(len(some), len(found)) - 1]
    if what == "trim":
        await store.delete(name, upto=upto)
    if what == "replace":
        texts = [Message("system", text) for text in some]
        await store.replace(Conversation(name), once(texts), upto=upto)


def test_another_model_or_length_makes_the_index_anew(tmp_path: Path) -> None:
    store, index = store_of(**TALK), tmp_path / "i.db"
    for embedder in (Counting("one"), Counting("two"), Counting("two", 64), Counting("one")):
        assert len(found(store, "query", index, embedder=embedder, k=99).hits) == 12
        assert len(embedder.asked()) == 12
        found(store, "query", index, embedder=embedder)
        assert embedder.asked() == []


def test_a_run_that_ended_early_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meaning_index, "_PIECES", 10)
    store, index, embedder = store_of(a=[f"t{i}" for i in range(95)]), tmp_path / "i.db", Counting()
    embedder.good_for = 51
    with pytest.raises(ModelError):
        found(store, "query", index, embedder=embedder)
    first = embedder.asked()
    assert len(first) == 50
    embedder.good_for = float("inf")
    assert len(found(store, "query", index, embedder=embedder, k=99).hits) == 95
    assert sorted(first + embedder.asked()) == sorted(f"t{i}" for i in range(95))


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    store, index = store_of(**TALK), tmp_path / "i.db"
    found(store, "x", index)
    index.write_bytes(b"no database" * 1000)
    assert len(found(store, "x", index, k=99).hits) == 12
    data = bytearray(index.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    index.write_bytes(data)
    assert len(found(store, "x", index, k=99).hits) == 12


def test_an_index_of_another_version_is_made_anew(tmp_path: Path) -> None:
    store, index = store_of(**TALK), tmp_path / "i.db"
    found(store, "x", index)
    with sqlite3.connect(index) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("DROP TABLE place")
    db.close()
    assert len(found(store, "x", index, k=99).hits) == 12


def test_where_no_index_can_be_kept_it_is_searched_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    heard: list[str] = []
    result = found(store_of(**TALK), "pets", tmp_path / "file" / "i.db", k=1, heard=heard)
    assert result.hits[0].content == PARAPHRASES["pets"]
    assert "cannot be used" in heard[0]


def test_the_index_is_private_and_the_reading_leaves_the_store_alone(tmp_path: Path) -> None:
    database, index = tmp_path / "chat.db", tmp_path / "state" / "i.db"

    async def use(write: bool) -> None:
        async with open_store("sqlite", {"db_path": str(database)}, write=write) as store:
            if write:
                await add(store, **TALK)
            else:
                await Meanings(store, WordLlama(), index).search("pets")

    asyncio.run(use(True))
    before = database.read_bytes()
    asyncio.run(use(False))
    assert database.read_bytes() == before
    assert index.stat().st_mode & 0o777 == 0o600
    assert index.parent.stat().st_mode & 0o777 == 0o700


def test_an_erasure_leaves_no_vectors() -> None:
    found(store_of(**TALK), "x", meaning_file("id"))
    assert meaning_file("id").exists()
    forget("id", ["trip"])
    assert not list(meaning_file("id").parent.iterdir())
    forget("id", ["trip"])  # twice is once


SEARCHING = """
import asyncio, sys
from pathlib import Path
from synmem.backends import open_store
from synmem.operations.searching import meaning_index
from synmem.operations.searching.recall import Meanings
from synmem.vectors import WordLlama
from synmem.vectors.embedding import EMBEDDED
meaning_index._PIECES = 50
async def main():
    async with open_store("sqlite", {"db_path": sys.argv[1]}) as store:
        found = await Meanings(store, WordLlama(), Path(sys.argv[2])).search("text 77", k=3)
        print([(hit.conversation_id, hit.position) for hit in found.hits])
asyncio.run(main())
"""


def searching(database: Path, index: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", SEARCHING, str(database), str(index)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ,
    )  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "chat.db"

    async def fill() -> None:
        async with open_store("sqlite", {"db_path": str(file)}, write=True) as store:
            names = {f"c{i}": [f"text {i * 20 + j}" for j in range(20)] for i in range(50)}
            await add(store, **names)

    asyncio.run(fill())
    return file


def rows(index: Path) -> list[tuple[int, int]]:
    """How many conversations and vectors an index holds."""
    db = sqlite3.connect(index)
    found = db.execute(
        "SELECT (SELECT count(*) FROM conversation), sum(length(numbers)) / 4 FROM block"
    ).fetchall()
    db.close()
    return found


def test_processes_that_search_at_once_find_the_same_and_index_once(
    database: Path, tmp_path: Path
) -> None:
    running = [searching(database, tmp_path / "i.db") for _ in range(3)]
    ends = [process.communicate() for process in running]
    assert len({out for out, _ in ends}) == 1, ends
    assert b"('c3', 18)" in ends[0][0]
    assert rows(tmp_path / "i.db") == [(50, 1000)]


def test_where_another_search_takes_too_long_the_index_is_asked_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meaning_index, "_WAIT_S", 1.2)
    index, heard = tmp_path / "i.db", list[str]()
    store = store_of(**TALK)
    found(store, "pets", index)
    asyncio.run(add(store, home=["The parrot talks all day"]))
    other = sqlite3.connect(f"{index}.lock", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    result = found(store, "pets", index, k=99, heard=heard)
    other.close()
    assert len(result.hits) == 12
    assert [line.split(":")[0] for line in heard] == [
        "waiting for another search, which is indexing this store",
        "another search is still indexing this store",
    ]
    assert len(found(store, "pets", index, k=99).hits) == 13


@pytest.mark.parametrize("after_s", [0.4, 0.6, 0.8])
def test_a_search_that_was_killed_leaves_an_index_that_the_next_completes(
    database: Path, tmp_path: Path, after_s: float
) -> None:
    first = searching(database, tmp_path / "i.db")
    try:
        first.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        first.kill()
        first.communicate()
    out, error = searching(database, tmp_path / "i.db").communicate()
    assert b"('c3', 18)" in out, error
    assert rows(tmp_path / "i.db") == [(50, 1000)]


# --- what is very long ----------------------------------------------------------------------


def test_of_a_message_that_is_very_long_the_beginning_is_indexed_and_that_is_said(
    tmp_path: Path,
) -> None:
    long = "We land in Lisbon on Friday. " * 20 + "and so on and on. " * 20_000
    embedder, heard = Counting(), list[str]()
    store = store_of(a=["Our son has a fever.", long, long], b=["Tomatoes and basil."])
    result = found(store, "query", tmp_path / "i.db", k=4, embedder=embedder, heard=heard)
    assert len(result.hits) == 4
    assert sum(map(len, embedder.asked())) < 2.1 * EMBEDDED
    assert [each for each in heard if "characters" in each] == [
        "of 2 messages the first 100,000 characters were indexed, no more"
    ]
    near = found(store, "airplane arrives in Portugal", tmp_path / "i.db", k=1, embedder=embedder)
    assert contents(near) == [long]
    again = found(store, "query", tmp_path / "i.db", embedder=embedder, heard=(told := []))
    assert len(again.hits) == 4
    assert not told
