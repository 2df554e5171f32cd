"""The man pages: those in man/ are what the program says of itself, and man reads them."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from synmem.cli.commands import ALIASES, COMMANDS
from synmem.cli.manual.roff import pages, write_pages

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "man"


def test_the_pages_in_the_folder_are_those_that_are_made() -> None:
    assert {path.name for path in FOLDER.iterdir()} == pages().keys(), "make man"
    for name, text in pages().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: make man"


def test_there_is_a_page_for_every_command() -> None:
    wanted = {f"synmem-{name}.1" for name in COMMANDS if name not in ALIASES}
    assert pages().keys() == wanted | {"synmem.1"}


def test_they_are_written_by_the_module(tmp_path: Path) -> None:
    write_pages(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == pages().keys()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_man_shows_a_page_without_a_warning(name: str) -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not on the PATH")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", str(FOLDER / name)], capture_output=True,
        text=True, check=True, env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert not done.stderr
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"):
        assert heading in done.stdout
    assert "\\" not in done.stdout


def test_text_that_begins_like_a_request_is_text() -> None:
    from synmem.cli.manual.roff import _escaped

    assert _escaped(".so /etc/passwd") == r"\&.so /etc/passwd"
    assert _escaped("'x") == r"\&'x"
    assert _escaped(r"a\b -x") == r"a\eb \-x"


def test_a_wheel_and_a_source_archive_have_them() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]
    assert targets["wheel"]["shared-data"] == {"man": "share/man/man1"}
    assert "/man" in targets["sdist"]["include"]
