"""What is installed with synmem is what synmem uses."""

import ast
import functools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    name: wanted
    for name, wanted in PROJECT["optional-dependencies"].items()
    if name not in ("all", "test", "dev")
}
MODULES = {"markdown_it_py": "markdown_it"}
DATA = {"wordllama": "its weights are read, and it is not imported"}


def names(requirements: list[str]) -> list[str]:
    found = [re.split(r"[\[<>=! ;.]", each)[0].replace("-", "_") for each in requirements]
    return [MODULES.get(name, name) for name in found]


@functools.cache
def imported() -> set[str]:
    """The first names of all modules that any of ours imports, wherever in it."""
    found = set()
    for file in (ROOT / "synmem").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_only_what_is_imported(extra: str) -> None:
    used = imported() | {"botocore", *DATA}
    # boto3 is how users know botocore, which it brings.
    assert {name for name in names(EXTRAS[extra]) if name != "boto3"} <= used


def test_nothing_else_is_installed_without_extras() -> None:
    assert set(names(PROJECT["dependencies"])) <= imported()


def test_all_brings_every_extra() -> None:
    [wanted] = PROJECT["optional-dependencies"]["all"]
    assert set(wanted.partition("[")[2].rstrip("]").split(",")) == set(EXTRAS)
