"""The DynamoDB table: found, or made where the profile says so; and how it lists conversations."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from synmem.backends.dynamodb.calls import Client, pause
from synmem.backends.paging import changed, opened_for_reading, storable
from synmem.errors import Changed, StoreNotFound, StoreUnavailable, UnknownLayout
from synmem.layouts.own.dynamodb_items import CONVERSATION, NUMBER
from synmem.messages import MAX_ID_BYTES

INDEX: Final = "synmem_conversations"
SHARDS: Final = 8
"""So many values has `listed`: one alone would be one partition of the index to write to."""

MAKING_S: Final = 120.0
PATIENCE_S: Final = 60.0

_KEYS: Final = [(CONVERSATION, "HASH", "S"), (NUMBER, "RANGE", "N")]
_INDEX_KEYS: Final = [("listed", "HASH", "S"), (CONVERSATION, "RANGE", "S")]


Described = dict[str, Any]
"""What the server says of a table."""


class Table:
    """The table's name, whether it is there, and whether it has our index."""

    made = False
    indexed = False

    def __init__(self, client: Client, *, create: bool, write: bool) -> None:
        self.client = client
        self._create = create
        self._write = write
        self._turn = asyncio.Lock()

    @property
    def name(self) -> str:
        """The region, the table and a given endpoint."""
        return self.client.name

    def changed(self, conversation: str) -> Changed:
        """What whoever relies on a position is told where no message stands there any more."""
        return changed(conversation, self.name)

    def may_write(self) -> None:
        """Unsupported where it was opened for reading."""
        if not self._write:
            raise opened_for_reading(self.name)

    async def make_sure(self) -> None:
        """Make the table at the first write, where it is missing."""
        self.may_write()
        if not self.made:
            await self.make()

    def attempts(self) -> AsyncIterator[None]:
        """Again and again, while others change the conversation between a look and a write."""
        return attempts(self.name)

    async def is_there(self) -> bool:
        """Whether it is there by now: somebody else may have made it."""
        if not self.made:
            await self.look()
        return self.made

    async def look(self) -> None:
        """See what is there; UnknownLayout where it is a table of another shape."""
        if (table := await described(self.client)) is not None:
            self.see(table)

    def see(self, table: Described) -> None:
        """Take what the server says of the table; UnknownLayout where it is of another shape."""
        self._check(table)
        self.made = True
        self.indexed = any(
            index["IndexName"] == INDEX
            and _keys(index, table) == _INDEX_KEYS
            and index["IndexStatus"] in ("ACTIVE", "UPDATING")
            and not index.get("Backfilling")
            for index in table.get("GlobalSecondaryIndexes", [])
        )

    def _check(self, table: Described) -> None:
        if not is_ours(table):
            raise UnknownLayout(
                f"{self.client.name}: a table of somebody else's shape: its keys are "
                f"{shown_keys(table)}",
                hint=f"synmem's are {CONVERSATION} (HASH, S), {NUMBER} (RANGE, N)",
            )

    async def make(self) -> None:
        """Make it, if it is missing and may be made; two who do so at once both succeed."""
        async with self._turn:
            if self.made:
                return
            if not self._create:
                raise self.client.not_there()
            await self._create_table()
            await made(self.client)
            await self.look()

    async def _create_table(self) -> None:
        types = {name: kind for name, _, kind in (*_KEYS, *_INDEX_KEYS)}
        await self.client.create(
            TableName=self.client.table,
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind} for name, kind in types.items()
            ],
            KeySchema=_schema(_KEYS),
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=[
                {
                    "IndexName": INDEX,
                    "KeySchema": _schema(_INDEX_KEYS),
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
        )


async def attempts(store: str) -> AsyncIterator[None]:
    """Again and again, while others change what is there between a look and a write."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        yield
        await pause()
    raise StoreUnavailable(
        f"{store}: others change the same conversation all the time", hint="try again later"
    )


async def described(client: Client) -> Described | None:
    """What the server says of the table, which it may be making still; None where it is not
    there."""
    try:
        answer = await client.call("describe_table", TableName=client.table)
    except StoreNotFound:
        return None
    table: Described = answer["Table"]
    return await made(client) if table["TableStatus"] == "CREATING" else table


async def made(client: Client) -> Described:
    """What the server says of a table that is being made, once it is there."""
    deadline = time.monotonic() + MAKING_S
    pause = 0.05
    while time.monotonic() < deadline:
        try:
            answer = await client.call("describe_table", TableName=client.table)
        except StoreNotFound:
            pass  # what was just made is not seen everywhere at once
        else:
            table: Described = answer["Table"]
            if table["TableStatus"] in ("ACTIVE", "UPDATING"):
                return table
        await asyncio.sleep(pause)
        pause = min(2.0, pause * 2)
    raise StoreUnavailable(f"{client.name}: the table is still being made", hint="try again later")


def is_ours(table: Described) -> bool:
    """Whether a table has our keys."""
    return keys_of(table) == _KEYS


def keys_of(table: Described) -> list[tuple[str, str, str]]:
    """The name of each of its keys, whether it is HASH or RANGE, and its type."""
    return _keys(table, table)


def shown_keys(table: Described) -> str:
    """Its keys, for a person."""
    return ", ".join(f"{name} ({kind}, {type_})" for name, kind, type_ in keys_of(table))


def reserved(table: Table) -> tuple[str, ...]:
    """Names that no attribute of a message may have there: the index would list it."""
    return ("listed",) if table.indexed else ()


def shard(conversation: str) -> str:
    """The value of `listed` for a conversation."""
    return str(zlib.crc32(conversation.encode()) % SHARDS)


def _schema(keys: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind, _ in keys]


def _keys(index: Described, table: Described) -> list[tuple[str, str, str]]:
    types = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
    return [
        (key["AttributeName"], key["KeyType"], types[key["AttributeName"]])
        for key in index["KeySchema"]
    ]


def keyable(ids: Sequence[str]) -> list[str]:
    """Those that DynamoDB takes as a key, each once."""
    return [i for i in storable(ids) if i and len(i.encode()) <= MAX_ID_BYTES]
