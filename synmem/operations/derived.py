"""What was derived from a store and lies in the state folder: where, and how it is forgotten."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from synmem import folders
from synmem.notes import NOT_BESIDE, forget_files, store_folder
from synmem.operations.searching import index_file
from synmem.store import Store, SupportsNotes


def notes_folder(identity: str) -> Path:
    """The folder of the notes on the store of this identity; it need not exist."""
    return store_folder(folders.state_path("notes"), identity)


def word_file(identity: str) -> Path:
    """The index of the words of the store of this identity; it need not exist."""
    return store_folder(folders.state_path("search"), identity).with_suffix(".db")


def meaning_file(identity: str) -> Path:
    """The index of the meanings of the store of this identity; it need not exist."""
    return store_folder(folders.state_path("vectors"), identity).with_suffix(".db")


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
    index_file.forget(word_file(identity))
    index_file.forget(meaning_file(identity))
