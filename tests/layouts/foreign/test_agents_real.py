"""What the real coding agents write, read as it was said."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import check_copy, exported, run
from tests.cli.test_langchain import done
from tests.services import coding_agents
from tests.services.coding_agents import Agent
from tests.services.scripted_model import Answer, Call, scripted_model

pytestmark = pytest.mark.real

SHELL = {
    "claude_code": Call("Bash", {"command": "printf 21", "description": "weather"}),
    "codex": Call("exec_command", {"cmd": "printf 21"}),
    "copilot_cli": Call("bash", {"command": "printf 21", "description": "weather"}),
    "gemini_cli": Call("run_shell_command", {"command": "printf 21", "description": "weather"}),
    "qwen_code": Call(
        "run_shell_command",
        {"command": "printf 21", "description": "weather", "is_background": False},
    ),
}
PLACES = {
    "claude_code": ".claude",
    "codex": ".codex",
    "copilot_cli": ".copilot",
    "gemini_cli": ".gemini",
    "qwen_code": ".qwen",
}
SLOWLY = Call("Bash", {"command": "sleep 4; printf 21", "description": "weather"})
BOTH = [
    Call("Bash", {"command": "printf one", "description": "a"}, "call_1"),
    Call("Bash", {"command": "printf two", "description": "b"}, "call_2"),
]

Start = Callable[..., Agent]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """An agent, with a model that wants its shell called."""
    with ExitStack() as stack:

        def started(name: str, *calls: Call) -> Agent:
            answers = [
                Answer("Let me check.", "Need the weather.", calls or [SHELL[name]]),
                Answer("It is 21 °C."),
            ]
            script = {"Is it warm?": answers, "Grüße, you": [Answer("Hi 👋🏽.\n")]}
            model = stack.enter_context(scripted_model(script))
            return stack.enter_context(coding_agents.running(name, tmp_path / "home", model))

        yield started


def without_blank(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Role and content of what has a text or is called, less the thoughts."""
    return [
        (each["role"], each["content"].rstrip("\n"))
        for each in messages
        if each["role"] != "reasoning" and (each["content"] or each.get("tool_calls"))
    ]


@pytest.mark.parametrize("name", sorted(SHELL))
def test_what_was_said_to_an_agent_is_read(name: str, start: Start, tmp_path: Path) -> None:
    agent = start(name)
    place = agent.home / PLACES[name]
    agent.run(*agent.first, "Is it warm?")
    (talk,) = exported(place)
    calls = [call for each in talk["messages"] for call in each.get("tool_calls", [])]
    assert [(call["name"], call["arguments"]) for call in calls] == [
        (SHELL[name].name, dict(SHELL[name].arguments))
    ]
    (result,) = [each for each in talk["messages"] if each["role"] == "tool"]
    assert result["tool_call_id"] == calls[0]["id"]
    assert "21" in result["content"]
    words = [text for role, text in without_blank(talk["messages"]) if role != "tool"]
    assert [each for each in words if each] == ["Is it warm?", "Let me check.", "It is 21 °C."]
    assert "Need the weather." in json.dumps(talk["messages"])
    agent.run(*agent.again, "Grüße, you")
    (longer,) = exported(place)
    assert longer["conversation_id"] == talk["conversation_id"]
    assert longer["messages"][: len(talk["messages"])] == talk["messages"] or name == "gemini_cli"
    assert without_blank(longer["messages"])[:-2] == without_blank(talk["messages"])
    assert without_blank(longer["messages"])[-2:] == [
        ("user", "Grüße, you"),
        ("assistant", "Hi 👋🏽."),
    ]
    times = [each["created_at"] for each in longer["messages"]]
    assert times == sorted(times)
    check_copy(place, tmp_path / "own.db")


def test_calls_that_claude_code_made_at_once_are_one_message(start: Start) -> None:
    agent = start("claude_code", *BOTH)
    agent.run(*agent.first, "Is it warm?")
    (talk,) = exported(agent.home / ".claude")
    _, called, *results, answer = talk["messages"]
    assert [call["id"] for call in called["tool_calls"]] == ["call_1", "call_2"]
    assert sorted((m["tool_call_id"], m["content"]) for m in results) == [
        ("call_1", "one"),
        ("call_2", "two"),
    ]
    assert answer["content"] == "It is 21 °C."
    assert "left out" not in run("ls", str(agent.home / ".claude")).stderr


def test_a_session_of_claude_code_that_was_forked_is_another(start: Start) -> None:
    agent = start("claude_code")
    agent.run(*agent.first, "Is it warm?")
    agent.run(*agent.again, "--fork-session", "Grüße, you")
    short, long = sorted(exported(agent.home / ".claude"), key=lambda each: len(each["messages"]))
    assert short["conversation_id"] != long["conversation_id"]
    assert without_blank(long["messages"])[:-2] == without_blank(short["messages"])


def test_going_back_in_claude_code_leaves_another_branch(start: Start) -> None:
    agent = start("claude_code")
    place = agent.home / ".claude"
    agent.run(*agent.first, "Grüße, you")
    (talk,) = exported(place)
    id_, at = talk["conversation_id"], talk["messages"][-1]["extra"]["claude_code"]["uuid"]
    agent.run(*agent.again, "Is it warm?")
    (longer,) = exported(place)
    agent.run(*agent.first, "--resume", id_, "--resume-session-at", at, "Grüße, you two")
    (now,) = exported(place)
    assert [text for role, text in without_blank(now["messages"]) if role == "user"] == [
        "Grüße, you",
        "Grüße, you two",
    ]
    branches = json.loads(done("export", "--json", "--branches", "-p", place))
    (other,) = [each for each in branches if each["conversation_id"] != id_]
    assert other["messages"] == longer["messages"]


def test_a_session_of_claude_code_is_followed_while_it_is_written(
    start: Start, tmp_path: Path
) -> None:
    agent = start("claude_code", SLOWLY)
    id_ = str(uuid.uuid4())
    place = agent.home / ".claude"
    with agent.start(*agent.first, "--session-id", id_, "Is it warm?") as process:
        while place.is_dir() is False or id_ not in run("ls", str(place)).stdout:
            assert process.poll() is None
            time.sleep(0.1)
        shown = tmp_path / "shown"
        command = [sys.executable, "-m", "synmem", "show", "-p", str(place), id_, "--follow"]
        with shown.open("wb") as output, subprocess.Popen(command, stdout=output) as following:
            try:
                until = time.monotonic() + 60
                while "It is 21 °C." not in shown.read_text("utf-8", "replace"):
                    assert following.poll() is None
                    assert time.monotonic() < until, shown.read_text()
                    time.sleep(0.1)
            finally:
                following.terminate()
        assert process.wait(60) == 0
    text = shown.read_text()
    for each in ("User: Is it warm?", "Assistant: Let me check.", "Tool: 21"):
        assert each in text
