"""`synmem context` as a person and a script see it."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner
from wcwidth import width

from synmem.cli.app import app
from tests import pictures
from tests.cli.processes import PROGRAM, in_pipe, on_terminal


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["context", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def chat(tmp_path: Path) -> str:
    file = tmp_path / "chat.jsonl"
    lines = []
    for n in range(30):
        role = "assistant" if n % 2 else "user"
        lines.append({"conversation_id": "c", "role": role, "content": f"message {n:02} 4567890"})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)


def test_openai_is_the_default(chat: str) -> None:
    code, out, err = run("c", "-p", chat, "--system", "be kind")
    messages = json.loads(out)
    assert (code, err) == (0, "")
    assert messages[0] == {"role": "system", "content": "be kind"}
    assert messages[1] == {"role": "user", "content": "message 00 4567890"}
    assert len(messages) == 31
    assert run("c", "-p", chat, "--system", "be kind", "--json")[1] == out


def test_max_tokens_bounds_everything(chat: str) -> None:
    _, out, _ = run("c", "-p", chat, "--max-tokens", "20", "--system", "x" * 40)
    messages = json.loads(out)
    assert messages[-1]["content"] == "message 29 4567890"
    assert sum(len(each["content"]) for each in messages) <= 80


def test_the_newest_is_kept_with_a_warning(chat: str) -> None:
    code, out, err = run("c", "-p", chat, "--max-tokens", "1")
    assert code == 0
    assert [each["content"] for each in json.loads(out)] == ["message 29 4567890"]
    assert "the newest message alone is over the budget" in err


def test_text_and_anthropic(chat: str) -> None:
    assert run("c", "-p", chat, "--strategy", "window", "--window", "2", "-f", "text")[1] == (
        "User: message 28 4567890\nAssistant: message 29 4567890\n"
    )
    body = json.loads(run("c", "-p", chat, "-f", "anthropic", "--system", "s", "-s", "window")[1])
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert [each["role"] for each in body["messages"]] == ["user", "assistant"] * 5


def test_all_is_everything(chat: str) -> None:
    assert len(json.loads(run("c", "-p", chat, "-s", "all")[1])) == 30
    assert len(json.loads(run("c", "-p", chat, "-s", "all", "--max-tokens", "9")[1])) == 2


def test_system_and_search_results_may_be_files(chat: str, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("é {braces} [link=x]\n", "utf-8")
    _, out, _ = run("c", "-p", chat, "--system", f"@{file}", "--search-results", f"@{file}")
    assert json.loads(out)[0]["content"] == "é {braces} [link=x]\n"
    assert json.loads(out)[1]["content"].startswith("Search Results Context:\né")
    assert run("c", "-p", chat, "--system", "@nowhere")[0] == 2


def test_explain_says_why_on_stderr(chat: str) -> None:
    code, out, err = run("c", "-p", chat, "--max-tokens", "14", "--explain", "-f", "text")
    lines = err.splitlines()
    assert code == 0
    assert len(out.splitlines()) == 2
    assert lines[0].split() == ["older", "messages", "are", "not", "read"]
    assert [line.split()[0] for line in lines[1:-1]] == ["out", "in", "in"]
    assert "the newest" in lines[-2]


def test_explain_says_what_anthropic_does_not_take(chat: str) -> None:
    arguments = ("c", "-p", chat, "-s", "window", "--window", "3", "--explain")
    verdicts = [line.split()[:3] for line in run(*arguments)[2].splitlines()]
    assert ["in", "-3", "assistant"] in verdicts
    _, out, err = run(*arguments, "-f", "anthropic")
    assert len(json.loads(out)["messages"]) == 2
    verdicts = [line.split()[:3] for line in err.splitlines()]
    assert ["out", "-3", "assistant"] in verdicts
    assert err.splitlines()[-1] == "about 9 tokens"


@pytest.mark.parametrize("strategy", ["smart", "window", "tokens", "all"])
def test_anthropic_gets_the_newest_message_and_no_more_than_the_budget(
    tmp_path: Path, strategy: str
) -> None:
    call = {"id": "c1", "name": "f", "arguments": {}}
    talk = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "user", "content": "wait"},
        {"role": "tool", "content": "found it", "tool_call_id": "c1"},
    ]
    file = tmp_path / "chat.jsonl"
    file.write_text("".join(json.dumps({"conversation_id": "c", **each}) + "\n" for each in talk))
    arguments = ("c", "-p", str(file), "-s", strategy, "-f", "anthropic", "--explain")
    body = json.loads(run(*arguments, "--window", "3")[1])
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == "..."
    result, said = body["messages"][-1]["content"]
    assert (result["content"], said["text"]) == ("found it", "wait")
    _, _, err = run(*arguments, "--window", "3", "--max-tokens", "14")
    assert "the newest message alone is over the budget" not in err
    assert ["in", "-", "question", "1", "tokens"] in [line.split()[:5] for line in err.splitlines()]
    _, _, err = run(*arguments, "--window", "3", "--max-tokens", "13")
    assert "the newest message alone is over the budget" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--query", "x"), ("--strategy", "vector", "--query", " "), ("--strategy", "nonsense"), ("--max-tokens", "0"),
        ("--window", "0"), ("-f", "xml"), ("--max-search-tokens", "0"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error(chat: str, arguments: tuple[str, ...]) -> None:
    assert run("c", "-p", chat, *arguments)[:2] == (2, "")


def test_a_conversation_that_is_not_there_is_not_found(chat: str) -> None:
    assert run("gone", "-p", chat)[:2] == (3, "")


def test_a_summary_is_used_until_it_is_stale(chat: str) -> None:
    assert CliRunner().invoke(app, ["summarize", "c", "-p", chat]).exit_code == 0
    _, out, err = run("c", "-p", chat)
    assert json.loads(out)[0]["content"].startswith("Summary of earlier conversation:\n")
    assert err == ""
    lines = Path(chat).read_text().splitlines(keepends=True)
    Path(chat).write_text("".join(lines[3:]))
    _, out, err = run("c", "-p", chat)
    assert json.loads(out)[0]["content"] == "message 03 4567890"
    assert "stale" in err


def test_on_a_terminal_json_has_lines_of_its_own_and_is_the_same_value(tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    said = {"role": "user", "content": "a\x1b[2J\n\u202e日本 \x7f"}
    file.write_text(json.dumps({"conversation_id": "c", **said}) + "\n")
    for more in ([], ["--json"], ["-f", "anthropic"]):
        code, shown = on_terminal("context", "c", "-p", str(file), *more)
        piped = in_pipe("context", "c", "-p", str(file), *more).stdout
        assert code == 0
        assert json.loads(shown) == json.loads(piped)
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert len(shown.splitlines()) > 4
        assert piped.count(b"\n") == 1


@pytest.mark.parametrize("columns", [40, 50, 80, 110, 200])
def test_what_explain_says_fits_the_terminal(tmp_path: Path, columns: int) -> None:
    file = tmp_path / "chat.jsonl"
    roles = ["user", "assistant", "odd\x1b[2J 日本 role of a long name", "tool"]
    file.write_text(
        "".join(
            json.dumps({"conversation_id": "c", "role": role, "content": "x" * 90 * number}) + "\n"
            for number, role in enumerate(roles, 1)
        )
    )
    told = ["context", "c", "-p", str(file), "-f", "text", "--explain", "--max-tokens", "200"]
    code, shown = on_terminal(*told, columns=columns, NO_COLOR="1")
    lines = shown.splitlines()
    head = next(number for number, line in enumerate(lines) if line.split()[:2] == ["at", "what"])
    assert code == 0
    assert all(width(line) <= min(columns, 100) for line in lines[head:-1])
    assert [line.split()[:2] for line in lines[head + 1 : -1]][-1] == ["in", "-1"]
    assert "out" in {line.split()[0] for line in lines[head + 1 : -1]}
    assert ("█" in shown) == (columns >= 80)
    assert "\x1b[2J" not in shown


def test_what_explain_says_fits_the_terminal_where_stdout_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_text(json.dumps({"conversation_id": "c", "role": "user", "content": "x"}) + "\n")
    told = shlex.join([*PROGRAM, "context", "c", "-p", str(file), "--explain", "--strategy", "all"])
    for columns in (40, 60):
        written = pictures.shown(["sh", "-c", f"{told} > {tmp_path}/out"], columns=columns)
        lines = written.splitlines()
        assert lines[0].split()[:2] == ["at", "what"]
        assert all(width(line) <= columns for line in lines)
