"""`synmem summarize`: a summary of all but the newest messages, remembered."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.asking import ModelOption
from synmem.cli.options import ConfirmOption, ConversationsArgument, MatchOption, YesOption
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import UsageError

if TYPE_CHECKING:
    from synmem.model_settings import LLMSettings
    from synmem.operations.deriving.summarize import Summary
    from synmem.profiles import Profile

MaxMessagesOption = Annotated[
    int, typer.Option("--max-messages", metavar="N", help="The newest N are left alone.")
]
MethodOption = Annotated[
    str,
    typer.Option(
        "--method", metavar="NAME",
        autocompletion=completing.one_of("auto", "llm", "extractive"),
        help="extractive (the most central sentences, offline), llm (the configured one), or auto "
        "(llm if one is configured).",
    ),
]  # fmt: skip
PromptOption = Annotated[
    Path | None,
    typer.Option(
        "--prompt", metavar="FILE",
        help="What to ask the LLM: a text with {conversation}, and perhaps {summary}, the summary "
        "so far.",
    ),
]  # fmt: skip
ReplaceOption = Annotated[
    bool,
    typer.Option(
        "--replace", help="Let the summary take the place of the messages; undo brings them back."
    ),
]
NoBackupOption = Annotated[
    bool, typer.Option("--no-backup", help="Replace for good: no backup, no undo.")
]


@command("layout", "branches")
async def summarize(
    session: Session,
    conversations: ConversationsArgument = None,
    match: MatchOption = None,
    max_messages: MaxMessagesOption = 20,
    method: MethodOption = "auto",
    prompt: PromptOption = None,
    model: ModelOption = None,
    replace: ReplaceOption = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    no_backup: NoBackupOption = False,
) -> int | None:
    """Summarize all but the newest messages. `context` uses the summary.

    It is remembered, and the next one goes on from it: a model is sent only what is new. The
    messages stay, but for --replace.

    \b
    synmem summarize user-1
    synmem summarize --match 'user-*' --method llm -q > /dev/null
    synmem summarize user-1 --replace
    """
    from synmem.cli.summarizing import Work
    from synmem.operations.deriving.summarize import check

    if bool(conversations) == (match is not None):
        raise UsageError("name conversations, or --match: one of the two")
    template = _template(prompt)
    check(method, max_messages, template)
    llm = _llm(session, method, prompt, model)
    profile = session.resolve()
    work = Work(session, profile, max_messages, remembering=not replace)
    try:
        await work.run(conversations, match, llm, template)
        if llm is None and method == "auto" and any(each.text is not None for each in work.done):
            session.note("no LLM is configured: the summary is made of the most central sentences")
        failed = bool(work.failed)
        if replace:
            _ask(profile, work.done, yes=yes, confirm=confirm, no_backup=no_backup)
            stayed = await _replace(session, profile, work.done, saved=not no_backup)
            _print(session, work.done, replaced=True, failed=stayed)
            failed = failed or bool(stayed)
    finally:
        if not replace and (work.done or not work.failed):
            _print(session, work.done)  # a summary that cannot be remembered is still a summary
    return PARTLY if failed or any(each.unreadable for each in work.done) else None


def _template(prompt: Path | None) -> str | None:
    if prompt is None:
        return None
    try:
        return prompt.read_text("utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"--prompt: there is no file {prompt}") from error
    except (UnicodeDecodeError, OSError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"--prompt: {prompt}: {why}") from error


def _llm(
    session: Session, method: str, prompt: Path | None, model: str | None
) -> "LLMSettings | None":
    """The LLM to ask, None where sentences are picked."""
    from synmem.cli.asking import configured
    from synmem.model_settings import HINT, none_configured

    if method == "extractive":
        if model is not None:
            raise UsageError("--model is for an LLM: not beside --method extractive")
        return None
    llm = configured(session, model)
    if llm is None and method == "llm":
        raise none_configured()
    if llm is None and prompt is not None:
        raise UsageError("--prompt is for an LLM, and none is configured", hint=HINT)
    return llm


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

    from synmem.cli.origin import origin_of, undoing
    from synmem.cli.summarizing import notes_of
    from synmem.operations.deriving.summarize import NotReplaced, replace_fronts
    from synmem.operations.keeping.backup import new_backup

    due = [each for each in summaries if each.text is not None]
    if not due:
        return []
    failed = []
    replaced = False
    backing = new_backup(origin_of(session, profile, "summarize --replace"))
    with backing if saved else contextlib.nullcontext() as backup:
        try:
            async with session.open_profile(profile, write=True) as store:
                async for each in replace_fronts(store, due, notes_of(profile, store), backup):
                    replaced = replaced or not isinstance(each, NotReplaced)
                    if isinstance(each, NotReplaced):
                        failed.append(each.conversation)
                        render.note_error("not replaced", each.error)
        finally:
            if backup is not None and backup.sealed:
                what = "replaced; to bring back" if replaced else "saved beforehand"
                session.note(f"{what}: {undoing(backup)}")
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
    fitted = _fitted if render.is_terminal() else str
    first = True
    for each in summaries:
        if each.text is None:
            continue
        if len(summaries) > 1:
            render.line(("" if first else "\n") + f"# {each.conversation}\n")
        render.line(fitted(each.text))
        first = False


def _fitted(text: str) -> str:
    """Wrapped at words, as a person reads it."""
    from synmem.cli.screen.columns import prose_width, wrapped

    return "\n".join(wrapped(render.visible(text), prose_width()))


def _tell(session: Session, summary: "Summary", *, replaced: bool) -> None:
    name = render.visible_line(summary.conversation)
    if summary.text is None:
        session.note(
            f"{name}: nothing to summarize, it has only its newest messages "
            "(--max-messages says how many those are)"
        )
    elif summary.remembered and not replaced:
        session.note(f"{name}: the summary of {summary.messages:,} messages is up to date")
    if summary.stale:
        session.note(f"{name}: the earlier summary was stale, and is replaced or forgotten")
    for record in summary.unreadable:
        render.note(f"{name}, message {record.position} cannot be read: {record.reason}")
