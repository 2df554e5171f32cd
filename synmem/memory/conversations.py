"""What the two synchronous memories that are stored have in common."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from synmem.memory.base import Said, formatted
from synmem.memory.stored import Session, check_conversation


class StoredConversation:
    """A conversation in a store, for synchronous callers, inside a running event loop too.

    A window counts messages, as SynapseKit does: the result of a tool may stay where its call is
    gone. A call that Ctrl-C ends has done all of it or nothing.

    Can be shared by threads. Memories over one server share a few connections.
    """

    def __init__(
        self, backend: str, settings: Mapping[str, Any], conversation_id: str, window: int | None
    ) -> None:
        """`window` counts pairs of messages; 0 keeps nothing, None everything."""
        check_conversation(conversation_id=conversation_id)
        keep = None if window is None else 2 * window
        self._session = Session(backend, settings, conversation_id, keep)

    def add(self, role: str, content: str, metadata: dict[str, Any] | None = None) -> None:
        """Append a message; with a window the oldest go in the same step.

        `metadata` is stored as JSON: a tuple comes back as a list, a key that is a number as text.
        """
        beside = None if metadata is None else _as_json(metadata)
        self._session.wait(self._session.add(role, content, beside))

    def get_messages(self) -> list[Said]:
        """All messages of this conversation, with `"metadata"` where they have some."""
        found = self._session.wait(self._session.messages())
        return [
            {"role": each.role, "content": each.content}
            | ({"metadata": each.metadata} if each.metadata else {})
            for each in found
        ]

    def format_context(self) -> str:
        """The history as lines `User: ...`, `Assistant: ...`."""
        return formatted(self.get_messages())

    def clear(self) -> None:
        """Delete all messages of this conversation."""
        self._session.wait(self._session.clear())

    def list_conversations(self) -> list[str]:
        """All conversation ids in the store, sorted."""
        return self._session.wait(self._session.conversations())

    def close(self) -> None:
        """Close the connection; twice is once, and what comes after opens it again."""
        if self._session.is_open:
            self._session.wait(self._session.close())

    def __len__(self) -> int:
        return self._session.wait(self._session.count())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _as_json(metadata: dict[str, Any]) -> dict[str, Any]:
    """What `json` makes of it, as SynapseKit stores it; ValueError where it is none."""
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata must be a dict, not {type(metadata).__name__}")
    try:
        made: dict[str, Any] = json.loads(json.dumps(metadata))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"metadata must be JSON: {error}") from error
    return made
