"""VS Code's chats, Copilot's among them: of each session the state in a `.json`, or since 2026 a
log of operations in a `.jsonl`, which is the newer where both are there.

A request is a user's message and the answer of many parts to it. Which calls were made, and what
came back, Copilot alone says, in rounds beside the parts; other extensions say what was shown. A
request that was taken back is left out and counted; with it the session is a branch. Drafts, what
the editor shows otherwise than as text, and what Copilot put around the words are left out: of a
request's `message` all but the text, of the result's metadata `renderedUserMessage`,
`renderedGlobalContext` and `codeBlocks`. What has no word of ours lies in `extra["vscode_chat"]`.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import object_beside, stem
from synmem.layouts.foreign.operation_log import replayed
from synmem.layouts.foreign.values import (
    kept,
    list_of,
    object_of,
    objects_of,
    take_number,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.foreign.vscode_chat_answers import answered
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "vscode_chat"
TITLE: Final = "VS Code chat"

HOLDS: Final = Holds(
    fields=runs.FIELDS, conversation_fields=frozenset({"title", "extra"}), own=False, extra_of=NAME
)

_FOLDERS: Final = ("chatSessions", "emptyWindowChatSessions")

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jsonl?\Z")
"""What a session's file is called."""


# --- whose files they are -------------------------------------------------------------------


def group(names: Sequence[str]) -> dict[str, list[str]]:
    """Each session's file; beside an older one the newer, and the one that names the folder which
    was open. Where nothing says in what folder a file is, it is one that is called as sessions are,
    or the only one there."""
    there = {*names}
    groups = {}
    for name in names:
        *folder, last = name.split("/")
        is_one = folder[-1] in _FOLDERS if folder else len(names) == 1 or _ID.match(last)
        if not is_one or not last.endswith((".json", ".jsonl")):
            continue
        newer = name + "l" if name.endswith(".json") else ""
        beside = (newer, "/".join([*folder[:-1], "workspace.json"]))
        groups[name] = [name, *(each for each in beside if each in there and each != name)]
    return groups


def _misses(head: Head) -> str | None:
    said = head.first if head.name.endswith(".jsonl") else head.value
    if isinstance(said, dict) and said.get("kind") == 0:
        said = said.get("v")
        return "" if isinstance(said, dict) and {"version", "sessionId"} & said.keys() else None
    if not isinstance(said, dict) or not isinstance(said.get("requests"), list):
        return None
    return "" if {"responderUsername", "creationDate", "sessionId"} & said.keys() else None


# --- what they say --------------------------------------------------------------------------


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a session; none, where there is a newer file of it."""
    name, damaged = files.name, list[Unreadable]()
    if name.endswith(".json"):
        newer = files.data.get(name + "l")
        if newer is not None and replayed(name, newer)[0] is not None:
            return {}
        state = parse_json(files.data[name])
    else:
        state, damaged = replayed(name, files.data[name])
    if state is None:
        return {}
    left = object_of(state, "the session")
    requests = list_of(left.get("requests", []), "its requests")
    parted = [_parted(index, each) for index, each in enumerate(requests)]
    shown = [m for _, hidden, some in parted if not hidden for m in some]
    every = [m for _, _, some in parted for m in some]
    beside = [each for each in files.data if each.endswith("workspace.json")]
    about = object_beside(files, beside[0], damaged) if beside else {}
    own = _about(left) | ({"workspace": kept(about)} if about else {})
    if len(every) > len(shown):
        own["hidden"] = len(every) - len(shown)
    leaves = [id_ for id_, hidden, _ in parted if hidden]
    return {
        text_or_none(left.get("sessionId")) or stem(name): Told(
            messages=[*shown, *damaged],
            title=text_or_none(left.get("customTitle")) or text_or_none(left.get("computedTitle")),
            extra={NAME: own} if own else None,
            branches={leaves[-1]: every} if leaves and len(every) > len(shown) else {},
        )
    }


def _about(state: JSONObject) -> JSONObject:
    """What a session says of itself, which is plain."""
    known = ("sessionId", "customTitle", "computedTitle")
    return {
        key: value
        for key, value in state.items()
        if isinstance(value, str | int | float) and key not in known
    }


def _parted(index: int, said: Any) -> tuple[str, bool, Sequence[Message | Unreadable]]:
    """A request: its id, whether it was taken back, and its messages."""
    known = said if isinstance(said, dict) else {}
    id_ = text_or_none(known.get("requestId")) or f"request {index}"
    return id_, known.get("isHidden") is True, told("request", index, _messages, said)


def _messages(said: Any) -> list[Message]:
    left = object_of(said, "it")
    at = take_number(left, "timestamp")
    asked = left.pop("message")
    text = asked if isinstance(asked, str) else object_of(asked, "its message").get("text", "")
    variables = left.pop("variableData", None)
    sent = variables.get("variables") if isinstance(variables, dict) else None
    pieces = [runs.Text(text_of(text, "its text")), *map(_sent, objects_of(sent, "what was sent"))]
    left.pop("isHidden", None)
    answer: list[Message] = []
    if left.get("response") or left.get("result"):
        of_answer, own = answered(left)
        answer = runs.messages_of(of_answer, NAME, created_at=at, extra=own)
    own = {key: value for key, value in kept(left).items() if value not in ("", [], {})}
    return [*runs.messages_of(pieces, NAME, role="user", created_at=at, extra=own), *answer]


def _sent(variable: JSONObject) -> runs.Piece:
    """What goes with a question: an image, or a reference to a file, a selection or the like."""
    value, media = variable.get("value"), variable.get("mimeType") or "image/*"
    if variable.get("kind") == "image" and isinstance(value, dict):
        if isinstance(data := value.get("$base64"), str):
            own = kept(variable, ["value", "mimeType"])
            return runs.Image(f"data:{media};base64,{data}", own)
        if isinstance(path := value.get("external", value.get("path")), str):
            return runs.Image(path, kept(variable))
    return runs.File(kept(variable))


SHAPES: Final = {
    "file": (Folder(group=group, misses=_misses, distinct=True, unfold=unfold, holds=HOLDS),)
}
