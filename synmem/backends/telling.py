"""What the records of whole conversations tell: as a layout has them, as a listing shows them, and
where in them a message stands."""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from synmem.layouts.lazy import Lazy, Said
from synmem.layouts.shapes import MALFORMED, Record, Told
from synmem.messages import STRAY, Damage, Message, Unreadable, ascii_json, canonical, refusal
from synmem.store import ConversationInfo, Position

_ANCHOR: Final = 16
"""So many messages, up to the one that is meant, are in a position's fingerprint."""

MOST_STRAYS: Final = 1000
"""So many kinds of what belongs to no conversation are named."""


def stray(what: Any, why: Any, count: int) -> Damage:
    """Records that no conversation has, as a plan's query tells them."""
    return Damage(STRAY, str(what), f"{why} ({count:,} such)")


Records = Mapping[str, Mapping[str, Sequence[Record]]]
"""What the queries of a plan gave: by query, and then by conversation."""


def by_conversation(rows: Iterable[Sequence[Any]]) -> dict[str, list[Record]]:
    """The rows of a query of a plan, less their first column, which says the conversation."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for id_, *record in rows:
        found[id_].append(record)
    return found


def told_of(
    ids: Sequence[str],
    records: Records,
    unfold: Callable[[str, Mapping[str, Sequence[Record]]], Told],
) -> dict[str, Told]:
    """What these conversations say. One of which no query has a row is not there."""
    found: dict[str, Told] = {}
    for id_ in [id_ for id_ in ids if any(id_ in of_ids for of_ids in records.values())]:
        theirs = {name: of_ids.get(id_, []) for name, of_ids in records.items()}
        found[id_] = told_by(partial(unfold, id_, theirs))
    return found


def told_by(unfold: Callable[[], Told]) -> Told:
    """What an `unfold` of a layout gives; one `Unreadable` where nothing can be read."""
    try:
        return unfold()
    except MALFORMED as error:
        return Told(messages=[Unreadable("conversation", f"the conversation: {error}")])


def readable(told: Told) -> Told:
    """The same, in which what no message can be is unreadable; other branches as they are."""
    return msgspec.structs.replace(told, messages=_Readable(told.messages))


class _Readable(Lazy):
    """What is said, each made and looked at when it is asked for."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._said = said

    def __len__(self) -> int:
        return len(self._said)

    def made(self, at: int) -> Said:
        """See `Lazy.made`."""
        return _checked(at, self._said[at])

    def __iter__(self) -> Iterator[Said]:
        return itertools.starmap(_checked, enumerate(self._said))


def _checked(index: int, each: Said) -> Said:
    if isinstance(each, Message) and (why := refusal(each)):
        return Unreadable(f"message {index}", f"message {index}: {why}")
    return each


def position_at(said: Sequence[Said], index: int) -> Position:
    """Where the message of that index stands in a conversation that says this."""
    return ascii_json([index, _fingerprint(said, index)])


def index_at(said: Sequence[Said], position: Position) -> int | None:
    """At which index the message of a position stands now; None where it does not, or may be any
    of several. ValueError where it is none of ours."""
    try:
        index, print_ = msgspec.json.decode(position, type=tuple[int, str])
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a position of this store: {position!r}") from error
    if 0 <= index < len(said) and _fingerprint(said, index) == print_:
        return index
    found = [at for at in range(len(said)) if _fingerprint(said, at) == print_]
    return found[0] if len(found) == 1 else None


def print_of(said: Sequence[Said], position: Position) -> str:
    """Of the messages up to and with a position; where that is not there any more, another than
    it was."""
    index = index_at(said, position)
    return "gone" if index is None else _digest(said[: index + 1])


def _fingerprint(said: Sequence[Said], index: int) -> str:
    """Of the message at an index, and of those just before it."""
    return _digest(said[max(0, index + 1 - _ANCHOR) : index + 1])


def _digest(said: Sequence[Said]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for each in said:
        if isinstance(each, Message):
            digest.update(canonical(each))
        else:
            digest.update(ascii_json([each.position, each.reason, each.text]).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def info_of(id_: str, said: Sequence[Said], told: Told) -> ConversationInfo:
    """What a listing shows of a conversation, or of a branch of it, where this is said."""
    first, last = (
        each.created_at if isinstance(each, Message) else None
        for each in (_checked(0, said[0]), _checked(len(said) - 1, said[-1]))
    )
    return ConversationInfo(
        id=id_,
        messages=len(said),
        first_at=first,
        last_at=last,
        title=told.title or None,
        extra=told.extra or None,
    )
