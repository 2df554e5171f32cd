"""`synmem help`: a command's help, or a page."""

from typing import Annotated, Any

import typer

from synmem.cli import completing, render
from synmem.errors import UsageError

TopicArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="COMMAND|TOPIC", show_default=False, autocompletion=completing.topics,
        help="Of which; without one, the first page.",
    ),
]  # fmt: skip


def help_(context: typer.Context, words: TopicArgument = None) -> None:
    """Show a command's help, or a page of the manual.

    \b
    synmem help show
    synmem help profile add
    synmem help exit-codes
    """
    from synmem.cli.manual.topics import TOPICS

    assert context.parent is not None
    if words and len(words) == 1 and words[0] in TOPICS:
        from synmem.cli.manual.blocks import plain
        from synmem.cli.usage import help_width

        text = plain(TOPICS[words[0]](), help_width(context))
    else:
        text = _of_command(context.parent, words or []).rstrip("\n") + "\n"
    render.write(text.encode())


def _of_command(context: Any, words: list[str]) -> str:
    """The help of the command of these names: a command, or one of a group."""
    for word in words:
        commands = getattr(context.command, "commands", {})
        if word not in commands:
            raise _unknown(context.command_path, word, list(commands))
        context = typer.Context(commands[word], info_name=word, parent=context)
    text: str = context.command.get_help(context)
    return text


def _unknown(path: str, word: str, commands: list[str]) -> UsageError:
    import difflib
    import shlex

    from synmem.cli.manual.topics import TOPICS

    topics = list(TOPICS) if path == "synmem" else []
    if word in topics:
        hint = f"it is a page of its own: `synmem help {word}`"
    elif near := difflib.get_close_matches(word, [*commands, *topics]):
        hint = f"did you mean {' or '.join(near)}?"
    elif topics:
        hint = f"pages: {', '.join(topics)}; `synmem --help` lists the commands"
    else:
        hint = f"`{path} --help`"
    return UsageError(f"there is no help on {shlex.quote(word)}", hint=hint)
