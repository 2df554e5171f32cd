"""What was derived from a store and lies in the state folder: where, and how it is forgotten."""

from collections.abc import Iterable
from pathlib import Path

from synmem import folders
from synmem.notes import forget_files, store_folder
from synmem.operations import meaning_index, word_index


def notes_folder(identity: str) -> Path:
    """The folder of the notes on the store of this identity; it need not exist."""
    return store_folder(folders.state_path("notes"), identity)


def index_file(identity: str) -> Path:
    """The index of the words of the store of this identity; it need not exist."""
    return store_folder(folders.state_path("search"), identity).with_suffix(".db")


def meaning_file(identity: str) -> Path:
    """The index of the meanings of the store of this identity; it need not exist."""
    return store_folder(folders.state_path("vectors"), identity).with_suffix(".db")


def forget(identity: str, conversations: Iterable[str]) -> None:
    """Erase what is left of these conversations: their notes, and the indexes of the store.

    For an erasure without a backup. An index is made anew by the next search.
    """
    for conversation in conversations:
        forget_files(notes_folder(identity), conversation)
    word_index.forget(index_file(identity))
    meaning_index.forget(meaning_file(identity))
