"""`synmem import`: bring the conversations of files into a store."""

from pathlib import Path
from typing import Annotated

import typer

from synmem.cli import completing
from synmem.cli.damage import Harm
from synmem.cli.moving import (
    ArchiveOption,
    DryRunOption,
    NoBackupOption,
    OnConflictOption,
    ReceiptOption,
    RejectsOption,
)
from synmem.cli.options import IdAsOption, MatchOption
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import CorruptData, Refused, UsageError

FORMATS = ("auto", "jsonl", "json", "csv", "openai", "anthropic", "sharegpt")
_STDIN = "-"

FilesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="FILE", help="What to read; - or none: stdin.")
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format", "-f", metavar="NAME", autocompletion=completing.one_of(*FORMATS),
        help=f"What the files are: {', '.join(FORMATS)}.",
    ),
]  # fmt: skip
ConversationOption = Annotated[
    str | None,
    typer.Option("--conversation", metavar="ID", help="Where messages name no conversation."),
]
PartsOption = Annotated[
    bool, typer.Option("--parts", help="The files are parts: one goes on where another ends.")
]
TimezoneOption = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="ZONE",
        help="Of times without one: Europe/Berlin, +02:00, UTC or local.",
    ),
]


@command("layout", "branches")
async def import_(
    session: Session,
    files: FilesArgument = None,
    form: FormatOption = "auto",
    conversation: ConversationOption = None,
    timezone: TimezoneOption = None,
    match: MatchOption = None,
    parts: PartsOption = False,
    on_conflict: OnConflictOption = "skip",
    archive: ArchiveOption = False,
    id_as: IdAsOption = None,
    rejects: RejectsOption = None,
    dry_run: DryRunOption = False,
    receipt: ReceiptOption = None,
    no_backup: NoBackupOption = False,
) -> int | None:
    """Bring files, or stdin, into a store, and prove it.

    What is there already is not doubled: run it again at any time. Files come one after the other;
    the parts of a split export are one.

    \b
    synmem import backup.jsonl -p chat.db
    synmem import chat-*.jsonl
    ssh server synmem export | synmem import
    synmem import broken.jsonl --rejects left.jsonl
    """
    from asyncio import CancelledError

    from synmem.cli.files import file_named
    from synmem.cli.importing import Files
    from synmem.cli.moving import Order, bring, check_files, checked_archive, checked_way
    from synmem.cli.naming import template_of
    from synmem.operations.moving.transfer import Options

    if form not in FORMATS:
        raise UsageError(f"--format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    names = list(files or [_STDIN])
    for name in names:
        _check_is_file(name)
    dest = session.resolve_other(session.profile, session.layout)
    if on_conflict == "replace" and dest.protected and not dry_run:
        raise Refused(
            f"{dest.name} is protected: nothing in it gives way to an import",
            hint="synmem migrate FILE PROFILE --on-conflict replace asks for its name",
        )
    options = Options(
        match=match,
        on_conflict=checked_way(on_conflict),
        archive=checked_archive(archive, on_conflict),
        jobs=2,  # while one batch is written, the next one is read
        dry_run=dry_run,
        exact=session.json or receipt is not None,
    )
    left, proof = file_named("--rejects", rejects), file_named("--receipt", receipt)
    named = template_of(id_as)
    order = Order(options, left, proof, not no_backup, "import", "Importing", id_as=named)
    check_files(order, [_path(name) for name in names], dest.file)
    settings = {
        "format": form,
        "conversation": conversation,
        "joined": parts,
        "timezone": timezone,
        "branches": session.branches,
    }
    read = False
    try:
        async with Files(names, settings) as found:
            harm = await found.look(
                consent=rejects is not None, as_json=session.json, quiet=session.quiet
            )
            if harm is Harm.DAMAGED and rejects is None:
                return PARTLY
            loads = found.loads(apart=on_conflict == "rename")
            if not parts and (len(loads) > 1 or found.named_like_parts):
                order = order._replace(conflict_hint=_CLOSED if found.closed else _HINT)
            if dry_run and len(loads) > 1:
                session.note("each file is compared with what is there now, not with the others")
            read = True
            code = await bring(session, found.name, loads, dest, order, harm)
            session.note_branches(found.left_out)
            return code
    except CancelledError:
        if not read:
            session.note("interrupted while reading: nothing was written")
        raise
    except CorruptData as error:
        from synmem.cli import render

        render.error(error, as_json=session.json)
        return PARTLY


_CLOSED = "where files have different conversations of one name: --on-conflict rename brings both"
_HINT = "where a file goes on with a conversation that another one begins: --parts joins them"


def _check_is_file(name: str) -> None:
    """UsageError where it is a URL: it may hold a password, which no path would be masked for."""
    from synmem.backends import backend_of
    from synmem.masking import mask

    scheme, mark, _ = name.partition("://")
    if not mark or not scheme.replace("+", "").isalnum():
        return
    hint = "the file's path, or - for stdin"
    if backend_of(scheme.lower()):
        hint = "`synmem migrate URL PROFILE` moves from a store"
    raise UsageError(f"{mask(name)} is a URL, not a file", hint=hint)


def _path(name: str) -> Path:
    return Path("/dev/stdin" if name == _STDIN else name)  # stdin may be a file, too: `< FILE`
