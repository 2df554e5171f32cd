"""What the real aider writes, read as it was said and as it reads it itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import exported, run
from tests.cli.test_langchain import done
from tests.services.aider import Aider
from tests.services.scripted_model import Answer, scripted_model

pytestmark = pytest.mark.real

EDIT = "I will make it.\n\nhello.py\n```\nprint('hello')\n```"
SCRIPT = {
    "capital of France": [Answer("Paris.\n\nIt is on the Seine.")],
    "Grüße, you": [Answer("Hi 👋🏽, 日本語.\n\n- one\n- two\n\n```sh\n# a comment\n```")],
    "Make a program": [Answer(EDIT)],
}


@pytest.fixture
def aider(tmp_path: Path) -> Iterator[Aider]:
    with scripted_model(SCRIPT) as model:
        yield Aider(tmp_path / "aider", model)


def contents(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Who said what, without the two blanks that end the lines of a question."""
    return [
        (each["role"], "\n".join(line.rstrip(" ") for line in each["content"].split("\n")).strip())
        for each in messages
    ]


def test_sessions_that_aider_writes_are_read_as_they_were_said(aider: Aider) -> None:
    aider.say("What is the capital of France?", "--edit-format", "ask")
    aider.say("Grüße, you\n\n    indented, and\nmore", "--edit-format", "ask")
    aider.say("Make a program", "--edit-format", "whole")
    assert (aider.repository / "hello.py").read_text().strip() == "print('hello')"
    found = exported(aider.repository)
    assert [contents(each["messages"]) for each in found] == [
        [
            ("user", "What is the capital of France?"),
            ("assistant", "Paris.\n\nIt is on the Seine."),
        ],
        [
            ("user", "Grüße, you\n\n    indented, and\nmore"),
            ("assistant", "Hi 👋🏽, 日本語.\n\n- one\n- two\n\n```sh\n# a comment\n```"),
        ],
        [("user", "Make a program"), ("assistant", EDIT)],
    ]
    assert "Applied edit to hello.py" in found[2]["messages"][1]["extra"]["aider"]["output"]
    assert all("Aider v" in each["extra"]["aider"]["announcements"] for each in found)
    ours = [one for each in found for one in contents(each["messages"])]
    theirs = [one for one in contents(aider.read()) if one[0] != "tool"]
    # Its own reader leaves out lines of an answer that begin as its headings do.
    assert [(role, text.replace("# a comment\n", "")) for role, text in ours] == theirs


def test_what_aider_writes_is_copied_and_compared_while_it_goes_on(
    aider: Aider, tmp_path: Path
) -> None:
    aider.say("What is the capital of France?", "--edit-format", "ask")
    done("migrate", aider.repository, tmp_path / "copy.db")
    aider.say("Grüße, you", "--edit-format", "ask")
    assert run("check", aider.repository, tmp_path / "copy.db").exit_code == 7
    done("migrate", aider.repository, tmp_path / "copy.db")
    assert run("check", aider.repository, tmp_path / "copy.db").exit_code == 0
