"""Counts and spans of time, as a person reads them."""

from collections.abc import Iterable
from datetime import datetime


def count(number: int, noun: str) -> str:
    """`1 message`, `1,204 messages`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def span(firsts: Iterable[datetime | None], lasts: Iterable[datetime | None]) -> str:
    """`2026-01-03 to 2026-02-28`, of the times that are known; empty where none is."""
    from synmem.cli.times import shown

    # The first message of a conversation need not be the oldest: times are what was given.
    times = [time for time in (*firsts, *lasts) if time is not None]
    if not times:
        return ""
    first, last = shown(min(times))[:10], shown(max(times))[:10]
    return first if first == last else f"{first} to {last}"
