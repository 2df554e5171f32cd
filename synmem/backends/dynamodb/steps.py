"""What a DynamoDB transaction is made of: conditions and writes of items, in the API's form."""

import math
from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec

from synmem.backends.dynamodb.head import HEAD, LOWEST, Head, called_off, key_of, number_of
from synmem.layouts.own.dynamodb_items import CONVERSATION, Item, Number, number
from synmem.store import START, Position

STEPS: Final = 100
"""So many steps a transaction takes."""
BYTES: Final = 3_900_000
"""And so many bytes of items: 4 MB, less what its conditions may count."""

Step = dict[str, Any]


def put(item: Item) -> Step:
    """Write an item where none is."""
    return {
        "Put": {
            "Item": item,
            "ConditionExpression": "attribute_not_exists(#c)",
            "ExpressionAttributeNames": {"#c": CONVERSATION},
        }
    }


def all_there(conversation: str, positions: Iterable[Position | None]) -> list[Step]:
    """See that the messages of these positions are there; START and None say nothing.

    Each once: a transaction takes no two steps about one item.
    """
    return [there(conversation, each) for each in dict.fromkeys(positions) if each]


def there(conversation: str, position: Position) -> Step:
    """See that the message of this position is there."""
    where, call, place = position.split(":")
    condition: dict[str, Any] = {
        "Key": key_of(conversation, number(where)),
        "ConditionExpression": "#call = :call AND #i = :i",
        "ExpressionAttributeNames": {"#call": "call", "#i": "i"},
        "ExpressionAttributeValues": {":call": {"S": call}, ":i": {"N": place}},
    }
    if not call:  # somebody else's item, as `position_of` tells it
        condition = {
            "Key": condition["Key"],
            "ConditionExpression": "attribute_exists(#c) AND NOT (attribute_type(#call, :s) "
            "AND attribute_type(#i, :n) AND #call <> :empty AND NOT contains(#call, :colon))",
            "ExpressionAttributeNames": {"#c": CONVERSATION, "#call": "call", "#i": "i"},
            "ExpressionAttributeValues": {
                ":s": {"S": "S"}, ":n": {"S": "N"}, ":empty": {"S": ""}, ":colon": {"S": ":"},
            },
        }  # fmt: skip
    return {"ConditionCheck": condition}


def nobody(conversation: str, where: Number) -> Step:
    """See that no item has this number."""
    return {
        "ConditionCheck": {
            "Key": key_of(conversation, where),
            "ConditionExpression": "attribute_not_exists(#c)",
            "ExpressionAttributeNames": {"#c": CONVERSATION},
        }
    }


def unchanged(conversation: str, head: Head) -> Step:
    """See that the head is of the same version, or still is not there."""
    return {"ConditionCheck": {"Key": key_of(conversation, HEAD), **_same(head)}}


def update(
    conversation: str, head: Head, version: str, new: Head, values: dict[str, Any] | None = None
) -> Step:
    """Change a head of the same version, or make it: its version, spans, and these values; None
    forgets one."""
    wanted = {**dict.fromkeys(_SPANS), **_spans(new), "version": {"S": version}, **(values or {})}
    values = {name: value for name, value in wanted.items() if value is not None}
    removed = [name for name in wanted if name not in values]
    same = _same(head)
    text = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
    if removed:
        text += " REMOVE " + ", ".join(f"#{name}" for name in removed)
    return {
        "Update": {
            "Key": key_of(conversation, HEAD),
            **same,
            "UpdateExpression": text,
            "ExpressionAttributeNames": {f"#{n}": n for n in {*values, *removed, "version"}},
            "ExpressionAttributeValues": {
                **{f":{name}": value for name, value in values.items()},
                **same.get("ExpressionAttributeValues", {}),
            },
        }
    }


def replace_head(conversation: str, head: Head, version: str, new: Head) -> Step:
    """Put a head of nothing but these spans and tokens in the place of one of the same version
    that knows the same tokens."""
    item = {**key_of(conversation, HEAD), "version": {"S": version}, **_spans(new)}
    if new.steps:
        item["steps"] = _set(new.steps)
    same = _same(head)
    same["ExpressionAttributeNames"]["#steps"] = "steps"
    if head.steps:
        same["ConditionExpression"] += " AND #steps = :steps"
        same["ExpressionAttributeValues"][":steps"] = _set(head.steps)
    else:
        same["ConditionExpression"] += " AND attribute_not_exists(#steps)"
    return {"Put": {"Item": item, **same}}


def remove_head(conversation: str, head: Head) -> Step:
    """Remove a head of the same version, where nobody has listed the conversation again, and no
    token is to be known."""
    same = _same(head)
    for name in ("listed", "steps"):
        same["ConditionExpression"] += f" AND attribute_not_exists(#{name})"
        same["ExpressionAttributeNames"][f"#{name}"] = name
    return {"Delete": {"Key": key_of(conversation, HEAD), **same}}


def guarded(step: Step, token: str | None) -> Step:
    """This update of a head, where that knows nothing of the token: the write was neither done
    nor called off. So it is also for a request that comes late."""
    if token is not None:
        inner = step["Update"]
        inner["ConditionExpression"] += " AND NOT contains(#steps, :done)"
        inner["ConditionExpression"] += " AND NOT contains(#steps, :off)"
        inner["ExpressionAttributeNames"]["#steps"] = "steps"
        inner["ExpressionAttributeValues"][":done"] = {"S": token}
        inner["ExpressionAttributeValues"][":off"] = {"S": called_off(token)}
    return step


def marked(step: Step, token: str | None) -> Step:
    """As `guarded`; and the head remembers that the write of this token was done."""
    if token is not None:
        inner = guarded(step, token)["Update"]
        inner["UpdateExpression"] += " ADD #steps :step"
        inner["ExpressionAttributeValues"][":step"] = _set([token])
    return step


def call_off(conversation: str, tokens: Collection[str], version: str) -> Step:
    """Let a head know that the writes of these tokens are never to be done, where none was; it
    is made, with this version, if it is missing."""
    numbered = {f":done{n}": {"S": token} for n, token in enumerate(tokens)}
    return {
        "Update": {
            "Key": key_of(conversation, HEAD),
            "UpdateExpression": "SET #version = if_not_exists(#version, :new) ADD #steps :off",
            "ConditionExpression": " AND ".join(f"NOT contains(#steps, {n})" for n in numbered),
            "ExpressionAttributeNames": {"#version": "version", "#steps": "steps"},
            "ExpressionAttributeValues": {
                ":new": {"S": version},
                ":off": _set(map(called_off, tokens)),
                **numbered,
            },
        }
    }


def forget(conversation: str, tokens: Iterable[str]) -> Step:
    """Let a head that is there know nothing of these tokens any more."""
    known = [word for token in tokens for word in (token, called_off(token))]
    return {
        "Update": {
            "Key": key_of(conversation, HEAD),
            "UpdateExpression": "DELETE #steps :known",
            "ConditionExpression": "attribute_exists(#version)",
            "ExpressionAttributeNames": {"#version": "version", "#steps": "steps"},
            "ExpressionAttributeValues": {":known": _set(known)},
        }
    }


def remove(conversation: str, where: Number) -> Step:
    """Remove an item."""
    return {"Delete": {"Key": key_of(conversation, where)}}


def note(conversation: str, head: Head, version: str, name: str, text: str | None) -> Step:
    """Set or forget a note in a head of the same version, or in one that is made."""
    step = update(conversation, head, version, head)
    inner = step["Update"]
    inner["ExpressionAttributeNames"]["#note"] = f"note:{name}"
    if text is not None:
        inner["ExpressionAttributeValues"][":note"] = {"S": text}
        inner["UpdateExpression"] = "SET #note = :note, " + inner["UpdateExpression"][4:]
    else:
        joined = ", " if " REMOVE " in inner["UpdateExpression"] else " REMOVE "
        inner["UpdateExpression"] += f"{joined}#note"
    return step


def begins_at(head: Head, begins: Number, end: Position) -> Head:
    """The head of a conversation that begins later; numbers up to its end are not given again."""
    skip = head.skip if head.skip is not None and head.skip[0] > begins else None
    last = math.floor(number_of(end)) if end != START else 0
    return msgspec.structs.replace(head, begins=begins, skip=skip, above=max(head.above, last))


_SPANS: Final = ("begins", "skip_from", "skip_to", "above")


def _spans(head: Head) -> dict[str, Any]:
    spans: dict[str, Number] = {"above": head.above} if head.above else {}
    if head.begins != LOWEST:
        spans["begins"] = head.begins
    if head.skip is not None:
        spans["skip_from"], spans["skip_to"] = head.skip
    return {name: {"N": str(value)} for name, value in spans.items()}


def _set(words: Iterable[str]) -> dict[str, Any]:
    return {"SS": sorted(words)}


def _same(head: Head) -> dict[str, Any]:
    """The condition that the head is of the version that was seen."""
    if head.version is None:
        return {
            "ConditionExpression": "attribute_not_exists(#version)",
            "ExpressionAttributeNames": {"#version": "version"},
        }
    return {
        "ConditionExpression": "#version = :was",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":was": {"S": head.version}},
    }
