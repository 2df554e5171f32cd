"""Summarizing conversation after conversation: each is remembered at once, and a model that fails
on one does not stop the others."""

from typing import TYPE_CHECKING, Any, Final

from synmem.cli import render
from synmem.cli.run import Session
from synmem.errors import AccessDenied, ConversationNotFound, ModelError, Unsupported

if TYPE_CHECKING:
    from synmem.model_settings import LLMSettings
    from synmem.notes import Notes
    from synmem.operations.deriving.running import Asking
    from synmem.operations.deriving.summarize import Summary
    from synmem.operations.listing import Match
    from synmem.profiles import Profile
    from synmem.store import Store

_GIVE_UP: Final = 5
"""So many failures of the model in a row, and the conversations after them are left for later."""


class _Remembering:
    """Writes what is new: beside the data where the store lets us, else in the state folder.

    The store is opened for writing when there is something to write.
    """

    def __init__(self, session: Session, profile: "Profile", reading: "Store", stack: Any) -> None:
        self._session = session
        self._profile = profile
        self._reading = reading
        self._stack = stack
        self._writing: Store | None = None
        self._beside = True

    async def __call__(self, summary: "Summary") -> None:
        from synmem.operations.deriving.summarize import remember

        if summary.remembered or not (summary.note or summary.stale):
            return
        store = await self._open()
        await remember(summary, notes_of(self._profile, store), beside=self._beside)

    async def _open(self) -> "Store":
        if self._writing is None:
            opening = self._session.open_profile(self._profile, write=True)
            try:
                self._writing = await self._stack.enter_async_context(opening)
            except (AccessDenied, Unsupported):
                self._writing, self._beside = self._reading, False
        return self._writing


class Work:
    """Summarizes conversations one after another, and remembers each at once."""

    def __init__(
        self, session: Session, profile: "Profile", max_messages: int, *, remembering: bool
    ) -> None:
        self._session = session
        self._profile = profile
        self._max_messages = max_messages
        self._remembering = remembering
        self.done: list[Summary] = []
        self.failed: list[tuple[str, ModelError]] = []
        self._in_a_row = 0

    async def run(
        self,
        conversations: list[str] | None,
        match: "Match",
        llm: "LLMSettings | None",
        template: str | None,
    ) -> None:
        """One whose model fails is named, and the others go on; ModelError where none is done."""
        from contextlib import AsyncExitStack

        from synmem.cli.asking import opened
        from synmem.cli.progress import progress

        async with AsyncExitStack() as stack:
            opening = self._session.open_profile(self._profile, planning=not self._remembering)
            store = await stack.enter_async_context(opening)
            remember = _Remembering(self._session, self._profile, store, stack)
            found = await _chosen(store, conversations, match)
            one = llm is not None and len(found) == 1  # its progress is that of the calls
            what, total = ("Calls to the model", None) if one else ("Summarizing", len(found))
            bar = stack.enter_context(progress(what, total=total, quiet=self._session.quiet))
            heard = bar.advance if one else _nothing
            asking = await stack.enter_async_context(opened(self._session, llm, heard))
            asking = asking if template is None else asking.by(template)
            for conversation in found:
                if self._in_a_row >= _GIVE_UP:
                    break
                await self._one(
                    store, conversation, asking if llm else None, remember, named=match is None
                )
                if not one:
                    bar.advance()
        self._tell_failures(len(found))

    async def _one(
        self,
        store: "Store",
        conversation: str,
        asking: "Asking | None",
        remember: _Remembering,
        *,
        named: bool,
    ) -> None:
        from synmem.operations.deriving.summarize import summarize

        notes = notes_of(self._profile, store)
        try:
            summary = await summarize(
                store, conversation, notes, max_messages=self._max_messages, asking=asking
            )
        except ModelError as error:
            self.failed.append((conversation, error))
            self._in_a_row += 1
            return
        except ConversationNotFound:
            if named:
                raise
            return  # it went while others were summarized
        self._in_a_row = 0
        self.done.append(summary)
        if self._remembering:
            await remember(summary)

    def _tell_failures(self, count: int) -> None:
        for conversation, error in self.failed if count > 1 else ():
            render.note(f"{render.visible_line(conversation)}: not summarized: {error}")
        left = count - len(self.done) - len(self.failed)
        if self._in_a_row >= _GIVE_UP and left:
            render.note(f"{left:,} more were not tried: the model failed {_GIVE_UP} times in a row")
        if self.failed and not self.done:
            raise self.failed[0][1]


def _nothing() -> None:
    """What nobody waits for."""


async def _chosen(store: "Store", ids: list[str] | None, match: "Match") -> list[str]:
    from synmem.operations.listing import select

    ids = list(dict.fromkeys(ids or ()))
    found = [name async for page in select(store, ids=ids or None, match=match) for name in page]
    return ids or sorted(found)


def notes_of(profile: "Profile", store: "Store") -> "Notes":
    """The notes on a profile's store."""
    from synmem.notes import Notes
    from synmem.operations.derived import notes_folder

    return Notes(store, notes_folder(profile.identity))
