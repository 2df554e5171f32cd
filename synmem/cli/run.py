"""How a command is run: the options that every command has, the event loop, and the one table
from errors to exit codes."""

import contextlib
import functools
import inspect
import itertools
import os
import sys
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from synmem import errors
from synmem.cli import render
from synmem.cli.common import COMMON, OF_STORE, SEVERAL, STORE
from synmem.cli.ending import Ended, Hearing, hearing
from synmem.cli.locking import locked
from synmem.errors import UsageError
from synmem.exhaustion import exhausted

if TYPE_CHECKING:
    from synmem.profiles import Profile
    from synmem.store import Store

EXIT_CODES: dict[type[errors.SynmemError], int] = {
    errors.SynmemError: 1,
    errors.UsageError: 2,
    errors.ProfileNotFound: 3,
    errors.StoreNotFound: 3,
    errors.ConversationNotFound: 3,
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


@dataclass
class Session:
    """What the user said beside the command's own arguments; and how a command opens stores."""

    profile: str | None
    config: Path | None
    json: bool
    quiet: bool
    verbose: bool
    layout: str | None = None
    branches: bool = False
    typed: bool = False
    """Whether the profile was typed, and does not come from the environment."""
    targets: tuple[str, ...] = ()
    """The profiles that were typed, where a command takes several."""
    everywhere: bool = False
    servers: bool = False
    label: str | None = None
    """Whose notes these are, where a command works on several stores."""
    left_out: list[int] = field(default_factory=list)
    """How many branches each of several stores has which were not given: they are told together."""

    def at(self, store: str | None) -> None:
        """Take the store that stands first in the line instead of that of `-p`."""
        if store is None:
            return
        if self.typed:
            from synmem.masking import mask

            raise UsageError(f"two stores: -p and {mask(store)}", hint="one of the two")
        self.profile, self.typed = store, True

    def resolve(self, target: str | None = None) -> "Profile":
        """The profile of that name, URL or path; without one, of `-p` or the default. It has the
        layout that was asked for, and branches."""
        return self.adapted(self.resolve_other(target if target is not None else self.profile))

    def adapted(self, profile: "Profile") -> "Profile":
        """A profile with the layout that was asked for, and branches."""
        from synmem.settings import KEYS

        profile = profile.given(layout=self.layout)
        if self.branches and "branches" in KEYS[profile.backend]:
            return profile.given(branches=True)
        return profile

    def resolve_other(self, target: str | None, layout: str | None = None) -> "Profile":
        """The same of a second store, to which options do not apply."""
        from synmem.profiles import resolve

        return resolve(target, self.config).given(layout=layout)

    @contextlib.asynccontextmanager
    async def open(
        self, target: str | None = None, *, write: bool = False
    ) -> AsyncIterator["Store"]:
        """The store of a profile (see `resolve`), closed at the end."""
        profile = self.resolve(target)
        async with self.open_profile(profile, write=write) as store:
            yield store

    @contextlib.asynccontextmanager
    async def open_profile(
        self,
        profile: "Profile",
        *,
        write: bool = False,
        planning: bool = False,
        telling: bool = True,
    ) -> AsyncIterator["Store"]:
        """The store of this profile. `planning`: to say, or ask, what a write is to do. Without
        `telling` its branches are told of by whoever opens it."""
        from synmem.tool import open_profile

        async with open_profile(profile, write=write, planning=planning) as store:
            if self.verbose:
                render.note(f"{profile.name}: {store.name}")
            yield store
            if telling:
                self.tell_branches(store)

    def tell_branches(self, store: "Store", listed: Collection[str] | None = None) -> None:
        """How many branches were left out of what was read, or of those that are listed."""
        from synmem.store import SupportsBranches

        if not isinstance(store, SupportsBranches):
            return
        others = store.passed_over(listed)
        if self.label is None:
            self.note_branches(others)
        else:
            self.left_out.append(others)

    def note_branches(self, others: int) -> None:
        """Say how many branches were left out, where any were."""
        if others:
            what = "another branch" if others == 1 else f"{others:,} other branches"
            self.note(f"left out: {what} (--branches: each as a conversation of its own)")

    async def tell_others(self, store: "Store") -> None:
        """What other layouts' conversations lie beside ours, which are not shown."""
        from synmem.store import SupportsOthers

        if self.quiet or not isinstance(store, SupportsOthers):
            return
        if others := await store.others():
            self.note(f"left out: other layouts' conversations ({', '.join(others)})")

    def nothing_yet(self, profile: "Profile") -> bool:
        """Whether the first `add` makes this profile's file, which is told then.

        So it is with the default store, of which nothing is told, and with a configured one in a
        folder that is there; not where somebody typed a path, which may be mistyped.
        """
        origin = profile.origins.get("db_path")
        if origin == "default":
            return True
        file = profile.file if origin in ("config", "env") else None
        if file is None or file.exists() or not file.parent.is_dir():
            return False
        self.note(f"{profile.name}: nothing there yet; `synmem add` makes {file}")
        return True

    def json_or(self, form: str | None) -> str | None:
        """The format that is asked for; UsageError where `--json` and `-f` ask for two."""
        if self.json and form not in (None, "json"):
            raise UsageError(f"--json is -f json, not -f {form}", hint="one of the two")
        return "json" if self.json else form

    def note(self, text: str) -> None:
        """A line for the person on stderr; -q silences it."""
        if not self.quiet:
            whose = "" if self.label is None or text.startswith(self.label) else f"{self.label}: "
            render.note(whose + text)


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
            code = _run_async(function(session, **values))
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
    return Session(**said, typed=typed)


def _take_store(session: Session, values: dict[str, Any], argument: inspect.Parameter) -> None:
    """Take the first of two arguments as the store; one alone is the command's own."""
    store = values.pop("store")
    if values[argument.name] is None:
        values[argument.name], store = store, None
    if values[argument.name] is None and argument.default is argument.empty:
        raise UsageError(f"which {argument.name}?")
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
