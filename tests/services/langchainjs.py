"""The real LangChain.js, with its histories in PostgreSQL, Redis and MongoDB."""

from functools import partial

from tests.services import node

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


langchainjs = partial(node.running, PACKAGES, "langchainjs_program.cjs")
"""It, until the end."""
