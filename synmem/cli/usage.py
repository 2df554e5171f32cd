"""How a command's line is taken apart, and how `--help` writes it.

`synmem add [OPTIONS] CONVERSATION [TEXT]`: an option is given once, or twice with the same value.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from synmem.cli.commands import LINE
from synmem.cli.plain_values import PlainValues
from synmem.errors import UsageError


class OnceEach(PlainValues):
    """A command or group of which an option that takes one value is given one."""

    def make_parser(self, ctx: Any) -> Any:
        """Typer's, in which the last value of an option would count."""
        parser = super().make_parser(ctx)  # type: ignore[misc]
        single = [each for each in self.params if _takes_one(each)]  # type: ignore[attr-defined]
        for each in single:
            parser.add_option(each, each.opts, each.name, action="append", nargs=each.nargs)
        taking = {
            name
            for each in self.params  # type: ignore[attr-defined]
            if isinstance(each, TyperOption) and not each.is_flag
            for name in each.opts
        }
        parse = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            if ctx.resilient_parsing and args and args[-1] in taking:
                args = args[:-1]  # its value is what TAB is asked for
            with _in(ctx):
                values, rest, order = parse(args=args)
            for each in single:
                if each.name in values:
                    values[each.name] = _one(each, values[each.name], ctx)
            return values, rest, order

        parser.parse_args = parse_args
        return parser


@contextlib.contextmanager
def _in(ctx: Any) -> Iterator[None]:
    """An error of the parser says in which command it is: not each does."""
    try:
        yield
    except Exception as problem:
        if getattr(problem, "ctx", ctx) is None:
            problem.ctx = ctx  # type: ignore[attr-defined]
        raise


def _takes_one(parameter: Any) -> bool:
    is_option = isinstance(parameter, TyperOption)
    return is_option and not (parameter.is_flag or parameter.multiple or parameter.count)


def _one(option: Any, values: Sequence[str], ctx: Any) -> str:
    different = list(dict.fromkeys(values))
    if len(different) > 1 and not ctx.resilient_parsing:
        from synmem.masking import mask

        first, second, *_ = map(repr, map(mask, different))
        raise UsageError(f"{longest(option)} twice: {first} and {second}", hint="one of the two")
    return values[-1]


def longest(option: Any) -> str:
    """The name of an option that says most."""
    return str(max(option.opts, key=len))


class Command(OnceEach, TyperCommand):
    """A command whose usage reads as manuals do; Typer writes {CONVERSATION} and <list[str]>."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What stands behind the command, taken apart."""
        ctx.meta[LINE] = tuple(args)
        _without_color(args)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line. Of two arguments, of which the first is a store or left out,
        Typer takes neither to be needed."""
        needed = getattr(self.callback, "needed", None)
        arguments = [each for each in self.params if isinstance(each, TyperArgument)]
        return ["[OPTIONS]", *(_piece(each, each.name == needed) for each in arguments)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The page of this command."""
        from synmem.cli.manual.blocks import plain
        from synmem.cli.manual.of_commands import page

        formatter.write(plain(page(self, ctx), help_width(ctx)))


class Group(OnceEach, TyperGroup):
    """A group of commands: without one it shows its help, on stdout."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What stands before the command, taken apart."""
        if not args and not ctx.resilient_parsing:
            args = ["--help"]
        _without_color(args)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            from synmem.cli.refusals import no_such_command

            raise no_such_command(args[0], ctx.command_path, self.commands)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The page of this group."""
        from synmem.cli.manual.blocks import plain
        from synmem.cli.manual.of_commands import group_page

        formatter.write(plain(group_page(self, ctx), help_width(ctx)))


def help_width(ctx: Any) -> int:
    """How wide help is here: as the terminal, and no wider than is read easily."""
    from synmem.cli.screen.columns import prose_width

    width = ctx.terminal_width
    return width if isinstance(width, int) else prose_width()


def _without_color(args: Sequence[str]) -> None:
    """Help is written before any other option is looked at."""
    if "--no-color" in args:
        os.environ["NO_COLOR"] = "1"


def _piece(argument: TyperArgument, needed: bool) -> str:
    word = argument.metavar or argument.name.upper()
    word += "..." if argument.nargs == -1 else ""
    return word if argument.required or needed else f"[{word}]"
