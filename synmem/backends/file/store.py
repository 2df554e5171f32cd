"""Conversations in a file, read-only: JSON Lines as `export` writes it, JSON or CSV; or, as
`foreign.py` has them, files of other programs.

Data layout: that of `layouts/interchange/jsonl.py`, read where it lies. JSON and CSV are first
turned into JSON Lines in a temporary file without a name, and what cannot be sought in (a pipe) is
copied into one. A position is a line's number, from 1 (of the temporary file, where there is
one). Lines of one conversation belong together wherever they stand, in file order. A malformed
line stands as `Unreadable` in the conversation of the line before it (of the next, if it is the
first). The last title line that names a title or an extra counts.

Sealed exports in one file are each by themselves: `exports` has them, and of a conversation that
is in several the longest is shown. The parts of a split export, one behind the other, are one.

The file is read through once when it is opened, for the index of `line_index.py`. Lines
that another program appends are found at the next read; any other change is `Changed`: by its
inode, size and times before and after each page, and in the end by what was read of it.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from copy import copy
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from synmem.backends.file.foreign import Fitting, arriving, store_of
from synmem.backends.file.forms import FORMS
from synmem.backends.file.held import Held
from synmem.backends.file.line_index import NONE, Index
from synmem.backends.file.opening import Opened, Reading, opening
from synmem.backends.file.reading import Reader
from synmem.backends.file.slices import in_slices
from synmem.backends.whole import WholeStore
from synmem.errors import Unsupported, UsageError
from synmem.layouts import registry
from synmem.messages import HARMLESS, SEVERAL, Conversation, Damage, Message, chunks
from synmem.store import START, ConversationInfo, Exported, Page, Part, Parts, Position, Store

_LOOKED_AT: Final = 100  # conversations, before an interrupt is heard


async def open(
    settings: Mapping[str, Any], *, write: bool = False, page_size: int = 1000
) -> "FileStore | WholeStore":
    """The conversations of the file or folder `path`.

    `layout`, or `format`, is the name of a form or a layout, or auto; `branches` says that each
    branch is a conversation; `conversation` is the id of messages that carry none; `raw` says that
    a CSV has no guard, `joined` that all sealed exports in the file are one; `timezone` is that of
    times without one; `name` is what the file is called in output.
    """
    path = Path(settings["path"]).expanduser()
    name = str(settings.get("name") or path)
    form = _form(settings)
    if write:
        _refuse_writing(name, "folder" if path.is_dir() else "file")
    found = await in_slices(arriving(path, name, form))
    if isinstance(found, Fitting):
        return store_of(found, path, settings, page_size)
    raw, joined = bool(settings.get("raw")), bool(settings.get("joined"))
    reading = Reading(
        form, settings.get("conversation"), raw, joined, _timezone(settings.get("timezone"))
    )
    opened = await in_slices(opening(path, name, reading, found.suffix, found.unpacked))
    return FileStore(path, name, opened, page_size)


def _form(settings: Mapping[str, Any]) -> str:
    """The form that is asked for: by either name."""
    said = {str(settings[key]) for key in ("layout", "format") if settings.get(key)} - {"auto"}
    for form in said:
        if form not in FORMS and form not in registry.named("file"):
            known = f"one of auto, {', '.join([*FORMS, *registry.named('file')])}"
            raise UsageError(f"no file format is called {form!r}", hint=known)
    if len(said) > 1:
        raise UsageError(f"layout and format name two forms: {' and '.join(sorted(said))}")
    return said.pop() if said else "auto"


def _timezone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    from synmem.layouts.interchange.ordinary import zone

    try:
        return zone(name)
    except ValueError as error:
        raise UsageError(str(error), hint="Europe/Berlin, +02:00, UTC or local") from error


class FileStore:
    """A `Store` over one file, which it never writes; it can tell whether a seal fits."""

    def __init__(self, path: Path, name: str, opened: Opened, page_size: int) -> None:
        self.name = name
        self.holds = FORMS[opened.reading.form].holds
        self._held = Held(path, name, opened)
        self._reader = Reader(self._held, page_size)
        self._page_size = page_size
        self._only: int | None = None
        """Which of the exports in the file it is; None: all of them."""

    def refusal(self, message: Message) -> str | None:
        """It holds no new message."""
        return "a file is only read"

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[Position]:
        """Unsupported."""
        _refuse_writing(self.name)

    async def delete(self, conversation: str, *, upto: Position | None = None) -> bool:
        """Unsupported."""
        _refuse_writing(self.name)

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
    ) -> None:
        """Unsupported."""
        _refuse_writing(self.name)

    async def read(
        self,
        conversations: Sequence[str],
        *,
        after: Position = START,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """See `Store.read`; conversations come in the order in which they begin."""
        index = await self._held.look()
        known = self._numbers(index)
        numbers = [known.get(name, NONE) for name in dict.fromkeys(conversations)]
        if after != START and NONE in numbers:
            raise self._held.changed()
        found = sorted((n for n in numbers if n != NONE), key=index.first_run.__getitem__)
        pages = (
            page
            for number in found
            for page in self._reader.pages(index, number, after, reverse=reverse, limit=limit)
        )
        while some := await asyncio.to_thread(self._reader.next, pages):
            for page in some:
                yield page

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        """See `Store.conversations`; in the order in which they are first named."""
        index = await self._held.look()
        known = self._numbers(index)
        chosen: Iterable[int] = known.values()
        if ids is not None:
            chosen = [known[name] for name in dict.fromkeys(ids) if name in known]
        there = [number for number in chosen if index.counts[number]]
        for page in chunks(there, self._page_size):
            if details:
                yield await asyncio.to_thread(self._reader.infos, index, page)
            else:
                yield [ConversationInfo(id=index.names[number]) for number in page]

    async def damage(self) -> list[Damage]:
        """What is wrong with seals ("cut short", "altered") and lines ("malformed").

        Of malformed lines the first 1,000 are named. Here a line counts as malformed where its
        conversation cannot be told; one that is no message otherwise comes from `read`.
        """
        index = await self._held.look()
        found = index.damage()
        held = [each for each in index.exports if each.numbers]
        broken = any(each.kind not in HARMLESS for each in found)
        if broken or len(index.numbers) == sum(len(each.numbers) for each in held):
            return found
        why = (
            f"{len(held)} exports stand in it, one behind the other: of a conversation that is in "
            "several the longest is read; `import` and `migrate` bring each by itself"
        )
        return [*found, Damage(SEVERAL, str(held[-1].line), why)]

    def begins_at(self, conversation: str) -> int:
        """How many messages stand before its first one here; more than 0 in a rejects file."""
        index = self._held.index
        return index.begins.get(self._numbers(index).get(conversation, NONE), 0)

    async def exports(self) -> list[Exported]:
        """See `SupportsExports`."""
        index = await self._held.look()
        held = [i for i, each in enumerate(index.exports) if each.line or each.numbers]
        return [self._exported(index, number, len(held) == 1) for number in held or [0]]

    async def check_unchanged(self) -> None:
        """See `SupportsUnchanged`."""
        await self._held.check_unchanged()

    def layout(self) -> str:
        """The form of the file."""
        return self._held.reading.form

    async def total(self) -> int:
        """See `SupportsTotal`: the index has counted them."""
        index = await self._held.look()
        if len(index.exports) == 1:
            return sum(index.counts)
        return sum(index.counts[number] for number in self._numbers(index).values())

    async def version(self) -> str | None:
        """See `SupportsChanges.version`; it tells none."""
        return None

    async def fingerprints(self, upto: Mapping[str, Position]) -> dict[str, str]:
        """See `SupportsChanges.fingerprints`: digests of the lines, read again."""
        index = await self._held.look()
        known = self._numbers(index)
        there = [name for name in upto if name in known]
        found: dict[str, str] = {}
        for names in chunks(there, _LOOKED_AT):
            some = {name: int(upto[name]) for name in names}
            found.update(await asyncio.to_thread(self._reader.prints, index, known, some))
        return found

    async def close(self) -> None:
        """Give the file back."""
        self._held.close()

    def _exported(self, index: Index, number: int, alone: bool) -> Exported:
        export = index.exports[number]
        store = copy(self)
        store._only = number
        first = export.part
        parts = Parts(first.set, first.part, export.last, first.of) if first else None
        spans: list[tuple[int, int]] | None = export.spans if export.line else None
        if self._held.reading.converted or self._held.copied:
            spans = None
        elif alone:
            spans = [(index.begin, index.end)]
        closed = FORMS[self._held.reading.form].any_name
        return Exported(cast(Store, store), list(export.numbers), parts, spans, closed)

    def _numbers(self, index: Index) -> dict[str, int]:
        """The conversations, and what the index calls them."""
        return index.numbers if self._only is None else index.exports[self._only].numbers


def _refuse_writing(name: str, kind: str = "file") -> NoReturn:
    raise Unsupported(
        f"{name} is a {kind}, which synmem only reads",
        hint="`synmem export -o FILE` writes such a file anew",
    )
