"""`synmem undo`: bring back what the last destructive command removed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import render
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import count
from synmem.errors import SynmemError, UsageError

if TYPE_CHECKING:
    from synmem.operations.backups import Manifest
    from synmem.profiles import Profile

BackupArgument = Annotated[
    str | None, typer.Argument(metavar="ID", help="A backup's id, or how it begins.")
]
ListOption = Annotated[bool, typer.Option("--list", help="Say which backups there are.")]


@command
async def undo(
    session: Session, backup: BackupArgument = None, listed: ListOption = False
) -> int | None:
    """Bring back what the last destructive command removed.

    \b
    synmem undo
    synmem undo --list
    """
    from synmem.cli.origin import profile_of

    if listed:
        if backup is not None:
            raise UsageError("either an id or --list")
        _list(session)
        return None
    manifest = _chosen(session, backup)
    profile = profile_of(session, manifest)
    return await _undo(session, profile, manifest)


def _chosen(session: Session, backup_id: str | None) -> "Manifest":
    """The backup of that id; without one the newest that is not undone, of the store typed."""
    from synmem.cli.origin import typed_profile
    from synmem.operations.backups import backups, find, is_undone

    if backup_id is not None:
        return find(backup_id)
    typed = typed_profile(session)
    identity = session.resolve(typed).identity if typed is not None else None
    for manifest in backups():
        if identity in (None, manifest.origin.identity) and not is_undone(manifest):
            return manifest
    raise SynmemError("there is nothing to undo", hint="`synmem undo --list` lists the backups")


async def _undo(session: Session, profile: "Profile", manifest: "Manifest") -> int | None:
    from synmem.cli.progress import progress
    from synmem.operations.undo import NotRestored
    from synmem.operations.undo import undo as undo_

    conversations = messages = 0
    failed: list[dict[str, str]] = []
    async with session.open_profile(profile, write=True) as store:
        with progress("Undoing", total=manifest.messages, quiet=session.quiet) as bar:
            async for outcome in undo_(store, manifest):
                if isinstance(outcome, NotRestored):
                    why = str(outcome.error)
                    failed.append({"conversation_id": outcome.conversation, "message": why})
                    hint = f" ({outcome.error.hint})" if outcome.error.hint else ""
                    render.note(f"not brought back: {why}{hint}")
                elif outcome.messages:
                    conversations += 1
                    messages += outcome.messages
                    bar.advance(outcome.messages)
        session.note(
            f"brought back {count(conversations, 'conversation')}, {count(messages, 'message')}, "
            f"to {store.name}"
        )
    if session.json:
        render.json_line(
            {
                "backup": manifest.id, "conversations": conversations, "messages": messages,
                "failed": failed,
            }
        )  # fmt: skip
    return PARTLY if failed else None


def _list(session: Session) -> None:
    from synmem.operations.backups import backups, is_undone

    rows = [(manifest, is_undone(manifest)) for manifest in backups()]
    if session.json:
        render.json_line([_described(manifest, undone) for manifest, undone in rows])
    elif render.is_terminal():
        _table(rows)
    else:
        for manifest, _ in rows:
            render.line(manifest.id)


def _table(rows: "Sequence[tuple[Manifest, bool]]") -> None:
    from datetime import datetime

    from synmem.cli.times import shown

    cells = [
        [
            manifest.id, shown(datetime.fromisoformat(manifest.at)), manifest.origin.command,
            manifest.origin.target, f"{manifest.conversations:,}", f"{manifest.messages:,}",
            "undone" if undone else "",
        ]
        for manifest, undone in rows
    ]  # fmt: skip
    if cells:
        columns = ["backup", "when", "command", "store", "conversations", "messages", ""]
        render.table(columns, cells, right=[4, 5])


def _described(manifest: "Manifest", undone: bool) -> dict[str, object]:
    from synmem.operations.backups import messages_file

    return {
        "backup": manifest.id,
        "at": manifest.at,
        "command": manifest.origin.command,
        "profile": manifest.origin.target,
        "store": manifest.origin.where,
        "conversations": manifest.conversations,
        "messages": manifest.messages,
        "undone": undone,
        "file": str(messages_file(manifest)),
    }
