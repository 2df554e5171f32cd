"""Anthropic's messages."""

from collections.abc import Mapping
from typing import Any, Final

import anthropic

from synmem.models.answering import client_settings, shown, translating, whole

_MAX_OUTPUT_TOKENS: Final = 4096
"""Where none is configured: the protocol wants a number."""


class Messages:
    """A model behind `POST {base_url}/v1/messages`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._name = shown("Anthropic", settings)
        self._model = settings["model"]
        self._limit = settings.get("max_output_tokens") or _MAX_OUTPUT_TOKENS
        self._secrets = {settings["api_key"].strip()}
        with translating(anthropic, self._name, self._secrets):
            self._client = anthropic.AsyncAnthropic(**client_settings(anthropic, settings))

    async def generate(self, prompt: str) -> str:
        """See `LLM.generate`."""
        with translating(anthropic, self._name, self._secrets):
            answer = await self._client.messages.create(
                model=self._model,
                max_tokens=self._limit,
                messages=[{"role": "user", "content": prompt}],
            )
            text = "".join(block.text for block in answer.content if block.type == "text")
            why = answer.stop_reason
        return whole(text, self._name, cut=why == "max_tokens", limit=self._limit)

    async def close(self) -> None:
        """See `Model.close`."""
        await self._client.close()


def open(settings: Mapping[str, Any]) -> Messages:
    """The model that these settings name; nothing is sent yet."""
    return Messages(settings)
