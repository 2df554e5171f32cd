"""What every test has: folders of its own, so that no test sees a person's configuration; and the
real servers, one of each for a test process, started when the first test asks for it."""

import contextlib
import functools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from synmem.places import BASES
from tests import services

MEMORY_BYTES = 4_000_000_000
"""So much must be free in memory for the servers' data to lie there."""


# A machine that is busy is no fault of the program's.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_configure() -> None:
    """A shell lets what it runs in its background ignore Ctrl-C, and whatever that starts: the
    programs under test are to hear it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HOME and the XDG folders below tmp_path, and nothing set for synmem or for a program whose
    place it knows."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("HOME", str(home))
    for name in [n for n in os.environ if n.startswith("SYNMEM_") and not _of_the_tests(n)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "")  # which --no-color sets, for good
    monkeypatch.delenv("NO_COLOR")
    for variable in {each for each, _ in BASES.values() if not each.startswith("XDG_")}:
        monkeypatch.delenv(variable, raising=False)
    return home


def _of_the_tests(variable: str) -> bool:
    return "TEST" in variable or variable == "SYNMEM_REQUIRE"


def _server(backend: str) -> Any:
    @pytest.fixture(scope="session", name=f"{backend}_server")
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Server]:
        if backend == "dynamodb":
            _read_once()
        with (
            _folder(tmp_path_factory, backend) as folder,
            services.running(backend, folder) as running,
        ):
            yield running

    return server


def _read_once() -> None:
    """What botocore reads of AWS's services, a test process reads once, and not for each store
    that it opens: programs that tests start read it for themselves."""
    import botocore.session

    made = botocore.session.create_loader
    botocore.session.create_loader = functools.cache(made)


@contextlib.contextmanager
def _folder(factory: pytest.TempPathFactory, backend: str) -> Iterator[Path]:
    """Where the session's server has its data: in memory where there is room, since every commit
    of a test waits for the disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < MEMORY_BYTES:
        yield factory.mktemp(backend)
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="synmem-", ignore_cleanup_errors=True) as d:
        Path(d).chmod(0o755)
        yield Path(d)


redis_server = _server("redis")
postgres_server = _server("postgres")
mongo_server = _server("mongo")
dynamodb_server = _server("dynamodb")


# --- which server stood behind each backend -------------------------------------------------

_BEHIND: dict[str, set[str]] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the main process."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["services"] = dict(services.BEHIND)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The main process hears it."""
    for backend, what in getattr(node, "workeroutput", {}).get("services", {}).items():
        _BEHIND.setdefault(backend, set()).add(what)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which server stood behind each backend in this run."""
    for backend, what in services.BEHIND.items():
        _BEHIND.setdefault(backend, set()).add(what)
    for backend, found in sorted(_BEHIND.items()):
        terminalreporter.write_line(f"{backend}: {'; '.join(sorted(found))}")
