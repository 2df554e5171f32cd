"""The settings of a store: which keys each backend has; and of anything: what a key takes."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from synmem.errors import ProfileError

_ROLLING: Final = {"timestamps": bool, "max_messages": int, "window": int}
SECRET: Final = {"password": str, "password_command": str}

KEYS: Final[dict[str, dict[str, type]]] = {
    "memory": {**_ROLLING},
    "sqlite": {"db_path": str, "layout": str, "table": str, "branches": bool, **_ROLLING},
    "file": {"path": str, "layout": str, "format": str, "timezone": str, "branches": bool},
    "redis": {
        "url": str, "prefix": str, "ttl_seconds": int, "cluster": bool, "layout": str,
        "branches": bool, **_ROLLING, **SECRET,
    },
    "postgres": {
        "dsn": str, "schema": str, "table": str, "layout": str, "branches": bool,
        **_ROLLING, **SECRET,
    },
    "mongo": {
        "uri": str, "db_name": str, "collection_name": str, "layout": str,
        "branches": bool, **_ROLLING, **SECRET,
    },
    "dynamodb": {
        "table_name": str, "region": str, "endpoint_url": str, "create": bool,
        "aws_profile": str, "layout": str, "attribute": str, **_ROLLING,
    },
}  # fmt: skip
"""The keys of each backend and their types; a number is 1 or more. `window` counts pairs."""

OF_PROFILE: Final = {"protected": bool, "everywhere": bool}
"""The keys that say how a profile is used, not where its store is: of every backend."""

PLACE: Final = {
    "sqlite": "db_path", "file": "path", "redis": "url", "postgres": "dsn", "mongo": "uri",
    "dynamodb": "table_name",
}  # fmt: skip
"""The key that says where the store is; a profile must have it."""

OWN_LAYOUTS: Final = ("synmem", "synapsekit")
"""Those of a file's table `messages`: it is one store, whether its layout is named or not."""

PATH_KEYS: Final = {"db_path", "path"}
URL_KEYS: Final = {"url", "dsn", "uri", "endpoint_url"}


def kinds(backend: str) -> dict[str, type]:
    """The keys of a profile of this backend, and their types."""
    return {**KEYS[backend], **OF_PROFILE}


def from_text(text: str, kind: type) -> Any:
    """A value of a URL, a variable or `--set`; what does not fit stays text, for `checked`."""
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "on": True,
                 "false": False, "0": False, "no": False, "off": False}  # fmt: skip
        return words.get(text.lower(), text)
    if kind is int and re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    return text


def checked(backend: str, key: str, value: Any, origin: str) -> Any:
    """The value, if the backend knows the key and this is what it takes; values are not shown."""
    return checked_in(kinds(backend), backend, key, value, origin)


def checked_in(keys: Mapping[str, type], owner: str, key: str, value: Any, origin: str) -> Any:
    """The value, if it is what this key of these takes; the error says whose keys they are."""
    if key not in keys:
        raise ProfileError(f"{origin}: {owner} has no key {key!r}", hint=known(keys))
    return fitting(keys[key], key, value, origin)


def from_environment(prefix: str, keys: Mapping[str, type]) -> dict[str, Any]:
    """Those of these keys that a variable sets: `<prefix><KEY>`."""
    variables = {key: prefix + key.upper() for key in keys}
    return {
        key: fitting(kind, key, from_text(text, kind), variables[key])
        for key, kind in keys.items()
        if (text := variable(variables[key])) is not None
    }


def variable(name: str) -> str | None:
    """A variable of the environment; as everywhere in Unix, an empty one is not set."""
    return os.environ.get(name) or None


def fitting(kind: type, key: str, value: Any, origin: str) -> Any:
    """The value, if it is of this kind: a switch, a number of 1 or more, or text. A layout's name
    may have hyphens, as that of a place: `open-webui` is `open_webui`."""
    if kind is bool and type(value) is not bool:
        raise ProfileError(f"{origin}: {key} must be true or false")
    if kind is int and (type(value) is not int or value < 1):
        raise ProfileError(f"{origin}: {key} must be a whole number, 1 or more")
    if kind is str and (type(value) is not str or not (value or key == "prefix")):
        raise ProfileError(f"{origin}: {key} must be text, and not empty")
    return value.replace("-", "_") if key == "layout" else value


def known(words: Iterable[str]) -> str:
    """The hint of an error: what there is."""
    return f"there are: {', '.join(sorted(words))}"
