"""The Typer app: registration only. A command's module is imported when it is called."""

import contextlib
import importlib
from collections.abc import Iterator, MutableMapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from synmem.cli import completing
from synmem.cli.commands import COMMANDS as COMMANDS
from synmem.cli.plain_values import PlainValues
from synmem.cli.run import exit_code_of
from synmem.cli.usage import Command
from synmem.errors import SynmemError

HIDDEN = {"cat", "list", "list-conversations"}
"""Aliases; help lists the one that is short."""


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
            command.hidden = name in HIDDEN
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


class _Group(PlainValues, TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": {}})
        self.commands = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)  # Typer's own builds each of them, to complete one name

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called; a store in its place is one that is listed."""
        if args and args[0] not in self.commands:
            from synmem.cli.meant import meant

            with contextlib.suppress(*([SynmemError] if ctx.resilient_parsing else [])):
                args = meant(args, self)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, standalone_mode: bool = True, **settings: Any) -> Any:
        completing.prepare()
        given = settings.get("args") or (args[0] if args else None)
        with exit_code_of(given) as outcome:
            settings["standalone_mode"] = False
            outcome.code = super().main(*args, **settings) or 0
        raise SystemExit(outcome.code)


app = typer.Typer(
    cls=_Group,
    add_completion=False,  # Typer's scripts break at ":" and evaluate what a store holds
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Where a setting is given more than once: flag, SYNMEM_PROFILE_<NAME>_<KEY>, "
    "config.toml, default. For the LLM: flag, SYNMEM_LLM_<KEY>, [llm] of config.toml, default.",
)


def _version(asked: bool) -> None:
    if asked:
        from synmem import __version__

        typer.echo(f"synmem {__version__}")
        raise typer.Exit


@app.callback()
def synmem(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
    show_completion: completing.ShowOption = None,
) -> None:
    """Look into LLM chat histories, move them, and prove that nothing was lost.

    A store is a profile of config.toml, a URL or a file: -p chat.db, -p prod.
    """
