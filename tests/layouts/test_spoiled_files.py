"""Files that are cut off, or in which something else stands: of every layout of files."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from synmem.layouts.shapes import MALFORMED, Files
from synmem.messages import Unreadable
from tests.at_places import FIXTURES
from tests.cli.moved import run
from tests.layouts.foreign.folders import (
    check_cuts,
    check_spoiled,
    files_of,
    folder_of,
    groups,
    spoiled,
    unfolded,
)
from tests.layouts.foreign.wholes import check_told

SMALL = [
    ("agent_framework", "agent-framework-file", "", "tools.jsonl"),
    ("big_agi", "big-agi-export", "", "conversation_branch.agi.json"),
    ("chatbox", "chatbox-export", "", "chatbox-exported-data-2026-9-21.json"),
    ("cherry_studio", "cherry-studio-backup", "", "data.json"),
    (
        "cline",
        "cline-sessions",
        "sessions/1795893799968_v3fou",
        "1795893799968_v3fou.messages.json",
    ),
    ("cline", "cline-tasks", "tasks/1795895259647", "api_conversation_history.json"),
    ("cline", "cline-tasks", "tasks/1795895259647", "ui_messages.json"),
    (
        "continue_dev",
        "continue-sessions",
        "sessions",
        "e370a2bb-14a0-4691-abbe-fa24673f726c.json",
    ),
    (
        "gemini_cli",
        "gemini-cli",
        "tmp/demo/chats",
        "session-2026-11-28T19-11-79a8f47a.jsonl",
    ),
    ("gemini_contents", "gemini-contents", "", "checkpoint-tools.json"),
    (
        "copilot_cli",
        "copilot-cli",
        "session-state/c1f8416f-6cb6-4e3e-8608-179dcf4ef4b8",
        "events.jsonl",
    ),
    ("goose", "goose", "", "20250801_120000.jsonl"),
    ("haystack", "haystack-json", "", "messages.json"),
    ("jan", "jan-threads", "threads/f53e6be7-f856-464e-8509-2863f815dcec", "messages.jsonl"),
    ("jan", "jan-threads", "threads/f53e6be7-f856-464e-8509-2863f815dcec", "thread.json"),
    ("langchain", "langchain-file", "", "lc-extra.json"),
    ("librechat", "librechat-export", "", "tools.json"),
    (
        "lm_studio",
        "lmstudio-conversations",
        "conversations",
        "1790000360000.conversation.json",
    ),
    ("pydantic_ai", "pydantic-ai-json", "", "tools.json"),
    (
        "qwen_code",
        "qwen-code",
        "projects/-home-dev-demo/chats",
        "06ebd7d0-fb95-4de1-b091-e0d80a395a35.jsonl",
    ),
    (
        "sillytavern",
        "sillytavern-chats",
        "data/default-user/chats/Bot",
        "Bot - 2026-9-21 @14h 16m 20s 0ms.jsonl",
    ),
    (
        "sillytavern",
        "sillytavern-chats",
        "data/default-user/chats/Bot",
        "Bot - 2026-9-21 @14h 13m 20s 0ms.jsonl",
    ),
    (
        "strands",
        "strands-files",
        "session_tools",
        "agents/agent_default/messages/message_1.json",
    ),
    ("strands", "strands-files", "session_tools", "session.json"),
    (
        "text_generation_webui",
        "text-generation-webui",
        "user_data/logs/instruct",
        "20260921-14-19-20.json",
    ),
    (
        "text_generation_webui",
        "text-generation-webui",
        "user_data/logs/chat/Assistant",
        "20260921-14-16-20.json",
    ),
    (
        "vscode_chat",
        "vscode-chat-sessions",
        "workspaceStorage/0123abcd",
        "chatSessions/743370d0-19da-4fc5-81e3-e4d8a2a8440a.json",
    ),
]
"""Layout, fixture, a folder in it, and a file there."""

FOLDERS = sorted({each[:3] for each in SMALL})


@pytest.mark.parametrize(("layout", "fixture", "under", "name"), SMALL)
def test_a_file_that_ends_at_any_byte_tells_no_wrong_conversation(
    layout: str, fixture: str, under: str, name: str
) -> None:
    files = files_of(fixture, under)
    if under == "":
        files = {name: files[name]}
    check_cuts(layout, files, name)


LINES = [each for each in SMALL if each[3].endswith(".jsonl") and each[0] != "goose"]
"""Of which each line says whose it is; only the first of Goose's does."""


@pytest.mark.parametrize(("layout", "fixture", "under", "name"), LINES)
def test_a_first_line_that_is_spoilt_hides_no_other(
    layout: str, fixture: str, under: str, name: str
) -> None:
    files = {each: data for each, data in files_of(fixture, under).items() if each == name}
    [whole] = unfolded(layout, files).values()
    _, _, rest = files[name].partition(b"\n")
    [told] = unfolded(layout, {name: b"{\n" + rest}).values()
    spoilt = [each for each in told.messages if isinstance(each, Unreadable)]
    assert [each.position for each in spoilt] == [f"{name}:1"]
    assert len(told.messages) >= len(whole.messages)


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        ("chatgpt-export", "conversations.json"),
        ("claude-ai-export", "conversations.json"),
        ("gemini-contents", "checkpoint-tools.json"),
        ("haystack-json", "messages.json"),
        ("langchain-file", "tools.json"),
        ("pydantic-ai-json", "tools.json"),
    ],
)
@pytest.mark.parametrize("spoilt", [None, {"role": 3, "type": "human", "data": "x"}])
def test_a_first_element_that_is_spoilt_hides_no_other(
    fixture: str, name: str, spoilt: object, tmp_path: Path
) -> None:
    data = json.loads((FIXTURES / fixture / name).read_bytes())
    elements = data if isinstance(data, list) else next(iter(data.values()))
    (tmp_path / name).write_text(json.dumps(elements))
    said = run("export", "-p", str(tmp_path)).stdout.count('"role":')
    (tmp_path / name).write_text(json.dumps([spoilt, *elements]))
    result = run("export", "-p", str(tmp_path))
    assert result.exit_code == 6
    assert result.stdout.count('"role":') == said > 0


@pytest.mark.parametrize(("layout", "fixture", "under"), FOLDERS)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.data())
def test_whatever_stands_in_files_is_told_or_named(
    layout: str, fixture: str, under: str, data: some.DataObject
) -> None:
    check_spoiled(layout, data.draw(spoiled(files_of(fixture, under))))


@pytest.mark.parametrize(("layout", "fixture", "under"), FOLDERS)
def test_a_file_that_is_removed_meanwhile_hides_no_other(
    layout: str, fixture: str, under: str
) -> None:
    for group in groups(layout, files_of(fixture, under)):
        for name in group.data:
            rest = {each: data for each, data in group.data.items() if each != name}
            with contextlib.suppress(*MALFORMED):
                for told in folder_of(layout).unfold(Files(group.name, rest)).values():
                    check_told(told)


@pytest.mark.parametrize(
    ("fixture", "lost"),
    [
        ("claude-code", 0),
        ("codex-rollouts", 0),
        ("codex-rollouts-legacy", 0),
        ("copilot-cli", 0),
        ("gemini-cli", 0),  # it writes all of it anew, behind that line
        ("qwen-code", 5),  # of most the first line is the first message
    ],
)
def test_a_session_whose_first_line_is_spoilt_is_told(
    fixture: str, lost: int, tmp_path: Path
) -> None:
    copied = tmp_path / fixture
    shutil.copytree(FIXTURES / fixture, copied, ignore=lambda *_: ["expected.json"])
    said = run("export", "-p", str(copied)).stdout.count('"role":')
    for file in copied.rglob("*.jsonl"):
        file.write_bytes(b'{"spoilt\n' + file.read_bytes().split(b"\n", 1)[1])
    result = run("export", "-p", str(copied))
    assert result.exit_code == 6
    assert result.stdout.count('"role":') == said - lost


@pytest.mark.parametrize("odd", [None, {}, [], 3])
@pytest.mark.parametrize(
    ("layout", "file", "keys"),
    [
        ("big_agi", "big-agi-export/conversations_all_2026-09-21.agi.json", ["conversations"]),
        ("gemini_contents", "gemini-contents/checkpoint-tools.json", ["history"]),
        ("gemini_contents", "gemini-contents/request.json", ["contents"]),
        ("haystack", "haystack-json/messages.json", ["plain"]),
        ("haystack", "haystack-json/messages.json", []),
        ("langchain", "langchain-file/tools.json", []),
        ("pydantic_ai", "pydantic-ai-json/tools.json", []),
        (
            "text_generation_webui",
            "text-generation-webui/user_data/logs/instruct/20260921-14-19-20.json",
            ["internal"],
        ),
    ],
)
def test_what_stands_in_the_place_of_the_first_element_hides_no_other(
    layout: str, file: str, keys: list[str], odd: Any, tmp_path: Path
) -> None:
    value = said = json.loads((FIXTURES / file).read_bytes())
    for key in keys:
        said = said[key] if isinstance(said, dict) else said
    said[0 if isinstance(said, list) else next(iter(said))] = odd
    assert unfolded(layout, {"a.json": value})
    (tmp_path / "a.json").write_text(json.dumps(value))
    result = run("export", "-p", str(tmp_path))
    assert result.exit_code in (0, 6), result.stderr  # an empty one says nothing in some layouts
    assert '"role":' in result.stdout


@pytest.mark.parametrize("odd", [None, 3, ["x"]])
def test_a_session_of_continues_whose_id_is_spoilt_is_called_as_its_file(odd: Any) -> None:
    name = "e370a2bb-14a0-4691-abbe-fa24673f726c.json"
    value = json.loads(files_of("continue-sessions", "sessions")[name])
    assert [*unfolded("continue_dev", {name: {**value, "sessionId": odd}})] == [
        name.removesuffix(".json")
    ]
