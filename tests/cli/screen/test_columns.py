"""What fits a terminal: by its cells, nothing lost but what says so."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import iter_graphemes, wcwidth

from synmem.cli.render import visible_line
from synmem.cli.screen.columns import cells, cut, cut_middle, filled, folded, padded, wrapped

TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("ab 日本é👍🏽👨\u200d👩שלוםनमस्ते-\t")),
    max_size=60,
).map(visible_line)


@pytest.mark.parametrize(
    ("text", "wide"),
    [("abc", 3), ("日本", 4), ("e\u0301", 1), ("👍🏽", 2), ("שלום", 4), ("\x1b[1mab\x1b[0m", 2)],
)
def test_cells(text: str, wide: int) -> None:
    assert cells(text) == wide


@given(TEXTS, st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_only_spaces(text: str, width: int) -> None:
    lines = wrapped(text, width)
    widest = max([width, *(cells(each) for each in iter_graphemes(text))])
    assert all(cells(line) <= widest for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(TEXTS, st.integers(2, 30))
def test_folded_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = folded(text, width)
    widest = max([width, *(cells(each) for each in iter_graphemes(text))])
    assert all(cells(line) <= widest for line in lines)
    assert "".join(lines) == text


@given(TEXTS, st.integers(3, 30))
def test_what_is_cut_fits_and_keeps_its_beginning(text: str, width: int) -> None:
    shown = cut_middle(text, width)
    assert cells(shown) <= width
    assert (shown == text) == (cells(text) <= width)
    shown = cut(text, width)
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))
    assert cells(shown) <= width


@given(TEXTS, st.integers(3, 30))
def test_what_is_cut_fits_where_a_terminal_joins_no_emoji_too(text: str, width: int) -> None:
    apart = sum(max(0, wcwidth(character)) for character in cut(text, width))
    assert apart <= width


def test_nothing_is_cut_that_fits() -> None:
    for text, width in (("abc", 3), ("日本", 4), ("👍🏽!", 5), ("שלום", 4)):
        assert cut(text, width) == text
        assert cut(text, width - 1) != text


def test_an_id_is_told_by_both_of_its_ends() -> None:
    assert cut_middle("69d50646-deaf-4a1b", 9) == "69d5…4a1b"
    assert cut_middle("日本日本日本", 7) == "日…日本"


def test_line_breaks_stay() -> None:
    assert wrapped("one two\n\nthree", 5) == ["one", "two", "", "three"]


def test_what_is_said_is_broken_at_words_and_never_within_a_command_or_a_path() -> None:
    text = "left out: another branch (`synmem ls chat.db --branches` lists it)\n\n  " + "x" * 40
    assert filled(text, 30) == [
        "left out: another branch", "(`synmem ls chat.db --branches`", "lists it)", "", "  " + "x" * 40,
    ]  # fmt: skip


@given(TEXTS, st.integers(2, 30))
def test_what_is_said_loses_only_spaces(text: str, width: int) -> None:
    assert "".join("".join(filled(text, width)).split()) == "".join(text.split())


@pytest.mark.parametrize("text", [" " * 50_000, "a`" + " " * 50_000, "a " * 50_000 + "`"])
def test_what_is_said_takes_no_more_than_its_length(text: str) -> None:
    began = time.process_time()
    assert " ".join(filled(text, 80)).split() == text.split()
    assert time.process_time() - began < 5


def test_padding_counts_cells() -> None:
    assert (padded("日本", 6), padded("7", 3, right=True)) == ("日本  ", "  7")
