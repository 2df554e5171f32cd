"""The built-in vector store: texts, their metadata and vectors in an SQLite file.

Data layout: a table `text(id, text, metadata, embedded)`, the text in UTF-8 (a lone surrogate as
three bytes), `metadata` as JSON; a table `block(id, numbers, vectors)` with the vectors of each
call of `add`, whose numbers are ids of `text` (see `vectors.nearest`); and `about(kind)`, one
row: whose vectors they are, and how long. Another embedder makes them anew from the texts, once;
`embedded` is 0 for those whose turn is still to come. No loadable extension is needed.

A connection is opened for each call and closed after it: programs and tasks may share the file.
"""

import asyncio
import contextlib
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypedDict, TypeVar, runtime_checkable

from synmem.errors import AccessDenied, CorruptData, ModelError, StoreError, StoreUnavailable
from synmem.exhaustion import exhausted
from synmem.finishing import to_its_end
from synmem.messages import dump_json
from synmem.vectors import tables
from synmem.vectors.embedding import Embedder, embed_query, kind_of, pieces
from synmem.vectors.nearest import packed_vectors
from synmem.vectors.tables import Vectors
from synmem.vectors.wordllama import WordLlama

_BUSY_S: Final = 10.0
_BUSY_AT_ONCE_S: Final = 0.1
_TEXTS: Final = 2000  # embedded at a time where the embedder changed

Result = TypeVar("Result")


class Found(TypedDict):
    """A text that a search found; the score is 1 for the same meaning, 0 for nothing in common."""

    text: str
    score: float
    metadata: dict[str, Any]


class AnyVectorStore(Protocol):
    """What a memory needs of a vector store; SynapseKit's own fit."""

    async def add(self, texts: list[str], metadata: list[dict[str, Any]] | None = None) -> Any:
        """Remember these texts, each with its metadata."""
        ...

    async def search(self, query: str, top_k: int = 5) -> Sequence[Mapping[str, Any]]:
        """The texts nearest to a query: dicts of `text`, `score` and `metadata`."""
        ...


@runtime_checkable
class SupportsDelete(Protocol):
    """A vector store that can forget."""

    async def delete(self, metadata_filter: dict[str, Any] | None = None) -> int:
        """Forget the texts whose metadata has all these values, or every text; how many."""
        ...


class VectorStore:
    """Texts found again by their meaning, in one file.

    store = VectorStore("recall.db")
    await store.add(["Grace likes tea"], [{"role": "user"}])
    await store.search("what does Grace drink?", top_k=1)
    """

    def __init__(self, path: str | os.PathLike[str], embedder: Embedder | None = None) -> None:
        """The file is made by the first `add`; without an `embedder` it is WordLlama."""
        self._file = Path(path).expanduser()
        self._embedder = WordLlama() if embedder is None else embedder

    async def add(
        self, texts: list[str], metadata: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        """Remember these texts, each with its metadata: all of them or, where it fails, none.

        A text without a word is kept, and no search finds it. Of a long one the first 100,000
        characters are what it is found by (`embedding.EMBEDDED`).
        """
        beside = [{} for _ in texts] if metadata is None else list(metadata)
        if len(beside) != len(texts):
            raise ValueError("metadata must have one entry for each text")
        rows = [
            (text.encode("utf-8", "surrogatepass"), dump_json(dict(each)).decode())
            for text, each in zip(texts, beside, strict=True)
        ]
        if not rows:
            return
        vectors = await self._vectors(texts)
        await self._run(lambda db: tables.add(db, rows, vectors))

    async def search(
        self, query: str, top_k: int = 5, metadata_filter: dict[str, Any] | None = None
    ) -> list[Found]:
        """The texts nearest in meaning to `query`, the nearest first; no more than `top_k`.

        With a `metadata_filter`, of those whose metadata has all these values.
        """
        if top_k < 1 or not query.strip() or not self._file.exists():
            return []
        vector = await embed_query(self._embedder, query)
        await self._embed_anew(kind_of(self._embedder, vector))
        found = await self._run(
            lambda db: tables.search(db, vector, top_k, metadata_filter), write=False
        )
        return [Found(text=text, score=score, metadata=beside) for text, score, beside in found]

    async def delete(self, metadata_filter: dict[str, Any] | None = None) -> int:
        """Forget the texts whose metadata has all these values, or every text; how many.

        Nothing of them stays in the file.
        """
        if not self._file.exists():
            return 0
        return await self._run(lambda db: tables.delete(db, metadata_filter))

    async def count(self) -> int:
        """How many texts are remembered."""
        if not self._file.exists():
            return 0
        return await self._run(tables.count, write=False)

    async def _embed_anew(self, kind: str) -> None:
        """Make the vectors that another embedder made, or that are still to be made."""
        while not await self._run(lambda db: tables.is_whole(db, kind), write=False):
            rows = await self._run(lambda db: tables.begin_anew(db, kind, _TEXTS))
            vectors = await self._vectors([text for _, text in rows])
            if vectors.kind not in (None, kind):
                raise ModelError("the embedding model answers with vectors of several lengths")
            ids = [number for number, _ in rows]
            await self._run(functools.partial(tables.embed, ids=ids, vectors=vectors))

    async def _vectors(self, texts: Sequence[str]) -> Vectors:
        cut = [(i, piece) for i, text in enumerate(texts) for piece in pieces(text)]
        if not cut:
            return Vectors(None, [], b"")
        matrix = await self._embedder.embed([piece for _, piece in cut])
        kind = kind_of(self._embedder, matrix[0])
        return Vectors(kind, [i for i, _ in cut], packed_vectors(matrix))

    async def _run(
        self, work: Callable[[sqlite3.Connection], Result], *, write: bool = True
    ) -> Result:
        """One transaction, in a thread, which ends before a cancellation is told."""
        cancelled = threading.Event()
        transaction = asyncio.to_thread(_transaction, self._file, work, write, cancelled)
        return await to_its_end(transaction, hurry=cancelled.set)


def _transaction(
    file: Path,
    work: Callable[[sqlite3.Connection], Result],
    write: bool,
    cancelled: threading.Event,
) -> Result:
    with _translating(file), contextlib.closing(_connect(file)) as db:
        if write:
            db.execute("PRAGMA secure_delete = ON")
        _begin(db, "BEGIN IMMEDIATE" if write else "BEGIN", cancelled)
        db.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000:.0f}")
        tables.prepare(db, file)
        result = work(db)
        db.execute("COMMIT")
        return result


def _begin(db: sqlite3.Connection, begin: str, cancelled: threading.Event) -> None:
    """Wait for the lock of another program, but not for somebody who was cancelled."""
    patience = time.monotonic() + _BUSY_S
    while True:
        try:
            db.execute(begin)
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or cancelled.is_set() or time.monotonic() > patience:
                raise
        else:
            return


def _connect(file: Path) -> sqlite3.Connection:
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))  # from chats: private
    return sqlite3.connect(file, timeout=_BUSY_AT_ONCE_S, isolation_level=None)


@contextlib.contextmanager
def _translating(file: Path) -> Iterator[None]:
    """Turn the exceptions of SQLite and of the file system into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, file) from error
    except PermissionError as error:
        raise AccessDenied(f"{file}: {error.strerror}", hint="check its permissions") from error
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror or error}") from error


def _translated(error: sqlite3.Error, file: Path) -> StoreError:
    text = f"{file}: {error}"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreUnavailable(text, hint="another program writes to it; try again")
    if code == sqlite3.SQLITE_CANTOPEN and (ran_out := exhausted(error)):
        return StoreUnavailable(f"{file}: {ran_out.what}", hint=ran_out.hint)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return AccessDenied(text, hint="check the permissions of the file and its folder")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CorruptData(text)
    return StoreError(text)
