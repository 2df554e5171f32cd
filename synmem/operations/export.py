"""A store's conversations as the bytes of a file, in pieces; memory stays flat."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from typing import cast

from synmem.formats import TakesLines, TakesListing, TakesNumbers, Writer
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.listing import Match, listing
from synmem.operations.looking import Skipped, check_unchanged, infos_of
from synmem.store import ConversationInfo, Lines, Page, Store, SupportsLines

_PIECE = 1 << 18


class Export:
    """One export; when `pieces` is through, it tells what was in them and what could not be."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self.conversations = self.messages = 0
        self.unreadable: list[Skipped] = []
        """Records left out, the first 1,000."""
        self.left_out = 0
        self.bare: dict[str, str] = {}
        """Conversations that go without their title or extra, and why; the first 1,000."""
        self._store = store
        self._writer = writer
        self._takes_lines = writer if isinstance(writer, TakesLines) else None
        self._with_lines = (
            store if self._takes_lines is not None and isinstance(store, SupportsLines) else None
        )
        self._takes_listing = writer if isinstance(writer, TakesListing) else None
        self._takes_numbers = writer if isinstance(writer, TakesNumbers) else None
        self._alone = False
        self._current: str | None = None
        self._begun = False
        self._number = 0

    async def pieces(
        self, *, ids: Sequence[str] | None = None, match: Match = None
    ) -> AsyncIterator[bytes]:
        """The file, in pieces of some hundred kilobytes.

        ConversationNotFound, before the first piece, where one of `ids` is not there. A record
        that cannot be read is left out and remembered; the conversation goes on behind it. Changed,
        before the last piece, where the store is a file that was written over meanwhile.
        """
        details = self._with_lines is None and (
            bool(self._store.holds.conversation_fields) or self._takes_listing is not None
        )
        piece: list[bytes] = []
        size = 0
        begun = False
        pages = listing(self._store, ids=ids, match=match, details=details)
        async for infos, self._alone in _alone(pages):
            if not begun:
                piece.append(self._writer.begin())
                begun = True
            named = {info.id: info for info in infos}
            async for each in self._read(named):
                piece.append(self._written(each, named))
                size += len(piece[-1])
                if size >= _PIECE:
                    yield b"".join(piece)
                    piece, size = [], 0
        await check_unchanged(self._store)
        end = self._writer.end() if begun else self._writer.begin() + self._writer.end()
        yield b"".join(piece) + end

    async def _read(self, infos: dict[str, ConversationInfo]) -> AsyncIterator[Lines | Page]:
        """The conversations, as lines where the store makes what the writer takes: then titles
        and extras are put into `infos` of those few that have any."""
        if self._with_lines is None:
            async for page in self._store.read(list(infos)):
                yield page
            return
        described = await self._with_lines.described(list(infos))
        infos |= await infos_of(self._store, described, details=True)
        async for each in self._with_lines.lines(list(infos), apart=described):
            yield each

    def _written(self, each: Lines | Page, infos: dict[str, ConversationInfo]) -> bytes:
        return self._lines(each, infos) if isinstance(each, Lines) else self._page(each, infos)

    def _lines(self, lines: Lines, infos: dict[str, ConversationInfo]) -> bytes:
        assert self._takes_lines is not None
        self.messages += lines.messages
        if len(lines.conversations) == 1:
            head = self._begin(lines.conversations[0], infos)
            return head + self._takes_lines.lines(0, lines.messages, lines.data)
        self._current = None
        self.conversations += len(lines.conversations)
        return self._takes_lines.lines(len(lines.conversations), lines.messages, lines.data)

    def _page(self, page: Page, infos: dict[str, ConversationInfo]) -> bytes:
        if page.conversation != self._current:
            self._current, self._begun, self._number = page.conversation, False, 0
        messages = self._readable(page)
        number, self._number = self._number + 1, self._number + len(page.items)
        if not messages:
            return b""
        head = b"" if self._begun else self._begin(page.conversation, infos)
        self.messages += len(messages)
        if self._takes_numbers is None:
            return head + self._writer.messages(messages)
        return head + b"".join(self._runs(self._takes_numbers, page.items, number))

    def _runs(
        self, numbers: TakesNumbers, items: Sequence[Message | Unreadable], number: int
    ) -> Iterator[bytes]:
        """Those that stand together, with the number of the first."""
        for readable, group in groupby(items, lambda item: type(item) is Message):
            run = list(group)
            if readable:
                numbers.number(number)
                yield self._writer.messages(cast(list[Message], run))
            number += len(run)

    def _begin(self, conversation: str, infos: dict[str, ConversationInfo]) -> bytes:
        info = infos[conversation]
        self._current, self._begun = conversation, True
        self.conversations += 1
        if info.unreadable is not None:
            self.left_out += 1
            if len(self.bare) < 1_000:
                self.bare[conversation] = info.unreadable
        if self._takes_listing is not None:
            self._takes_listing.listed(info, alone=self._alone)
        return self._writer.conversation(Conversation(info.id, info.title, info.extra))

    def _readable(self, page: Page) -> Sequence[Message]:
        messages = [item for item in page.items if type(item) is Message]
        if len(messages) < len(page.items):
            for number, item in enumerate(page.items, self._number + 1):
                if isinstance(item, Unreadable):
                    self._leave_out(page.conversation, number, item)
        return messages

    def _leave_out(self, conversation: str, number: int, item: Unreadable) -> None:
        self.left_out += 1
        if len(self.unreadable) < 1_000:
            self.unreadable.append(Skipped(conversation, number, item.reason))


async def _alone(
    pages: AsyncIterator[list[ConversationInfo]],
) -> AsyncIterator[tuple[list[ConversationInfo], bool]]:
    """Each page, and whether it is all there is: a single conversation."""
    held: list[ConversationInfo] | None = None
    first = True
    async for page in pages:
        if held is not None:
            yield held, False
            held = None
        if first and len(page) == 1:
            held = page
        else:
            yield page, False
        first = False
    if held is not None:
        yield held, True
