"""What a word is, and when a text holds one: the meaning of `search`, on every store alike.

A text's *normal form* is its tokens, each between two spaces: `"Été, naïve!"` is
`" ete  naive "`. A token is a run of letters and digits, without case and without diacritics.
Where a script writes no spaces (Han, kana, Hangul, Thai and its neighbours) each character is a
token of its own, so that a word inside of a run is found as the phrase that it is.

One phrase holds another where the normal form of one is part of the other's.
"""

import re
import unicodedata
from typing import Final

from synmem.errors import UsageError

VERSION: Final = 1
"""Goes up when a text gets another normal form: an index made before is made anew."""

_ALONE: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0xA4CF),  # Han, kana, Bopomofo, Yi
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B2FF),
    (0x20000, 0x3FFFF),
)


class _Diacritics(dict[int, str | None]):
    """For `str.translate`: takes accents, points and harakat off; filled as characters come.

    The voicing marks of kana, the virama and the vowels of Indic scripts and of Thai make other
    letters, not other spellings of one: they stay.
    """

    def __missing__(self, code: int) -> str | None:
        kind = unicodedata.combining(chr(code))
        self[code] = None if kind == 1 or 10 <= kind <= 36 or kind >= 200 else chr(code)
        return self[code]


class _Tokens(dict[int, str | None]):
    """For `str.translate`: what stands in no token becomes a space."""

    def __missing__(self, code: int) -> str | None:
        self[code] = _in_tokens(chr(code))
        return self[code]


def _in_tokens(character: str) -> str | None:
    kind = unicodedata.category(character)
    if kind == "Cf" and character != "\u200b":
        return None  # a soft hyphen or a joiner is inside of its word
    if kind[0] not in "LNM":
        return " "
    if any(first <= ord(character) <= last for first, last in _ALONE):
        return f" {character} "
    return character


_DIACRITICS: Final = _Diacritics()
_TOKENS: Final = _Tokens()


def normal(text: str) -> str:
    """The text's normal form; "" where it has no token."""
    if text.isascii():
        text = text.lower()
    else:
        text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        text = unicodedata.normalize("NFC", text.translate(_DIACRITICS))
    tokens = text.translate(_TOKENS).split()
    return f" {'  '.join(tokens)} " if tokens else ""


class Query:
    """What is looked for: every word, and every phrase in "quotes", must be in a text."""

    def __init__(self, text: str) -> None:
        """UsageError where there is no letter or digit in it."""
        quoted_or_word = re.findall(r'"([^"]*)"?|([^\s"]+)', text)
        phrases = [normal(quoted or word) for quoted, word in quoted_or_word]
        self.phrases = tuple(dict.fromkeys(phrase for phrase in phrases if phrase))
        if not self.phrases:
            raise UsageError("nothing to search for", hint="a query has letters or digits")
        longest = [max(phrase.split(), key=len) for phrase in self.phrases]
        self._ascii = [token for token in longest if token.isascii()]
        self._all_ascii = len(self._ascii) == len(longest)

    def score(self, content: str) -> float | None:
        """How well the content fits, above 0; None where it does not."""
        return self.score_normal(normal(content)) if self._may_match(content) else None

    def score_normal(self, text: str) -> float | None:
        """As `score`, of a text that is in its normal form already.

        Each phrase brings what Okapi BM25 gives for its occurrences, against a message of 64
        tokens: much for the first, less for each more, and less in a long message.
        """
        score = 0.0
        damping = 0.3 + 0.9 / 64 * (text.count("  ") + 1)
        for phrase in self.phrases:
            times = text.count(phrase)
            if not times:
                return None
            score += 2.2 * times / (times + damping)
        return round(score, 6)

    def _may_match(self, content: str) -> bool:
        # Cheap, and never wrong about ASCII text; other text may be folded into ASCII.
        if not content.isascii():
            return True
        if not self._all_ascii:
            return False
        lowered = content.lower()
        return all(token in lowered for token in self._ascii)


def find(content: str, query: Query) -> tuple[int, int]:
    """About where in the content the first word that was looked for begins and ends."""
    firsts = {f" {phrase.split()[0]} " for phrase in query.phrases}
    for run in re.finditer(r"\S+", content):
        text = normal(run[0])
        token = next((token for token in firsts if token in text), None)
        if token is not None:
            start, end = _inside(run[0], token)
            return run.start() + start, run.start() + end
    return 0, 0


def _inside(run: str, token: str) -> tuple[int, int]:
    """The part of a run of characters that is a token, as small as it can be told."""
    pieces = [match.span() for match in re.finditer(r"[^\W_]+", run)]
    pieces += [(i, i + 1) for i in range(len(run))]
    return next((span for span in pieces if normal(run[slice(*span)]) == token), (0, len(run)))
