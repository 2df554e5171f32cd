"""The real command lines of Cline and of Continue, which talk to a model of the test's."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import had, npm_programs
from tests.services.npm_programs import Program
from tests.services.scripted_model import ScriptedModel

CLINE = "3.0.65"
CONTINUE = "1.5.47"


@contextmanager
def cline(home: Path, model: ScriptedModel) -> Iterator[Program]:
    """Cline with that home. Where it cannot be had the test is skipped with the reason."""
    with had("cline", f"Cline {CLINE}"):
        command = npm_programs.binary("@cline/cli", CLINE, "cline")
    editor = Program(command, home, CLINE_TELEMETRY_DISABLED="1")
    editor.run("auth", "-p", "openai-compatible", "-k", "x", "-m", "mock-1", "-b", model.url)
    yield editor


@contextmanager
def continue_dev(home: Path, model: ScriptedModel) -> Iterator[Program]:
    """Continue with that home. Where it cannot be had the test is skipped with the reason."""
    with had("continue", f"Continue {CONTINUE}"):
        command = npm_programs.script("@continuedev/cli", CONTINUE, "continue", "dist/cn.js")
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
    editor = Program(
        [*command, "--config", home / "config.yaml", "-p", "--auto"],
        home,
        CONTINUE_TELEMETRY_ENABLED="0",
    )
    (home / "config.yaml").write_text(json.dumps(config))
    yield editor
