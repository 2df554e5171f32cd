"""What a word is: the meaning of search."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.errors import UsageError
from synmem.operations.searching.words import Query, find, normal


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, World!", "hello world"),
        ("snake_case don't x2", "snake case don t x2"),
        ("Été NAÏVE Straße ﬁn ＡＢＣ", "ete naive strasse fin abc"),
        ("Ελλάδα ёлка שָׁלוֹם مُحَمَّد", "ελλαδα елка שלום محمد"),
        ("日本語 です 한국어", "日 本 語 で す 한 국 어"),
        ("ภาษา", "ภ า ษ า"),
        ("हिन्दी", "हिन्दी"),
        ("が か", "が か"),
        ("co\xadop zero\u200bwidth", "coop zero width"),
        ("\ud800 \x00 🙂 --", ""),
    ],
)
def test_tokens_are_runs_of_letters_and_digits_or_single_characters(text: str, tokens: str) -> None:
    assert normal(text).split() == tokens.split()


@given(st.text())
def test_spelling_of_the_same_text_makes_no_difference(text: str) -> None:
    assert normal(unicodedata.normalize("NFD", text)) == normal(unicodedata.normalize("NFC", text))


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_takes_a_short_way_to_the_same_tokens(text: str) -> None:
    longer = normal(text + " é")
    assert longer == normal(text) + " e "


@pytest.mark.parametrize(
    ("query", "content", "fits"),
    [
        ("redis cluster", "A cluster of Redis nodes", True),
        ("redis cluster", "A cluster of nodes", False),
        ('"redis cluster"', "A cluster of Redis nodes", False),
        ('"redis cluster"', "the REDIS, Cluster", True),
        ('"redis cluster', "the redis cluster", True),
        ("red", "redis", False),
        ("résumé", "my RESUME", True),
        ("cafe", "un café", True),
        ("本語", "日本語です", True),
        ("語本", "日本語です", False),
        ("foo-bar", "bar foo", False),
        ("foo-bar", "Foo (bar)", True),
        ("k", "\u212a", True),
    ],
)
def test_all_words_must_occur_as_whole_tokens(query: str, content: str, fits: bool) -> None:
    assert (Query(query).score(content) is not None) is fits


def test_a_query_without_a_letter_or_digit_is_a_usage_error() -> None:
    for text in ("", "  ", '""', "!? --", "🙂"):
        with pytest.raises(UsageError):
            Query(text)


def test_more_of_it_in_less_scores_higher() -> None:
    def score(content: str) -> float:
        found = Query("redis").score(content)
        assert found is not None
        return found

    assert score("redis redis") > score("redis") > score("redis " + "and so on " * 50)
    assert score("redis redis redis") == score("Redis, REDIS: redis!")


@given(st.text(), st.text("ab é語", min_size=1))
def test_the_cheap_test_never_loses_a_match(content: str, words: str) -> None:
    try:
        query = Query(words)
    except UsageError:
        return
    for text in (content, content + " " + words):
        assert query.score(text) == query.score_normal(normal(text))
    if '"' not in words:
        assert query.score(content + " " + words) is not None


def test_find_shows_where_the_first_word_stands() -> None:
    content = "Say (Naïve), 日本語です"
    assert content[slice(*find(content, Query("naive")))] == "Naïve"
    assert content[slice(*find(content, Query("語")))] == "語"
    assert find("nothing", Query("else")) == (0, 0)
