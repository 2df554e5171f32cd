"""Conversations that break tools, for the tests that carry them from store to store."""

from synmem.messages import Conversation, Message
from synmem.store import Part
from tests.conformance import AT, FULL, IDS, METADATA, TEXTS, numbered

MOST = 250_000
"""Characters of the longest text: DynamoDB takes 400 KB an item."""


def hostile() -> list[Part]:
    """Every id, text, number and field of the conformance suite, and conversations of many sizes."""
    parts = [
        Part(Conversation(i, f"of {i[:50]}", {"n": [2**70, 1.0, None]}), [Message("user", i[:99])])
        for i in IDS
    ]
    texts = [text[:MOST] for text in TEXTS.values()]
    parts.append(
        Part(
            Conversation("texts", "\ud800 title\x00", {"": {}}),
            [Message(f"role {t[:20]}", t, {t[:40]: t[:40]}, name=t[:40]) for t in texts],
        )
    )
    parts.append(
        Part(Conversation("metadata"), [Message("user", f"{n}", m) for n, m in enumerate(METADATA)])
    )
    parts.append(
        Part(
            Conversation("fields"),
            [FULL, Message("Human", "x", created_at=AT.replace(year=1)), FULL, FULL,
             Message("tool", "", tool_call_id="", name=""),
             Message("user", "late", created_at=AT.replace(year=9999, month=12, day=31, hour=23,
                                                           minute=59, second=59, microsecond=999999))],
        )
    )  # fmt: skip
    parts += [Part(Conversation(f"small {n}"), numbered(n % 7 + 1)) for n in range(120)]
    parts.append(Part(Conversation("long"), numbered(1500)))
    return parts
