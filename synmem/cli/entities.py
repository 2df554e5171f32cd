"""`synmem entities`: who and what a conversation is about, remembered."""

from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.asking import ModelOption
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import AccessDenied, Unsupported, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synmem.operations.deriving.entities import Known
    from synmem.profiles import Profile

ConversationArgument = Annotated[
    str,
    typer.Argument(metavar="CONVERSATION", help="Its id.", autocompletion=completing.conversations),
]
MaxEntitiesOption = Annotated[
    int, typer.Option("--max-entities", metavar="N", help="Over N, the oldest are forgotten.")
]


@command("layout", "branches")
async def entities(
    session: Session,
    conversation: ConversationArgument,
    max_entities: MaxEntitiesOption = 50,
    model: ModelOption = None,
) -> int | None:
    """Print who and what a conversation is about. What is known of each, the last updated last.

    A model finds them ([llm] in config.toml), message by message. They are remembered, and the
    next time only new messages are sent. In a pipe a line for each: `name: description`.

    \b
    synmem entities user-1
    synmem entities user-1 --json --max-entities 20
    """
    if max_entities < 1:
        raise UsageError("--max-entities is 1 or more")
    profile = session.resolve()
    known = await _learned(session, profile, conversation, max_entities, model)
    try:
        await _remember(session, profile, known)
    finally:  # what cannot be remembered was learned all the same
        _print(session, known)
    return PARTLY if known.unreadable else None


async def _learned(
    session: Session,
    profile: "Profile",
    conversation: str,
    max_entities: int,
    model: str | None,
) -> "Known":
    from synmem.cli.asking import configured, opened
    from synmem.cli.progress import progress
    from synmem.notes import Notes
    from synmem.operations.derived import notes_folder
    from synmem.operations.deriving.entities import learn

    settings = configured(session, model)
    async with session.open_profile(profile) as store, opened(session, settings) as asking:
        with progress("Reading messages", quiet=session.quiet) as bar:
            return await learn(
                store, conversation, Notes(store, notes_folder(profile.identity)), asking.llm,
                max_entities=max_entities, max_characters=asking.max_characters, heard=bar.advance,
            )  # fmt: skip


async def _remember(session: Session, profile: "Profile", known: "Known") -> None:
    """Write what is new: beside the data where the store lets us, else in the state folder."""
    from synmem.notes import Notes
    from synmem.operations.derived import notes_folder
    from synmem.operations.deriving.entities import remember

    if known.remembered:
        return
    folder = notes_folder(profile.identity)
    try:
        async with session.open_profile(profile, write=True) as store:
            await remember(known, Notes(store, folder), beside=True)
    except (AccessDenied, Unsupported):
        async with session.open_profile(profile) as store:
            await remember(known, Notes(store, folder), beside=False)


def _print(session: Session, known: "Known") -> None:
    if known.stale:
        session.note("what was known was stale, and is made anew")
    rows = list(known.entities.items())
    if session.json:
        render.json_line([{"name": name, "description": said} for name, said in rows])
    elif not rows:
        session.note("no entities")
    elif render.is_terminal():
        _draw(rows)
    else:
        for name, said in rows:
            render.line(f"{_one_line(name)}: {_one_line(said)}")
    for record in known.unreadable:
        render.note(f"message {record.position} cannot be read: {record.reason}")


def _draw(rows: "Sequence[tuple[str, str]]") -> None:
    """Each with what is known of it below, wrapped."""
    from synmem.cli.screen.columns import prose_width, wrapped
    from synmem.cli.screen.styles import STRONG, painted

    width = prose_width()
    with render.paged() as out:
        for name, said in rows:
            head = [
                painted(line, STRONG)
                for line in wrapped(render.visible_line(_one_line(name)), width)
            ]
            below = wrapped(render.visible_line(_one_line(said)), width - 2)
            lines = [*head, *(f"  {line}" for line in below), ""]
            out("\n".join(lines).encode("utf-8", "backslashreplace"))


def _one_line(text: str) -> str:
    return " ".join(text.split())
