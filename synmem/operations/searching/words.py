"""What a word is, and when a text holds one: the meaning of `search`, on every store alike.

A text's *normal form* is its tokens, each between two spaces: `"Été, naïve!"` is
`" ete  naive "`. A token is a run of letters and digits, without case and without diacritics.
Where a script writes no spaces (Han, kana, Hangul, Thai and its neighbours) each character is a
token of its own, so that a word inside of a run is found as the phrase that it is.

One phrase holds another where the normal form of one is part of the other's. A word that ends in
`*` stands for each that begins with it: its form has no space at its end (`pgb*`: `" pgb"`). Behind
a character that is a token of its own a `*` says nothing.

Of a message its content is searched, and then the names of tools: those that it calls, or the one
whose result it is. Between them stands what no phrase holds.
"""

import re
import unicodedata
from typing import Final

from synmem.errors import UsageError
from synmem.messages import Message, flat_call

VERSION: Final = 2
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
    folded = text.lower() if text.isascii() else _fold(text)
    tokens = folded.translate(_TOKENS).split()
    return f" {'  '.join(tokens)} " if tokens else ""


def _fold(text: str) -> str:
    """A text without case and without diacritics."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", text.translate(_DIACRITICS))


BETWEEN: Final = "|"
"""What stands in a normal form between the content and the names of tools."""


def tools_of(message: Message) -> list[str]:
    """The names of the tools that a message calls, and of the one whose result it is."""
    if not message.tool_calls and message.role != "tool":
        return []
    names = [flat_call(call).get("name") for call in message.tool_calls or ()]
    if message.role == "tool":
        names.append(message.name)
    return [name for name in names if isinstance(name, str) and name]


def normal_of(message: Message) -> str:
    """The normal form of what is searched of a message; "" where that has no token."""
    text, names = normal(message.content), tools_of(message)
    return BETWEEN.join([text, *filter(None, map(normal, names))]) if names else text


class Query:
    """What is looked for: every word, and every phrase in "quotes", must be in a text."""

    def __init__(self, text: str) -> None:
        """UsageError where there is no letter or digit in it."""
        quoted_or_word = re.findall(r'"([^"]*)"?(\*?)|([^\s"]+)', text)
        phrases = [_phrase(quoted + star or word) for quoted, star, word in quoted_or_word]
        self.phrases = tuple(dict.fromkeys(phrase for phrase in phrases if phrase))
        if not self.phrases:
            raise UsageError("nothing to search for", hint="a query has letters or digits")
        longest = [max(phrase.split(), key=len) for phrase in self.phrases]
        self._ascii = [token for token in longest if token.isascii()]
        self._all_ascii = len(self._ascii) == len(longest)

    def score(self, content: str) -> float | None:
        """How well the content fits, above 0; None where it does not."""
        return self.score_normal(normal(content)) if self._may_match(content) else None

    def score_of(self, message: Message) -> float | None:
        """How well a message fits, by its content and the names of tools."""
        if not message.tool_calls and message.role != "tool":
            return self.score(message.content)
        text = "\n".join([message.content, *tools_of(message)])
        return self.score_normal(normal_of(message)) if self._may_match(text) else None

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


def is_beginning(phrase: str) -> bool:
    """Whether the last word of a phrase stands for all that begin with it."""
    return not phrase.endswith(" ")


def _phrase(text: str) -> str:
    """The form of a word or phrase that was typed; what ends in `*` is the beginning of a word
    where there is a part of one right before it."""
    phrase, typed = normal(text), text.rstrip("*")
    if phrase and typed != text and normal(typed + "x") == phrase[:-1] + "x ":
        return phrase[:-1]
    return phrase


# --- where they stand -----------------------------------------------------------------------

_LONGEST: Final = 1_000_000  # characters that are looked at where not all is ASCII
_ASCII_TOKENS: Final = re.compile(r"[A-Za-z0-9]+", re.ASCII)
_CLUSTERS: Final = re.compile(r"[^\W_][\u0300-\u036f]*|.", re.DOTALL)

Span = tuple[int, int]


def spans(text: str, query: Query) -> dict[str, list[Span]]:
    """Where each phrase of a query stands in a text, from left to right: each token of it."""
    tokens, places = _tokens(text)
    joined = f" {'  '.join(tokens)} "
    starts, at = {}, 1
    for i, token in enumerate(tokens):
        starts[at] = i
        at += len(token) + 2
    found: dict[str, list[Span]] = {}
    for phrase in query.phrases:
        first = 0
        while (first := joined.find(phrase, first)) >= 0:
            i, count = starts[first + 1], phrase.count("  ") + 1
            found.setdefault(phrase, []).append((places[i][0], places[i + count - 1][1]))
            first += len(phrase) - 1
    return found


def _tokens(text: str) -> tuple[list[str], list[Span]]:
    """The tokens of a text, and where in it each stands, as near as it can be told."""
    if text.isascii():
        matches = list(_ASCII_TOKENS.finditer(text))
        return [match[0].lower() for match in matches], [match.span() for match in matches]
    folded, owners = _folded(text[:_LONGEST])
    tokens, places = [], []
    for match in re.finditer(r"[^ ]+", folded):
        tokens.append(match[0])
        places.append((owners[match.start()][0], owners[match.end() - 1][1]))
    return tokens, places


def _folded(text: str) -> tuple[str, list[Span]]:
    """A text in which spaces stand between tokens, and of each of its characters what it was
    made of."""
    known: dict[str, str] = {}
    pieces, owners = [], []
    for match in _CLUSTERS.finditer(text):
        piece = known.get(match[0])
        if piece is None:
            piece = known[match[0]] = _fold(match[0]).translate(_TOKENS)
        pieces.append(piece)
        owners += [match.span()] * len(piece)
    return "".join(pieces), owners
