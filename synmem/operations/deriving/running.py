"""A running summary of a stored conversation: made by a model, remembered, asked for what is new.

It is a note: `{"version", "method": "llm", "text", "prompt"}`, `prompt` being None or a digest of
the user's own. After each answer it is remembered in the state folder, so that what was paid for
is not lost where the next call fails or somebody presses Ctrl-C.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from synmem.messages import Message
from synmem.models import LLM
from synmem.notes import Note, Notes
from synmem.operations.deriving.covering import Covering, Newest
from synmem.store import Store
from synmem.strategies.lines import message_line
from synmem.strategies.summary import (
    SUMMARY_HEAD,
    Prompt,
    concise,
    fold,
    is_summary,
    room,
    templated,
)

VERSION: Final = 1

Save = Callable[[Note], Awaitable[None]]


@dataclass(frozen=True)
class Asking:
    """Whom to ask, what, and how much at once. `template` is the user's own prompt."""

    llm: LLM
    max_characters: int
    prompt: Prompt = concise
    template: str | None = None

    def by(self, template: str) -> "Asking":
        """The same by a prompt of the user's own."""
        return replace(self, prompt=templated(template), template=template)

    @property
    def prompt_digest(self) -> str | None:
        """What tells the user's own prompt from another; None for ours."""
        if self.template is None:
            return None
        return hashlib.sha256(self.template.encode("utf-8", "surrogatepass")).hexdigest()[:16]


async def best_note(
    notes: Notes, conversation: str, names: Sequence[str], asking: Asking
) -> tuple[Note | None, bool]:
    """Of the notes of these names the one to go on from, that reaches furthest; and whether the
    first of them is there and stale."""
    found: list[Note] = []
    stale = False
    for name in names:
        noted = await notes.every(conversation, name)
        stale = stale or (name == names[0] and bool(noted) and not any(fits for _, fits in noted))
        found += [note for note, fits in noted if fits and is_running(note.value, asking)]
    best = max(found, key=lambda note: note.reach.messages, default=None)
    return best, stale and best is None


def is_running(value: dict[str, Any], asking: Asking) -> bool:
    """Whether a note is a summary that this asking can go on from."""
    return (
        value.get("version") == VERSION
        and value.get("method") == "llm"
        and isinstance(value.get("text"), str)
        and value.get("prompt") == asking.prompt_digest
    )


class Run:
    """The summary of what a `Covering` covers, begun at a note or at nothing.

    `text` is the summary so far, `asked` whether a model was asked for it.
    """

    def __init__(self, covering: Covering, asking: Asking, note: Note | None, save: Save) -> None:
        self._covering = covering
        self._asking = asking
        self._save = save
        self._lines: list[str] = []
        self._size = 0
        self.text: str = note.value["text"] if note else ""
        self.asked = False

    @classmethod
    async def begin(
        cls, store: Store, conversation: str, note: Note | None, asking: Asking, save: Save
    ) -> "Run":
        """Where the note ends, or at the start of the conversation."""
        covering = await Covering.begin(store, conversation, note)
        return cls(covering, asking, note, save)

    @property
    def covering(self) -> Covering:
        """What is covered so far."""
        return self._covering

    async def read(self, newest: Newest) -> None:
        """Summarize all but the newest, to the end of the conversation."""
        async with aclosing(self._covering.read(newest)) as messages:
            async for number, message in messages:
                await self._take(number, message)
        await self._ask()

    async def shrink(self, newest: Newest) -> bool:
        """Summarize what leaves the newest now; whether anything did."""
        before = self._covering.messages
        for number, message in self._covering.giving_way(newest):
            await self._take(number, message)
        await self._ask()
        return self._covering.messages > before

    async def _take(self, number: int, message: Message) -> None:
        if number == 1 and is_summary(message):
            self.text = message.content.removeprefix(SUMMARY_HEAD)  # nobody need be asked
            return
        line = message_line(message)
        asking = self._asking
        most = room(self.text, asking.prompt, asking.max_characters)
        if self._lines and most is not None and self._size + len(line) > most:
            await self._ask()
        self._lines.append(line)
        self._size += len(line) + 1

    async def _ask(self) -> None:
        """Summarize what was taken, and remember it."""
        if not self._lines:
            return
        asking = self._asking
        self.text = await fold(
            asking.llm, self.text, self._lines, asking.prompt, asking.max_characters
        )
        self._lines, self._size, self.asked = [], 0, True
        await self._save(self.note())

    def note(self, **more: Any) -> Note:
        """The summary of what is covered."""
        value = {"version": VERSION, "method": "llm", "text": self.text,
                 "prompt": self._asking.prompt_digest, **more}  # fmt: skip
        return Note(value, self._covering.reach)
