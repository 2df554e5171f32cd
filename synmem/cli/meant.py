"""What the first word of a line means, where it is no command: a store, or a slip of the pen.

Nothing that was not asked for is ever run: a verb of another program's is answered with ours.
"""

import os
import shlex
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Final

from synmem.cli.commands import COMMANDS, STORE_ALONE, STORE_FIRST, main_name
from synmem.errors import SynmemError, UsageError

_VERBS: Final = {
    "browse": ("tui", "ui"),
    "add": ("append", "create", "insert", "new", "put", "say", "write"),
    "check": ("cmp", "compare", "diff", "fsck", "verify"),
    "clear": ("del", "delete", "drop", "erase", "prune", "purge", "remove", "rm", "trim"),
    "discover": ("detect", "locate"),
    "export": ("backup", "convert", "dump", "save"),
    "import": ("load", "restore"),
    "ls": ("conversations", "dir", "open"),
    "migrate": ("clone", "copy", "cp", "move", "mv", "rsync", "sync", "transfer"),
    "profile": ("config", "profiles"),
    "search": ("ag", "find", "grep", "query", "rg"),
    "show": ("get", "head", "less", "log", "print", "read", "tail", "view"),
    "stats": ("count", "du", "info", "stat", "wc"),
    "summarize": ("summarise", "summary"),
    "undo": ("rollback", "undelete"),
}
"""Our command -> what other programs call it."""

_ADDED: Final = {
    "head": ("--first", "10"), "tail": ("--last", "10"), "move": ("--move",), "mv": ("--move",),
}  # fmt: skip
"""What a verb says beyond ours."""

_LACKING: Final = {
    "add": "CONVERSATION TEXT", "check": "SOURCE DEST", "clear": "CONVERSATION", "import": "FILE",
    "migrate": "SOURCE DEST", "search": "WORDS", "show": "CONVERSATION", "profile": "list",
    "summarize": "CONVERSATION",
}  # fmt: skip
"""What stands behind a command that is named without its arguments."""

_OF_ONE: Final = STORE_FIRST | {"clear", "summarize"}
"""Commands that take a conversation, or words, and no file: one that stands last is the store."""


def meant(words: Sequence[str], group: Any, config: Path | None) -> list[str]:
    """The line as it is meant, of which the first word is no command: that of `ls`, where it is a
    store. UsageError, with what should have been typed, where it is none. `config`: the
    configuration, where it was named in front."""
    first, *rest = words
    command = next((word for word in rest[:1] if word in COMMANDS), None)
    if not is_store(first, config or _config(rest)):
        raise _unknown(first, rest, group)
    if command is not None:
        hint = _line(command, [first, *rest[1:]], group)
        raise UsageError(f"the command stands first, not {_shown(first)}", hint=hint)
    return ["ls", *words]


def is_store(word: str, config: Path | None) -> bool:
    """Whether it stands for a store: a URL or path, or the name of a profile or a known place."""
    from synmem import places
    from synmem.profiles import is_address, load, names

    if word.startswith("-"):
        return False
    if is_address(word) or word in places.PLACES:
        return True
    try:
        return word in names(load(config))
    except SynmemError:
        return False  # whoever reads the configuration will say what is wrong with it


def _config(words: Sequence[str]) -> Path | None:
    for word, after in zip_longest(words, words[1:]):
        if word == "--config" and after:
            return Path(after)
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
    from_environment = os.environ.get("SYNMEM_CONFIG")
    return Path(from_environment) if from_environment else None


def _unknown(first: str, rest: Sequence[str], group: Any) -> UsageError:
    from synmem.addresses import status

    ours = next((name for name, others in _VERBS.items() if first in others), None)
    what = f"there is no command {_shown(first)}"
    if first == "version":
        return UsageError(what, hint="`synmem --version`")
    if ours is not None:
        return UsageError(what, hint=_line(ours, rest, group, _ADDED.get(first, ())))
    if first and not first.startswith("-") and (there := status(Path(first))) is not None:
        kind = "folder" if S_ISDIR(there.st_mode) else "file"
        line = _line("ls", [f"./{first}", *rest], group)
        return UsageError(what, hint=f"a {kind} of that name: {line}")
    if near := _nearest(first):
        return UsageError(what, hint=f"did you mean {' or '.join(near)}?")
    return UsageError(what, hint="`synmem --help` lists them")


def _nearest(word: str) -> list[str]:
    import difflib

    return difflib.get_close_matches(word.lower(), COMMANDS, n=3)


def _line(command: str, words: Sequence[str], group: Any, added: Sequence[str] = ()) -> str:
    """The command line that was meant: with what was typed in its place, where all of it is known;
    else with the names of what the command takes. `added` stands at its end."""
    takes_words = any(not word.startswith("-") for word in words)
    if takes_words and set(_options(words)) <= _known_options(command, group):
        typed = [*map(_shown, _placed(command, words))]
    else:
        typed = _LACKING.get(command, "").split()
    return f"`{' '.join(['synmem', command, *typed, *added])}`"


def _placed(command: str, words: Sequence[str]) -> list[str]:
    """These words with `-p` before a store that stands first, where the command needs that; and
    with the names of what is not there yet."""
    from synmem.profiles import is_address

    name = main_name(command)
    lacking = _LACKING.get(name, "").split()
    alone = len(words) == 1 or words[1].startswith("-")
    if name in ("check", "migrate"):
        return [words[0], *lacking[1:], *words[1:]] if alone else [*words]
    if name in _OF_ONE and not alone and _stands_last(words):
        words = [words[1], words[0], *words[2:]]
    if name in (STORE_ALONE | {"import", "profile"}) or not is_address(words[0]):
        return [*words]
    option = [] if name in STORE_FIRST else ["-p"]
    return [*option, words[0], *(lacking if alone else []), *words[1:]]


def _stands_last(words: Sequence[str]) -> bool:
    """Whether the second is the store, and there: `grep WORD FILE`."""
    from synmem.addresses import is_address, status

    first, second, *_ = words
    return not is_address(first) and is_address(second) and status(Path(second)) is not None


def _options(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word.startswith("--"):
            yield word.partition("=")[0]
        elif word.startswith("-") and word != "-":
            yield from (f"-{letter}" for letter in word[1:])


def _known_options(command: str, group: Any) -> set[str]:
    return {name for each in group.commands[command].params for name in each.opts}


def _shown(word: str) -> str:
    """A word as it is typed in a shell, no secret in it."""
    from synmem.masking import mask

    return shlex.quote(mask(word))
