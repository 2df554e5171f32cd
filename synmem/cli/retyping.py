"""The command lines that hints name: with the store that was typed, so that they can be pasted."""

import re
import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

from synmem.cli.commands import COMMANDS, STORE_ALONE, STORE_FIRST, main_name
from synmem.cli.render import visible_line
from synmem.masking import mask

_OF_NO_STORE: Final = frozenset({"check", "discover", "help", "import", "migrate", "profile"})
"""Commands that do not work on the one store of `-p`, or not on it alone."""
_BRANCHES: Final = frozenset({
    "context", "entities", "export", "ls", "search", "show", "stats", "summarize",
})  # fmt: skip
_WRITER: Final = "`synmem export`"
"""Which wrote a file, or would write one: not the next command."""
_NAMED: Final = re.compile(r"`synmem ([a-z-]+)((?: [^`]*)?)`")


class TypedStore(NamedTuple):
    """The store that was typed, if one was, and how it is to be read."""

    target: str | None
    layout: str | None = None
    branches: bool = False


def line(store: TypedStore, command: str, *words: str) -> str:
    """`synmem show chat.db user-1`, or `synmem clear -p chat.db user-1`: as it is typed in a shell,
    secrets masked; without a store where none was typed."""
    return " ".join(["synmem", command, *map(_quoted, _with_store(store, command, words))])


def _quoted(word: str) -> str:
    """A word as a shell takes it; what is not seen of it as bash, zsh and ksh take that: what is
    shown in its place would be another word."""
    if visible_line(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if visible_line(character) == character:
        return character
    return f"\\U{ord(character):08x}"


def with_stores(store: TypedStore, text: str) -> str:
    """A hint in which each command that works on one store names the one that was typed."""
    target = store.target
    if target is None:
        return text

    def retyped(found: re.Match[str]) -> str:
        command, words = found[1], _words(found[2])
        if command not in COMMANDS or main_name(command) in _OF_NO_STORE or "-p" in words:
            return found[0]
        if mask(target) in words or found[0] == _WRITER:
            return found[0]
        return f"`{line(store, command, *words)}`"

    return _NAMED.sub(retyped, text)


def _words(text: str) -> list[str]:
    """The words as a shell takes them; as they stand where that is no line of a shell."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _with_store(store: TypedStore, command: str, words: Sequence[str]) -> list[str]:
    name = main_name(command)
    if store.target is None or name in _OF_NO_STORE - {"import", "discover"}:
        return [*words]
    has_argument = bool(words) and not words[0].startswith("-")
    first = name in STORE_ALONE or (name in STORE_FIRST and has_argument)
    named = mask(store.target)
    return [*([] if first else ["-p"]), named, *words, *_how_it_is_read(store, name)]


def _how_it_is_read(store: TypedStore, name: str) -> list[str]:
    layout = ["--layout", store.layout] if store.layout and name != "discover" else []
    return layout + (["--branches"] if store.branches and name in _BRANCHES else [])
