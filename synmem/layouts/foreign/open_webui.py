"""Open WebUI's chats: in each row of `chat` a tree of messages, as JSON.

Newer versions write each message to `chat_message` too, and read it there: what stands there wins.
The current branch leads over `current_message_id`, in older files over the history's `currentId`,
to the last message that follows it; answers that were generated again are other branches. The
system prompt of the chat's parameters comes first. Tool calls stand in the text, as `<details>`,
and stay there; newer versions stream an answer to `output`, as items of the Responses API, of which
its text is only a copy, or empty: what `output` says is shown.

What its page exports is a list of such rows, all of them or one.

In `extra["open_webui"]` lies what else a message has (`id`, `model`, `usage`, `sources`, ...), and
of a conversation the other columns, and the rest of its JSON as `chat`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.sql import columns, lowered, ownerless, texts
from synmem.layouts.foreign.trees import LOST, Branches, Node, paths
from synmem.layouts.foreign.values import (
    image,
    json_of,
    kept,
    object_of,
    parsed,
    take_number,
    take_text,
    text_of,
    text_or_none,
    told,
)
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Export, Plan, Record, Sketch, Told, Value, Whole
from synmem.messages import Holds, JSONObject, Message, Unreadable, are_objects

NAME: Final = "open_webui"
TITLE: Final = "Open WebUI"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_OF_CHAT: Final = (
    "user_id", "created_at", "updated_at", "share_id", "archived", "pinned", "folder_id", "summary",
    "last_read_at", "timer_at",
)  # fmt: skip
_JSON_OF_CHAT: Final = ("meta", "tasks", "variables")

_OF_MESSAGE: Final = {
    "role": "role", "model_id": "model", "done": "done", "created_at": "timestamp",
    "context_summary": "contextSummary", "user_id": "user_id",
}  # fmt: skip
_JSON_OF_MESSAGE: Final = {
    "content": "content", "output": "output", "files": "files", "sources": "sources",
    "embeds": "embeds", "status_history": "statusHistory", "error": "error", "usage": "usage",
    "meta": "meta",
}  # fmt: skip
"""Columns of `chat_message`, and what they are called in the chat's own JSON."""


def _plan(sketch: Sketch) -> Plan:
    sketch = lowered(sketch)
    chat = sketch["chat"]
    queries = {
        "chat": f"SELECT c.id, c.title, {texts(chat, ['chat'], 'c')}, "
        f"{columns(chat, ['current_message_id', *_OF_CHAT], 'c')}, "
        f"{texts(chat, _JSON_OF_CHAT, 'c')} FROM chat AS c WHERE c.id IN {{ids}}"
    }
    strays = ""
    messages = sketch.get("chat_message", {})
    if messages.keys() >= {"id", "chat_id", "parent_id"}:
        strays = ownerless("chat_message", "chat_id", "chat")
        queries["messages"] = (
            f"SELECT m.chat_id, m.id, m.parent_id, {columns(messages, [*_OF_MESSAGE], 'm')}, "
            f"{texts(messages, [*_JSON_OF_MESSAGE], 'm')} FROM chat_message AS m "
            "WHERE m.chat_id IN {ids} ORDER BY m.chat_id, m.created_at, m.id"
        )
    return Plan(listing="SELECT id FROM chat", queries=queries, strays=strays)


def _unfold(id_: str, rows: Mapping[str, Sequence[Record]]) -> Told:
    if not rows["chat"]:
        return Told(messages=[])  # there are messages of it alone, which are strays
    ((title, text, current, *others),) = rows["chat"]
    there = _Nodes()
    try:
        chat = object_of(json_of(text, "its chat"), "its chat")
        there.take_history(chat)
    except ValueError as error:
        if not rows.get("messages"):
            raise
        chat = {}
        there.first.append(Unreadable(id_, f"chat {id_}: {error}"))
    for row in rows.get("messages", ()):
        there.take_row(id_, row)
    about = dict(zip((*_OF_CHAT, *_JSON_OF_CHAT), others, strict=True))
    about |= {name: parsed(about[name]) for name in _JSON_OF_CHAT}
    about |= {name: _flag(about[name]) for name in ("archived", "pinned")}
    return _told(there, chat, about | {"title": title, "current_message_id": current})


def _told(there: "_Nodes", chat: JSONObject, about: JSONObject) -> Told:
    """What a chat says, whose messages these are, from its JSON and what else its row has."""
    history, current = chat.pop("history", None), about.pop("current_message_id", None)
    if current not in there.parents:
        current = history.get("currentId") if isinstance(history, dict) else None
    ids = [*there.parents]
    last = ids.index(there.end(current)) if current in there.parents else None
    found = paths([Node(each, there.parents[each]) for each in ids], last)
    params = chat.get("params")
    system = text_or_none(params.get("system")) if isinstance(params, dict) else None
    # A chat without messages says nothing, whatever its parameters.
    first = there.first + ([Message("system", system)] if system and ids else [])

    def said(index: int) -> Sequence[Message | Unreadable]:
        return there.said(ids[index])

    title = take_text(about, "title") or text_or_none(chat.get("title")) or None
    rest = {key: value for key, value in chat.items() if key not in ("id", "messages")}
    if rest.get("title") == title:
        rest.pop("title", None)
    return Told(
        messages=[*first, *(each for index in found.current for each in said(index))],
        title=title,
        extra={NAME: kept({**about, "chat": kept(rest) or None})},
        branches=Branches(found, said, first),
        leaf=found.leaf,
    )


class _Nodes:
    """The messages of a chat, from both places."""

    def __init__(self) -> None:
        self.parents: dict[str, str | None] = {}
        self.first: list[Message | Unreadable] = []
        """What cannot be read, and has no place among them."""
        self._nodes: dict[str, Any] = {}
        self._odd: dict[str, str] = {}
        """Why the record of a message cannot be read."""
        self._said: dict[str, Sequence[Message | Unreadable]] = {}

    def take_history(self, chat: JSONObject) -> None:
        """Those of the chat's own JSON. A chat from before it had branches is a list."""
        history = chat.get("history")
        messages = history.get("messages") if isinstance(history, dict) else None
        if isinstance(messages, dict) and messages:
            for id_, node in messages.items():
                self._take(id_, node, node.get("parentId") if isinstance(node, dict) else LOST)
            return
        listed = chat.get("messages")
        before: str | None = None
        for index, node in enumerate(listed if isinstance(listed, list) else ()):
            own = node.get("id") if isinstance(node, dict) else None
            id_ = own if isinstance(own, str) and own not in self.parents else str(index)
            self._take(id_, node, before)
            before = id_

    def take_row(self, chat: str, row: Record) -> None:
        """One of `chat_message`, whose id is the chat's and its own."""
        id_, parent, *values = row
        id_ = str(id_).removeprefix(f"{chat}-")
        names = (*_OF_MESSAGE.values(), *_JSON_OF_MESSAGE.values())
        node = {**dict(zip(names, values, strict=True)), "parentId": parent}
        node["done"] = _flag(node["done"])
        try:
            for name in _JSON_OF_MESSAGE.values():
                node[name] = json_of(node[name], f"its {name}")
        except ValueError as error:
            self._odd[id_] = str(error)
        there = self._nodes.get(id_)
        node = {key: value for key, value in node.items() if value is not None}
        merged = {**there, **node} if isinstance(there, dict) else {"id": id_, **node}
        self._take(id_, merged, merged.get("parentId"))

    def _take(self, id_: str, node: Any, parent: Any) -> None:
        self._nodes[id_] = node
        self.parents[id_] = parent if isinstance(parent, str) else LOST if parent else None

    def end(self, id_: str) -> str:
        """The last one that follows a message: a page that was behind may have saved as the
        current one a message in the middle, and Open WebUI goes on from there."""
        after = {parent: each for each, parent in self.parents.items()}
        seen = {id_}
        while (following := after.get(id_)) is not None and following not in seen:
            id_ = following
            seen.add(id_)
        return id_

    def said(self, id_: str) -> Sequence[Message | Unreadable]:
        """The message of that id, which may be in many branches."""
        if id_ not in self._said:
            self._said[id_] = told("message", id_, self._message, id_)
        return self._said[id_]

    def _message(self, id_: str) -> list[Message]:
        if id_ in self._odd:
            raise ValueError(self._odd[id_])
        node = object_of(self._nodes[id_], "it")
        role = text_of(node.pop("role", None), "its role")
        text, parts = _content(node.pop("content", None))
        images = _images(node.get("files"))
        said = all(file.keys() <= {"type", "url"} for file in images)
        if images and said and len(images) == len(node["files"]):
            node.pop("files")
        at = take_number(node, "timestamp")
        output = node.get("output")
        if role != "user" and not parts and output and are_objects(output):
            pieces = [_piece(dict(item)) for item in output]
            shown = "\n".join(each.text for each in pieces if isinstance(each, runs.Text))
            if shown or not text:
                node.pop("output")
                if text not in ("", shown):
                    node["content"] = text
                return runs.messages_of(
                    [*pieces, *(runs.Image(file["url"]) for file in images)], NAME, role=role,
                    created_at=at, record={"id": node.pop("id", id_)},
                    extra=kept(node, without=("childrenIds",)),
                )  # fmt: skip
        if images:
            parts = parts or ([{"type": "text", "text": text}] if text else [])
            parts = parts + [image(file["url"]) for file in images]
        about = {NAME: kept(node, without=("childrenIds",))}
        return [Message(role, text, created_at=at, parts=parts, extra=about)]


def _flag(value: Any) -> Any:
    """A truth value, for which SQLite has a number."""
    return bool(value) if value in (0, 1) else value


def _content(content: Any) -> tuple[str, list[JSONObject] | None]:
    """Text, and where it is a list of blocks these."""
    if content is None:
        return "", None
    if not isinstance(content, list):
        return text_of(content, "its content"), None
    if not are_objects(content):
        raise ValueError("its content is a list of others than blocks")
    lines = (block.get("text") for block in content if block.get("type") == "text")
    return "\n".join(line for line in lines if isinstance(line, str)), content or None


def _piece(item: JSONObject) -> runs.Piece:
    """An item of an answer's output. One of a text that cannot be seen is not listed."""
    kind = item.get("type")
    if kind == "message":
        text = _text_in(item, "content")
        return runs.Text(text, item) if text.strip() else runs.Other(item | {"text": text})
    if kind == "reasoning":
        return runs.Reasoning(item)
    if kind == "function_call":
        arguments = runs.arguments_of(item.pop("arguments", None))
        return runs.Call(take_text(item, "call_id"), take_text(item, "name"), arguments, item)
    if kind == "function_call_output":
        return runs.Result(take_text(item, "call_id"), None, _text_in(item, "output"), item)
    return runs.Other(item)


def _text_in(item: JSONObject, key: str) -> str:
    """The text of the parts under a key, taken away where they have nothing else."""
    parts = item.get(key)
    if isinstance(parts, str):
        return str(item.pop(key))
    if not are_objects(parts):
        return ""
    texts = [each["text"] for each in parts if isinstance(each.get("text"), str)]
    if len(texts) == len(parts) and all(each.keys() == {"type", "text"} for each in parts):
        item.pop(key)
    return "".join(texts)


def _images(files: Any) -> list[JSONObject]:
    return [
        file
        for file in (files if isinstance(files, list) else ())
        if isinstance(file, dict)
        and isinstance(file.get("url"), str)
        and (file.get("type") == "image" or str(file.get("content_type")).startswith("image/"))
    ]


_CHATS: Final = Whole(
    tables={"chat": frozenset({"id", "user_id", "title", "chat"})},
    plan=_plan,
    unfold=_unfold,
    holds=HOLDS,
)


# --- what its page exports ------------------------------------------------------------------


def _unfold_export(value: Value) -> dict[str, Told]:
    """A row of `chat` as the page writes it: all chats, or one, in a list."""
    about = object_of(value.said, "the chat")
    id_ = text_of(about.pop("id", None), "its id")
    chat = object_of(about.pop("chat", None), "its chat")
    there = _Nodes()
    there.take_history(chat)
    return {id_: _told(there, chat, about)}


def _misses(head: Head) -> str | None:
    row = head.element
    if not isinstance(row, dict) or not isinstance(chat := row.get("chat"), dict):
        return None
    history = chat.get("history")
    if not isinstance(chat.get("messages"), list) and not isinstance(history, dict):
        return None if row.keys().isdisjoint({"user_id"}) else "its chats have no history"
    return "" if "id" in row else "its chats have no id"


_EXPORT: Final = Export(
    names=r".*\.json", version="export", misses=_misses, unfold=_unfold_export, holds=HOLDS
)

SHAPES: Final = {"sqlite": (_CHATS,), "postgres": (_CHATS,), "file": (_EXPORT,)}
