"""Run by the Python that has LangChain and Redis' driver: does what each line of its input asks, and
answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import json
import sys
import time
from typing import Any

from langchain_community.chat_message_histories import RedisChatMessageHistory
from langchain_core.load import dumpd
from langchain_core.messages import messages_from_dict


def history(url: str, session: str, prefix: str, ttl: int | None = None) -> Any:
    """A session of the real thing."""
    return RedisChatMessageHistory(session, url=url, key_prefix=prefix, ttl=ttl)


def read(**where: Any) -> Any:
    """The messages of a session, as LangChain serializes what it has read."""
    return [dumpd(message) for message in history(**where).messages]


def add(messages: Any, **where: Any) -> None:
    """Append messages, given in LangChain's JSON."""
    history(**where).add_messages(messages_from_dict(messages))


def live(seconds: float, **where: Any) -> Any:
    """Add and read for so long; how often, and every error."""
    session, errors, count = history(**where), [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            session.add_user_message(f"live {count}")
            assert session.messages
            count += 1
        except Exception as error:
            errors.append(str(error))
    return {"count": count, "errors": errors}


for line in sys.stdin:
    asked = json.loads(line)
    do = {"read": read, "add": add, "live": live}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
