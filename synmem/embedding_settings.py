"""Which model makes vectors: the table `[embedding]` of config.toml, and how it is overridden.

For each key the first that is set counts: SYNMEM_EMBEDDING_<KEY>, config.toml, the default. Without
any the provider is `wordllama`, which has no keys and needs no network.
"""

from pathlib import Path
from typing import Any, Final

from synmem.config import load
from synmem.errors import ProfileError
from synmem.models.answering import checked_key
from synmem.settings import checked_in, from_environment, known, variable
from synmem.variables import expanded, first_line_of

KEYS: Final[dict[str, dict[str, type]]] = {
    "wordllama": {},
    "openai": {
        "model": str, "base_url": str, "api_key": str, "api_key_command": str, "dimensions": int,
        "timeout_s": int, "attempts": int,
    },
}  # fmt: skip
"""The keys of each provider and their types; a number is 1 or more."""

_USUAL: Final = "wordllama"

_VARIABLE: Final = "SYNMEM_EMBEDDING_"


def embedding_settings(config: Path | None = None) -> dict[str, Any]:
    """What `vectors.embedder_of` takes: variables expanded, the key looked up.

    Runs `api_key_command`. ProfileError where it fails, a variable is not set, or the table makes
    no sense; ModelError where the key cannot be sent. A SYNMEM_EMBEDDING_PROVIDER that is not the
    file's leaves the file's keys aside: a key is not sent to somebody else.
    """
    loaded = load(config)
    table = dict(loaded.tables.get("embedding", {}))
    given = table.pop("provider", _USUAL)
    provider = _provider(given)
    keys, origin = KEYS[provider], f"{loaded.file}: [embedding]"
    if provider != given:
        table = {}
    settings = {k: checked_in(keys, provider, k, value, origin) for k, value in table.items()}
    settings |= from_environment(_VARIABLE, keys)
    command = settings.pop("api_key_command", None)
    settings = {
        key: expanded(value, f"{key} of [embedding]") if isinstance(value, str) else value
        for key, value in settings.items()
    }
    if (key := _key(settings.get("api_key", ""), command)) is not None:
        settings["api_key"] = key
    if not settings.get("base_url", "http://").startswith(("http://", "https://")):
        raise ProfileError("base_url of [embedding] must begin with http:// or https://")
    return {"provider": provider, **settings}


def provider_of(config: Path | None = None) -> str:
    """Whose model it is; ProfileError where there is no such provider. Runs nothing."""
    return _provider(load(config).tables.get("embedding", {}).get("provider", _USUAL))


def _provider(given: Any) -> str:
    """The one that is configured, unless a variable names another."""
    provider = variable(f"{_VARIABLE}PROVIDER") or given
    if not isinstance(provider, str) or provider not in KEYS:
        raise ProfileError("[embedding] names a provider that there is not", hint=known(KEYS))
    return provider


def _key(given: str, command: str | None) -> str | None:
    """The key that is configured; None where the endpoint looks for one in its own variable."""
    name = f"{_VARIABLE}API_KEY"
    place = name if variable(name) else "api_key of [embedding]"
    if key := checked_key(given, place):
        return key
    if command is None:
        return None
    place = "api_key_command of [embedding]"
    return checked_key(first_line_of(command, place), f"the answer of {place}")
