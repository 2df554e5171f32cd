"""The commands' names: where each is, what else it is called, and where a store may stand first."""

from typing import Final

COMMANDS: Final = {
    "add": "add",
    "show": "show",
    "cat": "show",
    "list-conversations": "list_conversations",
    "ls": "list_conversations",
    "list": "list_conversations",
    "clear": "clear",
    "undo": "undo",
    "summarize": "summarize",
    "export": "export",
    "import": "import_",
    "migrate": "migrate",
    "check": "check",
    "context": "context",
    "search": "search",
    "entities": "entities",
    "stats": "stats",
    "discover": "discover",
    "browse": "browse",
    "profile": "profile",
    "help": "help_",
}
"""Command -> its module in this package: which holds a function of that module's name, or `app`
where it is a group."""

ALIASES: Final = {"cat": "show", "list": "ls", "list-conversations": "ls"}
"""Another name of a command -> the one that help lists."""

STORE_ALONE: Final = frozenset({"ls", "stats", "discover", "browse"})
"""Where the one argument is a store, instead of `-p`; of `discover` a folder is one to look in."""

STORE_FIRST: Final = frozenset({"show", "search", "context"})
"""Where of two arguments the first is a store, instead of `-p`."""

SHORT_IDS: Final = frozenset({"show", "search", "context"})
"""Where an unambiguous beginning of an id is enough for a person: what writes takes ids whole."""

LINE: Final = "synmem.line"
"""Where the context of a command keeps what was typed behind it."""


def main_name(command: str) -> str:
    """What help calls it: `ls` for each of its names."""
    return ALIASES.get(command, command)
