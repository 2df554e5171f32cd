"""Run by the Python that has Google's ADK: does what each line of its input asks, and answers.

This file imports nothing of the tests': its Python has none of it.
"""

import asyncio
import json
import sys
from typing import Any

from google.adk.events import Event
from google.adk.sessions import DatabaseSessionService
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

SESSIONS = (("app", "me", "a"), ("app", "you", "b"), ("other", "me", "ü/ #"))


def opened(path: str, service: str) -> Any:
    """Of a file, or of a schema of a PostgreSQL database: `URL#SCHEMA`."""
    if service == "sqlite":
        return SqliteSessionService(path)
    if service == "database":
        return DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
    url, _, schema = path.partition("#")
    url = url.replace("postgresql://", "postgresql+asyncpg://")
    return DatabaseSessionService(url, connect_args={"server_settings": {"search_path": schema}})


async def write(path: str, service: str) -> None:
    """Some sessions."""
    sessions = opened(path, service)
    for app, user, id_ in SESSIONS:
        session = await sessions.create_session(app_name=app, user_id=user, session_id=id_)
        for event in _events():
            await sessions.append_event(session, event)


def _events() -> Any:
    call = types.FunctionCall(id="c1", name="weather", args={"city": "Zürich"})
    answer = types.FunctionResponse(id="c1", name="weather", response={"sky": "☀️"})
    for author, role, part in (
        ("user", "user", types.Part(text="Hi 👋🏽 \u2028")),
        ("agent", "model", types.Part(function_call=call)),
        ("agent", "user", types.Part(function_response=answer)),
        ("agent", "model", types.Part(text="It is sunny.")),
    ):
        content = types.Content(role=role, parts=[part])
        yield Event(author=author, invocation_id="i", content=content)
    yield Event(author="agent", invocation_id="i")


async def read(path: str, service: str) -> Any:
    """Every session's events that say something, as ADK has them."""
    sessions = opened(path, service)
    found = {}
    for app, user, id_ in SESSIONS:
        session = await sessions.get_session(app_name=app, user_id=user, session_id=id_)
        found[id_] = [
            {
                "author": event.author,
                "text": event.content.parts[0].text or "",
                "calls": [[call.name, call.args] for call in event.get_function_calls()],
                "at": round(event.timestamp, 6),
            }
            for event in session.events
            if event.content
        ]
    return found


for line in sys.stdin:
    asked = json.loads(line)
    do = {"read": read, "write": write}[asked.pop("do")]
    try:
        answer: Any = {"said": asyncio.run(do(**asked))}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
