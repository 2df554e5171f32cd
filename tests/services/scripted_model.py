"""A model on loopback that says what a test has written down, over real HTTP, in the protocols that
programs speak: OpenAI's chat completions and Responses, Anthropic's messages, Gemini's contents; in
one piece or streamed.

A script says what is answered to a text of the user: one answer after each round of tools. So it
does not matter in which order, or how often, a program asks.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from tests.services.json_server import JSONHandler, serving

USAGE = (10, 5)
"""So many tokens each request and each answer is said to have."""


class Call(NamedTuple):
    """A tool that the model wants called."""

    name: str
    arguments: Mapping[str, Any]
    id: str = "call_1"


class Answer(NamedTuple):
    """What the model says at once, in this order."""

    text: str = ""
    thinking: str = ""
    calls: Sequence[Call] = ()


class Asked(NamedTuple):
    """What a request asks, whatever its protocol."""

    said: str
    """The last text of the user that is in the script, or all of the last one."""
    rounds: int
    """How many answers of the model with calls, each with its results, stand behind that."""
    tools: frozenset[str]
    """The names of the tools that it offers."""


Turn = tuple[str, str]
"""The role of what was said, `user`, `assistant`, `call` or `result`, and its text."""


@dataclass
class ScriptedModel:
    """The server. `script`: a piece of what the user says -> the answers, in their order; `side`
    answers what is not in it, and where `tools_only` each request that offers no tools (a title,
    say)."""

    script: Mapping[str, Sequence[Answer]]
    side: Answer
    tools_only: bool = False
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """The path and the body of every request."""
    port: int = 0

    @property
    def root(self) -> str:
        """Its address; a base URL for Anthropic's clients and Gemini's."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"{self.root}/v1"

    def answer(self, asked: Asked) -> Answer:
        """What is answered to a request."""
        if self.tools_only and not asked.tools:
            return self.side
        for piece, answers in self.script.items():
            if piece in asked.said:
                return answers[min(asked.rounds, len(answers) - 1)]
        return self.side

    def understood(self, turns: Sequence[Turn], tools: Iterator[Any]) -> Asked:
        """A request as its turns have it: what the user said, and what was called since."""
        texts = [(at, text) for at, (role, text) in enumerate(turns) if role == "user"]
        known = [(at, text) for at, text in texts if any(piece in text for piece in self.script)]
        at, said = (known or texts or [(0, "")])[-1]
        since = [role for role, _ in itertools.islice(turns, at, None)]
        rounds = sum(pair == ("call", "result") for pair in itertools.pairwise(since))
        return Asked(said, rounds, frozenset(name for name in tools if isinstance(name, str)))


@contextmanager
def scripted_model(
    script: Mapping[str, Sequence[Answer]], *, tools_only: bool = False, side: str = "Short title"
) -> Iterator[ScriptedModel]:
    """A model that runs until the end of the block."""
    model = ScriptedModel(script, Answer(side), tools_only)
    with serving(_handler(model)) as model.port:
        yield model


def _handler(model: ScriptedModel) -> type[BaseHTTPRequestHandler]:
    class Handler(JSONHandler):
        def do_GET(self) -> None:
            names = {"id": "mock-1", "object": "model", "name": "models/mock-1"}
            self.send(200, {"object": "list", "data": [names], "models": [names]})

        def do_POST(self) -> None:
            body = self.body()
            model.asked.append((self.path, body))
            path, _, query = self.path.partition("?")
            if path.endswith(("/count_tokens", ":countTokens")):
                self.send(200, {"input_tokens": USAGE[0], "totalTokens": USAGE[0]})
            elif path.endswith("/chat/completions"):
                self._say(_chat(body, _answer(model, _turns_of_chat(body), body)), "data")
            elif path.endswith("/responses"):
                self._say(_responses(body, _answer(model, _turns_of_items(body), body)), "event")
            elif path.endswith("/messages"):
                self._say(_messages(body, _answer(model, _turns_of_blocks(body), body)), "event")
            elif match := re.search(r":(generateContent|streamGenerateContent)$", path):
                found = _contents(_answer(model, _turns_of_contents(body), body))
                if match[1] == "generateContent":
                    self.send(200, found)
                else:
                    self._say([found] if "alt=sse" in query else json.dumps([found]), "data")
            else:
                self.send(404, {"error": {"message": f"no such path: {self.path}"}})

        def _say(self, said: Any, kind: str) -> None:
            """One answer, or the events of one, as a stream of them is written."""
            if not isinstance(said, list):
                self.send(200, said)
                return
            lines = []
            for each in said:
                name = f"event: {each['type']}\n" if kind == "event" else ""
                data = each if isinstance(each, str) else json.dumps(each)
                lines.append(f"{name}data: {data}\n\n")
            self.send(200, "".join(lines), {"Content-Type": "text/event-stream"})

    return Handler


def _answer(model: ScriptedModel, turns: Sequence[Turn], body: dict[str, Any]) -> Answer:
    tools = [tool for tool in body.get("tools") or () if isinstance(tool, dict)]
    functions = [each for tool in tools for each in tool.get("functionDeclarations", (tool,))]
    names = (each.get("name") or each.get("function", {}).get("name") for each in functions)
    return model.answer(model.understood(turns, names))


def _text(content: Any, *keys: str) -> str:
    """The text of a content, whether it is one or a list of parts."""
    if isinstance(content, str):
        return content
    parts = [part for part in content or () if isinstance(part, dict)]
    return "\n".join(
        part[key] for part in parts for key in keys or ("text",) if isinstance(part.get(key), str)
    )


# --- OpenAI's chat completions --------------------------------------------------------------


def _turns_of_chat(body: dict[str, Any]) -> list[Turn]:
    turns = []
    for message in body["messages"]:
        role = message["role"]
        role = "call" if message.get("tool_calls") else "result" if role == "tool" else role
        turns.append((role, _text(message.get("content"))))
    return _once(turns)


def _once(turns: list[Turn]) -> list[Turn]:
    """Several results of one answer are one turn, and several calls."""
    return [
        turn
        for at, turn in enumerate(turns)
        if at == 0 or turn[0] not in ("call", "result") or turn[0] != turns[at - 1][0]
    ]


def _chat(body: dict[str, Any], answer: Answer) -> Any:
    calls = [
        {
            "index": n,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for n, call in enumerate(answer.calls)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if calls:
        message["tool_calls"] = calls
    reason = "tool_calls" if calls else "stop"
    usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": sum(USAGE)}
    head = {"id": "chatcmpl-1", "created": 1790000000, "model": body.get("model", "mock-1")}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [
        {key: message[key]}
        for key in ("reasoning_content", "content", "tool_calls")
        if message.get(key)
    ]
    chunks = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunks.append({"index": 0, "delta": {}, "finish_reason": reason})
    head |= {"object": "chat.completion.chunk"}
    return [
        *({**head, "choices": [chunk]} for chunk in chunks),
        {**head, "choices": [], "usage": usage},
        "[DONE]",
    ]


# --- OpenAI's Responses ---------------------------------------------------------------------


def _turns_of_items(body: dict[str, Any]) -> list[Turn]:
    said = body["input"]
    items = [{"role": "user", "content": said}] if isinstance(said, str) else said
    turns = []
    for item in items:
        kind = str(item.get("type", "message"))
        if kind == "message":
            turns.append((item["role"], _text(item.get("content"))))
        elif kind.endswith("_call"):
            turns.append(("call", ""))
        elif kind.endswith("_call_output"):
            turns.append(("result", ""))
    return _once(turns)


def _responses(body: dict[str, Any], answer: Answer) -> Any:
    output: list[dict[str, Any]] = []
    if answer.thinking:
        summary = [{"type": "summary_text", "text": answer.thinking}]
        output.append({"type": "reasoning", "id": "rs_1", "summary": summary})
    if answer.text or not answer.calls:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        output.append(
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    output += [
        {
            "type": "function_call",
            "id": f"fc_{n}",
            "call_id": call.id,
            "name": call.name,
            "arguments": json.dumps(call.arguments),
            "status": "completed",
        }
        for n, call in enumerate(answer.calls)
    ]
    response: dict[str, Any] = {
        "id": "resp_1", "object": "response", "created_at": 1790000000, "status": "completed", "error": None,
        "model": body.get("model", "mock-1"), "output": output, "parallel_tool_calls": True, "tools": [],
        "tool_choice": "auto", "incomplete_details": None, "instructions": None, "metadata": {}, "temperature": 1, "top_p": 1,
        "usage": {
            "input_tokens": USAGE[0], "output_tokens": USAGE[1], "total_tokens": sum(USAGE),
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip
    if not body.get("stream"):
        return response
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(output):
        events += [
            {"output_index": index, "item_id": item["id"], **event} for event in _of_item(item)
        ]
    events.append({"type": "response.completed", "response": response})
    return [{**event, "sequence_number": n} for n, event in enumerate(events)]


def _of_item(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of an item that comes to be."""
    empty: dict[str, Any] = {"content": [], "summary": [], "arguments": "", "status": "in_progress"}
    begun = {key: empty.get(key, value) for key, value in item.items()}
    events: list[dict[str, Any]] = [{"type": "response.output_item.added", "item": begun}]
    if item["type"] == "message":
        [part] = item["content"]
        at = {"content_index": 0}
        events += [
            {"type": "response.content_part.added", "part": {**part, "text": ""}, **at},
            {"type": "response.output_text.delta", "delta": part["text"], "logprobs": [], **at},
            {"type": "response.output_text.done", "text": part["text"], "logprobs": [], **at},
            {"type": "response.content_part.done", "part": part, **at},
        ]
    elif item["type"] == "reasoning":
        [part] = item["summary"]
        at = {"summary_index": 0}
        events += [
            {"type": "response.reasoning_summary_part.added", "part": {**part, "text": ""}, **at},
            {"type": "response.reasoning_summary_text.delta", "delta": part["text"], **at},
            {"type": "response.reasoning_summary_text.done", "text": part["text"], **at},
            {"type": "response.reasoning_summary_part.done", "part": part, **at},
        ]
    else:
        events += [
            {"type": "response.function_call_arguments.delta", "delta": item["arguments"]},
            {
                "type": "response.function_call_arguments.done",
                "arguments": item["arguments"],
                "name": item["name"],
            },
        ]
    return [*events, {"type": "response.output_item.done", "item": item}]


# --- Anthropic's messages -------------------------------------------------------------------


def _turns_of_blocks(body: dict[str, Any]) -> list[Turn]:
    turns = []
    for message in body["messages"]:
        content = message["content"]
        kinds = {block.get("type") for block in content} if isinstance(content, list) else set()
        role = (
            "call"
            if "tool_use" in kinds
            else "result"
            if "tool_result" in kinds
            else message["role"]
        )
        turns.append((role, _text(content)))
    return turns


def _messages(body: dict[str, Any], answer: Answer) -> Any:
    blocks: list[dict[str, Any]] = []
    if answer.thinking:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": "c2ln"})
    if answer.text or not answer.calls:
        blocks.append({"type": "text", "text": answer.text})
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}
        for call in answer.calls
    ]
    reason = "tool_use" if answer.calls else "end_turn"
    usage = {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}
    message: dict[str, Any] = {
        "id": f"msg_{len(body['messages'])}", "type": "message", "role": "assistant", "model": body.get("model", "mock-1"),
        "content": blocks, "stop_reason": reason, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    if not body.get("stream"):
        return message
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    ]
    for index, block in enumerate(blocks):
        events += [{"index": index, **event} for event in _of_block(block)]
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": usage,
        }
    )
    return [*events, {"type": "message_stop"}]


def _of_block(block: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a block that comes to be."""
    deltas: list[dict[str, Any]]
    if block["type"] == "thinking":
        begun: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    elif block["type"] == "text":
        begun = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": block["text"]}]
    else:
        begun = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    return [
        {"type": "content_block_start", "content_block": begun},
        *({"type": "content_block_delta", "delta": delta} for delta in deltas),
        {"type": "content_block_stop"},
    ]


# --- Gemini's contents ----------------------------------------------------------------------


def _turns_of_contents(body: dict[str, Any]) -> list[Turn]:
    turns = []
    for content in body["contents"]:
        keys = {key for part in content["parts"] for key in part}
        role = "call" if "functionCall" in keys else "result" if "functionResponse" in keys else ""
        turns.append((role or content.get("role", "user"), _text(content["parts"])))
    return turns


def _contents(answer: Answer) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if answer.thinking:
        parts.append({"text": answer.thinking, "thought": True})
    if answer.text or not answer.calls:
        parts.append({"text": answer.text})
    parts += [
        {"functionCall": {"id": call.id, "name": call.name, "args": dict(call.arguments)}}
        for call in answer.calls
    ]
    usage = {
        "promptTokenCount": USAGE[0],
        "candidatesTokenCount": USAGE[1],
        "totalTokenCount": sum(USAGE),
    }
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "mock-1",
        "responseId": "r1",
    }
