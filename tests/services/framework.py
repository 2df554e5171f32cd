"""The real packages of other frameworks, each set in a Python of its own: it is installed once,
beside the tests' packages."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class Framework:
    """A running program that has the packages; `ask` says what it is to do.

    It reads a line of JSON, `{"do": ..., ...}`, and answers with one: `{"said": ...}`, or
    `{"error": ...}` where the framework raised.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, do: str, **asked: Any) -> Any:
        """What it answers; RuntimeError where the framework raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **asked}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["said"]


@contextlib.contextmanager
def running(
    packages: Sequence[str], program: str, *, alone: Sequence[str] = (), **environment: str
) -> Iterator[Framework]:
    """The program of that name in this folder, with these packages (see `installed`), until the
    end; `environment`: variables that it has beside ours."""
    path = Path(__file__).with_name(program)
    # -P: what lies beside the program has names that packages have, too.
    command = [str(installed(packages, alone)), "-P", "-W", "ignore", str(path)]
    with speaking(command, **environment) as running:
        yield running


@contextlib.contextmanager
def speaking(command: Sequence[str], **environment: str) -> Iterator[Framework]:
    """The program of that command, until the end."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **environment},
    ) as process:
        yield Framework(process)
        assert process.stdin is not None
        process.stdin.close()


def installed(packages: Sequence[str], alone: Sequence[str] = ()) -> Path:
    """The Python that has these; made at the first call, in the tests' own environment.

    Those `alone` come without what they ask for: `packages` has what is needed of it.
    """
    folder = Path(sys.prefix) / _name([*alone, *packages])
    if not folder.exists():
        making = tempfile.mkdtemp(prefix="framework-", dir=sys.prefix)
        venv.create(making, with_pip=True)
        pip = [f"{making}/bin/python", "-m", "pip", "install", "-q"]
        subprocess.run([*pip, *packages], check=True)
        if alone:
            subprocess.run([*pip, "--no-deps", *alone], check=True)
        try:
            Path(making).rename(folder)
        except OSError:  # somebody else was as fast
            shutil.rmtree(making)
    return folder / "bin" / "python"


def _name(packages: Sequence[str]) -> str:
    """A folder's, which has an end: of many packages the first ones, and a checksum of all."""
    name = "-".join(packages).replace("==", "-").replace("[", "-").replace("]", "")
    return name if len(name) < 200 else f"{name[:100]}-{zlib.crc32(name.encode()):08x}"
