"""A file that is open: read by one at a time, followed where it grows, and held against what it
was when it was opened."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from synmem.as_read import at_once
from synmem.backends.file.line_index import Index
from synmem.backends.file.opening import (
    Opened,
    Reading,
    Steps,
    changed,
    indexing,
    still,
    tail,
    translating,
    unchanged,
)
from synmem.backends.file.slices import in_slices
from synmem.backends.paging import closed
from synmem.errors import Changed

_T = TypeVar("_T")


class Held:
    """The file of one or several stores, and its index."""

    def __init__(self, path: Path, name: str, opened: Opened) -> None:
        self.name = name
        self._path = path
        self._opened = opened
        self._seeking = threading.Lock()
        self._looking = asyncio.Lock()

    @property
    def file(self) -> BinaryIO:
        """The file, for who holds it: see `still`, `watched`."""
        return self._opened.file

    @property
    def index(self) -> Index:
        """Its lines, as far as they were looked at."""
        return self._opened.index

    @property
    def reading(self) -> Reading:
        """How it is read."""
        return self._opened.reading

    @contextmanager
    def still(self) -> Iterator[None]:
        """While nobody else seeks in it: Changed where it is another file than before."""
        self._check_open()
        with self._seeking, translating(self.name):
            if self._opened.identity is not None:
                self._still()
            yield

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The same, looked at afterwards too, and read again where only its clock has moved."""
        self._check_open()
        with self._seeking, translating(self.name):
            if self._opened.identity is not None:
                self._hold(self._still())
            yield
            if self._opened.identity is not None:
                self._still()

    async def check_unchanged(self) -> None:
        """See `SupportsUnchanged`: of JSON Lines; other forms were held against the file when it
        was opened."""
        opened = self._opened
        if opened.identity is not None:
            same = unchanged(opened.file, self._path, opened.identity, opened.index)
            if not await in_slices(self._alone(same)):
                raise self.changed()

    def changed(self) -> Changed:
        """What is said when it was written over."""
        return changed(self.name)

    def close(self) -> None:
        """Give the file back."""
        self._opened.file.close()

    @property
    def copied(self) -> bool:
        """Whether the lines stand in a temporary file, and not as they are at the path."""
        return self._opened.identity is None

    async def look(self) -> Index:
        """The index, with what was appended to the file since."""
        self._check_open()
        async with self._looking:
            opened = self._opened
            if opened.identity is not None:
                now = self._still()
                if now.st_size > opened.identity.st_size:
                    await in_slices(self._grow(opened, now))
            return self._opened.index

    def _check_open(self) -> None:
        if self._opened.file.closed:
            raise closed(self.name)

    def _alone(self, steps: Steps[_T]) -> Steps[_T]:
        """These steps, each while nobody else seeks in the file."""
        while True:
            with self._seeking, translating(self.name):
                try:
                    next(steps)
                except StopIteration as stop:
                    return cast(_T, stop.value)
            yield

    def _still(self) -> os.stat_result:
        """The file's state, which may have grown but not changed otherwise."""
        now = still(self._path, cast(os.stat_result, self._opened.identity))
        if now is None:
            raise self.changed()
        return now

    def _hold(self, now: os.stat_result) -> None:
        """The file is read again where only its own clock says that it was written to: a time of
        change can be set back, and a mere `chmod` is no harm."""
        opened = self._opened
        before = cast(os.stat_result, opened.identity)
        if now.st_size == before.st_size and now.st_ctime_ns != before.st_ctime_ns:
            if not at_once(unchanged(self._opened.file, self._path, before, opened.index)):
                raise self.changed()
            self._opened = replace(opened, identity=now)

    def _grow(self, opened: Opened, now: os.stat_result) -> Steps[None]:
        with self._seeking, translating(self.name):
            if tail(self._opened.file, opened.index.end) != opened.tail:
                raise self.changed()
        index = opened.index
        if index.torn:  # its last line may have gone on
            index = opened.reading.index(self._opened.file)
        yield from self._alone(indexing(index, self._opened.file, self.name))
        self._opened = Opened(
            self._opened.file, index, opened.reading, now, tail(self._opened.file, index.end)
        )
