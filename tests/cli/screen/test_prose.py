"""Markdown on a terminal: every character of it, in order, at every width."""

import contextlib
import io
import time
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.markdown import Markdown
from wcwidth import iter_graphemes

from synmem.cli.screen.columns import cells
from synmem.cli.screen.prose import prose, shown
from tests.cli.screen.reading import MARKS_WITHOUT_COLORS, SGR, missing

PIECES = [
    "word", "List<String>", "<div>", "<think>", "</think>", "&lt;", "&amp", "\\(x\\)", "\\*", "\\|",
    "\\\\", "**", "*", "__", "_", "__init__", "`", "``", "~~", "```", "```py title=x\n", "~~~",
    "\n", "\n", "\n\n", " ", "  ", "    ", "\t", "# ", "## ", " #", "\n===\n", "\n---\n", "***",
    "- ", "* ", "+ ", "1. ", "007) ", "> ", ">", "[a]: http://x 'title'\n", "[a]",
    "[text](http://x \"title\")", "[http://x](http://x)", "![alt](img.png)", "<http://auto>",
    "[", "](", ")", "| a | b |\n|:--|--:|\n| 1 | 2 |\n", "\n|a|b|\n|-|-|\n|1|2|3|\n", "|", "|-|-|",
    "日本語", "👍🏽", "👨\u200d👩", "שלום", "e\u0301", "नमस्ते", "\x1b[31m", "\u202e", "\u200b", "\r\n", "\x00",
    "a long sentence with more words than fit on a line of a narrow terminal",
    "x" * 50, "javascript:alert(1)", "$a_b$", "C:\\dir\\*.txt", "!", "=", ":", "<a@b.c>",
]  # fmt: skip
CHARACTERS = st.characters(codec="utf-8", exclude_characters="│─┼▣")
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(CHARACTERS, max_size=8), max_size=25).map(
    "".join
)
WIDTHS = st.integers(20, 200)


@contextlib.contextmanager
def colors(wanted: bool) -> Iterator[None]:
    with patch("synmem.cli.render.colored", lambda: wanted):
        yield


def rendered(text: str, width: int = 80, *, colored: bool = True) -> str:
    with colors(colored):
        return "\n".join(prose(text, width))


def plain(text: str, width: int = 80) -> str:
    return SGR.sub("", rendered(text, width))


@given(TEXTS, WIDTHS)
def test_every_character_is_on_the_screen_in_order(text: str, width: int) -> None:
    assert missing(shown(text), rendered(text, width).split("\n")) is None


@given(TEXTS, WIDTHS)
def test_without_colors_the_marks_that_they_stand_for_stay(text: str, width: int) -> None:
    lines = rendered(text, width, colored=False).split("\n")
    assert "\x1b" not in "".join(lines)
    assert missing(shown(text), lines, MARKS_WITHOUT_COLORS) is None


@given(TEXTS, st.integers(20, 50))
def test_every_line_fits(text: str, width: int) -> None:
    lines = rendered(text, width).split("\n")
    widest = max([width, *(cells(each) for each in iter_graphemes(shown(text)))])
    assert all(cells(line) <= widest for line in lines)


@pytest.mark.parametrize(
    "text",
    ["a List<String> b", "<div>x</div>", "<think>hm</think>", "[a]: http://x 'title'"],
)
def test_the_check_finds_what_a_stock_renderer_drops(text: str) -> None:
    screen = Console(file=io.StringIO(), width=80, color_system=None)
    screen.print(Markdown(text))
    assert isinstance(screen.file, io.StringIO)
    assert missing(text, screen.file.getvalue().split("\n"))
    assert missing(text, rendered(text).split("\n")) is None


@pytest.mark.parametrize("text", ["ab", "a\nb"])
def test_the_check_finds_what_is_lost_added_or_changes_places(text: str) -> None:
    assert missing(text, ["a"]) and missing(text, ["abc"]) and missing(text, ["ba"])
    assert missing(text, ["a", "b"]) is None


EXAMPLES = [
    ("a *b* __c__ `d` ~~e~~", "a b c d e"),
    ("List<String> <div> <think> &lt; \\(x\\) \\\\ C:\\dir", None),
    ("\\*a\\* 1\\. \\_", "*a* 1\\. _"),
    ("one\ntwo\n    three", None),
    ("# a #\n\nb\n===", None),
    ("3) a\n4) b\n\n   c\n* x\n  + y\n+", None),
    ("> q\nlazy\n> > r", "│ q\n│ lazy\n│ │ r"),
    ("```py title=x\n  code\n```", "py title=x\n    code"),
    ('[t](http://x "y") [u](<a b>)', 't (http://x "y") u (<a b>)'),
    ("[http://x](http://x) <http://y>", "http://x <http://y>"),
    ("![alt *a*](u)", "▣ alt *a* (u)"),
    ("[a]: http://x 't'\n\n[a] [b][a]", None),
    ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
    ("a\n***", "a\n" + "─" * 80),
    ("|a|b|\n|-|-:|\n|1|22|\n|`x`|", "a │  b\n──┼───\n1 │ 22\nx │"),
    ("|a|b|\n|-|-|\n|1|2|3|", None),
    ("a\r\nb\tc", "a\nb   c"),
    ("a\x1b[1mb", "a^[[1mb"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "seen"), EXAMPLES)
def test_it_is_drawn_so(text: str, seen: str | None) -> None:
    assert plain(text) == (text if seen is None else seen)


def test_what_is_emphasised_has_its_colours() -> None:
    assert rendered("**a** `b`") == "\x1b[1ma\x1b[0m \x1b[95mb\x1b[0m"
    assert rendered("a\n```\nb\n```\n\n    c") == "a\n  b\n\n  c"
    assert rendered("**a** `b`", colored=False) == "**a** `b`"


def test_text_is_wrapped_at_words_and_code_by_character() -> None:
    assert plain("- aaa bbb ccc", 20 - 10) == "- aaa bbb\n  ccc"
    assert plain("```\n    aaaaaaaaaaaaaaaaaaaa b\n```", 20) == "      aaaaaaaaaaaaaa\n  aaaaaa b"


def test_cells_are_wrapped_or_stand_below_one_another() -> None:
    table = "|aaaa bbbb cccc|dddd eeee ffff|\n|-|-|\n|1|2|"
    assert plain(table, 24) == (
        "aaaa bbbb  │ dddd eeee\ncccc       │ ffff\n───────────┼────────────\n"
        "1          │ 2\n───────────┼────────────"
    )
    assert plain(table, 18) == "aaaa bbbb cccc\ndddd eeee ffff\n───\n1\n2"


@pytest.mark.parametrize("depth", [3, 8, 15, 30, 1000])
@pytest.mark.parametrize("width", [20, 50])
def test_however_deep_it_is_text_has_room(depth: int, width: int) -> None:
    for text in ("> " * depth + "some words", "- " * depth + "some words"):
        lines = rendered(text, width).split("\n")
        assert missing(text, lines) is None
        assert all(cells(line) <= width for line in lines)
        assert len(lines) <= 2 + 2 * depth // 10 * (80 // width)


PATHOLOGICAL = {
    "quotes": ">" * 10_000, "brackets": "[" * 50_000, "links": "[a](" * 10_000, "images": "![" * 20_000,
    "emphasis": "**a" * 15_000, "nested": "*" * 5000 + "a" + "*" * 5000, "line": "x" * 1_000_000,
    "ticks": " ".join("`" * i for i in range(1, 300)), "lists": "".join("  " * i + "- a\n" for i in range(200)),
    "columns": "|a" * 5000 + "\n" + "|-" * 5000 + "\n" + "|a\n" * 100, "wide": "日" * 100_000,
    "tabs": "\t" * 50_000, "spaces": "x" + " " * 200_000,
    "tables": "|a|b|\n|-|-|\n|1|2|3|\n" * 2000, "definitions": "".join(f"[{i}]: x\n" for i in range(2000)),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_no_text_takes_the_square_of_its_length(name: str) -> None:
    text = PATHOLOGICAL[name]
    began = time.process_time()
    lines = rendered(text, 60).split("\n")
    assert time.process_time() - began < 10
    assert "".join(SGR.sub("", "".join(lines)).split()).count("x") == text.count("x")
