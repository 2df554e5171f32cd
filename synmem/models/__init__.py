"""Models: what answers a prompt, and how many tokens a text has.

An `LLM` is anything with `async generate(prompt) -> str`. The configured one is a `Model`: opened
when it is asked for the first time, so that who needs no answer needs no key and no package.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from synmem.errors import MissingExtra
from synmem.exhaustion import exhausted
from synmem.messages import replaced
from synmem.models.tokens import CHARACTERS_PER_TOKEN, Count, estimate_tokens

__all__ = ["CHARACTERS_PER_TOKEN", "LLM", "PROVIDERS", "Count", "Model", "estimate_tokens"]

PROVIDERS: Final = {
    "openai": "openai_chat",
    "anthropic": "anthropic_messages",
    "command": "command",
}
"""Provider -> its module here, which holds `open(settings)`; imported when it is asked."""


class LLM(Protocol):
    """Anything that answers."""

    async def generate(self, prompt: str) -> str:
        """The answer; whatever it raises ends what asked, and nothing was changed."""
        ...


class Opened(LLM, Protocol):
    """A provider's adapter."""

    async def close(self) -> None:
        """Give its connections back."""
        ...


class Model:
    """The model of a provider. ModelError where it fails; `calls` counts what it was asked."""

    def __init__(
        self,
        provider: str,
        settings: Callable[[], Mapping[str, Any]],
        heard: Callable[[], object] = lambda: None,
    ) -> None:
        """`settings` are looked up at the first call: they may run a command for the key.

        `heard` is called after each answer.
        """
        self._provider = provider
        self._settings = settings
        self._heard = heard
        self._opened: Opened | None = None
        self.calls = 0

    async def generate(self, prompt: str) -> str:
        """The answer, never empty, without white space around it.

        A lone surrogate, which no server takes, becomes "?", both ways; a NUL in an answer goes.
        """
        if self._opened is None:
            self._opened = _open(self._provider, self._settings())
        self.calls += 1
        answer = await self._opened.generate(replaced(prompt))
        self._heard()
        return replaced(answer).replace("\0", "")

    async def close(self) -> None:
        """Give connections back; twice is once."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()


def _open(provider: str, settings: Mapping[str, Any]) -> Opened:
    import importlib

    try:
        module = importlib.import_module(f"{__name__}.{PROVIDERS[provider]}")
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "synmem" or exhausted(error):
            raise  # a bug of ours, or there is no memory for it
        raise MissingExtra(
            f"models of {provider} need a package that is not installed",
            hint=f"pip install 'synmem-cli[{provider}]'",
        ) from error
    opened: Opened = module.open(settings)
    return opened
