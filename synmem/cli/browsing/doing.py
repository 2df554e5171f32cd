"""What the keys do to a conversation: the same as the commands, with what these would print."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from synmem.cli import clear as clearing
from synmem.cli import export as exporting
from synmem.cli import undo as undoing
from synmem.cli.browsing.aside import Aside
from synmem.cli.browsing.drawing import said
from synmem.cli.browsing.rows import Row
from synmem.cli.render import visible
from synmem.cli.session import Session
from synmem.cli.times import shown
from synmem.cli.words import count
from synmem.errors import SynmemError
from synmem.messages import Message
from synmem.operations.keeping.backups import Manifest
from synmem.operations.keeping.clear import Doomed, Trim
from synmem.operations.keeping.undo import Undo
from synmem.store import Store

_MOST: Final = 4_000_000
"""So many characters are copied at most: what is longer no terminal takes."""


@dataclass
class Quiet(Session):
    """A session whose notes are kept for the screen."""

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """A line for the person, later."""
        self.notes.append(text)


def quiet(session: Session) -> Quiet:
    """The same, of which nothing is drawn or printed."""
    return Quiet(session.profile, session.config, json=False, quiet=True, verbose=False)


# --- delete and undo ------------------------------------------------------------------------


class Removal(NamedTuple):
    """What would go, and the question."""

    doomed: list[Doomed]
    question: str


async def look(session: Session, row: Row) -> Removal:
    """What a deletion would take; Unsupported where nothing can be removed."""
    store, choice = row.store, clearing.Choice([row.info.id], None, None)

    async def looking() -> list[Doomed]:
        async with store.opening(planning=True) as opened:
            if not opened.holds.written:
                raise clearing.only_read(opened)
            doomed, _ = await clearing.planned(quiet(session), opened, choice, Trim())
            return doomed

    doomed = await store.do(looking)
    what = clearing.what_goes(doomed, Trim(), store.profile, None)
    return Removal(doomed, f"Remove {what}")


async def remove(
    session: Session, store: Aside, doomed: Sequence[Doomed]
) -> tuple[str, str | None]:
    """Delete it, after a backup; what is said of that, and the backup's id. SynmemError where it
    stayed."""
    result, notes = clearing.Result(0), quiet(session)

    async def removing() -> None:
        async with store.opening(write=True) as opened:
            await clearing.remove(notes, store.profile, opened, doomed, Trim(), result, saved=True)

    await store.do(removing)
    if result.failed:
        raise SynmemError("; ".join(f"{name}: {why}" for name, why in result.failed))
    return f"removed {result.words}; u brings it back", result.backup


async def last_removal(store: Aside) -> tuple[Manifest, str]:
    """The backup that `undo` would bring back, and what is in it."""
    manifest = undoing.newest(store.profile)
    at = shown(datetime.fromisoformat(manifest.at))
    what = f"{count(manifest.conversations, 'conversation')}, {count(manifest.messages, 'message')}"
    return manifest, f"Bring back {what}, removed {at} ({manifest.origin.command})"


async def undo(session: Session, store: Aside, manifest: Manifest) -> str:
    """Bring it back; what is said of that."""
    from synmem.cli.origin import within

    how, notes = Undo(), quiet(session)
    result = undoing.Result(notes, how)
    profile = within(store.profile, manifest.origin)

    async def bringing() -> str:
        async with store.opening(write=True, profile=profile) as opened:
            await undoing.bring_back(notes, opened, manifest, how, result)
            return opened.name

    name = await store.do(bringing)
    if result.failed:
        why = [f"{each['conversation_id']}: {each['message']}" for each in result.failed]
        raise SynmemError("; ".join(why))
    return result.summary(name)


# --- export and copy ------------------------------------------------------------------------


async def export(session: Session, row: Row, output: str) -> str:
    """Write the conversation to a file; what is said of that."""
    notes, profile = quiet(session), row.store.profile
    summary = await row.store.ask(
        lambda store: exporting.to_file(notes, profile, store, [row.info.id], output)
    )
    return "; ".join([summary, *notes.notes])


def text_of(message: Message) -> str:
    """What a message says, as it may lie in a clipboard: through the gate."""
    return visible(said(message))


async def whole_text(row: Row) -> tuple[str, int]:
    """The conversation as text, through the gate, and of how many messages."""

    async def reading(store: Store) -> tuple[str, int]:
        texts: list[str] = []
        size = 0
        async for page in store.read([row.info.id]):
            for item in page.items:
                if isinstance(item, Message):
                    texts.append(f"{item.role.capitalize()}: {text_of(item)}\n")
                    size += len(texts[-1])
            if size > _MOST:
                raise SynmemError("too long for a clipboard", hint="e exports it")
        return "\n".join(texts), len(texts)

    return await row.store.ask(reading)
