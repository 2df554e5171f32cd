"""What `--help` says: the usage lines of the manual, and no sentence cut."""

import re

import pytest
import typer
from typer.testing import CliRunner

from synmem.cli.app import app
from synmem.cli.commands import ALIASES, COMMANDS, main_name
from synmem.cli.manual.front import GROUPS

USAGE = {
    "add": "CONVERSATION [TEXT]",
    "show": "[STORE] CONVERSATION",
    "list-conversations": "[STORE]",
    "ls": "[STORE]",
    "clear": "[CONVERSATION...]",
    "undo": "[ID]",
    "summarize": "[CONVERSATION...]",
    "export": "[CONVERSATION...]",
    "import": "[FILE...]",
    "migrate": "SOURCE DEST",
    "check": "[SOURCE] [DEST]",
    "context": "[STORE] CONVERSATION",
    "search": "[STORE] [QUERY]",
    "stats": "[STORE]",
    "profile add": "NAME URL|PATH",
    "profile show": "[NAME]",
}


def help_of(*command: str) -> str:
    return (
        CliRunner().invoke(app, [*command, "--help"], prog_name="synmem", terminal_width=80).stdout
    )


@pytest.mark.parametrize("command", USAGE)
def test_the_usage_line_names_the_arguments_as_the_manual_does(command: str) -> None:
    text = help_of(*command.split())
    assert text.splitlines()[0] == f"Usage: synmem {command} [OPTIONS] {USAGE[command]}".rstrip()
    assert "<str>" not in text
    assert "list[" not in text


@pytest.mark.parametrize(
    "line",
    [
        ["show", "a.db", "b", "{}"], ["{}", "show"], ["rm", "{}"], ["stats", "-p", "x.db", "{}"], ["ls", "x.db", "{}"],
        ["clear", "--keep-last", "{}"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_secret_in_a_line_that_makes_no_sense_is_not_printed(
    line: list[str], how: list[str]
) -> None:
    typed = [each.format("redis://u:t0p@host/0?password=t0p") for each in line]
    result = CliRunner().invoke(app, [*typed, *how])
    assert result.exit_code == 2
    assert "redis://u:***@host" in result.output
    assert "t0p" not in result.output


def test_every_command_is_listed_with_a_whole_sentence() -> None:
    text = help_of("profile").split("Commands\n")[1].split("\n\n")[0]
    assert all(line.endswith(".") for line in text.splitlines())
    listed = {name for names in GROUPS.values() for name in names}
    assert listed == set(COMMANDS) - set(ALIASES)
    front = help_of()
    for name in COMMANDS:
        if main_name(name) == name:
            assert re.search(rf"^  {name}(, \w+)*  +[A-Z].*\.$", front, re.MULTILINE), name


def test_every_command_has_an_example() -> None:
    group = typer.main.get_command(app)
    assert set(COMMANDS) == set(group.commands)  # type: ignore[attr-defined]
    for command in [*USAGE, "profile list", "profile use", "profile remove", "profile test"]:
        name = main_name(command)
        assert f"synmem {name}" in help_of(*command.split()).split("\n\n", 1)[1], command
