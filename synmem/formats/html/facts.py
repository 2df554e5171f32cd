"""Times, counts, and what a listing knows of a conversation, as HTML."""

from datetime import datetime

from synmem.formats.html.text import line
from synmem.store import ConversationInfo


def facts(info: ConversationInfo, *, titled: bool) -> list[str]:
    """Its id, where its title stands above; how many messages, from when to when."""
    found = [f"<code>{line(info.id)}</code>"] if titled else []
    if info.messages is not None:
        found.append(count(info.messages, "message"))
    if info.first_at is not None:
        found.append(time(info.first_at))
        if info.last_at is not None and info.last_at != info.first_at:
            found[-1] += f" to {time(info.last_at)}"
    return found


def time(moment: datetime) -> str:
    """A time in UTC, to the second."""
    words = moment.isoformat(sep=" ", timespec="seconds")[:19]
    return f'<time datetime="{moment.isoformat()}">{words} UTC</time>'


def count(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def encoded(text: str) -> bytes:
    """HTML in UTF-8: a lone surrogate was put in visible form, wherever it stood."""
    return text.encode()
