"""`synmem undo`: bring back what the last destructive command removed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import render
from synmem.cli.lines import listed
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import count, place
from synmem.errors import AlreadyUndone, CorruptData, SynmemError, UsageError

if TYPE_CHECKING:
    from synmem.operations.keeping.backups import Damaged, Manifest
    from synmem.operations.keeping.undo import NotRestored, Restored, Undo
    from synmem.profiles import Profile
    from synmem.store import Store

BackupArgument = Annotated[
    str | None, typer.Argument(metavar="ID", help="A backup's id, or how it begins.")
]
ListOption = Annotated[
    bool, typer.Option("--list", help="Say which backups there are, and which are damaged.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would come back; write nothing.")
]
WithNewerOption = Annotated[
    bool,
    typer.Option(
        "--with-newer", help="Bring back first what was removed later from the same conversations."
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Put it in front also where a conversation is not as it was left."
    ),
]


@command("layout")
async def undo(
    session: Session,
    backup: BackupArgument = None,
    listed: ListOption = False,
    dry_run: DryRunOption = False,
    with_newer: WithNewerOption = False,
    force: ForceOption = False,
) -> int | None:
    """Bring back what the last destructive command removed.

    Without an ID what was removed last, from whatever store; with -p from that one. What is there
    already stays as it is; what was removed from a front comes back in front of what followed it.
    Of several removals from one conversation the newest comes back first.

    \b
    synmem undo
    synmem undo --dry-run
    synmem undo --list
    """
    from synmem.cli.origin import profile_of
    from synmem.operations.keeping.undo import Undo

    if listed:
        if backup is not None or dry_run or with_newer or force:
            raise UsageError("--list stands alone")
        return _list(session)
    manifest = _chosen(session, backup)
    profile = profile_of(session, manifest)
    how = Undo(
        force=force,
        with_newer=with_newer,
        dry_run=dry_run,
        elsewhere=profile.identity != manifest.origin.identity,
    )
    return await _undo(session, profile, manifest, how)


def _chosen(session: Session, backup_id: str | None) -> "Manifest":
    """The backup of that id; without one the newest that is not undone, of the store typed."""
    from synmem.operations.keeping.backups import find

    return newest(_typed(session)) if backup_id is None else find(backup_id)


def newest(of: "Profile | None") -> "Manifest":
    """The newest backup that is not undone, of that store or of all."""
    from synmem.cli.origin import is_of
    from synmem.operations.keeping.backups import by_hand, every, is_undone

    sound, damaged = every()
    if hiding := [each for each in damaged if each.hides]:
        raise CorruptData(
            f"backup {hiding[0].id}: {hiding[0].why}: nobody knows whether it is the newest, so "
            "name the one that is to come back",
            hint=by_hand(hiding[0].id),
        )
    for manifest in sound:
        meant = of is None or is_of(of, manifest.origin)
        if meant and not is_undone(manifest):
            return manifest
    raise SynmemError("there is nothing to undo", hint="`synmem undo --list` lists the backups")


def _typed(session: Session) -> "Profile | None":
    """Which store was typed with -p."""
    from synmem.cli.origin import typed_profile

    typed = typed_profile(session)
    return session.resolve(typed) if typed is not None else None


async def _undo(
    session: Session, profile: "Profile", manifest: "Manifest", how: "Undo"
) -> int | None:
    result = Result(session, how)
    async with session.open_profile(profile, write=not how.dry_run, planning=how.dry_run) as store:
        try:
            await bring_back(session, store, manifest, how, result)
            session.note(result.summary(store.name))
        except AlreadyUndone as error:
            session.note(f"{error} ({error.hint})")
    if session.json:
        render.json_line({"backup": manifest.id, **result.as_json()})
    return PARTLY if result.failed else None


async def bring_back(
    session: Session, store: "Store", manifest: "Manifest", how: "Undo", result: "Result"
) -> None:
    from synmem.cli.progress import progress
    from synmem.operations.keeping.undo import undo as undo_

    # Lines on stdout and a bar that lives would be in each other's way.
    quiet = session.quiet or how.dry_run
    with progress(
        f"Bringing back to {place(store.name)}", total=manifest.messages, quiet=quiet
    ) as bar:
        async for outcome in undo_(
            store,
            manifest,
            how,
            waiting=lambda: session.note("another undo of this store is running: waiting"),
            damaged=lambda each: render.note(f"backup {each.id} is passed over: {each.why}"),
        ):
            bar.advance(result.take(outcome))


class Result:
    """What `undo` came to."""

    def __init__(self, session: Session, how: "Undo") -> None:
        self.messages = 0
        self._names: set[str] = set()
        self.there: list[str] = []
        self.failed: list[dict[str, str]] = []
        self._dry_run = how.dry_run
        self._lines = how.dry_run and not session.json

    def take(self, outcome: "Restored | NotRestored") -> int:
        """Count one, and name it where a person must know; how many messages came back."""
        from synmem.operations.keeping.undo import NotRestored

        name = outcome.conversation
        if isinstance(outcome, NotRestored):
            self.failed.append({"conversation_id": name, "message": str(outcome.error)})
            render.note_error("not brought back", outcome.error)
            self._line("different", 0, name)
            return 0
        if outcome.messages:
            self._names.add(name)
            self.messages += outcome.messages
        else:
            self.there.append(name)
        self._line("restore" if outcome.messages else "there", outcome.messages, name)
        return outcome.messages

    def _line(self, word: str, messages: int, name: str) -> None:
        if self._lines:
            listed(name, word, str(messages))

    def summary(self, store: str) -> str:
        """What came of it, for a person."""
        what = f"{count(len(self._names), 'conversation')}, {count(self.messages, 'message')}"
        there = f"; {count(len(self.there), 'conversation')} there already" if self.there else ""
        return (
            "would bring back " if self._dry_run else "brought back "
        ) + f"{what}, to {store}{there}"

    def as_json(self) -> dict[str, object]:
        """The object that --json prints."""
        return {
            "conversations": len(self._names),
            "messages": self.messages,
            "there": self.there,
            "failed": self.failed,
            **({"dry_run": True} if self._dry_run else {}),
        }


def _list(session: Session) -> int | None:
    from synmem.cli.origin import is_of
    from synmem.operations.keeping.backups import by_hand, damage, every, is_undone, sequence_damage

    sound, damaged = every()
    if (typed := _typed(session)) is not None:
        sound = [each for each in sound if is_of(typed, each.origin)]
    wrong = {each.id: each for each in (*damaged, *filter(None, map(damage, sound)))}
    rows = [(each, each.id not in wrong and is_undone(each)) for each in sound]
    if session.json:
        items: list[dict[str, object]] = [
            {"backup": each.id, "damaged": each.why} for each in damaged
        ]
        for manifest, undone in rows:
            why = wrong[manifest.id].why if manifest.id in wrong else None
            items.append({**_described(manifest, undone), "damaged": why})
        render.json_line(items)
    elif render.is_terminal():
        _table(rows, wrong)
    else:
        for manifest, _ in rows:
            render.line(manifest.id)
    for each in wrong.values():
        render.note(f"backup {each.id}: {each.why} ({by_hand(each.id)})")
    if counter := sequence_damage():
        render.note(counter)
    return PARTLY if wrong or counter else None


def _table(rows: "Sequence[tuple[Manifest, bool]]", wrong: "Mapping[str, Damaged]") -> None:
    from datetime import datetime

    from synmem.cli.screen.styles import BAD, DIM
    from synmem.cli.screen.tables import Column, show_table
    from synmem.cli.times import ago

    columns = [
        Column("backup"), Column("when", goes=2, style=DIM),
        Column("command", least=8, goes=3), Column("store", least=12, middle=True),
        Column("conversations", right=True, goes=1), Column("messages", right=True, goes=4),
        Column("state", style=DIM),
    ]  # fmt: skip
    cells = [
        [
            manifest.id, ago(datetime.fromisoformat(manifest.at)), manifest.origin.command,
            manifest.origin.target, f"{manifest.conversations:,}", f"{manifest.messages:,}",
            "damaged" if manifest.id in wrong else "undone" if undone else "",
        ]
        for manifest, undone in rows
    ]  # fmt: skip
    show_table(columns, cells, styles=[{6: BAD} if row[6] == "damaged" else {} for row in cells])


def _described(manifest: "Manifest", undone: bool) -> dict[str, object]:
    from synmem.operations.keeping.backups import messages_file

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
