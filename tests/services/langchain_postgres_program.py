"""Run by the Python that has LangChain and its histories on PostgreSQL: does what each line of its
input asks, and answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import json
import sys
import time
from typing import Any

import psycopg
from langchain_community.chat_message_histories import (
    PostgresChatMessageHistory,
    SQLChatMessageHistory,
)
from langchain_core.load import dumpd
from langchain_core.messages import message_to_dict, messages_from_dict
from langchain_postgres import PostgresChatMessageHistory as WithUUIDs


def history(kind: str, url: str, session: str, table: str) -> Any:
    """A session of the real thing."""
    if kind == "community":
        return PostgresChatMessageHistory(session, url, table)
    if kind == "sqlalchemy":
        url = url.replace("postgresql://", "postgresql+psycopg://")
        return SQLChatMessageHistory(session, connection=url, table_name=table)
    connection = psycopg.connect(url)
    WithUUIDs.create_tables(connection, table)
    return WithUUIDs(table, session, sync_connection=connection)


def read(**where: Any) -> Any:
    """The messages of a session, as LangChain serializes what it has read."""
    return [message_to_dict(message) for message in history(**where).messages]


def dumped(messages: Any) -> Any:
    """What LangChain makes of messages in its JSON, as it serializes what it has read."""
    return [dumpd(message) for message in messages_from_dict(messages)]


def add(messages: Any, **where: Any) -> None:
    """Append messages, given in LangChain's JSON."""
    one = history(**where)
    one.add_messages(messages_from_dict(messages))


def live(seconds: float, **where: Any) -> Any:
    """Add and read for so long; how often, and every error."""
    session, errors, count = history(**where), [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            began = time.monotonic()
            session.add_user_message(f"live {count}")
            assert session.messages
            assert time.monotonic() - began < 1, "it waited for over a second"
            count += 1
        except Exception as error:
            errors.append(str(error))
    return {"count": count, "errors": errors}


for line in sys.stdin:
    asked = json.loads(line)
    do = {"read": read, "add": add, "dumped": dumped, "live": live}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
