"""The session that the README opens with can be pasted: each command prints what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import readme_table

ROOT = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "fixtures"


def session(number: int = 0) -> list[tuple[str, str]]:
    """The commands of the README's console block of that number, each with what it prints."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    steps = re.split(r"^\$ ", blocks[number], flags=re.MULTILINE)[1:]
    return [(command, printed) for command, _, printed in (s.partition("\n") for s in steps)]


@pytest.fixture
def on_the_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `synmem` is this one."""
    command = tmp_path / "bin" / "synmem"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m synmem "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}


def test_the_readme_opens_with_a_session_that_works(
    tmp_path: Path, on_the_path: dict[str, str]
) -> None:
    assert len(session()) >= 7
    pasted(session(), tmp_path, on_the_path)


def test_what_the_readme_shows_of_ones_own_conversations_is_so(
    tmp_path: Path, on_the_path: dict[str, str]
) -> None:
    home = tmp_path / "home"
    sessions = [*(FIXTURES / "claude-code" / "projects").glob("*/[0-9a-f]*.jsonl")]
    (home / ".claude" / "projects" / "work").mkdir(parents=True)
    for path in sessions:
        if not path.stem.startswith("1111"):
            shutil.copy(path, home / ".claude" / "projects" / "work")
    logs = home / ".config" / "io.datasette.llm"
    logs.mkdir(parents=True)
    shutil.copy(FIXTURES / "llm-logs-new" / "logs.db", logs)
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "SYNMEM_CONFIG"):
        on_the_path.pop(variable, None)
    assert len(session(1)) >= 5
    pasted(session(1), tmp_path, {**on_the_path, "HOME": str(home)})


def pasted(steps: list[tuple[str, str]], folder: Path, environment: dict[str, str]) -> None:
    """Each command prints what it says."""
    for command, printed in steps:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
        )  # fmt: skip
        assert done.stdout == printed, command


def test_the_readme_names_every_command_and_every_exit_code() -> None:
    from synmem.cli.app import COMMANDS
    from synmem.cli.run import CLOSED_PIPE, DIFFERENT, EXIT_CODES, INTERRUPTED, PARTLY

    text = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert f"`{command}" in text, command
    for code in (*EXIT_CODES.values(), PARTLY, DIFFERENT, INTERRUPTED, CLOSED_PIPE):
        assert re.search(rf"\b{code}\b", text), code


def test_the_table_of_frameworks_is_that_of_the_registry() -> None:
    head, told, _ = readme_table.parted()
    assert head.endswith(readme_table.BEGIN)
    assert told == readme_table.table(), "python -m tests.readme_table writes it"


def cron_line() -> str:
    """The command that the README gives to cron."""
    found = re.search(r"```cron\n(?:\S+ ){5}(.*)\n```", (ROOT / "README.md").read_text())
    assert found
    return found[1]


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
        assert cron(cron_line()) == ""
        before = (tmp_path / "archive.db").read_bytes()
        assert cron(cron_line()) == ""
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
    check = re.search(r"^synmem check claude-code .*$", (ROOT / "README.md").read_text(), re.M)
    assert check
    assert cron(check[0] + " -q || true").startswith(f"* {stays} (as ")
