"""Conversations in an SQLite file, over aiosqlite.

Data layout. One row a message, in the table `messages` of SynapseKit 2.0.1, ordered by `id`:

    id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT, role TEXT, content TEXT,
    metadata TEXT (JSON or NULL);  index idx_conv_id(conversation_id)

A file that synmem made (layout `synmem`) is in WAL mode and has in that table the nullable
columns `created_at` (ISO 8601, UTC, microseconds, `Z`), `tool_calls`, `tool_call_id`, `name`,
`parts` and `extra` (JSON), and beside it `messages_meta(conversation_id, name, value)`: JSON
under the names `title`, `extra` and `note:NAME`. There too, under the conversation `''`, which is
none, and the name `step:TOKEN` stands `"done"` or `"off"` (see `SupportsSteps`). In a file that
SynapseKit made (layout `synapsekit`) no column is added and no mode changed: what a row has no
column for rides in `metadata["synmem"]` (see `layouts/own/synapsekit.py`); it holds no title and
remembers no step. Text with a lone surrogate, which SQLite cannot store, is carried in that key in
both layouts. New ids are the highest ever given plus one, under the write lock; what `replace` puts
in front takes ids below the lowest.

The table may be somebody's own: what stands in its other columns rides in `extra` under the
layout's name (`layouts/own/sqlite_columns.py`), and goes back to them. Without AUTOINCREMENT an id
may be given twice, so a position is the id and a hash of the row. Where `id` is no integer that no
two rows have, the table is read in the order of its rows, and not written; so is a view, or a table
of which a column is computed. Its ids may be numbers, or compared otherwise than by their bytes:
see `ids.py`. Rows of no conversation are named (`strays`). Where its metadata is NOT NULL, `{}`
stands for none. What its constraints and triggers refuse, leave out or alter is `Rejected`; whether
they would refuse what is to be removed is tried out first (`trial.py`).

Reading leaves the file byte for byte as it was; `file.py` says how. What another program
could have written is read row by row; the usual row comes as a line (`lines.py`), as CSV
for another store (`csv.py`), or goes from file to file (`copying.py`) without leaving
SQLite.
"""

from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from synmem.backends.csv_rows import Csv
from synmem.backends.sqlite.beside import Beside
from synmem.backends.sqlite.changes import prints_of, version_of
from synmem.backends.sqlite.copying import Copier
from synmem.backends.sqlite.csv import CsvMaker
from synmem.backends.sqlite.errors import Refused, translating
from synmem.backends.sqlite.file import File
from synmem.backends.sqlite.lines import LineMaker
from synmem.backends.sqlite.listing import Listing
from synmem.backends.sqlite.opening import detect
from synmem.backends.sqlite.place import Place
from synmem.backends.sqlite.reading import Reader
from synmem.backends.sqlite.shape import TABLES
from synmem.backends.sqlite.staging import Replacer
from synmem.backends.sqlite.steps import Steps
from synmem.backends.sqlite.trial import Trials
from synmem.backends.sqlite.writing import Writer
from synmem.errors import Rejected, StoreNotFound
from synmem.messages import Conversation, Damage, Message
from synmem.store import (
    START,
    ConversationInfo,
    Copied,
    Lines,
    Page,
    Part,
    Position,
    Rescue,
    Step,
    Store,
)

_MORE_TABLES: Final = (
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' "
    "AND lower(name) NOT IN ('messages', 'messages_meta') LIMIT 1"
)


async def open(settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000) -> Store:
    """The store in the file `settings["db_path"]`; `layout` names one, else it is detected, and
    `table` where that is another framework's.

    A file that is not there is StoreNotFound, unless `write`: then the first append makes it.
    """
    path = Path(settings["db_path"])
    layout, name = settings.get("layout"), settings.get("table")
    if layout is not None and layout not in TABLES:
        from synmem.layouts.registry import check_known

        check_known(str(path), layout, "sqlite", [*TABLES])
    file = File(path)
    try:
        with translating(str(path), temporary=not write):
            if not file.is_empty():
                await file.connect(write=write)
            elif not write and not path.exists():
                hint = (
                    "`synmem add` makes one" if path.parent.is_dir() else "nor is its folder there"
                )
                raise StoreNotFound(f"{path}: no such file", hint=hint)
            place = None
            if name is None and (layout is None or layout in TABLES):
                place = await detect(file, layout, write=write)
            if place is None:
                from synmem.backends.sqlite.foreign import open_foreign

                return await open_foreign(file, settings, write=write, page_size=page_size)
    except BaseException:
        await file.close()
        raise
    kind = OwnSqliteStore if place.keeps_beside else SqliteStore
    return kind(place, page_size=page_size)


class SqliteStore:
    """A `Store` in an SQLite file (DESIGN: `sqlite`). One connection, shared by tasks in turn."""

    def __init__(self, place: Place, *, page_size: int) -> None:
        self.name = place.name
        self.holds = place.holds
        self.place = place
        self._page_size = page_size
        self._beside = Beside(place)
        self._steps = Steps(place)
        self._reader = Reader(place, page_size=page_size)
        self._listing = Listing(place, self._beside, page_size=page_size)
        self._writer = Writer(place, self._beside, self._steps)
        self._replacer = Replacer(place, self._beside, self._steps)
        self._trials = Trials(place, self._beside)
        self._lines = LineMaker(place, self._reader, page_size=page_size)
        self._csv = CsvMaker(place, self._lines, page_size=page_size)
        self._copier = Copier(place, self._beside, page_size=page_size)

    def refusal(self, message: Message) -> str | None:
        """See `Store.refusal`; a column of somebody's own may refuse more."""
        return self.place.refusal(message)

    # --- reading ---

    def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`."""
        return self._reader.read(conversations, after=after, reverse=reverse, limit=limit)

    def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order of the ids' bytes."""
        return self._listing.conversations(ids, details=details)

    async def damage(self) -> list[Damage]:
        """Rows that belong to no conversation: their conversation_id is no text, is empty, or is
        not UTF-8."""
        return await self._listing.damage()

    async def strays(self) -> list[Damage]:
        """See `SupportsStrays.strays`."""
        return await self._listing.strays()

    async def others(self) -> list[str]:
        """See `SupportsOthers.others`: sought where there are more tables than ours."""
        file = self.place.file
        async with file.step():
            if not await file.rows(_MORE_TABLES):
                return []
            from synmem.backends.sqlite.finding import others

            return await others(file)

    def layout(self) -> str:
        """The layout that lies there."""
        return "synmem" if self.place.keeps_beside else "synapsekit"

    async def total(self) -> int:
        """See `SupportsTotal`: SQLite counts a million in some hundredths of a second."""
        return await self._listing.total()

    async def version(self) -> str | None:
        """See `SupportsChanges.version`; of a private copy that cannot be told."""
        return None if self.place.file.is_copied else version_of(self.place.file.path)

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str] | None:
        """See `SupportsChanges.fingerprints`; None where nothing numbers the rows."""
        if not self.place.shape.unique:
            return None
        async with self.place.file.step():
            return await prints_of(self.place, upto)

    def rescued(self) -> Rescue:
        """See `SupportsRescue`."""
        from synmem.backends.sqlite.rescuing import Rescued  # hardly anybody needs it

        return Rescued(self.place, page_size=self._page_size)

    def lines(
        self, conversations: Sequence[str], *, apart: Collection[str] = ()
    ) -> AsyncIterator[Lines | Page]:
        """See `SupportsLines.lines`. While what one query gave goes out, the next one runs."""
        return self._lines.lines(conversations, apart=apart)

    async def described(self, conversations: Sequence[str]) -> list[str]:
        """See `SupportsLines.described`."""
        return await self._beside.described(conversations)

    async def csv(self, conversations: Sequence[str]) -> tuple[list[Csv], list[str]]:
        """See `MakesCsv.csv`."""
        return await self._csv.csv(conversations)

    # --- writing ---

    async def append(
        self, parts: Sequence[Part], *, keep: int | None = None, token: str | None = None
    ) -> list[Position]:
        """See `Store.append`: one transaction."""
        self._steps.check(token)
        encoded = self._writer.encoded(parts)
        try:
            return await self._writer.append(parts, encoded, keep, token)
        except Refused as error:
            raise Rejected(await self._trials.refused(parts, encoded, error)) from error

    async def delete(
        self,
        conversation: str,
        *,
        upto: Position | None = None,
        begins: Position | None = None,
        token: str | None = None,
    ) -> bool:
        """See `Store.delete`: one transaction."""
        return await self._writer.delete(conversation, upto=upto, begins=begins, token=token)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: staged in a temporary table, then one transaction."""
        await self._replacer.replace(conversation, messages, upto=upto, begins=begins, token=token)

    async def refuses_back(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsTrial.refuses_back`: some thousand rows in a transaction."""
        return await self._trials.refuses_back(conversations)

    async def copy(
        self, source: Store, conversations: Sequence[Conversation]
    ) -> tuple[list[Copied], list[Conversation]]:
        """See `SupportsCopy.copy`: a transaction of some thousand messages."""
        if not isinstance(source, SqliteStore):
            return [], []
        return await self._copier.copy(source.place, conversations)

    async def digests(self, conversations: Sequence[str]) -> dict[str, str]:
        """See `SupportsCopy.digests`."""
        return await self._copier.digests(conversations)

    async def close(self) -> None:
        """See `Store.close`."""
        with translating(self.name):
            await self.place.file.end()


class OwnSqliteStore(SqliteStore):
    """A store in a file that synmem made: with titles, extras, notes and the steps that were done
    in `messages_meta`."""

    async def note(self, conversation: str, name: str) -> Any | None:
        """See `SupportsNotes.note`."""
        return await self._beside.note(conversation, name)

    async def set_note(self, conversation: str, name: str, value: Any | None) -> None:
        """See `SupportsNotes.set_note`."""
        await self._beside.set_note(conversation, name, value)

    async def notes(self, conversations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See `SupportsNotes.notes`."""
        return await self._beside.notes(conversations)

    async def steps_done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        return await self._steps.done(steps)

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`."""
        return await self._steps.call_off(steps)

    async def forget_steps(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        await self._steps.forget(steps)
