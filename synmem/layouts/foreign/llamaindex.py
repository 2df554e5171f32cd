"""The containers of LlamaIndex's chat stores; in all of them a message is the same JSON, which
`llamaindex_messages.py` reads and writes."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import structs

from synmem import messages as model
from synmem.layouts.foreign.llamaindex_files import FILE, TEXT
from synmem.layouts.foreign.llamaindex_messages import (
    HOLDS,
    NAME,
    json_of,
    message_of,
    refusal,
    tells,
    with_extra,
)
from synmem.layouts.foreign.placing import between
from synmem.layouts.shapes import Documents, Items, Lists, Record, Rows, Write
from synmem.messages import JSONObject, Message, Unreadable, parse_json

# --- rows -----------------------------------------------------------------------------------


TITLE: Final = "LlamaIndex"


def _parsed(text: Any) -> Any:
    if not isinstance(text, str | bytes):
        raise ValueError("its message is no text")
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"its message is not JSON: {error}") from error


def _tells(record: Record) -> bool:
    try:
        return tells(_parsed(record[-1]))
    except ValueError:
        return False


_CHAT_STORE: Final = Rows(
    table="data_chatstore",
    any_name=True,
    begins="data_",
    version="SQLiteChatStore",
    columns=frozenset({"id", "key", "value"}),
    tells=_tells,
    conversation="key",
    order=("id",),
    record=("value",),
    unfold=lambda record: [message_of(_parsed(record[0]))],
    holds=HOLDS,
)
"""What `SQLiteChatStore` makes, of whose table the name begins with `data_`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _unfold_memory(record: Record) -> list[Message]:
    """The message of a row of which `extra` has what its time says below a microsecond, its status
    where it is not active, and its role where the message has another: as `row`."""
    at, role, status, text = record
    message = message_of(_parsed(text))
    if type(at) is not int:
        raise ValueError("its timestamp is no whole number")
    own = (message.extra or {}).get(NAME, {})
    if "row" in own:
        raise ValueError("its message has a key 'row', which is no message's")
    row: JSONObject = {"timestamp": at} if at % 1000 else {}
    if status != "active":
        row["status"] = status
    if role != own.get("role", message.role):
        row["role"] = role
    if row:
        message = with_extra(message, {**own, "row": row})
    return [structs.replace(message, created_at=_EPOCH + timedelta(microseconds=at // 1000))]


def _parted_row(message: Message) -> tuple[Message, JSONObject]:
    """The message, and what its row says beside it."""
    own = dict((message.extra or {}).get(NAME) or {})
    row = own.pop("row", None)
    if row is None:
        return message, {}
    if not isinstance(row, dict):
        raise ValueError(f"extra.{NAME}.row is not what a row has beside")
    rest = {**(message.extra or {}), NAME: own} if own else None
    return structs.replace(message, extra=rest), row


def _fold_memory(message: Message) -> Record:
    said, row = _parted_row(message)
    of_message = json_of(said)
    role = row.get("role", of_message["role"])
    return (_moment(message), role, row.get("status", "active"), json.dumps(of_message))


def _moment(message: Message) -> int | None:
    """When it was said, in nanoseconds since 1970."""
    _, row = _parted_row(message)
    at = message.created_at
    exact: int | None = row.get("timestamp")
    return exact if exact is not None or at is None else (at - _EPOCH) // _MICROSECOND * 1000


def _moment_between(message: Message, before: Any, behind: Any) -> int:
    """Whole microseconds where the message says no time, if any lies between."""
    for beside in (before, behind):
        if beside is not None and type(beside) is not int:
            raise ValueError(
                f"the timestamp of the message beside it is no whole number: {beside!r}"
            )
    own = _moment(message)
    if own is None:
        whole = None if before is None else -(-before // 1000) * 1000
        before = before if behind is not None and (whole or 0) > behind else whole
        behind = behind if behind is None or (whole or 0) > behind else behind // 1000 * 1000
    at: int = between(own, time.time_ns() // 1000 * 1000, before, behind)
    if at >= 2**63:
        raise ValueError("the message in front of it has the last timestamp that there is")
    return at


def _refusal_of_memory(message: Message) -> str | None:
    """Why LlamaIndex would not read the message, or a row not hold it as it is."""
    try:
        said, row = _parted_row(message)
        if why := refusal(said):
            return why
        record = _fold_memory(message)
        at = record[0]
        if at is not None and not -(2**63) <= at < 2**63:
            return "its time cannot be told in nanoseconds"
        if not all(isinstance(row.get(key, ""), str) for key in ("role", "status")):
            return f"extra.{NAME}.row is not what a row has beside"
        if not row:
            return None
        (back,) = _unfold_memory((at or 0, *record[1:]))
    except (ValueError, TypeError) as error:
        return f"LlamaIndex has no such row: {error}"
    holds = HOLDS if at is None else _TIMED
    same = model.canonical(back, holds) == model.canonical(message, holds)
    return None if same else f"extra.{NAME}.row is not what a row has beside"


_MICROSECOND: Final = timedelta(microseconds=1)

_TIMED: Final = structs.replace(HOLDS, fields=HOLDS.fields | {"created_at"}, stamps=True)

_WRITE: Final = Write(
    fold=_fold_memory,
    refusal=_refusal_of_memory,
    key=_moment_between,
    schema={
        "sqlite": (
            'CREATE TABLE {table} (\n\tid INTEGER NOT NULL, \n\t"key" VARCHAR NOT NULL, '
            "\n\ttimestamp BIGINT NOT NULL, \n\trole VARCHAR NOT NULL, "
            "\n\tstatus VARCHAR NOT NULL, \n\tdata JSON NOT NULL, \n\tPRIMARY KEY (id)\n)",
            'CREATE INDEX {table:ix_*_key} ON {table} ("key")',
            "CREATE INDEX {table:ix_*_timestamp} ON {table} (timestamp)",
            "CREATE INDEX {table:ix_*_status} ON {table} (status)",
        ),
        "postgres": (
            "CREATE TABLE {table} (\n\tid SERIAL NOT NULL, \n\tkey VARCHAR NOT NULL, "
            "\n\ttimestamp BIGINT NOT NULL, \n\trole VARCHAR NOT NULL, "
            "\n\tstatus VARCHAR NOT NULL, \n\tdata JSON NOT NULL, \n\tPRIMARY KEY (id)\n)",
            "CREATE INDEX {table:ix_*_key} ON {table} (key)",
            "CREATE INDEX {table:ix_*_timestamp} ON {table} (timestamp)",
            "CREATE INDEX {table:ix_*_status} ON {table} (status)",
        ),
    },
)

_MEMORY: Final = Rows(
    table="llama_index_memory",
    any_name=True,
    version="SQLAlchemyChatStore",
    columns=frozenset({"id", "key", "timestamp", "role", "status", "data"}),
    tells=_tells,
    conversation="key",
    order=("timestamp", "id"),
    record=("timestamp", "role", "status", "data"),
    unfold=_unfold_memory,
    holds=_TIMED,
    write=_WRITE,
)
"""What `Memory` keeps in `SQLAlchemyChatStore`: archived messages too, which it does not show."""


def _refusal_on_postgres(message: Message) -> str | None:
    """As of any row; and PostgreSQL's JSON has no NaN."""
    why = _refusal_of_memory(message)
    if why is not None or model.plain(message):
        return why
    try:
        json.dumps(json_of(_parted_row(message)[0]), allow_nan=False)
    except ValueError as error:
        return f"PostgreSQL has no such JSON: {error}"
    return None


_MEMORY_POSTGRES: Final = structs.replace(
    _MEMORY,
    types={"timestamp": frozenset({"bigint"})},
    write=structs.replace(_WRITE, refusal=_refusal_on_postgres),
)


def _unfold_list(record: Record) -> list[Message | Unreadable]:
    """The messages of an array of JSON; one that cannot be read hides no other."""
    (value,) = record
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError("its value is no array")
    return [_message_at(index, text) for index, text in enumerate(value)]


def _message_at(index: int, text: Any) -> Message | Unreadable:
    try:
        message = message_of(_parsed(text))
        if why := model.refusal(message):
            raise ValueError(why)
    except ValueError as error:
        place = f"message {index}"
        return Unreadable(place, f"{place}: {error}", text if isinstance(text, str) else None)
    return message


def _tells_list(record: Record) -> bool:
    (value,) = record
    return isinstance(value, list) and (not value or any(_tells((text,)) for text in value))


_ARRAYS: Final = Rows(
    table="chatstore",
    any_name=True,
    version="PostgresChatStore",
    columns=frozenset({"id", "key", "value"}),
    types={"value": frozenset({"json[]", "jsonb[]"})},
    tells=_tells_list,
    conversation="key",
    order=("id",),
    record=("value",),
    single=False,
    unfold=_unfold_list,
    holds=structs.replace(HOLDS, lasting_positions=False),
)
"""What `PostgresChatStore` makes: a row a session, which it writes anew with each message."""

# --- documents ------------------------------------------------------------------------------

_BESIDE: Final = "llamaindex_mongo"
"""Where in `extra` stands what a document says beside its message."""


def _unfold_document(document: JSONObject) -> list[Message]:
    """Its time is that of the last who wrote the whole session, as his clock on the wall showed it:
    in whatever zone that is, it is not UTC."""
    message = message_of(document.get("message"))
    if (at := document.get("created_at")) is None:
        return [message]
    at = at.removesuffix("Z") if isinstance(at, str) else at
    return [structs.replace(message, extra={**(message.extra or {}), _BESIDE: {"created_at": at}})]


_MONGO: Final = Documents(
    collection="sessions",
    database="default",
    tells=lambda document: (
        isinstance(document.get("session_id"), str)
        and "index" in document
        and tells(document.get("message"))
    ),
    conversation="session_id",
    order=("index",),
    fields=frozenset({"session_id", "index", "message", "created_at"}),
    unfold=_unfold_document,
    holds=structs.replace(HOLDS, extra_of=""),
)
"""What `MongoChatStore` keeps, in the order of `index`."""

# --- Redis ----------------------------------------------------------------------------------


def _tells_item(item: bytes) -> bool:
    """Whether an item of a list, which may be anybody's, is a message as LlamaIndex writes it."""
    try:
        said = parse_json(item)
    except ValueError:
        return False
    return tells(said) and isinstance(said.get("additional_kwargs"), dict)


_LISTS: Final = Lists(
    prefix="",
    id_of=lambda key: key,
    key_of=str,
    tells=_tells_item,
    unfold=lambda item: [message_of(_parsed(item))],
    holds=HOLDS,
)
"""What `RedisChatStore` makes: the key is the conversation's bare id."""

_DYNAMODB: Final = Items(
    key="SessionId",
    messages="History",
    tells=tells,
    unfold=lambda said: [message_of(said)],
    holds=HOLDS,
    expiry="TTL",
)
"""`DynamoDBChatStore`, which raises on the images that it wrote itself."""

SHAPES: Final = {
    "dynamodb": (_DYNAMODB,),
    "file": (FILE, TEXT),
    "mongo": (_MONGO,),
    "postgres": (_MEMORY_POSTGRES, _ARRAYS),
    "redis": (_LISTS,),
    "sqlite": (_MEMORY, _CHAT_STORE),
}
