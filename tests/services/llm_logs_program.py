"""Run by the Python that has `llm`: does what each line of its input asks, and answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import importlib.util
import json
import os
import sqlite3
import sys
import tempfile
import time
from typing import Any

os.environ["LLM_USER_PATH"] = tempfile.mkdtemp()

import llm
import sqlite_utils
from llm.cli import load_conversation
from llm.migrations import migrate
from llm.plugins import pm

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63f8cfc0f01f00050501ff5a8d2d0a0000000049454e44ae426082"
)


class Scripted(llm.Model):
    """Says what it was asked; where it has tools, it calls them first."""

    model_id = "scripted"
    supports_tools = True
    attachment_types = frozenset({"image/png"})

    def execute(self, prompt: Any, stream: Any, response: Any, conversation: Any) -> Any:
        if prompt.tools and not prompt.tool_results:
            for n, city in enumerate(("Zürich", "Bern")):
                call = llm.ToolCall(name="weather", arguments={"city": city}, tool_call_id=f"c{n}")
                response.add_tool_call(call)
            yield ""
            return
        yield f"answer to {prompt.prompt}"


class Plugin:
    """What tells llm of that model."""

    @llm.hookimpl
    def register_models(self, register: Any) -> None:
        register(Scripted())


pm.register(Plugin())


def weather(city: str) -> str:
    """The weather in a city."""
    return json.dumps({"in": city, "sky": "☀️"}, ensure_ascii=False)


def opened(path: str) -> Any:
    db = sqlite_utils.Database(path)
    migrate(db)
    return db


def write(path: str) -> Any:
    """Some conversations; their ids."""
    db, model, ids = opened(path), llm.get_model("scripted"), []

    def talk() -> Any:
        conversation = model.conversation()
        ids.append(conversation.id)
        return conversation

    one = talk()
    for asked, how in (
        ("Hi 👋🏽 \u2028", {"system": "be brief"}),
        ("again", {"system": "be brief"}),
        ("Summarise", {"fragments": ["ONE\nline", "TWO"], "system_fragments": [" of the system "]}),
    ):
        response = one.prompt(asked, **how)
        response.text()
        response.log_to_db(db)
    two = talk()
    picture = llm.Attachment(type="image/png", content=PIXEL)
    response = two.prompt("What is it?", attachments=[picture])
    response.text()
    response.log_to_db(db)
    three = talk()
    chain = three.chain("The weather?", tools=[weather])
    chain.text()
    chain.log_to_db(db)
    return ids


def go_on(path: str, conversation: str) -> None:
    """Ask once more."""
    db = opened(path)
    response = load_conversation(conversation, database=path).prompt("And then?")
    response.text()
    response.log_to_db(db)


def live(path: str, seconds: float) -> Any:
    """Ask and log for so long, waiting a second at most; how often, and every error."""
    db = sqlite_utils.Database(sqlite3.connect(path, timeout=1))
    conversation = llm.get_model("scripted").conversation()
    errors, count, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        response = conversation.prompt(f"live {count}")
        response.text()
        try:
            response.log_to_db(db)
            count += 1
        except Exception as error:
            errors.append(str(error))
    return {"count": count, "errors": errors}


def read(path: str, conversation: str) -> Any:
    """The messages as llm itself has them."""
    if importlib.util.find_spec("llm.logs"):
        return _thread(opened(path), conversation)
    found: list[Any] = []
    system = None
    for response in load_conversation(conversation, database=path).responses:
        prompt = response.prompt
        if prompt.system and prompt.system != system:
            system = prompt.system
            found.append(said("system", system))
        found += [said("tool", result.output) for result in prompt.tool_results]
        if prompt.prompt or response.attachments:
            found.append(said("user", prompt.prompt, images=len(response.attachments)))
        calls = [[call.name, call.arguments] for call in response.tool_calls()]
        found.append(said("assistant", response.text(), calls))
    return found


def _thread(db: Any, conversation: str) -> Any:
    from llm.logs import LogStore
    from llm.parts import AttachmentPart, TextPart, ToolCallPart, ToolResultPart

    found: list[Any] = []
    for message in LogStore(db).thread_messages(conversation):
        parts = message.parts
        results = [part.output for part in parts if isinstance(part, ToolResultPart)]
        if results:
            found += [said("tool", result) for result in results]
            continue
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        calls = [[part.name, part.arguments] for part in parts if isinstance(part, ToolCallPart)]
        images = sum(isinstance(part, AttachmentPart) for part in parts)
        found.append(said(message.role, "\n".join(texts), calls, images))
    return found


def said(role: str, text: str, calls: Any = (), images: int = 0) -> Any:
    return {"role": role, "text": text, "calls": [*calls], "images": images}


for line in sys.stdin:
    asked = json.loads(line)
    do = {"read": read, "write": write, "go_on": go_on, "live": live}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
