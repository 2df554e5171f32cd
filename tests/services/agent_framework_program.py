"""Run by the Python that has Agent Framework: does what each line of its input asks, and answers in
one.

This file imports nothing of the tests': its Python has none of it.
"""

import asyncio
import json
import sys
from typing import Any

from agent_framework import Message
from agent_framework_redis import RedisHistoryProvider


async def add(url: str, session: str, messages: Any, **how: Any) -> None:
    """Append messages, given in Agent Framework's JSON."""
    provider = RedisHistoryProvider(redis_url=url, **how)
    try:
        await provider.save_messages(session, [Message.from_dict(each) for each in messages])
    finally:
        await provider.aclose()


async def read(url: str, session: str, **how: Any) -> Any:
    """The messages of a session, as Agent Framework serializes what it has read."""
    provider = RedisHistoryProvider(redis_url=url, **how)
    try:
        return [message.to_dict() for message in await provider.get_messages(session)]
    finally:
        await provider.aclose()


async def main() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        do = {"add": add, "read": read}[asked.pop("do")]
        try:
            answer: Any = {"said": await do(**asked)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
