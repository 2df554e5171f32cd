"""Counts and spans of time, as a person reads them."""

from collections.abc import Iterable
from datetime import datetime


def count(number: int, noun: str) -> str:
    """`1 message`, `1,204 messages`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def size(number: int) -> str:
    """`512 B`, `1.5 MB`: a number of bytes."""
    amount, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.5 else f"{amount:.1f} {unit}"


def span(firsts: Iterable[datetime | None], lasts: Iterable[datetime | None]) -> str:
    """`2026-01-03 to 2026-02-28`, of the times that are known; empty where none is."""
    from synmem.cli.times import shown

    # The first message of a conversation need not be the oldest: times are what was given.
    times = [time for time in (*firsts, *lasts) if time is not None]
    if not times:
        return ""
    first, last = shown(min(times))[:10], shown(max(times))[:10]
    return first if first == last else f"{first} to {last}"


def place(name: str) -> str:
    """A store as a line of progress calls it: a URL or a profile's name whole, of a path the last
    part."""
    return name if "://" in name else name.rstrip("/").rpartition("/")[2] or name
