"""The file of `--rejects`: what stayed behind, and why."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synmem import durable
from synmem.cli import render
from synmem.cli.files import gated, is_special, open_special, translating

if TYPE_CHECKING:
    from synmem.messages import Message, Unreadable


class Rejects:
    """The file of what stayed behind: JSONL, with `reason` and `at`; made at the first of them."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: Any = None
        self._write: Callable[[bytes], object]

    def take(self, conversation: str, at: int, item: "Message | Unreadable", reason: str) -> None:
        """One message or record: what stands in the way, and how many messages are before it."""
        from synmem.messages import Message, as_dict, dump_json

        if self.path is None:
            return
        if isinstance(item, Message):
            body = as_dict(item)
        else:
            body = {"position": item.position}
            if item.text is not None:
                body["text"] = item.text
        line = {"conversation_id": conversation, **body, "reason": reason, "at": at}
        with translating(self.path):
            if self._file is None:
                special = is_special(self.path)
                self._file = open_special(self.path) if special else self.path.open("wb")
                self._write = gated(self._file.write, self._file, render.json_for_terminal)
            self._write(dump_json(line) + b"\n")

    def close(self) -> None:
        """Finish the file, safe from a power cut: what came by stdin may be nowhere else."""
        if self._file is None or self.path is None:
            return
        with translating(self.path), self._file as file:
            if self.path.is_file():
                durable.sync(file)
