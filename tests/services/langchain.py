"""The real LangChain, in a Python of its own: it is installed once, beside the tests' packages."""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = ("langchain-community==0.4.2", "langchain-core==1.7.2", "greenlet")
"""Those that wrote the fixtures."""

PROGRAM = Path(__file__).with_name("langchain_program.py")


class LangChain:
    """A running program that has LangChain; `ask` says what it is to do."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, do: str, **asked: Any) -> Any:
        """What it answers; RuntimeError where LangChain raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **asked}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["said"]


@contextlib.contextmanager
def langchain() -> Iterator[LangChain]:
    """It, until the end."""
    command = [str(installed()), "-W", "ignore", str(PROGRAM)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield LangChain(process)
        assert process.stdin is not None
        process.stdin.close()


def installed() -> Path:
    """The Python that has it; made at the first call, in the tests' own environment."""
    folder = Path(sys.prefix) / "-".join(PACKAGES).replace("==", "-")
    if not folder.exists():
        making = tempfile.mkdtemp(prefix="langchain-", dir=sys.prefix)
        venv.create(making, with_pip=True)
        pip = [f"{making}/bin/python", "-m", "pip", "install", "-q", *PACKAGES]
        subprocess.run(pip, check=True)
        try:
            Path(making).rename(folder)
        except OSError:  # somebody else was as fast
            shutil.rmtree(making)
    return folder / "bin" / "python"
