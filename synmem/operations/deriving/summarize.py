"""Summarize: a text for all but the newest messages of a conversation, remembered as a note.

By a model, or offline by the sentences that say most. What a note covers is not read again: the
next summary goes on from it. `replace_fronts` lets the summary take the place of the messages,
after a backup of exactly these.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from synmem.errors import (
    Changed,
    ConversationNotFound,
    CorruptData,
    Rejected,
    SynmemError,
    UsageError,
)
from synmem.messages import Conversation, Message
from synmem.notes import SUMMARY, Note, Notes
from synmem.operations.derived import forget_beside
from synmem.operations.deriving.covering import Covering, Newest
from synmem.operations.deriving.extractive import Extract, as_json, from_json, summary_of
from synmem.operations.deriving.running import VERSION, Asking, Run, is_running
from synmem.operations.keeping.backup import Backup, Kept, not_to_be_kept
from synmem.operations.looking import Skipped, infos_of
from synmem.store import START, ConversationInfo, Position, Store, once
from synmem.strategies.lines import prompt_line
from synmem.strategies.summary import SUMMARY_HEAD, is_summary

METHODS: Final = ("auto", "llm", "extractive")
_MAX_CHARACTERS: Final = 2000


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


def check(method: str, max_messages: int, template: str | None = None) -> None:
    """UsageError where something that was asked for makes no sense."""
    if max_messages < 1:
        raise UsageError("--max-messages is 1 or more")
    if method not in METHODS:
        raise UsageError(f"--method {method!r} is not known", hint=f"one of {', '.join(METHODS)}")
    if template is not None and method == "extractive":
        raise UsageError("--prompt is for an LLM: not beside --method extractive")
    if template is not None and "{conversation}" not in template:
        raise UsageError(
            "--prompt: the file does not say where the conversation is to stand",
            hint="{conversation}, and {summary} for the summary so far",
        )


async def summarize(
    store: Store,
    conversation: str,
    notes: Notes,
    *,
    max_messages: int = 20,
    asking: Asking | None = None,
) -> Summary:
    """A summary of all but the newest `max_messages` messages; no store is written.

    Without `asking` it is made of the most central sentences. What a model answers is remembered
    in the state folder, call by call. A tool call goes where its result goes.
    ConversationNotFound where there is no such conversation, ModelError where the model fails.
    """
    noted = await notes.every(conversation, SUMMARY)
    usable = next(
        (note for note, fits in noted if fits and _goes_on(note, max_messages, asking)), None
    )
    made = await (
        _extracted(store, conversation, usable, max_messages)
        if asking is None
        else _asked(store, conversation, usable, max_messages, asking, notes)
    )
    return replace(made, stale=bool(noted) and not any(fits for _, fits in noted))


async def _extracted(
    store: Store, conversation: str, note: Note | None, max_messages: int
) -> Summary:
    covering = await Covering.begin(store, conversation, note)
    extract = Extract(from_json(note.value.get("candidates")) if note else ())
    only_summary = note is None
    async with aclosing(covering.read(Newest(max_messages))) as messages:
        async for number, message in messages:
            only_summary = number == 1 and is_summary(message)
            extract.add(number, message)
    new = None
    if covering.more and not only_summary:
        new = _extract_note(covering, extract, max_messages)
    return _summary(conversation, covering, "extractive", note, new)


def _extract_note(covering: Covering, extract: Extract, max_messages: int) -> Note:
    candidates = extract.candidates()
    reach = covering.reach
    chosen = summary_of(candidates, messages=reach.messages, max_characters=_MAX_CHARACTERS)
    value = {
        "version": VERSION,
        "method": "extractive",
        "text": "\n".join(prompt_line(each.role, each.text) for each in chosen),
        "max_messages": max_messages,
        "candidates": as_json(candidates),
    }
    return Note(value, reach)


async def _asked(
    store: Store,
    conversation: str,
    note: Note | None,
    max_messages: int,
    asking: Asking,
    notes: Notes,
) -> Summary:
    async def save(part: Note) -> None:
        part.value["max_messages"] = max_messages
        await notes.write(conversation, SUMMARY, part, beside=False)

    run = await Run.begin(store, conversation, note, asking, save)
    await run.read(Newest(max_messages))
    new = run.note(max_messages=max_messages) if run.asked else None
    return _summary(conversation, run.covering, "llm", note, new)


def _summary(
    conversation: str, covering: Covering, method: str, note: Note | None, new: Note | None
) -> Summary:
    """The summary of a new note, else of the one that there was."""
    used: Note | None = new or note
    skipped = tuple(covering.unreadable)
    if used is None:
        return Summary(conversation, None, 0, method, unreadable=skipped)
    return Summary(
        conversation, used.value["text"], used.reach.messages, method, used.reach.position,
        covering.at, used, remembered=new is None, unreadable=skipped,
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
    infos = await infos_of(store, [each.conversation for each in summaries], details=True)
    for summary in summaries:
        try:
            if why := store.refusal(_held(store, replacement(summary))):
                raise Rejected([(summary.conversation, 0, f"its summary: {why}")])
            info = infos.get(summary.conversation)
            kept.append((summary, await _keep(store, summary, info, backup)))
        except (Changed, ConversationNotFound, CorruptData, Rejected) as error:
            yield NotReplaced(summary.conversation, error)
    if backup is not None and kept:
        backup.seal()
    async with backup.removing(store) if backup is not None else contextlib.nullcontext():
        for summary, saved in kept:
            try:
                await _replace_front(store, summary, saved, backup)
            except (Changed, CorruptData, Rejected) as error:
                yield NotReplaced(summary.conversation, error)
                continue
            await notes.forget(summary.conversation, SUMMARY, beside=True)
            yield Replaced(summary.conversation, summary.messages)


async def _replace_front(
    store: Store, summary: Summary, saved: Kept | None, backup: Backup | None
) -> None:
    message = once([_held(store, replacement(summary))])
    conversation = Conversation(summary.conversation)
    if backup is not None and saved is not None:
        await backup.replace(store, saved, conversation, message)
    else:
        await forget_beside(store, summary.conversation)
        await store.replace(conversation, message, upto=summary.upto)


async def _keep(
    store: Store, summary: Summary, info: ConversationInfo | None, backup: Backup | None
) -> Kept | None:
    if backup is None:
        return None
    if info is None:
        raise ConversationNotFound(summary.conversation, store.name)
    if info.unreadable is not None:
        raise not_to_be_kept(info.id, info.unreadable)
    return await backup.keep(
        store,
        Conversation(info.id, info.title, info.extra),
        upto=summary.upto,
        replacement=[_held(store, replacement(summary))],
    )


def _held(store: Store, message: Message) -> Message:
    """The message as the store can hold it: some hold no times."""
    if "created_at" in store.holds.fields:
        return message
    return Message(message.role, message.content)


def _goes_on(note: Note, max_messages: int, asking: Asking | None) -> bool:
    """Whether a summary that leaves so many alone can go on from this note."""
    value: dict[str, Any] = note.value
    covers = value.get("max_messages")
    if not isinstance(covers, int) or covers < max_messages:
        return False
    if asking is not None:
        return is_running(value, asking)
    return (
        value.get("version") == VERSION
        and value.get("method") == "extractive"
        and isinstance(value.get("text"), str)
    )
