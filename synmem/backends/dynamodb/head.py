"""Where a conversation's items stand in a DynamoDB table: its head, which says what is visible, the
numbers, and the positions made of them."""

from typing import Any, Final

import msgspec

from synmem.layouts.own.dynamodb_items import (
    CONVERSATION,
    NUMBER,
    Item,
    Number,
    is_of_a_call,
    number,
    type_of,
)

Span = tuple[Number, Number]

HEAD: Final = -(10**37)
"""The number of a conversation's head item: no message's number is as low."""
LOWEST: Final = HEAD + 1
HIGHEST: Final = -HEAD


class Head(msgspec.Struct, frozen=True):
    """What a head item says of its conversation; without one, all that stands there is visible.

    Visible are the numbers from `begins` on, but for `skip`: from its first up to, and without,
    its second. New messages take numbers above `above`. `version` changes with what is visible.
    Of one that cannot be read `unreadable` says why, and it shows nothing: who knows what is
    hidden? `title` and `extra` are as they stand there. `steps` are the tokens of writes that
    were done, and with `-` before it those of writes that were called off.
    """

    version: str | None = None
    begins: Number = LOWEST
    skip: Span | None = None
    above: Number = 0
    listed: bool = False
    title: Any = None
    extra: Any = None
    unreadable: str | None = None
    steps: frozenset[str] = frozenset()

    def knows(self, token: str | None) -> bool | None:
        """Whether the write of this token was done; False where it was called off."""
        if token in self.steps:
            return True
        return False if token is not None and called_off(token) in self.steps else None

    def remembering(self, token: str | None) -> "Head":
        """The same, when the write of this token was done."""
        if token is None:
            return self
        return msgspec.structs.replace(self, steps=self.steps | {token})

    def spans(self, low: Number = LOWEST, high: Number = HIGHEST) -> list[Span]:
        """The visible numbers from `low` to `high`, as up to two spans."""
        if self.unreadable is not None:
            return []
        low = max(low, self.begins)
        if self.skip is None:
            spans = [(low, high)]
        else:
            start, end = self.skip
            spans = [(low, min(high, start - 1)), (max(low, end), high)]
        return [span for span in spans if span[0] <= span[1]]

    def shows(self, number: Number) -> bool:
        """Whether a message of this number is visible."""
        if self.unreadable is not None:
            return False
        inside = self.skip is not None and self.skip[0] <= number < self.skip[1]
        return number >= self.begins and not inside

    def hidden(self) -> list[Span]:
        """Spans that hold every number that is not visible; their ends may be."""
        below = [] if self.begins == LOWEST else [(LOWEST, self.begins)]
        return [*below, *([self.skip] if self.skip else [])]


def called_off(token: str) -> str:
    """What stands among a head's `steps` for a write that is never to be done."""
    return f"-{token}"


def head_of(item: Item | None) -> Head:
    """A head item, or none; one that is `unreadable` where it is not one of ours."""
    if item is None:
        return Head()
    title, extra = (next(iter(item[f].values())) if f in item else None for f in ("title", "extra"))
    try:
        skip = None
        if "skip_from" in item:
            skip = (_numbered(item, "skip_from"), _numbered(item, "skip_to"))
        return Head(
            _of_kind(item, "version", "S"),
            _numbered(item, "begins") if "begins" in item else LOWEST,
            skip,
            _numbered(item, "above") if "above" in item else 0,
            "listed" in item,
            title,
            extra,
            steps=frozenset(_of_kind(item, "steps", "SS")) if "steps" in item else frozenset(),
        )
    except ValueError as error:
        why = f"its head, which says where it begins, cannot be read: {error}"
        return Head(title=title, extra=extra, unreadable=why)


def _of_kind(item: Item, name: str, kind: str) -> Any:
    """An attribute of a head; ValueError where it is not of this kind."""
    value = item.get(name)
    if value is None or kind not in value:
        raise ValueError(f"{name} is {'missing' if value is None else type_of(value)}")
    return value[kind]


def _numbered(item: Item, name: str) -> Number:
    return number(_of_kind(item, name, "N"))


def key_of(conversation: str, where: Number) -> Item:
    """The key of an item."""
    return {CONVERSATION: {"S": conversation}, NUMBER: {"N": str(where)}}


def position_of(item: Item) -> str:
    """Where a message stands: its number, and the call of ours that wrote it there. What else a
    `call` or an `i` holds is somebody's own, and tells nothing."""
    where = number(item[NUMBER]["N"])
    if not is_of_a_call(item):
        return f"{where}::"
    return f"{where}:{item['call']['S']}:{item['i']['N']}"


def number_of(position: str) -> Number:
    """The number in a position."""
    try:
        return number(position.split(":", 1)[0])
    except ArithmeticError:
        raise ValueError(f"not a position of a DynamoDB store: {position!r}") from None
