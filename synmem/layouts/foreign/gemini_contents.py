"""Gemini's contents: what Gemini CLI saves as a checkpoint (`/chat save TAG`), a list of them or an
object with such a `history`; or the body of a request, with `contents` and `systemInstruction`.

A conversation is called as its file: `checkpoint-TAG.json` as the tag, percent-decoded. There are
no times. What has no word of ours lies in `extra["gemini_contents"]`: of a message's parts in
`blocks`, of the conversation what stands beside its contents.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote

from synmem.layouts.foreign import gemini_parts, runs
from synmem.layouts.foreign.named_files import each_ending, stem
from synmem.layouts.foreign.values import kept, list_of, object_of, text_of, told
from synmem.layouts.heads import Head, least
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "gemini_contents"
TITLE: Final = "Gemini"

HOLDS: Final = Holds(
    fields=runs.FIELDS - {"created_at"},
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

_CHECKPOINT: Final = "checkpoint-"
_CONTENTS: Final = ("history", "contents")
_SYSTEM: Final = ("systemInstruction", "system_instruction")


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a file."""
    (data,) = files.data.values()
    value = parse_json(data)
    about = dict(value) if isinstance(value, dict) else {}
    contents = next((about.pop(key) for key in _CONTENTS if key in about), value)
    messages = [*_system(about)]
    for index, each in enumerate(list_of(contents, "its contents")):
        messages += told("content", index, _messages, each)
    left = kept(about)
    return {_id(files.name): Told(messages=messages, extra={NAME: left} if left else None)}


def _id(name: str) -> str:
    said = stem(name)
    return unquote(said.removeprefix(_CHECKPOINT)) if said.startswith(_CHECKPOINT) else said


def _system(about: JSONObject) -> Sequence[Message | Unreadable]:
    """The system prompt, taken from what stands beside the contents."""
    for key in _SYSTEM:
        if about.get(key):
            return told("content", key, _prompt, about.pop(key))
    return []


def _prompt(said: Any) -> list[Message]:
    parts = said.get("parts") if isinstance(said, dict) else said
    return runs.messages_of(gemini_parts.pieces(parts), NAME, role="system")


def _messages(content: Any) -> list[Message]:
    left = object_of(content, "the content")
    role = text_of(left.pop("role", "user"), "its role")
    pieces = gemini_parts.pieces(left.pop("parts", None))
    role = gemini_parts.ROLES.get(role, role)
    return runs.messages_of(pieces, NAME, role=role, extra=kept(left))


def _misses(head: Head) -> str | None:
    value = head.value
    if isinstance(value, dict):
        value = next((value[key] for key in _CONTENTS if key in value), None)
    return least(_lacks, value)


def _lacks(said: Any) -> str | None:
    if not isinstance(said, dict) or said.get("role") not in ("user", "model", "function"):
        return None
    if "parts" not in said:
        return None if "content" in said else "its contents have no parts"
    return ""


SHAPES: Final = {
    "file": (Folder(group=each_ending(".json"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
