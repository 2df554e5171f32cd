"""How `--help` writes a command's arguments: `synmem add [OPTIONS] CONVERSATION [TEXT]`."""

from typing import Any, Final

from typer.core import TyperArgument, TyperCommand

from synmem.cli.plain_values import PlainValues

LINE: Final = "synmem.line"
"""Where the context of a command keeps what was typed behind it."""


class Command(PlainValues, TyperCommand):
    """A command whose usage reads as manuals do; Typer writes {CONVERSATION} and <list[str]>."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What stands behind the command, taken apart."""
        ctx.meta[LINE] = tuple(args)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line. Of two arguments, of which the first is a store or left out,
        Typer takes neither to be needed."""
        needed = getattr(self.callback, "needed", None)
        arguments = [each for each in self.params if isinstance(each, TyperArgument)]
        return ["[OPTIONS]", *(_piece(each, each.name == needed) for each in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments and options, no Python type beside an argument."""
        for parameter in self.params:
            if isinstance(parameter, TyperArgument):
                vars(parameter)["display_type_rich"] = _no_type
        super().format_options(ctx, formatter)


def _piece(argument: TyperArgument, needed: bool) -> str:
    word = argument.metavar or argument.name.upper()
    word += "..." if argument.nargs == -1 else ""
    return word if argument.required or needed else f"[{word}]"


def _no_type(ctx: Any) -> None:
    return None
