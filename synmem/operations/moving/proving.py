"""Whether a destination holds what was written to it: read back, and compared by its proof."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from synmem.operations.looking import infos_of
from synmem.operations.moving.batch import Route, Watch
from synmem.operations.moving.compare import description_hashes, description_of
from synmem.operations.moving.receipt import Entry
from synmem.operations.proof import Proof, compared_lines, readable
from synmem.store import START, ConversationInfo, Page, SupportsCopy


class ReadingBack:
    """Reads the destination of a route again; `watch` is told of every message."""

    def __init__(self, route: Route, watch: Watch) -> None:
        self._route = route
        self._dest = route.dest
        self._watch = watch

    async def proven(self, entries: Sequence[Entry]) -> set[str]:
        """The conversations of these entries that are there as they were written."""
        found = await self._read_back([e for e in entries if not e.rows])
        found |= await self._digests([e for e in entries if e.rows])
        descriptions = await self._description_of(entries)
        proven = set()
        for entry in entries:
            name = entry.conversation
            good = found.get(name) == entry.digest or await self._is_there(entry)
            there = descriptions.get(name, {})
            if good and all(there.get(f) == value for f, value in entry.description.items()):
                proven.add(name)
        return proven

    async def _read_back(self, entries: Sequence[Entry]) -> dict[str, str]:
        """The proof of as many messages as each entry says, as they are in the destination."""
        proofs = {e.conversation: self._route.pair.proof() for e in entries}
        whole = {e.conversation: e for e in entries if e.after == START}
        if whole:
            await self._take_back(self._dest.read(list(whole)), whole, proofs)
        for e in entries:
            if e.after != START:
                pages = self._dest.read([e.conversation], after=e.after, limit=e.messages)
                await self._take_back(pages, {e.conversation: e}, proofs)
        return {conversation: str(proof) for conversation, proof in proofs.items()}

    async def _digests(self, entries: Sequence[Entry]) -> dict[str, str]:
        """What the destination says of those that it copied by itself, from its rows."""
        if not entries or not isinstance(self._dest, SupportsCopy):
            return {}
        self._watch(sum(entry.messages for entry in entries))
        return await self._dest.digests([entry.conversation for entry in entries])

    async def _take_back(
        self, pages: AsyncIterator[Page], entries: dict[str, Entry], proofs: dict[str, Proof]
    ) -> None:
        async for page in pages:
            proof = proofs[page.conversation]
            items = page.items[: entries[page.conversation].messages - proof.messages]
            if readable(items):
                proof.take(items, compared_lines(items, self._route.holds))
            self._watch(len(page.items))

    async def _is_there(self, entry: Entry) -> bool:
        """Whether source and destination agree after all: a proof may differ without cause."""
        if self._route.options.exact:
            return False
        info = ConversationInfo(id=entry.source)
        states = self._route.pair.compare_one(info, None, entry.conversation, entry.after)
        async with aclosing(states) as founds:
            async for found in founds:
                return found.at >= entry.messages
        return False

    async def _description_of(self, entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
        ids = [entry.conversation for entry in entries if entry.description]
        found = await infos_of(self._dest, ids, details=True)
        return {
            i: description_hashes(description_of(info, self._route.holds))
            for i, info in found.items()
        }
