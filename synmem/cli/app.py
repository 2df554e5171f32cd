"""The Typer app: registration only. A command's module is imported when it is called."""

import contextlib
import importlib
from collections.abc import Iterator, MutableMapping
from typing import Annotated, Any

import typer

from synmem.cli import completing
from synmem.cli.commands import ALIASES
from synmem.cli.commands import COMMANDS as COMMANDS
from synmem.cli.common import (
    ColorOption,
    FrontConfigOption,
    FrontProfilesOption,
    JsonOption,
    QuietOption,
    VerboseOption,
)
from synmem.cli.run import exit_code_of
from synmem.cli.usage import Command, Group
from synmem.errors import SynmemError, UsageError


class _Commands(MutableMapping[str, Any]):
    """The commands, each built when it is asked for: a start-up pays for one, not for all."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            module = importlib.import_module(f"synmem.cli.{COMMANDS[name]}")
            group = getattr(module, "app", None)
            if group is None:
                group = typer.Typer(add_completion=False, rich_markup_mode=None)
                group.command(name, cls=Command)(getattr(module, COMMANDS[name]))
            command = typer.main.get_command(group)
            command.name = name
            command.hidden = name in ALIASES
            self._built[name] = command
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are not removed")


class _Group(Group):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": {}})
        self.commands = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)  # Typer's own builds each of them, to complete one name

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, with the options that stood in front of it; a store in its
        place is one that is listed."""
        if args[0] not in self.commands:
            from synmem.cli.meant import meant

            with contextlib.suppress(*([SynmemError] if ctx.resilient_parsing else [])):
                args = meant(args, self, ctx.params.get("config"))
        return super().resolve_command(ctx, _with_front(ctx.params, args))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The first page of the manual."""
        from synmem.cli.manual.blocks import plain
        from synmem.cli.manual.front import page
        from synmem.cli.manual.topics import TOPICS
        from synmem.cli.usage import help_width

        records = (each.get_help_record(ctx) for each in self.get_params(ctx))
        options = [record for record in records if record]
        formatter.write(plain(page(self.commands, TOPICS, options), help_width(ctx)))

    def main(self, *args: Any, standalone_mode: bool = True, **settings: Any) -> Any:
        completing.prepare()
        given = settings.get("args") or (args[0] if args else None)
        with exit_code_of(given) as outcome:
            settings["standalone_mode"] = False
            outcome.code = super().main(*args, **settings) or 0
        raise SystemExit(outcome.code)


_FLAGS = {"json": "--json", "quiet": "-q", "verbose": "-v", "no_color": "--no-color"}


def _with_front(said: dict[str, Any], args: list[str]) -> list[str]:
    """The line with what stood in front of the command behind it, where it means the same."""
    front = [f"--profile={target}" for target in said.get("profile") or ()]
    front += [f"--config={said['config']}"] if said.get("config") else []
    front += [option for name, option in _FLAGS.items() if said.get(name)]
    command, rest = args[:1], args[1:]
    if command == ["help"]:
        return args
    if command == ["profile"]:
        command, rest = args[:2], args[2:]
        front = front if command[1:] else []
    return [*command, *front, *rest]


app = typer.Typer(
    cls=_Group,
    add_completion=False,  # Typer's scripts break at ":" and evaluate what a store holds
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from synmem import __version__

        typer.echo(f"synmem {__version__}")
        raise typer.Exit


@app.callback()
def synmem(
    context: typer.Context,
    profile: FrontProfilesOption = None,
    config: FrontConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    no_color: ColorOption = False,
    version: Annotated[
        bool, typer.Option("-V", "--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
    show_completion: completing.ShowOption = None,
) -> None:
    """Look into LLM chat histories, move them, and prove that nothing was lost."""
    if context.invoked_subcommand is None:
        raise UsageError("which command?", hint="`synmem --help` lists them")
