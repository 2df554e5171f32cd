"""`synmem context`: what would be sent to a model."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.asking import ModelOption
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import SynmemError, UsageError

if TYPE_CHECKING:
    from synmem.operations.deriving.context import Built, Wanted
    from synmem.strategies.context import Context

FORMATS = ("openai", "anthropic", "text")

ConversationArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONVERSATION",
        help="Its id; for a person its beginning is enough.",
        autocompletion=completing.conversations,
    ),
]
StrategyOption = Annotated[
    str,
    typer.Option(
        "--strategy", "-s", metavar="NAME", autocompletion=completing.strategies,
        help="smart (system, summary, search results, recent messages; asks no model), "
        "window (the last --window messages), tokens (the newest that fit), vector (the newest "
        "and those nearest in meaning to --query), all; asking the "
        "configured LLM: hybrid (a window and a summary of what came before), summary-buffer (the "
        "newest that fit and a summary of the others), entity (what is known of its entities).",
    ),
]  # fmt: skip
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help="openai (default), anthropic or text.",
        autocompletion=completing.one_of(*FORMATS),
    ),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens", metavar="N",
        help="For everything printed. [default: 4000; of `all` none]",
    ),
]  # fmt: skip
MaxSearchTokensOption = Annotated[
    int, typer.Option("--max-search-tokens", metavar="N", help="For the search results.")
]
WindowOption = Annotated[
    int | None,
    typer.Option(
        "--window", metavar="N",
        help="No more messages. [default: 10 of `window` and `hybrid`; 5 of `vector`, beside the "
        "newest]",
    ),
]  # fmt: skip
SystemOption = Annotated[
    str | None, typer.Option("--system", metavar="TEXT|@FILE", help="The system prompt.")
]
SearchResultsOption = Annotated[
    str | None,
    typer.Option("--search-results", metavar="TEXT|@FILE", help="What a search brought."),
]
QueryOption = Annotated[
    str | None,
    typer.Option(
        "--query", metavar="TEXT",
        help="What `vector` recalls. [default: the last message of the user's]",
    ),
]  # fmt: skip
TokenizerOption = Annotated[
    str | None,
    typer.Option(
        "--tokenizer", metavar="NAME", envvar="SYNMEM_TOKENIZER", show_envvar=True,
        help="Count exactly: cl100k_base or o200k_base. [default: 4 characters a token]",
    ),
]  # fmt: skip
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Say on stderr why each message is in or out.")
]


@command("layout", "branches", store_first=True)
async def context(
    session: Session,
    conversation: ConversationArgument,
    strategy: StrategyOption = "smart",
    form: FormatOption = None,
    max_tokens: MaxTokensOption = None,
    max_search_tokens: MaxSearchTokensOption = 2000,
    window: WindowOption = None,
    system: SystemOption = None,
    search_results: SearchResultsOption = None,
    query: QueryOption = None,
    tokenizer: TokenizerOption = None,
    model: ModelOption = None,
    explain: ExplainOption = False,
) -> int | None:
    """Print the messages to send to a model. They are those that fit, the newest always.

    A tool call and its results stay together. Only what is needed of the history is read.

    \b
    synmem context user-1 --system @prompt.txt --max-tokens 8000
    synmem context user-1 --strategy window --window 20 -f anthropic
    synmem context user-1 --strategy hybrid --tokenizer o200k_base
    synmem context user-1 --strategy vector --query 'which city did she like?'
    """
    from synmem.operations.deriving.context import Wanted, check
    from synmem.strategies.sending import EMPTY_QUESTION

    if session.json and form == "text":
        raise UsageError("--json is not -f text", hint="one of the two")
    if form is not None and form not in FORMATS:
        raise UsageError(f"--format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    wanted = Wanted(
        strategy, max_tokens, max_search_tokens, window,
        _text("--system", system), _text("--search-results", search_results),
        tokenizer, labelled=form == "text", query=query,
        question=EMPTY_QUESTION if form == "anthropic" else "",
    )  # fmt: skip
    check(wanted)
    built = await _build(session, conversation, wanted, model)
    _print(built.context, form or "openai")
    if explain:
        _explain(built.context, form, exact=tokenizer is not None)
    if built.stale_summary:
        again = session.typing("summarize", conversation)
        session.note(f"the summary is stale and left out: `{again}` makes it anew")
    for remark in built.remarks:
        session.note(remark)
    for warning in built.context.warnings:
        session.note(warning)
    for record in built.context.unreadable:
        render.note(f"record {record.position} cannot be read: {record.why}")
    return PARTLY if built.context.unreadable else None


async def _build(
    session: Session, conversation: str, wanted: "Wanted", model: str | None
) -> "Built":
    from synmem.notes import Notes
    from synmem.operations.derived import notes_folder
    from synmem.operations.deriving.context import ASKING, VECTOR, build

    profile = session.resolve()
    folder = notes_folder(profile.identity)
    if wanted.strategy == VECTOR:
        from synmem.cli.recalling import recalling

        async with session.open_profile(profile) as store:
            with recalling(session, profile, store) as meanings:
                notes = Notes(store, folder)
                return await build(store, conversation, wanted, notes, nearest=meanings.nearest)
    if wanted.strategy not in ASKING:
        async with session.open_profile(profile) as store:
            return await build(store, conversation, wanted, Notes(store, folder))
    from synmem.cli.asking import configured, opened
    from synmem.cli.progress import progress

    settings = configured(session, model)
    with progress("Calls to the model", quiet=session.quiet) as bar:
        async with (
            session.open_profile(profile) as store,
            opened(session, settings, bar.advance) as asking,
        ):
            return await build(store, conversation, wanted, Notes(store, folder), asking)


def _text(option: str, value: str | None) -> str | None:
    """TEXT, or what is in FILE where it is @FILE."""
    if value is None or not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text("utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{option}: there is no file {value[1:]}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{option}: {value[1:]} is not UTF-8") from error
    except OSError as error:
        raise SynmemError(f"{option}: {value[1:]}: {error.strerror or error}") from error


def _print(context: "Context", form: str) -> None:
    from synmem.strategies.sending import as_anthropic, as_openai, as_text

    if form == "text":
        render.line(as_text(context))
    else:
        render.json_indented(as_openai(context) if form == "openai" else as_anthropic(context))


def _explain(context: "Context", form: str | None, *, exact: bool) -> None:
    if form == "anthropic":
        from synmem.strategies.sending import from_user_on

        context = from_user_on(context)
    if render.is_terminal(sys.stderr):
        from synmem.cli.screen.decisions import decision_lines

        lines = decision_lines(context.decisions, whole=context.whole)
        render.note_drawn("\n".join(lines))
        render.note(f"{'' if exact else 'about '}{context.tokens:,.0f} tokens")
        return
    if not context.whole:
        render.note("     older messages are not read")
    for each in context.decisions:
        verdict = "in " if each.taken else "out"
        place = f"{each.place:>5}" if each.place else "    -"
        what = render.visible_line(each.what)
        render.note(f"{verdict} {place}  {what:<14} {each.tokens:>8,.0f} tokens  {each.why}")
    render.note(f"{'' if exact else 'about '}{context.tokens:,.0f} tokens")
