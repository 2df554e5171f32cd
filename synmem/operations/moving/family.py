"""Which conversations of an archive may be branches of which others, by their ids: `ID#LEAF`."""

from typing import Final, Self

from synmem.operations.moving.naming import Naming
from synmem.operations.moving.receipt import Ledger
from synmem.store import Store
from synmem.temporary import private_database, room

MARK: Final = "#"


class Family:
    """The ids with a mark that an archive has, as the source would call them; on disk, where they
    are many. Its ledger tells which of them are another conversation's of this run."""

    def __init__(self, naming: Naming, ledger: Ledger) -> None:
        self._naming = naming
        self._ledger = ledger
        self._rows = private_database()
        self._rows.execute("CREATE TABLE marked (id BLOB PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._rows.close()

    async def look(self, archive: Store) -> None:
        """List the archive."""
        async for page in archive.conversations():
            names = (self._naming.here(info.id) for info in page)
            rows = [(name.encode(),) for name in names if name and MARK in name]
            with room():
                self._rows.executemany("INSERT OR IGNORE INTO marked VALUES (?)", rows)

    def of(self, conversation: str) -> list[str]:
        """Those that may be branches of this conversation."""
        begin = f"{conversation}{MARK}".encode()
        behind = begin[:-1] + bytes([begin[-1] + 1])
        found = self._rows.execute(
            "SELECT id FROM marked WHERE id > ? AND id < ? ORDER BY id", [begin, behind]
        )
        return [name for (id_,) in found if not self.is_taken(name := id_.decode(), conversation)]

    def is_taken(self, name: str, conversation: str) -> bool:
        """Whether another conversation of the source has come under that name."""
        entry = self._ledger.entry(self._naming.there(name))
        return entry is not None and entry.source != conversation
