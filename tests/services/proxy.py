"""A TCP proxy on loopback that fails on purpose: between a client and a server that runs.

with Proxy(server_port) as proxy:
    proxy.cut_after_request(lambda sent: b"COMMIT" in sent)
    ...                       # a client that talks to 127.0.0.1:proxy.port
    assert proxy.cuts == 1
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

_TAIL: Final = 4096  # what a predicate looks for may lie across two reads


class Proxy:
    """Passes bytes between clients of `port` and the server at `server_port`."""

    def __init__(self, server_port: int, host: str = "127.0.0.1") -> None:
        self._server = (host, server_port)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._pairs: list[_Pair] = []
        self._wanted: Callable[[bytes], bool] | None = None
        self._times = 0
        self._truncated: tuple[int, int] | None = None
        self._awaited = 0
        self._act: Callable[[], object] | None = None
        self._listener: socket.socket | None = None
        self.port = 0
        self.delay_s = 0.0
        """So long every piece waits on its way, in both directions."""
        self.cuts = 0
        """How many answers `cut_after_request` and `truncate` have held back."""
        self.requests = 0
        """How many pieces of requests have been passed on."""
        self._listen()

    def cut_after_request(self, wanted: Callable[[bytes], bool], times: int = 1) -> None:
        """Cut the connection on which a client next sends bytes that are `wanted`, once the
        server begins to answer: the server has done it, and the client does not hear of it.

        For the next `times` such requests; a request may come in several reads, each with the
        end of the one before it.
        """
        with self._lock:
            self._wanted, self._times = wanted, times

    def truncate(self, after: int, size: int) -> None:
        """After so many more answers, pass on only the first `size` bytes of the next, and cut
        its connection."""
        with self._lock:
            self._truncated = after, size

    def before_request(self, number: int, act: Callable[[], object]) -> None:
        """Do something before the piece of a request of that number, from now, is passed on."""
        with self._lock:
            self._awaited, self._act = self.requests + number, act

    def cut(self) -> None:
        """Close every connection there is, at once."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.cut()

    def half_close(self) -> None:
        """End the answers of every connection there is; requests still go through for now."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            with contextlib.suppress(OSError):
                pair.client.shutdown(socket.SHUT_WR)

    def refuse(self, refusing: bool = True) -> None:
        """Let nobody connect any more (or again); connections there are go on."""
        if refusing:
            self._stop_listening()
        elif self._listener is None:
            self._listen()

    def close(self) -> None:
        """End it all and wait for the threads."""
        self._stop_listening()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = _Pair(client, server)
            with self._lock:
                self._pairs.append(pair)
            self._run(self._pass_requests, pair)
            self._run(self._pass_answers, pair)

    def _pass_requests(self, pair: "_Pair") -> None:
        tail = b""
        while sent := _received(pair.client):
            tail = tail[-_TAIL:] + sent
            if self._is_wanted(tail):
                pair.doomed = True
                tail = b""
            time.sleep(self.delay_s)
            if act := self._act_of_next():
                act()
            if not _passed(pair.server, sent):
                break
        pair.end()

    def _pass_answers(self, pair: "_Pair") -> None:
        while answer := _received(pair.server):
            if pair.doomed:
                self.cuts += 1
                break
            time.sleep(self.delay_s)
            size = self._size_of_next()
            if size is not None:
                self.cuts += 1
                _passed(pair.client, answer[:size])
                break
            if not _passed(pair.client, answer):
                break
        pair.end()

    def _act_of_next(self) -> Callable[[], object] | None:
        with self._lock:
            self.requests += 1
            act = self._act if self.requests == self._awaited else None
            self._act = None if act else self._act
            return act

    def _size_of_next(self) -> int | None:
        """How much of the next answer is passed on; None for all of it."""
        with self._lock:
            if self._truncated is None:
                return None
            after, size = self._truncated
            self._truncated = (after - 1, size) if after else None
            return None if after else size

    def _is_wanted(self, sent: bytes) -> bool:
        with self._lock:
            if self._wanted is None or not self._wanted(sent):
                return False
            self._times -= 1
            if self._times == 0:
                self._wanted = None
            return True

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()


class _Pair:
    """The two sides of one connection."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.doomed = False
        self._lock = threading.Lock()
        self._ended = 0

    def end(self) -> None:
        """One direction is over, and so is the other; the second to say so gives back the
        sockets."""
        self.cut()
        with self._lock:
            self._ended += 1
            if self._ended < 2:
                return
        self.client.close()
        self.server.close()

    def cut(self) -> None:
        """Cut it; the threads that use the sockets see it and give them back."""
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


def _received(side: socket.socket) -> bytes:
    try:
        return side.recv(65536)
    except OSError:
        return b""


def _passed(side: socket.socket, data: bytes) -> bool:
    try:
        side.sendall(data)
    except OSError:
        return False
    return True
