"""Qwen Code: a file of JSON lines for each session, in `projects/*/chats`.

The lines form a tree (`parentUuid`): its current branch leads to the newest line, the others are
what was left by going back. A line of type `system` is a link of it, and says nothing, but for one:
`at_command` has what was typed, where the line behind it has that with the files that it names. The
parts of a message are Gemini's. What has no word of ours lies in `extra["qwen_code"]` under its own
key, of a message's parts in `blocks`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from synmem.layouts.foreign import gemini_parts, runs
from synmem.layouts.foreign.json_lines import numbered, unreadable
from synmem.layouts.foreign.named_files import each_ending, stem
from synmem.layouts.foreign.trees import LOST, Branches, Node, paths
from synmem.layouts.foreign.values import kept, object_of, take_text, take_time, text_of
from synmem.layouts.heads import Head
from synmem.layouts.lazy import Said
from synmem.layouts.shapes import MALFORMED, Files, Folder, Told
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "qwen_code"
TITLE: Final = "Qwen Code"

HOLDS: Final = Holds(
    fields=runs.FIELDS, conversation_fields=frozenset({"extra"}), own=False, extra_of=NAME
)

_ABOUT: Final = ("cwd", "gitBranch", "version")
"""What each line says of the conversation; with a message only where it is otherwise there."""
_LINK: Final = frozenset({"parentUuid", "sessionId", "type", "toolCallResult"})
"""What is said already, or repeats what the message says, for the program's own screen."""
_ROLES: Final = {"user": "user", "assistant": "assistant", "tool_result": "user"}


class _Line:
    """A line of a file, of that number: what it says, or why that cannot be read."""

    def __init__(self, number: int, raw: bytes) -> None:
        self.number = number
        self.raw = raw
        self.said: JSONObject = {}
        self.error: Exception | None = None
        try:
            self.said = object_of(parse_json(raw), "the line")
        except MALFORMED as error:
            self.error = error

    @property
    def node(self) -> Node:
        """Where it stands."""
        id_, parent = self.said.get("uuid"), self.said.get("parentUuid")
        if not isinstance(id_, str):
            return Node(LOST, LOST)
        return Node(id_, parent if isinstance(parent, str | None) else LOST)


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a file."""
    (data,) = files.data.values()
    lines = [_Line(number, raw) for number, raw in numbered(data)]
    typed = {
        line.said["uuid"]: payload["userText"]
        for line in lines
        if line.said.get("subtype") == "at_command"
        and isinstance(payload := line.said.get("systemPayload"), dict)
        and isinstance(payload.get("userText"), str)
        and isinstance(line.said.get("uuid"), str)
    }
    first = next((line.said for line in lines if line.error is None), {})
    about = {key: first[key] for key in _ABOUT if first.get(key) is not None}
    said = [_said(files.name, line, about, typed) for line in lines]
    nodes = [line.node for line in lines]
    ways = paths(nodes)
    spoken = [index for index, each in enumerate(said) if each]
    if spoken and not any(said[index] for index in ways.current):
        ways = paths(nodes, spoken[-1])  # all was taken back: the newest that was said is meant
    session = first.get("sessionId")
    return {
        session if isinstance(session, str) and session else stem(files.name): Told(
            messages=[each for index in ways.current for each in said[index]],
            extra={NAME: about} if about else None,
            branches=Branches(ways, said.__getitem__),
            leaf=ways.leaf,
        )
    }


def _said(name: str, line: _Line, about: JSONObject, typed: Mapping[str, str]) -> Sequence[Said]:
    """The messages of a line."""
    try:
        if line.error is not None:
            raise line.error
        return _messages(dict(line.said), about, typed) if line.said.get("type") in _ROLES else []
    except MALFORMED as error:
        return [unreadable(name, line.number, line.raw, error)]


def _messages(left: JSONObject, about: JSONObject, typed: Mapping[str, str]) -> list[Message]:
    said = object_of(left.pop("message", None), "its message")
    kind = text_of(left.get("type"), "its type")
    pieces = gemini_parts.pieces(said.pop("parts", None))
    said.pop("role", None)  # Gemini's word for it
    parent = left.get("parentUuid")
    if kind == "user" and isinstance(parent, str) and parent in typed:
        pieces = [*gemini_parts.as_typed(typed[parent], pieces)]
    at = take_time(left, "timestamp", utc=False)
    uuid = take_text(left, "uuid")
    own = {key: value for key, value in kept(left, _LINK).items() if about.get(key) != value}
    if said:
        own["message"] = kept(said)
    return runs.messages_of(
        pieces,
        NAME,
        role=_ROLES[kind],
        created_at=at,
        record={} if uuid is None else {"uuid": uuid},
        extra=own,
    )


def _misses(head: Head) -> str | None:
    first = head.readable
    if not {"uuid", "sessionId"} <= first.keys():
        return None
    said = [each for each in head.each_line() if isinstance(each.get("message"), dict)]
    if any("content" in each["message"] for each in said):
        return None  # Claude Code's
    if not any("parts" in each["message"] for each in said):
        return "" if "systemPayload" in first else None
    return "" if "parentUuid" in first else "its lines have no parentUuid"


SHAPES: Final = {
    "file": (Folder(group=each_ending(".jsonl"), misses=_misses, unfold=unfold, holds=HOLDS),)
}
