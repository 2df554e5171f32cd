"""`context`, `summarize` and `entities` with a model: over real HTTP, and by a real program."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synmem.backends import open_store
from synmem.messages import Conversation, Message
from synmem.store import Part
from tests.cli.moved import run as result_of
from tests.cli.processes import on_terminal, start
from tests.services.llm import ModelServer, model_server


def run(*arguments: str) -> tuple[int, str, str]:
    result = result_of(*arguments)
    return result.exit_code, result.stdout, result.stderr


def answer(prompt: str) -> str:
    if "separated by commas" in prompt:
        return "Ann, Rome"
    if prompt.startswith("Describe"):
        return f"{prompt.split()[1]}\nis known"
    return f"summary of {prompt.count('<')} facts"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with model_server(answer) as running:
        yield running


def configure(own_folders: Path, toml: str) -> None:
    file = own_folders / "config" / "synmem" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(toml)
    file.chmod(0o600)


@pytest.fixture(params=["openai", "anthropic"])
def configured(
    request: pytest.FixtureRequest,
    server: ModelServer,
    own_folders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ModelServer:
    url = server.openai if request.param == "openai" else server.anthropic
    configure(
        own_folders, f'[llm]\nprovider = "{request.param}"\nmodel = "m"\nbase_url = "{url}"\n'
    )
    monkeypatch.setenv(f"{request.param.upper()}_API_KEY", "sk-hunter2")
    return server


def fill(file: Path, count: int = 30, names: tuple[str, ...] = ("a",), start: int = 0) -> str:
    async def main() -> None:
        async with open_store("sqlite", {"db_path": str(file)}, write=True) as store:
            said = [
                Message("user", f"<fact {n} of the harbour>") for n in range(start, start + count)
            ]
            await store.append([Part(Conversation(name), said) for name in names])

    asyncio.run(main())
    return str(file)


@pytest.fixture
def chat(tmp_path: Path) -> str:
    return fill(tmp_path / "chat.db")


# --- context ----------------------------------------------------------------------------------


def test_naming_hybrid_asks_and_smart_does_not(configured: ModelServer, chat: str) -> None:
    before = Path(chat).read_bytes()
    code, out, err = run("context", "a", "-p", chat, "--strategy", "hybrid")
    messages = json.loads(out)
    assert (code, err) == (0, "")
    assert messages[0]["content"] == "Summary of earlier conversation:\nsummary of 20 facts"
    assert len(messages) == 11
    assert configured.asked[0].key == "sk-hunter2"
    assert Path(chat).read_bytes() == before  # a context is a read
    assert run("context", "a", "-p", chat)[0] == 0
    assert run("context", "a", "-p", chat, "--strategy", "hybrid")[1] == out
    assert len(configured.asked) == 1


def test_two_new_messages_are_sent_and_not_the_history(configured: ModelServer, chat: str) -> None:
    run("context", "a", "-p", chat, "-s", "hybrid")
    characters = configured.characters
    fill(Path(chat), 2, start=30)
    code, out, _ = run("context", "a", "-p", chat, "-s", "hybrid", "-f", "anthropic")
    assert code == 0
    assert [prompt.count("<") for prompt in configured.prompts] == [20, 2]
    assert configured.characters - characters < 700
    body = json.loads(out)
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}


def test_a_failing_model_is_exit_1_and_one_line(configured: ModelServer, chat: str) -> None:
    configured.failures[:] = [401] * 9
    before = Path(chat).read_bytes()
    for arguments in (
        ("context", "a", "-s", "hybrid"), ("context", "a", "-s", "summary-buffer", "--max-tokens", "100"),
        ("context", "a", "-s", "entity"), ("summarize", "a"), ("summarize", "a", "--replace", "--yes"),
        ("entities", "a"),
    ):  # fmt: skip
        code, out, err = run(*arguments, "-p", chat)
        assert (code, out) == (1, ""), arguments
        assert "answered 401" in err
        assert len(err.splitlines()) == 1
        assert "hunter2" not in err
    code, _, err = run("entities", "a", "-p", chat, "--json")
    assert json.loads(err)["error"]["kind"] == "model"
    assert Path(chat).read_bytes() == before


def test_a_proxy_that_cannot_be_used_is_exit_1_and_one_line(
    configured: ModelServer, chat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process of its own: what a half made client says, it says when the program ends."""
    monkeypatch.setenv("ALL_PROXY", "socks9://127.0.0.1:1")
    process = start("summarize", "a", "-p", chat)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"synmem: ALL_PROXY is not the address of a proxy")
    assert len(err.splitlines()) == 1
    assert configured.asked == []


def test_without_a_model_the_hint_says_what_to_configure(chat: str) -> None:
    for arguments in (
        ("context", "a", "-s", "hybrid"),
        ("entities", "a"),
        ("summarize", "a", "--method", "llm"),
    ):
        code, out, err = run(*arguments, "-p", chat)
        assert (code, out) == (1, ""), arguments
        assert err.startswith("synmem: no LLM is configured ([llm] in config.toml: provider")
    assert run("context", "a", "-s", "hybrid", "-p", chat, "--model", "m")[0] == 2


def test_the_model_can_be_named(
    configured: ModelServer, chat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNMEM_LLM_MODEL", "of-env")
    run("summarize", "a", "-p", chat)
    run("entities", "a", "-p", chat, "--model", "of-flag")
    assert {each.body["model"] for each in configured.asked[1:]} == {"of-flag"}
    assert configured.asked[0].body["model"] == "of-env"


def test_exact_tokens(chat: str) -> None:
    code, out, err = run(
        "context", "a", "-p", chat, "-s", "tokens", "--tokenizer", "o200k_base", "--max-tokens", "50",
        "--explain",
    )  # fmt: skip
    import bpe_openai

    encoding = bpe_openai.get_encoding("o200k_base")
    tokens = sum(len(encoding.encode_ordinary(each["content"])) for each in json.loads(out))
    assert code == 0
    assert 40 < tokens <= 50
    assert err.splitlines()[-1] == f"{tokens} tokens"
    code, _, err = run("context", "a", "-p", chat, "--tokenizer", "gpt2")
    assert code == 2
    assert "cl100k_base, o200k_base" in err


# --- summarize --------------------------------------------------------------------------------


def test_auto_asks_the_model_where_there_is_one(configured: ModelServer, chat: str) -> None:
    code, out, err = run("summarize", "a", "-p", chat)
    assert (code, out, err) == (0, "summary of 10 facts\n", "")
    fill(Path(chat), 2, start=30)
    assert run("summarize", "a", "-p", chat)[0] == 0
    assert [prompt.count("<") for prompt in configured.prompts] == [10, 2]
    assert "up to date" in run("summarize", "a", "-p", chat)[2]
    assert run("context", "a", "-p", chat, "-f", "text")[1].startswith("System: Summary of earlier")
    assert len(configured.asked) == 2
    code, _, err = run("summarize", "a", "-p", chat, "--method", "extractive")
    assert (code, err) == (0, "")
    assert len(configured.asked) == 2


def test_a_prompt_of_ones_own(configured: ModelServer, chat: str, tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("Auf Deutsch: {conversation}", "utf-8")
    assert run("summarize", "a", "-p", chat, "--prompt", str(file))[0] == 0
    assert configured.prompts[0].startswith("Auf Deutsch: User: <fact 0")
    file.write_text("Sum up.", "utf-8")
    code, _, err = run("summarize", "a", "-p", chat, "--prompt", str(file))
    assert code == 2
    assert "{conversation}" in err
    assert run("summarize", "a", "-p", chat, "--prompt", str(tmp_path / "none"))[0] == 2
    assert len(configured.asked) == 1


def test_one_failure_does_not_stop_the_others(configured: ModelServer, tmp_path: Path) -> None:
    chat = fill(tmp_path / "many.db", names=("a", "b", "c"))
    configured.failures[:] = [400]
    code, out, err = run("summarize", "--match", "*", "-p", chat, "--json")
    assert code == 6
    assert [each["conversation_id"] for each in json.loads(out)] == ["b", "c"]
    assert "a: not summarized: m at http" in err
    code, out, err = run("summarize", "--match", "*", "-p", chat)
    assert code == 0
    assert len(configured.asked) == 4


def test_a_model_that_is_down_is_not_asked_for_each(
    configured: ModelServer, tmp_path: Path
) -> None:
    chat = fill(tmp_path / "many.db", names=tuple("abcdefghij"))
    run("summarize", "a", "-p", chat)
    configured.failures[:] = [401] * 99
    code, _, err = run("summarize", "--match", "*", "-p", chat)
    assert code == 6
    assert len(configured.asked) == 1 + 5
    assert "4 more were not tried: the model failed 5 times in a row" in err


def test_replace_by_a_model_and_undo(configured: ModelServer, chat: str) -> None:
    before = run("show", "a", "-p", chat)[1]
    assert run("summarize", "a", "-p", chat, "--replace")[0] == 8
    code, _, _ = run("summarize", "a", "-p", chat, "--replace", "--yes")
    assert code == 0
    assert len(configured.asked) == 1  # what was paid for before the refusal is used
    after = run("show", "a", "-p", chat)[1]
    assert after.startswith("System: Summary of earlier conversation:\nsummary of 10 facts\nUser: ")
    assert run("undo")[0] == 0
    assert run("show", "a", "-p", chat)[1] == before


# --- entities ---------------------------------------------------------------------------------


def test_entities_in_a_pipe_as_json_and_on_a_terminal(
    configured: ModelServer, tmp_path: Path
) -> None:
    chat = fill(tmp_path / "chat.db", 2)
    code, out, err = run("entities", "a", "-p", chat)
    assert (code, out, err) == (0, "Ann: Ann is known\nRome: Rome is known\n", "")
    calls = len(configured.asked)
    assert json.loads(run("entities", "a", "-p", chat, "--json")[1]) == [
        {"name": "Ann", "description": "Ann\nis known"},
        {"name": "Rome", "description": "Rome\nis known"},
    ]
    code, shown = on_terminal("entities", "a", "-p", chat)
    assert code == 0
    assert "  Ann is known\r\n" in shown
    assert len(configured.asked) == calls
    assert run("entities", "a", "-p", chat, "--max-entities", "0")[0] == 2
    assert run("entities", "gone", "-p", chat)[0] == 3
    code, out, _ = run("context", "a", "-s", "entity", "-p", chat, "-f", "text")
    assert out.startswith("System: Known entities:\n      - Ann: Ann\n        is known\n")
    assert len(configured.asked) == calls


def test_what_is_remembered_needs_no_model(
    configured: ModelServer, tmp_path: Path, own_folders: Path
) -> None:
    chat = fill(tmp_path / "chat.db", 2)
    run("entities", "a", "-p", chat)
    configure(own_folders, "")
    assert run("entities", "a", "-p", chat)[:2] == (0, "Ann: Ann is known\nRome: Rome is known\n")
    fill(Path(chat), 1, start=2)
    assert run("entities", "a", "-p", chat)[0] == 1


# --- a program ----------------------------------------------------------------------------------

PROGRAM = """
import sys, time
prompt = sys.stdin.read()
with open(sys.argv[1], "a") as log:
    log.write(f"{prompt.count('<')}\\n")
if len(sys.argv) > 2:
    time.sleep(60)
print("by a program")
"""


def program(own_folders: Path, tmp_path: Path, *arguments: str) -> Path:
    file, log = tmp_path / "my model.py", tmp_path / "log"
    file.write_text(PROGRAM)
    words = " ".join(f"'{word}'" for word in (sys.executable, str(file), str(log), *arguments))
    configure(own_folders, f'[llm]\ncommand = "{words}"\n')
    return log


def test_a_program_is_a_model(own_folders: Path, tmp_path: Path, chat: str) -> None:
    log = program(own_folders, tmp_path)
    assert run("summarize", "a", "-p", chat)[:2] == (0, "by a program\n")
    assert run("context", "a", "-p", chat, "-s", "hybrid", "-f", "text")[1].startswith(
        "System: Summary of earlier conversation:\n    by a program\n"
    )
    assert log.read_text() == "10\n10\n"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_the_program_too(own_folders: Path, tmp_path: Path, chat: str) -> None:
    log = program(own_folders, tmp_path, "sleep")
    process = start("summarize", "a", "-p", chat)
    try:
        while not log.exists():
            time.sleep(0.05)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert time.monotonic() - begun < 20
    listed = subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout
    assert str(tmp_path / "my model.py") not in listed
