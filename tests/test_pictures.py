"""The pictures of the README: what a terminal shows, as an SVG that needs nothing."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests import pictures
from tests.screens import Screen, Style

SVG = "{http://www.w3.org/2000/svg}"


def test_a_screen_shows_what_a_terminal_shows() -> None:
    screen = Screen(10).feed(
        "one\r\ntwo\rTW\r\n\x1b[1;31mred\x1b[0m 日本\r\ngone\r\x1b[2K0123456789ab"
    )
    assert screen.shown() == ["one", "TWo", "red 日本", "0123456789", "ab"]
    assert screen.lines[2][0] == ("r", Style(color=1, bold=True))
    assert screen.lines[2][4:6] == [("日", Style()), ("", Style())]


def test_a_background_is_refused() -> None:
    for codes in ("41", "48;5;3", "38;5;200"):
        with pytest.raises(ValueError, match="SGR"):
            Screen().feed(f"\x1b[{codes}mx")


def test_a_picture_is_escaped_loads_nothing_and_keeps_the_columns() -> None:
    screen = Screen(30).feed('<b>&"x"  \x1b[36;2mdim & cyan\x1b[0m\r\n日本 end\r\n\r\n')
    drawn = pictures.svg(screen, theme=pictures.DARK, typed="synmem ls '<x>'")
    root = ET.fromstring(drawn)
    texts = {each.text: each for each in root.iter(f"{SVG}text")}
    assert list(texts) == [
        "$",
        "synmem",
        "ls",
        "'<x>'",
        '<b>&"x"',
        "dim",
        "&",
        "cyan",
        "日本",
        "end",
    ]
    assert texts["cyan"].get("fill") == pictures.DARK[2][6]
    assert float(texts["dim"].get("opacity", "1")) < 1
    assert float(texts["日本"].get("textLength", "0")) == pytest.approx(4 * 8.4)
    assert float(texts["end"].get("x", "0")) == pytest.approx(14 + 5 * 8.4)
    assert "href" not in drawn
    assert drawn.count("http") == 1  # the name of the form itself


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_a_command_is_run_on_a_terminal_of_that_size(tmp_path: Path) -> None:
    code = "import os, sys; print(os.get_terminal_size().columns, sys.stdout.isatty(), '\\x1b[32mok\\x1b[0m')"
    out = tmp_path / "out.svg"
    pictures.main([str(out), "--columns", "57", "--typed", "", "--", sys.executable, "-c", code])
    texts = [each.text for each in ET.fromstring(out.read_text()).iter(f"{SVG}text")]
    assert texts == ["57", "True", "ok"]
