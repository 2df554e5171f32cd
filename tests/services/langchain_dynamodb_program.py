"""Run by the Python that has LangChain and boto3: does what each line of its input asks, and answers
in one.

This file imports nothing of the tests': its Python has none of it.
"""

import json
import sys
import time
from decimal import Decimal
from typing import Any

import boto3
from langchain_community.chat_message_histories import DynamoDBChatMessageHistory
from langchain_core.messages import message_to_dict, messages_from_dict


def history(url: str, session: str, **how: Any) -> Any:
    """A session of the real thing."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return DynamoDBChatMessageHistory(
        session_id=session, endpoint_url=url,
        boto3_session=boto3.Session(region_name="us-east-1", **keys), **how,
    )  # fmt: skip


def read(**where: Any) -> Any:
    """The messages of a session, in LangChain's JSON."""
    found = [message_to_dict(message) for message in history(**where).messages]
    return json.loads(json.dumps(found, default=_number))


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def is_read(messages: Any, **where: Any) -> bool:
    """Whether the session says what these messages do, as LangChain compares them."""
    return bool(history(**where).messages == messages_from_dict(messages))


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
    do = {"read": read, "is_read": is_read, "add": add, "live": live}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
