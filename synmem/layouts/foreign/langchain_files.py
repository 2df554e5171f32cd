"""LangChain's messages in files: a JSON array, and the conversation is called as its file."""

from typing import Any, Final

from synmem.layouts.foreign.langchain_messages import HOLDS, KINDS, message_of
from synmem.layouts.foreign.named_files import each_ending, each_told, stem
from synmem.layouts.foreign.values import text_or_none
from synmem.layouts.heads import Head, least
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import parse_json


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a file."""
    (data,) = files.data.values()
    said = each_told(parse_json(data), lambda each: [message_of(each)])
    return {stem(files.name): Told(messages=said)}


def _misses(head: Head) -> str | None:
    return least(lambda each: _lacks(each, whole=head.whole), head.value)


def _lacks(said: Any, *, whole: bool) -> str | None:
    if not isinstance(said, dict) or not isinstance(said.get("data"), dict):
        return None
    if text_or_none(said.get("type")) not in KINDS:
        return None
    return "its messages have no content" if "content" not in said["data"] and whole else ""


FILES: Final = Folder(
    version="FileChatMessageHistory",
    group=each_ending(".json"),
    misses=_misses,
    unfold=unfold,
    holds=HOLDS,
)
"""`FileChatMessageHistory` of langchain-community, which writes the file anew with each message."""
