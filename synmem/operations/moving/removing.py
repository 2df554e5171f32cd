"""Removing from the source what was moved: it is whole in the destination, and in a backup."""

import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from synmem.errors import Changed, ConversationNotFound, CorruptData, UsageError
from synmem.messages import FIELDS, Conversation, Message
from synmem.operations.derived import forget_beside
from synmem.operations.keeping.backup import Backup, Kept, NotKept
from synmem.operations.looking import infos_of
from synmem.operations.moving.batch import Route
from synmem.operations.moving.compare import description_line, whole_description_of
from synmem.operations.moving.receipt import Entry, as_utf8
from synmem.store import ConversationInfo, Store, SupportsNotes


class Removing:
    """Removes from the source of a route; with a `backup` nothing that is not in it."""

    def __init__(self, route: Route, backup: Backup | None) -> None:
        self.removed = 0
        self._apart = False
        self._source = route.source
        self._dest = route.dest
        self._backup = backup
        ours, theirs = route.source.holds, route.dest.holds
        held = theirs.fields - ({"created_at"} - route.holds.fields)  # given there: not compared
        self._lost = [field for field in FIELDS if field in ours.fields - held]
        self._filled = route.holds.defaults
        self._extra_of = theirs.extra_of if "extra" in ours.fields else ""
        timed = "created_at" in route.holds.fields
        self._time_us = theirs.time_us if timed and theirs.time_us > ours.time_us else 1

    async def remove(self, entries: Sequence[Entry]) -> AsyncIterator[Entry]:
        """Remove these, each up to the end that was verified; one that stays comes back.

        What grew meanwhile stays, and so does a conversation of which anything was not compared,
        because the destination cannot hold it: here is the only place where that is. UsageError
        where both turn out to be the same store.
        """
        infos = await infos_of(self._source, _sources(entries), details=True)
        there = [each for each in entries if each.source in infos]
        reasons = await self._reasons(there, infos)
        going = [each for each in there if each.source not in reasons]
        await self._check_apart(going)
        kept = await self._keep(going, infos)
        saved = self._backup.removing(self._source) if self._backup else contextlib.nullcontext()
        async with saved:
            for each in there:
                if each.source in reasons:
                    yield self._left(each, "left", reasons[each.source])
                elif (left := await self._remove_one(each, kept.get(each.source))) is not None:
                    yield left

    async def _check_apart(self, entries: Sequence[Entry]) -> None:
        if not self._apart:
            same = await _same_store(self._source, self._dest, entries)
            if same:
                raise UsageError(
                    f"{self._source.name} and {self._dest.name} are the same store",
                    hint="nothing was removed",
                )
            self._apart = same is not None

    async def _reasons(
        self, entries: Sequence[Entry], infos: Mapping[str, ConversationInfo]
    ) -> dict[str, str]:
        """Why some of them must stay."""
        try:
            reasons = {i: why for i, info in infos.items() if (why := info.unreadable)}
            readable = [each for each in entries if each.source not in reasons]
            reasons |= await self._description_lost(readable, infos)
            rest = [each.source for each in entries if each.source not in reasons]
            return reasons | await self._messages_lost(rest)
        except Changed as error:
            return {each.source: f"{error}; run again" for each in entries}

    async def _description_lost(
        self, entries: Sequence[Entry], infos: Mapping[str, ConversationInfo]
    ) -> dict[str, str]:
        """Those whose title or extra is not in the destination."""
        descriptions = {
            each.source: whole_description_of(infos[each.source], self._source.holds)
            for each in entries
        }
        described = [each for each in entries if descriptions[each.source]]
        copies = await infos_of(self._dest, [each.conversation for each in described], details=True)
        reasons: dict[str, str] = {}
        for each in described:
            copy = copies.get(each.conversation)
            there = whole_description_of(copy, self._dest.holds) if copy is not None else {}
            for field, value in descriptions[each.source].items():
                if field not in self._dest.holds.conversation_fields:
                    reasons.setdefault(each.source, f"its {field} does not travel")
                elif field not in there or description_line(there[field]) != description_line(
                    value
                ):
                    reasons.setdefault(each.source, f"its {field} is not in {self._dest.name}")
        return reasons

    async def _messages_lost(self, conversations: list[str]) -> dict[str, str]:
        """Those with a message of which the destination holds less than the source."""
        reasons: dict[str, str] = {}
        if not conversations or not (
            self._lost or self._filled or self._extra_of or self._time_us > 1
        ):
            return reasons
        seen: Counter[str] = Counter()
        async for page in self._source.read(conversations):
            if page.conversation in reasons:
                continue
            for number, item in enumerate(page.items, seen[page.conversation] + 1):
                if isinstance(item, Message) and (lost := self._message_lost(item)):
                    reasons[page.conversation] = f"message {number:,}: its {lost} does not travel"
                    break
            seen[page.conversation] += len(page.items)
        return reasons

    def _message_lost(self, message: Message) -> str | None:
        for field in self._lost:
            if getattr(message, field) not in (None, {}, []):
                return field
        if self._extra_of and (others := (message.extra or {}).keys() - {self._extra_of}):
            return f"extra.{min(others)}"
        for layout, name in self._filled:
            given = (message.extra or {}).get(layout)
            if isinstance(given, dict) and name in given:
                return f"extra.{layout}.{name}"  # a column there, but with a default: not compared
        if message.created_at is not None and message.created_at.microsecond % self._time_us:
            return f"created_at below {self._time_us:,} us"
        return None

    async def _keep(
        self, entries: Sequence[Entry], infos: Mapping[str, ConversationInfo]
    ) -> dict[str, Kept | NotKept]:
        """Back these up, all under one seal; one that changes meanwhile may be missing."""
        kept: dict[str, Kept | NotKept] = {}
        if self._backup is None or not entries:
            return kept
        whole = {i: Conversation(i, infos[i].title, infos[i].extra) for i in _sources(entries)}
        with contextlib.suppress(Changed):  # it ends the whole call: the others go one by one
            async for outcome in self._backup.keep_whole(self._source, list(whole.values())):
                name = outcome.conversation
                kept[name if isinstance(name, str) else name.id] = outcome
        for each in entries:
            if each.source not in kept:
                await self._keep_one(self._backup, each, whole[each.source], kept)
        if any(isinstance(each, Kept) for each in kept.values()):
            self._backup.seal()
        return kept

    async def _keep_one(
        self, backup: Backup, entry: Entry, whole: Conversation, kept: dict[str, Kept | NotKept]
    ) -> None:
        try:
            kept[whole.id] = await backup.keep(self._source, whole, upto=entry.source_end)
        except (Changed, ConversationNotFound, CorruptData) as error:
            kept[whole.id] = NotKept(whole.id, error)

    async def _remove_one(self, entry: Entry, kept: Kept | NotKept | None) -> Entry | None:
        if isinstance(kept, NotKept):
            kind = "left" if isinstance(kept.error, CorruptData) else "changed"
            return self._left(entry, kind, str(kept.error))
        try:
            await self._check_unchanged(entry, kept)
            there = await self._delete(entry, kept)
        except Changed as error:
            return self._left(entry, "changed", f"{error}; run again")
        except CorruptData as error:
            if error.conversation != entry.source:
                raise
            return self._left(entry, "left", str(error))
        self.removed += there
        return None

    async def _check_unchanged(self, entry: Entry, kept: Kept | None) -> None:
        """Changed where anything stands behind what was copied, or something else was kept."""
        try:
            async for _ in self._source.read([entry.source], after=entry.source_end, limit=1):
                raise Changed("there are new messages")
            if self._backup is not None and (kept is None or kept.upto != entry.source_end):
                raise Changed("it changed meanwhile")
        except Changed:
            if self._backup is not None and kept is not None:
                self._backup.void(kept)
            raise

    async def _delete(self, entry: Entry, kept: Kept | None) -> bool:
        if self._backup is None or kept is None:
            await forget_beside(self._source, entry.source)
            return await self._source.delete(entry.source, upto=entry.source_end)
        return await self._backup.delete(self._source, kept)

    def _left(self, entry: Entry, kind: str, why: str) -> Entry:
        problem = as_utf8(f"left in {self._source.name}: {why}")
        return msgspec.structs.replace(entry, kind=kind, problem=problem)


async def _same_store(source: Store, dest: Store, entries: Sequence[Entry]) -> bool | None:
    """Whether both names lead to one store, which no name can tell (an alias, a tunnel, a proxy).

    None where none of these conversations is there any more. Files that hold no notes are told
    apart by their paths, before they are opened.
    """
    if type(source) is not type(dest):
        return False
    if not isinstance(source, SupportsNotes) or not isinstance(dest, SupportsNotes):
        return False
    for each in entries:
        # Both ways: either may be read from a replica, which hears of what is written later.
        with contextlib.suppress(CorruptData):  # it will not be removed, either
            seen = await _sees(dest, source, each.source)
            if seen or await _sees(source, dest, each.conversation):
                return True
            if seen is False:
                return False
    return None


async def _sees(reader: SupportsNotes, writer: SupportsNotes, conversation: str) -> bool | None:
    """Whether `reader` has a note that `writer` sets for a moment; None where it cannot be set."""
    name = f"same-store:{secrets.token_hex(16)}"
    try:
        await writer.set_note(conversation, name, value=True)
        if await reader.note(conversation, name) is not None:
            return True
        return None if await writer.note(conversation, name) is None else False
    finally:
        await writer.set_note(conversation, name, None)


def _sources(entries: Sequence[Entry]) -> list[str]:
    return [each.source for each in entries]
