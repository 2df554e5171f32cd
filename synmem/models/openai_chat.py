"""OpenAI's chat completions, of OpenAI itself or of any server that speaks them."""

from collections.abc import Mapping
from typing import Any

import openai

from synmem.models.answering import client_settings, shown, translating, whole


class Chat:
    """A model behind `POST {base_url}/chat/completions`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._name = shown("OpenAI", settings)
        self._model = settings["model"]
        self._limit = settings.get("max_output_tokens")
        self._secrets = {settings["api_key"].strip()}
        # The newer models of OpenAI refuse the name that all the other servers know.
        key = "max_tokens" if settings.get("base_url") else "max_completion_tokens"
        self._options = {key: self._limit} if self._limit else {}
        with translating(openai, self._name, self._secrets):
            self._client = openai.AsyncOpenAI(**client_settings(openai, settings))

    async def generate(self, prompt: str) -> str:
        """See `LLM.generate`."""
        with translating(openai, self._name, self._secrets):
            answer = await self._client.chat.completions.create(
                model=self._model, messages=[{"role": "user", "content": prompt}], **self._options
            )
            choice = answer.choices[0]
            text, why = choice.message.content, choice.finish_reason
        return whole(text, self._name, cut=why == "length", limit=self._limit)

    async def close(self) -> None:
        """See `Model.close`."""
        await self._client.close()


def open(settings: Mapping[str, Any]) -> Chat:
    """The model that these settings name; nothing is sent yet."""
    return Chat(settings)
