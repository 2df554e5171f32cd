"""The keys: at the foot of the screen every one that does something here, and what help says."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text
from textual.events import Resize
from textual.widgets import Static

from synmem.cli.screen.columns import cells

Keys = Sequence[tuple[str, str]]

_USUAL: Final = 80

IN_LIST: Final[Keys] = (
    ("↑↓", "move"), ("enter", "read"), ("f", "filter"), ("/", "search"), ("s", "stores"),
    ("e", "export"), ("c", "copy"), ("d", "delete"), ("u", "undo"), ("r", "reload"),
    ("?", "help"), ("q", "quit"),
)  # fmt: skip
IN_MESSAGES: Final[Keys] = (
    ("↑↓", "move"), ("enter", "fold"), ("a", "fold all"), ("c", "copy"), ("/", "search"),
    ("s", "stores"), ("e", "export"), ("d", "delete"), ("u", "undo"), ("r", "reload"),
    ("esc", "back"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
IN_FILTER: Final[Keys] = (
    ("type", "words of ids and titles"), ("↑↓", "move"), ("enter", "keep"), ("esc", "no filter"),
)  # fmt: skip

HELP: Final[Keys] = (
    ("↑ ↓ j k", "the next; through a long message"),
    ("PgUp PgDn", "a page; Home End g G: the ends"),
    ("enter", "read; in the messages: unfold, fold"),
    ("tab esc", "to the other pane, and back"),
    ("a", "unfold all messages, or fold them"),
    ("f", "filter by words of ids and titles"),
    ("/", "search the words of all messages"),
    ("s", "another store, or all that are here"),
    ("e", "export the conversation to a file"),
    ("c", "copy the message, or conversation"),
    ("d", "delete it, after a backup"),
    ("u", "undo what was deleted last"),
    ("r", "read the list anew"),
    ("q ctrl+c", "quit"),
)


class Footer(Static):
    """Keys and what they do, on as many lines as that takes."""

    def __init__(self, keys: Keys = (), *, id: str | None = None) -> None:
        super().__init__(id=id, classes="keys")
        self._keys = keys

    def show(self, keys: Keys) -> None:
        """These keys from now on."""
        self._keys = keys
        self.update(_text(keys, self.size.width or _USUAL))

    def on_mount(self) -> None:
        """See `on_resize`."""
        self.show(self._keys)

    def on_resize(self, event: Resize) -> None:
        """No key is parted from what it does. A height that changes while a layout goes on is not
        seen by it: what lacks a line is laid out once more."""
        self.show(self._keys)
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        text = _text(self._keys, self.size.width or _USUAL)
        if len(text.plain.splitlines()) != self.size.height:
            self.update(text)


def _text(keys: Keys, width: int) -> Text:
    text, taken = Text(), 0
    for key, what in keys:
        needed = cells(f"{key} {what}")
        if taken:
            fits = taken + 2 + needed <= width
            text.append("  " if fits else "\n")
            taken = taken + 2 if fits else 0
        text.append(key, "bold").append(f" {what}", "dim")
        taken += needed
    return text
