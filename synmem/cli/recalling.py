"""Recall for a command: the embedding model that is configured, the store's index, progress."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from synmem.cli.progress import progress
from synmem.cli.run import Session
from synmem.cli.words import place

if TYPE_CHECKING:
    from synmem.operations.searching.recall import Meanings
    from synmem.profiles import Profile
    from synmem.store import Store
    from synmem.vectors.embedding import Embedder


class Model(NamedTuple):
    """An embedding model; `offline` where it stands in for the one that is configured."""

    embedder: "Embedder"
    offline: bool = False


def model_of(session: Session, *, offline: bool = False) -> Model:
    """The model that `[embedding]` of the configuration names; or where it is to be `offline`, the
    one that needs no network."""
    from synmem.vectors import embedder_of

    if offline and not _is_offline(session):
        session.note("by the offline model: nothing of what is on this machine leaves it")
        return Model(embedder_of({}), offline=True)
    from synmem.embedding_settings import embedding_settings

    return Model(embedder_of(embedding_settings(session.config)))


def _is_offline(session: Session) -> bool:
    from synmem.embedding_settings import provider_of

    return provider_of(session.config) == "wordllama"


@contextlib.contextmanager
def recalling(
    session: Session,
    profile: "Profile",
    store: "Store",
    *,
    rebuild: bool = False,
    model: Model | None = None,
) -> Iterator["Meanings"]:
    """What was meant in this store; `[embedding]` of the configuration says by which model, unless
    one is given.

    A person on a terminal sees how the indexing goes on, and everybody how much was indexed.
    """
    from synmem.operations.derived import meaning_file
    from synmem.operations.searching.recall import Meanings

    embedder, offline = model or model_of(session)
    index = meaning_file(profile.identity, offline=offline)
    with progress(f"Indexing {place(store.name)}", quiet=session.quiet) as bar:
        yield Meanings(store, embedder, index, session.note, bar.advance, rebuild)
