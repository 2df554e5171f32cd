"""Tokens: the estimate, and exact counts by the vocabularies in the wheel."""

import sys

import pytest

from synmem.errors import MissingExtra, UsageError
from synmem.models import estimate_tokens
from synmem.models.tokens import TOKENIZERS, counter, cut

KNOWN = {
    "cl100k_base": {"hello world": 2, "": 0, "tiktoken is great!": 6, "antidisestablishmentarianism": 6},
    "o200k_base": {"hello world": 2, "": 0, "antidisestablishmentarianism": 6},
}  # fmt: skip
"""What OpenAI's own tokenizer says: the first three of them stand in its cookbook."""


def test_without_a_vocabulary_four_characters_are_a_token() -> None:
    assert counter(None) is estimate_tokens
    assert counter(None)("abcdef") == 1.5


@pytest.mark.parametrize("name", TOKENIZERS)
def test_counts_are_exact(name: str) -> None:
    count = counter(name)
    for text, tokens in KNOWN[name].items():
        assert count(text) == tokens, text


@pytest.mark.parametrize("name", TOKENIZERS)
def test_hostile_and_huge_texts_are_counted(name: str) -> None:
    count = counter(name)
    assert count("a\ud800b") == count("a\\ud800b")
    assert count("<|endoftext|>") > 1  # said by a person: no special token
    assert count("\0") == 1
    assert count("word " * 400_000) >= 400_000


def test_an_unknown_one_is_a_usage_error_that_lists_them() -> None:
    with pytest.raises(UsageError) as caught:
        counter("gpt2")
    assert caught.value.hint == "one of cl100k_base, o200k_base"


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    with pytest.raises(MissingExtra) as caught:
        counter("o200k_base")
    assert caught.value.hint == "pip install 'synmem-cli[tokens]'"


@pytest.mark.parametrize("name", [None, *TOKENIZERS])
def test_cut_gives_the_longest_beginning_that_fits(name: str | None) -> None:
    count = counter(name)
    text = "The crane of the harbour is broken. \U0001f389\U0001f389 " * 20
    for tokens in (0, 1, 2, 7, 50, 1000):
        kept = cut(text, tokens, count)
        assert text.startswith(kept)
        assert count(kept) <= tokens
        assert kept == text or count(text[: len(kept) + 8]) > tokens
