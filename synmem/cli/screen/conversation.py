"""A conversation as it is read on a terminal: a head, a rule at each new day, its messages."""

from datetime import date
from typing import Final

from synmem.cli.render import visible_line
from synmem.cli.screen.columns import PROSE, cut, wrapped
from synmem.cli.screen.messages import body, head
from synmem.cli.screen.styles import BAD, DIM, MATCH, STRONG, painted
from synmem.cli.times import shown
from synmem.cli.words import count, span
from synmem.messages import Message, Unreadable, flat_call
from synmem.store import ConversationInfo

MARK: Final = " ◀"
"""What stands behind the head of the message that was asked for."""
_BETWEEN: Final = " · "
_RULE: Final = "─"


class Sheet:
    """Draws one message after the other, and remembers the day and what was called."""

    def __init__(self, width: int, *, full: bool = False, raw: bool = False) -> None:
        self._width = width
        self._prose = min(PROSE, width)
        self._full = full
        self._raw = raw
        self._day = ""
        self._called: dict[str, str] = {}

    def head(self, info: ConversationInfo, store: str, note: str = "") -> list[str]:
        """The title, or else the id; what else is known of it; and a note of what is shown."""
        title = visible_line(info.title or "")
        facts = [visible_line(info.id)] if title else []
        if info.messages is not None:
            facts.append(count(info.messages, "message"))
        facts += [span([info.first_at], [info.last_at]), visible_line(store)]
        lines = self._wrapped(title or visible_line(info.id), STRONG)
        lines += self._wrapped(_BETWEEN.join(filter(None, facts)), DIM)
        return lines + (self._wrapped(note, DIM) if note else [])

    def message(
        self, message: Message, number: int | None = None, *, marked: bool = False
    ) -> list[str]:
        """The message, with an empty line before it, and a rule where another day begins."""
        answers = self._called.get(message.tool_call_id or "", "")
        for call in map(flat_call, message.tool_calls or ()):
            self._called[str(call.get("id"))] = str(call.get("name") or "")
        mark = painted(MARK, MATCH) if marked else ""
        width = self._width - len(MARK) if marked else self._width
        made = head(message, width, number=number, full=self._full) + mark
        said = body(message, self._width, full=self._full, raw=self._raw, answers=answers)
        return [*self._new_day(shown(message.created_at)[:10]), "", made, *said]

    def unreadable(self, record: Unreadable, number: int | None = None) -> list[str]:
        """What stands in the place of a record that cannot be read: which, and why."""
        place = f"#{number}  " if number else ""
        told = f"{place}record {record.position} cannot be read: {record.why}"
        return ["", *self._wrapped(visible_line(told), BAD)]

    def _new_day(self, day: str) -> list[str]:
        if not day or day == self._day:
            return []
        self._day = day
        return ["", painted(day_rule(day, self._width), DIM)]

    def _wrapped(self, text: str, style: str) -> list[str]:
        return [painted(line, style) for line in wrapped(text, self._prose)]


def day_rule(day: str, width: int) -> str:
    """The line above the first message of a day."""
    told = f"{_RULE * 2} {date.fromisoformat(day):%a} {day} "
    prose = min(PROSE, width)
    return cut(told.ljust(prose, _RULE), prose)
