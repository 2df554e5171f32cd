"""How `--help` writes a command's arguments: `synmem add [OPTIONS] CONVERSATION [TEXT]`."""

from typing import Any

from typer.core import TyperArgument, TyperCommand

from synmem.cli.plain_values import PlainValues


class Command(PlainValues, TyperCommand):
    """A command whose usage reads as manuals do; Typer writes {CONVERSATION} and <list[str]>."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line."""
        return [_plain(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments and options, no Python type beside an argument."""
        for parameter in self.params:
            if isinstance(parameter, TyperArgument):
                vars(parameter)["display_type_rich"] = _no_type
        super().format_options(ctx, formatter)


def _plain(piece: str) -> str:
    more = "..." if piece.endswith("...") else ""
    word = piece.removesuffix("...")
    if word.startswith("{"):
        return word.strip("{}") + more
    return f"[{word[1:-1]}{more}]" if word.startswith("[") else piece


def _no_type(ctx: Any) -> None:
    return None
