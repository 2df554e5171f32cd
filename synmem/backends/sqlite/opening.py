"""Whose tables are in an SQLite file."""

from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.place import Place
from synmem.backends.sqlite.shape import TABLES, Shape, needed, shape_of
from synmem.layouts.own.sqlite_columns import WideTable


async def detect(file: File, layout: str | None, *, write: bool) -> Place | None:
    """Whose tables these are, by their columns; a file without any is ours to make. None where
    they are somebody else's."""
    shape = await shape_of(file)
    for name in ("synmem", "synapsekit"):  # the first has all columns of the second
        table = TABLES[name](shape.columns)
        if shape.names >= needed(table) and layout in (None, name):
            file.made = True
            others = [each for each in shape.columns if each.name not in needed(table)]
            if shape.key != "id":
                others.insert(0, next(each for each in shape.columns if each.name == "id"))
            table = WideTable(table, others) if others else table
            return Place(file, table, shape, write=write)
    if not await file.look("SELECT 1 FROM sqlite_schema LIMIT 1"):
        # Nothing but perhaps a header, where who made it was killed before its tables.
        await file.close()
        return Place(file, TABLES[layout or "synmem"](()), Shape(), write=write)
    if layout and write and not shape.columns:
        # Asked for by name, beside somebody's other tables.
        return Place(file, TABLES[layout](()), Shape(), write=write)
    return None
