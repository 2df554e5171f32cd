"""Run by the Python that has LlamaIndex: does what each line of its input asks, and answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import asyncio
import importlib.metadata
import json
import sys
import time
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore


def store(kind: str, **how: Any) -> Any:
    """A chat store of that kind."""
    if kind == "sqlalchemy":
        return SQLAlchemyChatStore(**how)
    if kind == "sqlite":
        from llama_index.storage.chat_store.sqlite import SQLiteChatStore

        return SQLiteChatStore.from_uri(**how)
    if kind == "dynamodb":
        from llama_index.storage.chat_store.dynamodb.base import DynamoDBChatStore

        return DynamoDBChatStore(**how)
    if kind == "redis":
        from llama_index.storage.chat_store.redis import RedisChatStore

        return RedisChatStore(**how)
    if kind == "mongo":
        # It asks for the version of a package that nothing of it needs.
        real = importlib.metadata.version
        importlib.metadata.version = lambda name: "0" if name == "llama-index" else real(name)
        from llama_index.storage.chat_store.mongo import MongoChatStore

        return MongoChatStore(**how)
    from llama_index.storage.chat_store.postgres import PostgresChatStore

    return PostgresChatStore.from_params(**how)


def call(method: str, given: Any, **where: Any) -> Any:
    """Call a method of a store, and say what it gives back, as JSON; of coroutines, what they do.
    In what is given, `{"messages": [...]}` and `{"message": {...}}` are messages."""
    done = getattr(store(**where), method)(
        **{key: _given(key, each) for key, each in given.items()}
    )
    return _said(asyncio.run(done) if asyncio.iscoroutine(done) else done)


def _given(key: str, value: Any) -> Any:
    if key == "messages":
        return [ChatMessage.model_validate(each) for each in value]
    return ChatMessage.model_validate(value) if key == "message" else value


def _said(value: Any) -> Any:
    if isinstance(value, list):
        return [_said(each) for each in value]
    return _dumped(value) if isinstance(value, ChatMessage) else value


def _dumped(message: ChatMessage) -> Any:
    """Its JSON, in which a number that JSON has not is what Python writes for it."""
    return json.loads(json.dumps(message.model_dump(), default=_text))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def parse(messages: Any) -> Any:
    """Of each message in LlamaIndex's JSON, what its reader makes of it; null where it raises."""
    found = []
    for each in messages:
        try:
            found.append(_dumped(ChatMessage.model_validate(each)))
        except Exception:
            found.append(None)
    return found


def live(seconds: float, key: str, **where: Any) -> Any:
    """Add and read for so long; how often, and every error."""
    return asyncio.run(_live(seconds, key, store(**where)))


async def _done(said: Any) -> Any:
    """What a method gives back; SQLAlchemy's are coroutines."""
    return await said if asyncio.iscoroutine(said) else said


async def _live(seconds: float, key: str, session: Any) -> Any:
    errors, count = [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await _done(session.add_message(key, ChatMessage(content=f"live {count}")))
            assert await _done(session.get_messages(key))
            count += 1
        except Exception as error:
            errors.append(str(error))
    return {"count": count, "errors": errors}


for line in sys.stdin:
    asked = json.loads(line)
    do = {"call": call, "parse": parse, "live": live}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer, default=_text), flush=True)
