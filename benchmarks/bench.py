"""What the measurements share: their names, the folder, the data, the commands and the servers."""

import functools
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks import data, native
from benchmarks.measure import Result, command, side_by_side
from tests import services
from tests.services import Missing, Server

BENCHMARKS: dict[str, Callable[["Bench"], Iterator[Result]]] = {}


def benchmark(work: Callable[["Bench"], Iterator[Result]]) -> Callable[["Bench"], Iterator[Result]]:
    """Register a measurement under its function's name."""
    BENCHMARKS[work.__name__] = work
    return work


class Bench:
    """The folder, the files and the commands that the measurements share."""

    def __init__(self, folder: Path, messages: int, runs: int, stack: ExitStack) -> None:
        self.folder = folder
        self.messages = messages
        self.runs = runs
        self.stack = stack

    def synmem(self, *arguments: str | Path) -> list[str]:
        """The command as a user's shell would start it."""
        return [str(Path(sys.executable).with_name("synmem")), *map(str, arguments)]

    def program(self, name: str) -> list[str]:
        """A program of `native`, in a file."""
        path = self.folder / f"native_{name.lower()}.py"
        path.write_text(getattr(native, name))
        return [sys.executable, str(path)]

    @functools.cached_property
    def source(self) -> Path:
        """A SynapseKit file: conversations of 20 messages."""
        return data.synapsekit_file(self.folder / "source.db", self.messages, self.messages // 20)

    @functools.cached_property
    def own(self) -> Path:
        """The same in a file that synmem made."""
        return data.own_file(self.folder / "own.db", self.source)

    @functools.cached_property
    def bare(self) -> Path:
        """An environment that holds synmem without extras, and Typer; returns its bin folder."""
        return self.environment("bare", str(Path(__file__).parent.parent))

    def environment(self, name: str, *packages: str) -> Path:
        """A new environment that holds these packages; returns its bin folder."""
        venv.create(self.folder / name, with_pip=True)
        folder = self.folder / name / "bin"
        pip = [str(folder / "pip"), "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        return folder

    def server(self, backend: str) -> Server:
        """A server of this kind, until the end of all; Missing where there can be none."""
        try:
            return self.stack.enter_context(services.running(backend, self.folder / backend))
        except pytest.skip.Exception as missing:
            raise Missing(str(missing)) from None

    def compare(self, name: str, ours: object, theirs: object, **bar: object) -> Result:
        """See `side_by_side`; commands as lists."""
        works = [command(w) if isinstance(w, list) else w for w in (ours, theirs)]
        return side_by_side(name, *works, runs=self.runs, **bar)  # type: ignore[arg-type]
