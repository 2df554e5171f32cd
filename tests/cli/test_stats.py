"""`synmem stats` as a person and a script see it."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner
from wcwidth import width

from synmem.cli.app import app
from tests.cli.processes import on_terminal


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["stats", *arguments])
    return result.exit_code, result.stdout, result.stderr


def export(tmp_path: Path, extra: str = "") -> str:
    file = tmp_path / "chat.jsonl"
    file.write_text(
        '{"conversation_id":"a","role":"user","content":"abcd",'
        '"created_at":"2026-01-02T00:00:00Z"}\n'
        '{"conversation_id":"b","role":"to\\tol","content":"efgh"}\n' + extra
    )
    return str(file)


def test_a_pipe_gets_a_line_for_each_number(tmp_path: Path) -> None:
    code, out, _ = run("-p", export(tmp_path))
    rows = dict(line.split("\t") for line in out.splitlines())
    assert code == 0
    assert (rows["conversations"], rows["messages"], rows["messages to\\tol"]) == ("2", "2", "1")
    assert (rows["characters"], rows["estimated_tokens"], rows["unreadable"]) == ("8", "2", "0")
    assert (rows["first_at"], rows["store"]) == ("2026-01-02T00:00:00.000000Z", export(tmp_path))


def test_json_is_one_object(tmp_path: Path) -> None:
    code, out, _ = run("-p", export(tmp_path), "--json")
    assert code == 0
    assert json.loads(out) == {
        "store": export(tmp_path),
        "conversations": 2,
        "messages": 2,
        "roles": {"user": 1, "to\tol": 1},
        "characters": 8,
        "estimated_tokens": 2,
        "first_at": "2026-01-02T00:00:00.000000Z",
        "last_at": "2026-01-02T00:00:00.000000Z",
        "unreadable": 0,
        "indexes": [],
        "months": {"2026-01": 1},
        "largest": [
            {"conversation_id": "a", "title": None, "messages": 1},
            {"conversation_id": "b", "title": None, "messages": 1},
        ],
    }


def test_an_unreadable_record_is_counted_and_named(tmp_path: Path) -> None:
    file = export(tmp_path, '{"conversation_id":"b","role":"user","content":null}\n')
    code, out, err = run("-p", file, "--json")
    assert (code, json.loads(out)["unreadable"], json.loads(out)["messages"]) == (6, 1, 2)
    assert "b, message 2 cannot be read" in err


def test_the_default_store_is_empty_until_something_is_added() -> None:
    code, out, _ = run("--json")
    assert (code, json.loads(out)["conversations"]) == (0, 0)
    assert run("-p", "nowhere.db")[0] == 3


def test_tokens_are_those_of_what_would_be_sent(tmp_path: Path) -> None:
    call = {"id": "x", "name": "look", "arguments": {"q": "a" * 40_000}}
    seen = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}
    said = [
        {"role": "user", "content": "é", "name": "Ann"},
        {"role": "user", "content": "", "parts": [seen]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "42", "tool_call_id": "x"},
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "both", "parts": [{"type": "text", "text": "both"}]},
    ]
    file = tmp_path / "chat.jsonl"
    file.write_text("".join(json.dumps({"conversation_id": "c", **each}) + "\n" for each in said))
    _, out, _ = run("-p", str(file), "--json")
    counted = json.loads(out)
    explain = ["context", "c", "-p", str(file), "-s", "all", "--explain"]
    explained = CliRunner().invoke(app, explain).stderr.splitlines()[-1]
    assert explained == f"about {counted['estimated_tokens']:,} tokens"
    assert counted["estimated_tokens"] > 11_000
    assert counted["characters"] == 14


def wide(tmp_path: Path) -> str:
    """Conversations of all kinds of sizes, over years, with roles and titles that are odd."""
    lines: list[dict[str, object]] = []
    for number in range(9):
        name = ["日本" * 40, "x" * 900, "e\u0301" * 20, "a\x1b[2J"][number % 4] + str(number)
        lines.append(
            {
                "conversation_id": name,
                "title": ["", "👩\u200d👩\u200d👧 " * 30, "مرحبا " * 30][number % 3],
            }
        )
        lines += [
            {"conversation_id": name, "role": ["user", "assistant", "tool\x1b[2J" + "x" * 90][at % 3],
             "content": "abc", "created_at": f"{2018 + number // 2}-0{1 + at % 9}-02T00:00:00Z"}
            for at in range(number + 1)
        ]  # fmt: skip
    lines += [
        {"conversation_id": "z", "role": f"role {number}", "content": ""} for number in range(30)
    ]
    file = tmp_path / "wide.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines if line.get("title") != ""))
    return str(file)


@pytest.mark.parametrize("columns", [42, 50, 80, 110, 200])
def test_on_a_terminal_every_line_fits(tmp_path: Path, columns: int) -> None:
    code, shown = on_terminal("stats", wide(tmp_path), columns=columns)
    lines = shown.splitlines()
    assert code == 0
    assert all(width(line) <= min(columns, 100) for line in lines), lines
    assert "\x1b[2J" not in shown
    assert "22 others" in shown
    assert "█" in shown


@pytest.mark.parametrize(("columns", "is_said"), [(50, False), (80, True)])
def test_how_long_ago_the_last_was_is_said_where_it_fits(
    tmp_path: Path, columns: int, is_said: bool
) -> None:
    now = (datetime.now(UTC) - timedelta(minutes=10.5)).isoformat()
    line = {"conversation_id": "a", "role": "user", "content": "", "created_at": now}
    code, shown = on_terminal("stats", export(tmp_path, json.dumps(line)), columns=columns)
    assert code == 0
    assert ("(10min ago)" in shown) == is_said
    assert all(width(line) <= columns for line in shown.splitlines())


def test_roles_are_bars_months_are_sparks_and_the_largest_are_named(tmp_path: Path) -> None:
    code, shown = on_terminal("stats", wide(tmp_path), NO_COLOR="1")
    assert code == 0
    lines = [line.strip() for line in shown.splitlines()]
    roles = lines[lines.index("roles") + 1 :]
    assert re.fullmatch(r"user +18 +24%  █+[▏▎▍▌▋▊▉]?", roles[0])
    [sparks] = [line for line in lines if line.startswith("2018-01 ")]
    assert re.fullmatch(r"2018-01 [ ▁▂▃▄▅▆▇█]{50,} 2022-09", sparks)
    largest = lines[lines.index("largest") + 1 :]
    assert largest[0] == "30   40%  z"
    assert largest[1].startswith("9   12%  مرحبا")
    assert len(largest) == 5


def test_months_are_those_of_utc_and_the_largest_have_their_titles(tmp_path: Path) -> None:
    data = json.loads(run("-p", wide(tmp_path), "--json")[1])
    assert sum(data["months"].values()) == 45
    assert next(iter(data["months"].items())) == ("2018-01", 2)
    assert data["months"]["2018-03"] == 0
    assert [each["messages"] for each in data["largest"]] == [30, 9, 8, 7, 6]
    assert data["largest"][1]["title"].startswith("مرحبا")
    rows = dict(line.split("\t")[:2] for line in run("-p", wide(tmp_path))[1].splitlines())
    assert not {"months", "largest"} & {*rows}
    assert run("-p", export(tmp_path))[1].splitlines()[-1] == "unreadable\t0"


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_several_stores_are_compared_in_a_table_that_fits(tmp_path: Path, columns: int) -> None:
    stores = ["-p", wide(tmp_path), "-p", export(tmp_path)]
    code, shown = on_terminal("stats", *stores, columns=columns, NO_COLOR="1")
    lines = shown.splitlines()
    assert code == 0
    assert len(lines) == 4
    assert lines[-1].split()[:3] == ["all", "12", "77"]
    assert all(width(line) <= columns for line in lines)
