"""Run by the Python that has Agno: does what each line of its input asks, and answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.media import Image
from agno.models.base import Model
from agno.models.response import ModelResponse

PIXEL = b"\x89PNG\r\n\x1a\n"


@dataclass
class Scripted(Model):
    """Says what it was asked; where it has tools, it calls one first."""

    id: str = "scripted"

    def invoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        messages = kwargs.get("messages") or args[0]
        if kwargs.get("tools") and messages[-1].role != "tool":
            said = json.dumps({"city": "Zürich"}, ensure_ascii=False)
            call = {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": said},
            }
            return ModelResponse(role="assistant", content="", tool_calls=[call])
        return ModelResponse(role="assistant", content=f"answer to {messages[-1].content}")

    async def ainvoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return self.invoke(*args, **kwargs)

    def invoke_stream(self, *args: Any, **kwargs: Any) -> Iterator[ModelResponse]:
        yield self.invoke(*args, **kwargs)

    async def ainvoke_stream(self, *args: Any, **kwargs: Any) -> Any:
        yield self.invoke(*args, **kwargs)

    def _parse_provider_response(self, response: Any, **kwargs: Any) -> ModelResponse:
        return response

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        return response


def weather(city: str) -> str:
    """The weather in a city."""
    return json.dumps({"in": city, "sky": "☀️"}, ensure_ascii=False)


def opened(path: str) -> Any:
    """Of a file, or of a schema of a PostgreSQL database: `URL#SCHEMA`."""
    if "://" not in path:
        return SqliteDb(db_file=path)
    from agno.db.postgres import PostgresDb

    url, _, schema = path.partition("#")
    return PostgresDb(
        db_url=url.replace("postgresql://", "postgresql+psycopg://"), db_schema=schema
    )


def write(path: str) -> Any:
    """Some sessions; their ids."""
    plain = {"model": Scripted(), "db": opened(path), "telemetry": False}
    one = Agent(**plain, system_message="be brief", add_history_to_context=True)
    for asked in ("Hi 👋🏽 \u2028", "again", "and again"):
        one.run(asked, session_id="one/ #")
    Agent(**plain).run("What is it?", session_id="two", images=[Image(content=PIXEL)])
    Agent(**plain, tools=[weather]).run("The weather?", session_id="three")
    return ["one/ #", "two", "three"]


def read(path: str, conversation: str) -> Any:
    """The messages of a session as Agno has them."""
    session = opened(path).get_session(conversation, "agent")
    found = []
    seen = None
    for message in session.get_messages():
        if message.role == "system":
            if message.content == seen:
                continue
            seen = message.content
        found.append(
            {
                "id": message.id,
                "role": message.role,
                "text": message.content,
                "calls": [call["function"]["name"] for call in message.tool_calls or ()],
                "answers": message.tool_call_id,
                "images": len(message.images or ()),
                "at": message.created_at,
            }
        )
    return found


for line in sys.stdin:
    asked = json.loads(line)
    do = {"read": read, "write": write}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
