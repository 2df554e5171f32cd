"""Counts, times, and what a listing knows of a conversation, in words."""

from collections.abc import Callable
from datetime import datetime

from synmem.store import ConversationInfo


def count(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def time(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return moment.isoformat(sep=" ", timespec="seconds")[:19] + " UTC"


def facts(info: ConversationInfo, time: Callable[[datetime], str] = time) -> list[str]:
    """How many messages, from when to when; `time` writes a time."""
    found = [] if info.messages is None else [count(info.messages, "message")]
    if info.first_at is not None:
        found.append(time(info.first_at))
        if info.last_at is not None and info.last_at != info.first_at:
            found[-1] += f" to {time(info.last_at)}"
    return found
