"""The real opencode, which talks to a model of the test's: its npm package for this machine is
installed once, beside the tests' packages."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.services import BEHIND, Missing, node, without
from tests.services.scripted_model import ScriptedModel

VERSION = "1.18.33"
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_OFF = ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE")
"""What it would use the network for."""


class OpenCode:
    """An installation with a home of its own."""

    def __init__(self, program: Path, home: Path, model: ScriptedModel) -> None:
        self._program = program
        self._folder = home / "work"
        self._folder.mkdir(parents=True)
        self.database = home / "data" / "opencode" / "opencode.db"
        """Where it keeps its conversations."""
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "OPENCODE_CONFIG_CONTENT": json.dumps(_settings(model)),
            **{f"OPENCODE_DISABLE_{name}": "1" for name in _OFF},
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`opencode ARGUMENTS`, which goes on."""
        return subprocess.Popen(
            [self._program, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """`opencode run ARGUMENTS`; what it prints."""
        with self.start("run", *arguments) as process:
            said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
        return said


@contextmanager
def running(home: Path, model: ScriptedModel) -> Iterator[OpenCode]:
    """opencode with that home. Where it cannot be had the test is skipped with the reason."""
    try:
        machine = _MACHINES.get(platform.machine().lower())
        if machine is None:
            raise Missing(f"there is none for {platform.machine()}")
        package = f"opencode-{platform.system().lower()}-{machine}"
        program = node.installed({package: VERSION}, "opencode") / package / "bin" / "opencode"
    except Missing as missing:
        without("opencode", str(missing))
        return
    BEHIND["opencode"] = f"opencode {VERSION}"
    yield OpenCode(program, home, model)


def _settings(model: ScriptedModel) -> dict[str, Any]:
    named = "mock/mock-1"
    known = {"name": "Mock", "tool_call": True, "limit": {"context": 100_000, "output": 1000}}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Mock",
        "options": {"baseURL": model.url, "apiKey": "x"},
        "models": {"mock-1": known},
    }
    return {
        "model": named,
        "small_model": named,
        "share": "disabled",
        "autoupdate": False,
        "permission": {"bash": "allow", "task": "allow"},
        "provider": {"mock": provider},
    }
