"""Words that are like one that was looked for and is nowhere: what may have been meant."""

from collections.abc import Iterable, Iterator
from typing import Final

from synmem.operations.searching.words import Query, is_beginning

_SHORTEST: Final = 3  # letters: of fewer, each is like many
_APART: Final = 2  # letters by which a word may be longer or shorter
_LIKE: Final = 0.7
_MOST: Final = 50_000  # words that are compared with one
_SHOWN: Final = 3  # for each word


class Near:
    """Words of a store, seen one by one, and which of them are near those of a query that are not
    among them. Memory is bounded."""

    def __init__(self, query: Query) -> None:
        self._beginnings = {p.split()[-1] for p in query.phrases if is_beginning(p)}
        tokens = [token for phrase in query.phrases for token in phrase.split()]
        self._alike: dict[str, set[str]] = {t: set() for t in tokens if len(t) >= _SHORTEST}
        self._there: set[str] = set()

    def ranges(self) -> Iterator[tuple[str, int, int]]:
        """How a word that may be near begins, and its least and greatest length."""
        for token in self._alike:
            longest = 1000 if token in self._beginnings else len(token) + _APART
            for first in sorted(set(token[:2])):  # the first two letters may be swapped
                yield first, len(token) - _APART, longest

    def take(self, words: Iterable[str]) -> None:
        """Words of the store."""
        for word in words:
            for token, alike in self._alike.items():
                cut = word[: len(token)] if token in self._beginnings else word
                if cut == token:
                    self._there.add(token)
                elif _may_be(token, cut) and len(alike) < _MOST:
                    alike.add(word)

    def words(self) -> list[str]:
        """The nearest, for each word that is nowhere; those most like it first."""
        from difflib import get_close_matches

        found = []
        for token, alike in self._alike.items():
            if token not in self._there:
                found += get_close_matches(token, sorted(alike), n=_SHOWN, cutoff=_LIKE)
        return list(dict.fromkeys(found))


def _may_be(token: str, word: str) -> bool:
    return abs(len(token) - len(word)) <= _APART and word[0] in token[:2]
