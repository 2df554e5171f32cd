"""Whether a table of another framework may refuse a row that is the framework's."""

import re
from collections.abc import Sequence
from typing import Final

from synmem.backends.sqlite.foreign_table import ForeignTable
from synmem.messages import Message

_CONDITIONS: Final = {"as", "check", "strict", "unique", "where"}
"""Of the words of a statement those without which it makes nothing that refuses a row."""

_BLANK: Final = Message("user", "")


async def is_plain(table: ForeignTable, tables: Sequence[str]) -> bool:
    """Whether none of these tables, the first of which is its own, has a condition, computes
    something, or has an index but of columns, in which rows may be the same; and a value that
    a message may lack may be NULL. Then nothing needs to be tried; within a step."""
    for name in tables:
        made = "SELECT sql FROM sqlite_schema WHERE lower(tbl_name) = lower(?) AND sql IS NOT NULL"
        for (sql,) in await table.file.look(made, [name]):
            words = re.findall(r"\w+", sql.lower())
            if not _CONDITIONS.isdisjoint(words) or (words[1] == "index" and sql.count("(") > 1):
                return False
    told = await table.file.look(f"PRAGMA table_xinfo({table.name})")
    return _lacking(table).isdisjoint(row[1].lower() for row in told if row[3])


def _lacking(table: ForeignTable) -> set[str]:
    """The columns for which a message may have no value."""
    write = table.shape.write
    if write is None:
        return set()
    folded = zip(table.shape.record, write.fold(_BLANK), strict=True)
    lacking = {name for name, value in folded if value is None}
    return lacking - {table.shape.order[0]} if write.key else lacking
