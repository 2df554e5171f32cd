"""How a message looks in the browser: its lines, folded or not."""

from datetime import datetime
from typing import Final

from synmem.cli.browsing.lines import Line, Span
from synmem.cli.browsing.window import Placed
from synmem.cli.render import visible, visible_line
from synmem.cli.screen.columns import PROSE, cells, cut, folded, wrapped
from synmem.cli.screen.styles import BAD, DIM, STRONG, of_role
from synmem.cli.times import shown
from synmem.cli.words import count
from synmem.messages import JSONObject, Message, Unreadable

LONG: Final = 4_000
"""A message of more characters is folded to these: what is drawn must be wrapped before."""


def drawn(placed: Placed, width: int, *, unfolded: bool) -> list[Line]:
    """The lines of a message, an empty one behind them."""
    item = placed.item
    if isinstance(item, Unreadable):
        reason = visible(f"record {item.position} cannot be read: {item.why}")
        head: list[Line] = [[Span(number_of(placed), DIM)]]
        return [*head, *([Span(each, BAD)] for each in wrapped(reason, width)), []]
    width = min(width, PROSE)
    lines = [_head(item, placed, width), *_body(item, width, unfolded=unfolded)]
    for call in item.tool_calls or ():
        lines += _call(call, width, unfolded=unfolded)
    return [*lines, *_beside(item, width, unfolded=unfolded), []]


def said(message: Message) -> str:
    """All of it as text, its tool calls behind the rest."""
    calls = ["-> {}({})".format(*_of_call(call)) for call in message.tool_calls or ()]
    return "\n".join([*([message.content] if message.content else []), *calls])


def day_of(placed: Placed) -> str:
    """The day of a message, local; nothing where it has no time."""
    item = placed.item
    return shown(item.created_at)[:10] if isinstance(item, Message) else ""


def rule(day: str, width: int) -> Line:
    """The line above the first message of a day."""
    return [Span(f"── {day} " + "─" * max(0, min(width, PROSE) - len(day) - 4), DIM)]


def number_of(placed: Placed) -> str:
    """`#12`, where it is known."""
    return "" if placed.number is None else f"#{placed.number}"


def _head(message: Message, placed: Placed, width: int) -> Line:
    details = [number_of(placed), message.name or "", _clock(message.created_at)]
    role = cut(visible_line(message.role), width)
    beside = "  ".join(visible_line(each) for each in details if each)
    beside = cut(f"  {beside}", max(0, width - cells(role)))
    return [Span(role, f"{STRONG};{of_role(message.role)}"), Span(beside, DIM)]


def _clock(time: datetime | None) -> str:
    return shown(time)[11:16]


def _body(message: Message, width: int, *, unfolded: bool) -> list[Line]:
    """What it says. A tool's result is one line until it is unfolded."""
    text = message.content
    if not text:
        return []
    if message.role == "tool" and not unfolded:
        begins = visible_line(text[:500].strip())
        return [[Span(cut(f"▸ {count(len(text), 'character')}: {begins}", width), DIM)]]
    kept = text if unfolded or len(text) <= LONG else text[:LONG]
    lines: list[Line] = [[Span(each)] for each in wrapped(_shown(kept), width)]
    if len(kept) < len(text):
        lines.append([Span(f"▸ {count(len(text) - len(kept), 'more character')}", DIM)])
    return lines


def _call(call: JSONObject, width: int, *, unfolded: bool) -> list[Line]:
    """A call is one line; unfolded, its arguments follow."""
    name, arguments = _of_call(call)
    color = of_role("tool")
    if not unfolded:
        return [[Span(cut(visible_line(f"▸ {name}({arguments[:1000]})"), width), color)]]
    lines: list[Line] = [[Span(cut(visible_line(f"▾ {name}"), width), color)]]
    return lines + [[Span("  "), Span(each)] for each in _code(arguments, width - 2)]


def _of_call(call: JSONObject) -> tuple[str, str]:
    """What is called, and with what."""
    from synmem.messages import flat_call

    call = flat_call(call)
    arguments = call.get("arguments")
    return str(call.get("name")), arguments if isinstance(arguments, str) else _json(arguments)


def _beside(message: Message, width: int, *, unfolded: bool) -> list[Line]:
    """Parts that are no text, each a line; unfolded, metadata too, and which call it answers."""
    from synmem.messages import parts_beside_calls

    texts = [
        f"[{part.get('type')}] {_json(part)}"
        for part in parts_beside_calls(message)
        if part.get("type") != "text"
    ]
    if not unfolded:
        return [[Span(cut(visible_line(text[:1000]), width), DIM)] for text in texts]
    texts += [f"answers {message.tool_call_id}"] if message.tool_call_id else []
    texts += [f"metadata {_json(message.metadata)}"] if message.metadata else []
    return [[Span(each, DIM)] for text in texts for each in _code(text, width)]


def _code(text: str, width: int) -> list[str]:
    return [piece for line in _shown(text).split("\n") for piece in folded(line, width)]


def _shown(text: str) -> str:
    """Through the gate; a tab takes as many cells as it says."""
    return visible(text).expandtabs(4)


def _json(value: object) -> str:
    from synmem.messages import dump_json

    return dump_json(value).decode()
