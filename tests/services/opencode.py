"""The real opencode, which talks to a model of the test's."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.services import had, npm_programs
from tests.services.npm_programs import Program
from tests.services.scripted_model import ScriptedModel

VERSION = "1.18.33"
_OFF = ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE")
"""What it would use the network for."""


class OpenCode(Program):
    """An installation with a home of its own."""

    @property
    def database(self) -> Path:
        """Where it keeps its conversations."""
        return self.home / "data" / "opencode" / "opencode.db"

    def run(self, *arguments: str) -> str:
        """`opencode run ARGUMENTS`; what it prints."""
        return super().run("run", *arguments)


@contextmanager
def running(home: Path, model: ScriptedModel) -> Iterator[OpenCode]:
    """opencode with that home. Where it cannot be had the test is skipped with the reason."""
    with had("opencode", f"opencode {VERSION}"):
        command = npm_programs.binary("opencode", VERSION, "opencode")
    yield OpenCode(
        command,
        home,
        XDG_DATA_HOME=str(home / "data"),
        OPENCODE_CONFIG_CONTENT=json.dumps(_settings(model)),
        **{f"OPENCODE_DISABLE_{name}": "1" for name in _OFF},
    )


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
