"""What `migrate` and `import` share: one transfer after another, their progress and receipt."""

import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from synmem.cli import completing, render
from synmem.cli.damage import Harm, check_damage
from synmem.cli.moving_words import WAYS, Done, apart, exit_code, of_each, so_far, summary, teller
from synmem.cli.naming import naming_of
from synmem.cli.rejects import Rejects
from synmem.cli.run import PARTLY, Session
from synmem.cli.words import count, place
from synmem.errors import CorruptData, StoreNotFound, SynmemError, UsageError

if TYPE_CHECKING:
    from synmem.operations.keeping.backup import Backup
    from synmem.operations.moving.naming import Template
    from synmem.operations.moving.receipt import Ledger
    from synmem.operations.moving.transfer import Options, Transfer
    from synmem.profiles import Profile
    from synmem.store import Store


OnConflictOption = Annotated[
    str,
    typer.Option(
        "--on-conflict", metavar="|".join(WAYS), autocompletion=completing.one_of(*WAYS),
        help="Where the destination has another conversation of that id.",
    ),
]  # fmt: skip
RejectsOption = Annotated[
    str | None,
    typer.Option(
        "--rejects", metavar="FILE", help="Write here (JSONL) what cannot be brought over, and why."
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="List what would happen; write nothing.")
]
ReceiptOption = Annotated[
    str | None,
    typer.Option("--receipt", metavar="FILE", help="Write a receipt with a digest for each."),
]
NoBackupOption = Annotated[
    bool, typer.Option("--no-backup", help="Remove or replace without keeping what was there.")
]


ArchiveOption = Annotated[
    bool,
    typer.Option(
        "--archive",
        help="Keep what the source drops; what has become different is copied as ID#LEAF.",
    ),
]


class Order(NamedTuple):
    """What a command was asked for beside the stores."""

    options: "Options"
    rejects: Path | None = None
    receipt: Path | None = None
    backup: bool = True
    command: str = "migrate"
    title: str = "Copying"
    source: "Profile | None" = None
    """From where `--move` removes: `undo` brings it back there."""
    conflict_hint: str | None = None
    """What else helps where a conversation is different."""
    id_as: "Template | None" = None


class Load(NamedTuple):
    """One of several sources that are brought one after the other."""

    store: "Callable[[], contextlib.AbstractAsyncContextManager[Store]]"
    label: str
    """What it is called in `ID (from LABEL)`."""
    file_of: "Callable[[str], str]" = lambda conversation: ""
    """In which file a conversation is, where that is to be told."""


def checked_way(way: str) -> str:
    """The way to handle a conflict; UsageError where there is none of that name."""
    if way not in WAYS:
        raise UsageError(f"--on-conflict {way!r}", hint=f"one of {', '.join(WAYS)}")
    return way


def checked_archive(archive: bool, way: str) -> bool:
    """Whether the destination is an archive; UsageError where conflicts are to end otherwise."""
    if archive and way != "skip":
        raise UsageError(
            f"--archive and --on-conflict {way}", hint="an archive keeps both: one of the two"
        )
    return archive


async def run(session: Session, source: "Store", dest: "Profile", order: Order) -> int | None:
    """Bring a store, or each of the exports in it, into `dest`; see `bring`."""
    consent, chosen = order.rejects is not None, bool(order.options.match)
    harm = await check_damage(
        source, consent=consent, as_json=session.json, quiet=session.quiet, chosen=chosen
    )
    if harm is Harm.DAMAGED and not consent:
        return PARTLY
    try:
        loads = await _exports(source, order)
    except CorruptData as error:
        render.error(error, as_json=session.json)
        return PARTLY
    return await bring(session, source.name, loads, dest, order, harm)


async def _exports(source: "Store", order: Order) -> list[Load]:
    from synmem.operations.moving.sets import Piece, plan
    from synmem.store import SupportsExports

    label = order.options.label
    if not isinstance(source, SupportsExports):
        return [Load(_given(source), label)]
    found = await source.exports()
    pieces = [Piece(0, i, e.conversations, e.parts, apart=True) for i, e in enumerate(found)]
    plan([source.name], pieces, joined=False, apart=True)  # refuses parts without the others
    return [Load(_given(each.store), label) for each in found]


def _given(store: "Store") -> "Callable[[], contextlib.AbstractAsyncContextManager[Store]]":
    return lambda: contextlib.nullcontext(store)


async def bring(
    session: Session, name: str, loads: Sequence[Load], dest: "Profile", order: Order, harm: Harm
) -> int | None:
    """Bring these sources into `dest`, tell about it, and come to an exit code.

    `name` is that of all of them together, `harm` what is wrong with them.
    """
    from synmem.leftovers import sweep_temporary
    from synmem.operations.moving.receipt import Ledger

    sweep_temporary()
    with Ledger() as ledger, contextlib.closing(Rejects(order.rejects)) as rejects:
        async with _open_destination(session, dest, order.options) as store:
            bringing = _Bringing(session, store, dest, ledger, rejects, order)
            for load in loads:
                if not bringing.done.stopped:
                    await bringing.take(load, several=len(loads) > 1)
            code = bringing.end(name)
    return code or (PARTLY if harm else None)


@contextlib.asynccontextmanager
async def _open_destination(
    session: Session, dest: "Profile", options: "Options"
) -> "AsyncIterator[Store]":
    async with contextlib.AsyncExitStack() as stack:
        try:
            opened = session.open_profile(dest, write=not options.dry_run, planning=options.dry_run)
            store = await stack.enter_async_context(opened)
        except StoreNotFound:
            if not options.dry_run:
                raise
            # Opened for writing it is only made at the first write, which does not come.
            store = await stack.enter_async_context(session.open_profile(dest, write=True))
        yield store


class _Bringing:
    """The run of a command: one load after another, and the words at the end."""

    def __init__(
        self,
        session: Session,
        store: "Store",
        dest: "Profile",
        ledger: "Ledger",
        rejects: Rejects,
        order: Order,
    ) -> None:
        self.done = Done()
        self._session = session
        self._store = store
        self._dest = dest
        self._ledger = ledger
        self._rejects = rejects
        self._order = order
        self._several = False

    @property
    def _losing(self) -> str:
        return f"what {self._store.name} cannot hold does not travel"

    async def take(self, load: Load, *, several: bool) -> None:
        """Bring one source over; with `several` the ledger adds it to what it has."""
        from synmem.operations.moving.receipt import Ledger

        self._several = several
        async with load.store() as source:
            if not several:
                await self._transfer(source, load, self._ledger, lambda conversation: "")
                return
            with Ledger() as own:
                try:
                    await self._transfer(source, load, own, load.file_of)
                finally:
                    self._ledger.add(own, planned=self._order.options.dry_run)

    async def _transfer(
        self, source: "Store", load: Load, ledger: "Ledger", file_of: "Callable[[str], str]"
    ) -> None:
        from asyncio import CancelledError

        from synmem.operations.moving.transfer import Transfer

        session, order = self._session, self._order
        backend = order.source.backend if order.source else "file"
        naming = naming_of(order.id_as, source, backend, load.label)
        options = msgspec.structs.replace(order.options, label=load.label, naming=naming)
        tell = teller(session, options.dry_run, file_of)
        with _backup(session, self._dest, order) as backup:
            transfer = Transfer(
                source, self._store, ledger, options, tell=tell, reject=self._rejects.take,
                backup=backup,
            )  # fmt: skip
            if self.done.loses(transfer, source.name):
                whose = f"{source.name}: " if self._several else ""
                session.note(f"{whose}{self._losing}: {', '.join(transfer.lost)}")
            try:
                await _phases(session, transfer, ledger, order, way=self._way(source))
            except (CancelledError, SynmemError) as error:
                self.done.add(transfer, source.name)
                if self.done.written or isinstance(error, CancelledError):
                    session.note(so_far(self.done.written, error))
                raise
            finally:
                _forget_erased(ledger, self._dest, order)
            self.done.add(transfer, source.name)

    def _way(self, source: "Store") -> str:
        """From where to where, for a person who waits."""
        origin = self._order.source.name if self._order.source else source.name
        return f"{place(origin)} → {place(self._dest.name)}"

    def end(self, name: str) -> int | None:
        """Say what was done; `name` is what all the sources together are called."""
        counts = self._ledger.counts()
        described = self._ledger.described() if counts.get("appended") else 0
        shown = apart(counts, described)
        self._session.note(summary(self.done, shown, self._order.options, self._rejects))
        for each in of_each(self.done.missing, of_one=True):
            self._session.note(f"not compared of {each}")
        for each in of_each(self.done.lost, of_one=False):
            self._session.note(f"{self._losing}, of {each}")
        if counts.get("conflict") and self._order.conflict_hint:
            self._session.note(self._order.conflict_hint)
        _receipts(self._session, name, self._store, self._ledger, self.done, self._order)
        return exit_code(self.done, counts)


async def _phases(
    session: Session, transfer: "Transfer", ledger: "Ledger", order: Order, *, way: str
) -> None:
    """Copy, verify, and with --move remove; `way` is from where to where."""
    from synmem.cli.list_conversations import note_untimed
    from synmem.cli.progress import progress

    # What is loaded by now stays to the end, and each full collection would look through it again:
    # without this an import of 100,000 messages takes 3 to 4% more of the processor.
    gc.freeze()
    doing = f"{order.title} {way}"
    with progress(doing, quiet=session.quiet, beside=lambda: _done(transfer)) as bar:
        transfer.watch = bar.advance
        if bar.watched:
            bar.expect(await transfer.expected())
        await transfer.copy()
    note_untimed(session, transfer.untimed)
    if transfer.expiring:
        session.note(
            f"{count(transfer.expiring, 'conversation')} of the source will expire there; "
            "what was copied expires only where the destination has a ttl_seconds of its own"
        )
    if order.options.dry_run:
        return
    with progress(f"Verifying {way}", total=transfer.written, quiet=session.quiet) as bar:
        transfer.watch = bar.advance
        await transfer.verify()
    if order.options.move:
        _forget_erased(ledger, None, order)  # first: who is killed leaves no sentence behind
        with _moved(session, transfer, order) as backup:
            await transfer.remove(backup)


def _done(transfer: "Transfer") -> str:
    return count(transfer.conversations, "conversation")


def _receipts(
    session: Session,
    source: str,
    dest: "Store",
    ledger: "Ledger",
    done: Done,
    order: Order,
) -> None:
    from synmem.operations.moving.receipt import receipt_lines

    def lines() -> Iterator[bytes]:
        assert done.holds is not None
        return receipt_lines(
            ledger,
            source=source,
            destination=dest.name,
            holds=done.holds,
            not_compared=done.not_compared,
            dry_run=order.options.dry_run,
            id_as=order.id_as.text if order.id_as else None,
        )

    if order.receipt is not None:
        from synmem.cli.files import writing

        with writing(order.receipt, gate=render.json_for_terminal) as write:
            for piece in lines():
                write(piece)
    if session.json:
        for piece in lines():
            render.write_json(piece)


def _forget_erased(ledger: "Ledger", dest: "Profile | None", order: Order) -> None:
    """What was derived from what is gone for good, notes and indexes, goes too."""
    from synmem.operations.derived import forget

    if order.backup or order.options.dry_run:
        return
    for page in ledger.pages():
        replaced = [each.conversation for each in page if each.action == "replaced"]
        if replaced and dest is not None:
            forget(dest.identity, replaced)
        moved = [each.source for each in page if each.verified and each.kind is None]
        if moved and order.source is not None and order.options.move:
            forget(order.source.identity, moved)


# --- files and backups -----------------------------------------------------------------------


def check_files(order: Order, read: Sequence[Path | None], dest: Path | None) -> None:
    """UsageError where --rejects or --receipt would overwrite a store, or each other."""
    from synmem.cli.files import is_of_store, same_file

    for option, path in (("--rejects", order.rejects), ("--receipt", order.receipt)):
        if path is None:
            continue
        if any(other is not None and is_of_store(path, other) for other in read):
            raise UsageError(f"{option} {path} is what is read")
        if dest is not None and is_of_store(path, dest):
            raise UsageError(f"{option} {path} is what is written to")
    if order.rejects and order.receipt and same_file(order.rejects, order.receipt):
        raise UsageError("--rejects and --receipt are the same file")


@contextlib.contextmanager
def _backup(session: Session, dest: "Profile", order: Order) -> "Iterator[Backup | None]":
    """Where what `--on-conflict replace` removes is kept; how to undo is told at the end."""
    if order.options.on_conflict != "replace" or order.options.dry_run or not order.backup:
        yield None
        return
    from synmem.cli.origin import origin_of, undoing
    from synmem.operations.keeping.backup import new_backup

    with new_backup(origin_of(session, dest, order.command)) as backup:
        try:
            yield backup
        finally:
            if backup.sealed:
                session.note(f"what was replaced: {undoing(backup)}")


@contextlib.contextmanager
def _moved(session: Session, transfer: "Transfer", order: Order) -> "Iterator[Backup | None]":
    """Where what `--move` removes is kept; how to undo is told however the removal ends."""
    if order.source is None or not order.backup:
        yield None
        return
    from synmem.cli.origin import origin_of, undoing
    from synmem.operations.keeping.backup import new_backup

    with new_backup(origin_of(session, order.source, order.command)) as backup:
        try:
            yield backup
        finally:
            if backup.sealed:
                what = "to bring back what was moved" if transfer.removed else "saved beforehand"
                session.note(f"{what}: {undoing(backup)}")
