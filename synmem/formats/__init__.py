"""Formats: what `export` writes. A writer is given conversations and pages, and gives bytes."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, Protocol, cast, runtime_checkable

from synmem.errors import UsageError
from synmem.formats.losses import Losses
from synmem.messages import Conversation, Message
from synmem.store import ConversationInfo

FORMATS: Final = {
    "jsonl": "jsonl",
    "json": "json_array",
    "markdown": "markdown",
    "html": "html.writer",
    "csv": "csv_table",
    "openai": "openai",
    "anthropic": "anthropic",
    "sharegpt": "sharegpt",
    "parquet": "parquet",
}
"""Name to module; the module's `Writer` is made by `open_writer`."""

LOSSY: Final = frozenset({"openai", "anthropic", "sharegpt"})
"""Those of others, which have no place for much of what ours have: their writers tell `Losses`. An
object there is a conversation, which is in one file."""

BINARY: Final = frozenset({"parquet"})
"""Those that no terminal shows, and of which no file is cut into parts."""

_OPTIONS: Final = {"seal": "jsonl", "raw": "csv", "whose": "jsonl"}


class Writer(Protocol):
    """Writes conversations one after another: `begin`, then each, whole, then `end`.

    What the methods return, joined, is the file. A conversation comes once, followed by its
    messages in pages; memory does not grow with either.
    """

    def begin(self) -> bytes:
        """What stands before the first conversation."""
        ...

    def conversation(self, conversation: Conversation) -> bytes:
        """Begin a conversation; the one before is finished."""
        ...

    def messages(self, messages: Sequence[Message]) -> bytes:
        """The next messages of the conversation that was begun last."""
        ...

    def end(self) -> bytes:
        """What stands behind the last conversation."""
        ...


@runtime_checkable
class TakesLines(Protocol):
    """A writer whose file is made of interchange lines, and takes them as they are."""

    def lines(self, conversations: int, messages: int, lines: bytes) -> bytes:
        """So many whole conversations without title and extra, whose lines were made already;
        with none, those of the conversation that was begun last."""
        ...


@runtime_checkable
class TakesPart(Protocol):
    """A writer whose file may say which part of an export it is."""

    def part(self, name: str, number: int) -> None:
        """Before `begin`: the export is called `name`, and this is its part `number`, from 1."""
        ...

    def beginning(self, number: int, of: int) -> bytes:
        """What part `number` of so many begins with, in the place of as many bytes that it had
        from `begin`; empty where it does not say."""
        ...


@runtime_checkable
class TakesListing(Protocol):
    """A writer that says of a conversation what is known before its messages are read."""

    def listed(self, info: ConversationInfo, *, alone: bool) -> None:
        """Before `conversation`: what the listing says of it, as of then, and whether no other
        conversation stands in the file."""
        ...


@runtime_checkable
class TakesNumbers(Protocol):
    """A writer that says which message of its conversation each is."""

    def number(self, number: int) -> None:
        """Before `messages`: the first of them is the conversation's `number`-th, from 1. What was
        passed over cannot be read, or stands in an earlier part."""
        ...


@runtime_checkable
class Uncut(Protocol):
    """A writer whose file is one conversation behind another, each whole, and nothing else: all of
    one is there when the next one is begun, or at the end."""

    is_uncut: bool


def open_writer(
    name: str,
    *,
    seal: bool = False,
    raw: bool = False,
    whose: str = "",
    losses: Losses | None = None,
) -> Writer:
    """A writer of this format; UsageError where there is none, or it has no such option.

    `seal` lets a JSON Lines file prove that it is whole; `raw` leaves out the CSV guard; `whose`
    is a mark that a sealed file has (`sealed.mark_of`); `losses` is told what has no place in one
    of the `LOSSY` formats.
    """
    if name not in FORMATS:
        raise UsageError(
            f"no format is called {name!r}", hint=f"the formats are {', '.join(FORMATS)}"
        )
    options = {"seal": seal, "raw": raw, "whose": whose}
    for option, owner in _OPTIONS.items():
        if options[option] and name != owner:
            flag = "--csv-raw" if option == "raw" else f"--{option}"
            raise UsageError(f"{flag} goes with the format {owner}, not {name}")
    own: dict[str, Any] = {option: value for option, value in options.items() if value}
    if name in LOSSY:
        own["losses"] = Losses() if losses is None else losses
    return cast(Writer, import_module(f"synmem.formats.{FORMATS[name]}").Writer(**own))
