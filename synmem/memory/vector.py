"""VectorMemory: the messages nearest in meaning to the last question."""

import inspect
import uuid
from typing import Any, Protocol

from synmem.errors import Unsupported
from synmem.memory.base import BaseMemory, Said, at_least, said


class VectorStore(Protocol):
    """What a vector store is here: SynapseKit's own are, and `synmem.vectors` has one."""

    async def add(self, texts: list[str], metadata: list[dict[str, Any]] | None = None) -> Any:
        """Remember texts, each with its metadata."""
        ...

    async def search(self, query: str, top_k: int = 5) -> list[dict[str, Any]]:
        """The nearest, best first, as `{"text", "score", "metadata"}`."""
        ...


class VectorMemory(BaseMemory):
    """Messages in a vector store (reference: VectorMemory).

    `get` returns the `max_results` messages nearest in meaning to the last user message that
    this object was given, in the order in which they were said.

    >>> memory = VectorMemory(vector_store, max_results=1)
    >>> for text in ("My cat is called Tom", "Python is a language", "What is my pet's name?"):
    ...     asyncio.run(memory.add("user", text))
    >>> [each["content"] for each in asyncio.run(memory.get())]
    ["What is my pet's name?"]
    """

    def __init__(self, vector_store: VectorStore, max_results: int = 5) -> None:
        at_least(1, max_results=max_results)
        for method in ("add", "search"):
            if not callable(getattr(vector_store, method, None)):
                raise ValueError(f"vector_store must have a method {method}")
        self._vectors = vector_store
        self._most = max_results
        self._seen: list[Said] = []
        self._question: str | None = None
        self._number = 0
        self._run = uuid.uuid4().hex
        """Tells this object's messages from those of an earlier one in the same store."""

    async def add(self, role: str, content: str) -> None:
        """Embed and store a message."""
        message = said(role, content)
        where = {"role": role, "content": content, "number": self._number, "run": self._run}
        await self._vectors.add([content], [where])
        self._number += 1
        self._seen.append(message)
        if role == "user":
            self._question = content

    async def get(self) -> list[Said]:
        """The messages nearest to the last user message, oldest first; none without one."""
        if self._question is None:
            return []
        hits = await self._vectors.search(self._question, top_k=self._most)
        found = [hit["metadata"] for hit in hits if "role" in hit.get("metadata", {})]
        found.sort(key=lambda each: (each.get("run") == self._run, each.get("number", 0)))
        return [{"role": each["role"], "content": each["content"]} for each in found]

    async def clear(self) -> None:
        """Remove what this object added; `Unsupported` where the vector store cannot delete."""
        delete = getattr(self._vectors, "delete", None)
        if not callable(delete):
            raise Unsupported("this vector store cannot delete what was added")
        done = delete({"run": self._run})
        if inspect.isawaitable(done):
            await done
        self._seen, self._question, self._number = [], None, 0
