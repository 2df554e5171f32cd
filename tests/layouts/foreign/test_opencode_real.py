"""What the real opencode writes, read as it said it: a tool, a sub-agent, while it is running."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import check_copy, exported, run
from tests.cli.test_langchain import done
from tests.services import opencode
from tests.services.opencode import OpenCode
from tests.services.scripted_model import Answer, Call, scripted_model

pytestmark = pytest.mark.real

SLOWLY = Call("bash", {"command": "sleep 3; printf 21", "description": "weather"})
TASK = {"description": "a part", "prompt": "The partial question", "subagent_type": "general"}
SCRIPT = {
    "Is it warm?": [Answer("Let me check.", "Need the weather.", [SLOWLY]), Answer("It is 21 °C.")],
    "Delegate it": [Answer("", "", [Call("task", TASK)]), Answer("It is done.")],
    "The partial question": [Answer("The partial answer.")],
    "Grüße": [Answer("Hi 👋🏽.\n")],
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[OpenCode]:
    with (
        scripted_model(SCRIPT, tools_only=True) as model,
        opencode.running(tmp_path / "home", model) as app,
    ):
        yield app


def told(path: Path) -> dict[str, dict[str, Any]]:
    """Every conversation, as it is exported, by what is asked first."""
    return {each["messages"][0]["content"].strip('"'): each for each in exported(path)}


def test_what_was_asked_called_and_answered_is_read(app: OpenCode, tmp_path: Path) -> None:
    app.run("Is it warm?")
    app.run("--title", "Greetings", "Grüße")
    app.run("--continue", "Grüße again")
    found = told(app.database)
    asked, called, result, answer = found["Is it warm?"]["messages"]
    assert found["Is it warm?"]["title"] == "Short title"
    assert (called["content"], answer["content"]) == ("Let me check.", "It is 21 °C.")
    assert called["tool_calls"] == [{"id": "call_1", "name": "bash", "arguments": SLOWLY.arguments}]
    assert (result["role"], result["content"], result["tool_call_id"]) == ("tool", "21", "call_1")
    assert "Need the weather." in json.dumps(called["extra"])
    assert asked["created_at"] < called["created_at"] < answer["created_at"]
    assert found["Grüße"]["title"] == "Greetings"
    assert [each["content"] for each in found["Grüße"]["messages"]] == [
        "Grüße", "Hi 👋🏽.\n", '"Grüße again"', "Hi 👋🏽.\n",
    ]  # fmt: skip
    check_copy(app.database, tmp_path / "own.db")


def test_a_sub_agent_is_a_conversation_of_its_own(app: OpenCode) -> None:
    app.run("Delegate it")
    found = told(app.database)
    parent, child = found["Delegate it"], found["The partial question"]
    about_each = {
        each["conversation_id"]: each.get("extra", {})
        for each in map(json.loads, done("export", "-p", app.database).splitlines())
        if "role" not in each
    }
    about = about_each[child["conversation_id"]]["opencode"]
    assert about["parent_id"] == parent["conversation_id"]
    assert child["messages"][-1]["content"] == "The partial answer."
    *_, result, answer = parent["messages"]
    assert "The partial answer." in result["content"]
    assert answer["content"] == "It is done."


def test_it_is_read_while_it_runs(app: OpenCode) -> None:
    with app.start("run", "Is it warm?") as process:
        counts = []
        while process.poll() is None:
            if app.database.exists():
                result = run("export", "--json", "-p", app.database)
                if result.exit_code == 0:
                    messages = [each["messages"] for each in json.loads(result.stdout)]
                    counts.append(sum(map(len, messages)))
                else:  # it makes its tables
                    assert result.exit_code in (1, 4), result.stderr
            time.sleep(0.1)
        assert process.returncode == 0
    assert counts == sorted(counts)
    assert {2, 3} & {*counts}  # the call is there, and its result is not
    assert len(told(app.database)["Is it warm?"]["messages"]) == 4
