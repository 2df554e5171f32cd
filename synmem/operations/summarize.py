"""Summarize: a text for all but the newest messages of a conversation, remembered as a note.

What a note covers is not read again: the next summary goes on from it. `replace_fronts` lets the
summary take the place of the messages, after a backup of exactly these.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from synmem.errors import (
    Changed,
    ConversationNotFound,
    CorruptData,
    ModelError,
    SynmemError,
    UsageError,
)
from synmem.messages import Conversation, Message, Unreadable
from synmem.notes import Covered, Note, Notes, Reach, tail_of
from synmem.operations.backup import Backup, Kept
from synmem.operations.context import SUMMARY
from synmem.operations.extractive import Extract, as_json, from_json, summary_of
from synmem.operations.search import Skipped
from synmem.store import START, Position, Store, once
from synmem.strategies.sending import role_line
from synmem.strategies.smart import SUMMARY_HEAD

METHODS: Final = ("auto", "llm", "extractive")
_MAX_CHARACTERS: Final = 2000
_VERSION: Final = 1


@dataclass(frozen=True)
class Summary:
    """A summary of a conversation's first `messages` messages, up to and with `upto`.

    `text` is None where there are no more messages than are to be left alone. `remembered`: it
    is the note's, as it was. `stale`: there was a note, and it did not fit any more. `at` is the
    time of the last message covered.
    """

    conversation: str
    text: str | None
    messages: int
    method: str
    upto: Position = START
    at: datetime | None = None
    note: Note | None = None
    remembered: bool = False
    stale: bool = False
    unreadable: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Replaced:
    """The front of a conversation gave way to its summary."""

    conversation: str
    messages: int


@dataclass(frozen=True)
class NotReplaced:
    """A conversation that stays as it was, and why."""

    conversation: str
    error: SynmemError


def check(method: str, max_messages: int) -> str:
    """The method that will be used; ModelError where it needs a model."""
    if max_messages < 1:
        raise UsageError("--max-messages must be >= 1")
    if method not in METHODS:
        raise UsageError(f"--method {method!r} is not known", hint=f"one of {', '.join(METHODS)}")
    if method == "llm":
        raise ModelError(
            "no LLM is configured, and this version asks none", hint="--method extractive"
        )
    return "extractive"


async def summarize(
    store: Store, conversation: str, notes: Notes, *, max_messages: int = 20
) -> Summary:
    """A summary of all but the newest `max_messages` messages; writes nothing.

    A tool call goes where its result goes. ConversationNotFound where there is no such
    conversation.
    """
    noted = await notes.read(conversation, SUMMARY)
    note, fits = noted if noted else (None, False)
    usable = note is not None and fits and _goes_on(note, max_messages)
    reading = await _Reading.begin(store, conversation, note if usable else None)
    await reading.cover_all_but(max_messages)
    if not reading.any:
        raise ConversationNotFound(conversation, store.name)
    stale = note is not None and not fits
    skipped = tuple(reading.unreadable)
    if usable and not reading.covered_more:
        assert note is not None
        return Summary(
            conversation, note.value["text"], note.reach.messages, note.value["method"],
            reading.upto, reading.at, note, remembered=True, unreadable=skipped,
        )  # fmt: skip
    if not reading.worth_it:
        return Summary(conversation, None, 0, "extractive", stale=stale, unreadable=skipped)
    new = reading.note(max_messages)
    return Summary(
        conversation, new.value["text"], new.reach.messages, "extractive",
        reading.upto, reading.at, new, stale=stale, unreadable=skipped,
    )  # fmt: skip


async def remember(summary: Summary, notes: Notes, *, beside: bool) -> None:
    """Write the summary's note; `beside` the data, if the store can keep it there.

    A note that went stale, where there is nothing to summarize any more, is forgotten.
    """
    if summary.note is not None and not summary.remembered:
        await notes.write(summary.conversation, SUMMARY, summary.note, beside=beside)
    elif summary.note is None and summary.stale:
        await notes.forget(summary.conversation, SUMMARY, beside=beside)


def replacement(summary: Summary) -> Message:
    """The message that takes the place of those that are summarized."""
    return Message("system", SUMMARY_HEAD + (summary.text or ""), created_at=summary.at)


async def replace_fronts(
    store: Store, summaries: Sequence[Summary], notes: Notes, backup: Backup | None
) -> AsyncIterator[Replaced | NotReplaced]:
    """Let each summary take the place of what it covers: all are backed up first.

    One that cannot be backed up, or has changed since it was summarized, stays as it was.
    """
    kept: list[tuple[Summary, Kept | None]] = []
    for summary in summaries:
        try:
            kept.append((summary, await _keep(store, summary, backup)))
        except (Changed, ConversationNotFound, CorruptData) as error:
            yield NotReplaced(summary.conversation, error)
    if backup is not None and kept:
        backup.seal()
    for summary, saved in kept:
        try:
            message = _held(store, replacement(summary))
            conversation = Conversation(summary.conversation)
            await store.replace(conversation, once([message]), upto=summary.upto)
        except Changed as error:
            if backup is not None and saved is not None:
                backup.void(saved)
            yield NotReplaced(summary.conversation, error)
            continue
        if backup is not None and saved is not None:
            backup.removed(saved)
        await notes.forget(summary.conversation, SUMMARY, beside=True)
        yield Replaced(summary.conversation, summary.messages)


async def _keep(store: Store, summary: Summary, backup: Backup | None) -> Kept | None:
    if backup is None:
        return None
    return await backup.keep(
        store,
        Conversation(summary.conversation),
        upto=summary.upto,
        replacement=[_held(store, replacement(summary))],
    )


def _held(store: Store, message: Message) -> Message:
    """The message as the store can hold it: some hold no times."""
    if "created_at" in store.holds.fields:
        return message
    return Message(message.role, message.content)


def _goes_on(note: Note, max_messages: int) -> bool:
    """Whether a summary that leaves so many alone can go on from this note."""
    value = note.value
    covers = value.get("max_messages")
    return (
        value.get("version") == _VERSION
        and value.get("method") == "extractive"
        and isinstance(value.get("text"), str)
        and isinstance(covers, int)
        and covers >= max_messages
    )


class _Reading:
    """Reads a conversation on from a note, and covers all but its newest messages."""

    def __init__(self, store: Store, conversation: str) -> None:
        self._store = store
        self._conversation = conversation
        self._covered = Covered()
        self._extract = Extract()
        self._open_calls: set[str] = set()
        self._only_summary = True
        self.upto: Position = START
        self.at: datetime | None = None
        self.any = False
        self.covered_more = False
        self.unreadable: list[Skipped] = []

    @classmethod
    async def begin(cls, store: Store, conversation: str, note: Note | None) -> "_Reading":
        """From the start of a conversation, or behind a note."""
        reading = cls(store, conversation)
        tail = note and await tail_of(store, conversation, note.reach)
        if note and tail:
            reading._go_on(note.reach, tail, note.value)
        return reading

    def _go_on(
        self,
        reach: Reach,
        tail: list[tuple[Position, Message | Unreadable]],
        value: dict[str, object],
    ) -> None:
        self._covered = Covered(reach, tail)
        self._extract = Extract(from_json(value.get("candidates")))
        self._only_summary = False
        self.any = True
        self.upto, last = tail[-1]
        self.at = last.created_at if isinstance(last, Message) else None

    async def cover_all_but(self, count: int) -> None:
        """Read to the end; the newest `count` stay uncovered, or fewer: no call is parted."""
        newest: deque[tuple[Position, Message | Unreadable]] = deque()
        async for page in self._store.read([self._conversation], after=self.upto):
            self.any = True
            for i, item in enumerate(page.items):
                newest.append((page.position(i), item))
                if len(newest) > count:
                    self._cover(*newest.popleft())
        if self.covered_more:
            for _ in range(self._belonging(newest)):
                self._cover(*newest.popleft())

    def _belonging(self, newest: Sequence[tuple[Position, Message | Unreadable]]) -> int:
        """How many of the newest hold results of calls that are covered."""
        belonging = 0
        for i, (_, item) in enumerate(newest):
            if isinstance(item, Message) and item.role == "tool":
                nameless = item.tool_call_id is None and belonging == i
                if nameless or item.tool_call_id in self._open_calls:
                    belonging = i + 1
        return belonging if belonging < len(newest) else 0

    def _cover(self, position: Position, item: Message | Unreadable) -> None:
        self.covered_more = True
        self._covered.add(position, item)
        self.upto = position
        number = self._covered.messages
        if isinstance(item, Unreadable):
            self.unreadable.append(Skipped(self._conversation, number, item.reason))
            return
        self.at = item.created_at
        self._only_summary = number == 1 and item.content.startswith(SUMMARY_HEAD)
        self._open_calls |= {str(call.get("id")) for call in item.tool_calls or ()}
        self._open_calls.discard(item.tool_call_id or "")
        self._extract.add(number, item, SUMMARY_HEAD)

    @property
    def worth_it(self) -> bool:
        """Whether there is something to summarize, other than a summary."""
        return self.covered_more and not self._only_summary

    def note(self, max_messages: int) -> Note:
        """The summary of what is covered."""
        candidates = self._extract.candidates()
        reach = self._covered.reach
        chosen = summary_of(candidates, messages=reach.messages, max_characters=_MAX_CHARACTERS)
        return Note(
            {
                "version": _VERSION,
                "method": "extractive",
                "text": "\n".join(role_line(each.role, each.text) for each in chosen),
                "max_messages": max_messages,
                "candidates": as_json(candidates),
            },
            reach,
        )
