"""Databases that look as if conversations lay in them, and hold only an index of some: what they
are, and where the conversations lie."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from synmem.layouts.shapes import Sketch


class Index(NamedTuple):
    """What is no store, as a person is told of it."""

    tables: Mapping[str, frozenset[str]]
    """The tables by which it is known, and their columns."""
    what: str
    hint: str


_INDEXES: Final = (
    Index(
        {"sessions": frozenset({"session_id", "source", "pid", "messages_path"})},
        "this is Cline's index of its sessions",
        "its conversations are the files *.messages.json in `sessions`, beside the folder of this "
        "one: ~/.cline/data/sessions",
    ),
    Index(
        {
            "sessions": frozenset({"id", "cwd", "repository"}),
            "turns": frozenset({"session_id", "turn_index", "user_message", "assistant_response"}),
        },
        "this is Copilot CLI's index for searching",
        "its conversations are the files events.jsonl in `session-state`, beside this one: "
        "~/.copilot/session-state",
    ),
    Index(
        {"ItemTable": frozenset({"key", "value"})},
        "this is the state of VS Code, or of an editor made of it, which holds only an index of "
        "its chats",
        "those of VS Code are the files in `chatSessions`, beside this one; Cursor's are in "
        "globalStorage/state.vscdb of its user folder",
    ),
)


def index_of(sketch: Sketch) -> Index | None:
    """Which of them a place is, where it is one."""
    tables = {name.lower(): {*map(str.lower, columns)} for name, columns in sketch.items()}
    for index in _INDEXES:
        if all(
            {*map(str.lower, columns)} <= tables.get(table.lower(), set())
            for table, columns in index.tables.items()
        ):
            return index
    return None
