"""An embeddings endpoint on loopback that speaks OpenAI's protocol over real HTTP.

It writes down what it was asked, answers with WordLlama's vectors, and fails when told to.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from synmem.vectors import WordLlama
from tests.services.json_server import JSONHandler, serving


@dataclass
class EmbeddingServer:
    """The server. `failures` are taken one a request: a status, "close" (the connection), "html",
    "few" (vectors), "ragged" or "nan"; without any it answers."""

    numbers: int = 256
    failures: list[int | str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def texts(self) -> list[str]:
        """Every text that it was sent."""
        return [text for _, body in self.asked for text in body["input"]]


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """A server that runs until the end of the block."""
    known = EmbeddingServer()
    with serving(_handler(known)) as known.port:
        yield known


def _handler(known: EmbeddingServer) -> type[BaseHTTPRequestHandler]:
    model = WordLlama()

    class Handler(JSONHandler):
        def do_POST(self) -> None:
            body = self.body()
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            known.asked.append((key, body))
            failure = known.failures.pop(0) if known.failures else None
            if self.path != "/v1/embeddings":
                self.send(404, {"error": {"message": f"no such path: {self.path}"}})
            elif isinstance(failure, int):
                headers = {"Retry-After-Ms": "10"}
                self.send(failure, {"error": {"message": f"no, {failure} (key {key})"}}, headers)
            elif failure == "close":
                self.close_connection = True
            elif failure == "html":
                self.send(200, "<html>hello</html>", {"Content-Type": "text/html"})
            else:
                self.send(200, self._answer(body, failure))

        def _answer(self, body: dict[str, Any], failure: str | None) -> dict[str, Any]:
            size = body.get("dimensions", known.numbers)
            rows = asyncio.run(model.embed(body["input"]))[:, :size].tolist()
            if failure == "few":
                rows = rows[:-1]
            if failure == "ragged":
                rows[0] = rows[0][:-1]
            if failure == "nan":
                rows[0][0] = float("nan")
            data = [
                {"object": "embedding", "index": i, "embedding": [3 * each for each in row]}
                for i, row in enumerate(rows)
            ]
            usage = {"prompt_tokens": 1, "total_tokens": 1}
            return {"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}

    return Handler
