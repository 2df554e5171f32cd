"""One message as lines for a terminal.

`lines` is all of it; who has a head of their own takes `body`. What comes passes the gate here, and
each line fits the width. Content stands two columns in, so that none of it can pass for the head of
another message.
"""

from typing import Final

from synmem.cli.render import visible, visible_line
from synmem.cli.screen import beside
from synmem.cli.screen.columns import PROSE, cut
from synmem.cli.screen.pieces import Line, Piece, drawn, folded_line, width_of
from synmem.cli.screen.prose import plain, rendered, shown
from synmem.cli.screen.styles import DIM, STRONG, of_role
from synmem.formats.parts import is_reasoning
from synmem.messages import Message

INDENT: Final = "  "
_LONGEST: Final = 1_000  # characters: what is longer fits on no line


def lines(
    message: Message,
    width: int,
    *,
    full: bool = False,
    raw: bool = False,
    number: int | None = None,
    answers: str = "",
) -> list[str]:
    """The message: its head, and what it says, with SGR codes where colours are wanted.

    A call is one line, its result and what a model thought too, with their size; `full` unfolds
    them and adds metadata. `raw` is what is stored, through the gate and no more: not wrapped,
    nothing rendered. `number` is its position, `answers` the name of the tool whose result it is.
    """
    made = [head(message, width, number=number, full=full)]
    return made + body(message, width, full=full, raw=raw, answers=answers)


def head(message: Message, width: int, *, number: int | None = None, full: bool = False) -> str:
    """Who says it, where it stands, and when: on one line; in `full` also what call it answers."""
    from synmem.cli.times import shown as shown_time

    role = visible_line(message.role) or "(no role)"
    fixed = [f"#{number}" if number else "", shown_time(message.created_at)[11:]]
    if full and message.tool_call_id:
        fixed.append(visible_line(message.tool_call_id))
    behind = "".join(f"  {each}" for each in fixed if each)
    line: Line = [Piece(role, f"{STRONG};{of_role(message.role)}")]
    if message.name:
        line.append(Piece(f" {visible_line(message.name)}"))
    room = max(8, min(PROSE, width) - width_of([Piece(behind)]))
    if width_of(line) > room:
        line = [Piece(cut("".join(piece.text for piece in line), room), line[0].style)]
    return drawn([*line, Piece(cut(behind, width - min(room, width_of(line))), DIM)])


def body(
    message: Message, width: int, *, full: bool = False, raw: bool = False, answers: str = ""
) -> list[str]:
    """What the message says: see `lines`."""
    if raw:
        return visible(message.content).split("\n") + beside.stored(message)
    room = min(PROSE, width) - len(INDENT)
    thoughts, others = beside.parts_of(message)
    made: list[Line] = []
    for text in thoughts:
        made += _thought("◦ reasoning", text, room, full=full)
    made += _content(message, room, full=full, answers=answers)
    for part in others:
        made += _fitted(beside.part(part, full=full), room, full=full)
    for call in beside.calls_of(message):
        made += _fitted(beside.call(call, full=full), room, full=full)
    if full and message.metadata:
        made += _fitted(beside.metadata(message.metadata), room, full=True)
    made = made or [[Piece("(nothing)", DIM)]]
    return [drawn([Piece(INDENT), *line]) if line else "" for line in made]


def _content(message: Message, room: int, *, full: bool, answers: str) -> list[Line]:
    if message.role == "tool" or message.tool_call_id:
        return _result(
            f"← {visible_line(answers)}".strip(), shown(message.content), room, full=full
        )
    if not message.content:
        return []
    if is_reasoning(message.role):
        return _thought("◦", message.content, room, full=full)
    text = shown(message.content)
    made = rendered(text, room)
    if any(map(width_of, made)) or not text.strip():
        return made
    return plain(text, room)  # of marks alone (a fence, a quotation of nothing) all was said


def _thought(sign: str, text: str, room: int, *, full: bool) -> list[Line]:
    """What a model thought: folded, or as it would be said."""
    text = shown(text)
    if not full or _is_line(text, room - len(sign) - 1):
        return [_folded(sign, text, room)]
    inner = rendered(text, room - len(INDENT))
    return [_cut(_size(sign, text), room), *([Piece(INDENT), *line] for line in inner)]


def _result(sign: str, text: str, room: int, *, full: bool) -> list[Line]:
    """What a tool has answered: folded, or line by line, since it is seldom Markdown."""
    if not full or _is_line(text, room - width_of([Piece(sign)]) - 1):
        return [_folded(sign, text, room)]
    inner = [folded_line([Piece(line)], room - len(INDENT)) for line in text.split("\n")]
    size = _cut(_size(sign, text), room)
    return [size, *([Piece(INDENT), *line] for lines in inner for line in lines)]


def _folded(sign: str, text: str, room: int) -> Line:
    """What is seldom read, on one line: all of it, or how large it is and how it begins."""
    if _is_line(text, room - width_of([Piece(sign)]) - 1):
        said = Piece(text) if text else Piece("(nothing)", DIM)
        return _cut([Piece(f"{sign} ", DIM), said], room)
    first = next((line for line in text.split("\n") if line.strip()), "").strip()
    return _cut([*_size(sign, text), Piece(": ", DIM), Piece(first[:_LONGEST])], room)


def _size(sign: str, text: str) -> Line:
    return [Piece(f"{sign} {beside.size_of(text)}", DIM)]


def _is_line(text: str, room: int) -> bool:
    return "\n" not in text and len(text) < _LONGEST and width_of([Piece(text)]) <= room


def _fitted(lines: list[Line], room: int, *, full: bool) -> list[Line]:
    """Lines that fit: broken, where all is to be seen, else cut."""
    if full:
        return [part for line in lines for part in folded_line(line, room)]
    return [_cut(line, room) for line in lines]


def _cut(line: Line, room: int) -> Line:
    if width_of(line) <= room:
        return line
    kept: Line = []
    for piece in line:
        left = room - width_of(kept)
        if width_of([piece]) >= left:
            return [*kept, piece._replace(text=cut(piece.text + " ", left))]
        kept.append(piece)
    return kept
