"""VectorMemory: the messages nearest in meaning to the last question."""

import contextlib
import inspect
from datetime import UTC, datetime
from typing import Any, Protocol

from synmem.errors import Unsupported
from synmem.memory.base import BaseMemory, Said, at_least, copies, said


class VectorStore(Protocol):
    """What a vector store is here: SynapseKit's own are, and `synmem.vectors` has one."""

    async def add(self, texts: list[str], metadata: list[dict[str, Any]] | None = None) -> Any:
        """Remember texts, each with its metadata."""
        ...

    async def search(self, query: str, top_k: int = 5) -> list[dict[str, Any]]:
        """The nearest, best first, as `{"text", "score", "metadata"}`."""
        ...


_OURS = {"memory": "synmem"}
"""Beside each message: the store may hold what is no message."""


class VectorMemory(BaseMemory):
    """Messages in a vector store (reference: VectorMemory).

    `get` returns the `max_results` messages nearest in meaning to the last user message that
    this object was given, in the order in which they were said. That message itself is one of
    them, and most often the last. A new object over a store that is there already recalls what
    earlier ones were told, once it is given a user message; before that, nothing. So a vector
    store is the memory of one conversation.

    >>> memory = VectorMemory(vector_store, max_results=2)
    >>> for text in ("My cat is called Tom", "Python is a language", "What is my pet's name?"):
    ...     asyncio.run(memory.add("user", text))
    >>> [each["content"] for each in asyncio.run(memory.get())]
    ['My cat is called Tom', "What is my pet's name?"]
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

    async def add(self, role: str, content: str) -> None:
        """Embed and store a message."""
        message = said(role, content)
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        self._number += 1
        where = {**_OURS, "role": role, "content": content, "at": at, "number": self._number}
        await self._vectors.add([content], [where])
        self._seen.append(message)
        if role == "user" and content.strip():
            self._question = content

    async def get(self) -> list[Said]:
        """The messages nearest to the last user message, oldest first; none without one."""
        if self._question is None:
            return []
        hits = await self._vectors.search(self._question, top_k=self._most)
        beside = [{"content": hit.get("text"), **(hit.get("metadata") or {})} for hit in hits]
        found = [each for each in beside if "role" in each]  # else it is no message
        found.sort(key=lambda each: (each.get("at", ""), each.get("number", 0)))
        self._seen = [{"role": each["role"], "content": each["content"]} for each in found]
        return copies(self._seen)

    async def clear(self) -> None:
        """Remove all messages, those of earlier objects too, and nothing else of what the store
        holds; `Unsupported` where the vector store cannot delete."""
        done = self._delete()
        if inspect.isawaitable(done):
            await done
        self._seen, self._question = [], None

    def _delete(self) -> Any:
        by_filter = getattr(self._vectors, "delete", None)
        by_values = getattr(self._vectors, "delete_by_metadata", None)  # SynapseKit's
        with contextlib.suppress(NotImplementedError):
            if callable(by_filter):
                return by_filter(_OURS)
            if callable(by_values):
                ((key, value),) = _OURS.items()
                return by_values(key, {value})
        raise Unsupported("this vector store cannot delete what was added")
