"""What the real Cline and the real Continue write, read as it was said."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import check_copy, exported, run
from tests.services import editors
from tests.services.npm_programs import Program
from tests.services.scripted_model import Answer, Call, scripted_model

pytestmark = pytest.mark.real

SLOWLY = Call("run_commands", {"commands": ["sleep 2; printf 21"]})
BASH = Call("Bash", {"command": "printf 21"})
TASK = Call("spawn_agent", {"task": "The partial question", "systemPrompt": "Be brief."})


def script(call: Call) -> dict[str, list[Answer]]:
    return {
        "Is it warm?": [Answer("Let me check.", "Need the weather.", [call]), Answer("It is 21 °C.")],
        "Delegate it": [Answer("", "", [TASK]), Answer("It is done.")],
        "The partial question": [Answer("The partial answer.")],
        "Grüße, you": [Answer("Hi 👋🏽.\n")],
    }  # fmt: skip


@pytest.fixture
def cline(tmp_path: Path) -> Iterator[Program]:
    with scripted_model(script(SLOWLY)) as model, editors.cline(tmp_path / "home", model) as app:
        yield app


@pytest.fixture
def continue_dev(tmp_path: Path) -> Iterator[Program]:
    with (
        scripted_model(script(BASH)) as model,
        editors.continue_dev(tmp_path / "home", model) as app,
    ):
        yield app


def told(path: Path) -> dict[str, dict[str, Any]]:
    """Every conversation, as it is exported, by what is asked first."""
    return {each["messages"][0]["content"]: each for each in exported(path)}


def check_talk(messages: list[Any], call: Call) -> None:
    """What was asked, called and answered."""
    _, called, result, answer = messages[:4]
    assert (called["content"], answer["content"]) == ("Let me check.", "It is 21 °C.")
    ours = {"id": "call_1", "name": call.name, "arguments": dict(call.arguments)}
    assert called["tool_calls"] == [ours]
    assert (result["role"], result["content"]) == ("tool", "21")
    assert (result["tool_call_id"], result["name"]) == ("call_1", call.name)


def test_what_was_said_to_cline_is_read(cline: Program, tmp_path: Path) -> None:
    cline.run("Is it warm?")
    place = cline.home / ".cline" / "data"
    talk = told(place)["Is it warm?"]
    assert talk["title"] == "Is it warm?"
    check_talk(talk["messages"], SLOWLY)
    assert "Need the weather." in json.dumps(talk["messages"][1]["extra"])
    times = [each["created_at"] for each in talk["messages"]]
    assert times == sorted(times)
    cline.run("Grüße, you")
    assert [m["content"] for m in told(place)["Grüße, you"]["messages"]] == [
        "Grüße, you",
        "Hi 👋🏽.\n",
    ]
    check_copy(place, tmp_path / "own.db")


def test_a_sub_agent_of_cline_is_a_conversation_of_its_own(cline: Program) -> None:
    cline.run("Delegate it")
    found = told(cline.home / ".cline")
    parent, child = found["Delegate it"], found["The partial question"]
    assert child["extra"]["cline"]["parent"] == parent["conversation_id"]
    assert child["messages"][-1]["content"] == "The partial answer."
    assert "The partial answer." in parent["messages"][2]["content"]


def test_cline_is_read_while_it_runs(cline: Program) -> None:
    place = cline.home / ".cline" / "data" / "sessions"
    with cline.start("Is it warm?") as process:
        counts = []
        while process.poll() is None:
            if place.exists():
                result = run("export", "--json", "-p", str(place))
                if result.exit_code == 0:
                    counts.append(sum(len(each["messages"]) for each in json.loads(result.stdout)))
                else:  # nothing was said yet
                    assert result.exit_code == 1, result.stderr
            time.sleep(0.1)
        assert process.returncode == 0
    assert counts == sorted(counts)
    assert len(told(place)["Is it warm?"]["messages"]) == 4


def test_what_was_said_to_continue_is_read(continue_dev: Program, tmp_path: Path) -> None:
    continue_dev.run("Is it warm?")
    continue_dev.run("--resume", "Grüße, you")
    continue_dev.run("Grüße, you")
    place = continue_dev.home / ".continue"
    found = told(place)
    assert found.keys() == {"Is it warm?", "Grüße, you"}
    talk = found["Is it warm?"]["messages"]
    check_talk(talk, BASH)
    assert [m["content"] for m in talk[4:]] == ["Grüße, you", "Hi 👋🏽.\n"]
    check_copy(place / "sessions", tmp_path / "own.db")
