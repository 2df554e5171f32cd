"""The real aider, which talks to a model of the test's, and its own reader of its history."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.services import BEHIND, without
from tests.services.framework import installed
from tests.services.scripted_model import ScriptedModel

VERSION: Final = "0.86.2"

_READ: Final = (
    "import json, sys; from pathlib import Path; from aider.utils import *; print(json.dumps("
    "split_chat_history_markdown(Path(sys.argv[1]).read_text(encoding='utf-8'), True)))"
)


class Aider:
    """An installation with a home and a repository of its own. Where it cannot be had the test is
    skipped with the reason."""

    def __init__(self, home: Path, model: ScriptedModel) -> None:
        if sys.version_info >= (3, 13):
            without("aider", "it needs a Python before 3.13")
        try:
            self._python = installed([f"aider-chat=={VERSION}"])
        except (OSError, subprocess.CalledProcessError) as error:
            without("aider", str(error))
        BEHIND["aider"] = f"aider {VERSION}"
        self.repository = home / "repository"
        self.history = self.repository / ".aider.chat.history.md"
        prices = home / ".aider" / "caches" / "model_prices_and_context_window.json"
        for folder in (self.repository, prices.parent):
            folder.mkdir(parents=True)
        prices.write_text(json.dumps({"openai/mock-1": {"max_input_tokens": 8192}}))
        self._home = home
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "OPENAI_API_KEY": "x",
            "OPENAI_API_BASE": model.url, "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "AIDER_ANALYTICS": "false", "NO_COLOR": "1",
        }  # fmt: skip

    def say(self, text: str, *arguments: str) -> None:
        """A session of one question."""
        asked = self._home / "question.txt"
        asked.write_text(text, encoding="utf-8")
        self._run(
            "-m", "aider", "--model", "openai/mock-1", "--no-git", "--no-check-update",
            "--no-show-release-notes", "--no-show-model-warnings", "--yes-always",
            "--no-gitignore", "--map-tokens", "0", "--message-file", str(asked), *arguments,
        )  # fmt: skip

    def read(self) -> list[dict[str, Any]]:
        """What aider itself reads in its history, its own output as of the role `tool`."""
        said: list[dict[str, Any]] = json.loads(self._run("-c", _READ, str(self.history)))
        return said

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._python), *arguments],
            cwd=self.repository,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=250,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
