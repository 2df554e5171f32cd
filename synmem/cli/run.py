"""How a command is run: the options that every command has, the event loop, and the one table
from errors to exit codes."""

import contextlib
import functools
import inspect
import itertools
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from synmem import errors
from synmem.cli import render
from synmem.cli.commands import LINE
from synmem.cli.common import COMMON, OF_STORE, SEVERAL, STORE
from synmem.cli.ending import Ended, Hearing, hearing
from synmem.cli.locking import locked
from synmem.cli.session import Session as Session
from synmem.errors import UsageError
from synmem.exhaustion import exhausted

EXIT_CODES: dict[type[errors.SynmemError], int] = {
    errors.SynmemError: 1,
    errors.UsageError: 2,
    errors.ProfileNotFound: 3,
    errors.StoreNotFound: 3,
    errors.ConversationNotFound: 3,
    errors.MessageNotFound: 3,
    errors.StoreUnavailable: 4,
    errors.AccessDenied: 5,
    errors.Refused: 8,
}
"""The nearest class of an error decides; a bug is no SynmemError and shows its traceback."""

PARTLY = 6
"""Some records unreadable, rejected or in conflict, each named on stderr."""
DIFFERENT = 7
"""`check` found differences."""
INTERRUPTED = 130
CLOSED_PIPE = 141


_CONTEXT = inspect.Parameter(
    "context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context
)  # Typer hands it in


Main = Callable[..., Coroutine[Any, Any, int | None]]


def command(*options: str, store_first: bool = False) -> Callable[[Main], Callable[..., None]]:
    """Make an async function of a Session and its own options a command.

    Its parameters are followed by these `options` of `OF_STORE`, which say how a store is read,
    and by those of `COMMON`. Where the `store_first` may stand, that is the first of two arguments.
    What it returns is the exit code.
    """
    common = {**{name: OF_STORE[name] for name in options}, **COMMON}
    if "everywhere" in options:
        common |= SEVERAL

    def made(function: Main) -> Callable[..., None]:
        return _command(function, common, store_first=store_first)

    return made


def _command(
    function: Main, common: Mapping[str, inspect.Parameter], *, store_first: bool
) -> Callable[..., None]:
    own = list(inspect.signature(function).parameters.values())[1:]
    argument = own[0] if store_first else None
    if argument is not None:
        own[:1] = [STORE, argument.replace(default=None)]

    @functools.wraps(function)
    def run(**values: Any) -> None:
        # An option that may be repeated and was not given.
        values = {name: None if value == () else value for name, value in values.items()}
        said = {name: values.pop(name) for name in common}
        lock = said.pop("lock")
        session = _session(said, values.pop("context"))
        if argument is not None:
            _take_store(session, values, argument)
        with locked(lock):
            code = _run_async(_advised(function, session, values))
        if code:
            raise typer.Exit(code)

    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*own, *common.values(), _CONTEXT)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    del run.__wrapped__
    if argument is not None and argument.default is argument.empty:
        run.needed = argument.name  # type: ignore[attr-defined]
    return run


def _session(said: dict[str, Any], context: typer.Context) -> Session:
    if said.pop("no_color"):
        os.environ["NO_COLOR"] = "1"
    source = context.get_parameter_source("profile")
    typed = source is not None and source.name == "COMMANDLINE"
    if "everywhere" in said:
        said["targets"] = tuple(said["profile"] or ())
        said["profile"] = next(iter(said["targets"]), os.environ.get("SYNMEM_PROFILE") or None)
    line = tuple(context.meta.get(LINE, ()))
    return Session(**said, typed=typed, command=context.info_name or "", line=line)


async def _advised(function: Main, session: Session, values: dict[str, Any]) -> int | None:
    """Run a command. What was not found is looked for once more, to say what is near; a beginning
    of an id may be enough."""
    try:
        return await function(session, **values)
    except errors.SynmemError as error:
        from synmem.cli.advice import advise

        whole = await advise(session, error, values)
        if whole is None:
            raise
    return await function(session, **{**values, "conversation": whole})


def _take_store(session: Session, values: dict[str, Any], argument: inspect.Parameter) -> None:
    """Take the first of two arguments as the store; one alone is the command's own."""
    store = values.pop("store")
    if values[argument.name] is None:
        values[argument.name], store = store, None
    if values[argument.name] is None and argument.default is argument.empty:
        typed = session.typing(session.command, argument.name.upper())
        raise UsageError(f"which {argument.name}?", hint=f"`{typed}`")
    session.at(store)


def _run_async(main: Coroutine[Any, Any, int | None]) -> int | None:
    with contextlib.ExitStack() as stack:
        stack.callback(main.close)  # Ctrl-C may come before it is begun: Python would warn of that
        import asyncio

        heard = stack.enter_context(hearing())
        begun = _begun(main, heard)
        stack.callback(begun.close)
        return asyncio.run(begun)
    return None


async def _begun(main: Coroutine[Any, Any, int | None], heard: Hearing) -> int | None:
    import asyncio

    heard.task = asyncio.current_task()
    return await main


@contextlib.contextmanager
def hearing_interrupts() -> Iterator[None]:
    """Let Ctrl-C end a read that waits for the person.

    asyncio's own handler only marks the task as cancelled, and the read would go on waiting. To
    be entered before the person is asked: one interrupt more may come right then.
    """
    import asyncio
    import signal

    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, as under nohup: it stays so
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise KeyboardInterrupt  # it came just before
        yield
    except KeyboardInterrupt:
        render.note("")  # the terminal has shown ^C behind the question
        raise
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass
class Outcome:
    """The exit code that a run came to."""

    code: int = 0


@contextlib.contextmanager
def exit_code_of(arguments: Sequence[str] | None) -> Iterator[Outcome]:
    """Turn whatever ends a run into an exit code and one clear message on stderr."""
    outcome = Outcome()
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = _wants_json(list(arguments))
    try:
        try:
            yield outcome
        except typer.Exit as end:
            outcome.code = end.exit_code
        render.flush()
    except errors.SynmemError as error:
        if ran_out := exhausted(error):
            error.hint = ran_out.hint
        render.error(error, as_json=as_json)
        outcome.code = exit_code(error)
    except (KeyboardInterrupt, typer.Abort):
        render.note("interrupted")
        outcome.code = INTERRUPTED
    except Ended as end:
        render.note(str(end))
        outcome.code = end.exit_code
    except BrokenPipeError:
        outcome.code = CLOSED_PIPE
    except SystemExit as end:
        # Typer's own answer to a closed pipe is exit 1.
        outcome.code = CLOSED_PIPE if isinstance(end.__context__, BrokenPipeError) else end.code  # type: ignore[assignment]
    except OSError as error:
        # The terminal, the pipe or the disk behind stdout: no store lets an OSError out.
        what = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename else ""
        ran_out = exhausted(error)
        told = errors.SynmemError(where + what, hint=ran_out.hint if ran_out else None)
        render.error(told, as_json=as_json)
        outcome.code = exit_code(errors.SynmemError(what))
        render.drop(1)
    except Exception as problem:
        # ClickException, which Typer does not export: known by what it carries. A bug goes on.
        if hasattr(problem, "format_message"):
            render.usage_error(problem, as_json=as_json)
            outcome.code = getattr(problem, "exit_code", 2)
        elif ran_out := exhausted(problem):
            told = errors.SynmemError(ran_out.what, hint=ran_out.hint)
            render.error(told, as_json=as_json)
            outcome.code = exit_code(told)
        else:
            raise
    if outcome.code == CLOSED_PIPE:
        render.drop(1)


def exit_code(error: errors.SynmemError) -> int:
    """The exit code of an error: that of its nearest class in the table."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def _wants_json(arguments: list[str]) -> bool:
    """Whether errors are to be JSON: --json, or -f json, which is the same."""
    if "--" in arguments:
        arguments = arguments[: arguments.index("--")]
    pairs = set(itertools.pairwise(arguments))
    return not (
        {"--json", "-fjson", "--format=json"}.isdisjoint(arguments)
        and pairs.isdisjoint({("-f", "json"), ("--format", "json")})
    )
