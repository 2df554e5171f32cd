"""What `check` says of one conversation, on a terminal of any width."""

import re

import pytest
from wcwidth import width

from synmem.cli.screen.states import state_lines


@pytest.fixture
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


@pytest.mark.parametrize("columns", [30, 50, 80, 200], indirect=True)
def test_every_line_fits(columns: int) -> None:
    for name in ("c1", "日本" * 60, "x" * 1000):
        for there in ("", "other " * 40):
            shown = state_lines("*", name, "message 3: content, and " + "more " * 30, there)
            assert shown.endswith("\n")
            assert all(width(line) <= min(columns, 100) for line in shown.splitlines())


@pytest.mark.parametrize("columns", [80], indirect=True)
def test_the_detail_stands_on_the_line_where_it_fits_else_below(columns: int) -> None:
    assert state_lines("*", "c1", "message 3: content") == "* c1  message 3: content\n"
    assert state_lines("=", "c1", "") == "= c1\n"
    assert state_lines(">", "c1", "", "c2") == "> c1 (as c2)\n"
    name, detail = "c" * 60, "message 3: " + "word " * 20
    first, *below = state_lines("*", name, detail).splitlines()
    assert first == f"* {name}"
    assert all(line.startswith("    ") for line in below)
    assert " ".join(" ".join(below).split()) == detail.strip()


@pytest.mark.parametrize("columns", [40], indirect=True)
def test_an_id_that_has_no_line_is_told_by_both_ends(columns: int) -> None:
    [line] = state_lines("+", "begin" + "x" * 1000 + "end", "").splitlines()
    assert re.fullmatch(r"\+ beginx+…x+end", line)


@pytest.mark.parametrize("columns", [80], indirect=True)
def test_what_is_stored_passes_the_gate(columns: int) -> None:
    assert state_lines("!", "a\x1b[2J\n", "why\x1b]0;x\x07") == "! a^[[2J^J  why^[]0;x^G\n"
