"""The real LlamaIndex."""

import contextlib
from collections.abc import Iterator

from tests.services import framework
from tests.services.framework import Framework

CORE = ("llama-index-core==0.14.25", "pydantic==2.11.10")
STORES = {
    "dynamodb": "llama-index-storage-chat-store-dynamodb==0.6.0",
    "mongo": "llama-index-storage-chat-store-mongo==0.5.0",
    "postgres": "llama-index-storage-chat-store-postgres==0.5.0",
    "redis": "llama-index-storage-chat-store-redis==0.8.0",
    "sqlite": "llama-index-storage-chat-store-sqlite==0.4.0",
}
"""Those that wrote the fixtures."""

LlamaIndex = Framework


@contextlib.contextmanager
def llamaindex(*stores: str) -> Iterator[LlamaIndex]:
    """It, with the packages of these stores, until the end; SQLAlchemy's is in its core."""
    packages = (*CORE, *(STORES[store] for store in stores))
    with framework.running(packages, "llamaindex_program.py") as running:
        yield running
