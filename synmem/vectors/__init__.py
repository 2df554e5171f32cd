"""Vectors: texts as numbers whose nearness is nearness in meaning.

`VectorStore` keeps texts in an SQLite file and finds those nearest to a query. Whatever has its
`add` and `search` can stand in for it, SynapseKit's vector stores for instance (`AnyVectorStore`).
"""

from synmem.vectors.choosing import embedder_of
from synmem.vectors.embedding import Embedder
from synmem.vectors.endpoint import OpenAIEmbedder
from synmem.vectors.store import AnyVectorStore, Found, SupportsDelete, VectorStore
from synmem.vectors.wordllama import WordLlama

__all__ = [
    "AnyVectorStore",
    "Embedder",
    "Found",
    "OpenAIEmbedder",
    "SupportsDelete",
    "VectorStore",
    "WordLlama",
    "embedder_of",
]
