"""`synmem search --semantic` and `synmem context --strategy vector`, as they are used."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synmem.cli.app import app
from tests.services.embeddings import embedding_server

TALK = [
    ("trip", "user", "We land in Lisbon on Friday."),
    ("trip", "assistant", "Do not forget your passport."),
    ("work", "user", "The deployment failed because the disk was full."),
    ("work", "assistant", "Delete old logs.\nThen try again."),
    ("home", "user", "Our son has a fever\tand stays in bed."),
    ("home", "assistant", "\x1b[31mGive him tea\u202e [link=x]"),
]


@pytest.fixture
def chat(tmp_path: Path) -> str:
    lines = [
        json.dumps({"conversation_id": name, "role": role, "content": text})
        for name, role, text in TALK
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(
        app, ["import", str(tmp_path / "chat.jsonl"), "-p", str(tmp_path / "chat.db")]
    )
    assert result.exit_code == 0, result.stderr
    return str(tmp_path / "chat.db")


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_a_pipe_gets_the_nearest_and_stderr_how_much_was_indexed(chat: str) -> None:
    code, out, err = run("search", "--semantic", "child is sick", "-p", chat, "-k", "1")
    assert (code, out) == (0, "home\t1\tuser\tOur son has a fever\\tand stays in bed.\n")
    assert err == "indexed 6 messages\n"
    assert run("search", "child is sick", "-p", chat)[:2] == (0, "")
    code, out, err = run("search", "server storage", "--semantic", "-p", chat, "-k", "1")
    assert out.startswith("work\t1\tuser\t")
    assert err == ""
    run("add", "home", "He sleeps now", "-p", chat)
    assert run("search", "--semantic", "x", "-p", chat)[2] == "indexed 1 message\n"
    run("add", "home", "He is awake", "-p", chat)
    assert run("search", "--semantic", "x", "-p", chat, "-q")[2] == ""


def test_json_has_the_hits_of_the_contract(chat: str) -> None:
    code, out, _ = run("search", "--semantic", "medicine", "-p", chat, "--json", "-c", "home")
    found = json.loads(out)
    assert code == 0
    assert [set(each) for each in found] == [
        {"conversation_id", "position", "role", "content", "score", "created_at", "title", "tools"}
    ] * 2
    assert {each["content"] for each in found} == {TALK[4][2], TALK[5][2]}


def test_roles_and_times_choose_among_meanings_too(chat: str) -> None:
    asked = ("search", "--semantic", "child is sick", "-p", chat, "-k", "1")
    assert run(*asked, "--role", "assistant")[1].split("\t")[2] == "assistant"
    run("add", "home", "A doctor looked at our child", "--at", "2026-01-02", "-p", chat)
    code, out, err = run(*asked, "--since", "2026-01-01", "--until", "2026-02-01", "-r", "user")
    assert (code, out) == (0, "home\t3\tuser\tA doctor looked at our child\n")
    assert err == "indexed 1 message\nleft out 3 messages without a time\n"
    assert run(*asked, "--until", "2026-01-01")[1] == ""


def test_a_conversation_that_is_not_there_and_a_query_of_nothing(chat: str) -> None:
    assert run("search", "--semantic", "x", "-c", "gone", "-p", chat)[0] == 3
    assert run("search", "--semantic", " ", "-p", chat)[0] == 2
    assert run("search", "--semantic", "x", "-k", "0", "-p", chat)[0] == 2
    assert run("search", "--semantic", "x", "-p", chat + "gone.db")[0] == 3
    assert run("search", "--semantic", "x")[:2] == (0, "")  # the default store is not there yet


def test_without_the_extra_it_says_what_to_install(
    chat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for command in (("search", "--semantic", "x"), ("context", "home", "--strategy", "vector")):
        code, out, err = run(*command, "-p", chat)
        assert (code, out) == (1, "")
        assert "pip install 'synmem-cli[vector]'" in err
    error = json.loads(run("search", "--semantic", "x", "-p", chat, "--json")[2])["error"]
    assert error["kind"] == "missing_extra"


def test_an_erasure_forgets_the_vectors(chat: str, own_folders: Path) -> None:
    run("search", "--semantic", "x", "-p", chat)
    folder = own_folders / "state" / "synmem" / "vectors"
    assert list(folder.iterdir())
    assert run("clear", "home", "--yes", "--no-backup", "-p", chat)[0] == 0
    assert not list(folder.iterdir())
    assert "fever" not in run("search", "--semantic", "sick child", "-p", chat)[1]


def test_what_was_cleared_is_not_found(chat: str) -> None:
    run("search", "--semantic", "x", "-p", chat)
    assert run("clear", "home", "--yes", "-p", chat)[0] == 0
    assert "fever" not in run("search", "--semantic", "sick child", "-p", chat, "-k", "99")[1]


def test_a_terminal_sees_hostile_text_made_visible(chat: str) -> None:
    here, there = pty.openpty()
    command = [sys.executable, "-m", "synmem", "search", "--semantic", "hot drink", "-p", chat]
    process = subprocess.Popen(
        command, stdout=there, stderr=there, env={**os.environ, "TERM": "xterm"}
    )
    os.close(there)
    printed = b""
    while True:
        try:
            printed += os.read(here, 65536)
        except OSError:
            break
    process.wait()
    os.close(here)
    assert process.returncode == 0
    assert b"^[[31mGive him tea<U+202E> [link=x]" in printed
    assert b"#2" in printed
    assert b"indexed 6 messages" in printed
    assert b"Delete old logs. Then try again.\r\n" in printed


# --- a configured endpoint ------------------------------------------------------------------


def configured(own_folders: Path, **keys: object) -> str:
    file = own_folders / "config.toml"
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    file.write_text(f"[embedding]\n{text}\n")
    file.chmod(0o600)
    return str(file)


def test_an_endpoint_is_asked_where_one_is_configured(chat: str, own_folders: Path) -> None:
    with embedding_server() as server:
        config = configured(
            own_folders, provider="openai", base_url=server.url, model="m",
            api_key_command="echo secret-key-1", dimensions=128,
        )  # fmt: skip
        arguments = ("search", "--semantic", "child is sick", "-p", chat, "--config", config)
        code, out, err = run(*arguments, "-k", "1")
        assert (code, err) == (0, "indexed 6 messages\n")
        assert out.startswith("home\t1\t")
        assert {key for key, _ in server.asked} == {"secret-key-1"}
        assert {(body["model"], body["dimensions"]) for _, body in server.asked} == {("m", 128)}
        assert len(server.texts) == 7
        run(*arguments)
        assert len(server.texts) == 8  # the query alone
        server.failures = [401]
        code, out, err = run(*arguments)
        assert (code, out) == (1, "")
        assert "401" in err
        assert "secret-key-1" not in err
    code, _, err = run(*arguments, "--json")
    assert code == 1
    assert json.loads(err)["error"]["kind"] == "model"
    assert run("search", "--semantic", "x", "-p", chat)[2] == "indexed 6 messages\n"  # WordLlama


@pytest.mark.parametrize(
    "keys",
    [
        {"provider": "nonsense"}, {"provider": "wordllama", "model": "x"}, {"modle": "x"},
        {"provider": "openai", "dimensions": 0}, {"provider": "openai", "base_url": "ftp://x"},
        {"provider": "openai", "api_key_command": "false"}, {"provider": 3},
        {"provider": "openai", "api_key": "${NOT_SET_ANYWHERE}"},
        {"provider": "openai", "api_key": "sk-very\rsecret"},
    ],
    ids=str,
)  # fmt: skip
def test_a_configuration_that_makes_no_sense_is_named(
    chat: str, own_folders: Path, keys: dict[str, object]
) -> None:
    config = configured(own_folders, **keys)
    code, out, err = run("search", "--semantic", "x", "-p", chat, "--config", config)
    assert (code, out) == (1, "")
    assert "embedding" in err
    assert "secret" not in err


def test_the_environment_overrides_the_file(
    chat: str, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(own_folders, provider="openai", model="m", base_url="http://127.0.0.1:1")
    arguments = ("search", "--semantic", "child is sick", "-p", chat, "--config", config)
    with embedding_server() as server:
        monkeypatch.setenv("SYNMEM_EMBEDDING_BASE_URL", server.url)
        monkeypatch.setenv("SYNMEM_EMBEDDING_MODEL", "other")
        assert run(*arguments)[0] == 0
        assert {body["model"] for _, body in server.asked} == {"other"}
    for key in ("BASE_URL", "MODEL"):
        monkeypatch.delenv(f"SYNMEM_EMBEDDING_{key}")
    monkeypatch.setenv("SYNMEM_EMBEDDING_PROVIDER", "wordllama")
    assert run(*arguments)[0] == 0


# --- the context ----------------------------------------------------------------------------


def test_a_context_of_what_is_near(chat: str) -> None:
    arguments = ("context", "trip", "--strategy", "vector", "-p", chat)
    for text in ("Where is my umbrella?", "In the car", "Thanks", "You are welcome"):
        run("add", "trip", text, "-p", chat)
    code, out, err = run(*arguments, "--query", "flight to Portugal", "--window", "1")
    assert (code, err) == (0, "indexed 6 messages\n")
    assert [each["content"] for each in json.loads(out)] == [TALK[0][2], "You are welcome"]
    code, out, err = run(*arguments, "--query", "documents", "--explain", "-f", "text")
    assert code == 0
    assert out.startswith("User: We land in Lisbon")
    assert "near (0." in err
    assert "the newest" in err
    assert run("context", "gone", "--strategy", "vector", "-p", chat)[0] == 3
