"""The footer: every key that does something here."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text
from textual.widgets import Static

Keys = Sequence[tuple[str, str]]

IN_LIST: Final[Keys] = (
    ("↑↓", "move"), ("enter", "read"), ("f", "filter"), ("/", "search"), ("s", "stores"),
    ("e", "export"), ("c", "copy"), ("d", "delete"), ("u", "undo"), ("r", "reload"),
    ("tab", "messages"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
IN_MESSAGES: Final[Keys] = (
    ("↑↓", "move"), ("enter", "fold"), ("a", "fold all"), ("c", "copy"), ("/", "search"),
    ("s", "stores"), ("e", "export"), ("d", "delete"), ("u", "undo"), ("r", "reload"),
    ("esc", "back"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
IN_FILTER: Final[Keys] = (
    ("type", "words of ids and titles"), ("↑↓", "move"), ("enter", "keep"), ("esc", "no filter"),
)  # fmt: skip


class Footer(Static):
    """Keys and what they do, on as many lines as that takes."""

    def show(self, keys: Keys) -> None:
        """These keys from now on."""
        text = Text()
        for key, what in keys:
            text.append(f"{key}\xa0", "bold")
            text.append(what.replace(" ", "\xa0"), "dim")
            text.append("  ")
        text.rstrip()
        self.update(text)
