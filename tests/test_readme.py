"""What the README says of the whole is so, and what it and docs/ give to cron works. Their console
blocks are run by tests/test_pages.py."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synmem.layouts import registry
from tests import readme_table
from tests.cli.moved import make

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ARCHIVE = ROOT / "docs" / "archive.md"
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def on_the_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `synmem` is this one."""
    command = tmp_path / "bin" / "synmem"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m synmem "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}


def test_the_readme_names_every_command_and_every_exit_code() -> None:
    from synmem.cli.app import COMMANDS
    from synmem.cli.run import CLOSED_PIPE, DIFFERENT, EXIT_CODES, INTERRUPTED, PARTLY

    text = README.read_text()
    for command in COMMANDS:
        assert f"`{command}" in text, command
    for code in (*EXIT_CODES.values(), PARTLY, DIFFERENT, INTERRUPTED, CLOSED_PIPE):
        assert re.search(rf"\b{code}\b", text), code


def test_the_tests_that_the_readme_names_are_there() -> None:
    named = re.findall(
        r"`((?:tests|docs|synmem)/[\w/.-]+)`|\]\((docs/[\w.-]+)\)", README.read_text()
    )
    assert len(named) > 20
    for path in (first or second for first, second in named):
        assert (ROOT / path).exists(), path


def test_the_tables_of_programs_are_those_of_the_registry() -> None:
    head, told, _ = readme_table.parted()
    assert head.endswith(readme_table.BEGIN)
    assert {each for kind in readme_table.KINDS.values() for each in kind} >= set(registry.LAYOUTS)
    assert len(registry.LAYOUTS) > 45  # "more than forty-five"
    assert told == readme_table.tables(), "python -m tests.readme_table writes it"


def cron_line(page: Path) -> str:
    """The command that a page gives to cron."""
    found = re.search(r"```cron\n(?:\S+ ){5}(.*)\n```", page.read_text())
    assert found
    return found[1]


def test_the_line_for_cron_makes_a_backup_and_says_nothing(
    tmp_path: Path, on_the_path: dict[str, str]
) -> None:
    make(tmp_path / "chat.db", {"user-1": ["Hello!"]})
    for _ in range(2):
        done = subprocess.run(
            cron_line(README), shell=True, cwd=tmp_path, text=True, check=True,
            env={**on_the_path, "HOME": str(tmp_path)}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.stdout == ""
    assert len([*(tmp_path / "backups").iterdir()]) == 1


def test_the_line_for_cron_keeps_what_claude_code_drops(
    tmp_path: Path, on_the_path: dict[str, str]
) -> None:
    environment = {**on_the_path, "HOME": str(tmp_path)}
    environment.pop("CLAUDE_CONFIG_DIR", None)
    projects = tmp_path / ".claude" / "projects"
    shutil.copytree(FIXTURES / "claude-code" / "projects", projects)

    def cron(command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, text=True, check=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout

    def archived() -> set[str]:
        assert cron(cron_line(ARCHIVE)) == ""
        before = (tmp_path / "archive.db").read_bytes()
        assert cron(cron_line(ARCHIVE)) == ""
        assert (tmp_path / "archive.db").read_bytes() == before
        return {line.split("/claude_code/")[1] for line in cron("synmem ls ~/archive.db").split()}

    first = archived()
    assert len(first) == 7
    stays = "34476db9-1281-440b-8b44-c692ecd9ccea"
    for file in projects.glob("*/*.jsonl"):
        if file.stem != stays:
            file.unlink()
    assert archived() == first
    file = projects / "-home-user-work" / f"{stays}.jsonl"
    rewound = {
        "type": "user", "uuid": "anew", "parentUuid": None, "sessionId": stays, "isSidechain": False,
        "timestamp": "2026-11-01T00:00:00.000Z", "message": {"role": "user", "content": "Again"},
    }  # fmt: skip
    with file.open("a") as session:
        session.write(json.dumps(rewound) + "\n")
    assert archived() == first | {f"{stays}#anew"}
    check = re.search(r"^synmem check claude-code .*$", ARCHIVE.read_text(), re.M)
    assert check
    assert cron(check[0] + " -q || true").startswith(f"* {stays} (as ")
