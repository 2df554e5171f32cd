"""The page of a command, made of what Typer knows of it."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

from typer.core import TyperArgument, TyperOption

from synmem.cli.common import COMMON
from synmem.cli.manual.blocks import Block, Heading, Lines, Terms, Text, Usage

_COMMON: Final = {*COMMON, "help"}
_EXAMPLES: Final = re.compile(r"Examples?:\s*")


def page(command: Any, ctx: Any, *, common: bool = True) -> list[Block]:
    """Usage, text, examples, arguments, its own options, then the `common` ones."""
    text, examples = _parted(command.help or "")
    blocks: list[Block] = [Usage([usage_of(command, ctx)]), *map(Text, text)]
    if examples:
        blocks += [Heading("Examples"), Lines(examples)]
    return [*blocks, *_parameters(command, ctx, common=common)]


def group_page(group: Any, ctx: Any) -> list[Block]:
    """Of a group: its text, and its commands in a line each."""
    rows = [(name, summary(each)) for name, each in group.commands.items() if not each.hidden]
    return [
        Usage([f"{ctx.command_path} COMMAND [ARGUMENTS] [OPTIONS]"]),
        *map(Text, _parted(group.help or "")[0]),
        Heading("Commands"),
        Terms(rows),
        Text(f"{ctx.command_path} COMMAND --help tells more of one."),
    ]


def usage_of(command: Any, ctx: Any) -> str:
    """`synmem add [OPTIONS] CONVERSATION [TEXT]`."""
    return " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])


def summary(command: Any) -> str:
    """The first sentence of its text."""
    first = inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.!])\s", first, maxsplit=1)[0]


def _parted(doc: str) -> tuple[list[str], list[str]]:
    """The paragraphs of a docstring, and the lines of its examples, which follow a \\b."""
    text: list[str] = []
    examples: list[str] = []
    for paragraph in inspect.cleandoc(doc).split("\n\n"):
        if paragraph.startswith("\b"):
            examples += _examples(paragraph)
        else:
            text.append(" ".join(paragraph.split("\n")))
    return text, examples


def _examples(paragraph: str) -> list[str]:
    lines = paragraph.lstrip("\b").strip("\n")
    return inspect.cleandoc(_EXAMPLES.sub("", lines, count=1)).splitlines()


def _parameters(command: Any, ctx: Any, *, common: bool) -> Iterator[Block]:
    own: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    arguments = [each for each in command.params if isinstance(each, TyperArgument)]
    if rows := [(each.metavar or each.name.upper(), each.help or "") for each in arguments]:
        yield Heading("Arguments")
        yield Terms(rows)
    for each in command.get_params(ctx):
        if isinstance(each, TyperOption) and (row := each.get_help_record(ctx)):
            (others if each.name in _COMMON else own).append(row)
    if own:
        yield Heading("Options")
        yield Terms(own)
    if common:
        yield Heading("Options of every command" if own else "Options")
        yield Terms(others)
