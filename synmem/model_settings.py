"""Which model is asked: the table `[llm]` of config.toml, and how it is overridden.

For each key the first that is set counts: the flag (`--model`), SYNMEM_LLM_<KEY>, config.toml,
the default. Nothing here asks a model, and no key is looked up before one is asked.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from synmem.config import Config, load
from synmem.errors import ModelError, ProfileError
from synmem.models.answering import checked_key
from synmem.models.tokens import CHARACTERS_PER_TOKEN
from synmem.settings import checked_in, from_environment, known, variable
from synmem.variables import expanded, first_line_of, words

_SERVER: Final = {
    "model": str, "base_url": str, "api_key": str, "api_key_command": str, "timeout_s": int,
    "attempts": int, "max_output_tokens": int, "max_prompt_tokens": int,
}  # fmt: skip

KEYS: Final[dict[str, dict[str, type]]] = {
    "openai": _SERVER,
    "anthropic": _SERVER,
    "command": {"command": str, "timeout_s": int, "max_prompt_tokens": int},
}
"""The keys of each provider and their types; a number is 1 or more."""

_VARIABLE: Final = "SYNMEM_LLM_"

_NEEDED: Final = {"openai": "model", "anthropic": "model", "command": "command"}
_DEFAULTS: Final = {"timeout_s": 120, "attempts": 3, "max_prompt_tokens": 4000}
_NO_KEY: Final = "none"
"""Sent to a server of one's own that wants no key: the protocols want something."""

HINT: Final = '[llm] in config.toml: provider = "openai" and model = "...", or command = "..."'


class LLMSettings(msgspec.Struct, frozen=True):
    """A model that can be asked: its provider and settings as they were written."""

    provider: str
    settings: dict[str, Any]

    @property
    def max_prompt_characters(self) -> int:
        """How long one prompt may be."""
        return int(self.settings["max_prompt_tokens"]) * CHARACTERS_PER_TOKEN

    def connection(self) -> dict[str, Any]:
        """The settings to ask it with: variables expanded, the key looked up.

        Runs `api_key_command`. ProfileError where a variable is not set or the command fails,
        ModelError where there is no key, or none that can be sent.
        """
        settings = {
            key: expanded(value, f"{key} of [llm]") if _expands(key, value) else value
            for key, value in self.settings.items()
        }
        if self.provider == "command":
            return {**settings, "command": _split(settings["command"])}
        url = settings.get("base_url") or os.environ.get(f"{self.provider.upper()}_BASE_URL")
        if url is not None and not url.startswith(("http://", "https://")):
            raise ProfileError("base_url of [llm] must begin with http:// or https://")
        return {**settings, "base_url": url, "api_key": self._key(settings, url)}

    def _key(self, settings: Mapping[str, Any], url: str | None) -> str:
        given = f"{_VARIABLE}API_KEY"
        place = given if variable(given) else "api_key of [llm]"
        if key := checked_key(settings.get("api_key", ""), place):
            return key
        if command := settings.get("api_key_command"):
            place = "api_key_command of [llm]"
            return checked_key(first_line_of(command, place), f"the answer of {place}")
        name = f"{self.provider.upper()}_API_KEY"
        if key := checked_key(os.environ.get(name, ""), name):
            return key
        if url is not None:
            return _NO_KEY
        raise ModelError(
            f"there is no key for {self.provider}",
            hint=f"{name}, or api_key_command in [llm] of config.toml",
        )


def llm_settings(config: Path | None = None, *, model: str | None = None) -> LLMSettings | None:
    """The configured model, None where there is none; ProfileError where that makes no sense.

    A SYNMEM_LLM_PROVIDER that is not the file's leaves the file's other keys aside: a key is not
    sent to somebody else.
    """
    loaded = load(config)
    table = loaded.tables.get("llm", {})
    provider = _provider(table, loaded)
    if provider is None:
        return None
    if table.get("provider", provider) != provider:
        table = {}
    settings = {
        **_DEFAULTS,
        **_of_file(provider, table, loaded),
        **from_environment(_VARIABLE, KEYS[provider]),
    }
    if model is not None:
        if "model" not in KEYS[provider]:
            raise ProfileError("--model: the command of [llm] names its own model")
        settings["model"] = model
    if _NEEDED[provider] not in settings:
        raise ProfileError(f"[llm] has no {_NEEDED[provider]}, which {provider} needs", hint=HINT)
    return LLMSettings(provider, {k: v for k, v in settings.items() if k in KEYS[provider]})


def none_configured() -> ModelError:
    """What is said where a model is needed and there is none."""
    return ModelError("no LLM is configured", hint=HINT)


def _provider(table: Mapping[str, Any], config: Config) -> str | None:
    """The provider that is named; a command alone says it too."""
    named = variable(f"{_VARIABLE}PROVIDER") or table.get("provider")
    if named is None and (table.get("command") or variable(f"{_VARIABLE}COMMAND")):
        named = "command"
    if named is None and table:
        raise ProfileError(f"{config.file}: [llm] names no provider", hint=known(KEYS))
    if named is not None and (not isinstance(named, str) or named not in KEYS):
        raise ProfileError("[llm] names a provider that there is not", hint=known(KEYS))
    return named


def _of_file(provider: str, table: Mapping[str, Any], config: Config) -> dict[str, Any]:
    keys, origin = KEYS[provider], f"{config.file}: [llm]"
    return {
        key: checked_in(keys, provider, key, value, origin)
        for key, value in table.items()
        if key != "provider"
    }


def _expands(key: str, value: object) -> bool:
    # The words of a command are expanded one by one: a value with a space stays one word.
    return isinstance(value, str) and key not in ("command", "api_key_command")


def _split(command: str) -> list[str]:
    try:
        found = words(command, "command of [llm]")
    except ValueError as error:
        raise ProfileError(f"command of [llm] cannot be split into words: {error}") from None
    if not found:
        raise ProfileError("command of [llm] is empty")
    return found
