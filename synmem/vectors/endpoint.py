"""An embeddings endpoint: OpenAI's, or any server's that speaks its protocol."""

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from synmem.errors import ModelError
from synmem.masking import mask
from synmem.models.answering import checked_key, client_settings, translating
from synmem.vectors.embedding import missing, normal

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from synmem.vectors.embedding import Matrix, Vector

_DEFAULT_MODEL: Final = "text-embedding-3-small"
_REQUEST_TEXTS, _REQUEST_CHARACTERS = 512, 200_000  # OpenAI takes 2,048 texts, 300,000 tokens
_AT_ONCE: Final = 4


class OpenAIEmbedder:
    """An embeddings endpoint that speaks OpenAI's protocol, through the package `openai`.

    Without `api_key` it is OPENAI_API_KEY's; a server of one's own (`base_url`) may need none.
    The client tries again by itself where a server is busy or limits the rate.
    """

    def __init__(
        self,
        model: str = _DEFAULT_MODEL,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        dimensions: int | None = None,
        timeout_s: float = 60,
        attempts: int = 3,
    ) -> None:
        """`dimensions`: how many numbers a vector shall have, where the model can be asked."""
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        place = mask(self._base_url or "OpenAI")
        self.model = f"openai/{model}/{dimensions or 'all'} at {place}"
        self._shown = f"{model} at {place}"
        self._name = model
        self._api_key = api_key
        self._dimensions = dimensions
        self._timeout_s = timeout_s
        self._attempts = attempts

    async def embed(self, texts: list[str]) -> "Matrix":
        """See `Embedder.embed`."""
        try:
            import numpy as np
            import openai
        except ImportError as error:
            raise missing(error, "vector,openai") from error
        if not texts:
            return np.zeros((0, self._dimensions or 0), np.float32)
        settings = self._connection()
        with translating(openai, self._shown, self._secrets(), table="embedding"):
            limit = asyncio.Semaphore(_AT_ONCE)
            async with openai.AsyncOpenAI(**client_settings(openai, settings)) as client:
                requests = [self._request(client, some, limit) for some in _requests(texts)]
                rows = [row for answer in await _all(requests) for row in answer]
            matrix = np.asarray(rows, np.float32)  # ValueError where they have several lengths
            if matrix.ndim != 2 or len(matrix) != len(texts) or not np.isfinite(matrix).all():
                raise ValueError("no vector for each text")
        return normal(matrix)

    async def embed_one(self, text: str) -> "Vector":
        """The vector of one text, as SynapseKit's vector stores ask for it."""
        vector: Vector = (await self.embed([text]))[0]
        return vector

    def _connection(self) -> dict[str, Any]:
        """What the client is told; no key is looked up before it is needed."""
        key = self._key()
        if not key and self._base_url is None:
            raise ModelError(
                f"there is no key for {self._shown}",
                hint="OPENAI_API_KEY, or api_key_command in [embedding] of config.toml",
            )
        return {
            "api_key": key or "none",  # a server of one's own may want none
            "base_url": self._base_url,
            "timeout_s": self._timeout_s,
            "attempts": self._attempts,
        }

    def _key(self) -> str:
        name = "OPENAI_API_KEY"
        return checked_key(self._api_key or "", "api_key") or checked_key(
            os.environ.get(name, ""), name
        )

    def _secrets(self) -> set[str]:
        return {self._key()} - {""}

    async def _request(
        self, client: "AsyncOpenAI", texts: list[str], limit: asyncio.Semaphore
    ) -> list[list[float]]:
        options: dict[str, Any] = {} if self._dimensions is None else {
            "dimensions": self._dimensions
        }  # fmt: skip
        async with limit:
            # Left alone the client asks for base64, which not every server knows.
            answer = await client.embeddings.create(
                model=self._name, input=texts, encoding_format="float", **options
            )
        data = sorted(answer.data or (), key=lambda each: each.index)
        return [each.embedding for each in data]


async def _all(requests: "list[Any]") -> list[Any]:
    """All answers; where one request fails the others are ended."""
    tasks = [asyncio.ensure_future(request) for request in requests]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _requests(texts: list[str]) -> list[list[str]]:
    """The texts in as many requests as a server's limits ask for."""
    found: list[list[str]] = [[]]
    characters = 0
    for text in texts:
        characters += len(text)
        if len(found[-1]) == _REQUEST_TEXTS or (found[-1] and characters > _REQUEST_CHARACTERS):
            found.append([])
            characters = len(text)
        found[-1].append(text)
    return found
