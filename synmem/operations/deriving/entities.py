"""Entities: who and what a stored conversation is about, found by a model and remembered.

The note is `{"version", "known": [[name, description], ...]}`, that of the last update last. It is
remembered in the state folder after each message, so that what was paid for is not lost where a
call fails or somebody presses Ctrl-C.
"""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from synmem.errors import SynmemError
from synmem.messages import chunks
from synmem.models import LLM
from synmem.notes import Note, Notes
from synmem.operations.deriving.covering import Covering, Newest
from synmem.operations.looking import Skipped
from synmem.store import Store
from synmem.strategies.entities import Entities

ENTITIES: Final = "entities"
"""The name of the note."""

_VERSION: Final = 1
_SILENT: Final = ("tool", "system", "developer")
"""Roles whose messages are not looked at: what programs say, at length."""


@dataclass(frozen=True)
class Known:
    """What is known of a conversation's first `messages` messages.

    `remembered`: nothing was asked. `stale`: there was a note that did not fit any more.
    `unsaved` says why what was learned could not be remembered on the way.
    """

    conversation: str
    entities: dict[str, str]
    messages: int
    note: Note | None
    remembered: bool = False
    stale: bool = False
    unreadable: tuple[Skipped, ...] = ()
    unsaved: SynmemError | None = None


async def learn(
    store: Store,
    conversation: str,
    notes: Notes,
    llm: LLM,
    *,
    max_entities: int = 50,
    max_characters: int = 16_000,
    heard: Callable[[], object] = lambda: None,
) -> Known:
    """What is known of a conversation; of its new messages a model is asked, one by one.

    `heard` is called after each. No store is written. A message longer than `max_characters` is
    asked about in pieces. ConversationNotFound where there is no such conversation, ModelError
    where the model fails.
    """
    noted = await notes.read(conversation, ENTITIES)
    note, fits = noted if noted else (None, False)
    known = _known(note.value) if note and fits else None
    entities = Entities(known or (), max_entities)
    covering = await Covering.begin(store, conversation, note if known is not None else None)
    saving = _Saving(conversation, notes, entities, covering)
    async with aclosing(covering.read(Newest(0))) as messages:
        async for _, message in messages:
            await saving.flush()
            if message.role not in _SILENT:
                await _learn(entities, llm, message.content, max_characters)
                saving.due = True
            heard()
    await saving.flush()
    new = saving.note() if covering.more else note
    return Known(
        conversation, entities.known, covering.messages, new, remembered=not covering.more,
        stale=note is not None and not fits, unreadable=tuple(covering.unreadable),
        unsaved=saving.failed,
    )  # fmt: skip


async def remember(known: Known, notes: Notes, *, beside: bool) -> None:
    """Write the note; `beside` the data, if the store can keep it there."""
    if known.note is not None and not known.remembered:
        await notes.write(known.conversation, ENTITIES, known.note, beside=beside)


async def _learn(entities: Entities, llm: LLM, content: str, max_characters: int) -> None:
    for piece in chunks(content, max_characters):
        if piece.strip():
            await entities.learn(llm, piece)


class _Saving:
    """Remembers on the way; a folder that cannot be written does not end the work."""

    def __init__(
        self, conversation: str, notes: Notes, entities: Entities, covering: Covering
    ) -> None:
        self._conversation = conversation
        self._notes = notes
        self._entities = entities
        self._covering = covering
        self.due = False
        self.failed: SynmemError | None = None

    async def flush(self) -> None:
        """Write what was learned since."""
        if not self.due or self.failed is not None:
            return
        self.due = False
        try:
            await self._notes.write(self._conversation, ENTITIES, self.note(), beside=False)
        except SynmemError as error:
            self.failed = error

    def note(self) -> Note:
        """What is known of all that is covered."""
        known = [[name, said] for name, said in self._entities.known.items()]
        return Note({"version": _VERSION, "known": known}, self._covering.reach)


def _known(value: dict[str, Any]) -> list[tuple[str, str]] | None:
    """What a note says; None where it is of another version."""
    known = value.get("known")
    if value.get("version") != _VERSION or not isinstance(known, list):
        return None
    pairs = [pair for pair in known if isinstance(pair, list) and len(pair) == 2]
    return [(str(name), str(said)) for name, said in pairs]
