"""What a writer is told while conversations are exported."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.formats import Writer, open_writer
from synmem.messages import Conversation, Holds, Message
from synmem.operations.export import Export
from synmem.operations.parts import Apart, Cut, Limit
from synmem.store import ConversationInfo, Part
from tests.operations.test_parts import Kept


class Told:
    """A writer of what it is told."""

    def __init__(self) -> None:
        self._next = ""

    def begin(self) -> bytes:
        return b"("

    def listed(self, info: ConversationInfo, *, alone: bool) -> None:
        self._next = f"{info.title}/{info.messages}{' alone' if alone else ''}"

    def conversation(self, conversation: Conversation) -> bytes:
        return f"[{conversation.id} {self._next}]".encode()

    def number(self, number: int) -> None:
        self._next = f"{number}:"

    def messages(self, messages: Sequence[Message]) -> bytes:
        assert self._next.endswith(":")
        return f"{self._next}{len(messages)} ".encode()

    def end(self) -> bytes:
        return b")"


def exported(counts: Sequence[int], writer: Writer, match: str | None = None) -> str:
    """What comes of so many conversations, of so many messages, a page of which has two."""

    async def main() -> bytes:
        store = InMemoryStore(page_size=2)
        for name, count in zip("abcdef", counts, strict=False):
            messages = [Message("user", str(i)) for i in range(count)]
            await store.append([Part(Conversation(name, name.upper()), messages)])
        return b"".join([piece async for piece in Export(store, writer).pieces(match=match)])

    return asyncio.run(main()).decode()


@pytest.mark.parametrize(
    ("counts", "match", "told"),
    [
        ([3], None, "([a A/3 alone]1:2 3:1 )"),
        ([1, 1], None, "([a A/1]1:1 [b B/1]1:1 )"),
        ([1, 1, 1], None, "([a A/1]1:1 [b B/1]1:1 [c C/1]1:1 )"),
        ([1, 2, 1], "b", "([b B/2 alone]1:2 )"),
        # The first page has one of them only.
        ([1, 1, 1, 1, 1], "[ae]", "([a A/1]1:1 [e E/1]1:1 )"),
        ([], None, "()"),
    ],
)
def test_a_writer_is_told_what_is_known_before_and_which_message_comes(
    counts: Sequence[int], match: str | None, told: str
) -> None:
    assert exported(counts, Told(), match) == told


def test_files_apart_are_told_that_each_is_alone_and_parts_go_on_with_the_numbers() -> None:
    kept = Kept()
    exported([3, 1], Apart(Told, kept))
    assert kept.files == [b"([a A/3 alone]1:2 3:1 )", b"([b B/1 alone]1:1 )"]
    kept = Kept()
    exported([5], Cut(Told, kept, Limit(3, bytes=False)))
    assert kept.files == [b"([a A/5 alone]1:2 3:1 )", b"([a A/5 alone]4:1 5:1 )"]


class Untitled(InMemoryStore):
    """A store in which conversations have nothing but messages; it notes whether it was asked."""

    holds = Holds(conversation_fields=frozenset())

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        self.asked.append(details)
        return super().conversations(ids, details=details)


@pytest.mark.parametrize(("form", "asked"), [("csv", False), ("markdown", True)])
def test_a_store_is_asked_for_what_a_listing_knows_where_a_file_says_it(
    form: str, asked: bool
) -> None:
    make = partial(open_writer, form)
    for writer in make(), Apart(make, Kept()), Cut(make, Kept(), Limit(3, bytes=False)):
        store = Untitled()

        async def main(store: Untitled = store, writer: Writer = writer) -> None:
            await store.append([Part(Conversation("a"), [Message("user", "x")])])
            [_ async for _ in Export(store, writer).pieces()]

        asyncio.run(main())
        assert store.asked == [asked]
