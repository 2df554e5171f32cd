"""What was derived from a store and lies in the state folder: where, and how it is forgotten."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from synmem import folders
from synmem.errors import SynmemError
from synmem.notes import NOT_BESIDE, forget_files, store_folder
from synmem.operations.searching import index_file
from synmem.store import Store, SupportsNotes


def notes_folder(identity: str) -> Path:
    """The folder of the notes on the store of this identity; it need not exist."""
    return store_folder(folders.state_path("notes"), identity)


def word_file(identity: str) -> Path:
    """The index of the words of the store of this identity; it need not exist."""
    return store_folder(folders.state_path("search"), identity).with_suffix(".db")


def meaning_file(identity: str, *, offline: bool = False) -> Path:
    """The index of the meanings of the store of this identity; it need not exist. `offline`: by the
    model that needs no network, where another is configured."""
    folder = folders.state_path("vectors", "offline") if offline else folders.state_path("vectors")
    return store_folder(folder, identity).with_suffix(".db")


def _index_files(identity: str) -> list[tuple[str, Path]]:
    """What the indexes in the state folder are of, and their files; none of these need exist."""
    return [
        ("words", word_file(identity)),
        ("meanings", meaning_file(identity)),
        ("meanings", meaning_file(identity, offline=True)),
    ]


class IndexFile(NamedTuple):
    """An index of a store: of its words, its meanings, or what a listing saw of its files; where it
    lies, and how large it is."""

    kind: str
    path: Path
    bytes: int


def indexes_of(identity: str, place: Path | None) -> list[IndexFile]:
    """The indexes that there are of the store of this identity, in the file or folder there."""
    files = folders.listing_files(place) if place else ()
    every = [*_index_files(identity), *(("files", file) for file in files)]
    return [IndexFile(kind, path, path.stat().st_size) for kind, path in every if path.is_file()]


def forget_indexes(identity: str, place: Path | None) -> list[IndexFile]:
    """Remove these indexes; those that there were. SynmemError where one cannot be."""
    there = indexes_of(identity, place)
    try:
        for each in there:
            index_file.forget(each.path)
    except OSError as error:
        why = error.strerror or str(error)
        raise SynmemError(f"an index cannot be removed: {error.filename}: {why}") from error
    return there


async def forget_beside(store: Store, conversation: str) -> None:
    """Erase the notes on a conversation that lie beside it: what they were made of was erased."""
    if isinstance(store, SupportsNotes):
        with contextlib.suppress(*NOT_BESIDE):
            for name in (await store.notes([conversation])).get(conversation, {}):
                await store.set_note(conversation, name, None)


def forget(identity: str, conversations: Iterable[str]) -> None:
    """Erase what is left of these conversations: their notes, and the indexes of the store.

    For an erasure without a backup. An index is made anew by the next search.
    """
    forget_files(notes_folder(identity), conversations)
    for _, file in _index_files(identity):
        index_file.forget(file)
