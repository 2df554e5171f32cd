"""VectorMemory, over the vector store that is built in and over SynapseKit's own."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from synapsekit.retrieval.vectorstore import InMemoryVectorStore

from synmem.errors import Unsupported
from synmem.memory import VectorMemory
from synmem.vectors import VectorStore, WordLlama

TALK = [
    ("user", "My cat is called Tom"),
    ("assistant", "A lovely name for a cat"),
    ("user", "Python is a programming language"),
    ("assistant", "The stock market fell by two percent"),
    ("user", "What is the name of my cat?"),
]


@pytest.fixture(params=["built in", "synapsekit"])
def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "built in":
        return VectorStore(tmp_path / "v.db")
    return InMemoryVectorStore(WordLlama())  # type: ignore[arg-type]


async def told(memory: VectorMemory, talk: list[tuple[str, str]]) -> None:
    for role, content in talk:
        await memory.add(role, content)


async def contents(memory: VectorMemory) -> list[str]:
    return [each["content"] for each in await memory.get()]


def test_it_recalls_what_is_near_in_the_order_in_which_it_was_said(vectors: Any) -> None:
    async def main() -> None:
        memory = VectorMemory(vectors, max_results=3)
        assert await memory.get() == []
        await told(memory, TALK)
        assert memory.to_messages() == [{"role": r, "content": c} for r, c in TALK]
        expected = [{"role": r, "content": c} for r, c in (TALK[0], TALK[1], TALK[4])]
        assert await memory.get() == expected
        assert memory.to_messages() == expected  # what the last `get` returned

    asyncio.run(main())


def test_several_objects_one_after_the_other_are_one_conversation(vectors: Any) -> None:
    async def main() -> None:
        await told(VectorMemory(vectors), TALK[:1])
        await told(VectorMemory(vectors), TALK[1:4])
        memory = VectorMemory(vectors, max_results=9)
        assert await memory.get() == []  # it was asked nothing yet
        await told(memory, [TALK[4], ("user", "  ")])
        found = await contents(memory)
        assert [each for each in found if each.strip()] == [content for _, content in TALK]

    asyncio.run(main())


def test_clear_forgets_every_message_and_nothing_else(vectors: Any) -> None:
    async def main() -> None:
        await vectors.add(["A document on cats"], [{"source": "cats.md"}])
        await told(VectorMemory(vectors), TALK[:2])
        memory = VectorMemory(vectors)
        await told(memory, TALK[2:])
        await memory.clear()
        assert (await memory.get(), memory.to_string()) == ([], "")
        await told(memory, TALK[4:])
        assert await contents(memory) == [TALK[4][1]]
        left = await vectors.search("cats", top_k=9)
        assert sorted(each["text"] for each in left) == ["A document on cats", TALK[4][1]]

    asyncio.run(main())


def test_messages_added_at_once_keep_their_order(vectors: Any) -> None:
    async def main() -> None:
        memory = VectorMemory(vectors, max_results=99)
        texts = [f"the cat number {n}" for n in range(20)]
        await asyncio.gather(*(memory.add("user", text) for text in texts))
        assert await contents(memory) == texts

    asyncio.run(main())


def test_a_vector_store_that_cannot_delete_says_so() -> None:
    class Plain:
        async def add(self, texts: list[str], metadata: Any = None) -> None: ...
        async def search(self, query: str, top_k: int = 5) -> list[dict[str, Any]]:
            return []

    class Abstract(Plain):
        def delete_by_metadata(self, key: str, values: set[str]) -> int:
            raise NotImplementedError

    for store in (Plain(), Abstract()):
        with pytest.raises(Unsupported):
            asyncio.run(VectorMemory(store).clear())
    with pytest.raises(ValueError, match="vector_store must have a method add"):
        VectorMemory(object())  # type: ignore[arg-type]
