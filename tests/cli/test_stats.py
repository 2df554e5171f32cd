"""`synmem stats` as a person and a script see it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from synmem.cli.app import app


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
