"""The embedder that is built in: WordLlama, whose weights and tokenizer lie in the wheel of the
package `wordllama`. 256 numbers for a text, the mean over its tokens; no network, and nothing is
written.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from synmem.errors import ModelError
from synmem.messages import replaced
from synmem.vectors.embedding import missing, normal

if TYPE_CHECKING:
    from synmem.vectors.embedding import Matrix, Vector


class WordLlama:
    """The model in the wheel of `wordllama`: offline, tens of thousands of texts a second.

    Weights and tokenizer are read from the package's folder. The package itself is not imported:
    it would look for downloads, and set up the program's logging.
    """

    model = "wordllama/l2_supercat_256"

    def __init__(self) -> None:
        """The model is read by the first `embed`. MissingExtra then, where it is not there."""
        self._read: tuple[Any, Matrix] | None = None

    async def embed(self, texts: list[str]) -> "Matrix":
        """See `Embedder.embed`."""
        return await asyncio.to_thread(self._embed, texts)

    async def embed_one(self, text: str) -> "Vector":
        """The vector of one text, as SynapseKit's vector stores ask for it."""
        vector: Vector = (await self.embed([text]))[0]
        return vector

    def _embed(self, texts: list[str]) -> "Matrix":
        if self._read is None:
            self._read = _read_model()
        import numpy as np

        tokenizer, weights = self._read
        sums = np.zeros((len(texts), weights.shape[1]), np.float32)
        for start in range(0, len(texts), _TOGETHER):
            some = [replaced(text) for text in texts[start:][:_TOGETHER]]
            encoded = tokenizer.encode_batch_fast(some, add_special_tokens=False)
            _add_tokens(sums[start : start + _TOGETHER], [each.ids for each in encoded], weights)
        return normal(sums)  # the mean, at length 1, is the sum at length 1


_TOGETHER: Final = 256  # texts; their tokens' vectors are in memory at once


def _add_tokens(sums: "Matrix", tokens: Sequence[list[int]], weights: "Matrix") -> None:
    """Add to each row the vectors of its tokens."""
    import numpy as np

    rows = [row for row, ids in enumerate(tokens) if ids]
    if not rows:
        return
    flat = np.concatenate([np.asarray(tokens[row], np.int64) for row in rows])
    starts = np.cumsum([0] + [len(tokens[row]) for row in rows[:-1]])
    sums[rows] = np.add.reduceat(weights[flat], starts, axis=0)


def _read_model() -> "tuple[Any, Matrix]":
    import importlib.util

    try:
        import numpy as np
        from safetensors import SafetensorError, safe_open
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing(error, "vector") from error
    package = importlib.util.find_spec("wordllama")
    if package is None or not package.submodule_search_locations:
        raise missing(ModuleNotFoundError(name="wordllama"), "vector")
    folder = Path(package.submodule_search_locations[0])
    try:
        with safe_open(folder / "weights" / "l2_supercat_256.safetensors", framework="np") as file:
            weights = file.get_tensor("embedding.weight").astype(np.float32)
        names = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
        tokenizer = Tokenizer.from_file(str(names))
    except Exception as error:  # tokenizers raises plain Exceptions
        if not isinstance(error, OSError | SafetensorError) and type(error) is not Exception:
            raise
        raise ModelError(
            f"the embedding model in {folder} cannot be read: {error}",
            hint="pip install --force-reinstall wordllama",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, weights
