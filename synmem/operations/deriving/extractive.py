"""A summary without a model: the sentences that are most like all the others, in their order.

Each sentence is a node, and the likeness of two (the cosine of their words, rare words weighing
more) an edge; a walk over them rests most often at the central ones (LexRank). From these the
best are taken one by one, each less welcome the more it repeats what was taken. Greetings and
thanks have too few words, code is passed over. Deterministic; no work beyond a bound: of a huge
conversation every second message is looked at, every fourth, and so on.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from synmem.messages import Message, chunks
from synmem.operations.searching.words import normal
from synmem.strategies.summary import SUMMARY_HEAD, is_summary

_SENTENCES: Final = 4_000  # looked at, at most
_ROUND: Final = 200  # compared with each other at once
_WINNERS: Final = 30  # of a round
_LONGEST: Final = 300  # characters of a sentence in a summary
_OF_A_MESSAGE: Final = 40
_FEWEST: Final = 3  # different terms of a sentence that says something

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_MARKS = re.compile(r"^[\s>#*+\-|•]+|^\s*\d+[.)]\s+|[*_`]{2,}")
_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[^a-z\s])|(?<=[。！？])")
_ABBREVIATION = re.compile(r"\b(?:[A-Z]|Dr|Mr|Mrs|Ms|Prof|St|No|vs|etc|e\.g|i\.e|approx)\.$")
_LINE = re.compile(r"(\w+): (.+)", re.DOTALL)

_COMMON: Final = frozenset(
    normal(
        "a about after all also am an and any are as at be been but by can could d did do"
        " does don for from get go got had has have he her here him his how i if in into is it"
        " its just know let like ll m make may me more my no not now of ok okay on one or our"
        " out please re s said see she should so some sure t thank thanks that the their them"
        " then there these they this to too up us ve very want was we well were what when"
        " where which who why will with would yes you your"
    ).split()
)
"""Words that say nothing of what is talked about. Other languages are left to the weights."""


class Sentence(msgspec.Struct, frozen=True):
    """A sentence: the number of its message, its place in it, who said it, and the text."""

    number: int
    place: int
    role: str
    text: str


class Extract:
    """Takes messages in, one by one, and gives the sentences that say most."""

    def __init__(self, earlier: Sequence[Sentence] = ()) -> None:
        """`earlier`: what an extract of the messages before these has kept."""
        self._earlier = list(earlier)
        self._pool: list[list[Sentence]] = []
        self._scraps: list[Sentence] = []
        self._count = 0
        self._seen = 0
        self._stride = 1

    def add(self, number: int, message: Message) -> None:
        """The next message; it may be a summary of earlier ones."""
        self._seen += 1
        if message.role == "tool" or (self._seen - 1) % self._stride:
            return
        found = sentences(number, message)
        weighty = [each for each in found if len(set(_terms(each.text))) >= _FEWEST]
        if weighty:
            self._pool.append(weighty)
            self._count += len(weighty)
        elif len(self._scraps) < _ROUND:
            self._scraps += found[:1]
        while self._count > _SENTENCES and len(self._pool) > 1:
            self._pool = self._pool[::2]
            self._stride *= 2
            self._count = sum(map(len, self._pool))

    def candidates(self) -> list[Sentence]:
        """The best, no more than a round's winners, in their order: to go on from."""
        left = self._earlier + [each for group in self._pool for each in group]
        left = left or self._scraps  # nobody said anything of weight
        while len(left) > _ROUND:
            rounds = list(chunks(left, _ROUND))
            left = [each for some in rounds for each in best(some, _WINNERS)]
        return best(left, _WINNERS)


def summary_of(
    candidates: Sequence[Sentence], *, messages: int, max_characters: int
) -> list[Sentence]:
    """The few candidates that make a summary of so many messages, in their order."""
    count = max(3, min(15, round(1.5 * math.sqrt(messages))))
    chosen = best(candidates, count)
    while len(chosen) > 1 and sum(len(each.text) + 12 for each in chosen) > max_characters:
        chosen = best(candidates, len(chosen) - 1)
    return chosen


def sentences(number: int, message: Message) -> list[Sentence]:
    """The sentences of a message, as many as count; of a summary by those whose they were."""
    if is_summary(message):
        said = list(_summarized(message.content.removeprefix(SUMMARY_HEAD)))
    else:
        said = [(message.role, text) for text in _split(message.content)]
    said = [(role, text) for role, text in said if normal(text)]
    return [
        Sentence(number, place, role, _cut(text))
        for place, (role, text) in enumerate(said[:_OF_A_MESSAGE])
    ]


def _summarized(text: str) -> Iterable[tuple[str, str]]:
    """A summary of sentences has `Role: sentence` lines; what a model wrote is nobody's own."""
    for line in text.split("\n"):
        if found := _LINE.fullmatch(line):
            yield found[1].lower(), found[2]
        else:
            for sentence in _split(line):
                yield "summary", sentence


def _split(text: str) -> Iterable[str]:
    for line in _CODE.sub("\n", text).splitlines():
        rest = ""
        for piece in _END.split(_MARKS.sub("", line).strip()):
            rest = f"{rest} {piece}".strip()
            if not _ABBREVIATION.search(rest):
                yield rest
                rest = ""
        if rest:
            yield rest


def _cut(text: str) -> str:
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    return text[:_LONGEST].rsplit(" ", 1)[0] + "..."


def _terms(text: str) -> list[str]:
    """What two sentences are compared by: stems, and pairs of characters in Han and the like."""
    tokens = [token for token in normal(text).split() if token not in _COMMON]
    terms = [token[:6] for token in tokens if len(token) > 1]
    single = [token if len(token) == 1 and not token.isascii() else "" for token in tokens]
    return terms + [a + b for a, b in pairwise(single) if a and b]


# --- ranking --------------------------------------------------------------------------------


def best(candidates: Sequence[Sentence], count: int) -> list[Sentence]:
    """The `count` most central ones that do not repeat each other, in their order."""
    if len(candidates) <= count:
        return list(candidates)
    vectors = _vectors([_terms(each.text) for each in candidates])
    alike = _likenesses(vectors)
    scores = _centrality(alike)
    scores = [
        score * _shape(each, len(vector))
        for score, each, vector in zip(scores, candidates, vectors, strict=True)
    ]
    chosen = _different(scores, alike, count)
    return [candidates[i] for i in sorted(chosen)]


def _vectors(terms: Sequence[list[str]]) -> list[dict[str, float]]:
    """Each sentence's terms with their weights, of length 1."""
    holding = Counter(term for each in terms for term in set(each))
    vectors = []
    for each in terms:
        counts = Counter(each)
        vector = {
            term: (1 + math.log(times)) * math.log(1 + len(terms) / holding[term])
            for term, times in counts.items()
        }
        length = math.sqrt(sum(weight * weight for weight in vector.values())) or 1.0
        vectors.append({term: weight / length for term, weight in vector.items()})
    return vectors


def _likenesses(vectors: Sequence[dict[str, float]]) -> list[dict[int, float]]:
    """For each sentence the others that share a term, and how alike they are, 0 to 1."""
    holding: dict[str, list[tuple[int, float]]] = defaultdict(list)
    alike: list[dict[int, float]] = [defaultdict(float) for _ in vectors]
    for i, vector in enumerate(vectors):
        for term, weight in vector.items():
            for j, other in holding[term]:
                alike[i][j] += weight * other
                alike[j][i] += weight * other
            holding[term].append((i, weight))
    return alike


def _centrality(alike: Sequence[dict[int, float]]) -> list[float]:
    """Where a walk along the likenesses rests (PageRank, damping 0.85)."""
    count = len(alike)
    totals = [sum(each.values()) for each in alike]
    ranks = [1 / count] * count
    for _ in range(15):
        shares = [rank / total if total else 0 for rank, total in zip(ranks, totals, strict=True)]
        ranks = [
            0.15 / count + 0.85 * sum(weight * shares[j] for j, weight in each.items())
            for each in alike
        ]
    return ranks


def _shape(sentence: Sentence, terms: int) -> float:
    """How length, place and speaker speak for a sentence: neither a scrap nor a lecture.

    Questions are asked in order to be answered, figures are facts, and what the user says is
    what it is about, though others may say more.
    """
    weight = min(1.0, terms / 5) * min(1.0, 20 / max(terms, 1)) / (1 + 0.08 * sentence.place)
    if sentence.text.endswith(("?", "？")):
        weight *= 0.6
    if re.search(r"\d", sentence.text):
        weight *= 1.2
    return weight * (1.2 if sentence.role == "user" else 1.0)


def _different(scores: Sequence[float], alike: Sequence[dict[int, float]], count: int) -> list[int]:
    """The best, taken one by one; what is like one that was taken counts less."""
    chosen: list[int] = []
    repeats = [0.0] * len(scores)
    while len(chosen) < count:
        left = [i for i in range(len(scores)) if i not in chosen]
        i = max(left, key=lambda i: (scores[i] * (1 - repeats[i]), -i))
        chosen.append(i)
        for j, weight in alike[i].items():
            repeats[j] = max(repeats[j], min(1.0, 1.3 * weight))
    return chosen


def as_json(found: Sequence[Sentence]) -> list[dict[str, Any]]:
    """Sentences as they are remembered in a note."""
    return [msgspec.to_builtins(each) for each in found]


def from_json(data: object) -> list[Sentence]:
    """What `as_json` gave; nothing where it is something else."""
    try:
        return msgspec.convert(data, list[Sentence])
    except msgspec.ValidationError:
        return []
