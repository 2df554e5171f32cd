"""SillyTavern's chats: a file of JSON lines for each, called as the chat. The first line says whose
it is; older chats of groups have none.

What `mes` says is shown; the other swipes of an answer are branches. A line that is hidden, or a
notice of the program, is not listed, and `hidden` says how many those are; but the tools that ran
are. What a narrator says is the system's. Times without a zone are in nobody's, and stay where they
are. In a group each answer has its `name`. Chats in a folder `backups` are these again, unless it
is looked at alone. What has no word of ours lies in `extra["sillytavern"]` under its own key.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.json_lines import numbered, unreadable
from synmem.layouts.foreign.named_files import stem
from synmem.layouts.foreign.trees import Branches, paths, versions
from synmem.layouts.foreign.values import (
    kept,
    object_of,
    objects_of,
    take_text,
    text_of,
    time_of,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import MALFORMED, Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "sillytavern"
TITLE: Final = "SillyTavern"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

_HEADER: Final = {"user_name", "character_name"}
_MESSAGE: Final = {"name", "is_user", "mes"}
_OF_SWIPE: Final = ("send_date", "extra", "gen_started", "gen_finished")
"""What a swipe has of its own."""

Said = Sequence[Message | Unreadable]


def group(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Each chat by itself."""
    return {
        name: (name,)
        for name in names
        if name.endswith(".jsonl") and "backups" not in name.split("/")[:-1]
    }


class _Line(NamedTuple):
    """What a line says: each of its swipes, which of them is shown, and whether it is hidden."""

    swipes: list[Said]
    shown: int = 0
    hidden: bool = False


def unfold(files: Files) -> dict[str, Told]:
    """The chat of a file."""
    about: JSONObject = {}
    lines: list[_Line] = []
    for index, (number, raw) in enumerate(numbered(files.data[files.name])):
        try:
            row = object_of(parse_json(raw), "it")
            if index == 0 and "mes" not in row:
                about = kept(row)
            else:
                lines.append(_line(row, f"{files.name}, line {number}"))
        except MALFORMED as error:
            lines.append(_Line([[unreadable(files.name, number, raw, error)]]))
    said = [swipe for line in lines for swipe in line.swipes]
    ways = paths(*versions((len(line.swipes), line.shown) for line in lines))
    if hidden := sum(line.hidden for line in lines):
        about["hidden"] = hidden
    return {
        stem(files.name): Told(
            messages=[m for at in ways.current for m in said[at]],
            extra={NAME: about} if about else None,
            branches=Branches(ways, said.__getitem__),
            leaf=ways.leaf,
        )
    }


def _line(row: JSONObject, where: str) -> _Line:
    extra = row.get("extra")
    extra = extra if isinstance(extra, dict) else {}
    ran = objects_of(extra.get("tool_invocations"), "its tool_invocations")
    if ran:
        return _Line([_ran(row, extra, ran)])
    if row.get("is_system") is True:
        return _Line([[]], hidden=True)
    swipes, infos, shown = row.pop("swipes", None), row.pop("swipe_info", None), row["mes"]
    if not isinstance(swipes, list) or len(swipes) < 2:
        return _Line([_messages(row)])
    at = row.get("swipe_id")
    if type(at) is not int or not 0 <= at < len(swipes):
        at = swipes.index(shown) if shown in swipes else len(swipes)
    infos = infos if isinstance(infos, list) else []
    said = [
        _swiped(row, where, number, swipe, infos[number] if number < len(infos) else None)
        for number, swipe in enumerate(swipes)
    ]
    said[at : at + 1] = [_messages(row)]
    return _Line(said, at)


def _swiped(row: JSONObject, where: str, number: int, text: Any, info: Any) -> Said:
    """A swipe, with what is known of it."""
    left = {key: value for key, value in row.items() if key not in _OF_SWIPE}
    own = {key: info.get(key) for key in _OF_SWIPE} if isinstance(info, dict) else {}
    try:
        return _messages({**left, **own, "mes": text, "swipe_id": number})
    except MALFORMED as error:
        return [Unreadable(where, f"{where}, swipe {number}: {error}")]


def _messages(row: JSONObject) -> list[Message]:
    left = dict(row)
    text = text_of(left.pop("mes", None), "its mes")
    extra = left.pop("extra", None)
    about = kept(extra) if isinstance(extra, dict) else {}
    if not isinstance(extra, dict):
        left["extra"] = extra
    role = "user" if left.pop("is_user", None) is True else "assistant"
    if about.get("type") == "narrator":
        role = "system"
    thought = take_text(about, "reasoning")
    pieces: list[runs.Piece] = [runs.Text(text)]
    if thought:
        pieces.insert(0, runs.Reasoning({"type": "reasoning", "text": thought}))
    pieces += _shown(about)
    return _told(left, about, role, pieces)


def _told(
    left: JSONObject, about: JSONObject, role: str, pieces: list[runs.Piece]
) -> list[Message]:
    at = time_of(left.get("send_date"))
    if at is not None:
        del left["send_date"]
    own = kept(left, {"is_user", "is_system"}) | ({"extra": about} if about else {})
    return runs.messages_of(pieces, NAME, role=role, created_at=at, extra=own)


def _shown(about: JSONObject) -> Iterator[runs.Piece]:
    """The images and files of a message, taken away from what is known of it."""
    if (image := take_text(about, "image")) is not None:
        yield runs.Image(image)
    if isinstance(media := about.get("media"), list):
        del about["media"]
        for each in media:
            url = each.get("url") if isinstance(each, dict) else None
            if isinstance(url, str) and each.get("type", "image") == "image":
                yield runs.Image(url, kept(each, {"url", "type"}) or None)
            else:
                yield runs.File({"type": "media", "media": each})
    if isinstance(file := about.pop("file", None), dict):
        yield runs.File({"type": "file", **file})
    for each in objects_of(about.pop("files", None), "its files"):
        yield runs.File({"type": "file", **each})


def _ran(row: JSONObject, extra: JSONObject, ran: Sequence[JSONObject]) -> list[Message]:
    """The calls of tools, and what they gave."""
    calls: list[runs.Piece] = []
    results: list[runs.Piece] = []
    for each in ran:
        left = kept(each)
        id_, name = take_text(left, "id"), take_text(left, "name")
        arguments = runs.arguments_of(left.pop("parameters", None))
        result = left.pop("result", None)
        if left.get("displayName") == name:
            left.pop("displayName", None)
        calls.append(runs.Call(id_, name, arguments, left or None))
        if result is not None:
            results.append(runs.Result(id_, name, runs.compact(result)))
    about = kept(extra, {"tool_invocations"})
    return _told(kept(row, {"extra"}), about, "assistant", [*calls, *results])


def _misses(head: Head) -> str | None:
    first = head.readable
    if first.keys() >= _HEADER:
        return ""
    if first.keys() >= _MESSAGE and isinstance(first["is_user"], bool):
        return ""
    if "chat_metadata" in first:
        return f"its first line has no {min(_HEADER - first.keys())}"
    return None


SHAPES: Final = {"file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),)}
