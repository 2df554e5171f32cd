"""The real servers behind the tests: one module a backend, each with `running(folder)`.

A URL in the environment (`SYNMEM_TEST_REDIS_URL`, ...) wins: then that server is used as it is,
and the tests keep to names of their own in it. A server that cannot be had is `Missing`: the
test is skipped with that reason, or fails where `SYNMEM_REQUIRE` names the backend.
"""

import contextlib
import fcntl
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

BACKENDS = ("redis", "postgres", "mongo", "dynamodb")
BEHIND: dict[str, str] = {}
"""Backend -> what stood behind it in this process, for the end of the test run."""


class Missing(Exception):
    """This machine has no such server; the text says what was looked for."""


class Server(Protocol):
    """A server that runs, and that a test may kill and start again on the same port and data."""

    url: str
    what: str
    """Which program it is, and of which version."""

    def kill(self) -> None:
        """SIGKILL; its data stay where it keeps any."""
        ...

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        ...

    def stop(self) -> None:
        """End it for good; twice is once."""
        ...


class Given:
    """A server of the user's, from the environment: it is neither killed nor stopped."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.what = "the server of the environment"

    def kill(self) -> None:
        pytest.skip("the server of the environment is not ours to kill")

    def start(self) -> None:
        """It runs."""

    def stop(self) -> None:
        """It goes on."""


class Leashed:
    """A server's process, which ends with this one, however this one ends."""

    def __init__(self, command: Sequence[str | Path], log: Path, **environment: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self._leash = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("leash.py"), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                env={**os.environ, **environment},
            )
        assert self._leash.stdout is not None
        self.pid = int(self._leash.stdout.readline())

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._leash.poll() is not None

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End the server and all its children, and wait for the end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, how)
        self._leash.wait(30)
        for pipe in (self._leash.stdin, self._leash.stdout):
            if pipe is not None:
                pipe.close()

    def wait_until(self, answers: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until the server answers; AssertionError with its log where it does not."""
        deadline = time.monotonic() + seconds
        while not answers():
            if self.ended() or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)


def free_port() -> int:
    """A port on loopback that nobody has right now."""
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        return int(there.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as here:
        here.settimeout(1)
        return here.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def kept(name: str) -> Iterator[Path]:
    """A folder in this environment for what was fetched once; one process at a time is in it."""
    folder = Path(sys.prefix) / "servers" / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@contextlib.contextmanager
def running(backend: str, folder: Path) -> Iterator[Server]:
    """The server of the environment, else one of our own with its data below `folder`."""
    url = os.environ.get(f"SYNMEM_TEST_{backend.upper()}_URL")
    if url:
        BEHIND[backend] = "the server of the environment"
        yield Given(url)
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with importlib.import_module(f"tests.services.{backend}").running(folder) as server:
            BEHIND[backend] = server.what
            yield server
    except Missing as missing:
        without(backend, str(missing))


@contextlib.contextmanager
def had(name: str, what: str) -> Iterator[None]:
    """What is done inside of it fetches a program: of that name, and what it is. Where it cannot be
    had the test is skipped with the reason."""
    try:
        yield
    except Missing as missing:
        without(name, str(missing))
    BEHIND[name] = what


def without(backend: str, reason: str) -> NoReturn:
    """Skip a test that has no server (or no Node.js), or fail it where that is required."""
    if backend in os.environ.get("SYNMEM_REQUIRE", "").split(","):
        pytest.fail(f"{backend} is required, but: {reason}")
    BEHIND[backend] = f"skipped: {reason}"
    pytest.skip(f"no {backend}: {reason}")


def unique(prefix: str = "t") -> str:
    """A name that no other test uses: a server of the environment may hold other things."""
    return f"{prefix}{uuid.uuid4().hex[:12]}"
