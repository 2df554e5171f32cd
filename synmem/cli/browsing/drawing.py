"""How a message looks in the browser: the lines of `show`, folded or not."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from synmem.cli.browsing.lines import Line, from_codes
from synmem.cli.browsing.window import Placed
from synmem.cli.render import visible
from synmem.cli.screen import messages
from synmem.cli.screen.columns import wrapped
from synmem.cli.screen.conversation import day_rule
from synmem.cli.screen.pieces import Piece
from synmem.cli.screen.styles import BAD, DIM
from synmem.cli.show import call_text
from synmem.cli.times import shown
from synmem.cli.words import count
from synmem.messages import Message, Unreadable, flat_call

LONG: Final = 4_000
"""A message of more characters is folded to these: what is drawn must be wrapped before."""


def drawn(placed: Placed, width: int, names: Mapping[str, str], *, unfolded: bool) -> list[Line]:
    """The lines of a message, an empty one behind them. `names`: of the tools, by their calls."""
    item = placed.item
    if isinstance(item, Unreadable):
        return _unreadable(placed, item, width)
    kept, rest = (item, 0) if unfolded else _shortened(item)
    head = messages.head(item, width, number=placed.number, full=unfolded)
    answers = names.get(item.tool_call_id or "", "")
    lines = [head, *messages.body(kept, width, full=unfolded, answers=answers)]
    more = [[Piece(f"  ▸ {count(rest, 'more character')}", DIM)]] if rest else []
    return [*map(from_codes, lines), *more, []]


def _unreadable(placed: Placed, item: Unreadable, width: int) -> list[Line]:
    number = "" if placed.number is None else f"#{placed.number}"
    reason = visible(f"record {item.position} cannot be read: {item.why}")
    return [[Piece(number, DIM)], *([Piece(each, BAD)] for each in wrapped(reason, width)), []]


def _shortened(message: Message) -> tuple[Message, int]:
    """A long message as far as it is shown, and how many characters that leaves out. What is one
    line when it is folded needs not be cut."""
    rest = len(message.content) - LONG
    if rest <= 0 or message.role == "tool" or message.tool_call_id:
        return message, 0
    return msgspec.structs.replace(message, content=message.content[:LONG], parts=None), rest


def day_of(placed: Placed) -> str:
    """The day of a message, local; nothing where it has no time."""
    item = placed.item
    return shown(item.created_at)[:10] if isinstance(item, Message) else ""


def rule(day: str, width: int) -> Line:
    """The line above the first message of a day."""
    return [Piece(day_rule(day, width), DIM)]


def names_of(placed: Sequence[Placed]) -> dict[str, str]:
    """The names of the tools that these messages call, by the calls' ids."""
    calls = [
        flat_call(call)
        for each in placed
        if isinstance(each.item, Message)
        for call in each.item.tool_calls or ()
    ]
    return {str(call.get("id")): str(call.get("name") or "") for call in calls}


def said(message: Message) -> str:
    """All of it as text, its tool calls behind the rest."""
    calls = [call_text(call) for call in message.tool_calls or ()]
    return "\n".join([*([message.content] if message.content else []), *calls])
