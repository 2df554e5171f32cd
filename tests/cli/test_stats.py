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
        "indexes": [],
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
