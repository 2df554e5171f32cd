"""A conversation on a terminal: its head, its days, and what each result answers."""

from datetime import UTC, datetime
from unittest.mock import patch

import pytest

from synmem.cli.screen.columns import cells
from synmem.cli.screen.conversation import Sheet
from synmem.messages import Message, Unreadable
from synmem.store import ConversationInfo
from tests.cli.screen.reading import SGR

HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e[bold]x[/bold]\r\n"
DAY = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sheet(width: int = 80) -> Sheet:
    return Sheet(width)


def plain(lines: list[str]) -> str:
    return SGR.sub("", "\n".join(lines))


def test_a_head_says_what_is_known() -> None:
    info = ConversationInfo(id="a", messages=1204, title="Lists", first_at=DAY, last_at=DAY)
    assert plain(sheet().head(info, "chat.db", "a note")) == (
        "Lists\na · 1,204 messages · 2026-01-01 · chat.db\na note"
    )
    assert plain(sheet().head(ConversationInfo(id="a"), "chat.db")) == "a\nchat.db"


@pytest.mark.parametrize("width", [20, 50, 100, 200])
def test_nothing_stored_is_the_terminals_own_and_all_fits(width: int) -> None:
    info = ConversationInfo(id=HOSTILE * 9, title=HOSTILE * 9)
    with patch("synmem.cli.render.colored", lambda: True):
        drawn = sheet(width)
        lines = drawn.head(info, HOSTILE)
        lines += drawn.unreadable(Unreadable(HOSTILE, HOSTILE), 3)
        lines += drawn.message(Message(HOSTILE, HOSTILE, created_at=DAY), 7, marked=True)
    assert max(map(cells, lines)) <= min(100, width)
    assert not set("\x1b\x07\x9b\u202e\r") & set(SGR.sub("", "".join(lines)))


def test_a_rule_stands_where_another_day_begins_and_nowhere_else() -> None:
    drawn = sheet()
    texts = [
        plain(drawn.message(Message("user", "x", created_at=at)))
        for at in (DAY, None, DAY.replace(minute=5), DAY.replace(day=3))
    ]
    assert ["──" in text for text in texts] == [True, False, False, True]
    assert "── Sat 2026-01-03 ─" in texts[3]


@pytest.mark.parametrize("at", [datetime.min, datetime.max])
def test_the_first_and_the_last_day_there_is_are_drawn(at: datetime) -> None:
    text = plain(sheet().message(Message("user", "x", created_at=at.replace(tzinfo=UTC))))
    assert at.date().isoformat() in text and text.endswith("  x")


def test_a_result_says_which_tool_has_answered() -> None:
    drawn = sheet()
    drawn.message(Message("assistant", "", tool_calls=[{"id": "1", "function": {"name": "ls"}}]))
    assert plain(drawn.message(Message("tool", "a.txt", tool_call_id="1"))).endswith("  ← ls a.txt")
    assert plain(drawn.message(Message("tool", "b", tool_call_id="2"))).endswith("  ← b")


def test_where_the_count_is_not_known_there_is_no_position() -> None:
    assert plain(sheet().message(Message("user", "x"))) == "\nuser\n  x"
