"""`synmem summarize`: a summary of all but the newest messages, remembered."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import render
from synmem.cli.options import ConfirmOption, ConversationsArgument, MatchOption, YesOption
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import AccessDenied, Unsupported, UsageError

if TYPE_CHECKING:
    from synmem.notes import Notes
    from synmem.operations.summarize import Summary
    from synmem.profiles import Profile
    from synmem.store import Store

MaxMessagesOption = Annotated[
    int, typer.Option("--max-messages", metavar="N", help="The newest N are left alone.")
]
MethodOption = Annotated[
    str,
    typer.Option(
        "--method", metavar="NAME",
        help="extractive (the most central sentences, offline), llm (comes with a later version) "
        "or auto.",
    ),
]  # fmt: skip
PromptOption = Annotated[
    Path | None, typer.Option("--prompt", metavar="FILE", help="What to ask the LLM.")
]
ReplaceOption = Annotated[
    bool,
    typer.Option(
        "--replace", help="Let the summary take the place of the messages; undo brings them back."
    ),
]
NoBackupOption = Annotated[
    bool, typer.Option("--no-backup", help="Replace for good: no backup, no undo.")
]


@command
async def summarize(
    session: Session,
    conversations: ConversationsArgument = None,
    match: MatchOption = None,
    max_messages: MaxMessagesOption = 20,
    method: MethodOption = "auto",
    prompt: PromptOption = None,
    replace: ReplaceOption = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    no_backup: NoBackupOption = False,
) -> int | None:
    """Summarize all but the newest messages. `context` uses the summary.

    It is remembered, and the next one goes on from it. The messages stay, but for --replace.

    \b
    synmem summarize user-1
    synmem summarize --match 'user-*' --max-messages 50 -q > /dev/null
    synmem summarize user-1 --replace
    """
    from synmem.operations.summarize import check

    _check_options(conversations, match, method, prompt)
    used = check(method, max_messages)
    profile = session.resolve()
    summaries = await _summaries(session, profile, conversations, match, max_messages)
    if used != method and any(each.text is not None for each in summaries):
        session.note("no LLM is configured: the summary is made of the most central sentences")
    failed: list[str] = []
    if replace:
        _ask(profile, summaries, yes=yes, confirm=confirm, no_backup=no_backup)
        failed = await _replace(session, profile, summaries, saved=not no_backup)
        _print(session, summaries, replaced=True, failed=failed)
    else:
        try:
            await _remember(session, profile, summaries)
        finally:  # a summary that cannot be remembered is still a summary
            _print(session, summaries)
    return PARTLY if failed or any(each.unreadable for each in summaries) else None


def _check_options(
    conversations: list[str] | None, match: str | None, method: str, prompt: Path | None
) -> None:
    if bool(conversations) == (match is not None):
        raise UsageError("name conversations, or --match: one of the two")
    if prompt is not None and method != "llm":
        raise UsageError("--prompt is for an LLM, and none is configured")


async def _summaries(
    session: Session,
    profile: "Profile",
    conversations: list[str] | None,
    match: str | None,
    max_messages: int,
) -> "list[Summary]":
    from synmem.cli.progress import progress
    from synmem.operations.listing import select
    from synmem.operations.summarize import summarize

    ids = list(dict.fromkeys(conversations or ()))
    done = []
    async with session.open_profile(profile) as store:
        found = [
            name async for page in select(store, ids=ids or None, match=match) for name in page
        ]
        notes = _notes(profile, store)
        with progress("Summarizing", total=len(found), quiet=session.quiet) as bar:
            for conversation in ids or sorted(found):
                done.append(await summarize(store, conversation, notes, max_messages=max_messages))
                bar.advance()
    return done


def _notes(profile: "Profile", store: "Store") -> "Notes":
    from synmem.notes import Notes
    from synmem.operations.derived import notes_folder

    return Notes(store, notes_folder(profile.identity))


async def _remember(session: Session, profile: "Profile", summaries: "Sequence[Summary]") -> None:
    """Write what is new: beside the data where the store lets us, else in the state folder."""
    from synmem.operations.summarize import remember

    new = [each for each in summaries if not each.remembered and (each.note or each.stale)]
    if not new:
        return
    try:
        async with session.open_profile(profile, write=True) as store:
            for each in new:
                await remember(each, _notes(profile, store), beside=True)
    except (AccessDenied, Unsupported):
        async with session.open_profile(profile) as store:
            for each in new:
                await remember(each, _notes(profile, store), beside=False)


def _ask(
    profile: "Profile",
    summaries: "Sequence[Summary]",
    *,
    yes: bool,
    confirm: str | None,
    no_backup: bool,
) -> None:
    from synmem.cli.confirm import confirm as ask

    due = [each for each in summaries if each.text is not None]
    if not due:
        return
    messages = sum(each.messages for each in due)
    which = ", ".join(render.visible_line(each.conversation) for each in due[:3])
    more = f" and {len(due) - 3} more" if len(due) > 3 else ""
    what = f"Replace the oldest {messages:,} messages of {which}{more} by summaries"
    what += ", for good, without a backup" if no_backup else ""
    ask(
        profile.name, f"{what}, in {profile.name}",
        yes=yes, confirmed=confirm, protected=profile.protected,
    )  # fmt: skip


async def _replace(
    session: Session, profile: "Profile", summaries: "Sequence[Summary]", *, saved: bool
) -> list[str]:
    """Let the summaries take their places; the ids of those that stayed, each named."""
    import contextlib

    from synmem.cli.origin import origin_of
    from synmem.operations.backup import new_backup
    from synmem.operations.summarize import NotReplaced, replace_fronts

    due = [each for each in summaries if each.text is not None]
    if not due:
        return []
    failed = []
    backing = new_backup(origin_of(session, profile, "summarize --replace"))
    with backing if saved else contextlib.nullcontext() as backup:
        try:
            async with session.open_profile(profile, write=True) as store:
                async for each in replace_fronts(store, due, _notes(profile, store), backup):
                    if isinstance(each, NotReplaced):
                        failed.append(each.conversation)
                        hint = f" ({each.error.hint})" if each.error.hint else ""
                        render.note(f"not replaced: {each.error}{hint}")
        finally:
            if backup is not None and backup.sealed:
                session.note(f"replaced; to bring back: synmem undo {backup.id}")
    if not saved:
        from synmem.operations.derived import forget

        forget(profile.identity, [each.conversation for each in due])
    return failed


def _print(
    session: Session,
    summaries: "Sequence[Summary]",
    *,
    replaced: bool = False,
    failed: Sequence[str] = (),
) -> None:
    for each in summaries:
        _tell(session, each, replaced=replaced)
    if session.json:
        render.json_line(
            [
                {
                    "conversation_id": each.conversation,
                    "summary": each.text,
                    "messages": each.messages,
                    "method": each.method if each.text is not None else None,
                    "replaced": replaced
                    and each.text is not None
                    and each.conversation not in failed,
                }
                for each in summaries
            ]
        )
        return
    first = True
    for each in summaries:
        if each.text is None:
            continue
        if len(summaries) > 1:
            render.line(("" if first else "\n") + f"# {each.conversation}\n")
        render.line(each.text)
        first = False


def _tell(session: Session, summary: "Summary", *, replaced: bool) -> None:
    name = render.visible_line(summary.conversation)
    if summary.text is None:
        session.note(f"{name}: nothing to summarize, it has only its newest messages")
    elif summary.remembered and not replaced:
        session.note(f"{name}: the summary of {summary.messages:,} messages is up to date")
    if summary.stale:
        session.note(f"{name}: the earlier summary was stale, and is replaced or forgotten")
    for record in summary.unreadable:
        render.note(f"{name}, message {record.position} cannot be read: {record.reason}")
