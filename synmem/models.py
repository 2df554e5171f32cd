"""Models: for now how many tokens a text is estimated to have."""

from typing import Final

CHARACTERS_PER_TOKEN: Final = 4


def estimate_tokens(text: str) -> float:
    """A quarter of a token for each character, not rounded: parts add up to the whole."""
    return len(text) / CHARACTERS_PER_TOKEN
