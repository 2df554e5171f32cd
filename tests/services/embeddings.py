"""An embeddings endpoint on loopback that speaks OpenAI's protocol over real HTTP.

It writes down what it was asked, answers with WordLlama's vectors, and fails when told to.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from synmem.vectors import WordLlama


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
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(known))
    server.daemon_threads = True
    known.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(known: EmbeddingServer) -> type[BaseHTTPRequestHandler]:
    model = WordLlama()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            known.asked.append((key, body))
            failure = known.failures.pop(0) if known.failures else None
            if self.path != "/v1/embeddings":
                self._send(404, {"error": {"message": f"no such path: {self.path}"}})
            elif isinstance(failure, int):
                headers = {"Retry-After-Ms": "10"}
                self._send(failure, {"error": {"message": f"no, {failure} (key {key})"}}, headers)
            elif failure == "close":
                self.close_connection = True
            elif failure == "html":
                self._send(200, "<html>hello</html>", {"Content-Type": "text/html"})
            else:
                self._send(200, self._answer(body, failure))

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

        def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    return Handler
