"""What lies beside a conversation's messages, read back from its JSON text."""

from typing import Any, Final

from synmem.messages import parse_json

_KINDS: Final = {"title": (str, "text"), "extra": (dict, "an object")}


def read_beside(field: str, text: Any) -> Any:
    """A `title`, an `extra` or a note, from its JSON text; ValueError says why it is none."""
    if not isinstance(text, str | bytes):
        raise ValueError(f"{field} is not JSON: it is {text!r:.80}, not text")
    try:
        value = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{field} is not JSON: {error}") from error
    kind, called = _KINDS.get(field, (object, ""))
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"{field} is JSON, but not {called}")
    return value


def read_description(title: Any, extra: Any, remedy: str) -> dict[str, Any]:
    """The fields `title`, `extra` and `unreadable` of a `ConversationInfo`, those that are set.

    From JSON texts, None where there is none. What cannot be read does not hide the other;
    `remedy` says where to mend it.
    """
    found: dict[str, Any] = {}
    if title is None and extra is None:
        return found
    wrong = []
    for field, text in (("title", title), ("extra", extra)):
        try:
            if text is not None:
                found[field] = read_beside(field, text)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        found["unreadable"] = f"{'; '.join(wrong)} ({remedy})"
    return found
