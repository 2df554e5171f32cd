"""A model's server on loopback that speaks the protocols of OpenAI and of Anthropic over real HTTP.

It writes down what it was asked, answers by a function of the prompt, and fails when told to.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.services.json_server import JSONHandler, serving

Answer = Callable[[str], str]


@dataclass
class Asked:
    """One request: which protocol, with which key, model and prompt."""

    protocol: str
    key: str
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        """What the user's message says."""
        return str(self.body["messages"][0]["content"])


@dataclass
class ModelServer:
    """The server. `failures` are taken one a request: a status, or "hang", "close" (the
    connection), "malformed", "html", "other", "empty" or "cut"; without any it answers."""

    answer: Answer = lambda prompt: f"answer {len(prompt)}"
    failures: list[int | str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def openai(self) -> str:
        """The base URL for OpenAI's client."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic(self) -> str:
        """The base URL for Anthropic's client."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def prompts(self) -> list[str]:
        """Every prompt so far."""
        return [each.prompt for each in self.asked]

    @property
    def characters(self) -> int:
        """How much it was sent in all."""
        return sum(map(len, self.prompts))


@contextmanager
def model_server(answer: Answer | None = None) -> Iterator[ModelServer]:
    """A server that runs until the end of the block."""
    known = ModelServer() if answer is None else ModelServer(answer)
    with serving(_handler(known)) as known.port:
        yield known


def _handler(known: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(JSONHandler):
        def do_POST(self) -> None:
            body = self.body()
            openai = self.path == "/v1/chat/completions"
            if not openai and self.path != "/v1/messages":
                self.send(404, {"error": {"message": f"no such path: {self.path}"}})
                return
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            key = bearer or self.headers.get("X-Api-Key", "")  # older clients of Anthropic
            known.asked.append(Asked("openai" if openai else "anthropic", key, body))
            failure = known.failures.pop(0) if known.failures else None
            if isinstance(failure, int):
                headers = {"Retry-After-Ms": "10"} if failure == 429 else {}
                said = {"type": "error", "error": {"message": f"no, {failure} (key {key})"}}
                self.send(failure, said, headers)
            elif failure == "hang":
                time.sleep(5)
                self.close_connection = True
            elif failure == "close":
                self.close_connection = True
            elif failure == "html":
                self.send(200, "<html>hello</html>", {"Content-Type": "text/html"})
            elif failure == "malformed":
                self.send(200, '{"choices": [', {"Content-Type": "application/json"})
            elif failure == "other":
                self.send(200, {"hello": "world"})
            else:
                text = "" if failure == "empty" else known.answer(known.asked[-1].prompt)
                form = _openai if openai else _anthropic
                self.send(200, form(body["model"], text, cut=failure == "cut"))

    return Handler


def _openai(model: str, text: str, *, cut: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    reason = "length" if cut else "stop"
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip


def _anthropic(model: str, text: str, *, cut: bool) -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "max_tokens" if cut else "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
