"""What a word is: the meaning of search."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.errors import UsageError
from synmem.messages import Message
from synmem.operations.searching.words import Query, normal, normal_of, spans


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
        ("pgb*", "the PgBouncer's pool", True),
        ("pgb*", "apgb", False),
        ("bounc*", "PgBouncer", False),
        ("pgb*", "pgb", True),
        ("Éco*", "une ecole", True),
        ('"red clu*"', "a red cluster", True),
        ('"red clu"*', "a red cluster", True),
        ('"red clu*"', "a red big cluster", False),
        ('"re* cluster"', "a red cluster", False),
        ("日本*", "日本語", True),
        ("日本*", "日曜", False),
        ("c++*", "cluster", False),
        ("c++*", "C, C++", True),
        ("a* b", "b abc", True),
        ("* b", "b", True),
    ],
)
def test_all_words_must_occur_as_whole_tokens(query: str, content: str, fits: bool) -> None:
    assert (Query(query).score(content) is not None) is fits


def test_a_query_without_a_letter_or_digit_is_a_usage_error() -> None:
    for text in ("", "  ", '""', "!? --", "🙂", "*", '"*"', "!*"):
        with pytest.raises(UsageError):
            Query(text)


def test_more_of_it_in_less_scores_higher() -> None:
    def score(content: str) -> float:
        found = Query("redis").score(content)
        assert found is not None
        return found

    assert score("redis redis") > score("redis") > score("redis " + "and so on " * 50)
    assert score("redis redis redis") == score("Redis, REDIS: redis!")


@given(st.text(), st.text("ab é語*", min_size=1))
def test_the_cheap_test_never_loses_a_match(content: str, words: str) -> None:
    try:
        query = Query(words)
    except UsageError:
        return
    for text in (content, content + " " + words):
        assert query.score(text) == query.score_normal(normal(text))
    if '"' not in words:
        assert query.score(content + " " + words) is not None


def called(query: str, message: Message) -> bool:
    return Query(query).score_of(message) is not None


def test_names_of_tools_are_searched_beside_the_content() -> None:
    call = {"id": "1", "name": "get_weather", "arguments": {"city": "Oslo"}}
    asks = Message("assistant", "I look", tool_calls=[call, {"function": {"name": "send"}}])
    assert called("weather look", asks)
    assert called("send", asks)
    assert not called("oslo", asks)
    assert not called('"look get"', asks)  # not said in one breath
    assert called("weather", Message("assistant", "", tool_calls=[call]))
    assert called("weath*", Message("tool", "21", name="get_weather"))
    assert not called("ada", Message("user", "21", name="ada"))
    assert normal_of(Message("user", "", name="ada")) == ""


@given(st.text(), st.text("ab é語*", min_size=1), st.text("ab "))
def test_what_is_found_in_a_message_is_the_same_by_its_normal_form(
    content: str, words: str, name: str
) -> None:
    message = Message("tool", content, name=name, tool_calls=[{"name": name}])
    try:
        query = Query(words)
    except UsageError:
        return
    assert query.score_of(message) == query.score_normal(normal_of(message))


def marked(text: str, query: str) -> list[list[str]]:
    return [[text[slice(*span)] for span in each] for each in spans(text, Query(query)).values()]


def test_spans_show_where_all_that_was_looked_for_stands() -> None:
    content = "Say (Naïve), 日本語です; nai\u0308ve naivety straße co\xadop"
    assert marked(content, "naive") == [["Naïve", "nai\u0308ve"]]
    assert marked(content, "naiv*") == [["Naïve", "nai\u0308ve", "naivety"]]
    assert marked(content, "本語") == [["本語"]]
    assert marked(content, "strasse coop") == [["straße"], ["co\xadop"]]
    assert marked(content, '"say naive"') == [["Say (Naïve"]]
    assert marked("aA-a ab", "a*") == [["aA", "a", "ab"]]
    assert marked("nothing", "else") == []


@given(st.text("abé語ß -.\u0301\n", max_size=30), st.text("abé語ßs *", min_size=1, max_size=5))
def test_what_is_found_has_its_span(content: str, words: str) -> None:
    try:
        query = Query(words)
    except UsageError:
        return
    found = spans(content, query)
    assert (query.score(content) is not None) == (len(found) == len(query.phrases))
