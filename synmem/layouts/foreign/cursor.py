"""Cursor's `state.vscdb`: composers and their bubbles in `cursorDiskKV`, and the tabs from before
there were composers in `ItemTable`.

Such a file may have tens of gigabytes, and holds credentials. So only keys are looked up and ranges
of them, and of composers and bubbles these fields alone are taken: what else a bubble has is what
the editor showed the model, and large. Nothing of `ItemTable` is read but the tabs.

A composer names its bubbles in their order; `missing_bubbles` says how many of them are gone, and
bubbles that no composer names are left over. A bubble is one message: thinking, text, or a call of
a tool, with its result behind it. What is kept lies in `extra["cursor"]` under its own key.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.values import (
    kept,
    object_of,
    objects_of,
    parsed,
    take_text,
    text_of,
    text_or_none,
    time_of,
    told,
)
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message, Unreadable, parse_json

NAME: Final = "cursor"
TITLE: Final = "Cursor"

HOLDS: Final = Holds(
    fields=runs.FIELDS,
    conversation_fields=frozenset({"title", "extra"}),
    own=False,
    extra_of=NAME,
)

_OF_COMPOSER: Final = (
    "_v", "createdAt", "lastUpdatedAt", "status", "isAgentic", "isArchived", "isDraft", "subtitle",
    "unifiedMode", "forceMode", "modelConfig", "createdOnBranch", "subagentInfo",
    "subagentComposerIds", "parentComposerId", "lastSendTime",
)  # fmt: skip
_OF_BUBBLE: Final = (
    "id", "createdAt", "modelInfo", "modelType", "tokenCount", "capabilityType",
    "requestId", "thinkingDurationMs", "errorDetails",
)  # fmt: skip
_OF_TOOL: Final = ("tool", "status", "userDecision", "modelCallId", "error")
_OF_IMAGE: Final = ("uuid", "dimension", "filename", "mimeType")
"""What is kept of each under its own key, where it says anything."""

_ROLES: Final = {1: "user", 2: "assistant", "user": "user", "ai": "assistant"}

_Rows = Mapping[str, Sequence[Record]]


# --- what is asked for ----------------------------------------------------------------------

_TABS: Final = "workbench.panel.aichat.view.aichat.chatdata"

_WANTED: Final = "(SELECT column1 AS value FROM {values}) AS w"


def _behind(key: str, begins: str) -> str:
    """What stands in a key behind that: by bytes, since a text would end at a NUL."""
    key, begins = f"CAST({key} AS BLOB)", f"CAST({begins} AS BLOB)"
    return f"CAST(substr({key}, length({begins}) + 1) AS TEXT)"


_COMPOSER: Final = "'composerData:'"
_COMPOSERS: Final = (
    f"SELECT w.value, k.value FROM {_WANTED} CROSS JOIN cursorDiskKV AS k "
    f"WHERE k.key = {_COMPOSER} || w.value"
)
_BEGINS: Final = "'bubbleId:' || w.value || ':'"
_BUBBLES: Final = (
    f"SELECT w.value, {_behind('b.key', _BEGINS)}, b.value "
    f"FROM {_WANTED} CROSS JOIN cursorDiskKV AS b WHERE b.key >= {_BEGINS} "
    "AND b.key < 'bubbleId:' || w.value || ';'"
)
_NAMED: Final = (
    "(SELECT {what} FROM json_each(c.text, '$.fullConversationHeadersOnly') AS h {join} "
    "cursorDiskKV AS b ON b.key = 'bubbleId:' || c.id || ':' || "
    "CASE h.type WHEN 'object' THEN json_extract(h.value, '$.bubbleId') END {rest})"
)
"""What is known of the bubbles that a composer names, by their keys, which an index has."""


def _end(way: str) -> str:
    """The key of the first or the last bubble that is there."""
    return _NAMED.format(what="b.key", join="CROSS JOIN", rest=f"ORDER BY h.key {way} LIMIT 1")


_GONE: Final = _NAMED.format(what="count(*)", join="LEFT JOIN", rest="WHERE b.key IS NULL")
_HEADS: Final = (
    "SELECT o.id, o.said, o.first, f.value, o.last, l.value, o.gone FROM ("
    f"SELECT c.id, c.said, {_end('ASC')} AS first, {_end('DESC')} AS last, {_GONE} AS gone FROM ("
    "SELECT k.id, k.said, CASE json_valid(k.text) WHEN 1 THEN k.text ELSE '{}' END AS text FROM ("
    "SELECT w.value AS id, k.value AS said, CAST(k.value AS TEXT) AS text "
    f"FROM {_WANTED} CROSS JOIN cursorDiskKV AS k WHERE k.key = {_COMPOSER} || w.value"
    ") AS k) AS c LIMIT -1"  # so that each key is looked up once
    ") AS o LEFT JOIN cursorDiskKV AS f ON f.key = o.first "
    "LEFT JOIN cursorDiskKV AS l ON l.key = o.last"
)


def _of_tabs(what: str) -> str:
    """A query of the tabs, called `t`, of a valid text: one that is none has no tab."""
    text = "CAST(i.value AS TEXT)"
    tabs = f"json_each(CASE json_valid({text}) WHEN 1 THEN {text} ELSE '{{}}' END, '$.tabs')"
    return f"SELECT {what} FROM ItemTable AS i CROSS JOIN {tabs} AS t WHERE i.key = '{_TABS}'"


_TAB_ID: Final = "CASE t.type WHEN 'object' THEN json_extract(t.value, '$.tabId') END"


def _plan(sketch: Sketch) -> Plan:
    tabs = {"tabs": f"{_of_tabs(f'{_TAB_ID}, t.value')} AND {_TAB_ID} IN {{ids}}"}
    listing = _of_tabs(f"{_TAB_ID} AS id")
    strays = (
        f"SELECT 'ItemTable {_TABS}', 'it is no JSON with a list of tabs', 1 FROM ItemTable AS i "
        f"WHERE i.key = '{_TABS}' AND NOT EXISTS ({_of_tabs('1')})"
    )
    if "cursordiskkv" not in map(str.lower, sketch):
        tells = f"SELECT 1 FROM ItemTable WHERE key = '{_TABS}'"
        return Plan(listing=listing, queries=tabs, heads=tabs, strays=strays, tells=tells)
    composers = (
        f"SELECT {_behind('key', _COMPOSER)} AS id FROM cursorDiskKV "
        "WHERE key >= 'composerData:' AND key < 'composerData;'"
    )
    return Plan(
        listing=f"{composers} UNION ALL {listing}",
        queries={"composers": _COMPOSERS, "bubbles": _BUBBLES, **tabs},
        heads={"heads": _HEADS, **tabs},
        strays=strays,
    )


# --- a conversation -------------------------------------------------------------------------


def _json(value: Any, what: str) -> Any:
    """What a value says, which is text or its bytes; None for what is gone."""
    if value is None:
        return None
    try:
        return parse_json(value if isinstance(value, bytes) else text_of(value, what))
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from error


def unfold(conversation: str, found: _Rows) -> Told:
    """What the composer, or the tab, of that id says."""
    for (value,) in found.get("composers", ()):
        composer = _json(value, "its composer")
        if composer is not None:
            bubbles = {row[0]: row[1] for row in found.get("bubbles", ())}
            return _composer(object_of(composer, "its composer"), bubbles)
    return _tab(found)


def head(conversation: str, found: _Rows) -> Told:
    """The same with its first message and its last one alone."""
    for value, first, first_said, last, last_said, gone in found.get("heads", ()):
        composer = _json(value, "its composer")
        if composer is None:
            continue
        composer = object_of(composer, "its composer")
        headers = _headers(composer)
        if not headers:
            return _composer(composer, {})
        ends = [
            (first_said, _header(conversation, first, headers)),
            (last_said, _header(conversation, last, headers[::-1])),
        ]
        messages = [each for end, named in ends for each in _said(conversation, end, named)]
        if not messages and gone < len(headers):
            messages.append(Unreadable(conversation, "it begins and ends with nothing"))
        return _about(composer, messages, gone)
    return _tab(found)


def _header(conversation: str, key: Any, headers: Iterable[JSONObject]) -> JSONObject:
    """The first of the headers that names the bubble of that key."""
    bubble = str(key).removeprefix(f"bubbleId:{conversation}:")
    return next((each for each in headers if each.get("bubbleId") == bubble), {})


def _headers(composer: JSONObject) -> list[JSONObject]:
    return objects_of(composer.get("fullConversationHeadersOnly"), "its headers")


def _composer(composer: JSONObject, bubbles: Mapping[Any, Any]) -> Told:
    headers = _headers(composer)
    if not headers:
        inline = objects_of(composer.get("conversation"), "its conversation")
        return _about(composer, [each for b in inline for each in _said(b.get("bubbleId"), b, b)])
    messages: list[Message | Unreadable] = []
    gone = 0
    for header in headers:
        id_ = text_or_none(header.get("bubbleId"))
        if id_ in bubbles:
            messages += _said(id_, bubbles[id_], header)
        else:
            gone += 1
    return _about(composer, messages, gone)


def _tab(found: _Rows) -> Told:
    for (value,) in found.get("tabs", ()):
        tab = object_of(_json(value, "its tab"), "its tab")
        bubbles = objects_of(tab.get("bubbles"), "its bubbles")
        tab["name"] = tab.get("chatTitle")
        return _about(tab, [each for b in bubbles for each in _said(b.get("id"), b, b)])
    return Told(messages=[])


def _about(composer: JSONObject, messages: Sequence[Message | Unreadable], gone: int = 0) -> Told:
    about = _some(composer, _OF_COMPOSER)
    if gone:
        about["missing_bubbles"] = gone
    title = take_text(composer, "name") or None
    return Told(messages=messages, title=title, extra={NAME: about} if about else None)


def _some(said: JSONObject, keys: Iterable[str]) -> JSONObject:
    """These of what is said, and no key of a cipher within."""
    return kept({key: _open(said.get(key)) for key in keys if said.get(key) not in ("", {}, [])})


def _open(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _open(v) for k, v in value.items() if not k.lower().endswith("encryptionkey")}
    return [_open(each) for each in value] if isinstance(value, list) else value


# --- a bubble -------------------------------------------------------------------------------


def _said(id_: Any, bubble: Any, header: JSONObject) -> Sequence[Message | Unreadable]:
    """What a bubble says: an object, or the value that is one; null says nothing."""
    return told("bubble", id_, _of_value, bubble, header)


def _of_value(bubble: Any, header: JSONObject) -> Sequence[Message]:
    said = bubble if isinstance(bubble, dict) else _json(bubble, "it")
    return [] if said is None else _messages(said, header)


def _messages(bubble: Any, header: JSONObject) -> list[Message]:
    left = object_of(bubble, "it")
    kind = left.get("type", header.get("type"))
    if kind not in _ROLES or isinstance(kind, bool):
        raise ValueError(f"its type is {kind!r}")
    at = time_of(left.get("createdAt"))
    if at is not None:
        left.pop("createdAt")
    pieces: list[runs.Piece] = [*_thought(left.get("thinking")), runs.Text(_text(left))]
    pieces += map(_image, objects_of(left.get("images"), "its images"))
    if tool := left.get("toolFormerData"):
        pieces += _used(object_of(tool, "its toolFormerData"))
    return runs.messages_of(
        pieces, NAME, role=_ROLES[kind], created_at=at,
        record=_some(left, ["bubbleId"]), extra=_some(left, _OF_BUBBLE),
    )  # fmt: skip


def _thought(thinking: Any) -> Iterator[runs.Piece]:
    said = thinking if isinstance(thinking, dict) else {"text": thinking}
    if said.get("text"):
        yield runs.Reasoning({"type": "thinking", **_some(said, ("text", "signature"))})


def _text(bubble: JSONObject) -> str:
    """Its text; where that is empty, what its rich text shows."""
    text = bubble.get("text") or bubble.get("rawText") or ""
    rich = parsed(bubble.get("richText"))
    if not text and isinstance(rich, dict):
        return "".join(_nodes(rich.get("root"))).removesuffix("\n")
    return text_of(text, "its text")


def _nodes(node: Any) -> Iterator[str]:
    """The texts of a node of Lexical, the editor's own form, and a line end behind a paragraph."""
    if not isinstance(node, dict):
        return
    if isinstance(node.get("text"), str):
        yield node["text"]
    if node.get("type") == "linebreak":
        yield "\n"
    children = node.get("children")
    for child in children if isinstance(children, list) else ():
        yield from _nodes(child)
    if node.get("type") == "paragraph":
        yield "\n"


def _image(image: JSONObject) -> runs.Piece:
    """An image, by its path: its bytes lie elsewhere."""
    path = take_text(image, "path") or take_text(image, "url")
    own = {"type": "image", **_some(image, _OF_IMAGE)}
    return runs.File(own) if path is None else runs.Image(path, own)


def _used(tool: JSONObject) -> list[runs.Piece]:
    id_, name = take_text(tool, "toolCallId"), take_text(tool, "name")
    given = runs.arguments_of(tool.get("rawArgs"))
    if not isinstance(given, dict):
        given = runs.arguments_of(tool.get("params")) or given
    result = tool.get("result")
    own = {"type": "tool", **_some(tool, _OF_TOOL)}
    pieces: list[runs.Piece] = [runs.Call(id_, name, given, own)]
    if result is not None:
        pieces.append(runs.Result(id_, name, runs.compact(result)))
    return pieces


def _shape(tables: Mapping[str, frozenset[str]], version: str, without: str = "") -> Whole:
    return Whole(
        tables=tables,
        without=frozenset({without} if without else ()),
        version=version,
        plan=_plan,
        unfold=unfold,
        head=head,
        holds=HOLDS,
    )


_KEYS: Final = frozenset({"key", "value"})

SHAPES: Final = {
    "sqlite": (
        _shape({"cursorDiskKV": _KEYS, "ItemTable": _KEYS}, "composers"),
        _shape({"ItemTable": _KEYS}, "chats before composers", without="cursorDiskKV"),
    )
}
