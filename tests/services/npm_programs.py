"""Command lines from npm packages, which talk to a model of the test's: each is installed once,
beside the tests' packages."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.services import Missing, node

_MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class Program:
    """An installation with a home of its own."""

    def __init__(self, command: Sequence[str | Path], home: Path, **environment: str) -> None:
        self._command = [str(each) for each in command]
        self._folder = home / "work"
        self._folder.mkdir(parents=True)
        self.home = home
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
            **environment,
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """The command line with these arguments, which goes on."""
        return subprocess.Popen(
            [*self._command, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """The same, to its end; what it prints."""
        with self.start(*arguments) as process:
            said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
        return said


def binary(package: str, version: str, name: str) -> list[Path]:
    """The command of a program whose package for this machine holds it whole, as `bin/NAME`.
    `package` ends before the machine's name. Missing where it cannot be had."""
    machine = _MACHINES.get(platform.machine().lower())
    if machine is None:
        raise Missing(f"there is none for {platform.machine()}")
    package = f"{package}-{platform.system().lower()}-{machine}"
    return [node.installed({package: version}, name) / package / "bin" / name]


def script(package: str, version: str, name: str, path: str) -> list[str | Path]:
    """The command of a program that is this script of a package, which is installed under `name`.
    Missing where it cannot be had."""
    program = shutil.which("node")
    if program is None:
        raise Missing("node is not on PATH")
    return [program, node.installed({package: version}, name) / package / path]
