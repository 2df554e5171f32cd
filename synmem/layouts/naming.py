"""How a person is told whose conversations lie somewhere, and what names those that are meant."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable
from urllib.parse import quote

from synmem.errors import UnknownLayout, Unnamed


class Other(NamedTuple):
    """What is there, and is not what was asked for."""

    layout: str
    place: str
    way: str
    """What chooses it, behind the path or URL."""


@runtime_checkable
class MustBeNamed(Protocol):
    """A store of another framework's: where it is written, its layout must be named."""

    def unnamed(self) -> Unnamed:
        """What opening it to be written raises where that is not named; no I/O."""


def whose(layout: str, version: str, place: str) -> str:
    """Whose conversations these are, and where they lie."""
    return f"layout {layout}{f' ({version})' if version else ''}, {place}"


def way(**keys: str) -> str:
    """What chooses one of several, behind the path or URL: keys that a profile has too."""
    return "?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in keys.items())


def to_be_named(where: str, what: str, layout: str, beside: str = "") -> Unnamed:
    """What is said where something is another framework's, and to be written. `beside`: what makes
    a place of our own there."""
    hint = f"--layout {layout}; of `migrate`'s destination --to-layout {layout}; or `layout` in "
    return Unnamed(
        f"{where}: {what} {layout}'s: to be written, it must be named",
        hint=hint + "its profile" + (f"; {beside}" if beside else ""),
    )


def to_be_chosen(where: str, why: str, ways: Iterable[str]) -> Unnamed:
    """What is said where several could be meant."""
    return Unnamed(f"{where}: {why}", hint=_choose(ways))


def _choose(ways: Iterable[str]) -> str:
    choices = " or ".join(ways)
    return f"choose one: {choices} behind the path or URL, in quotes, or as keys of a profile"


def not_there(what: str, others: Sequence[Other], like: str, hint: str | None) -> UnknownLayout:
    """What is said where nothing is of a known layout, or of the one that was named: what the rest
    looks like, and what is there of others; the hint is what chooses them, or else this one."""
    whose = "".join(f"; {each.place} is {each.layout}'s" for each in others)
    ways = _choose(each.way for each in others)
    return UnknownLayout(f"{what}{like}{whose}", hint=ways if others else hint)
