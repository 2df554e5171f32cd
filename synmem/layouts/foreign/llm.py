"""Simon Willison's `llm`: its logs.db, of both generations, which one file may hold together.

The newer one keeps messages as a tree that all threads share: each names the one before it by its
hash, and a thread names its newest. Of the older one a row of `responses` is a prompt and its
answer, with the results of the tools that the answer before had called. A conversation that is in
both is what the thread says, which holds the whole chain.

A name is the beginning of the first prompt, and no title. In `extra["llm"]` lie a message's hash,
or the id of its response; of an answer the model, the options, the tokens, the schema and what
else its turn has; reasoning, attachments, and the parts that are neither text nor a call.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from synmem.layouts.foreign.runs import arguments_of
from synmem.layouts.foreign.sql import by_first, columns, lowered
from synmem.layouts.foreign.trees import chain as chain_of
from synmem.layouts.foreign.values import (
    as_json,
    image,
    json_of,
    kept,
    parsed,
    take_time,
    text_of,
    time_of,
    told,
)
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message, Unreadable

NAME: Final = "llm"
TITLE: Final = "llm (`logs.db`)"

HOLDS: Final = Holds(
    fields=frozenset(
        {"role", "content", "created_at", "tool_calls", "tool_call_id", "name", "parts", "extra"}
    ),
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

Rows = Mapping[str, Sequence[Record]]
Attachments = Mapping[Any, Sequence[Record]]
"""By what they belong to: id, type, path, url, content."""


# --- what is asked for ----------------------------------------------------------------------

_OF_TURN: Final = (
    "id", "model", "resolved_model", "options_json", "input_tokens", "output_tokens",
    "token_details", "duration_ms", "datetime_utc", "response_json",
)  # fmt: skip
_OF_RESPONSE: Final = (
    "id", "prompt", "system", "response", "reasoning", "model", "resolved_model", "options_json",
    "input_tokens", "output_tokens", "token_details", "duration_ms", "datetime_utc",
    "response_json", "prompt_json",
)  # fmt: skip
_JSON: Final = {
    "options_json": "options",
    "token_details": "token_details",
    "response_json": "response_json",
    "prompt_json": "prompt_json",
    "schema": "schema",
}
"""Columns of JSON, and what they are called in `extra`."""

_ATTACHMENT: Final = 'a."id", a."type", a."path", a."url", a."content"'

_CHAIN: Final = (
    "WITH RECURSIVE chain(thread, hash, parent) AS ("
    "SELECT t.id, m.hash, m.parent_hash FROM threads AS t "
    "JOIN messages AS m ON m.hash = t.tip_message_hash WHERE t.id IN {ids} "
    # Each but once: whatever stands there, it comes to an end.
    "UNION SELECT c.thread, m.hash, m.parent_hash FROM chain AS c "
    "JOIN messages AS m ON m.hash = c.parent) "
)


def _threads(sketch: Sketch) -> dict[str, str]:
    """The queries of the newer generation."""
    parts = "FROM chain AS c JOIN parts AS p ON p.message_hash = c.hash"
    return {
        "thread": "SELECT id, tip_message_hash, name, forked_from, datetime_utc FROM threads "
        "WHERE id IN {ids}",
        "messages": f"{_CHAIN} SELECT c.thread, m.hash, m.parent_hash, m.role, m.provider_metadata "
        "FROM chain AS c JOIN messages AS m ON m.hash = c.hash",
        "parts": f"{_CHAIN} SELECT c.thread, p.message_hash, p.type, p.text, p.payload {parts} "
        "ORDER BY p.message_hash, p.position, p.id",
        "part_fragments": f"{_CHAIN} SELECT c.thread, f.id, f.content {parts} JOIN part_fragments "
        "AS x ON x.part_id = p.id JOIN fragments AS f ON f.id = x.fragment_id",
        "part_attachments": f"{_CHAIN} SELECT c.thread, a.id, {_ATTACHMENT} {parts} JOIN "
        "part_attachments AS x ON x.part_id = p.id JOIN attachments AS a ON a.id = x.attachment_id",
        "turns": "SELECT t.thread_id, t.parent_message_hash, t.tip_message_hash, "
        f"{columns(sketch['turns'], _OF_TURN, 't')}, s.content FROM turns AS t "
        "LEFT JOIN schemas AS s ON s.id = t.schema_id WHERE t.thread_id IN {ids} ORDER BY t.id",
    }


def _responses(sketch: Sketch) -> dict[str, str]:
    """The queries of the older generation; an older file lacks tables and columns."""
    has_schemas = "schemas" in sketch and "schema_id" in sketch["responses"]
    schema = ", s.content" if has_schemas else ", NULL"
    join = "LEFT JOIN schemas AS s ON s.id = r.schema_id" if has_schemas else ""
    queries = {
        "conversation": f"SELECT c.id, {columns(sketch['conversations'], ('name', 'model'), 'c')} "
        "FROM conversations AS c WHERE c.id IN {ids}",
        "responses": f"SELECT r.conversation_id, {columns(sketch['responses'], _OF_RESPONSE, 'r')}"
        f"{schema} FROM responses AS r {join} WHERE r.conversation_id IN {{ids}} ORDER BY r.id",
    }
    of = "JOIN responses AS r ON r.id = x.response_id"
    where = "WHERE r.conversation_id IN {ids} ORDER BY"
    for name in ("prompt_fragments", "system_fragments"):
        if sketch.keys() >= {name, "fragments"}:
            queries[name] = (
                f"SELECT r.conversation_id, r.id, f.content FROM {name} AS x {of} JOIN fragments "
                f'AS f ON f.id = x.fragment_id {where} r.id, x."order"'
            )
    if sketch.keys() >= {"prompt_attachments", "attachments"}:
        queries["prompt_attachments"] = (
            f"SELECT r.conversation_id, r.id, {_ATTACHMENT} FROM prompt_attachments AS x {of} JOIN "
            f'attachments AS a ON a.id = x.attachment_id {where} r.id, x."order"'
        )
    for name, more in (("tool_calls", "arguments"), ("tool_results", "output")):
        if name in sketch:
            others = columns(sketch[name], ("tool_call_id", "name", more, "exception"), "x")
            queries[name] = (
                f"SELECT r.conversation_id, r.id, x.id, {others} FROM {name} AS x {of} {where} x.id"
            )
    if sketch.keys() >= {"tool_results_attachments", "tool_results", "attachments"}:
        queries["tool_results_attachments"] = (
            f"SELECT r.conversation_id, x.id, {_ATTACHMENT} FROM tool_results AS x {of} JOIN "
            "tool_results_attachments AS y ON y.tool_result_id = x.id JOIN attachments AS a "
            f'ON a.id = y.attachment_id {where} y."order"'
        )
    return queries


def _plan(sketch: Sketch) -> Plan:
    sketch = lowered(sketch)
    listings, queries = [], dict[str, str]()
    if "threads" in sketch:
        listings.append("SELECT id FROM threads")
        queries |= _threads(sketch)
    if all(sketch.get(table, {}).keys() >= wanted for table, wanted in _OLDER.tables.items()):
        listings += ["SELECT id FROM conversations", "SELECT conversation_id AS id FROM responses"]
        queries |= _responses(sketch)
    return Plan(listing=" UNION ".join(listings), queries=queries)


# --- a thread -------------------------------------------------------------------------------


def _unfold(id_: str, rows: Rows) -> Told:
    threads, responses = rows.get("thread", ()), rows.get("responses", ())
    # A thread that says nothing yet may go on with a conversation of older rows.
    if threads and (threads[0][0] is not None or not responses):
        return _thread(rows)
    return _conversation(rows)


def _thread(rows: Rows) -> Told:
    ((tip, name, forked_from, at),) = rows["thread"]
    extra = kept({"name": name or None, "forked_from": forked_from, "datetime_utc": at})
    messages = {row[0]: row for row in rows["messages"]}
    found: list[Message | Unreadable] = []
    if tip is not None:
        if tip not in messages:
            raise ValueError(f"its newest message {tip} is not there")
        chain, before = chain_of(tip, {hash_: row[1] for hash_, row in messages.items()})
        parts = by_first(rows["parts"])
        turns = _turns(rows["turns"], [messages[hash_] for hash_ in chain])
        fragments = {row[0]: row[1] for row in rows["part_fragments"]}
        files = by_first(rows["part_attachments"])
        found += before
        for hash_ in chain:
            given = messages[hash_], parts[hash_], fragments, files, turns[hash_]
            found += told("message", hash_, _of_message, *given)
    return Told(messages=found, extra={NAME: extra} if extra else None, leaf=tip and str(tip))


def _turns(rows: Sequence[Record], chain: Sequence[Record]) -> dict[str, JSONObject]:
    """Of each message of a chain what its turn says: all of it for the newest one, for those that
    it answers and what came with it the time."""
    newest = {tip: (parent, values) for parent, tip, *values in rows}
    found: dict[str, JSONObject] = {}
    at: JSONObject = {}
    asked = is_asked = None
    for hash_, _, role, _ in reversed(chain):
        about = at
        if hash_ in newest:
            asked, values = newest[hash_]
            about = _about(dict(zip((*_OF_TURN, "schema"), values, strict=True)))
            at, is_asked = {"datetime_utc": about.get("datetime_utc")}, False
        elif is_asked and role == "assistant":
            about = at = {}  # of a turn of the thread that this one was forked from
        is_asked = is_asked or hash_ == asked
        found[hash_] = about
    return found


def _about(values: JSONObject) -> JSONObject:
    """What a turn or a response has beside its messages, without what it has not."""
    return kept(
        {_JSON[name]: parsed(values[name]) for name in _JSON if name in values}
        | {name: value for name, value in values.items() if name not in _JSON}
    )


def _part(row: Record, fragments: Mapping[Any, Any]) -> JSONObject:
    """A part as llm itself has it."""
    kind, said, payload = row
    part = json_of(payload, "its payload") or {}
    if not isinstance(part, dict):
        raise ValueError("its payload is no JSON object")
    part = {"type": kind, **part}
    if said is not None:
        part["text"] = said
    elif (pieces := part.pop("text_ref", None)) is not None:
        part["text"] = "".join(_piece(piece, fragments) for piece in pieces)
    return part


def _piece(piece: JSONObject, fragments: Mapping[Any, Any]) -> str:
    if "literal" in piece:
        return text_of(piece["literal"], "its literal")
    if piece["fragment"] not in fragments:
        raise ValueError(f"its fragment {piece['fragment']} is not there")
    return text_of(fragments[piece["fragment"]], "its fragment")


def _of_message(
    message: Record,
    parts: Sequence[Record],
    fragments: Mapping[Any, Any],
    files: Attachments,
    turn: JSONObject,
) -> list[Message]:
    """The messages of one of theirs: each result of a tool is one of its own."""
    hash_, _, role, metadata = message
    said: list[tuple[str, list[JSONObject]]] = []
    for part in (_part(row, fragments) for row in parts):
        is_result = part["type"] == "tool_result"
        kind = "tool" if is_result else role
        if not said or is_result or kind != said[-1][0]:
            said.append((kind, []))
        said[-1][1].append(part)
    about = kept({"hash": hash_, "provider_metadata": parsed(metadata)})
    at = time_of(turn.get("datetime_utc"), utc=True)
    of_turn = {name: value for name, value in turn.items() if name != "datetime_utc"}
    *first, last = said or [(text_of(role, "its role"), [])]
    return [
        *(_of_parts(kind, some, files, about, at) for kind, some in first),
        _of_parts(*last, files, about | ({"turn": of_turn} if of_turn else {}), at),
    ]


_PLAIN: Final = {
    "text": {"type", "text"},
    "reasoning": {"type", "text"},
    "tool_call": {"type", "name", "arguments", "tool_call_id"},
    "tool_result": {"type", "name", "output", "tool_call_id", "attachments"},
    "attachment": {"type", "attachment"},
}
"""What of each kind of part has its place elsewhere in a message."""

_TEXT: Final = {"text": "text", "tool_result": "output"}
"""Where a part has its text."""

_CALL: Final = ("tool_call_id", "name", "arguments")


def _of_parts(
    role: str, parts: Sequence[JSONObject], attachments: Attachments, about: JSONObject, at: Any
) -> Message:
    of: defaultdict[str, list[JSONObject]] = defaultdict(list)
    for part in parts:
        of[part["type"]].append(part)
    shown: list[str | Record] = []
    for part in parts:
        if key := _TEXT.get(part["type"]):
            shown.append(text_of(part[key], f"its {key}"))
        shown += [each for id_ in _refs(part) for each in attachments.get(id_, ())[:1]]
    lost = [{"sha256": id_} for part in parts for id_ in _refs(part) if id_ not in attachments]
    (result,) = of["tool_result"] or [{}]
    beside = {
        "parts": [part for part in parts if part.keys() - _PLAIN.get(part["type"], set())],
        "reasoning": "\n".join(part["text"] for part in of["reasoning"] if part.get("text")),
        "attachments": [_attachment(each) for each in shown if not isinstance(each, str)] + lost,
    }
    return Message(
        role,
        "\n".join(each for each in shown if isinstance(each, str)),
        created_at=at,
        tool_calls=[_as_call(*map(part.get, _CALL)) for part in of["tool_call"]] or None,
        tool_call_id=result.get("tool_call_id"),
        name=result.get("name"),
        parts=_parts(shown),
        extra={NAME: about | {name: value for name, value in beside.items() if value}},
    )


def _as_call(id_: Any, name: Any, arguments: Any) -> JSONObject:
    return {"id": id_, "name": name, "arguments": arguments_of(arguments)}


def _refs(part: JSONObject) -> Sequence[Any]:
    """The ids of a part's attachments."""
    refs = [one] if (one := part.get("attachment")) else part.get("attachments") or ()
    return [ref["id"] for ref in refs]


def _parts(shown: Sequence[str | Record]) -> list[JSONObject] | None:
    """The parts of a message that has several texts, or attachments, in their order."""
    texts = [each for each in shown if isinstance(each, str)]
    if len(texts) == len(shown) < 2:
        return None
    parts = [
        {"type": "text", "text": each} if isinstance(each, str) else _file(each)
        for each in shown
        if each or len(texts) > 1
    ]
    return [part for part in parts if part]


def _file(file: Record) -> JSONObject | None:
    """The part that is an attachment, which lies there or elsewhere."""
    _, kind, where, url, content = file
    kind = kind if isinstance(kind, str) else "application/octet-stream"
    if isinstance(content, bytes):
        url = f"data:{kind};base64,{as_json(content)}"
    found = next((each for each in (url, where) if isinstance(each, str)), None)
    if found is None:
        return None
    if kind.startswith("image/"):
        return image(found)
    return {"type": "file", "file": {"file_data": found, "media_type": kind}}


def _attachment(file: Record) -> JSONObject:
    id_, kind, where, url, _ = file
    return kept({"sha256": id_, "type": kind, "path": where, "url": url})


# --- rows of prompts and answers ------------------------------------------------------------


_OF_ROW: Final = (
    "prompt_fragments", "system_fragments", "prompt_attachments", "tool_calls", "tool_results",
)  # fmt: skip
"""What lies in other tables for each response."""


def _conversation(rows: Rows) -> Told:
    about = [
        kept({"name": name or None, "model": model}) for name, model in rows.get("conversation", ())
    ]
    beside = {name: by_first(rows.get(name, ())) for name in _OF_ROW}
    files = by_first(rows.get("tool_results_attachments", ()))
    found: list[Message | Unreadable] = []
    system: str | None = None
    for row in rows.get("responses", ()):
        of_row = {name: of_rows[row[0]] for name, of_rows in beside.items()}
        some = told("response", row[0], _response, row, of_row, files, system)
        for each in some:
            if isinstance(each, Message) and each.role == "system":
                system = each.content
        found += some
    return Told(messages=found, extra={NAME: about[0]} if any(about) else None)


def _response(row: Record, of_row: Rows, files: Attachments, system: str | None) -> list[Message]:
    """The messages of a prompt and its answer; its system prompt where that is a new one."""
    values = dict(zip((*_OF_RESPONSE, "schema"), row, strict=True))
    id_, prompt, own, answer = map(values.pop, ("id", "prompt", "system", "response"))
    at = take_time(values, "datetime_utc", utc=True)
    extra = {NAME: {"response": id_}}
    found: list[Message] = []
    bits = [_text(row[0]).strip() for row in of_row["system_fragments"]] + [_text(own)]
    if (said := "\n\n".join(filter(None, bits))) and said != system:
        found.append(Message("system", said, created_at=at, extra=extra))
    results = of_row["tool_results"]
    found += [_result(row, files[row[0]], at, extra) for row in results]
    bits = [_text(row[0]) for row in of_row["prompt_fragments"]]
    bits += [_text(prompt)] if prompt else []
    asked, attached = "\n".join(bits), of_row["prompt_attachments"]
    if bits or attached or not results:
        found.append(_with_files(Message("user", asked, created_at=at, extra=extra), attached))
    calls = [_as_call(*row[1:4]) for row in of_row["tool_calls"]]
    about = extra[NAME] | _about(values)
    found.append(Message("assistant", _text(answer), None, at, calls or None, extra={NAME: about}))
    return found


def _text(value: Any) -> str:
    return "" if value is None else text_of(value, "its text")


def _result(row: Record, files: Sequence[Record], at: Any, extra: JSONObject) -> Message:
    _, call, name, output, exception = row
    about = {NAME: extra[NAME] | kept({"exception": exception})}
    said = Message("tool", _text(output), None, at, None, call, name, extra=about)
    return _with_files(said, files)


def _with_files(message: Message, files: Sequence[Record]) -> Message:
    if not files:
        return message
    about = (message.extra or {})[NAME] | {"attachments": [*map(_attachment, files)]}
    return structs.replace(message, parts=_parts([message.content, *files]), extra={NAME: about})


_OLDER: Final = Whole(
    tables={
        "responses": frozenset({"id", "conversation_id", "prompt", "response"}),
        "conversations": frozenset({"id", "name", "model"}),
    },
    without=frozenset({"threads"}),
    version="older",
    plan=_plan,
    unfold=_unfold,
    holds=HOLDS,
)
"""Each row is a prompt and its answer."""

_NEWER: Final = Whole(
    tables={
        "threads": frozenset({"id", "tip_message_hash", "forked_from"}),
        "messages": frozenset({"hash", "parent_hash", "role", "provider_metadata"}),
        "parts": frozenset({"id", "message_hash", "position", "type", "text", "payload"}),
        "turns": frozenset({"id", "thread_id", "tip_message_hash", "parent_message_hash"}),
        "part_fragments": frozenset({"part_id", "fragment_id"}),
        "fragments": frozenset({"id", "content"}),
        "part_attachments": frozenset({"part_id", "attachment_id"}),
        "attachments": frozenset({"id", "type", "path", "url", "content"}),
        "schemas": frozenset({"id", "content"}),
    },
    version="newer",
    plan=_plan,
    unfold=_unfold,
    holds=HOLDS,
)
"""Chains of messages; perhaps with rows of the older kind beside them."""

SHAPES: Final = {"sqlite": (_NEWER, _OLDER)}
