"""SummaryMemory: another memory whose oldest messages give way to a summary."""

import contextlib

from synmem.errors import Changed
from synmem.finishing import to_its_end
from synmem.memory.base import BaseMemory, Bounded, Replaceable, Said, at_least, copies, text
from synmem.memory.llm import checked
from synmem.memory.turn import Turn
from synmem.models import LLM
from synmem.strategies.lines import prompt_line
from synmem.strategies.summary import SUMMARY_HEAD, concise, fold, templated


class SummaryMemory(BaseMemory):
    """Wraps a memory; over `max_messages` its oldest messages are replaced in it by one summary
    message (reference: SummaryMemory).

    The newest half of `max_messages` stays as it is: the result of a tool may stay where its call
    is in the summary, as there. Over the classes of this package that have a
    list or a store the replacement is one atomic step. Over any other BaseMemory there are only
    `get`, `clear` and `add`: a crash between them leaves a part of the new history (a cancellation
    waits until they are done). When the
    model fails, `add` raises what the model raised (`ModelError` where it answers nothing): the
    message is stored (do not add it again), nothing else changed, and the next `add` tries again
    to summarize.

    A record of the store that cannot be read stays, and so does all that stands behind it: only
    what stands before it is summarized, until it was repaired or removed.

    A `backend` of this package that keeps no more than `max_messages` would lose its oldest
    messages before any is summarized: ValueError.

    `summary_prompt` may hold `{conversation}`; else the conversation follows it. An earlier summary
    is the first line of that conversation.

    >>> memory = SummaryMemory(InMemoryConversation(), llm, max_messages=2)
    >>> for text in ("one", "two", "three"):
    ...     asyncio.run(memory.add("user", text))
    >>> [each["content"] for each in asyncio.run(memory.get())]
    ['Summary of earlier conversation:\\nin short', 'three']
    """

    def __init__(
        self,
        backend: BaseMemory,
        llm: LLM,
        max_messages: int = 20,
        summary_prompt: str | None = None,
    ) -> None:
        for method in ("add", "get", "clear"):
            if not callable(getattr(backend, method, None)):
                raise ValueError(f"backend must be a BaseMemory: it has no method {method}")
        at_least(2, max_messages=max_messages)
        if summary_prompt is not None:
            text(summary_prompt=summary_prompt)
        self._backend = backend
        self._llm = checked(llm)
        keeps = backend.keeps if isinstance(backend, Bounded) else None
        if keeps is not None and keeps <= max_messages:
            raise ValueError(
                f"backend keeps {keeps} messages: its oldest are gone before there are more than "
                f"max_messages={max_messages} to summarize; let it keep more, or all"
            )
        self._most = max_messages
        self._prompt = concise if summary_prompt is None else templated(summary_prompt)
        self._turn = Turn()

    async def add(self, role: str, content: str) -> None:
        """Append a message; over the limit, summarize the oldest."""
        async with self._turn:
            await self._backend.add(role, content)
            if isinstance(self._backend, Replaceable):
                await self._replace(self._backend)
            else:
                await self._rewrite()

    async def get(self) -> list[Said]:
        """The messages of the memory beneath; the first may be a summary."""
        return await self._backend.get()

    async def clear(self) -> None:
        """Remove all messages from the memory beneath."""
        await self._backend.clear()

    def to_messages(self) -> list[Said]:
        """See `BaseMemory.to_messages`; of the memory beneath."""
        return copies(self._backend.to_messages())

    async def close(self) -> None:
        """Close the memory beneath."""
        await self._backend.close()

    async def _replace(self, backend: Replaceable) -> None:
        count = await backend.count()
        if count > self._most:
            oldest, which = await backend.oldest(count - self._most // 2)
            if len(oldest) < 2:  # what comes next cannot be read: nothing would be shorter
                return
            summary = await self._summary(oldest)
            # Another program was quicker, and maybe summarized them: else the next `add` does.
            with contextlib.suppress(Changed):
                await backend.replace_oldest(which, "system", summary)

    async def _rewrite(self) -> None:
        messages = await self._backend.get()
        if len(messages) <= self._most:
            return
        cut = len(messages) - self._most // 2
        summary = await self._summary(messages[:cut])
        new = [{"role": "system", "content": summary}, *messages[cut:]]
        await to_its_end(self._write_anew(new))  # a cancellation must not come between

    async def _write_anew(self, messages: list[Said]) -> None:
        await self._backend.clear()
        for message in messages:
            await self._backend.add(message["role"], message["content"])

    async def _summary(self, oldest: list[Said]) -> str:
        lines = [prompt_line(each["role"], each["content"]) for each in oldest]
        return SUMMARY_HEAD + await fold(self._llm, "", lines, self._prompt)
