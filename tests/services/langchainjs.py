"""The real LangChain.js, with its histories in PostgreSQL, Redis and MongoDB."""

import contextlib
from collections.abc import Iterator

from tests.services import node
from tests.services.framework import Framework

PACKAGES = {
    "@langchain/community": "1.1.29",
    "@langchain/core": "1.4.0",
    "@langchain/mongodb": "1.3.1",
    "@langchain/redis": "1.1.2",
    "ioredis": "5.9.3",
    "mongodb": "6.22.0",
    "pg": "8.23.1",
    "redis": "4.7.1",
}
"""The packages that wrote the fixtures, and the drivers that they are given."""


@contextlib.contextmanager
def langchainjs() -> Iterator[Framework]:
    """It, until the end."""
    with node.running(PACKAGES, "langchainjs_program.cjs") as running:
        yield running
