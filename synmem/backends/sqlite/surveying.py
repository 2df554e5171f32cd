"""Which SQLite files of a folder may hold conversations, told by their tables and columns."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from synmem.backends import Sighting
from synmem.backends.sqlite.finding import SKETCH, sketch_of
from synmem.backends.sqlite.shape import TABLES, needed
from synmem.layouts import registry
from synmem.layouts.shapes import Sketch

_ENDINGS: Final = (".db", ".db3", ".s3db", ".sqlite", ".sqlite3", ".vscdb")
"""Other files are not looked into."""

_MAGIC: Final = b"SQLite format 3\0"
_OURS: Final = needed(TABLES["synapsekit"](())) - {"id"}


async def survey(folder: Path, names: Sequence[str]) -> list[Sighting]:
    """See `backends.survey`."""
    return [
        Sighting("sqlite", name)
        for name in sorted(name for name in names if name.lower().endswith(_ENDINGS))
        if await asyncio.to_thread(_may_hold, folder / name)
    ]


def _may_hold(path: Path) -> bool:
    """Whether these tables are some that we know. The file is read as it lies, without its WAL and
    whatever locks it: no trace is left. Where that does not do, whoever opens it will see."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return False
        uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute(SKETCH).fetchall()
    except OSError:
        return False
    except sqlite3.Error:
        return True
    sketch = sketch_of(rows)
    return _is_ours(sketch) or any(registry.fits("sqlite", sketch)) or _has_wal(path)


def _is_ours(sketch: Sketch) -> bool:
    tables = {name.lower(): columns for name, columns in sketch.items()}
    return {column.lower() for column in tables.get("messages", ())} >= _OURS


def _has_wal(path: Path) -> bool:
    """Whether the newest of it may lie beside the file: its tables, where it has just been made."""
    with contextlib.suppress(OSError):
        return path.stat().st_size <= 4096 and path.with_name(path.name + "-wal").stat().st_size > 0
    return False
