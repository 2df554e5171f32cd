"""`check` says where a tool call has no result, or a result no call; that is no damage."""

import json
from pathlib import Path

import pytest

from tests.cli.moved import run
from tests.cli.places import BACKENDS, Places


def call(*ids: str | None) -> dict[str, object]:
    calls = [{"id": i, "name": "look", "arguments": {}} for i in ids]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def result(name: str | None = None) -> dict[str, object]:
    return {"role": "tool", "content": "42", **({"tool_call_id": name} if name else {})}


USER: dict[str, object] = {"role": "user", "content": "what?"}


def export(folder: Path, **conversations: list[dict[str, object]]) -> str:
    file = folder / "chat.jsonl"
    lines = [
        {"conversation_id": name, **each} for name, said in conversations.items() for each in said
    ]
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return str(file)


@pytest.mark.parametrize(
    ("said", "calls", "results"),
    [
        ([USER, call("x"), result("x"), USER], 0, 0),
        ([USER, call("x"), USER], 1, 0),
        ([USER, call("x")], 1, 0),
        ([USER, result("x"), USER], 0, 1),
        ([call("x", "y"), result("y")], 1, 0),
        ([call("x"), USER, result("x")], 0, 0),
        ([call("x"), result("x"), result("x")], 0, 1),
        ([call("x"), result("x"), call("x"), result("x")], 0, 0),
        ([call("x"), result("z")], 1, 1),
        ([call("x"), result()], 0, 0),
        ([USER, result()], 0, 1),
    ],
)
def test_what_is_parted_is_counted(
    tmp_path: Path, said: list[dict[str, object]], calls: int, results: int
) -> None:
    file = export(tmp_path, whole=[USER, call("x"), result("x")], a=said)
    checked = run("check", file, "--json")
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["tools"] == {
        "calls_without_result": calls,
        "results_without_call": results,
        "conversations": int(bool(calls or results)),
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_said_in_one_line_and_is_no_fault(
    backend: str, places: Places, tmp_path: Path
) -> None:
    place = places.new(backend)
    file = export(tmp_path, a=[USER, call("x")], b=[result("y")], c=[USER])
    assert run("import", file, "-p", place).exit_code == 0
    checked = run("check", place)
    assert (checked.exit_code, checked.stdout) == (0, "")
    [line] = checked.stderr.splitlines()
    line = line.partition("; root digest ")[0]
    assert (
        ": 3 conversations, 4 messages: sound; 1 tool call without a result and 1 tool result "
        in line
    )
    assert line.endswith(("without its call in 2 conversations (a, b)", "(b, a)"))


def test_many_are_named_by_the_first(tmp_path: Path) -> None:
    file = export(tmp_path, **{f"c{n}": [call("x", "y")] for n in range(5)})
    assert (
        "sound; 10 tool calls without a result in 5 conversations (c0, c1, c2, ...); root digest "
        in run("check", file).stderr
    )
