"""LM Studio's conversations: a JSON file each, called as it.

Of the versions of a message the selected one is shown; each other is the end of a branch. An
answer is steps: what was thought, texts, calls and results, and what the program says of them.
Messages have no times. What has no word of ours lies in `extra["lm_studio"]`.
"""

from collections.abc import Iterator
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.named_files import each_ending
from synmem.layouts.foreign.trees import Branches, paths, versions
from synmem.layouts.foreign.values import (
    kept,
    list_of,
    object_of,
    objects_of,
    take_text,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "lm_studio"
TITLE: Final = "LM Studio"

HOLDS: Final = Holds(
    fields=runs.FIELDS - {"created_at"},
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_ENDING: Final = ".conversation.json"
_PROMPT: Final = "llm.prediction.systemPrompt"
_USUAL: Final = {"defaultShouldIncludeInContext": True, "shouldIncludeInContext": True}
"""What a step says where nobody says anything; not so, which model wrote it, and how fast."""
_DRAFT: Final = ("clientInput", "clientInputFiles", "userFilesSizeBytes")


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a file."""
    ((name, data),) = files.data.items()
    left = object_of(parse_json(data), "it")
    messages = list_of(left.pop("messages", None), "its messages")
    selections = [_selection(message) for message in messages]
    said = [
        told("message", index, _messages, version)
        for index, (all_, _) in enumerate(selections)
        for version in all_
    ]
    ways = paths(*versions((len(all_), shown) for all_, shown in selections))
    first = [Message("system", prompt)] if (prompt := _prompt(left)) else []
    shown = [m for at in ways.current for m in said[at]]
    title = take_text(left, "name")
    own = {k: v for k, v in kept(left, _DRAFT).items() if v not in ("", [], {})}
    return {
        name.rpartition("/")[2].removesuffix(_ENDING): Told(
            messages=[*first, *shown] if shown else [],
            title=title,
            extra={NAME: own} if own else None,
            branches=Branches(ways, said.__getitem__, first),
            leaf=ways.leaf,
        )
    }


def _prompt(left: JSONObject) -> str | None:
    """The system prompt, which may lie among the settings of the conversation."""
    if prompt := take_text(left, "systemPrompt"):
        return prompt
    config = left.get("perChatPredictionConfig")
    fields = config.get("fields") if isinstance(config, dict) else None
    for each in fields if isinstance(fields, list) else ():
        if isinstance(each, dict) and each.get("key") == _PROMPT:
            return text_or_none(each.get("value"))
    return None


def _selection(message: Any) -> tuple[list[Any], int]:
    """The versions of a message, and which is shown; where that cannot be told, the last. One that
    is no message is its own only version."""
    all_ = message.get("versions") if isinstance(message, dict) else None
    if not isinstance(all_, list) or not all_:
        return [message], 0
    selected = message.get("currentlySelected")
    if type(selected) is not int or not 0 <= selected < len(all_):
        selected = len(all_) - 1
    return all_, selected


def _messages(version: Any) -> list[Message]:
    left = object_of(version, "it")
    role, steps = text_of(left.pop("role"), "its role"), left.pop("steps", None)
    content = objects_of(left.pop("content", None), "its content")
    pieces = [piece for part in content for piece in _pieces(part)]
    for step in objects_of(steps, "its steps"):
        pieces += _step(step)
    return runs.messages_of(pieces, NAME, role=role, extra=kept(left, ["type"]))


def _step(step: JSONObject) -> Iterator[runs.Piece]:
    """What a step says: a block of content, or something about it."""
    style = step.get("style")
    if step.get("type") != "contentBlock":
        yield runs.Other(step)
    elif isinstance(style, dict) and style.get("type") == "thinking":
        yield runs.Reasoning(step)
    else:
        for part in objects_of(step.get("content"), "the content of a step"):
            yield from _pieces(part)
        left = kept(step, ["type", "stepIdentifier", "content"])
        if own := {key: value for key, value in left.items() if _USUAL.get(key) != value}:
            yield runs.Other({"type": "contentBlock", **own})


def _pieces(part: JSONObject) -> Iterator[runs.Piece]:
    """What a part of the content says."""
    left = kept(part, ["type"])
    kind = part.get("type")
    if kind == "text" and not part.get("isStructural"):
        left.pop("isStructural", None)
        yield runs.Text(text_of(left.pop("text", None), "the text of a part"), left or None)
    elif kind == "file":
        name = text_or_none(part.get("fileIdentifier"))
        is_image = part.get("fileType") == "image" and name is not None
        yield runs.Image(name, part) if is_image and name else runs.File(part)
    elif kind == "toolCallRequest":
        id_, name = take_text(left, "toolCallRequestId"), take_text(left, "name")
        said = [left.pop(key, None) for key in ("parameters", "arguments")]
        arguments = next((each for each in said if each is not None), None)
        yield runs.Call(id_, name, runs.arguments_of(arguments), left or None)
    elif kind == "toolCallResult":
        id_, name = take_text(left, "toolCallRequestId"), take_text(left, "name")
        text = runs.compact(left.pop("content", ""))
        yield runs.Result(id_, name, text, left or None)
    else:
        yield runs.Aside(part) if kind == "text" else runs.Other(part)


def _misses(head: Head) -> str | None:
    said = head.value
    if not isinstance(said, dict) or not {"name", "messages"} & said.keys():
        return None
    messages = said.get("messages")
    if messages is not None and not isinstance(messages, list):
        return "its messages are no list"
    first = messages[0] if messages else None
    is_one = first is None or (isinstance(first, dict) and "versions" in first)
    return "" if is_one else "its messages have no versions"


SHAPES: Final = {
    "file": (
        Folder(
            group=each_ending(_ENDING), misses=_misses, distinct=True, unfold=unfold, holds=HOLDS
        ),
    )
}
