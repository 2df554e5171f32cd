"""Embedders: from a text to its vector. What all of them, and their callers, have in common.

Vectors have the length 1; that of a text without a token is all zeros, near to nothing.
"""

from typing import TYPE_CHECKING, Final, Protocol

from synmem.errors import MissingExtra
from synmem.exhaustion import exhausted
from synmem.messages import replaced

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
    text = replaced(text[:EMBEDDED]).strip()
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
