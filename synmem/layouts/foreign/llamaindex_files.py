"""LlamaIndex's `SimpleChatStore` in a file: `{"store": {conversation: [message]}}`, or one text of
JSON that holds this."""

import re
from typing import Any, Final

from synmem.layouts.foreign.llamaindex_messages import HOLDS, message_of, tells
from synmem.layouts.foreign.named_files import each_ending, each_list, each_told
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Export, Files, Folder, Told
from synmem.messages import Message, parse_json

VERSION: Final = "SimpleChatStore"

_TEXT: Final = re.compile(rb'\s*"\s*\{\s*\\"store\\"\s*:\s*\{')
"""With what a text begins that holds a store."""


def _messages(said: Any) -> list[Message]:
    return [message_of(said)]


def _misses(head: Head) -> str | None:
    said = head.value
    if not isinstance(said, dict) or not isinstance(store := said.get("store"), dict):
        return None
    if said.get("class_name") == VERSION:
        return ""
    first = next((each[0] for each in store.values() if isinstance(each, list) and each), None)
    is_cut = not head.whole and isinstance(first, dict) and "role" in first
    return "" if is_cut or tells(first) else None


FILE: Final = Export(
    names=r".*\.json",
    at=("store",),
    version=VERSION,
    misses=_misses,
    unfold=lambda value: {value.key: Told(messages=each_told(value.said, _messages))},
    holds=HOLDS,
)


def _unfold_text(files: Files) -> dict[str, Told]:
    (data,) = files.data.values()
    said = parse_json(parse_json(data))
    store = said.get("store") if isinstance(said, dict) else None
    if not isinstance(store, dict):
        raise ValueError("it has no store")
    return each_list(store, _messages)


TEXT: Final = Folder(
    version=VERSION,
    group=each_ending(".json"),
    misses=lambda head: "" if _TEXT.match(head.data) else None,
    unfold=_unfold_text,
    holds=HOLDS,
)
"""The same as one text: what was made with `json()` and dumped once more."""
