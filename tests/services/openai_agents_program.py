"""Run by the Python that has OpenAI Agents: does what each line of its input asks, and answers in
one.

This file imports nothing of the tests': its Python has none of it.
"""

import asyncio
import json
import sys
import time
from typing import Any

from agents import SQLiteSession
from agents.extensions.memory import (
    AdvancedSQLiteSession,
    AsyncSQLiteSession,
    EncryptedSession,
    SQLAlchemySession,
)
from agents.models.chatcmpl_converter import Converter


def session(kind: str, place: str, name: str, **tables: Any) -> Any:
    """A session of the real thing; `place` is a path, or a URL where the kind has one."""
    if kind == "encrypted":
        return EncryptedSession(name, SQLiteSession(name, place), encryption_key="k" * 32)
    if kind == "advanced":
        return AdvancedSQLiteSession(session_id=name, db_path=place, create_tables=True)
    if kind == "sqlalchemy":
        return SQLAlchemySession.from_url(name, url=place, create_tables=True, **tables)
    if kind == "redis":
        from agents.extensions.memory import RedisSession

        return RedisSession.from_url(name, url=place, **tables)
    if kind == "mongo":
        from agents.extensions.memory import MongoDBSession

        return MongoDBSession.from_uri(name, uri=place, **tables)
    return {"sqlite": SQLiteSession, "async": AsyncSQLiteSession}[kind](name, place, **tables)


async def closed(one: Any) -> None:
    """Close it, of whatever kind."""
    if isinstance(one, SQLAlchemySession):
        await one._engine.dispose()
    elif done := getattr(one, "close", None):
        done = done()
        if asyncio.iscoroutine(done):
            await done


async def read(**where: Any) -> Any:
    """The items of a session."""
    one = session(**where)
    try:
        return await one.get_items()
    finally:
        await closed(one)


async def add(items: Any, **where: Any) -> None:
    """Append items."""
    one = session(**where)
    try:
        await one.add_items(items)
    finally:
        await closed(one)


async def pop(**where: Any) -> Any:
    """Take the last item away."""
    one = session(**where)
    try:
        return await one.pop_item()
    finally:
        await closed(one)


async def clear(**where: Any) -> None:
    """Forget all that was said so far."""
    one = session(**where)
    try:
        await one.clear_session()
    finally:
        await closed(one)


async def branch(turn: int, items: Any, **where: Any) -> None:
    """Make a branch of an Advanced session before the user's turn of that number, and go on there."""
    one = session("advanced", **where)
    try:
        await one.create_branch_from_turn(turn, f"other {turn}")
        await one.add_items(items)
    finally:
        await closed(one)


async def taken(items: Any) -> Any:
    """Of each item, why the SDK could not send it to a model of the chat API; null where it can."""
    why = []
    for item in items:
        try:
            Converter.items_to_messages([item])
            why.append(None)
        except Exception as error:
            why.append(f"{type(error).__name__}: {error}")
    return why


async def live(seconds: float, **where: Any) -> Any:
    """Add and read for so long, with a timeout of a second; how often, and every error."""
    one, errors, count = session(**where), [], 0
    if isinstance(one, SQLiteSession):
        await one.get_items()
        one._get_connection().execute("PRAGMA busy_timeout = 1000")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await one.add_items([{"role": "user", "content": f"live {count}"}])
            assert await one.get_items(5)
            count += 1
        except Exception as error:
            errors.append(str(error))
    await closed(one)
    return {"count": count, "errors": errors}


async def main() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        known = {"read": read, "add": add, "pop": pop, "clear": clear, "taken": taken}
        do = {**known, "branch": branch, "live": live}[asked.pop("do")]
        try:
            answer: Any = {"said": await do(**asked)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
