"""A server that speaks Redis' protocol and holds JSON documents, as one with RedisJSON does.

RedisJSON is a module of Redis Stack and of Redis 8, which no package index carries; fakeredis does not
answer TYPE of a document. This one answers what a reader of documents asks, and nothing else.
"""

import contextlib
import fnmatch
import json
import socketserver
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

WRONG = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"


class Documents(socketserver.ThreadingTCPServer):
    """The server; `keys` are its documents, and what is text stands for a string; bytes of a
    key that are not UTF-8 are lone surrogates."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.keys: dict[str, Any] = {}
        self.left_ms: dict[str, int] = {}
        self.asked: list[list[str]] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}/0"

    def answer(self, command: list[str]) -> bytes:
        """What Redis answers."""
        self.asked.append(command)
        name, *rest = command
        match name.upper():
            case "SELECT":
                return b"+OK\r\n"
            case "TYPE":
                return f"+{self._kind(rest[0])}\r\n".encode()
            case "PTTL":
                left = self.left_ms.get(rest[0], -1) if rest[0] in self.keys else -2
                return b":%d\r\n" % left
            case "JSON.GET":
                return self._document(rest[0])
            case "LINDEX":
                return b"$-1\r\n" if rest[0] not in self.keys else WRONG
            case "SCAN":
                return self._scan(int(rest[0]), dict(zip(rest[1::2], rest[2::2], strict=True)))
        return f"-ERR unknown command '{name}'\r\n".encode()

    def _kind(self, key: str) -> str:
        if key not in self.keys:
            return "none"
        return "string" if isinstance(self.keys[key], str) else "ReJSON-RL"

    def _document(self, key: str) -> bytes:
        if key not in self.keys:
            return b"$-1\r\n"
        if isinstance(self.keys[key], str):
            return WRONG
        return _bulk(json.dumps(self.keys[key], ensure_ascii=False).encode())

    def _scan(self, cursor: int, options: dict[str, str]) -> bytes:
        """A few keys at once, so that there is more than one look."""
        names = sorted(self.keys)
        some = [
            _bulk(name.encode("utf-8", "surrogateescape"))
            for name in names[cursor : cursor + 5]
            if fnmatch.fnmatchcase(name, options.get("MATCH", "*"))
            and options.get("TYPE", self._kind(name)) == self._kind(name)
        ]
        following = cursor + 5 if cursor + 5 < len(names) else 0
        head = b"*2\r\n" + _bulk(b"%d" % following) + b"*%d\r\n" % len(some)
        return head + b"".join(some)


class _Answers(socketserver.StreamRequestHandler):
    server: Documents

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while command := _command(self.rfile):
                self.wfile.write(self.server.answer(command))


def _command(lines: BinaryIO) -> list[str]:
    """The next command; empty at the end."""
    words = []
    for _ in range(int(lines.readline()[1:] or 0)):
        size = int(lines.readline()[1:])
        words.append(lines.read(size + 2)[:-2].decode("utf-8", "surrogateescape"))
    return words


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


@contextlib.contextmanager
def running() -> Iterator[Documents]:
    """A server, until the end."""
    with Documents() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
