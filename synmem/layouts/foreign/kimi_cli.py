"""Kimi CLI's sessions: a folder each, in which `context.jsonl` is what the model is sent.

When it is rewound, compacted or cleared, the file is set aside as `context_1.jsonl` and so on: each
of these is a branch. A sub-agent's lies in a folder in the session's, which is its `parent`. System
prompts, reminders and checkpoints, which the program adds, are left out. Messages have no times.
What has no word of ours lies in `extra["kimi_cli"]`.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from synmem.layouts.foreign import json_lines, openai_parts, runs
from synmem.layouts.foreign.named_files import object_beside
from synmem.layouts.foreign.values import (
    filled,
    kept,
    object_of,
    objects_of,
    take_text,
    text_of,
    text_or_none,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, Message, Unreadable

NAME: Final = "kimi_cli"
TITLE: Final = "Kimi CLI"

HOLDS: Final = Holds(
    fields=runs.FIELDS - {"created_at"},
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_CONTEXT: Final = "context.jsonl"
_ASIDE: Final = re.compile(r"(?P<folder>.*/|)context_(?P<number>\d+)\.jsonl")
_BESIDE: Final = ("state.json", "meta.json")
_ROLES: Final = frozenset({"system", "user", "assistant", "tool"})

_ADDED: Final = re.compile(r"\s*<system>CHECKPOINT \d+</system>\s*\Z|\s*<system-reminder>")
"""What the program says in the user's name."""


# --- whose files they are -------------------------------------------------------------------


def group(names: Sequence[str]) -> dict[str, list[str]]:
    """The files of each session and of each sub-agent; those that were set aside newest first."""
    there = {*names}
    aside: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if part := _ASIDE.fullmatch(name):
            aside.setdefault(part["folder"], []).append((int(part["number"]), name))
    groups = {}
    for name in names:
        folder, slash, last = name.rpartition("/")
        folder += slash
        if last == _CONTEXT:
            older = [each for _, each in sorted(aside.get(folder, ()), reverse=True)]
            beside = [folder + each for each in _BESIDE if folder + each in there]
            groups[name] = [name, *older, *beside]
    return groups


def _misses(head: Head) -> str | None:
    role = text_or_none(head.readable.get("role"))
    if role in ("_system_prompt", "_checkpoint", "_usage"):
        return ""
    if role not in _ROLES:
        return None
    return "" if "content" in head.readable or not head.whole else "its messages have no content"


# --- what they say --------------------------------------------------------------------------


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a session or of a sub-agent."""
    folder = files.name.removesuffix(_CONTEXT)
    contexts = {
        name.removeprefix(folder).removesuffix(".jsonl"): json_lines.told(name, data, _messages)
        for name, data in files.data.items()
        if name == files.name or _ASIDE.fullmatch(name)
    }
    said = {name: messages for name, messages in contexts.items() if messages}
    current = next(iter(said), None)
    damaged: list[Unreadable] = []
    state, about = (object_beside(files, folder + each, damaged) for each in _BESIDE)
    *_, parent, kind, last = ("", "", "", *folder.rstrip("/").split("/"))
    parent = parent if kind == "subagents" else ""
    own = {"state": kept(state), "about": kept(about), "parent": parent}
    return {
        (f"{parent}/{last}" if parent else last) or "session": Told(
            messages=[*said[current], *damaged] if current else [],
            title=text_or_none(state.get("custom_title", about.get("description"))),
            extra=filled(NAME, own),
            branches={name: messages for name, messages in said.items() if name != current},
        )
    }


def _messages(said: Any) -> list[Message]:
    left = object_of(said, "it")
    role, content = text_of(left.pop("role"), "its role"), left.pop("content", None)
    if role.startswith("_") or (role == "user" and _is_added(content)):
        return []
    name, id_ = take_text(left, "name"), take_text(left, "tool_call_id")
    if role == "tool":
        pieces: list[runs.Piece] = [openai_parts.answer(id_, name, content)]
    else:
        pieces = [*openai_parts.pieces(content)]
    pieces += map(openai_parts.call, objects_of(left.pop("tool_calls", None), "its calls"))
    return runs.messages_of(pieces, NAME, role=role, extra=kept(left))


def _is_added(content: Any) -> bool:
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        content = content[0].get("text")
    return isinstance(content, str) and _ADDED.match(content) is not None


SHAPES: Final = {"file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),)}
