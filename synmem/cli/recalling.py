"""Recall for a command: the embedding model that is configured, the store's index, progress."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synmem.cli.progress import progress
from synmem.cli.run import Session

if TYPE_CHECKING:
    from synmem.operations.searching.recall import Meanings
    from synmem.profiles import Profile
    from synmem.store import Store


@contextlib.contextmanager
def recalling(
    session: Session, profile: "Profile", store: "Store", *, rebuild: bool = False
) -> Iterator["Meanings"]:
    """What was meant in this store; `[embedding]` of the configuration says by which model.

    A person on a terminal sees how the indexing goes on, and everybody how much was indexed.
    """
    from synmem.embedding_settings import embedding_settings
    from synmem.operations.derived import meaning_file
    from synmem.operations.searching.recall import Meanings
    from synmem.vectors import embedder_of

    embedder = embedder_of(embedding_settings(session.config))
    index = meaning_file(profile.identity)
    with progress("indexing messages", quiet=session.quiet) as bar:
        yield Meanings(store, embedder, index, session.note, bar.advance, rebuild)
