"""Each example of `--help` and `synmem help` can be typed, where what it names is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from synmem.cli.app import app
from synmem.cli.manual import front, of_commands
from synmem.cli.manual.blocks import Lines
from synmem.cli.manual.topics import TOPICS
from tests.pages import scenes
from tests.pages.blocks import Step
from tests.pages.shell import Stage, run

MAKES = (
    "synmem -p local export --seal -o backup.jsonl",
    "synmem -p local export -o chat.jsonl --split 5",
    "synmem migrate cache prod --receipt receipt.json",
    "synmem migrate chat.db archive.db --id-as '{host}/{layout}/{id}'",
    "cp prod.db backup.db",
    "export SYNMEM_PROFILE=local",
    "synmem clear bot-3 --yes",
)
"""What must have been done before, as whoever reads the examples has."""

MAY_END = {
    0, 6,  # a file of which one line cannot be read
    7,  # two stores of which one has more
    8,  # nobody is there to say yes
}  # fmt: skip

ENDLESS = ("synmem browse", "--follow")


def examples() -> dict[str, list[str]]:
    """Those of each command, and of each topic."""
    group: Any = typer.main.get_command(app)
    ctx = typer.Context(group, info_name="synmem")
    found = {name: list(_of(TOPICS[name]())) for name in TOPICS}
    for name in (name for names in front.GROUPS.values() for name in names):
        found[name] = list(_of_command(typer.Context(group.commands[name], ctx, name)))
    return {name: lines for name, lines in found.items() if lines}


def _of_command(ctx: typer.Context) -> Iterator[str]:
    command: Any = ctx.command
    for word, below in getattr(command, "commands", {}).items():
        yield from _of_command(typer.Context(below, ctx, word))
    if not hasattr(command, "commands"):
        yield from _of(of_commands.page(command, ctx))


def _of(blocks: list[Any]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Lines):
            yield from block.lines


@pytest.mark.real
def test_each_example_does_what_it_says(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    stage = Stage(tmp_path / "ada", {"EDITOR": "cat"})
    stage.home.mkdir()
    scenes.examples(stage, request)
    stage.instead["/mnt/backup"] = str(stage.home / "mnt" / "backup")
    told = [line for lines in examples().values() for line in lines]
    assert len(told) > 60
    lines = [*MAKES, *(_alone(line) for line in told if not any(each in line for each in ENDLESS))]
    ran = run([Step(line, "", False, 0) for line in lines], stage)
    for line, each in zip(lines, ran, strict=True):
        assert each.code in MAY_END, f"{line}: exit {each.code}\n{each.shown}"
        assert "Traceback" not in each.shown, each.shown


def _alone(line: str) -> str:
    """A profile is added where there is none yet."""
    return f"SYNMEM_CONFIG=new.toml {line}" if line.startswith("synmem profile add") else line
