"""Which model makes vectors: the table `[embedding]` of config.toml, and how it is overridden.

For each key the first that is set counts: SYNMEM_EMBEDDING_<KEY>, config.toml, the default. Without
any the provider is `wordllama`, which has no keys and needs no network.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from synmem.config import load
from synmem.errors import ProfileError
from synmem.settings import fitting, from_text, known
from synmem.variables import expanded, first_line_of

KEYS: Final[dict[str, dict[str, type]]] = {
    "wordllama": {},
    "openai": {
        "model": str, "base_url": str, "api_key": str, "api_key_command": str, "dimensions": int,
        "timeout_s": int, "attempts": int,
    },
}  # fmt: skip
"""The keys of each provider and their types; a number is 1 or more."""


def embedding_settings(config: Path | None = None) -> dict[str, Any]:
    """What `vectors.embedder_of` takes: variables expanded, the key looked up.

    Runs `api_key_command`. ProfileError where it fails, a variable is not set, or the table makes
    no sense. A SYNMEM_EMBEDDING_PROVIDER that is not the file's leaves the file's keys aside: a
    key is not sent to somebody else.
    """
    loaded = load(config)
    table = dict(loaded.tables.get("embedding", {}))
    given = table.pop("provider", "wordllama")
    provider = _environment("provider") or given
    if not isinstance(provider, str) or provider not in KEYS:
        raise ProfileError("[embedding] names a provider that there is not", hint=known(KEYS))
    settings = _of_file(provider, table, f"{loaded.file}: [embedding]") if provider == given else {}
    settings |= _of_environment(provider)
    command = settings.pop("api_key_command", None)
    settings = {
        key: expanded(value, f"{key} of [embedding]") if isinstance(value, str) else value
        for key, value in settings.items()
    }
    if command is not None and "api_key" not in settings:
        settings["api_key"] = first_line_of(command, "api_key_command of [embedding]")
    if not settings.get("base_url", "http://").startswith(("http://", "https://")):
        raise ProfileError("base_url of [embedding] must begin with http:// or https://")
    return {"provider": provider, **settings}


def _of_file(provider: str, table: Mapping[str, Any], origin: str) -> dict[str, Any]:
    kinds = KEYS[provider]
    if unknown := sorted(set(table) - set(kinds)):
        raise ProfileError(f"{origin}: {provider} has no key {unknown[0]!r}", hint=known(kinds))
    return {key: fitting(kinds[key], key, value, origin) for key, value in table.items()}


def _of_environment(provider: str) -> dict[str, Any]:
    return {
        key: fitting(kind, key, from_text(text, kind), f"SYNMEM_EMBEDDING_{key.upper()}")
        for key, kind in KEYS[provider].items()
        if (text := _environment(key)) is not None
    }


def _environment(key: str) -> str | None:
    # As everywhere in Unix, a variable that is set but empty is not set.
    return os.environ.get(f"SYNMEM_EMBEDDING_{key.upper()}") or None
