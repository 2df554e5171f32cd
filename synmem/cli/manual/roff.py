"""The man pages: the blocks of the manual as roff.

`python -m synmem.cli.manual.roff FOLDER` writes those that lie in man/; a wheel installs them.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from synmem.cli.manual import front, of_commands
from synmem.cli.manual.blocks import Block, Heading, Lines, Terms, Text, Usage
from synmem.cli.manual.topics import TOPICS

_ESCAPES: Final = str.maketrans({"\\": r"\e", "-": r"\-", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga"})


def pages() -> dict[str, str]:
    """File name -> page: of the program, and of each command by the name that help lists."""
    from synmem.cli.app import app

    group: Any = typer.main.get_command(app)
    ctx = typer.Context(group, info_name="synmem", help_option_names=["-h", "--help"])
    found = {"synmem.1": _first(group, ctx)}
    for names in front.GROUPS.values():
        for name in names:
            below = typer.Context(group.commands[name], info_name=name, parent=ctx)
            found[f"synmem-{name}.1"] = _of_command(f"synmem-{name}", below)
    return found


def _first(group: Any, ctx: Any) -> str:
    records = [each.get_help_record(ctx) for each in group.get_params(ctx)]
    blocks = front.page(group.commands, TOPICS, [each for each in records if each])
    blocks += [block for topic in TOPICS.values() for block in topic()]
    return _page("synmem", of_commands.summary(group), blocks)


def _of_command(name: str, ctx: Any) -> str:
    command = ctx.command
    if not hasattr(command, "commands"):
        return _page(name, of_commands.summary(command), of_commands.page(command, ctx))
    blocks = of_commands.group_page(command, ctx)
    for word, each in command.commands.items():
        below = typer.Context(each, info_name=word, parent=ctx)
        blocks += [Heading(below.command_path), *of_commands.page(each, below, common=False)]
    return _page(name, of_commands.summary(command), blocks)


def _page(name: str, summary: str, blocks: Sequence[Block]) -> str:
    lines = [
        '.\\" Made by synmem.cli.manual.roff: make man',
        f'.TH "{name.upper()}" 1 "" "synmem" "synmem manual"'.replace("-", r"\-"),
        ".SH NAME",
        f"{_escaped(name)} \\- {_escaped(summary.removesuffix('.'))}",
    ]
    return "\n".join([*lines, *_roff(blocks), *_see_also(name), ""])


def _see_also(name: str) -> list[str]:
    if name == "synmem":
        return []
    return [".SH SEE ALSO", r".BR synmem (1)"]


def _roff(blocks: Iterable[Block]) -> Iterator[str]:
    is_described = False
    for block in blocks:
        if isinstance(block, Usage):
            yield ".SH SYNOPSIS" if not is_described else ".PP"
            for way in block.lines:
                yield rf"\fB{_escaped(way)}\fR"
                yield ".br"
        elif isinstance(block, Heading):
            yield f".SH {_escaped(block.text.upper())}"
            is_described = True
        else:
            if not is_described:
                yield ".SH DESCRIPTION"
            is_described = True
            yield from _told(block)


def _told(block: Text | Lines | Terms) -> Iterator[str]:
    if isinstance(block, Text):
        yield ".PP"
        yield _escaped(block.text)
    elif isinstance(block, Lines):
        yield from (".PP", ".nf", ".RS", *map(_escaped, block.lines), ".RE", ".fi")
    else:
        for term, text in block.rows:
            yield from (".TP", rf"\fB{_escaped(term)}\fR", _escaped(text))


def _escaped(text: str) -> str:
    """A text that is no request to roff, whatever it begins with."""
    told = text.translate(_ESCAPES)
    return rf"\&{told}" if told.startswith((".", "'")) or not told else told


def write_pages(folder: Path) -> None:
    """The pages, each under the name by which man finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import sys

    write_pages(Path(sys.argv[1] if sys.argv[1:] else "man"))
