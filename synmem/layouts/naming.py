"""How a person is told whose conversations lie somewhere, and what names those that are meant."""

from collections.abc import Iterable
from urllib.parse import quote

from synmem.errors import Unnamed


def whose(layout: str, version: str, place: str) -> str:
    """Whose conversations these are, and where they lie."""
    return f"layout {layout}{f' ({version})' if version else ''}, {place}"


def way(**keys: str) -> str:
    """What chooses one of several, behind the path or URL: keys that a profile has too."""
    return "?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in keys.items())


def to_be_named(where: str, what: str, layout: str, beside: str = "") -> Unnamed:
    """What is said where something is another framework's, and to be written. `beside`: what makes
    a place of our own there."""
    hint = f"with --layout {layout} (of the destination of `migrate`: --to-layout), or `layout` in "
    return Unnamed(
        f"{where}: {what} {layout}'s: to be written, it must be named",
        hint=hint + "the profile" + (f"; {beside}" if beside else ""),
    )


def to_be_chosen(where: str, why: str, ways: Iterable[str]) -> Unnamed:
    """What is said where several could be meant."""
    choices = " or ".join(ways)
    return Unnamed(
        f"{where}: {why}",
        hint=f"choose one: {choices} behind the path or URL, in quotes, or as keys of a profile",
    )
