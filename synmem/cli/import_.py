"""`synmem import`: bring the conversations of files into a store."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synmem.cli.moving import (
    DryRunOption,
    NoBackupOption,
    OnConflictOption,
    ReceiptOption,
    RejectsOption,
)
from synmem.cli.options import MatchOption
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import CorruptData, Refused, UsageError

if TYPE_CHECKING:
    from synmem.store import Store

FORMATS = ("auto", "jsonl", "json", "csv")
_STDIN = "-"
_BLOCK = 1 << 20

FilesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="FILE", help="What to read; - or none: stdin.")
]
FormatOption = Annotated[
    str, typer.Option("--format", "-f", metavar="|".join(FORMATS), help="What the files are.")
]
ConversationOption = Annotated[
    str | None,
    typer.Option("--conversation", metavar="ID", help="Where messages name no conversation."),
]


@command
async def import_(
    session: Session,
    files: FilesArgument = None,
    form: FormatOption = "auto",
    conversation: ConversationOption = None,
    match: MatchOption = None,
    on_conflict: OnConflictOption = "skip",
    rejects: RejectsOption = None,
    dry_run: DryRunOption = False,
    receipt: ReceiptOption = None,
    no_backup: NoBackupOption = False,
) -> int | None:
    """Bring files, or stdin, into a store, and prove it.

    What is there already is not doubled: run it again at any time.

    \b
    synmem import backup.jsonl -p chat.db
    ssh server synmem export | synmem import
    synmem import broken.jsonl --rejects left.jsonl
    """
    from asyncio import CancelledError

    from synmem.cli.files import file_named
    from synmem.cli.moving import Order, check_files, checked_way, run
    from synmem.operations.transfer import Options

    if form not in FORMATS:
        raise UsageError(f"--format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    names = list(files or [_STDIN])
    for name in names:
        _check_is_file(name)
    dest = session.resolve()
    if on_conflict == "replace" and dest.protected and not dry_run:
        raise Refused(
            f"{dest.name} is protected: nothing in it gives way to an import",
            hint="synmem migrate FILE PROFILE --on-conflict replace asks for its name",
        )
    options = Options(
        match=match,
        on_conflict=checked_way(on_conflict),
        label=_label(names),
        jobs=2,  # while one batch is written, the next one is read
        dry_run=dry_run,
        exact=session.json or receipt is not None,
    )
    left, proof = file_named("--rejects", rejects), file_named("--receipt", receipt)
    order = Order(options, left, proof, not no_backup, "import", "Importing")
    check_files(order, [_path(name) for name in names], dest.file)
    settings = {"format": form, "conversation": conversation}
    read = False
    try:
        async with _source(
            names, settings, consent=rejects is not None, as_json=session.json
        ) as store:
            read = True
            return await run(session, store, dest, order)
    except CancelledError:
        if not read:
            session.note("interrupted while reading: nothing was written")
        raise
    except _Damaged:
        return PARTLY
    except CorruptData as error:
        from synmem.cli import render

        render.error(error, as_json=session.json)
        return PARTLY


def _check_is_file(name: str) -> None:
    """UsageError where it is a URL: it may hold a password, which no path would be masked for."""
    from synmem.backends import SCHEMES
    from synmem.masking import mask

    scheme, mark, _ = name.partition("://")
    if not mark or not scheme.replace("+", "").isalnum():
        return
    hint = "the file's path, or - for stdin"
    if scheme.lower() in SCHEMES:
        hint = "`synmem migrate URL PROFILE` moves from a store"
    raise UsageError(f"{mask(name)} is a URL, not a file", hint=hint)


def _label(names: Sequence[str]) -> str:
    return "stdin" if names[0] == _STDIN else Path(names[0]).name


def _path(name: str) -> Path:
    return Path("/dev/stdin" if name == _STDIN else name)  # stdin may be a file, too: `< FILE`


class _Damaged(Exception):
    """One of several files is damaged, and was named."""


@contextlib.asynccontextmanager
async def _source(
    names: Sequence[str], settings: dict[str, Any], *, consent: bool, as_json: bool
) -> "AsyncIterator[Store]":
    """The files as one source: a conversation may begin in one and go on in the next."""
    from synmem.backends import open_store

    if len(names) == 1:
        async with _one(names[0], settings) as (store, _):
            yield store
        return
    with _spool() as (spool, path):
        await _take_all(names, settings, spool, consent=consent, as_json=as_json)
        spool.flush()
        joined = {**settings, "path": path, "name": f"{names[0]} ...", "format": "jsonl"}
        async with open_store("file", joined) as store:
            yield store


@contextlib.asynccontextmanager
async def _one(name: str, settings: dict[str, Any]) -> "AsyncIterator[tuple[Store, Path]]":
    """One file, or stdin, and the path where it can be read."""
    from synmem.backends import open_store

    if name != _STDIN:
        async with open_store("file", {**settings, "path": name}) as store:
            yield store, Path(name)
        return
    with _spool() as (spool, path):
        await _take_stdin(spool)
        spool.flush()
        async with open_store("file", {**settings, "path": path, "name": "stdin"}) as store:
            yield store, Path(path)


@contextlib.contextmanager
def _spool() -> "Iterator[tuple[Any, str]]":
    from synmem import durable, leftovers

    with leftovers.temporary() as claim:
        path = claim.part("import")
        with durable.create(path) as spool:
            yield spool, str(path)


async def _take_stdin(spool: Any) -> None:
    """Copy stdin; UsageError where there is nothing."""
    import asyncio
    import sys

    if sys.stdin.isatty():
        raise UsageError("nothing to import", hint="name a FILE, or pipe one in")
    size = 0
    while block := _read_some():
        if block is not _NOTHING_YET:
            spool.write(block)
            size += len(block)
        await asyncio.sleep(0)  # an interrupt is heard here
    if not size:
        raise UsageError("stdin is empty: nothing was imported")


_NOTHING_YET = b"\0"


def _read_some() -> bytes:
    """What stdin has, or `_NOTHING_YET` after a moment: a read that waits would not be
    interrupted."""
    import os
    import select
    import sys

    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):
        return sys.stdin.buffer.read(_BLOCK)
    if os.name == "posix" and not select.select([descriptor], [], [], 0.2)[0]:
        return _NOTHING_YET
    return os.read(descriptor, _BLOCK)


async def _take_all(
    names: Sequence[str], settings: dict[str, Any], spool: Any, *, consent: bool, as_json: bool
) -> None:
    """Check all files first, then put them one behind the other, as JSON Lines."""
    from synmem.cli.damage import Harm, check_damage

    harm = Harm.NONE
    for name in names:
        async with _one(name, settings) as (store, path):
            harm = max(harm, await check_damage(store, consent=consent, as_json=as_json))
            if _is_lines(path, settings["format"]):
                _append(path, spool)
            else:
                await _convert(store, spool)
    if harm and not consent:
        raise _Damaged


def _is_lines(path: Path, form: str) -> bool:
    """Whether the file is JSON Lines, and can be put behind another as it stands."""
    from synmem.messages import parse_json

    if form != "auto":
        return form == "jsonl"
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return True
    with path.open("rb") as file:
        line = file.readline(_BLOCK)
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def _append(path: Path, spool: Any) -> None:
    import shutil

    with path.open("rb") as file:
        shutil.copyfileobj(file, spool, _BLOCK)
        file.seek(-1, 2) if file.tell() else None
        if file.read(1) not in (b"", b"\n"):
            spool.write(b"\n")


async def _convert(store: "Store", spool: Any) -> None:
    from synmem.formats import open_writer
    from synmem.operations.export import Export

    export = Export(store, open_writer("jsonl"))
    async for piece in export.pieces():
        spool.write(piece)
    for conversation, number, reason in export.unreadable:
        raise CorruptData(
            f"{store.name}: conversation {conversation!r}, message {number:,}: {reason}",
            hint="import this file by itself",
        )
