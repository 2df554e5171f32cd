"""Times, and what a listing knows of a conversation, as HTML."""

from collections.abc import Sequence
from datetime import datetime

from synmem.formats import facts as words
from synmem.formats.html.text import line
from synmem.messages import Conversation, Message
from synmem.store import ConversationInfo

_BLANK = "(blank)"
_SAID = 80
"""So many characters stand for a title, at most."""


def name_of(info: Conversation | ConversationInfo, messages: Sequence[Message]) -> str:
    """What a conversation is called: its title, or how its first message of a user's among these
    begins, or its id."""
    said = next((each.content for each in messages if each.role == "user" and each.content), "")
    return line(info.title or "") or line(said, _SAID) or line(info.id) or _BLANK


def facts(info: ConversationInfo, name: str) -> list[str]:
    """Its id, where the name that stands above is another; how many messages, from when to when."""
    id_ = [f"<code>{line(info.id)}</code>"] if name not in (line(info.id), _BLANK) else []
    return [*id_, *words.facts(info, time)]


def time(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return f'<time datetime="{moment.isoformat()}">{words.time(moment)}</time>'


def encoded(text: str) -> bytes:
    """HTML in UTF-8: a lone surrogate was put in visible form, wherever it stood."""
    return text.encode()
