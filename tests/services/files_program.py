"""Run by a Python that has one framework: writes conversations into files by its own classes, and
says how it reads them back. A line of JSON asks, and one answers.

This file imports nothing of the tests': its Python has none of it.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

PNG = base64.b64decode("iVBORw0KGgo=")
TEXTS = ["Grüße 👋🏽 \u2028\x1b[31m", "a\r\nb\n", "", "x" * 100_000]
CALL = {"city": "Zürich"}


def langchain(folder: Path) -> Any:
    """`FileChatMessageHistory`, a file a session."""
    from langchain_community.chat_message_histories import FileChatMessageHistory
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    call = {"name": "f", "args": CALL, "id": "c1", "type": "tool_call"}
    parts: Any = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    talk = [SystemMessage("Be brief."), *map(HumanMessage, TEXTS), HumanMessage(parts)]
    calls = [AIMessage("", tool_calls=[call]), ToolMessage("21", tool_call_id="c1", name="f")]
    for name, ascii_ in (("one", True), ("two words.v2", False)):
        history = FileChatMessageHistory(
            str(folder / f"{name}.json"), encoding="utf-8", ensure_ascii=ascii_
        )
        history.add_messages([*talk, *calls])
    FileChatMessageHistory(str(folder / "empty.json"))
    names = {"human": "user", "ai": "assistant"}
    return {
        name: [
            (names.get(m.type, m.type), m.text if isinstance(m.text, str) else m.text())
            if not isinstance(m.content, list)
            else ("user", "a\nb")
            for m in FileChatMessageHistory(str(folder / f"{name}.json"), encoding="utf-8").messages
        ]
        for name in ("one", "two words.v2")
    }


def llamaindex(folder: Path) -> Any:
    """`SimpleChatStore` as JSON, and as a text that is dumped once more."""
    from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
    from llama_index.core.storage.chat_store import SimpleChatStore

    store = SimpleChatStore()
    call = ToolCallBlock(tool_call_id="c1", tool_name="f", tool_kwargs=CALL)
    for text in TEXTS:
        store.add_message("user:1/ü", ChatMessage(role="user", content=text))
    for said in (
        ChatMessage(role="user", blocks=[TextBlock(text="a"), ImageBlock(image=PNG)]),
        ChatMessage(role="assistant", blocks=[call]),
        ChatMessage(role="tool", content="21", additional_kwargs={"tool_call_id": "c1"}),
    ):
        store.add_message("tools", said)
    # persist() cannot write an image, and from_persist_path() reads both of these.
    (folder / "store.json").write_text(store.model_dump_json())
    (folder / "text").mkdir()
    (folder / "text" / "text.json").write_text(json.dumps(store.model_dump_json()))
    back = SimpleChatStore.from_persist_path(str(folder / "store.json"))
    return {
        key: [(m.role.value, m.content or "") for m in back.get_messages(key)]
        for key in back.get_keys()
    }


def agent_framework(folder: Path, **how: Any) -> Any:
    """`FileHistoryProvider`, in either form."""
    from agent_framework import Content, FileHistoryProvider, Message

    async def main() -> Any:
        provider = FileHistoryProvider(folder, **how)
        texts = [Message("user", [Content.from_text(text)]) for text in TEXTS]
        call = Content.from_function_call("c1", "f", arguments=CALL)
        result = Content.from_function_result("c1", result="21")
        image = Content.from_data(PNG, "image/png")
        await provider.save_messages("user:1/Ü", texts)
        await provider.save_messages("plain", [Message("assistant", [call])])
        await provider.save_messages("plain", [Message("tool", [result])])
        await provider.save_messages("plain", [Message("user", [Content.from_text("a"), image])])
        found = {}
        for name in ("user:1/Ü", "plain"):
            read = await provider.get_messages(name)
            found[name] = [
                (str(m.role), "".join(str(c.result) for c in m.contents if c.type == "function_result") or m.text)
                for m in read
            ]  # fmt: skip
        return found

    return asyncio.run(main())


def strands(folder: Path) -> Any:
    """`FileSessionManager`: messages past the tenth, one that is redacted, a second agent."""
    from strands.session.file_session_manager import FileSessionManager
    from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

    blocks: list[Any] = [{"text": text} for text in TEXTS]
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    call = {"toolUse": {"toolUseId": "c1", "name": "f", "input": CALL}}
    result = {"toolResult": {"toolUseId": "c1", "status": "success", "content": [{"text": "21"}]}}
    talk: list[Any] = [
        *({"role": "user", "content": [each]} for each in blocks),
        {"role": "assistant", "content": [{"text": "a"}, call]},
        {"role": "user", "content": [result]},
        *({"role": "user", "content": [{"text": f"{n}"}, image]} for n in range(6)),
        {"role": "user", "content": [{"text": "secret"}]},
    ]
    found = {}
    for session, agents in (("one", ["default"]), ("two", ["a", "b"])):
        keeper = FileSessionManager(session_id=session, storage_dir=str(folder))
        for agent in agents:
            about = SessionAgent(agent_id=agent, state={}, conversation_manager_state={})
            keeper.create_agent(session, about)
            for index, message in enumerate(talk):
                keeper.create_message(session, agent, SessionMessage.from_message(message, index))
            last = keeper.read_message(session, agent, len(talk) - 1)
            last.redact_message = {"role": "user", "content": [{"text": "[redacted]"}]}
            keeper.update_message(session, agent, last)
            said = [each.to_message() for each in keeper.list_messages(session, agent)]
            found[session if len(agents) == 1 else f"{session}/{agent}"] = [
                ("tool", "21") if "toolResult" in m["content"][0] else (m["role"], m["content"][0]["text"])
                for m in said
            ]  # fmt: skip
    assert Session(session_id="x", session_type=SessionType.AGENT)
    return found


def pydantic_ai(folder: Path) -> Any:
    """`ModelMessagesTypeAdapter`, of an agent that calls a tool."""
    from pydantic_ai import Agent, BinaryContent, ModelMessagesTypeAdapter
    from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart
    from pydantic_ai.models.function import FunctionModel

    def answer(messages: Any, _: Any) -> Any:
        results = [p for p in messages[-1].parts if p.part_kind == "tool-return"]
        if results or "call" not in str(messages[-1].parts[-1].content):
            return ModelResponse(parts=[TextPart("It is 21.")])
        return ModelResponse(
            parts=[ThinkingPart("hm"), TextPart("Look."), ToolCallPart("f", CALL, "c1")]
        )

    agent = Agent(FunctionModel(answer), system_prompt="Be brief.")

    @agent.tool_plain
    def f(city: str) -> dict[str, Any]:
        return {"city": city}

    first = agent.run_sync(TEXTS[0])
    second = agent.run_sync(
        ["call it", BinaryContent(PNG, media_type="image/png")],
        message_history=first.all_messages(),
    )
    (folder / "chat.json").write_bytes(ModelMessagesTypeAdapter.dump_json(second.all_messages()))
    back = ModelMessagesTypeAdapter.validate_json((folder / "chat.json").read_bytes())
    return {
        "chat": [_of_part(part) for message in back for part in message.parts if _of_part(part)]
    }


def _of_part(part: Any) -> Any:
    role = {
        "system-prompt": "system", "user-prompt": "user", "tool-return": "tool", "text": "assistant",
    }.get(part.part_kind)  # fmt: skip
    if role is None:
        return None
    if role == "tool":
        return role, json.dumps(part.content, ensure_ascii=False, separators=(",", ":"))
    text = part.content if isinstance(part.content, str) else part.content[0]
    return role, text


def haystack(folder: Path) -> Any:
    """`ChatMessage.to_dict`, in a list and in an object of lists."""
    from haystack.dataclasses import ChatMessage, ImageContent, ToolCall

    call = ToolCall(tool_name="f", arguments=CALL, id="c1")
    image = ImageContent(
        base64_image=base64.b64encode(PNG).decode(), mime_type="image/png", validation=False
    )
    talk = [
        ChatMessage.from_system("Be brief."),
        *(ChatMessage.from_user(text) for text in TEXTS if text),
        ChatMessage.from_user(content_parts=["a", image]),
        ChatMessage.from_assistant("Look.", tool_calls=[call], reasoning="hm"),
        ChatMessage.from_tool("21", origin=call),
        ChatMessage.from_user("named", name="bob"),
    ]
    said = [each.to_dict() for each in talk]
    (folder / "chat.json").write_text(json.dumps(said))
    back = [ChatMessage.from_dict(each) for each in json.loads((folder / "chat.json").read_text())]
    return {
        "chat": [
            (m.role.value, m.tool_call_result.result if m.tool_call_result else m.text or "")
            for m in back
        ]
    }


def main() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        do, folder = globals()[asked.pop("do")], Path(asked.pop("folder"))
        try:
            answer: Any = {"said": do(folder, **asked)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
