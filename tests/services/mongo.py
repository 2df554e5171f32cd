"""MongoDB: a `mongod` on PATH; else one of the two that stand in for it: FerretDB (its program is
named by SYNMEM_TEST_FERRETDB) over a PostgreSQL of its own, or mongo-java-server from Maven."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from tests.services import Leashed, Missing, free_port, maven, postgres

_JAVA_SERVER = "de.bwaldvogel:mongo-java-server:1.47.0"


class Mongo:
    """A server of ours. `keeps`: what it acknowledged survives a kill; `password_url` gives the
    URL of a user with this password, None where the server knows no passwords."""

    def __init__(
        self,
        folder: Path,
        command: Callable[[int], Sequence[str | Path]],
        *,
        what: str,
        keeps: bool,
        behind: Any = None,
    ) -> None:
        self.port = free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}"
        self.what = what
        self.keeps = keeps
        self._command = command(self.port)
        self._behind = behind
        self._log = folder / "log"
        self._process: Leashed | None = None
        self._is_killed = False

    def start(self) -> None:
        """See `Server.start`."""
        if self._is_killed and self._behind is not None:
            self._behind.start()
        self._process = Leashed(self._command, self._log)
        self._process.wait_until(self._answers)

    def kill(self) -> None:
        """See `Server.kill`."""
        if self._process is not None:
            self._process.kill()
            self._process = None
            self._is_killed = True
            if self._behind is not None:
                self._behind.kill()

    def stop(self) -> None:
        """See `Server.stop`."""
        self.kill()

    def password_url(self, password: str) -> str | None:
        """FerretDB lets in whom its PostgreSQL does."""
        if self._behind is None:
            return None
        return (
            f"mongodb://postgres:{password}@127.0.0.1:{self.port}/?authMechanism=PLAIN"
            "&authSource=$external"
        )

    def _answers(self) -> bool:
        try:
            with pymongo.MongoClient[Any](self.url, serverSelectionTimeoutMS=300) as client:
                client["synmem_answers"]["none"].find_one()
        except PyMongoError:
            return False
        return True


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Mongo]:
    """A server with its data below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        yield from _run(_server(folder, stack))


@contextlib.contextmanager
def java(folder: Path) -> Iterator[Mongo]:
    """mongo-java-server, for what FerretDB does not bear."""
    yield from _run(_java_server(folder))


def _run(server: Mongo) -> Iterator[Mongo]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _server(folder: Path, stack: contextlib.ExitStack) -> Mongo:
    if mongod := shutil.which("mongod"):
        version = subprocess.check_output([mongod, "--version"], text=True).splitlines()[0]
        (folder / "data").mkdir()
        options = ("--dbpath", folder / "data", "--bind_ip", "127.0.0.1", "--nounixsocket")
        return Mongo(
            folder, lambda port: (mongod, "--port", str(port), *options), what=version, keeps=True
        )
    if ferretdb := os.environ.get("SYNMEM_TEST_FERRETDB"):
        return _ferretdb(Path(ferretdb).resolve(), folder, stack)
    return _java_server(folder)


def _ferretdb(program: Path, folder: Path, stack: contextlib.ExitStack) -> Mongo:
    if not program.is_file():
        raise Missing("SYNMEM_TEST_FERRETDB names no program")
    behind = stack.enter_context(postgres.running(folder / "postgres"))
    url = behind.url.replace("postgresql://", "postgres://")
    return Mongo(
        folder,
        lambda port: (program, "-listen", f"127.0.0.1:{port}", "-postgresql-url", url),
        what=f"FerretDB over {behind.what}",
        keeps=True,
        behind=behind,
    )


def _java_server(folder: Path) -> Mongo:
    java = shutil.which("java")
    if java is None or shutil.which("mvn") is None:
        raise Missing("no mongod, no FerretDB (SYNMEM_TEST_FERRETDB), no java and mvn")
    jars = maven.jars(_JAVA_SERVER)
    source = Path(__file__).with_name("MongoWire.java")
    return Mongo(
        folder,
        lambda port: (java, "-Xmx1g", "-cp", f"{jars}/*", source, str(port)),
        what=" ".join(_JAVA_SERVER.split(":")[1:]),
        keeps=False,
    )
