"""The real command lines of Cline and of Continue, which talk to a model of the test's: their npm
packages are installed once, beside the tests' packages."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services import BEHIND, Missing, node, without
from tests.services.scripted_model import ScriptedModel

CLINE = "3.0.65"
CONTINUE = "1.5.47"
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class Editor:
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


@contextmanager
def cline(home: Path, model: ScriptedModel) -> Iterator[Editor]:
    """Cline with that home. Where it cannot be had the test is skipped with the reason."""
    try:
        machine = _MACHINES.get(platform.machine().lower())
        if machine is None:
            raise Missing(f"there is none for {platform.machine()}")
        package = f"@cline/cli-{platform.system().lower()}-{machine}"
        program = node.installed({package: CLINE}, "cline") / package / "bin" / "cline"
    except Missing as missing:
        without("cline", str(missing))
        return
    BEHIND["cline"] = f"Cline {CLINE}"
    editor = Editor([program], home, CLINE_TELEMETRY_DISABLED="1")
    editor.run("auth", "-p", "openai-compatible", "-k", "x", "-m", "mock-1", "-b", model.url)
    yield editor


@contextmanager
def continue_dev(home: Path, model: ScriptedModel) -> Iterator[Editor]:
    """Continue with that home. Where it cannot be had the test is skipped with the reason."""
    package = "@continuedev/cli"
    try:
        program = shutil.which("node")
        if program is None:
            raise Missing("node is not on PATH")
        script = node.installed({package: CONTINUE}, "continue") / package / "dist" / "cn.js"
    except Missing as missing:
        without("continue", str(missing))
        return
    BEHIND["continue"] = f"Continue {CONTINUE}"
    known = {
        "name": "mock",
        "provider": "openai",
        "model": "mock-1",
        "apiBase": model.url,
        "apiKey": "x",
        "roles": ["chat"],
        "capabilities": ["tool_use"],
    }
    config = {"name": "t", "version": "1.0.0", "schema": "v1", "models": [known]}
    editor = Editor(
        [program, script, "--config", home / "config.yaml", "-p", "--auto"],
        home,
        CONTINUE_TELEMETRY_ENABLED="0",
    )
    (home / "config.yaml").write_text(json.dumps(config))
    yield editor
