"""Where a new message stands among rows that are ordered by their times."""

from typing import Any


def between(own: Any, now: Any, before: Any, behind: Any) -> Any:
    """The time of a message between rows of these times (None: no row there): its own, or else now,
    or what is nearest to that there. ValueError where its own does not fit, or the next row would
    come before it."""
    if own is None:
        at = now if behind is None else min(now, behind)
        return at if before is None else max(before, at)
    if before is not None and own < before:
        raise ValueError(f"by its time, it was said before the message in front of it ({before})")
    if behind is not None and own > behind:
        raise ValueError(f"by its time, it was said after the message behind it ({behind})")
    if own > now:
        raise ValueError("it is of a time to come: what is said next would stand in front of it")
    return own
