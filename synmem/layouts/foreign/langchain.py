"""The containers of LangChain's message histories; in all of them a message is the same JSON, which
`langchain_messages.py` reads and writes."""

import json
from typing import Final

from synmem.layouts.foreign.langchain_messages import (
    HOLDS,
    json_of,
    message_of,
    parted,
    refusal,
)
from synmem.layouts.shapes import Documents, Record, Rows, Write
from synmem.messages import JSONObject, Message, parse_json


def _unfold(record: Record) -> list[Message]:
    (text,) = record
    if not isinstance(text, str):
        raise ValueError("its message is no text")
    try:
        said = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its message is not JSON: {error}") from error
    return [message_of(said)]


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

SHAPES: Final = {
    "mongo": (_MONGO,),
    "sqlite": (_SQL,),
}
