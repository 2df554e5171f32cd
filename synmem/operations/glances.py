"""What a person is shown of conversations beside what a listing knows: how they begin, who spoke
last, how large they are."""

from collections.abc import Sequence
from typing import Final

import msgspec

from synmem.messages import Message
from synmem.store import Store

_AMONG: Final = 8
"""Among so many messages the user's first is looked for: what stands before are prompts."""
_CHARACTERS: Final = 100


class Glance(msgspec.Struct):
    """The first words on one line, cut; the role of the last message, and the bytes of all
    contents in UTF-8, where all was read."""

    words: str = ""
    last_role: str | None = None
    bytes: int | None = None


async def glances(
    store: Store, conversations: Sequence[str], *, whole: bool = False
) -> dict[str, Glance]:
    """How each begins: with the first text of the user's, else with the first that there is.

    With `whole` they are read to their ends, in one pass; nothing is kept of what was read.
    """
    found: dict[str, Glance] = {}
    users: set[str] = set()
    limit = None if whole else _AMONG
    async for page in store.read(conversations, limit=limit):
        glance = found.setdefault(page.conversation, Glance())
        for item in page.items:
            if isinstance(item, Message):
                _see(glance, item, users, page.conversation)
    return found if whole else {id_: Glance(words=each.words) for id_, each in found.items()}


def _see(glance: Glance, message: Message, users: set[str], conversation: str) -> None:
    glance.last_role = message.role
    glance.bytes = (glance.bytes or 0) + _bytes(message.content)
    if conversation in users or (glance.words and message.role != "user"):
        return
    if words := _words(message.content):
        glance.words = words
        if message.role == "user":
            users.add(conversation)


def _words(content: str) -> str:
    """The beginning on one line: so much as can be shown of it, whatever it weighs."""
    return " ".join(content[: 4 * _CHARACTERS].split())[:_CHARACTERS]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
