"""The memory classes of the SynapseKit memory reference, over synmem's stores and strategies.

A program moves over by replacing `synapsekit.memory` with `synmem.memory`. Each name is loaded
when it is first used; each is also in the module that the reference shows (`.sqlite`, `.hybrid`).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synmem.memory.base import BaseMemory as BaseMemory
    from synmem.memory.buffer import BufferMemory as BufferMemory
    from synmem.memory.conversation import ConversationMemory as ConversationMemory
    from synmem.memory.dynamodb import DynamoDBMemory as DynamoDBMemory
    from synmem.memory.entity import EntityMemory as EntityMemory
    from synmem.memory.hybrid import HybridMemory as HybridMemory
    from synmem.memory.in_memory import InMemoryConversation as InMemoryConversation
    from synmem.memory.in_memory import WindowMemory as WindowMemory
    from synmem.memory.mongo import MongoMemory as MongoMemory
    from synmem.memory.postgres import PostgresMemory as PostgresMemory
    from synmem.memory.redis import RedisConversationMemory as RedisConversationMemory
    from synmem.memory.redis import RedisMemory as RedisMemory
    from synmem.memory.smart_context import SmartContextManager as SmartContextManager
    from synmem.memory.sqlite import SQLiteConversationMemory as SQLiteConversationMemory
    from synmem.memory.sqlite import SqliteMemory as SqliteMemory
    from synmem.memory.summary import SummaryMemory as SummaryMemory
    from synmem.memory.summary_buffer import SummaryBufferMemory as SummaryBufferMemory
    from synmem.memory.token_buffer import TokenBufferMemory as TokenBufferMemory
    from synmem.memory.vector import VectorMemory as VectorMemory

_MODULES = {
    "BaseMemory": "base",
    "InMemoryConversation": "in_memory",
    "WindowMemory": "in_memory",
    "SqliteMemory": "sqlite",
    "RedisMemory": "redis",
    "PostgresMemory": "postgres",
    "DynamoDBMemory": "dynamodb",
    "MongoMemory": "mongo",
    "SummaryMemory": "summary",
    "VectorMemory": "vector",
    "SmartContextManager": "smart_context",
    "ConversationMemory": "conversation",
    "HybridMemory": "hybrid",
    "SQLiteConversationMemory": "sqlite",
    "SummaryBufferMemory": "summary_buffer",
    "TokenBufferMemory": "token_buffer",
    "BufferMemory": "buffer",
    "EntityMemory": "entity",
    "RedisConversationMemory": "redis",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
