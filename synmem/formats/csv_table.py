"""CSV for spreadsheets and back, with a guard or `raw`: see `layouts/interchange/csv_table.py`."""

import csv
import io
from collections.abc import Sequence

from synmem.layouts.interchange.csv_table import HEADER, row
from synmem.messages import Conversation, Message


class Writer:
    """A header, and a row a message."""

    def __init__(self, *, raw: bool = False) -> None:
        self._raw = raw
        self._conversation = Conversation("")
        self._first = True

    def begin(self) -> bytes:
        """The header."""
        return _encode([HEADER])

    def conversation(self, conversation: Conversation) -> bytes:
        """Nothing: each row names its conversation."""
        self._conversation, self._first = conversation, True
        return b""

    def messages(self, messages: Sequence[Message]) -> bytes:
        """A row for each."""
        rows = []
        for message in messages:
            rows.append(row(self._conversation, message, first=self._first, raw=self._raw))
            self._first = False
        return _encode(rows)

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _encode(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
