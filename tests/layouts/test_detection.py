"""Whose files lie in a place is told by what is in them: each layout takes its own, and no other's."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.as_read import at_once
from synmem.backends.file.finding import look
from synmem.backends.file.members import FilePlace, FolderPlace
from synmem.layouts import registry
from synmem.layouts.heads import Head
from tests.layouts.foreign.folders import files_of, spoiled
from tests.layouts.foreign.wholes import FIXTURES
from tests.layouts.test_fixtures import ALL, Fixture

WHOSE = {
    "agent-framework-file": "agent_framework",
    "big-agi-export": "big_agi",
    "chatbox-export": "chatbox",
    "aider-history": "aider",
    "chatgpt-export": "chatgpt",
    "cherry-studio-backup": "cherry_studio",
    "claude-code": "claude_code",
    "claude-ai-export": "claude_ai",
    "cline-sessions": "cline",
    "cline-tasks": "cline",
    "continue-sessions": "continue_dev",
    "codex-rollouts": "codex",
    "codex-rollouts-legacy": "codex",
    "gemini-cli": "gemini_cli",
    "gemini-contents": "gemini_contents",
    "copilot-cli": "copilot_cli",
    "goose": "goose",
    "haystack-json": "haystack",
    "jan-threads": "jan",
    "langchain-file": "langchain",
    "librechat-export": "librechat",
    "llamaindex-simple-json": "llamaindex",
    "llamaindex-simple-json-legacy": "llamaindex",
    "lmstudio-conversations": "lm_studio",
    "opencode-json": "opencode",
    "pydantic-ai-json": "pydantic_ai",
    "qwen-code": "qwen_code",
    "sillytavern-chats": "sillytavern",
    "strands-files": "strands",
    "text-generation-webui": "text_generation_webui",
    "vscode-chat-sessions": "vscode_chat",
}
"""The layout that each fixture is of; the others are of one that is still to come, or of a form
that is no layout."""

WITHOUT_FIXTURE = {"kimi_cli", "open_webui"}
"""Layouts of which there is no file that a program wrote, only its source."""

OF_FILES = [each for each in ALL if each.backend == "file"]


def fits(path: Path) -> list[str]:
    """The layouts of which the files there are, by how they begin."""
    place = (
        FolderPlace(path, str(path))
        if path.is_dir()
        else FilePlace(path, str(path), None, path.name)
    )
    return [fit.layout for fit in at_once(look(place, None, alone=path.is_file())).fits]


def test_every_layout_of_files_has_a_fixture() -> None:
    assert set(registry.named("file")) == {*WHOSE.values(), *WITHOUT_FIXTURE}


@pytest.mark.parametrize("fixture", OF_FILES, ids=lambda each: each.name)
def test_a_place_is_taken_for_its_own_and_no_other(fixture: Fixture) -> None:
    assert fits(FIXTURES / fixture.name / fixture.place) == [
        WHOSE[each] for each in [fixture.name] if each in WHOSE
    ]


@pytest.mark.parametrize("fixture", ALL, ids=lambda each: each.name)
def test_no_single_file_is_taken_for_another_ones(fixture: Fixture) -> None:
    own = {WHOSE[each] for each in [fixture.name] if each in WHOSE}
    for path in sorted((FIXTURES / fixture.name).rglob("*")):
        if path.is_file():
            assert own >= set(fits(path)), path


SHAPES: list[Any] = [
    each for name in registry.named("file") for each in registry.shapes(name, "file")
]


@pytest.mark.parametrize("fixture", sorted(WHOSE))
@settings(deadline=None, max_examples=40)
@given(some.data())
def test_no_layout_stumbles_over_how_a_file_begins(fixture: str, data: some.DataObject) -> None:
    for name, said in data.draw(spoiled(files_of(fixture))).items():
        for shape in SHAPES:
            assert isinstance(shape.misses(Head.of(name, said)), str | None)
