"""`synmem migrate`: copy conversations from one store to another, and prove it."""

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing
from synmem.cli.moving import (
    ArchiveOption,
    DryRunOption,
    NoBackupOption,
    OnConflictOption,
    ReceiptOption,
    RejectsOption,
)
from synmem.cli.options import ConfirmOption, IdAsOption, MatchOption, YesOption
from synmem.cli.run import Session, command
from synmem.errors import Emptied, UnknownLayout, UsageError

if TYPE_CHECKING:
    from synmem.cli.moving import Order
    from synmem.profiles import Profile
    from synmem.store import Store

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="From: a profile, a URL or a file.",
        autocompletion=completing.profiles,
    ),
]
DestArgument = Annotated[
    str, typer.Argument(metavar="DEST", help="To.", autocompletion=completing.profiles)
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Conversations whose last message is no older: 30d."
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Conversations whose last message is older."),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", metavar="N", min=1, max=64, help="So much at once.")
]
ToLayoutOption = Annotated[
    str | None,
    typer.Option(
        "--to-layout",
        metavar="NAME",
        help="As whose tables or keys DEST is written.",
        autocompletion=completing.layouts,
    ),
]
MoveOption = Annotated[
    bool, typer.Option("--move", help="Remove from the source what was copied and verified.")
]


@command("layout", "branches")
async def migrate(
    session: Session,
    source: SourceArgument,
    dest: DestArgument,
    match: MatchOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    on_conflict: OnConflictOption = "skip",
    archive: ArchiveOption = False,
    id_as: IdAsOption = None,
    rejects: RejectsOption = None,
    dry_run: DryRunOption = False,
    receipt: ReceiptOption = None,
    to_layout: ToLayoutOption = None,
    jobs: JobsOption = 2,
    move: MoveOption = False,
    no_backup: NoBackupOption = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int | None:
    """Copy conversations to another store, and prove it. They are read back and compared.

    Run it again at any time: it goes on where it ended, and doubles nothing.

    \b
    synmem migrate chat.db prod
    synmem migrate old.db new.db --match 'user-*' --dry-run
    synmem migrate cache archive.db --since 30d --receipt receipt.json
    synmem migrate chat.db message_store.db --to-layout langchain
    synmem migrate claude-code archive.db --archive --id-as '{host}/{layout}/{id}'
    """
    from synmem.cli.files import file_named
    from synmem.cli.moving import Order, check_files, checked_archive, checked_way, run
    from synmem.cli.naming import template_of
    from synmem.cli.times import optional_moment
    from synmem.operations.moving.transfer import Options

    try:
        ours = session.resolve(source)
    except Emptied as error:
        ours = _nothing(session, source, error, archive=archive)
    theirs = session.resolve_other(dest, to_layout)
    if _same(ours, theirs):
        raise UsageError(f"{ours.where} and {theirs.where} are the same store")
    options = Options(
        match=match,
        since=optional_moment(since, option="--since", removes=move),
        until=optional_moment(until, option="--until", removes=move),
        on_conflict=checked_way(on_conflict),
        archive=checked_archive(archive, on_conflict),
        label=ours.name,
        jobs=jobs,
        dry_run=dry_run,
        move=move,
        exact=session.json or receipt is not None,
    )
    left, proof = file_named("--rejects", rejects), file_named("--receipt", receipt)
    named = template_of(id_as)
    order = Order(options, left, proof, not no_backup, source=ours, id_as=named)
    check_files(order, [ours.file], theirs.file)
    _ask(ours, theirs, order, yes=yes, confirmed=confirm)
    how = {"write": move and not dry_run, "planning": move and dry_run}
    async with contextlib.AsyncExitStack() as stack:
        ours, store = await _opened(stack, session, ours, archive=archive, **how)
        if ours.backend == "memory":
            store.name = ours.name  # in the receipt: what was named
        if match is None:
            await session.tell_others(store)
        return await run(session, store, theirs, order)


async def _opened(
    stack: contextlib.AsyncExitStack,
    session: Session,
    ours: "Profile",
    *,
    archive: bool,
    **how: bool,
) -> "tuple[Profile, Store]":
    """The source, or what stands in its place where an archive has all that was in it."""
    from synmem.places import layout_at

    async def opened(profile: "Profile") -> "Store":
        return await stack.enter_async_context(session.open_profile(profile, **how))

    try:
        try:
            return ours, await opened(ours)
        except UnknownLayout:
            # An empty folder does not tell whose it is; where it lies may.
            layout = layout_at(ours.file) if archive and ours.file is not None else None
            if layout is None or "layout" in ours.settings:
                raise
            return ours, await opened(ours.given(layout=layout))
    except Emptied as error:
        nothing = _nothing(session, ours.where, error, archive=archive)
        return nothing, await opened(nothing)


def _nothing(session: Session, name: str, error: Emptied, *, archive: bool) -> "Profile":
    """An empty store in the place of a source in which there is nothing any more: an archive has
    what was there, and all is well. Otherwise it is the error that it is."""
    from synmem.profiles import Profile

    if not archive:
        raise error
    session.note(f"nothing to archive: {error}")
    return Profile(name, "memory", {})


def _same(ours: "Profile", theirs: "Profile") -> bool:
    """Whether both are one store: by name, or as one file that has two (a hard link). Two tables
    of a file that are both named are two, and so are two layouts in one place."""
    from synmem.settings import OWN_LAYOUTS

    layouts = {each.settings.get("layout") for each in (ours, theirs)}
    if len(layouts - {None}) == 2 and not layouts <= {*OWN_LAYOUTS}:
        return False
    one_table, other_table = (str(each.settings.get("table", "")) for each in (ours, theirs))
    if one_table and other_table and one_table.lower() != other_table.lower():
        return False
    if ours.identity == theirs.identity:
        return ours.backend != "memory"
    one, other = ours.file, theirs.file
    return (
        one is not None
        and other is not None
        and one.exists()
        and other.exists()
        and one.samefile(other)
    )


def _ask(
    ours: "Profile", theirs: "Profile", order: "Order", *, yes: bool, confirmed: str | None
) -> None:
    """Before anything is removed from the source, or gives way in a protected destination."""
    from synmem.cli.confirm import confirm
    from synmem.cli.times import shown

    options = order.options
    if options.dry_run:
        return
    if options.move:
        what = f"Remove from {_place(ours)} what was copied to {_place(theirs)}"
        what += ", once it is verified" + ("" if order.backup else "; without a backup")
        for word, moment in (("since", options.since), ("until", options.until)):
            what += f"; {word} {shown(moment)}" if moment is not None else ""
        confirm(ours.name, what, yes=yes, confirmed=confirmed, protected=ours.protected)
    elif options.on_conflict == "replace" and theirs.protected:
        what = f"Replace what is different in {_place(theirs)}"
        confirm(theirs.name, what, yes=yes, confirmed=confirmed, protected=True)


def _place(profile: "Profile") -> str:
    return f"{profile.name} ({profile.where})"
