"""`synmem export`: conversations as a file."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from synmem.cli import completing, render
from synmem.cli.options import MatchOption
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import count, place
from synmem.errors import SynmemError, UsageError
from synmem.formats import FORMATS

if TYPE_CHECKING:
    from synmem.cli.outputs import Output
    from synmem.formats import Writer
    from synmem.formats.losses import Losses
    from synmem.messages import Damage
    from synmem.operations.export import Export
    from synmem.profiles import Profile
    from synmem.store import Store

_ENDINGS: Final = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".md": "markdown",
    ".markdown": "markdown", ".csv": "csv",
    ".html": "html", ".htm": "html", ".parquet": "parquet",
}  # fmt: skip
_DATABASES: Final = {".db", ".db3", ".sqlite", ".sqlite3"}
_PACKED: Final = {
    ".bz2", ".xz", ".zst", ".lz4", ".br", ".zip", ".7z", ".rar", ".tar", ".tgz",
}  # fmt: skip

ConversationsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONVERSATION", help="Their ids; all without.",
        autocompletion=completing.conversations,
    ),
]  # fmt: skip
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", "-f", metavar="NAME", autocompletion=completing.one_of(*FORMATS),
        help=f"How it is written: {', '.join(FORMATS)}; without, as FILE ends, else jsonl.",
    ),
]  # fmt: skip
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE",
        help="Where to; else stdout. DIR/, '{profile}/{id}.md': a file for each. FILE.gz: packed.",
    ),
]  # fmt: skip
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split", metavar="20mb|1000",
        help="In parts of so many bytes or messages: FILE-0001, FILE-0002, ...",
    ),
]  # fmt: skip
SealOption = Annotated[
    bool, typer.Option("--seal", help="Let the file prove that it is whole (jsonl).")
]
KeepOption = Annotated[
    int | None,
    typer.Option(
        "--keep", metavar="N",
        help="With {date} in FILE: once it is proven, only the newest N stay. Seals it.",
    ),
]  # fmt: skip
CsvRawOption = Annotated[
    bool, typer.Option("--csv-raw", help="Do not guard cells that a spreadsheet would run.")
]
RescueOption = Annotated[
    bool,
    typer.Option("--rescue", help="Read around damage: all of an SQLite file that can be read."),
]


@command("layout", "branches")
async def export(
    session: Session,
    conversations: ConversationsArgument = None,
    match: MatchOption = None,
    form: FormatOption = None,
    output: OutputOption = None,
    split: SplitOption = None,
    seal: SealOption = False,
    keep: KeepOption = None,
    csv_raw: CsvRawOption = False,
    rescue: RescueOption = False,
) -> int | None:
    """Write conversations to stdout or files. `synmem import` reads them back.

    In a file's name {id}, {profile} and {date} stand for the conversation's id, made safe, the
    profile's name and the day; DIR/ is DIR/{id} with an ending. Missing folders are made.

    \b
    synmem export > backup.jsonl
    synmem export --seal -o backup.jsonl --split 20mb
    synmem export user-1 -f markdown | less
    synmem export -o chats/ -f html
    synmem export -o 'backups/{date}.jsonl.gz' --keep 7
    """
    from synmem.cli.losing import tell
    from synmem.formats.losses import Losses

    profile = session.resolve()
    output = None if output == "-" else output
    form = session.json_or(form)
    target = _target(output, split, profile, form)
    form = _form(session, form, output)
    _check_split(split, form)
    losses = Losses()
    mark = _mark(profile, keep, target, form, [*sorted({*(conversations or ())}), match])
    make = _maker(form, seal=seal or bool(mark), csv_raw=csv_raw, whose=mark, losses=losses)
    chosen = {"ids": conversations or None, "match": match}
    async with session.open_profile(profile) as opened_store:
        store = _rescued(opened_store) if rescue else opened_store
        spare = None
        if keep is not None and target is not None:
            spare = partial(_spare_today, store, target, mark, any(chosen.values()))
        job, places, files = await _write(session, store, form, make, target, spare, **chosen)
        damaged = False
        if not conversations and not match:
            damaged = await _name_damage(store, quiet=session.quiet)
            await session.tell_others(opened_store)
    _name_unreadable(job)
    if columns := opened_store.holds.unread:
        session.note(f"not in it: somebody's own columns: {', '.join(columns)}")
    for conversation, reason in job.bare.items():
        name = render.visible_line(conversation)
        render.note(f"{name}: written without: {render.visible_line(reason)}")
    left_out = job.left_out + tell(session, form, losses)
    if target is not None or session.verbose:
        session.note(_summary(job, losses, places, left_out))
    partly = bool(left_out or damaged)
    if keep is not None and target is not None:
        _rotate(session, target, mark, keep, job, files, partly=partly)
    return PARTLY if partly else None


async def to_file(
    session: Session, profile: "Profile", store: "Store", ids: Sequence[str], output: str
) -> str:
    """Write these conversations to a file, as `-o` does; what is to be said of it."""
    from synmem.cli.losing import tell
    from synmem.formats.losses import Losses

    losses = Losses()
    target, form = _target(output, None, profile, None), _form(session, None, output)
    make = _maker(form, seal=False, csv_raw=False, whose="", losses=losses)
    job, places, _ = await _write(session, store, form, make, target, ids=ids)
    return _summary(job, losses, places, job.left_out + tell(session, form, losses))


def _summary(job: "Export", losses: "Losses", places: str, left_out: int) -> str:
    return (
        f"{count(job.conversations - losses.conversations, 'conversation')}, "
        f"{count(job.messages - losses.messages, 'message')} written"
        + (f" to {places}" if places else "")
        + (f"; {count(left_out, 'record')} left out" if left_out else "")
    )


def _mark(
    profile: "Profile", keep: int | None, target: "Output | None", form: str, choice: list[Any]
) -> str:
    """What a file with --keep says whose it is by, and what was chosen; empty without --keep."""
    if keep is None:
        return ""
    from synmem.cli.rotating import check_keep
    from synmem.formats.sealed import mark_of

    check_keep(keep, target, form)
    layout = str(profile.settings.get("layout") or "")
    return mark_of(profile.identity, layout, repr(choice) if any(choice) else "")


async def _spare_today(
    store: "Store", target: "Output", mark: str, chosen: bool, job: "Export"
) -> None:
    """Where the export lacks something, see `rotating.spare`; what is wrong is named before it
    raises."""
    from synmem.cli.damage import name_damage
    from synmem.cli.rotating import of_today, spare

    if not (today := of_today(target, mark)):
        return
    found = [] if chosen else await _damage(store)
    if not (job.left_out or found or not job.messages):
        return
    why = "something is missing" if job.left_out or found else "there is nothing"
    try:
        spare(today, job.messages, why)
    except SynmemError:
        _name_unreadable(job)
        name_damage(store.name, found)
        raise


def _rotate(
    session: Session,
    target: "Output",
    mark: str,
    keep: int,
    job: "Export",
    files: "list[Path]",
    *,
    partly: bool,
) -> None:
    """Prove what was written, and let older ones go; not for one that lacks anything."""
    from synmem.cli.rotating import prove, rotate

    prove(files, job.conversations, job.messages)
    if partly or not job.messages:
        why = "not all is in the new one" if partly else "there is nothing in the new one"
        session.note(f"nothing older was removed: {why}")
        return
    rotate(session, target, mark, keep, files)


def _rescued(store: "Store") -> "Store":
    """What can be read of it; Unsupported where it is read around nothing."""
    from synmem.errors import Unsupported
    from synmem.store import Store, SupportsRescue

    if not isinstance(store, SupportsRescue):
        raise Unsupported(f"{store.name}: only SQLite files are rescued", hint="leave out --rescue")
    return cast(Store, store.rescued())  # an export asks for no more of it


async def _name_damage(store: "Store", *, quiet: bool) -> bool:
    """Whether something is wrong with the store beyond single messages; it is named."""
    from synmem.cli.damage import name_damage, name_several

    if not quiet:
        await name_several(store)
    found = await _damage(store)
    name_damage(store.name, found)
    return bool(found)


async def _damage(store: "Store") -> "list[Damage]":
    from synmem.operations.looking import damage_of, faults

    # A malformed line stands in a conversation too, and is named there.
    return [each for each in faults(await damage_of(store)) if each.kind != "malformed"]


def _name_unreadable(job: "Export") -> None:
    for each in job.unreadable:
        where, why = map(render.visible_line, (each.conversation_id, each.reason))
        render.note(f"{where}: message {each.position:,} cannot be read: {why}")


def _form(session: Session, form: str | None, output: str | None) -> str:
    if output is None:
        return form or "jsonl"
    from synmem.cli.outputs import is_folder
    from synmem.formats.endings import form_ending

    ending = "" if is_folder(output) else form_ending(output)
    # Of a database or an archive no -f can make a true name.
    if ending in _DATABASES | _PACKED:
        raise UsageError(f"-o {output}: {ending} files are not written", hint=_hint(ending))
    if form is None and ending not in _ENDINGS:
        _tell_default(session, output, ending)
    return form or _ENDINGS.get(ending, "jsonl")


def _tell_default(session: Session, output: str, ending: str) -> None:
    """The name says something else than what the file will hold; where it says nothing at all, that
    is told to a person only."""
    from synmem.cli.files import is_special

    if (ending or render.is_terminal(sys.stderr)) and not is_special(Path(output)):
        session.note(f"{output}: as JSON Lines; -f, or an ending, chooses another form")


def _hint(ending: str) -> str:
    if ending in _DATABASES:
        return "`synmem migrate SOURCE FILE` copies into a database"
    return "FILE.gz is compressed with gzip; or use a pipe: synmem export | xz > FILE.xz"


def _maker(
    form: str, *, seal: bool, csv_raw: bool, whose: str, losses: "Losses"
) -> "Callable[[], Writer]":
    """What makes a writer; UsageError where there is none of that kind."""
    from synmem.formats import open_writer

    def make() -> "Writer":
        return open_writer(form, seal=seal, raw=csv_raw, whose=whose, losses=losses)

    make()
    return make


def _target(
    output: str | None, split: str | None, profile: "Profile", form: str | None
) -> "Output | None":
    """Where to; UsageError where that makes no sense."""
    if output is None:
        if split is not None:
            raise UsageError("--split makes files", hint="name them: -o FILE")
        return None
    from synmem.cli.outputs import Output

    ending = next((each for each, of in _ENDINGS.items() if of == (form or "jsonl")), ".jsonl")
    return Output(output, split, profile, ending=ending)


def _check_split(split: str | None, form: str) -> None:
    from synmem.formats import BINARY

    if split is not None and form in BINARY:
        raise UsageError(f"--split does not go with {form}", hint="-o DIR/ is a file for each")


# --- writing --------------------------------------------------------------------------------


async def _write(
    session: Session,
    store: "Store",
    form: str,
    make: "Callable[[], Writer]",
    target: "Output | None",
    spare: "Callable[[Export], Awaitable[None]] | None" = None,
    **chosen: Any,
) -> "tuple[Export, str, list[Path]]":
    """Write it; what was written, and to where: in words and, but for a folder, as files. What
    `spare` raises, before it takes its place, leaves all as it was."""
    from synmem.operations.export import Export

    if target is None:
        job = Export(store, make())
        await _stream(job, _printer(form), **chosen)
        return job, "", []
    from synmem.cli.outputs import opened
    from synmem.cli.progress import progress
    from synmem.store import SupportsTotal

    doing = f"Exporting {place(store.name)} → {place(target.template)}"
    with (
        progress(doing, quiet=session.quiet) as bar,
        opened(
            target,
            make,
            lambda: bar.advance(job.messages - bar.done),
            gate=_gate(form),
            note=session.note,
        ) as files,
    ):
        if bar.watched and isinstance(store, SupportsTotal) and not any(chosen.values()):
            bar.expect(await store.total())
        job = Export(store, files.writer)
        await _stream(job, files.write, **chosen)
        if spare is not None:
            await spare(job)
    return job, files.places(), files.files()


async def _stream(job: "Export", write: Callable[[bytes], Any], **chosen: Any) -> None:
    async for piece in job.pieces(**chosen):
        write(piece)


def _printer(form: str) -> Callable[[bytes], Any]:
    """To stdout, exact; on a terminal through the gate."""
    if not render.is_terminal():
        return render.write
    gate = _gate(form)
    return lambda piece: render.write(gate(piece))


def _gate(form: str) -> Callable[[bytes], bytes]:
    """What a terminal may be shown of a file in this form."""
    from synmem.formats import BINARY, LOSSY

    if form in BINARY:
        return _refuse
    if form in ("json", "jsonl", *LOSSY):
        return render.json_for_terminal
    return lambda piece: render.visible(piece.decode()).encode()


def _refuse(piece: bytes) -> bytes:
    raise UsageError("that is binary: a terminal shows none of it", hint="-o FILE, or a pipe")
