"""The part of a message that a search shows."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.cli.screen import styles
from synmem.cli.screen.columns import cells
from synmem.cli.snippets import snippet
from synmem.operations.searching.words import Query

FILLER = "and so it goes on and on for a while until " * 10


@pytest.fixture(autouse=True)
def colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synmem.cli.render.colored", lambda: True)


def shown(text: str, query: str | None, width: int = 60) -> str:
    lines = snippet(text, None if query is None else Query(query), width)
    assert all(cells(line) <= width for line in lines)
    return " ".join(lines)


def marks(text: str) -> list[str]:
    return re.findall(rf"\x1b\[{styles.MATCH}m(.*?)\x1b\[0m", text)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_every_hit_is_marked() -> None:
    assert marks(shown("Redis, redis and REDIS", "redis")) == ["Redis", "redis", "REDIS"]
    assert marks(shown("a Naïve clustering", "clus* naive")) == ["Naïve", "clustering"]
    assert marks(shown("the hash\n tag: hash", '"hash tag"')) == ["hash", "tag"]
    assert marks(shown("日本語です", "本語")) == ["本語"]


def test_hits_far_apart_are_joined_by_an_ellipsis_and_words_stay_whole() -> None:
    text = f"start {FILLER} alpha {FILLER} beta {FILLER} end"
    line = plain(shown(text, "alpha beta"))
    assert line.startswith("…")
    assert " … " in line
    assert line.endswith("…")
    words = set(text.split())
    assert set(line.replace("…", "").split()) <= words
    assert marks(shown(text, "beta alpha")) == ["alpha", "beta"]


def test_the_first_of_each_word_goes_before_a_second_of_one() -> None:
    text = f"alpha {FILLER}" * 5 + "beta"
    assert "beta" in marks(shown(text, "alpha beta"))


def test_a_short_text_is_shown_whole_on_one_line() -> None:
    assert plain(shown("  one\n\ttwo  three ", "two")) == "one two three"


def test_without_a_query_it_is_the_beginning() -> None:
    assert shown("\n  first " + FILLER, None).startswith("first and")


@pytest.mark.parametrize("letter", ["👩\u200d👩\u200d👧\u200d👦", "e\u0301\u0323", "क्षि"])
@pytest.mark.parametrize("width", range(40, 48))
def test_a_letter_of_several_characters_is_not_parted(letter: str, width: int) -> None:
    text = plain(shown(letter * 90 + " needle " + letter * 90, "needle", width))
    assert set(re.split("[ …]+", text.replace(letter, ""))) == {"", "needle"}


def test_what_is_hidden_is_shown() -> None:
    assert (
        plain(shown("\x1b[31mred\u202e redis [link=x]", "redis"))
        == "^[[31mred<U+202E> redis [link=x]"
    )


@given(st.text(max_size=300), st.text(max_size=5), st.integers(20, 100))
def test_nothing_breaks_it(text: str, word: str, width: int) -> None:
    for line in snippet(f"{text} redis {word} {text}", Query("redis"), width):
        assert cells(line) <= width
        assert "\n" not in line
