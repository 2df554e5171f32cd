"""The real coding agents of a terminal, which talk to a model of the test's."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.services import had, npm_programs
from tests.services.npm_programs import Program
from tests.services.scripted_model import ScriptedModel


class Agent(Program):
    """An installation with a home of its own, and what it is started with."""

    first: Sequence[str] = ()
    """The arguments before what is asked."""
    again: Sequence[str] = ()
    """Those with which it goes on with the newest session, also before that."""


def _codex(home: Path, model: ScriptedModel) -> dict[str, str]:
    lines = [
        'model = "mock-1"', 'model_provider = "mock"', 'approval_policy = "never"',
        'sandbox_mode = "danger-full-access"', "[model_providers.mock]", 'name = "mock"',
        f'base_url = "{model.url}"', 'wire_api = "responses"', "requires_openai_auth = false",
    ]  # fmt: skip
    _write(home / ".codex" / "config.toml", "\n".join(lines))
    return {}


def _claude_code(home: Path, model: ScriptedModel) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": model.root,
        "ANTHROPIC_API_KEY": "x",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
    }


def _gemini_cli(home: Path, model: ScriptedModel) -> dict[str, str]:
    _write(home / ".gemini" / "settings.json", json.dumps(_settings("gemini-api-key")))
    return {
        "GEMINI_API_KEY": "x",
        "GOOGLE_GEMINI_BASE_URL": model.root,
        "GEMINI_CLI_NO_RELAUNCH": "1",
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }


def _qwen_code(home: Path, model: ScriptedModel) -> dict[str, str]:
    _write(home / ".qwen" / "settings.json", json.dumps(_settings("openai")))
    return {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": model.url, "OPENAI_MODEL": "mock-1"}


def _copilot_cli(home: Path, model: ScriptedModel) -> dict[str, str]:
    return {
        "COPILOT_PROVIDER_BASE_URL": model.url,
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_API_KEY": "x",
        "COPILOT_MODEL": "mock-1",
        "COPILOT_OFFLINE": "true",
        "COPILOT_AUTO_UPDATE": "false",
    }


def _settings(auth: str) -> dict[str, Any]:
    """What Gemini CLI and what came of it are told."""
    return {
        "security": {"auth": {"selectedType": auth}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True},
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


Prepare = Callable[[Path, ScriptedModel], dict[str, str]]

AGENTS: Final[dict[str, tuple[str, str, str, Prepare, Sequence[str], Sequence[str]]]] = {
    "claude_code": (
        "@anthropic-ai/claude-code", "2.1.329", "cli-wrapper.cjs", _claude_code,
        ["-p", "--dangerously-skip-permissions", "--model", "claude-opus-4-8"], ["--continue"],
    ),
    "codex": (
        "@openai/codex", "0.169.0", "bin/codex.js", _codex,
        ["exec", "--skip-git-repo-check"], ["resume", "--last"],
    ),
    "copilot_cli": (
        "@github/copilot", "1.0.102", "npm-loader.js", _copilot_cli,
        ["--allow-all-tools", "--no-color"], ["--continue"],
    ),
    "gemini_cli": (
        "@google/gemini-cli", "0.61.0", "bundle/gemini.js", _gemini_cli,
        ["--yolo", "-m", "gemini-2.5-flash"], ["--resume", "latest"],
    ),
    "qwen_code": (
        "@qwen-code/qwen-code", "0.15.10", "cli.js", _qwen_code, ["--yolo"], ["--continue"],
    ),
}  # fmt: skip
"""By layout: the package, its version and its program; how it is told where the model is; what it is
started with, and with what it goes on."""


@contextmanager
def running(name: str, home: Path, model: ScriptedModel) -> Iterator[Agent]:
    """The agent of that layout with that home. Where it cannot be had the test is skipped with the
    reason."""
    package, version, script, prepare, first, again = AGENTS[name]
    with had(name, f"{package} {version}"):
        command = npm_programs.script(package, version, name, script)
    agent = Agent(command, home, **prepare(home, model))
    # Of these three what is asked is an option's value, and comes last.
    ask = ["-p"] if name in ("copilot_cli", "gemini_cli", "qwen_code") else []
    agent.first, agent.again = [*first, *ask], [*first, *again, *ask]
    yield agent
