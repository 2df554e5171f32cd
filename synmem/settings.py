"""The settings of a store: which keys each backend has, and what they take."""

import re
from collections.abc import Iterable
from typing import Any, Final

from synmem.errors import ProfileError

_ROLLING: Final = {"timestamps": bool, "max_messages": int, "window": int}
SECRET: Final = {"password": str, "password_command": str}

KEYS: Final[dict[str, dict[str, type]]] = {
    "memory": {**_ROLLING},
    "sqlite": {"db_path": str, "layout": str, **_ROLLING},
    "file": {"path": str, "layout": str, "format": str},
    "redis": {
        "url": str, "prefix": str, "ttl_seconds": int, "cluster": bool, "layout": str,
        **_ROLLING, **SECRET,
    },
    "postgres": {
        "dsn": str, "schema": str, "table": str, "layout": str, **_ROLLING, **SECRET,
    },
    "mongo": {
        "uri": str, "db_name": str, "collection_name": str, "layout": str,
        **_ROLLING, **SECRET,
    },
    "dynamodb": {
        "table_name": str, "region": str, "endpoint_url": str, "create": bool,
        "aws_profile": str, "layout": str, **_ROLLING,
    },
}  # fmt: skip
"""The keys of each backend and their types; a number is 1 or more. `window` counts pairs."""

PLACE: Final = {
    "sqlite": "db_path", "file": "path", "redis": "url", "postgres": "dsn", "mongo": "uri",
    "dynamodb": "table_name",
}  # fmt: skip
"""The key that says where the store is; a profile must have it."""

PATH_KEYS: Final = {"db_path", "path"}
URL_KEYS: Final = {"url", "dsn", "uri", "endpoint_url"}


def kinds(backend: str) -> dict[str, type]:
    """The keys of a profile of this backend, and their types."""
    return {**KEYS[backend], "protected": bool}


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
    kind = kinds(backend).get(key)
    if kind is None:
        raise ProfileError(f"{origin}: {backend} has no key {key!r}", hint=known(kinds(backend)))
    return fitting(kind, key, value, origin)


def fitting(kind: type, key: str, value: Any, origin: str) -> Any:
    """The value, if it is of this kind: a switch, a number of 1 or more, or text."""
    if kind is bool and type(value) is not bool:
        raise ProfileError(f"{origin}: {key} must be true or false")
    if kind is int and (type(value) is not int or value < 1):
        raise ProfileError(f"{origin}: {key} must be a whole number, 1 or more")
    if kind is str and (type(value) is not str or not value):
        raise ProfileError(f"{origin}: {key} must be text, and not empty")
    return value


def known(words: Iterable[str]) -> str:
    """The hint of an error: what there is."""
    return f"there are: {', '.join(sorted(words))}"
