"""What is said of a line that Typer cannot take apart: in our words, with what to type instead."""

import difflib
import shlex
from collections.abc import Collection
from typing import Any, NamedTuple

from synmem.cli.commands import LINE, main_name
from synmem.errors import UsageError
from synmem.masking import mask

_ALIKE = 0.65
_EXTRA = "Got unexpected extra argument(s) "
_COUNTS = {"show": "--last", "ls": "--limit", "search": "-k", "context": "--window"}
_OTHERS = dict.fromkeys(("-n", "-k", "--count", "--limit", "--max", "--top"), _COUNTS)
"""What other programs call an option -> command -> what it is called here."""
_VERBS = {
    "add": ("create", "new", "set"), "list": ("all", "ls"), "path": ("file", "where"),
    "remove": ("del", "delete", "rm"), "show": ("cat", "get", "info"), "test": ("check", "ping"),
    "use": ("default", "select", "switch"),
}  # fmt: skip
"""A command of a group -> what other programs call it."""


class Refusal(NamedTuple):
    """What is wrong with the line, and what to do; either may quote what was typed."""

    message: str
    hint: str


def refusal(problem: Any) -> Refusal:
    """The words for an error of Typer's, which is known by its class's name and by what it
    carries."""
    context = getattr(problem, "ctx", None)
    path = context.command_path if context else "synmem"
    message = problem.format_message()
    kind, more = type(problem).__name__, f"`{path} --help`"
    parameter = getattr(problem, "param", None)
    if kind == "NoSuchOption":
        return _no_such_option(problem, context, path)
    if kind == "MissingParameter" and parameter is not None:
        return Refusal(f"{_name(parameter)} is missing", _usage(context, more))
    if kind == "BadParameter" and parameter is not None:
        return Refusal(f"{_name(parameter)}: {problem.message}", more)
    if kind == "BadOptionUsage":
        return _bad_option(problem, more)
    if message.startswith(_EXTRA):
        extra = message.removeprefix(_EXTRA).removeprefix("(").removesuffix(")")
        hint = _with_store(context) or _usage(context, more)
        return Refusal(f"more than {path} takes: {extra}", hint)
    return Refusal(message, more)


def _with_store(context: Any) -> str | None:
    """The line that was meant where a store stands first which the command takes otherwise, or
    where words to look for stand side by side; None where it is neither."""
    from synmem.cli.meant import is_store

    words = list(context.meta.get(LINE, ())) if context else []
    if len(words) < 2 or any(word.startswith("-") for word in words):
        return None
    name = main_name(context.info_name or "")
    typed: list[str]
    store, *rest = words if is_store(words[0], None) else ["", *words]
    if name == "search":
        typed = [name, *([store] if store else []), " ".join(rest)]
    elif not store:
        return None
    elif name in ("ls", "browse", "stats") and len(rest) == 1:
        typed = ["show", store, *rest]
    elif name in ("add", "entities"):
        typed = [name, "-p", store, *rest]
    else:
        return None
    return f"`{shlex.join(['synmem', *map(mask, typed)])}`"


def _no_such_option(problem: Any, context: Any, path: str) -> Refusal:
    name = problem.option_name
    message = f"there is no option {name} of {path}"
    if other := _OTHERS.get(name, {}).get(main_name(context.info_name or "") if context else ""):
        return Refusal(message, f"did you mean {other}?")
    options = [each[2:] for each in _options(context) if each.startswith("--")]
    near = difflib.get_close_matches(name[2:], options, n=2, cutoff=_ALIKE)
    if name.startswith("--") and near:
        return Refusal(message, f"did you mean {' or '.join(f'--{each}' for each in near)}?")
    dashes = "in front of a text or an id that begins with -, put --"
    return Refusal(message, f"`{path} --help`; {dashes}")


def no_such_command(name: str, path: str, commands: Collection[str]) -> UsageError:
    """What is said of a word that is none of a group's commands."""
    other = next((ours for ours, verbs in _VERBS.items() if name in verbs), None)
    is_ours = other is not None and other in commands
    near = [str(other)] if is_ours else difflib.get_close_matches(name, commands)
    hint = f"did you mean {' or '.join(near)}?" if near else f"`{path} --help` lists them"
    return UsageError(f"there is no command {shlex.quote(name)} of {path}", hint=hint)


def _bad_option(problem: Any, more: str) -> Refusal:
    name = problem.option_name
    lacks = "requires" in problem.message
    return Refusal(f"{name} lacks its value" if lacks else f"{name} takes no value", more)


def _options(context: Any) -> list[str]:
    parameters = context.command.get_params(context) if context else []
    return [name for each in parameters if each.param_type_name == "option" for name in each.opts]


def _name(parameter: Any) -> str:
    """`--last`, or the word that stands for an argument in the manual."""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name.upper())


def _usage(context: Any, more: str) -> str:
    if context is None or not hasattr(context.command, "collect_usage_pieces"):
        return more
    words = [each for each in context.command.collect_usage_pieces(context) if each != "[OPTIONS]"]
    return f"`{' '.join([context.command_path, *words])}`"
