"""The containers of LangChain's message histories; in all of them a message is the same JSON, which
`langchain_messages.py` reads and writes."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import structs

from synmem.layouts.foreign.langchain_files import FILES
from synmem.layouts.foreign.langchain_messages import (
    HOLDS,
    json_of,
    message_in,
    message_of,
    parted,
    refusal,
    texts_in,
)
from synmem.layouts.foreign.langchain_redis import DOCUMENTS, JS_LISTS, LISTS
from synmem.layouts.foreign.values import list_of
from synmem.layouts.own.postgres_rows import holds_json
from synmem.layouts.shapes import Documents, Gathered, Items, Record, Rows, Told, Write
from synmem.messages import JSONObject, Message, Unreadable, parse_json

TITLE: Final = "LangChain"


def _unfold(record: Record) -> list[Message]:
    (text,) = record
    if not isinstance(text, str):
        raise ValueError("its message is no text")
    return [message_in(text)]


def _fold(message: Message) -> Record:
    return (json.dumps(json_of(message)),)


def _tells(record: Record) -> bool:
    try:
        parted(parse_json(record[0]))
    except (ValueError, TypeError):
        return False
    return True


_SQL: Final = Rows(
    table="message_store",
    any_name=True,
    columns=frozenset({"id", "session_id", "message"}),
    tells=_tells,
    conversation="session_id",
    order=("id",),
    record=("message",),
    unfold=_unfold,
    texts=texts_in,
    holds=HOLDS,
    write=Write(
        fold=_fold,
        refusal=refusal,
        schema={
            "sqlite": (
                "CREATE TABLE {table} (\n\tid INTEGER NOT NULL, \n\tsession_id TEXT, "
                "\n\tmessage TEXT, \n\tPRIMARY KEY (id)\n)",
            )
        },
    ),
)
"""`SQLChatMessageHistory` of langchain-community, which reads a session by id."""


# --- PostgreSQL -----------------------------------------------------------------------------


def _refusal_of_jsonb(message: Message) -> str | None:
    """Why LangChain would not read the message, or jsonb not hold it as it is."""
    if why := refusal(message):
        return why
    if holds_json(json_of(message)):
        return None
    return (
        "jsonb cannot hold it: a text with NUL or a lone surrogate, or a number that is no other "
        "one there (NaN, -0.0, a whole float from 1e15 on)"
    )


_ALCHEMY: Final = structs.replace(
    _SQL,
    version="SQLChatMessageHistory",
    types={"message": frozenset({"text", "character varying"})},
    write=Write(
        fold=_fold,
        refusal=refusal,
        schema={
            "postgres": (
                "CREATE TABLE {table} (\n\tid SERIAL NOT NULL, \n\tsession_id TEXT, "
                "\n\tmessage TEXT, \n\tPRIMARY KEY (id)\n)",
            )
        },
    ),
)
"""The same `SQLChatMessageHistory`, on PostgreSQL."""

_COMMUNITY: Final = structs.replace(
    _SQL,
    version="langchain-community",
    types={
        "session_id": frozenset({"text", "character varying", "citext", "character"}),
        "message": frozenset({"jsonb", "json"}),
    },
    write=Write(
        fold=_fold,
        refusal=_refusal_of_jsonb,
        schema={
            "postgres": (
                """CREATE TABLE IF NOT EXISTS {table} (
            id SERIAL PRIMARY KEY,
            session_id TEXT NOT NULL,
            message JSONB NOT NULL
        )""",
            )
        },
    ),
)
"""`PostgresChatMessageHistory` of langchain-community, which reads a session by id."""


def _unfold_timed(record: Record) -> list[Message]:
    """The time is the one at which the row was written: messages that came together have one."""
    text, at = record
    if not isinstance(at, datetime):
        raise ValueError("its created_at is no time")
    return [structs.replace(message, created_at=at) for message in _unfold((text,))]


_POSTGRES: Final = Rows(
    table="chat_history",
    any_name=True,
    version="langchain-postgres",
    columns=frozenset({"id", "session_id", "message", "created_at"}),
    types={"session_id": frozenset({"uuid"}), "message": frozenset({"jsonb", "json"})},
    tells=_tells,
    conversation="session_id",
    order=("id",),
    record=("message", "created_at"),
    unfold=_unfold_timed,
    holds=structs.replace(HOLDS, fields=HOLDS.fields | {"created_at"}, stamps=True),
    write=Write(
        fold=lambda message: (*_fold(message), message.created_at),
        refusal=_refusal_of_jsonb,
        schema={
            "postgres": (
                """
            CREATE TABLE IF NOT EXISTS {table} (
                id SERIAL PRIMARY KEY,
                session_id UUID NOT NULL,
                message JSONB NOT NULL,
                created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
            )
            """,
                """
            CREATE INDEX IF NOT EXISTS {table:idx_*_session_id} ON {table} (session_id)
            """,
            )
        },
    ),
)
"""`PostgresChatMessageHistory` of langchain-postgres, which reads a session by id."""


def _said_flat(text: Any) -> Any:
    """The object in the form that Python's LangChain gives it."""
    if not isinstance(text, str):
        raise ValueError("its message is no text")
    said = parse_json(text)
    if not isinstance(said, dict) or not isinstance(said.get("type"), str) or "content" not in said:
        raise ValueError('the message is not {"type": text, "content": ...}')
    return {"type": said["type"], "data": said}


def _tells_flat(record: Record) -> bool:
    try:
        _said_flat(record[0])
    except ValueError:
        return False
    return True


_JAVASCRIPT: Final = structs.replace(
    _SQL,
    table="langchain_chat_histories",
    version="LangChain.js",
    types={"message": frozenset({"jsonb", "json"})},
    tells=_tells_flat,
    unfold=lambda record: [message_of(_said_flat(record[0]))],
    texts=None,
    write=None,
)
"""`PostgresChatMessageHistory` of LangChain.js, which n8n has too: the object is flat."""


# --- MongoDB --------------------------------------------------------------------------------


def _unfold_document(document: JSONObject) -> list[Message]:
    return _unfold((document.get("History"),))


def _tells_document(document: JSONObject) -> bool:
    return isinstance(document.get("SessionId"), str) and _tells((document.get("History"),))


_MONGO: Final = Documents(
    collection="message_store",
    database="chat_history",
    tells=_tells_document,
    conversation="SessionId",
    order=("_id",),
    fields=frozenset({"SessionId", "History"}),
    unfold=_unfold_document,
    holds=HOLDS,
    fold=lambda conversation, message: {"SessionId": conversation, "History": _fold(message)[0]},
    refusal=refusal,
    indexes=("SessionId",),
)
"""`MongoDBChatMessageHistory` of langchain-mongodb, which reads a session as it was written."""


def _unfold_list(_: str, found: Mapping[str, Sequence[JSONObject]]) -> Told:
    """What a session's document says; there may be several."""
    said: list[Message | Unreadable] = []
    for document in found[_JS.collection]:
        messages = list_of(document.get("messages"), "its messages")
        for index, each in enumerate(messages, len(said)):
            try:
                said.append(message_of(each))
            except ValueError as error:
                place = f"message {index}"
                said.append(Unreadable(place, f"{place}: {error}", json.dumps(each, default=str)))
    return Told(messages=said)


def _tells_list(document: JSONObject) -> bool:
    messages = document.get("messages")
    if not isinstance(document.get("sessionId"), str) or not isinstance(messages, list):
        return False
    try:
        return bool(messages) and bool(parted(messages[0]))
    except ValueError:
        return False


_JS: Final = Gathered(
    collection="memory",
    database="langchain",
    version="LangChain.js",
    tells=_tells_list,
    conversation="sessionId",
    unfold=_unfold_list,
    holds=HOLDS,
)
"""`MongoDBChatMessageHistory` of @langchain/mongodb: a document a session, in whatever collection a
program gives it."""


def _tells_element(said: Any) -> bool:
    try:
        parted(said)
    except ValueError:
        return False
    return True


_DYNAMODB: Final = Items(
    key="SessionId",
    messages="History",
    tells=_tells_element,
    unfold=lambda said: [message_of(said)],
    holds=HOLDS,
    fold=json_of,
    refusal=refusal,
    expiry="expireAt",
)
"""`DynamoDBChatMessageHistory` of langchain-community, which reads a session's item whole."""

SHAPES: Final = {
    "dynamodb": (_DYNAMODB,),
    "file": (FILES,),
    "mongo": (_MONGO, _JS),
    "postgres": (_COMMUNITY, _POSTGRES, _ALCHEMY, _JAVASCRIPT),
    "redis": (LISTS, DOCUMENTS, JS_LISTS),
    "sqlite": (_SQL,),
}
