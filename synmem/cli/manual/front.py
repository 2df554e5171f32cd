"""The first page: the commands in groups, exit codes, and where to read on."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from synmem.cli.commands import ALIASES
from synmem.cli.manual.blocks import Block, Heading, Terms, Text, Usage
from synmem.cli.manual.of_commands import summary

GROUPS: Final = {
    "Look": ("show", "ls", "search", "browse", "stats", "discover"),
    "Move": ("export", "import", "migrate", "check"),
    "Keep": ("add", "clear", "undo"),
    "Models": ("context", "summarize", "entities"),
    "Set up": ("profile", "help"),
}
"""What people want to do -> the commands for it; one that is not there is left out."""

_ALONE: Final = ("-V", "--show-completion")


def page(commands: Any, topics: Iterable[str], options: Sequence[tuple[str, str]]) -> list[Block]:
    """What `synmem` alone says."""
    blocks: list[Block] = [
        Usage(["synmem COMMAND [ARGUMENTS] [OPTIONS]", "synmem STORE"]),
        Text("Look into LLM chat histories, move them, and prove that nothing was lost."),
        Text(
            "A STORE is a file (chat.db, ./chat), a URL, a profile or a known place (claude-code, "
            "llm). It stands behind -p; in show, ls, search, browse, stats and context it may "
            "stand first: synmem ls chat.db, synmem show chat.db user-1. Alone it is listed."
        ),
    ]
    for group, names in GROUPS.items():
        rows = [(_named(name), summary(commands[name])) for name in names if name in commands]
        blocks += [Heading(group), Terms(rows)]
    return [
        *blocks,
        Heading("Options, in front of the command or behind it"),
        Terms([row for row in options if not row[0].startswith(_ALONE)]),
        Heading("Instead of a command"),
        Terms([row for row in options if row[0].startswith(_ALONE)]),
        Heading("Which setting counts"),
        Text(
            "The first that says it: the option or URL, SYNMEM_PROFILE_<NAME>_<KEY>, config.toml, "
            "the default. For the LLM: the option, SYNMEM_LLM_<KEY>, [llm] of config.toml, the "
            "default."
        ),
        Heading("Exit codes"),
        Text(
            "0 done, 1 failed, 2 usage, 3 not found, 4 try later, 5 access denied, 6 partly done, "
            "7 differences found, 8 refused"
        ),
        Heading("Read on"),
        Text("synmem help COMMAND, or one of these pages: synmem help TOPIC"),
        Text(", ".join(topics)),
    ]


def _named(name: str) -> str:
    """A command with its short aliases."""
    others = [alias for alias, of in ALIASES.items() if of == name and "-" not in alias]
    return ", ".join([name, *others])
