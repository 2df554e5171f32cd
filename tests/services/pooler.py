"""A pooler in transaction mode before a PostgreSQL server, as PgBouncer is in its strictest form:
every transaction, and every statement outside one, goes to another server connection.

Clients come as any user without a password; the server lets the pooler in as the role `pooled`.
"""

import asyncio
import contextlib
import struct
import threading
from collections.abc import Iterator

_SSL_REQUEST = 80877103
_CANCEL_REQUEST = 80877102
_SERVER_CONNECTIONS = 6


class Pooler:
    """`port` is where it listens; of the transactions `served`, `switches` went to another server
    connection than the client's last one."""

    def __init__(self, server_port: int, database: str) -> None:
        self.port = 0
        self.served = 0
        self.switches = 0
        self._server = ("127.0.0.1", server_port)
        self._database = database
        self._free: asyncio.Queue[_Backend] = asyncio.Queue()
        self._greeting = b""

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Listen until `stop`."""
        backends = [await self._connect() for _ in range(_SERVER_CONNECTIONS)]
        for backend in backends:
            self._free.put_nowait(backend)
        clients: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._client(reader, writer))
            clients.add(task)
            task.add_done_callback(clients.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        for task in list(clients):
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        for backend in backends:
            await _close(backend.writer)

    async def _connect(self) -> "_Backend":
        reader, writer = await asyncio.open_connection(*self._server)
        names = (
            b"user\0pooled\0database\0" + self._database.encode() + b"\0client_encoding\0utf-8\0"
        )
        writer.write(struct.pack("!ii", len(names) + 9, 196608) + names + b"\0")
        greeting = b""
        while True:
            kind, message = await _message(reader)
            assert kind != b"E", message
            greeting += message
            if kind == b"Z":
                self._greeting = greeting
                return _Backend(reader, writer)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            if await self._greeted(reader, writer):
                last = None
                while True:
                    kind, message = await _message(reader)
                    if kind == b"X":
                        break
                    backend = await self._free.get()
                    self.served += 1
                    self.switches += backend is not last
                    last = backend
                    await self._transaction(backend, message, reader, writer)
        await _close(writer)

    async def _greeted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            (size,) = struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(size - 4)
            (code,) = struct.unpack("!i", body[:4])
            if code == _CANCEL_REQUEST:
                return False
            if code != _SSL_REQUEST:
                writer.write(self._greeting)
                return True
            writer.write(b"N")

    async def _transaction(
        self,
        backend: "_Backend",
        message: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Pass on what client and server say until the server is outside a transaction."""
        backend.writer.write(message)
        to_server = asyncio.ensure_future(_pass_on(reader, backend.writer))
        try:
            while True:
                kind, answer = await _message(backend.reader)
                if kind == b"Z" and answer[-1:] == b"I":
                    break
                writer.write(answer)
        finally:
            # Before the client hears that it is over: what it says next is for another one.
            to_server.cancel()
            with contextlib.suppress(asyncio.CancelledError, asyncio.IncompleteReadError):
                await to_server
        self._free.put_nowait(backend)
        writer.write(answer)


class _Backend:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write((await _message(reader))[1])


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    (size,) = struct.unpack("!i", head[1:])
    return head[:1], head + await reader.readexactly(size - 4)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@contextlib.contextmanager
def pooling(server_port: int, database: str = "postgres") -> Iterator[Pooler]:
    """A pooler before the server at that port, in a thread of its own."""
    pooler = Pooler(server_port, database)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def main() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(pooler.serve(ready, stop))
        loop.close()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the pooler did not start"
        yield pooler
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
