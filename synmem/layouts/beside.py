"""What lies beside a conversation's messages, read back from its JSON text."""

from typing import Any, Final

from synmem.messages import parse_json

_KINDS: Final = {"title": (str, "text"), "extra": (dict, "an object")}


def read_beside(field: str, text: str | bytes) -> Any:
    """A `title`, an `extra` or a note, as it was set; ValueError says why it is none."""
    try:
        value = parse_json(text)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{field} is not JSON: {error}") from error
    kind, called = _KINDS.get(field, (object, ""))
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{field} is JSON, but not {called}")
    return value
