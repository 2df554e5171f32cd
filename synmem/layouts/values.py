"""What the layouts of other frameworks share: values as databases hold them, and paths in trees."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from synmem.layouts.shapes import Columns, Sketch
from synmem.messages import JSONObject, Message, Unreadable, parse_json, parse_time

Said = Message | Unreadable

_MALFORMED: Final = (ValueError, TypeError, LookupError, AttributeError)
"""On what an `unfold` comes to grief that meets a value of a kind that it does not expect."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECONDS: Final = 10**11
"""So many seconds are the year 5138: what has more counts milliseconds."""


def told(
    what: str, id_: object, make: Callable[..., Sequence[Said]], *given: Any
) -> Sequence[Said]:
    """The messages of a record, made of what is given; one `Unreadable` that names it where they
    cannot be made."""
    try:
        return make(*given)
    except _MALFORMED as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        return [Unreadable(str(id_), f"{what} {id_}: {why}")]


def text(value: object, what: str) -> str:
    """The value where it is text, else ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"its {what} is no text")
    return value


def from_json(value: object, what: str) -> Any:
    """What stands in a column of JSON, None for NULL; ValueError where it is not JSON."""
    if value is None:
        return None
    try:
        return parse_json(text(value, what))
    except ValueError as error:
        raise ValueError(f"its {what} is not JSON: {error}") from error


def lenient(value: object) -> Any:
    """What stands in a column of JSON, where all of it goes to an `extra`: what is not JSON as it
    is, and bytes, which JSON has no word for, as None."""
    if isinstance(value, str):
        try:
            return parse_json(value)
        except ValueError:
            return value
    return None if isinstance(value, bytes) else value


def present(**values: Any) -> JSONObject:
    """Those of the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def at_seconds(value: object) -> datetime | None:
    """A time that is kept as seconds, or milliseconds, since 1970; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        if abs(value) >= _MILLISECONDS:
            return _EPOCH + timedelta(milliseconds=value)
        return _EPOCH + timedelta(seconds=value)
    except (OverflowError, ValueError):
        return None


def at_utc(value: object) -> datetime | None:
    """A time in ISO 8601, of UTC where it names no zone; None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else parse_time(value)
    except ValueError:
        return None


def call_of(id_: object, name: object, arguments: object) -> JSONObject:
    """A tool call in our form; of arguments that are JSON text what they say."""
    said = lenient(arguments) if isinstance(arguments, str) else arguments
    return {"id": id_, "name": name, "arguments": said}


def image(url: str) -> JSONObject:
    """A part that is an image."""
    return {"type": "image_url", "image_url": {"url": url}}


def data_url(kind: str, base64: str) -> str:
    """The data: URL of what is so in base64."""
    return f"data:{kind};base64,{base64}"


def path(leaf: str, parents: Mapping[str, Any]) -> tuple[list[str], list[Unreadable]]:
    """The ids from a tree's root to a leaf, by what the parent of each is (None: it has none); and
    what stands before them where that path does not come from a root."""
    found = [leaf]
    seen = {leaf}
    while (parent := parents[found[-1]]) is not None:
        if parent not in parents or parent in seen:
            why = "its own ancestor" if parent in seen else "not there"
            reason = f"message {parent}, which comes before {found[-1]}, is {why}"
            return found[::-1], [Unreadable(str(parent), reason)]
        found.append(parent)
        seen.add(parent)
    return found[::-1], []


def leaves(parents: Mapping[str, Any]) -> list[str]:
    """The ids of what is nobody's parent, in their order."""
    inner = {parent for parent in parents.values() if isinstance(parent, str)}
    return [id_ for id_ in parents if id_ not in inner]


def lowered(sketch: Sketch) -> dict[str, dict[str, str]]:
    """A sketch in small letters, as SQLite and PostgreSQL compare names that are not quoted."""
    return {
        table.lower(): {name.lower(): kind for name, kind in columns.items()}
        for table, columns in sketch.items()
    }


def columns(there: Columns, names: Sequence[str], alias: str) -> str:
    """These columns of a table as a query selects them; NULL for those that it lacks."""
    return ", ".join(f'{alias}."{name}"' if name in there else "NULL" for name in names)
