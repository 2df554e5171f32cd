"""Every console block of the README and of docs/ can be pasted: each command prints what it says.

SYNMEM_TEST_REWRITE=1 writes into the pages what is printed now: look at it before you keep it.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.pages import picture, scenes
from tests.pages.blocks import PAGES, Act, Step, acts, fits, rewritten
from tests.pages.shell import Ran, Stage, run


def _param(act: Act) -> Any:
    """The README's with every run of the tests, those of docs/ with `make test-real`."""
    marks = () if act.name.startswith("README.md") else (pytest.mark.real,)
    return pytest.param(act, marks=marks, id=act.name)


@pytest.mark.parametrize("act", [_param(act) for page in PAGES for act in acts(page)])
def test_what_a_page_shows_is_what_is_printed(
    act: Act, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stage = Stage(tmp_path / "ada")
    stage.home.mkdir()
    for scene in act.scenes:
        getattr(scenes, scene.replace("-", "_"))(stage, request)
    ran = run(act.steps, stage)
    assert len(ran) == len(act.steps)
    odd = [
        each
        for each in zip(act.steps, ran, strict=True)
        if not fits(each[0].printed, each[1].shown)
    ]
    if os.environ.get("SYNMEM_TEST_REWRITE"):
        rewritten(act, [each.shown for each in ran])
    assert not odd, "\n".join(map(_told, odd))
    asked = [step.command == "echo $?" for step in act.steps[1:]] + [False]
    for step, (shown, code, _), told in zip(act.steps, ran, asked, strict=True):
        # An error says that the command has failed; where something else does not, the page must.
        assert code == 0 or told or "synmem: " in shown, f"{step.line}: {step.command}: exit {code}"


def _told(odd: tuple[Step, Ran]) -> str:
    step, (shown, code, _) = odd
    on_the_page = f"--- on the page, line {step.line}: {step.command}\n{step.printed}"
    return f"{on_the_page}--- printed (exit {code}):\n{shown}"


def test_what_is_left_out_of_what_is_printed_stands_for_any() -> None:
    assert fits("a\n...\nz\n", "a\nb\nc\nz\n")
    assert fits("a\n...\nz\n", "a\nz\n")
    assert fits("1 of ... done\n", "1 of 3 (x) done\n")
    assert not fits("1 of ... done\n", "1 of 3\n2 of 3 done\n")
    assert not fits("a\n", "a\nb\n")
    assert not fits("a.c\n", "abc\n")


def test_the_pictures_are_those_of_what_is_shown_now(tmp_path: Path) -> None:
    for name, text in picture.drawn(tmp_path).items():
        assert (picture.DOCS / name).read_text() == text, "make picture"
