"""Run by the Python that has Open WebUI: does what each line of its input asks, and answers in one.

The database is `webui.db` in the folder that DATA_DIR names. Its migrations and its own models make
all that is in it, called as its server calls them. This file imports nothing of the tests': its
Python has none of it.
"""

import asyncio
import contextlib
import json
import os
import sys
from typing import Any

# As its command sets it; and its slim edition, which does without the heavy packages.
os.environ["FROM_INIT_PY"] = os.environ["USE_SLIM_DOCKER"] = "true"
os.environ["WEBUI_SECRET_KEY"] = "s"
os.environ["STATIC_DIR"] = f"{os.environ['DATA_DIR']}/static"

with contextlib.redirect_stdout(sys.stderr):  # what its migrations print is no answer
    import open_webui.config  # noqa: F401  (this runs them)
    from open_webui.internal.db import async_engine
    from open_webui.models.chats import ChatForm, ChatImportForm, Chats
    from open_webui.models.users import Users
    from open_webui.utils.misc import (
        convert_output_to_messages,
        get_content_from_message,
        get_message_list,
    )

PIXEL = {"type": "image", "url": "data:image/png;base64,iVBORw0KGgo="}
USER: Any = None
"""Whose chats they are."""


async def begin(id_: str, chat: Any, **form: Any) -> None:
    """A chat as its page begins it."""
    global USER
    USER = USER or await Users.insert_new_user("me", "Me", "me@example.com", role="admin")
    assert await Chats.insert_new_chat(id_, USER.id, ChatForm(chat=chat, **form))


async def turn(id_: str, asked: Any, *answers: str) -> None:
    """Something is asked, of each of these models; the same once more begins other branches."""
    entries = [{"message_id": each, "model_id": f"model of {each}"} for each in answers]
    await Chats.insert_chat_turn(id_, USER, asked, entries)


async def say(id_: str, message: str, **said: Any) -> None:
    """Save something of a message."""
    assert await Chats.upsert_message_to_chat_by_id_and_message_id(id_, message, said)


def text(said: str, n: int = 0) -> Any:
    """What an answer's text is in its output."""
    content = [{"type": "output_text", "text": said}]
    return {"type": "message", "id": f"msg_{n}", "status": "completed", "role": "assistant", "content": content}  # fmt: skip


async def streamed(id_: str, message: str, *output: Any) -> None:
    """An answer comes to its end."""
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    await say(id_, message, done=True, output=[*output], usage=usage)


async def write() -> None:
    """Some chats, each with what only it has."""
    await _plain()
    await _branches()
    await _tools()
    await _files()
    await begin("untitled", {"models": []})
    await turn("untitled", {"id": "u", "parentId": None, "content": ""}, "a")
    await say("untitled", "a", error={"content": "no such model"})
    await begin("gone", {"title": "gone"})
    await turn("gone", {"id": "u", "parentId": None, "content": "x"}, "a")
    assert await Chats.delete_chat_by_id_and_user_id("gone", USER.id)
    await _older()


async def _plain() -> None:
    params = {"system": "Be brief.", "temperature": 0.5}
    await begin(
        "plain", {"title": "New Chat", "models": ["m"], "params": params}, variables={"k": 1}
    )
    await turn("plain", {"id": "u1", "parentId": None, "content": "Hi"}, "a1")
    await streamed("plain", "a1", text("Grüße\r\n\n"))
    await Chats.update_chat_title_by_id("plain", "Grüße ✓")
    await Chats.update_chat_tags_by_id("plain", ["Small Talk"], USER)
    await turn("plain", {"id": "u2", "parentId": "a1", "content": "again"}, "a2")
    await streamed("plain", "a2", text("one"), text("two", 1))
    await say("plain", "u1", content="Hello 👋🏽 \u2028 \x00\\0")
    await Chats.toggle_chat_pinned_by_id("plain")


async def _branches() -> None:
    """A question to two models, an answer that is made again, and a question that is changed."""
    await begin("branches", {"title": "branches"})
    first = {"id": "u1", "parentId": None, "content": "Pick a colour"}
    await turn("branches", first, "red", "blue")
    await streamed("branches", "red", text("Red"))
    await streamed("branches", "blue", text("Blue"))
    await turn("branches", first, "green")
    await streamed("branches", "green", text("Green"))
    await turn("branches", {"id": "u2", "parentId": "blue", "content": "Why?"}, "why")
    await streamed("branches", "why", text("The sky."))
    await turn("branches", {"id": "u3", "parentId": None, "content": "Pick a number"}, "seven")
    await streamed("branches", "seven", text("7"))
    await turn("branches", {"id": "u4", "parentId": "seven", "content": "Wrong"}, "eight")
    await Chats.delete_message_from_chat_by_id_and_message_id("branches", "u4")
    # A page that knows of no more than this comes back to an answer in the middle.
    chat = await Chats.get_chat_by_id("branches")
    known = {key: chat.chat["history"]["messages"][key] for key in ("u1", "red", "blue")}
    history = {"messages": known, "currentId": "blue"}
    assert await Chats.update_chat_by_id("branches", {"history": history})
    await Chats.toggle_chat_archive_by_id("branches")


async def _tools() -> None:
    await begin("tools", {"title": "tools"})
    await turn("tools", {"id": "u", "parentId": None, "content": "The weather?"}, "a")
    calls = [
        {"type": "function_call", "id": f"fc{n}", "call_id": f"c{n}", "name": "weather",
         "arguments": json.dumps({"city": city}, ensure_ascii=False), "status": "completed"}
        for n, city in enumerate(("Zürich", "Bern"))
    ]  # fmt: skip
    results = [
        {"type": "function_call_output", "id": f"fco{n}", "call_id": f"c{n}", "status": "completed",
         "output": [{"type": "input_text", "text": f"{20 + n} °C"}]}
        for n in range(2)
    ]  # fmt: skip
    thought = {"type": "reasoning", "id": "r", "status": "completed",
               "content": [{"type": "output_text", "text": "hm"}]}  # fmt: skip
    await Chats.add_message_status_to_chat_by_id_and_message_id("tools", "a", {"done": True})
    output = [thought, text("Let me see."), *calls, *results, text("Warm.", 1)]
    await streamed("tools", "a", *output)
    await turn("tools", {"id": "u2", "parentId": "a", "content": "Only call"}, "a2")
    await streamed("tools", "a2", calls[0], results[0])


async def _files() -> None:
    await begin("files", {"title": "files", "files": [{"type": "collection", "id": "k"}]})
    asked = {"id": "u", "parentId": None, "content": "What is it?", "files": [PIXEL]}
    await turn("files", asked, "a")
    await say("files", "a", sources=[{"source": {"name": "a.pdf"}, "document": ["page"]}])
    await Chats.add_message_files_by_id_and_message_id(
        "files", "a", [{"type": "file", "name": "a.pdf", "url": "id"}]
    )
    await streamed("files", "a", text("A pixel."))


async def _older() -> None:
    """What another one exported, and what is from before there were branches."""
    nodes = [("1", None, "user", "old"), ("2", "1", "assistant", "older")]
    messages = [
        {"id": id_, "parentId": parent, "role": role, "content": content, "timestamp": 1700000000}
        for id_, parent, role, content in nodes
    ]
    history = {"messages": {each["id"]: each for each in messages}, "currentId": "2"}
    await Chats.import_chats(
        USER.id,
        [
            ChatImportForm(chat={"title": title, **chat}, created_at=1700000000, archived=True)
            for title, chat in (("tree", {"history": history}), ("list", {"messages": messages}))
        ],
    )


async def read() -> Any:
    """Every chat as it is shown and sent on, by its id."""
    return {chat.id: await _shown(chat.id) for chat in await Chats.get_chats()}


async def _shown(id_: str) -> Any:
    chat = await Chats.get_chat_by_id(id_)  # it mends which message is the current one
    history = chat.chat.get("history") or {}
    current = history.get("currentId") or chat.current_message_id
    nodes = get_message_list(await Chats.get_messages_map_by_chat_id(id_), current)
    return {
        **chat.model_dump(
            include={"title", "archived", "pinned", "meta", "variables", "folder_id"}
        ),
        "times": [chat.created_at, chat.updated_at],
        "models": chat.chat.get("models"),
        "messages": [_told(node) for node in nodes],
    }


def _told(node: Any) -> Any:
    """A message: what it has, and the messages that a model is sent of it."""
    about = ("id", "model", "done", "timestamp", "usage", "files", "sources", "error", "statusHistory")  # fmt: skip
    said = convert_output_to_messages(node.get("output"))
    if not said:
        said = [{"role": node["role"], "content": get_content_from_message(node) or ""}]
    for each in said:
        calls = [(call["id"], call["function"]) for call in each.pop("tool_calls", ())]
        each["calls"] = [[id_, how["name"], json.loads(how["arguments"])] for id_, how in calls]
    return {**{key: node[key] for key in about if node.get(key) is not None}, "said": said}


async def live(id_: str, turns: int) -> int:
    """Ask so many times, and save each answer word by word; how often something was saved."""
    await begin(id_, {"title": id_})
    parent, saved = None, 0
    for n in range(turns):
        await turn(id_, {"id": f"u{n}", "parentId": parent, "content": f"ask {n}"}, f"a{n}")
        parent = f"a{n}"
        for words in range(1, 5):
            await say(id_, parent, output=[text(" ".join(f"w{n}" for _ in range(words)))])
            saved += 1
        await say(id_, parent, done=True)
    return saved


with asyncio.Runner() as loop:
    for line in sys.stdin:
        asked = json.loads(line)
        do: Any = {"live": live, "read": read, "write": write}[asked.pop("do")]
        try:
            answer: Any = {"said": loop.run(do(**asked))}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    loop.run(async_engine.dispose())  # its threads would go on
