"""Tasks of Roo Code, and of Cline before its SDK: a folder each, called as the task.

`api_conversation_history.json` is what was sent and answered; very early it was called
`claude_messages.json`. A user's words stand in tags, among blocks of the program's own. Where calls
were XML in the answers they still are, and their results are tool messages without an id. The last
answer may only be in `ui_messages.json`, what the panel shows; what else that says is left out.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.anthropic_blocks import piece, text_in
from synmem.layouts.foreign.named_files import (
    each_told,
    json_beside,
    object_beside,
    stem,
)
from synmem.layouts.foreign.values import (
    filled,
    kept,
    object_of,
    objects_of,
    take_number,
    take_text,
    text_of,
    text_or_none,
    time_of,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Told
from synmem.messages import JSONObject, Message, Unreadable, parse_json

NAME: Final = "cline"

_HISTORY: Final = ("api_conversation_history.json", "claude_messages.json")
_PANEL: Final = ("ui_messages.json", "claude_messages.json")
_ABOUT: Final = "history_item.json"

_WRAPPED: Final = re.compile(
    r"\s*<(?P<tag>task|feedback|user_message)>\n?(?P<text>.*?)\n?</(?P=tag)>\s*", re.DOTALL
)
_OWN: Final = re.compile(
    r"\s*(?:<environment_details>.*</environment_details>\s*\Z"
    r"|\[TASK RESUMPTION\]|# task_progress\b)",
    re.DOTALL,
)
"""What the program puts among a user's words."""

_RESULT: Final = re.compile(r"\[\w+.*?\] Result:", re.DOTALL)
"""How the result of a call begins that was XML."""

_CHANGED: Final = "HAS_CHANGES"
"""Stands behind an answer in the panel, for a button."""


# --- whose files they are -------------------------------------------------------------------


def group(names: Sequence[str]) -> dict[str, list[str]]:
    """Of each task the files, by the name of the one that has the history."""
    there, groups = {*names}, {}
    for name in names:
        folder, slash, last = name.rpartition("/")
        folder += slash
        if last in _HISTORY and not (last == _HISTORY[1] and folder + _HISTORY[0] in there):
            beside = dict.fromkeys(folder + each for each in (*_PANEL, _ABOUT))
            groups[name] = [name, *(each for each in beside if each in there and each != name)]
    return groups


def misses(head: Head) -> str | None:
    """See `Folder.misses`."""
    first = head.element
    if not isinstance(first, dict):
        return None
    if "role" in first or first.get("type") == "reasoning":
        return ""
    return "its messages have no role" if "content" in first else None


# --- what they say --------------------------------------------------------------------------


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a task."""
    name = files.name
    folder = name.rpartition("/")[0]
    history = parse_json(files.data[name])
    said = each_told(history, _message)
    damaged: list[Unreadable] = []
    panel = _panel(files, name, damaged)
    about = dict(object_beside(files, _in(name, _ABOUT), damaged))
    title, parent = take_text(about, "task"), about.get("parentTaskId")
    own = {"task": kept(about, ["id"]), "parent": parent}
    return {
        folder.rpartition("/")[2] or text_or_none(about.get("id")) or stem(name): Told(
            messages=[*said, *_last(history, panel), *damaged],
            title=title if title is not None else _title(panel),
            extra=filled(NAME, own),
        )
    }


def _in(name: str, last: str) -> str:
    """The file of that name in the same folder."""
    folder, slash, _ = name.rpartition("/")
    return folder + slash + last


def _panel(files: Files, history: str, damaged: list[Unreadable]) -> list[JSONObject]:
    """What the panel shows, which very early had another name."""
    there = [name for each in _PANEL if (name := _in(history, each)) in files.data]
    shown = json_beside(files, there[0], damaged) if there and there[0] != history else None
    return [each for each in shown if isinstance(each, dict)] if isinstance(shown, list) else []


def _title(panel: Sequence[JSONObject]) -> str | None:
    """What was asked first."""
    first = panel[0] if panel else {}
    return text_or_none(first.get("text")) if first.get("say") in ("task", "text") else None


def _last(history: Any, panel: Iterable[JSONObject]) -> list[Message]:
    """The last answer, where it is only in the panel."""
    before = history[-1] if isinstance(history, list) and history else None
    answers = [each for each in panel if each.get("say") == "completion_result"]
    if not answers or not isinstance(before, dict) or before.get("role") != "user":
        return []
    text, at = answers[-1].get("text"), time_of(answers[-1].get("ts"))
    asked = time_of(before.get("ts"))
    if not isinstance(text, str) or (at and asked and at <= asked):
        return []
    own = {NAME: {"say": "completion_result"}}
    return [Message("assistant", text.removesuffix(_CHANGED), created_at=at, extra=own)]


def _message(said: Any) -> Sequence[Message | Unreadable]:
    if isinstance(said, dict) and "role" not in said and said.get("type") == "reasoning":
        return [_reasoning(dict(said))]
    return parted(said, _spoken)


def _reasoning(left: JSONObject) -> Message:
    """A thought that is an item of its own."""
    at = take_number(left, "ts")
    text = text_or_none(left.get("text")) or text_in(left.get("summary"))
    return Message("reasoning", text, created_at=at, extra={NAME: kept(left)})


# --- a message ------------------------------------------------------------------------------


def parted(
    said: Any, spoken: Callable[[Sequence[JSONObject]], Iterable[runs.Piece]]
) -> list[Message]:
    """The messages of one of Anthropic's; `spoken` tells what its blocks say that are a user's."""
    left = object_of(said, "it")
    role, content = text_of(left.pop("role"), "its role"), left.pop("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    blocks = objects_of(blocks, "its contents")
    at = take_number(left, "ts")
    pieces = [*spoken(blocks)] if role == "user" else [piece(block) for block in blocks]
    return runs.messages_of(pieces, NAME, role=role, created_at=at, extra=kept(left))


def _spoken(blocks: Sequence[JSONObject]) -> Iterator[runs.Piece]:
    """What a user says in these blocks, less what the program put there. Where the result of a call
    is only a head, the text that follows is it."""
    said = deque(block for block in blocks if not _OWN.match(_text(block) or ""))
    while said:
        block = said.popleft()
        text = _text(block)
        if text is None:
            yield piece(block)
        elif head := _RESULT.match(text):
            behind = _text(said[0]) if said else None
            if not text[head.end() :].strip() and behind is not None and not _begins(behind):
                text = f"{text}\n{behind}"
                said.popleft()
            yield runs.Result(None, None, text)
        else:
            wrapped = _WRAPPED.fullmatch(text)
            yield piece(block if wrapped is None else {**block, "text": wrapped["text"]})


def _text(block: JSONObject) -> str | None:
    return text_or_none(block.get("text")) if block.get("type") == "text" else None


def _begins(text: str) -> bool:
    """Whether something of its own begins with this text."""
    return bool(_RESULT.match(text) or _WRAPPED.fullmatch(text))
