"""Times, and what a listing knows of a conversation, as HTML."""

from datetime import datetime

from synmem.formats import facts as words
from synmem.formats.html.text import line
from synmem.store import ConversationInfo


def facts(info: ConversationInfo, *, titled: bool) -> list[str]:
    """Its id, where its title stands above; how many messages, from when to when."""
    id_ = [f"<code>{line(info.id)}</code>"] if titled else []
    return [*id_, *words.facts(info, time)]


def time(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return f'<time datetime="{moment.isoformat()}">{words.time(moment)}</time>'


def encoded(text: str) -> bytes:
    """HTML in UTF-8: a lone surrogate was put in visible form, wherever it stood."""
    return text.encode()
