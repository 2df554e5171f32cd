"""The gate before a terminal, and how data leaves through stdout."""

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synmem.cli import render

HARMLESS = {"\t", "\n"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é ü 日本", "plain text, é ü 日本"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1b[31m", "^[[31m"),
        ("\x1b]52;c;eA==\x07", "^[]52;c;eA==^G"),
        ("\x9b2J", "<U+009B>2J"),
        ("a\rb\x7f", "a^Mb^?"),
        ("\u202eevil\u2066", "<U+202E>evil<U+2066>"),
        ("a\u200bb\ufeff", "a<U+200B>b<U+FEFF>"),
        ("\ud800", "<U+D800>"),
        ("\U000e0041", "<U+E0041>"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("a\u200db", "a<U+200D>b"),
        ("नमस्\u200dते", "नमस्\u200dते"),
        ("[bold]x[/bold] :smile:", "[bold]x[/bold] :smile:"),
        ("", ""),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert render.visible(text) == shown


def test_visible_line_has_no_line_breaks() -> None:
    assert render.visible_line("a\nb\tc\r\n\u2028") == "a^Jb^Ic^M^J<U+2028>"


@given(st.text(st.characters(codec=None)))
def test_nothing_that_acts_passes_the_gate(text: str) -> None:
    shown = render.visible(text)
    bad = {
        each
        for each in shown
        if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(each) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    }  # fmt: skip
    assert bad <= HARMLESS
    assert not {each for each in render.visible_line(text) if unicodedata.category(each) == "Cc"}


@example("\x7f")
@given(st.text(st.characters(codec="utf-8")))
def test_what_is_json_for_a_terminal_is_the_same_value(text: str) -> None:
    line = json.dumps({"key " + text: text}, ensure_ascii=False).encode()
    shown = render.json_for_terminal(line)
    assert json.loads(shown) == json.loads(line)
    assert render.visible(shown.decode()) == shown.decode()


def test_lines_of_json_keep_their_newlines() -> None:
    assert render.json_for_terminal('["\u202e é"]\n["\U000e0041"]\n'.encode()) == (
        '["\\u202e é"]\n["\\udb40\\udc41"]\n'.encode()
    )


def test_a_table_keeps_its_columns_and_every_character(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    long = "x" * 70
    render.table(["id", "n", "at"], [["日本", "7", "now"], [long, "1,000", ""], ["\x1b[m", "", "b"]],
                 right=[1])  # fmt: skip
    lines = capfdbinary.readouterr().out.decode().split("\n")
    wide = 30
    assert lines == [
        "id" + " " * wide + "    n  at",
        "日本" + " " * (wide - 4) + "      7  now",
        long + "  1,000",
        "^[[m" + " " * (wide - 4) + "         b",
        "",
    ]
