"""Which embedder the configuration asks for."""

from collections.abc import Mapping
from typing import Any

from synmem.vectors.embedding import Embedder
from synmem.vectors.wordllama import WordLlama


def embedder_of(settings: Mapping[str, Any]) -> Embedder:
    """The embedder that `[embedding]` of the configuration asks for; WordLlama without any.

    `settings` are what `embedding_settings` gives.
    """
    given = dict(settings)
    if given.pop("provider", "wordllama") == "openai":
        from synmem.vectors.endpoint import OpenAIEmbedder

        return OpenAIEmbedder(**given)
    return WordLlama()
