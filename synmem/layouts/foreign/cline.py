"""Cline and Roo Code: Anthropic's messages, a JSON file a conversation.

A session of Cline's CLI and SDK is `{id}.messages.json`, beside `{id}.json` that says its title;
that of a sub-agent names its `parent`, in whose folder it lies. A task of Roo Code, or of Cline
before its SDK, is a folder, of which `cline_tasks.py` knows more.

Of what the program puts around a user's words there is only the words; system prompts are left out.
What has no word of ours lies in `extra["cline"]`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from synmem.layouts.foreign import cline_tasks, runs
from synmem.layouts.foreign.anthropic_blocks import piece
from synmem.layouts.foreign.cline_tasks import NAME, parted
from synmem.layouts.foreign.named_files import each_told, object_beside, stem
from synmem.layouts.foreign.values import filled, kept, object_of, take_text, text_or_none
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

TITLE: Final = "Cline, Roo Code"

HOLDS: Final = Holds(
    fields=runs.FIELDS, conversation_fields=frozenset({"title", "extra"}), own=False, extra_of=NAME
)

_SESSION: Final = ".messages.json"

_TYPED: Final = re.compile(r"\s*<user_input\b[^>]*>(?P<text>.*)</user_input>\s*", re.DOTALL)


def group(names: Sequence[str]) -> dict[str, list[str]]:
    """Of each session and each task the files."""
    groups = cline_tasks.group(names)
    there = {*names}
    for name in names:
        if name.endswith(_SESSION):
            about = name.removesuffix(_SESSION) + ".json"
            groups[name] = [name, *(each for each in [about] if each in there)]
    return groups


def _misses(head: Head) -> str | None:
    if not head.name.endswith(_SESSION):
        return cline_tasks.misses(head)
    said = head.value
    if not isinstance(said, dict) or not isinstance(said.get("messages"), list):
        return None
    return "" if said.keys() & {"sessionId", "agent"} else "it does not say of which session it is"


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a session, or of a task."""
    name = files.name
    if not name.endswith(_SESSION):
        return cline_tasks.unfold(files)
    left = object_of(parse_json(files.data[name]), "it")
    left.pop("system_prompt", None)
    messages = each_told(left.pop("messages", None), _message)
    damaged: list[Unreadable] = []
    about = object_beside(files, name.removesuffix(_SESSION) + ".json", damaged)
    id_, origin, metadata = take_text(left, "sessionId"), left.get("origin"), about.get("metadata")
    own = {
        "session": kept(about, ["messages_path", "session_id", "prompt"]),
        **kept(left),
        "parent": origin.get("parentThreadId") if isinstance(origin, dict) else None,
    }
    told = Told(
        messages=[*messages, *damaged],
        title=text_or_none(metadata.get("title")) if isinstance(metadata, dict) else None,
        extra=filled(NAME, own),
    )
    return {id_ or stem(name).removesuffix(".messages"): told}


def _message(said: Any) -> list[Message]:
    return parted(said, _spoken)


def _spoken(blocks: Sequence[JSONObject]) -> Iterator[runs.Piece]:
    """What a user says in these blocks: of the text the words that were typed."""
    for block in blocks:
        text = block.get("text")
        typed = _TYPED.fullmatch(text) if isinstance(text, str) else None
        yield piece(block if typed is None else {**block, "text": typed["text"]})


SHAPES: Final = {
    "file": (Folder(group=group, misses=_misses, distinct=True, unfold=unfold, holds=HOLDS),)
}
