"""Changing a message where it lies, as its own program does: with the driver, past synmem."""

import asyncio
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

from tests.backends.dynamodb.place import client


def edit(place: str, backend: str, old: str, new: str) -> None:
    """The one message of a store whose content is `old` says `new` from now on."""
    name = re.search(r"(?:prefix|table|db_name)=(\w+)|us-east-1/(\w+)", place)
    own = "" if name is None else name[1] or name[2]
    changed = _EDITS[backend](place, own, old, new)
    assert changed == 1


def _sqlite(place: str, own: str, old: str, new: str) -> int:
    db = sqlite3.connect(place, isolation_level=None)
    try:
        return db.execute("UPDATE messages SET content = ? WHERE content = ?", (new, old)).rowcount
    finally:
        db.close()


def _file(place: str, own: str, old: str, new: str) -> int:
    text = Path(place).read_text()
    Path(place).write_text(text.replace(json.dumps(old), json.dumps(new)))
    return text.count(json.dumps(old))


def _postgres(place: str, own: str, old: str, new: str) -> int:
    import asyncpg

    async def main() -> str:
        connection = await asyncpg.connect(place.partition("?")[0])
        try:
            return str(
                await connection.execute(
                    f"UPDATE {own} SET content = $1 WHERE content = $2", new, old
                )
            )
        finally:
            await connection.close()

    return int(asyncio.run(main()).split()[1])


def _redis(place: str, own: str, old: str, new: str) -> int:
    import redis

    changed = 0
    with redis.Redis.from_url(place.partition("?")[0]) as raw:
        for key in raw.scan_iter(f"{own}:*:messages"):
            for i, item in enumerate(raw.lrange(key, 0, -1)):
                told = json.loads(item)
                if told["content"] == old:
                    raw.lset(key, i, json.dumps({**told, "content": new}))
                    changed += 1
    return changed


def _mongo(place: str, own: str, old: str, new: str) -> int:
    import pymongo

    raw = pymongo.MongoClient[Any](place.partition("?")[0])
    try:
        found = raw[own]["conversations"].update_many({"content": old}, {"$set": {"content": new}})
        return found.modified_count
    finally:
        raw.close()


def _dynamodb(place: str, own: str, old: str, new: str) -> int:
    url = re.search(r"endpoint_url=([^&]+)", place)
    assert url is not None
    changed = 0
    with client(url[1]) as raw:
        for item in raw.scan(TableName=own, ConsistentRead=True)["Items"]:
            if item.get("content") == {"S": old}:
                raw.put_item(TableName=own, Item={**item, "content": {"S": new}})
                changed += 1
    return changed


_EDITS = {
    "sqlite": _sqlite,
    "file": _file,
    "postgres": _postgres,
    "redis": _redis,
    "mongo": _mongo,
    "dynamodb": _dynamodb,
}
