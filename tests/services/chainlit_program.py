"""Run by the Python that has Chainlit: does what each line of its input asks, and answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import asyncio
import json
import sys
from typing import Any

from chainlit.context import init_http_context
from chainlit.data.chainlit_data_layer import ChainlitDataLayer
from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
from chainlit.types import Feedback


def layer(kind: str, url: str) -> Any:
    """A data layer of the real thing."""
    return SQLAlchemyDataLayer(url) if kind == "sqlalchemy" else ChainlitDataLayer(url)


async def write(kind: str, url: str, thread: str, name: str, steps: Any, rated: Any) -> None:
    """A thread with these steps, and a rating of one of them."""
    init_http_context()
    there = layer(kind, url)
    await there.update_thread(thread, name=name, metadata={"chat_profile": "x"})
    for step in steps:
        await there.create_step({"threadId": thread, **step})
    if rated is not None:
        await there.upsert_feedback(Feedback(forId=rated, value=1, comment="good"))
    await there.close()


async def read(kind: str, url: str, thread: str) -> Any:
    """The steps of a thread, as Chainlit itself reads them."""
    init_http_context()
    there = layer(kind, url)
    found = await there.get_thread(thread)
    await there.close()
    return [[step["id"], step["type"], step["output"], step["input"]] for step in found["steps"]]


for line in sys.stdin:
    asked = json.loads(line)
    do = {"write": write, "read": read}[asked.pop("do")]
    try:
        answer: Any = {"said": asyncio.run(do(**asked))}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
