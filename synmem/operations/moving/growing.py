"""Messages at the end of an archived conversation that were still being written when they came.

An answer is written while it comes: a line for each block, or its text anew every second. Who looks
meanwhile sees its beginning. Once it is whole it takes the place of that: nothing of it is lost.
"""

from typing import Any, Final

import msgspec

from synmem.errors import Changed
from synmem.messages import Conversation, Holds, Message, Unreadable, canonical
from synmem.operations.looking import first_messages, position_of
from synmem.operations.moving.batch import Route
from synmem.operations.proof import parted

MOST: Final = 64
"""So many messages at the end may have grown: an answer, and the results of the tools it called."""

_SHORT: Final = 64
"""So many characters of what stands beside a message may be a state or a time."""

_FIXED: Final = frozenset({"role", "metadata", "created_at", "tool_call_id", "name"})


async def grown(route: Route, source: str, target: str, same: int) -> int:
    """How many messages an archived conversation has, where of all behind the first `same` the
    source has what they have become; else 0."""
    after, seen = await position_of(route.dest, target, same)
    if seen < same:
        return 0
    theirs = [
        item
        async for page in route.dest.read([target], after=after, limit=MOST + 1)
        for item in page.items
    ]
    if not 0 < len(theirs) <= MOST:
        return 0
    ours: list[Message | Unreadable] = []
    number = 0
    async for page in route.source.read([source], limit=same + len(theirs)):
        ours += page.items[max(0, same - number) :]
        number += len(page.items)
    if len(ours) < len(theirs) or parted(theirs)[1] or parted(ours)[1]:
        return 0
    pairs = zip(ours, theirs, strict=True)
    return same + len(theirs) if all(_begins(*pair, route.holds) for pair in pairs) else 0


def _begins(our: Message | Unreadable, their: Message | Unreadable, holds: Holds) -> bool:
    """Whether theirs is ours, or its beginning: of the same moment, and all it says is in ours."""
    assert isinstance(our, Message)
    assert isinstance(their, Message)
    if canonical(our, holds) == canonical(their, holds):
        return True
    fixed = msgspec.structs.replace(holds, fields=holds.fields & _FIXED)
    return (
        "created_at" in holds.fields
        and our.created_at is not None
        and canonical(our, fixed) == canonical(their, fixed)
        and our.content.startswith(their.content)
        and _goes_on(our.tool_calls, their.tool_calls)
        and _goes_on(our.parts, their.parts)
        and ("extra" not in holds.fields or _has_all(our.extra or {}, their.extra or {}))
    )


def _goes_on(ours: list[Any] | None, theirs: list[Any] | None) -> bool:
    """Whether a list begins with another, of which the last text may have been cut."""
    if not theirs:
        return True
    if ours is None or len(ours) < len(theirs) or ours[: len(theirs) - 1] != theirs[:-1]:
        return False
    our, their = ours[len(theirs) - 1], theirs[-1]
    text, cut = our.get("text"), their.get("text")
    if isinstance(text, str) and isinstance(cut, str) and text.startswith(cut):
        return bool({**our, "text": ""} == {**their, "text": ""})
    return bool(our == their)


def _has_all(ours: Any, theirs: Any) -> bool:
    """Whether a value may be what another has become: nothing is gone of it, no number is less,
    and only a short text (a state, a time) may be another one."""
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and all(
            value is None or (key in ours and _has_all(ours[key], value))
            for key, value in theirs.items()
        )
    if isinstance(theirs, list):
        return (
            isinstance(ours, list) and len(ours) >= len(theirs) and all(map(_has_all, ours, theirs))
        )
    if isinstance(theirs, str):
        short = len(theirs) <= _SHORT
        return isinstance(ours, str) and (short or ours.startswith(theirs))
    if isinstance(theirs, bool) or theirs is None:
        return theirs is None or isinstance(ours, bool)
    return isinstance(ours, int | float) and not ours < theirs


async def complete(route: Route, source: str, target: str, count: int) -> None:
    """Let the first `count` messages give way to what they have become, in one step.

    Changed where somebody else did, or the conversation has another beginning now.
    """
    begins, _ = await position_of(route.dest, target, 1)
    upto, there = await position_of(route.dest, target, count)
    if there < count:
        raise Changed(f"conversation {target!r} changed meanwhile", hint="run again")
    messages = first_messages(route.source, source, count)
    await route.dest.replace(Conversation(target), messages, upto=upto, begins=begins)
