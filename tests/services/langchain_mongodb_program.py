"""Run by the Python that has langchain-mongodb: does what each line of its input asks, and answers
in one.

This file imports nothing of the tests': its Python has none of it.
"""

import json
import sys
from typing import Any

from langchain_core.messages import message_to_dict, messages_from_dict
from langchain_mongodb import MongoDBChatMessageHistory


def history(url: str, database: str, session: str, **more: Any) -> Any:
    """A session of the real thing."""
    return MongoDBChatMessageHistory(url, session, database, **more)


def read(**where: Any) -> Any:
    """The messages of a session, in LangChain's JSON, as it has read them."""
    found = history(**where)
    try:
        return [message_to_dict(message) for message in found.messages]
    finally:
        found.close()


def add(messages: Any, **where: Any) -> None:
    """Append messages, given in LangChain's JSON."""
    found = history(**where)
    try:
        found.add_messages(messages_from_dict(messages))
    finally:
        found.close()


for line in sys.stdin:
    asked = json.loads(line)
    do = {"read": read, "add": add}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
