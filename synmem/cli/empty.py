"""What a person is told to do about a store that has nothing in it."""

import shlex
from typing import TYPE_CHECKING

from synmem.cli import render
from synmem.masking import mask

if TYPE_CHECKING:
    from synmem.cli.session import Session


def tell_empty(session: "Session") -> None:
    """Say what fills the store, on a terminal; of one that is only read, where others are."""
    if not render.is_terminal() or session.json:
        return
    profile = session.resolve()
    find = "`synmem discover` finds those that are on this machine"
    if profile.is_only_read:
        session.note(f"no conversations here; {find}")
        return
    store = shlex.quote(mask(session.profile or profile.name))
    add, bring = session.typing("add", "ID", "TEXT"), session.typing("import", "FILE")
    session.note(
        f"no conversations here yet: `{add}` adds a message, `{bring}` brings an export, "
        f"`synmem migrate SOURCE {store}` those of another store; {find}"
    )
