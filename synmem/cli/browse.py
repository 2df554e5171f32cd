"""`synmem browse`: a full-screen browser."""

import sys

from synmem.cli import render
from synmem.cli.options import StoreArgument
from synmem.cli.run import Session, command
from synmem.errors import MissingExtra, UsageError


@command("layout", "branches", "everywhere", "servers")
async def browse(session: Session, store: StoreArgument = None) -> int | None:
    """Read the conversations full-screen.

    They are filtered as you type, with the messages beside them, tool calls folded. Every key
    stands at the foot of the screen.

    \b
    synmem browse chat.db
    synmem browse claude-code
    synmem browse --everywhere
    """
    session.at(store)
    _check_terminal()
    _check_textual()
    from synmem.cli.browsing.running import run

    return await run(session)


def _check_terminal() -> None:
    if render.is_dumb() or not all(map(render.is_terminal, (sys.stdin, sys.stdout, sys.stderr))):
        raise UsageError(
            "browse needs a terminal, its whole screen",
            hint="`synmem ls` lists, `synmem show` prints a conversation",
        )


def _check_textual() -> None:
    try:
        import textual  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "browse needs the package textual", hint="pip install 'synmem-cli[tui]'"
        ) from error
