"""Codex CLI: a file of JSON lines for each session, its rollout.

What was said are the lines of type `response_item`, which hold items of the Responses API, told as
OpenAI Agents' are (`openai_agents_items`); `event_msg` repeats them. Before September 2025 each
line is such an item itself. Not listed are a developer's messages, and those that the program wrote
as the user: what `content_item_kinds` says no `user.` of, or what begins as its own notices do.

The first `session_meta` names the session; a fork's file repeats its parent's lines, with another.
Turns that were taken back (`thread_rolled_back`) are another branch. What a sub-agent said is a
conversation of its own, in which `parent` names who asked. Neither the instructions of a session
nor its tools are kept. What has no word of ours lies in `extra["codex"]` under its own key; what
stood around an image of the user's, in `around`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from synmem.layouts.foreign import openai_agents_items as items
from synmem.layouts.foreign.json_lines import numbered, unreadable
from synmem.layouts.foreign.named_files import stem
from synmem.layouts.foreign.trees import LOST, Branches, Node, paths
from synmem.layouts.foreign.values import kept, object_of, take_text, text_or_none, time_of
from synmem.layouts.heads import Head
from synmem.layouts.lazy import Said
from synmem.layouts.shapes import MALFORMED, Files, Folder, Told
from synmem.layouts.zstd import unpacked
from synmem.messages import Holds, JSONObject, Message, parse_json

NAME: Final = "codex"
TITLE: Final = "Codex CLI"

HOLDS: Final = Holds(
    fields=items.TIMED.fields,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)


_PACKED: Final = b"\x28\xb5\x2f\xfd"
"""How a zstd frame begins."""
_LEFT_OUT: Final = ("base_instructions", "instructions", "dynamic_tools", "id", "session_id")
"""What a session says of itself that is large and the same in all, or said already."""
_INJECTED: Final = (
    "<environment_context>", "<user_instructions>", "# AGENTS.md", "<permissions", "<INSTRUCTIONS>",
    "<turn_aborted>", "<subagent_notification>", "<skill>", "<model_switch>",
)  # fmt: skip
"""How what the program wrote as the user begins, where nothing else tells it."""
_NAME: Final = re.compile(
    r"(?:^|/)rollout-[^/]*?-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jsonl"
)
"""What a rollout is called, and in it its session."""
_IMAGE: Final = re.compile(r"<image\b[^>]*>|</image>")


def group(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Each file of lines by itself, packed or not."""
    return {name: (name,) for name in names if name.endswith((".jsonl", ".jsonl.zst"))}


def unfold(files: Files) -> dict[str, Told]:
    """The one session of a file, by its id."""
    data = files.data[files.name]
    if data.startswith(_PACKED):
        data = unpacked(data)
    session = _Session(files.name, data)
    return {session.id: session.told()}


class _Session:
    """The lines of a rollout."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._meta: JSONObject | None = None
        self._title: str | None = None
        self._nodes: list[Node] = []
        self._said: list[Said] = []
        self._way: list[int] = []
        """The messages up to now that were not taken back."""
        for number, line in numbered(data):
            try:
                self._take(number, object_of(parse_json(line), "it"))
            except MALFORMED as error:
                self._put(LOST, unreadable(name, number, line, error))
        named = _NAME.search(name)
        said = text_or_none(self._meta.get("id")) if self._meta else None
        self.id: str = said or (named[1] if named else stem(name))

    def _take(self, number: int, line: JSONObject) -> None:
        kind, payload = line.get("type"), line.get("payload")
        if isinstance(payload, dict):
            if kind == "session_meta":
                self._meta = self._meta or payload
            elif kind == "event_msg":
                self._note(payload)
            elif kind == "response_item":
                self._item(number, payload, line)
        elif kind == "response_item":
            raise ValueError("it has no payload")
        elif "instructions" in line and self._meta is None:
            self._meta = line
        elif "record_type" not in line:
            self._item(number, line, {})

    def _note(self, event: JSONObject) -> None:
        kind, turns = event.get("type"), event.get("num_turns")
        if kind == "thread_name_updated":
            self._title = text_or_none(event.get("thread_name")) or None
        elif kind == "thread_rolled_back" and isinstance(turns, int):
            while turns > 0 and self._way:
                turns -= self._is_prompt(self._way.pop())

    def _is_prompt(self, index: int) -> bool:
        said = self._said[index]
        return isinstance(said, Message) and said.role == "user"

    def _item(self, number: int, item: JSONObject, line: JSONObject) -> None:
        message = _message(item, line)
        if message is not None:
            self._put(str(number), message)

    def _put(self, id_: str, said: Said) -> None:
        before = self._nodes[self._way[-1]].id if self._way else None
        if id_ != LOST:
            self._way.append(len(self._nodes))
        self._nodes.append(Node(id_, LOST if id_ == LOST else before))
        self._said.append(said)

    def told(self) -> Told:
        """What the session says."""
        ways = paths(self._nodes, self._way[-1] if self._way else None)
        extra = _about(self._meta or {})
        return Told(
            messages=[self._said[index] for index in ways.current],
            title=self._title,
            extra={NAME: extra} if extra else None,
            branches=Branches(ways, lambda at: [self._said[at]]),
            leaf=ways.leaf,
        )


def _about(meta: JSONObject) -> JSONObject:
    """What a session says of itself; who asked it, where it is a sub-agent's."""
    about = kept(meta, _LEFT_OUT)
    spawned: Any = meta.get("source")
    for key in ("subagent", "thread_spawn"):
        spawned = spawned.get(key) if isinstance(spawned, dict) else None
    parent = spawned.get("parent_thread_id") if isinstance(spawned, dict) else None
    return {**about, "parent": parent} if isinstance(parent, str) else about


# --- an item --------------------------------------------------------------------------------


def _message(item: JSONObject, line: JSONObject) -> Message | None:
    """The message that an item is; None where it is not listed."""
    kind = item.get("type")
    if not _is_listed(item, kind):
        return None
    at = time_of(line.get("timestamp"))
    own = kept(line, _ENVELOPE | ({"timestamp"} if at else set()))
    item, around = _unwrapped(item)
    own |= {"around": around} if around else {}
    if read := _READ.get(kind if isinstance(kind, str) else ""):
        message = read(dict(item))
        own |= (message.extra or {}).get(NAME, {})
    else:
        message = items.message_of(item)
        own |= {k: v for k, v in item.items() if k not in _SAID.get(str(kind), ())}
    parts = message.parts
    if parts and len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        parts = None
    return structs.replace(
        message, created_at=at, parts=parts, extra={NAME: kept(own)} if own else None
    )


def _is_listed(item: JSONObject, kind: Any) -> bool:
    if kind == "message":
        role = item.get("role")
        return role not in ("developer", "system") and (role != "user" or _is_typed(item))
    return kind == "reasoning" or (isinstance(kind, str) and kind.endswith(("_call", "_output")))


def _is_typed(item: JSONObject) -> bool:
    """Whether a user's message is the user's."""
    passed = item.get("internal_chat_message_metadata_passthrough")
    kinds = passed.get("content_item_kinds") if isinstance(passed, dict) else None
    if isinstance(kinds, list) and kinds:
        return any(isinstance(each, str) and each.startswith("user.") for each in kinds)
    content = item.get("content")
    blocks = content if isinstance(content, list) else [{"text": content}]
    first = next((each.get("text") for each in blocks if isinstance(each, dict)), None)
    return not (isinstance(first, str) and first.lstrip().startswith(_INJECTED))


def _unwrapped(item: JSONObject) -> tuple[JSONObject, list[str]]:
    """The item without the texts that stand around its images, and these."""
    content = item.get("content")
    if item.get("role") != "user" or not isinstance(content, list):
        return item, []
    around = [text for each in content if (text := _wrapper(each)) is not None]
    images = [each for each in content if isinstance(each, dict) and "image_url" in each]
    if not images or not around:
        return item, []
    return {**item, "content": [each for each in content if _wrapper(each) is None]}, around


def _wrapper(block: Any) -> str | None:
    text = block.get("text") if isinstance(block, dict) else None
    return text if isinstance(text, str) and _IMAGE.fullmatch(text.strip()) else None


def _custom_call(item: JSONObject) -> Message:
    """A call whose input is no JSON."""
    given = item.pop("input", None)
    return _call(item, take_text(item, "name"), given)


def _shell_call(item: JSONObject) -> Message:
    return _call(item, "local_shell", item.pop("action", None))


def _call(item: JSONObject, name: str | None, arguments: Any) -> Message:
    call = {"id": take_text(item, "call_id"), "name": name, "arguments": arguments}
    own = kept(item)
    return Message("assistant", "", tool_calls=[call], extra={NAME: own} if own else None)


def _result(item: JSONObject) -> Message:
    """What a tool answered; in some versions an object that holds it."""
    output = item.get("output")
    if isinstance(output, dict):
        output = output.get("content")
        item["result"] = {k: v for k, v in item["output"].items() if k != "content"}
    said = {"type": "function_call_output", "call_id": item.get("call_id"), "output": output}
    message = items.message_of(said)
    own = kept(item, ("output", "call_id"))
    if own.get("type") == "function_call_output":
        own.pop("type")
    return structs.replace(message, extra={NAME: own} if own else None)


_ENVELOPE: Final = frozenset({"ordinal", "type", "payload"})
"""What a line says of itself alone."""
_SAID: Final = {
    "message": ("type", "role", "content"),
    "reasoning": ("type", "summary"),
    "function_call": ("type", "call_id", "name", "arguments"),
}
"""By kind what of an item its message says."""
_READ: Final = {
    "custom_tool_call": _custom_call,
    "local_shell_call": _shell_call,
    "function_call_output": _result,
    "custom_tool_call_output": _result,
}


# --- how a file begins ----------------------------------------------------------------------

_ITEMS: Final = ("message", "reasoning", "function_call", "function_call_output")
_KINDS: Final = ("session_meta", "response_item", "event_msg", "turn_context")


def _is_line(line: JSONObject) -> bool:
    if isinstance(line.get("payload"), dict):
        return line.get("type") in _KINDS
    return "record_type" in line or line.get("type") in _ITEMS


def _misses(head: Head) -> str | None:
    if head.data.startswith(_PACKED):
        return "" if _NAME.search(head.name) else None
    first = head.first if isinstance(head.first, dict) else {}
    if first.get("type") == "session_meta" and isinstance(first.get("payload"), dict):
        return "" if "id" in first["payload"] else "its session_meta has no id"
    if {"id", "timestamp", "instructions"} <= first.keys() and "type" not in first:
        return "" if isinstance(first["id"], str) else "its first line has no id"
    if _NAME.search(head.name):  # its first line may be spoilt
        return "" if any(map(_is_line, head.each_line())) else None
    return None


SHAPES: Final = {"file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),)}
