"""`synmem export`: conversations as a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synmem.cli import completing, render
from synmem.cli.options import MatchOption
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import count
from synmem.errors import UsageError

if TYPE_CHECKING:
    from synmem.operations.export import Export
    from synmem.store import Store

_ENDINGS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".md": "markdown",
    ".markdown": "markdown", ".csv": "csv",
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
        "--format", "-f", metavar="jsonl|json|markdown|csv",
        help="How it is written; without, as FILE ends, else jsonl.",
    ),
]  # fmt: skip
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else stdout.")
]
SealOption = Annotated[
    bool, typer.Option("--seal", help="Let the file prove that it is whole (jsonl).")
]
CsvRawOption = Annotated[
    bool, typer.Option("--csv-raw", help="Do not guard cells that a spreadsheet would run.")
]


@command
async def export(
    session: Session,
    conversations: ConversationsArgument = None,
    match: MatchOption = None,
    form: FormatOption = None,
    output: OutputOption = None,
    seal: SealOption = False,
    csv_raw: CsvRawOption = False,
) -> int | None:
    """Write conversations to stdout or a file. `synmem import` reads it back.

    \b
    synmem export > backup.jsonl
    synmem export --seal -o backup.jsonl
    synmem export user-1 -f markdown | less
    """
    from synmem.formats import open_writer
    from synmem.operations.export import Export

    if output is not None and str(output) == "-":
        output = None
    form = _form(session, form, output)
    writer = open_writer(form, seal=seal, raw=csv_raw)
    async with session.open() as store:
        job = Export(store, writer)
        await _write(session, job, form, output, conversations or None, match)
        damaged = False if conversations or match else await _name_damage(store)
    for conversation, number, reason in job.unreadable:
        name = render.visible_line(conversation)
        render.note(f"{name}: message {number:,} cannot be read: {render.visible_line(reason)}")
    if output is not None or session.verbose:
        session.note(
            f"{count(job.conversations, 'conversation')}, {count(job.messages, 'message')} written"
            + (f" to {output}" if output else "")
            + (f"; {count(job.left_out, 'record')} left out" if job.left_out else "")
        )
    return PARTLY if job.left_out or damaged else None


async def _name_damage(store: "Store") -> bool:
    """Whether something is wrong with the store beyond single messages; it is named."""
    from synmem.cli.damage import name_damage
    from synmem.store import SupportsDamage

    # A malformed line stands in a conversation too, and was named there.
    found = await store.damage() if isinstance(store, SupportsDamage) else []
    found = [each for each in found if each.kind != "malformed"]
    name_damage(store.name, found)
    return bool(found)


def _form(session: Session, form: str | None, output: Path | None) -> str:
    if session.json and form not in (None, "json"):
        raise UsageError(f"--json is -f json, not -f {form}")
    if form is None:
        ending = output.suffix.lower() if output else ""
        form = "json" if session.json else _ENDINGS.get(ending, "jsonl")
    return form


async def _write(
    session: Session,
    job: "Export",
    form: str,
    output: Path | None,
    ids: list[str] | None,
    match: str | None,
) -> None:
    if output is None:
        await _stream(job, _printer(form), ids, match)
        return
    from synmem.cli.files import writing
    from synmem.cli.progress import progress

    with progress("Exporting", quiet=session.quiet) as bar, writing(output) as write:

        def counted(piece: bytes) -> None:
            write(piece)
            bar.advance(job.messages - bar.done)

        await _stream(job, counted, ids, match)


async def _stream(
    job: "Export", write: Callable[[bytes], Any], ids: list[str] | None, match: str | None
) -> None:
    async for piece in job.pieces(ids=ids, match=match):
        write(piece)


def _printer(form: str) -> Callable[[bytes], Any]:
    """To stdout, exact; on a terminal through the gate."""
    if not render.is_terminal():
        return render.write
    if form in ("json", "jsonl"):
        return render.write_json
    return lambda piece: render.write(render.visible(piece.decode()).encode())
