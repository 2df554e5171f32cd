"""DynamoDB items, in the low-level form of its API (`{"S": "text"}`), to messages and back.

A field is native only where it comes back exactly: text without NUL and lone surrogates; JSON of
such text, integers of up to 38 digits, true, false and null, with no empty key and no more than
`LEVELS` levels. The rest rides in `carried` (see `carried.py`): a float anywhere sends its whole
field there, since a number of DynamoDB's is neither 1 nor 1.0.

Attributes of somebody else's come as `extra["dynamodb"]`, by name, and are written as attributes
again. Text, truth values, null, lists and maps are there as JSON has them, numbers as integers or
as the float that they are; what JSON has not, in the low-level form under one key: bytes as
`{"$dynamodb": {"B": "base64"}}`, sets (sorted) as `{"$dynamodb": {"SS": [...]}}`, NS and BS,
another number as `{"$dynamodb": {"N": "0.1..."}}`, and a map of that key alone as
`{"$dynamodb": {"M": {...}}}`. What would not come back exactly as such stays in `extra`.
"""

import base64
from collections.abc import Collection, Mapping
from decimal import Context, Decimal
from typing import Any, Final

import msgspec

from synmem import messages as model
from synmem.layouts.own.carried import JSONS, TEXTS, join, plain_text, split
from synmem.messages import (
    Conversation,
    JSONObject,
    Message,
    ascii_json,
    encodable,
    format_time,
    parse_time,
)

Value = dict[str, Any]
Item = dict[str, Value]
Number = int | Decimal

CONVERSATION: Final = "session_id"
NUMBER: Final = "n"

LARGEST: Final = 400 * 1024
KEYS_TAKE: Final = 1300
"""What an item's key, `call` and `i` take at most: an id has up to 1,024 bytes."""
MOST_BESIDE: Final = 300 * 1024
"""So large may title and extra be together, or one note: they share the head item."""

LEVELS: Final = 30
LEVELS_OF_ATTRIBUTES: Final = 31
_INTEGERS: Final = 10**38
_EXACT: Final = Context(prec=60)
_WRAPPED: Final = "$dynamodb"
_THEIRS: Final = "dynamodb"
"""Under this key of `extra` stand attributes of somebody else's."""
_CALL: Final = frozenset({"call", "i"})
_OURS: Final = frozenset({CONVERSATION, NUMBER, *_CALL, *TEXTS, *JSONS, "created_at", "carried"})


def is_of_a_call(item: Item) -> bool:
    """Whether one of our calls wrote it: then `call` and `i` are ours."""
    call = str(item.get("call", {}).get("S", ""))
    return call != "" and ":" not in call and "N" in item.get("i", {})


# --- items ----------------------------------------------------------------------------------


def encode(message: Message, reserved: Collection[str] = ()) -> Item:
    """The message as attributes; its key, `call` and `i` are the store's.

    Attributes of somebody else's with a `reserved` name stay in `extra`.
    """
    theirs: Item = {}
    if message.extra is not None and _THEIRS in message.extra:
        message, theirs = _parted(message, message.extra, reserved)
    native, carried = split(message, holds_json=_holds)
    item: Item = {}
    for field, value in native.items():
        if field == "created_at":
            item[field] = {"S": format_time(value)}
        else:
            item[field] = {"S": value} if type(value) is str else _native(value)
    if carried is not None:
        item["carried"] = {"S": carried}
    return {**theirs, **item} if theirs else item


def _parted(message: Message, extra: JSONObject, reserved: Collection[str]) -> tuple[Message, Item]:
    """The message without what came from attributes of somebody else's; and those."""
    values = extra[_THEIRS]
    theirs: Item = {}
    for name, value in values.items() if type(values) is dict else ():
        if name and name not in _OURS and name not in reserved and encodable(name):
            attribute = _attribute(value)
            if attribute is not None:
                theirs[name] = attribute
    if not theirs:
        return message, theirs
    left = {name: value for name, value in values.items() if name not in theirs}
    rest = {key: value for key, value in extra.items() if key != _THEIRS}
    if left:
        rest[_THEIRS] = left
    return msgspec.structs.replace(message, extra=rest or None), theirs


def decode(item: Item) -> Message:
    """The message of an item; ValueError says why it cannot be read.

    Attributes of somebody else's come as `extra["dynamodb"]`.
    """
    fields: JSONObject = {}
    for name, value in item.items():
        if name in TEXTS or name == "carried":
            if "S" not in value:
                raise ValueError(f"{name} is not text but {type_of(value)}")
            fields[name] = value["S"]
        elif name == "created_at":
            fields[name] = _time(value)
        elif name in JSONS:
            fields[name] = _json(name, value)
    for name in ("role", "content"):
        if name not in fields:
            raise ValueError(f"no {name}")
    message = join(fields, fields.pop("carried", None))
    ours = _OURS if is_of_a_call(item) else _OURS - _CALL
    if not item.keys() <= ours:
        others = {name: json_form(value) for name, value in item.items() if name not in ours}
        kept = (message.extra or {}).get(_THEIRS, {})
        if type(kept) is not dict:
            raise ValueError(f"extra has a {_THEIRS} that is not a map, beside other attributes")
        extra = {**(message.extra or {}), _THEIRS: {**kept, **others}}
        message = msgspec.structs.replace(message, extra=extra)
    return message


def time_of(item: Item) -> Any:
    """`created_at` of an item, None where there is none or it cannot be read."""
    try:
        return _time(item["created_at"]) if "created_at" in item else None
    except ValueError:
        return None


def number(text: str) -> Number:
    """A number of DynamoDB's: an integer wherever it is one."""
    try:
        return int(text)
    except ValueError:
        exact = Decimal(text)
        return int(exact) if exact == exact.to_integral_value() else exact


def size_of(value: Value) -> int:
    """The bytes that an attribute's value counts, as AWS documents it."""
    ((kind, inner),) = value.items()
    if kind == "S":
        return len(inner) if inner.isascii() else len(inner.encode())
    if kind == "N":
        return len(inner) // 2 + 3
    if kind == "L":
        return 3 + sum(1 + size_of(item) for item in inner)
    if kind == "M":
        return 3 + sum(1 + len(key.encode()) + size_of(item) for key, item in inner.items())
    if kind == "B":
        return len(inner)
    if kind in ("SS", "NS", "BS"):
        return sum(size_of({kind[0]: item}) for item in inner)
    return 1


def item_size(item: Item) -> int:
    """The bytes that an item of ours counts, its key and ours included."""
    return KEYS_TAKE + sum(len(name.encode()) + size_of(value) for name, value in item.items())


def message_refusal(message: Message) -> str | None:
    """Why DynamoDB cannot hold the message, or None."""
    if model.plain(message):
        return None
    if why := model.refusal(message):
        return why
    m = message
    if m.metadata is None and m.tool_calls is None and m.parts is None and m.extra is None:
        letters = len(m.content) + len(m.role) + len(m.name or "") + len(m.tool_call_id or "")
        # Carried text takes six letters for one, beside the text itself.
        if letters * 10 < LARGEST - KEYS_TAKE - 500:
            return None
    size = item_size(encode(message))
    if size > LARGEST:
        return f"takes {size:,} bytes as an item; DynamoDB holds {LARGEST:,}"
    return None


def conversation_refusal(conversation: Conversation) -> str | None:
    """Why the head item cannot hold the title and extra, or None."""
    size = description_size(conversation)
    return f"title and extra take {size:,} bytes" if size > MOST_BESIDE else None


def description(conversation: Conversation) -> dict[str, Value | None]:
    """Title and extra, those that are given, as attributes of the head item; None forgets one."""
    given = {"title": conversation.title, "extra": conversation.extra}
    return {
        name: {"S": ascii_json(value)} if value else None
        for name, value in given.items()
        if value is not None
    }


def description_size(conversation: Conversation) -> int:
    """The bytes that title and extra count in the head item."""
    return sum(size_of(value) for value in description(conversation).values() if value)


# --- values ---------------------------------------------------------------------------------


def _holds(value: Any, levels: int = LEVELS) -> bool:
    """Whether a JSON value comes back exactly."""
    if value is None or type(value) is bool:
        return True
    if type(value) is int:
        return -_INTEGERS < value < _INTEGERS
    if type(value) is str:
        return plain_text(value)
    if levels <= 1:
        return False
    if type(value) is list:
        return all(_holds(item, levels - 1) for item in value)
    return type(value) is dict and all(
        0 < len(key) <= 255 and plain_text(key) and _holds(item, levels - 1)
        for key, item in value.items()
    )


def _native(value: Any) -> Value:
    if value is None:
        return {"NULL": True}
    if type(value) is bool:
        return {"BOOL": value}
    if type(value) is int:
        return {"N": str(value)}
    if type(value) is str:
        return {"S": value}
    if type(value) is list:
        return {"L": [_native(item) for item in value]}
    return {"M": {key: _native(item) for key, item in value.items()}}


def _plain(value: Value) -> Any:
    """The JSON of a value; a fraction, which another program wrote, where a float has it."""
    ((kind, inner),) = value.items()
    if kind in ("S", "BOOL"):
        return inner
    if kind == "NULL":
        return None
    if kind == "L":
        return [_plain(item) for item in inner]
    if kind == "M":
        return {key: _plain(item) for key, item in inner.items()}
    if kind != "N":
        raise ValueError(f"it holds {type_of(value)}, which is not JSON")
    exact = number(inner)
    if isinstance(exact, Decimal) and Decimal(repr(float(exact))) != exact:
        raise ValueError(f"it holds {inner}, which no float is")
    return exact if isinstance(exact, int) else float(exact)


def json_form(value: Value, *, keep_bytes: bool = False) -> Any:
    """The JSON of an attribute of somebody else's, whatever it is: see the module's docstring.

    With `keep_bytes`, bytes stay bytes for whoever knows what they are.
    """
    ((kind, inner),) = value.items()
    if kind == "L":
        return [json_form(item, keep_bytes=keep_bytes) for item in inner]
    if kind == "M":
        found = {key: json_form(item, keep_bytes=keep_bytes) for key, item in inner.items()}
        return {_WRAPPED: {"M": found}} if found.keys() == {_WRAPPED} else found
    if kind == "N":
        exact = number(inner)
        if isinstance(exact, int):
            return exact
        as_float = float(exact)
        whole = Decimal(repr(as_float)) == exact
        return as_float if whole else {_WRAPPED: {"N": number_text(inner)}}
    if kind == "B":
        return bytes(inner) if keep_bytes else {_WRAPPED: {"B": base64.b64encode(inner).decode()}}
    if kind == "BS":
        return {_WRAPPED: {"BS": sorted(base64.b64encode(item).decode() for item in inner)}}
    if kind == "NS":
        return {_WRAPPED: {"NS": sorted(map(number_text, inner))}}
    if kind == "SS":
        return {_WRAPPED: {"SS": sorted(inner)}}
    return _plain(value)


def _attribute(value: Any) -> Value | None:
    """The attribute that `json_form` makes exactly this of, or None."""
    try:
        attribute = low_level(value, LEVELS_OF_ATTRIBUTES)
        # 1.0 would come back as 1, a set in another order, and so on: those are not attributes.
        return attribute if ascii_json(json_form(attribute)) == ascii_json(value) else None
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        return None


def low_level(value: Any, levels: int) -> Value:
    """As an attribute, if it is one at all; ValueError, or what comes of wrong types, if not."""
    if type(value) is str and encodable(value):
        return {"S": value}
    if type(value) in (int, float):
        return {"N": number_text(repr(value))}
    if value is None or type(value) is bool:
        return _native(value)
    if levels > 0 and type(value) is list:
        return {"L": [low_level(item, levels - 1) for item in value]}
    if levels > 0 and type(value) is dict:
        wrapped = value.keys() == {_WRAPPED}
        return _unwrapped(value[_WRAPPED], levels) if wrapped else _map(value, levels)
    raise ValueError(f"not an attribute: {value!r}")


def _map(value: JSONObject, levels: int) -> Value:
    if not all(key and encodable(key) for key in value):
        raise ValueError("an empty key, or one that is not UTF-8")
    return {"M": {key: low_level(item, levels - 1) for key, item in value.items()}}


def _unwrapped(value: Any, levels: int) -> Value:
    """The attribute of what stands under `$dynamodb`."""
    ((kind, inner),) = value.items()
    if kind == "M":
        return _map(inner, levels)
    if kind == "N":
        return {"N": number_text(inner)}
    if kind == "B":
        return {"B": base64.b64decode(inner, validate=True)}
    if not inner or len(set(inner)) != len(inner):
        raise ValueError("a set is not empty, and has nothing twice")
    if kind == "BS":
        return {"BS": [base64.b64decode(item, validate=True) for item in inner]}
    if kind == "NS":
        return {"NS": [number_text(item) for item in inner]}
    if kind == "SS" and all(encodable(item) for item in inner):
        return {"SS": list(inner)}
    raise ValueError(f"not a kind of attribute: {kind!r}")


def number_text(text: str) -> str:
    """A number, always in the same form; ValueError or ArithmeticError where it cannot be held."""
    exact = Decimal(text).normalize(_EXACT)
    if not exact.is_finite() or len(exact.as_tuple().digits) > 38:
        raise ValueError(f"DynamoDB has no number {text}")
    if exact and not -130 <= exact.adjusted() <= 125:
        raise ValueError(f"DynamoDB has no number {text}")
    return str(number(str(exact)))


def _json(name: str, value: Value) -> Any:
    kind = "M" if name in ("metadata", "extra") else "L"
    if kind not in value:
        raise ValueError(f"{name} is not a {'map' if kind == 'M' else 'list'} but {type_of(value)}")
    found = _plain(value)
    if kind == "L" and not all(type(item) is dict for item in found):
        raise ValueError(f"{name} holds something that is not a map")
    return found


def _time(value: Value) -> Any:
    if "S" not in value:
        raise ValueError(f"created_at is not text but {type_of(value)}")
    try:
        return parse_time(value["S"])
    except ValueError as error:
        raise ValueError(f"created_at is not a time: {value['S']!r}") from error


_TYPES: Final[Mapping[str, str]] = {
    "S": "text", "N": "a number", "B": "bytes", "BOOL": "a truth value", "NULL": "null",
    "M": "a map", "L": "a list", "SS": "a set", "NS": "a set", "BS": "a set",
}  # fmt: skip


def type_of(value: Value) -> str:
    return _TYPES.get(next(iter(value)), "unknown")
