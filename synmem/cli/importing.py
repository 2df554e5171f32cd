"""What `import` reads: files and stdin, looked at first and then brought as loads.

Every file is looked through before anything is written: what is damaged, or lacks a part, is named
then. Files that are brought together are put one behind the other, as JSON Lines.
"""

import asyncio
import contextlib
import os
import stat
import sys
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from synmem.cli.damage import Harm, check_damage
from synmem.cli.moving import Load
from synmem.errors import Changed, CorruptData, UsageError
from synmem.operations.looking import check_unchanged
from synmem.operations.moving.sets import Piece, Source, file_of, numbered, plan
from synmem.temporary import room

if TYPE_CHECKING:
    from synmem.store import Exported, Store

STDIN: Final = "-"
_BLOCK: Final = 1 << 20


class Files:
    """The files of one import. Its stores are open only while it is entered."""

    def __init__(self, names: Sequence[str], settings: dict[str, Any]) -> None:
        self._names = [_shown(name) for name in names]
        self._given = names
        self._settings = settings
        self._pieces: list[Piece] = []
        self._paths: list[str] = []
        self._seen: dict[int, tuple[int, ...]] = {}
        self._stack = contextlib.AsyncExitStack()
        self._only: Store | None = None
        self.left_out = 0
        """How many other branches the conversations have that were brought."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.aclose()

    @property
    def name(self) -> str:
        """What all of them together are called."""
        return self._names[0] + " ..." * (len(self._names) > 1)

    @property
    def named_like_parts(self) -> bool:
        """Whether one of them is named as a part of an export is."""
        return any(map(numbered, self._names))

    @property
    def closed(self) -> bool:
        """Whether in no file a conversation goes on that another one begins."""
        return all(piece.own for piece in self._pieces)

    async def look(self, *, consent: bool, as_json: bool, quiet: bool) -> Harm:
        """Read all files through; what is wrong with them is named."""
        worst = Harm.NONE
        for number, name in enumerate(self._given):
            self._paths.append(await self._placed(name))
            async with contextlib.AsyncExitStack() as stack:
                only = len(self._given) == 1  # it stays open
                store = await (self._stack if only else stack).enter_async_context(
                    self._opened(number)
                )
                self._only = store if only else None
                harm = await check_damage(store, consent=consent, as_json=as_json, quiet=quiet)
                worst = max(worst, harm)
                self._pieces += await self._found(store, number, whole=harm is Harm.NONE)
        return worst

    async def _found(self, store: "Store", number: int, *, whole: bool) -> list[Piece]:
        """The exports in a file."""
        found = await _exports(store)
        name = self._names[number]
        if self._settings["joined"] and len(self._given) > 1 and any(each.closed for each in found):
            raise UsageError(
                f"--parts: a conversation in {name} goes on in no other file", hint="leave it out"
            )
        return [
            Piece(
                number,
                i,
                each.conversations,
                each.parts,
                apart=each.spans is None and (len(found) > 1 or not whole),
                own=each.closed or (numbered(name) and _named_after(name, each.conversations)),
            )
            for i, each in enumerate(found)
        ]

    def loads(self, *, apart: bool) -> list[Load]:
        """What is brought, in order; CorruptData where parts are missing."""
        loads = plan(self._names, self._pieces, joined=bool(self._settings["joined"]), apart=apart)
        return [
            Load(partial(self._store, load), self._label(load), file_of(load, self._names))
            for load in loads
        ]

    def _label(self, load: Source) -> str:
        return Path(self._names[load[0].file]).name

    # --- opening ----------------------------------------------------------------------------

    async def _placed(self, name: str) -> str:
        """Where a file can be read again: stdin and pipes are copied into one."""
        if name != STDIN and (len(self._given) == 1 or not _is_pipe(name)):
            return name
        spool, path = self._stack.enter_context(_spool())
        if name == STDIN:
            await _take_stdin(spool)
        else:
            await asyncio.to_thread(_append, name, [(0, None)], spool)
        spool.flush()
        return path

    @contextlib.asynccontextmanager
    async def _opened(self, number: int) -> "AsyncIterator[Store]":
        from synmem.backends import open_store

        named = {"path": self._paths[number], "name": self._names[number]}
        async with open_store("file", {**self._settings, **named}) as store:
            self._check_same(number)
            yield store

    def _check_same(self, number: int) -> None:
        """Changed where a file is another one than that which was looked at."""
        path = self._paths[number]
        if self._only is not None or _is_pipe(path):
            return
        now = Path(path).stat()
        state = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
        if self._seen.setdefault(number, state) != state:
            raise Changed(f"{self._names[number]} changed while it was read", hint="run again")

    @contextlib.asynccontextmanager
    async def _store(self, load: Source) -> "AsyncIterator[Store]":
        """What is to be brought as one."""
        from synmem.backends import open_store

        if len(load) == 1 and self._only is not None:
            yield (await _exports(self._only))[load[0].number].store
            self._count_branches(self._only)
        elif len(load) == 1:
            async with self._opened(load[0].file) as store:
                yield (await _exports(store))[load[0].number].store
                self._count_branches(store)
        else:
            with _spool() as (spool, path):
                for piece in load:
                    await self._put(piece, spool)
                spool.flush()
                more = {"path": path, "name": self._names[load[0].file] + " ..."}
                lines = {"format": "jsonl", "joined": True}
                async with open_store("file", {**self._settings, **more, **lines}) as store:
                    yield store

    async def _put(self, piece: Piece, spool: Any) -> None:
        """A piece, as interchange lines."""
        async with self._opened(piece.file) as store:
            exported = (await _exports(store))[piece.number]
            if exported.spans is None:
                await _convert(exported.store, spool)
                self._count_branches(store)
                return
            await asyncio.to_thread(_append, self._paths[piece.file], exported.spans, spool)
            await check_unchanged(store)

    def _count_branches(self, store: "Store") -> None:
        from synmem.store import SupportsBranches

        if isinstance(store, SupportsBranches):
            self.left_out += store.passed_over()


@contextlib.contextmanager
def _spool() -> Iterator[tuple[Any, str]]:
    """A temporary file, and where it lies."""
    from synmem import durable, leftovers

    with contextlib.ExitStack() as stack:
        with room():
            path = stack.enter_context(leftovers.temporary()).part("import")
            spool = durable.create(path)
        try:
            yield _Spool(spool), str(path)
        finally:
            with contextlib.suppress(OSError):  # what did not fit before does not fit now
                spool.close()


class _Spool:
    """What is written to a temporary file."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        """More of it."""
        with room():
            self._file.write(data)

    def flush(self) -> None:
        """Others read it now."""
        with room():
            self._file.flush()


def _shown(name: str) -> str:
    return "stdin" if name == STDIN else name


async def _exports(store: "Store") -> "list[Exported]":
    from synmem.store import Exported, SupportsExports

    if isinstance(store, SupportsExports):
        return await store.exports()
    ids = [info.id async for page in store.conversations() for info in page]
    return [Exported(store, ids, None, None)]


def _named_after(name: str, conversations: Sequence[str]) -> bool:
    """Whether the file is that of one conversation, as `export -o '{id}'` names it."""
    if len(conversations) != 1:
        return False
    from synmem.cli.outputs import name_of
    from synmem.formats.endings import stem_and_ending

    return stem_and_ending(name)[0].endswith(name_of(conversations[0]))


def _is_pipe(name: str) -> bool:
    try:
        mode = Path(name).stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _append(path: str, spans: Sequence[tuple[int, int | None]], spool: Any) -> None:
    """These bytes of a file (None: to its end), and a newline where it lacks one."""
    with Path(path).open("rb") as file:
        last = b"\n"
        for start, stop in spans:
            if start:
                file.seek(start)
            left = sys.maxsize if stop is None else stop - start
            while left and (block := file.read(min(left, _BLOCK))):
                spool.write(block)
                left -= len(block)
                last = block
    if not last.endswith(b"\n"):
        spool.write(b"\n")


async def _convert(store: "Store", spool: Any) -> None:
    from synmem.formats import open_writer
    from synmem.operations.export import Export

    export = Export(store, open_writer("jsonl"))
    async for piece in export.pieces():
        spool.write(piece)
    for each in export.unreadable:
        where = f"conversation {each.conversation_id!r}, message {each.position:,}"
        raise CorruptData(
            f"{store.name}: {where}: {each.reason}", hint="import this file by itself"
        )


# --- stdin ----------------------------------------------------------------------------------


async def _take_stdin(spool: Any) -> None:
    """Copy stdin; UsageError where there is nothing, Changed where it is a file that was written
    over meanwhile."""
    if sys.stdin.isatty():
        raise UsageError("nothing to import", hint="name a FILE, or pipe one in")
    before = _file_behind_stdin()
    size = checksum = 0
    while block := _read_some():
        if block is not _NOTHING_YET:
            spool.write(block)
            size += len(block)
            checksum = zlib.crc32(block, checksum)
        await asyncio.sleep(0)  # an interrupt is heard here
    if not size:
        raise UsageError("stdin is empty: nothing was imported")
    if before is not None and not await asyncio.to_thread(_is_as_read, *before, size, checksum):
        raise Changed("stdin changed while it was read", hint="run again")


def _file_behind_stdin() -> tuple[int, int, int] | None:
    """Where stdin is a file (`< FILE`): its descriptor, where it stands, and when it changed."""
    try:
        descriptor = sys.stdin.fileno()
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            return descriptor, os.lseek(descriptor, 0, os.SEEK_CUR), found.st_mtime_ns
    except (OSError, ValueError):
        pass
    return None


def _is_as_read(descriptor: int, start: int, changed_ns: int, size: int, checksum: int) -> bool:
    """Whether the file still has, from `start`, what was read of it; it may have grown."""
    from synmem.as_read import at_once, is_as_read

    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        same = at_once(is_as_read(file, start, size, checksum))
    now = os.fstat(descriptor)
    return same and (now.st_mtime_ns == changed_ns or now.st_size > start + size)


_NOTHING_YET = b"\0"


def _read_some() -> bytes:
    """What stdin has, or `_NOTHING_YET` after a moment: a read that waits would not be
    interrupted."""
    import select

    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):
        return sys.stdin.buffer.read(_BLOCK)
    if os.name == "posix" and not select.select([descriptor], [], [], 0.2)[0]:
        return _NOTHING_YET
    return os.read(descriptor, _BLOCK)
