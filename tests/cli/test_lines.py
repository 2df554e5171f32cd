"""An id on a line of a dry run is known again, whatever it holds."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.cli.lines import id_on_line
from tests.cli.moved import make, run

PLAIN = [
    "user-1",
    "a b",
    "a/b:c*%_",
    'x"y',
    "\\",
    "a\\nb",
    "é",
    "語",
    "👨‍👩‍👧",
    "[1]",
    "{}",
    "null",
]
QUOTED = [
    "a\nb", "a\tb", " a", "a ", '"a"', '"', "\x1b[2J", "\u202e", "\ufeffa", "\x85", "a\0", "\u3000",
    "a\u2028b", "\x7f",
]  # fmt: skip


@pytest.mark.parametrize("id_", PLAIN)
def test_an_id_that_a_line_carries_stands_as_it_is(id_: str) -> None:
    assert id_on_line(id_) == id_


@pytest.mark.parametrize("id_", QUOTED)
def test_every_other_is_a_json_string(id_: str) -> None:
    shown = id_on_line(id_)
    assert shown.startswith('"')
    assert json.loads(shown) == id_


@given(st.text(min_size=1))
def test_every_id_is_told_from_every_other(id_: str) -> None:
    shown = id_on_line(id_)
    assert len(shown.splitlines()) == 1
    assert shown.strip() == shown
    assert (json.loads(shown) if shown.startswith('"') else shown) == id_


ODD = "one\ncopy\t9\t\u202etwo"
SHOWN = r'"one\ncopy\t9\t\u202etwo"'


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "chat.db", {ODD: ["1"], "a\\b é": ["2"]})


def test_what_dry_runs_list(store: Path, tmp_path: Path) -> None:
    def listed(*words: object) -> list[str]:
        result = run(*words)
        assert result.exit_code == 0, result.stderr
        return sorted(result.stdout.splitlines())

    both = sorted([SHOWN, "a\\b é"])
    copied = [f"copy\t1\t{each}" for each in both]
    assert listed("migrate", store, tmp_path / "d.db", "--dry-run") == copied
    export = tmp_path / "chat.jsonl"
    assert run("export", "-o", export, "-p", store).exit_code == 0
    assert listed("import", export, "-p", tmp_path / "d.db", "--dry-run") == copied
    assert listed("clear", "--match", "*", "--dry-run", "-p", store) == both
    assert run("clear", "--match", "*", "--yes", "-p", store).exit_code == 0
    restored = [f"restore\t1\t{each}" for each in both]
    assert listed("undo", "--dry-run", "-p", store) == restored
