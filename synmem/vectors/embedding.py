"""Embedders: from a text to its vector.

Built in is WordLlama, whose weights and tokenizer lie in the wheel of the package `wordllama`:
256 numbers for a text, the mean over its tokens; no network, and nothing is written. Any server
that speaks OpenAI's embeddings protocol can take its place.

Vectors have the length 1; that of a text without a token is all zeros, near to nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from synmem.errors import MissingExtra, ModelError
from synmem.exhaustion import exhausted

if TYPE_CHECKING:
    import numpy as np

    Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
    Vector = np.ndarray[tuple[int], np.dtype[np.float32]]

PIECE: Final = 500
"""Characters of the longest text that is embedded whole; a longer one has several pieces.

The mean over a whole page says nothing of a sentence in it."""

EMBEDDED: Final = 100_000
"""Characters of a text that are embedded, from its beginning: who pastes a whole log into a chat
shall not wait for minutes, nor pay a server for it."""


class Embedder(Protocol):
    """Whatever makes vectors of texts; SynapseKit's embeddings are one too."""

    model: str
    """What tells its vectors from another's: they cannot be compared."""

    async def embed(self, texts: list[str]) -> "Matrix":
        """A row of length 1 for each text, in their order. ModelError where the model fails."""
        ...


def embedder_of(settings: Mapping[str, Any]) -> Embedder:
    """The embedder that `[embedding]` of the configuration asks for; WordLlama without any.

    `settings` are what `embedding_settings` gives.
    """
    given = dict(settings)
    if given.pop("provider", "wordllama") == "openai":
        from synmem.vectors.endpoint import OpenAIEmbedder

        return OpenAIEmbedder(**given)
    return WordLlama()


async def embed_query(embedder: Embedder, text: str) -> "Vector":
    """The vector of a question of any length, of which so much counts as is embedded."""
    rows = await embedder.embed(pieces(text))
    mean: Vector = normal(rows.sum(axis=0, keepdims=True))[0]
    return mean


def kind_of(embedder: Embedder, vector: "Vector") -> str:
    """What vectors must have in common to be compared: their model and their length."""
    return f"{embedder.model}, {len(vector)} numbers"


def pieces(text: str) -> list[str]:
    """The text, up to `EMBEDDED` characters, in pieces that can be embedded; none where there is
    nothing to embed.

    Cut behind a line, a sentence or a word where one ends in a piece's second half. Lone
    surrogates, which no model takes, become question marks.
    """
    text = text[:EMBEDDED].encode("utf-8", "replace").decode().strip()
    found = []
    start = 0
    while len(text) - start > PIECE:
        end = _cut(text, start)
        found.append(text[start:end].rstrip())
        start = end
    rest = text[start:].strip()
    return [each for each in (*found, rest) if each]


def _cut(text: str, start: int) -> int:
    for mark in ("\n", ". ", " "):
        end = text.rfind(mark, start + PIECE // 2, start + PIECE)
        if end > 0:
            return end + len(mark)
    return start + PIECE


def normal(matrix: "Matrix") -> "Matrix":
    """The rows at length 1; a row of zeros stays one."""
    import numpy as np

    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    rows: Matrix = np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0)
    return rows


def missing(error: ImportError, extra: str) -> MissingExtra:
    """What to install for what could not be imported; the error itself where memory was missing."""
    if exhausted(error):
        raise error
    return MissingExtra(
        f"search by meaning needs the package {error.name or extra!r}",
        hint=f"pip install 'synmem-cli[{extra}]'",
    )


# --- built in -------------------------------------------------------------------------------


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
            some = [text.encode("utf-8", "replace").decode() for text in texts[start:][:_TOGETHER]]
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
