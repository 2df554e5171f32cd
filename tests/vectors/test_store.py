"""The built-in vector store, and SynapseKit's in its place."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from synmem.errors import CorruptData, ModelError, StoreError, StoreUnavailable
from synmem.vectors import AnyVectorStore, SupportsDelete, VectorStore, WordLlama

TEXTS = [
    "Grace drinks green tea every morning",
    "The deployment to production failed at midnight",
    "My dog is called Rex and he is three years old",
]


class Counting(WordLlama):
    """WordLlama under another name, that writes down what it is given."""

    def __init__(self, model: str = "counting", size: int = 256) -> None:
        super().__init__()
        self.model = model
        self.size = size
        self.texts: list[str] = []
        self.fails = False

    async def embed(self, texts: list[str]) -> np.ndarray:
        if self.fails:
            raise ModelError("no model today")
        self.texts += texts
        return (await super().embed(texts))[:, : self.size]


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "recall.db")


def filled(store: AnyVectorStore) -> None:
    asyncio.run(store.add(TEXTS, [{"n": i, "role": "user"} for i in range(3)]))


def found(store: AnyVectorStore, query: str, k: int = 5) -> list[str]:
    return [each["text"] for each in asyncio.run(store.search(query, k))]


@pytest.mark.parametrize("kind", ["built in", "SynapseKit's"])
def test_texts_are_found_by_their_meaning(kind: str, tmp_path: Path) -> None:
    from synapsekit.retrieval.vectorstore import InMemoryVectorStore

    store: AnyVectorStore = (
        VectorStore(tmp_path / "recall.db")
        if kind == "built in"
        else InMemoryVectorStore(WordLlama())
    )
    assert found(store, "anything") == []
    filled(store)
    assert found(store, "what is the name of my puppy?", 1) == TEXTS[2:]
    assert found(store, "beverage", 1) == TEXTS[:1]
    first = asyncio.run(store.search("release outage", top_k=1))[0]
    assert set(first) == {"text", "score", "metadata"}
    assert first["metadata"] == {"n": 1, "role": "user"}
    assert 0 < first["score"] < 1
    assert found(store, "x", 0) == []
    assert len(found(store, "x", 99)) == 3


def test_only_a_store_that_forgets_says_so(store: VectorStore) -> None:
    from synapsekit.retrieval.vectorstore import InMemoryVectorStore

    assert isinstance(store, SupportsDelete)
    assert not isinstance(InMemoryVectorStore(WordLlama()), SupportsDelete)


def test_a_file_is_remembered_from_one_object_to_the_next(tmp_path: Path) -> None:
    filled(VectorStore(tmp_path / "recall.db"))
    again = VectorStore(str(tmp_path / "recall.db"))
    assert asyncio.run(again.count()) == 3
    assert found(again, "hound", 1) == TEXTS[2:]
    assert (tmp_path / "recall.db").stat().st_mode & 0o777 == 0o600


def test_searching_makes_no_file(store: VectorStore, tmp_path: Path) -> None:
    assert found(store, "x") == []
    assert asyncio.run(store.count()) == 0
    assert asyncio.run(store.delete()) == 0
    asyncio.run(store.add([], []))
    assert not (tmp_path / "recall.db").exists()


def test_texts_and_metadata_come_back_exactly(store: VectorStore) -> None:
    texts = ["a\ud800b", "nul \0 and \U0001f600", "é" * 10_000, "  spaces  "]
    metadata = [{"x": [1, 2.5, None, {"y": "\ud800"}]}, {"big": 2**70}, {}, {"": ""}]
    asyncio.run(store.add(texts, metadata))
    back = asyncio.run(store.search("anything at all"))
    assert sorted((each["text"], repr(each["metadata"])) for each in back) == sorted(
        (text, repr(each)) for text, each in zip(texts, metadata, strict=True)
    )


def test_a_text_without_a_word_is_kept_but_not_found(store: VectorStore) -> None:
    asyncio.run(store.add(["", " \n", "word"]))
    assert asyncio.run(store.count()) == 3
    assert found(store, "word") == ["word"]
    assert found(store, "  ") == []


def test_a_long_text_is_found_by_any_part_of_it(store: VectorStore) -> None:
    needle = "The dentist appointment is on Thursday."
    filler = "Shares rose as the central bank kept its interest rate unchanged. " * 200
    asyncio.run(store.add([filler + needle + filler, filler]))
    assert found(store, "when do I see the dentist?", 2)[0] == filler + needle + filler
    assert len(found(store, "when do I see the dentist?", 9)) == 2  # each once


def test_metadata_for_some_texts_only_is_refused(store: VectorStore) -> None:
    with pytest.raises(ValueError, match="one entry for each text"):
        asyncio.run(store.add(TEXTS, [{}]))


def test_search_and_delete_take_a_filter(store: VectorStore, tmp_path: Path) -> None:
    filled(store)
    asyncio.run(store.add(["A cat named Tom"], [{"n": 9, "role": "assistant"}]))
    only = asyncio.run(store.search("pet", 9, metadata_filter={"role": "assistant"}))
    assert [each["text"] for each in only] == ["A cat named Tom"]
    assert asyncio.run(store.delete({"role": "user", "n": 2})) == 1
    assert asyncio.run(store.delete({"role": "user", "n": 2})) == 0
    assert found(store, "pet", 1) == ["A cat named Tom"]
    assert asyncio.run(store.count()) == 3
    assert asyncio.run(store.delete()) == 3
    assert found(store, "pet") == []
    filled(store)
    assert found(store, "pet", 1) == TEXTS[2:]


def test_what_was_deleted_is_not_in_the_file_any_more(store: VectorStore, tmp_path: Path) -> None:
    filled(store)
    asyncio.run(store.delete({"n": 0}))
    data = (tmp_path / "recall.db").read_bytes()
    assert b"green tea" not in data
    assert b"Rex" in data
    asyncio.run(store.delete())
    assert b"Rex" not in (tmp_path / "recall.db").read_bytes()


def test_where_the_model_fails_nothing_is_added(tmp_path: Path) -> None:
    embedder = Counting()
    store = VectorStore(tmp_path / "recall.db", embedder)
    filled(store)
    embedder.fails = True
    with pytest.raises(ModelError):
        filled(store)
    embedder.fails = False
    assert asyncio.run(store.count()) == 3
    assert len(found(store, "pet")) == 3


@pytest.mark.parametrize("size", [256, 64])
def test_another_model_makes_the_vectors_anew_once(tmp_path: Path, size: int) -> None:
    filled(VectorStore(tmp_path / "recall.db", Counting("one")))
    # A model that changed its length under its old name is another one too.
    other = Counting("one" if size == 64 else "two", size)
    store = VectorStore(tmp_path / "recall.db", other)
    assert found(store, "puppy", 1) == TEXTS[2:]
    assert sorted(other.texts) == sorted([*TEXTS, "puppy"])
    asyncio.run(store.add(["A cat named Tom"]))
    other.texts.clear()
    assert found(store, "feline", 1) == ["A cat named Tom"]
    assert other.texts == ["feline"]


def test_a_text_added_with_another_model_is_found_too(tmp_path: Path) -> None:
    one, two = Counting("one"), Counting("two")
    filled(VectorStore(tmp_path / "recall.db", one))
    asyncio.run(VectorStore(tmp_path / "recall.db", two).add(["A cat named Tom"]))
    assert found(VectorStore(tmp_path / "recall.db", one), "feline", 1) == ["A cat named Tom"]
    assert one.texts.count("A cat named Tom") == 1


ADDING = """
import asyncio, sys
from synmem.vectors import VectorStore
async def add():
    store = VectorStore(sys.argv[1])
    for i in range(15):
        await store.add([f"text {sys.argv[2]} {i}"], [{"writer": sys.argv[2], "i": i}])
asyncio.run(add())
"""


def test_processes_that_add_at_once_lose_nothing(store: VectorStore, tmp_path: Path) -> None:
    file = str(tmp_path / "recall.db")
    running = [
        subprocess.Popen([sys.executable, "-c", ADDING, file, str(n)], stderr=subprocess.PIPE)
        for n in range(3)
    ]
    for process in running:
        assert process.communicate()[1] == b""
    back = asyncio.run(store.search("text", 999))
    assert len({(each["metadata"]["writer"], each["metadata"]["i"]) for each in back}) == 45


def test_tasks_share_a_store(store: VectorStore) -> None:
    async def together() -> int:
        await asyncio.gather(*(store.add([f"text {i}"]) for i in range(20)))
        await asyncio.gather(*(store.search("text") for _ in range(5)))
        return await store.count()

    assert asyncio.run(together()) == 20


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE text(x)")
    db.close()
    before = file.read_bytes()
    for work in (VectorStore(file).search("x"), VectorStore(file).add(["x"])):
        with pytest.raises(CorruptData, match="no vector store"):
            asyncio.run(work)
    assert file.read_bytes() == before
    file.write_bytes(b"hello" * 999)
    with pytest.raises(CorruptData):
        asyncio.run(VectorStore(file).search("x"))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        asyncio.run(VectorStore(tmp_path / "no" / "recall.db").add(["x"]))
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_held_is_unavailable(
    store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.vectors.store._BUSY_S", 0.1)
    filled(store)
    other = sqlite3.connect(tmp_path / "recall.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable):
        filled(store)
    other.close()
    filled(store)


def test_the_tables_are_as_documented(store: VectorStore, tmp_path: Path) -> None:
    filled(store)
    db = sqlite3.connect(tmp_path / "recall.db")
    assert db.execute("SELECT id, text, metadata, embedded FROM text").fetchone() == (
        1, TEXTS[0].encode(), '{"n":0,"role":"user"}', 1,
    )  # fmt: skip
    numbers, vectors = db.execute("SELECT numbers, vectors FROM block").fetchone()
    assert np.frombuffer(numbers, "<u4").tolist() == [1, 2, 3]
    assert np.frombuffer(vectors, "<f2").shape == (3 * 256,)
    assert db.execute("SELECT kind FROM about").fetchall() == [
        ("wordllama/l2_supercat_256, 256 numbers",)
    ]
    db.close()
