"""A conversation's head in MongoDB: which of its documents are its messages."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from synmem.messages import JSONObject
from synmem.store import REMEMBERED_DAYS

REGION: Final = 2**32
"""So many numbers are set aside for the messages of one `replace`."""

STALE: Final = timedelta(hours=1)
"""So long what another writer began is left alone, and a deleted conversation's head stays."""

REMEMBERED: Final = timedelta(days=REMEMBERED_DAYS)
"""So long it stays where it remembers steps."""

_VERSIONS: Final = 8
_INT64: Final = 2**63

Span = tuple[int, int]


class Head(msgspec.Struct, frozen=True):
    """Where a conversation begins, and the spans of numbers that are passed over.

    Without a head (`version` is None) it begins at 1. Whoever changes what is visible does so in
    one conditional write, which gives the head a new version. `low` is the lowest number that was
    ever set aside; `claimed` says when somebody last set numbers aside to write below the front,
    `gone` when the conversation was emptied; `recent` are the last versions, so that a writer
    whose answer was lost finds its own; `steps` are tokens of writes that were done, with `-`
    before those that were called off. Of one that cannot be read `unreadable` says why, and it
    shows nothing: who knows what is hidden?
    """

    version: str | None = None
    begins: int = 1
    low: int = 1
    skips: tuple[Span, ...] = ()
    gone: datetime | None = None
    claimed: datetime | None = None
    recent: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    unreadable: str | None = None

    @property
    def floor(self) -> int:
        """A new number is above this one, and above that of the last message."""
        return max([self.begins - 1, *(to for _, to in self.skips)])

    @property
    def is_claimed(self) -> bool:
        """Whether somebody may be writing hidden documents right now."""
        return self.claimed is not None and datetime.now(UTC) - self.claimed < STALE

    def shows(self, number: float) -> bool:
        """Whether a document of this number is one of its messages."""
        if self.unreadable is not None:
            return False
        return number >= self.begins and not any(low <= number <= to for low, to in self.skips)

    def where(self, first: float | None = None, last: float | None = None) -> JSONObject:
        """The filter for its messages, from number `first` to `last`."""
        if self.unreadable is not None:
            return {"n": {"$in": []}}
        bounds = [_between(*each) for each in self._visible(first, last)]
        if not bounds:
            return {"n": {"$in": []}}
        if len(bounds) == 1:
            return {"n": bounds[0]}
        # An index does not go by `$or`: without a bound around all, every number would be read.
        whole = {**bounds[-1], "$gte": bounds[0]["$gte"]}
        return {"n": whole, "$or": [{"n": bound} for bound in bounds]}

    def _visible(self, first: float | None, last: float | None) -> list[tuple[float, float | None]]:
        at = self.begins if first is None else max(self.begins, first)
        found: list[tuple[float, float | None]] = []
        for low, to in self.skips:
            if to >= at:
                found.append((at, low - 1))
                at = to + 1
        found.append((at, None))
        if last is not None:
            found = [(low, last if to is None else min(to, last)) for low, to in found]
        return [(low, to) for low, to in found if to is None or low <= to]

    def cut(self, number: float) -> "Head":
        """As it is when its front, up to and with this number, is gone."""
        begins = math.floor(number) + 1
        left = []
        for low, to in self.skips:
            if low <= begins <= to:
                begins = to + 1
            elif low > begins:
                left.append((low, to))
        return msgspec.structs.replace(self, begins=begins, skips=tuple(left))

    def fronted(self, first: int, count: int) -> "Head":
        """As it is with `count` messages, from number `first` on, before all others."""
        skips = ((first + count, self.begins - 1), *self.skips)
        return msgspec.structs.replace(self, begins=first, skips=skips)

    def stored(self, version: str) -> JSONObject:
        """The keys and values of its document, under a new version; steps are only added."""
        return {
            "version": version,
            "begins": self.begins,
            "low": self.low,
            "skips": [{"from": low, "to": to} for low, to in self.skips],
            "gone": self.gone,
            "claimed": self.claimed,
            "recent": [*self.recent, version][-_VERSIONS:],
        }


def head_of(document: JSONObject | None) -> Head:
    """The head in a document of `_meta`; one that is `unreadable` where it cannot be read."""
    if document is None or document.get("version") is None:
        return Head()
    version = document["version"]
    try:
        if type(version) is not str:
            raise ValueError(f"version is {version!r:.80}, not text")
        return Head(
            version=version,
            begins=_whole(document, "begins"),
            low=_whole(document, "low"),
            skips=tuple(
                (_whole(span, "from"), _whole(span, "to")) for span in _array(document, "skips")
            ),
            gone=_time(document, "gone"),
            claimed=_time(document, "claimed"),
            recent=tuple(map(str, _array(document, "recent"))),
            steps=steps_of(document, strict=True),
        )
    except ValueError as error:
        why = f"its head, which says where it begins, cannot be read: {error}"
        return Head(version=str(version), unreadable=why)


def steps_of(document: JSONObject, *, strict: bool = False) -> tuple[str, ...]:
    """The tokens in a document of `_meta`; those that were called off have `-` before them.
    `strict`: ValueError where they are no array; else there are none then."""
    if document.get("steps") is None:
        return ()
    if not strict and not isinstance(document["steps"], list):
        return ()
    return tuple(map(str, _array(document, "steps")))


def _whole(document: Any, key: str) -> int:
    value = document.get(key) if isinstance(document, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise ValueError(f"{key} is {value!r:.80}, not an integer of 64 bits")
    return int(value)


def _array(document: JSONObject, key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key} is {value!r:.80}, not an array")
    return value


def _time(document: JSONObject, key: str) -> datetime | None:
    value = document.get(key)
    try:
        # As the driver gives it: milliseconds since 1970.
        return None if value is None else datetime.fromtimestamp(int(value) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise ValueError(f"{key} is {value!r:.80}, not a date") from None


def _between(low: float, to: float | None) -> dict[str, float]:
    return {"$gte": low} if to is None else {"$gte": low, "$lte": to}
