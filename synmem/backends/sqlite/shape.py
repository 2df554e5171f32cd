"""How the rows of the table `messages` in an SQLite file are numbered, and what its columns are."""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from synmem.backends.sqlite.ids import Ids
from synmem.layouts.own.sqlite_tables import Column, OwnTable, SynapseKitTable, Table

TABLES: Final[dict[str, Callable[[Sequence[Column]], Table]]] = {
    "synapsekit": SynapseKitTable,
    "synmem": OwnTable,
}


class Shape(NamedTuple):
    """How the rows of a table `messages` are numbered: perhaps not as we and SynapseKit do it."""

    columns: tuple[Column, ...] = ()
    key: str = "id"
    """What numbers them, in their order."""
    numbered: bool = True
    """Whether that is `id`, an integer that no two rows have: else nothing is written."""
    unique: bool = True
    """Whether no two rows of different conversations have the same."""
    lasting: bool = True
    """Whether no number is given twice."""
    ids: Ids = Ids()
    generated: str = ""
    """A column of the layout that is computed from others: nothing is written."""
    beside: bool = True
    """Whether there is a table for what lies beside conversations, as our own layout has it."""
    exact: bool = True
    """Whether text comes back as the text it is from all columns of the layout."""

    @property
    def names(self) -> set[str]:
        """Of the columns."""
        return {column.name for column in self.columns}


LASTING: Final = re.compile(
    r"primary\s+key\s+((asc|desc)\s+)?(on\s+conflict\s+\w+\s+)?autoincrement", re.IGNORECASE
)


def needed(table: Table) -> set[str]:
    """The columns without which a table is none of this layout."""
    others = len(table.columns) - len(table.others)
    return {"id", "conversation_id", *table.columns[:others]}
