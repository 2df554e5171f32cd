"""The models: asked over real HTTP, and as a program that really runs."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synmem.errors import MissingExtra, ModelError
from synmem.models import Model
from tests.models.llms import BROKEN_ENVIRONMENTS
from tests.services.llm import ModelServer, model_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with model_server(lambda prompt: f"  said: {prompt}\n") as running:
        yield running


def ask(provider: str, prompt: str = "hello?", **settings: Any) -> str:
    async def main() -> str:
        model = Model(provider, lambda: settings)
        try:
            return await model.generate(prompt)
        finally:
            await model.close()
            await model.close()

    return asyncio.run(main())


def at(server: ModelServer, provider: str, **more: Any) -> dict[str, Any]:
    url = server.openai if provider == "openai" else server.anthropic
    return {"model": "m-1", "base_url": url, "api_key": "sk-secret-7", "timeout_s": 2, "attempts": 3,
            **more}  # fmt: skip


SERVERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])


@SERVERS
def test_the_answer_comes_over_http(server: ModelServer, provider: str) -> None:
    assert ask(provider, "hello?", **at(server, provider)) == "said: hello?"
    [asked] = server.asked
    assert (asked.protocol, asked.key, asked.prompt) == (provider, "sk-secret-7", "hello?")
    assert asked.body["model"] == "m-1"
    assert [each["role"] for each in asked.body["messages"]] == ["user"]
    assert ("max_tokens" in asked.body) == (provider == "anthropic")


@SERVERS
def test_the_longest_answer_can_be_set(server: ModelServer, provider: str) -> None:
    ask(provider, **at(server, provider, max_output_tokens=77))
    assert server.asked[0].body["max_tokens"] == 77


@SERVERS
def test_hostile_text_goes_through(server: ModelServer, provider: str) -> None:
    text = "a\x00b\u202e \U0001f389 {braces} \x1b[31m"
    assert ask(provider, text, **at(server, provider)) == f"said: {text}".replace("\0", "")
    assert server.prompts == [text]
    assert ask(provider, "a\ud800b", **at(server, provider)) == "said: a?b"
    server.answer = lambda prompt: "c\ud800\0d"
    assert ask(provider, **at(server, provider)) == "c?d"


@SERVERS
def test_a_busy_server_is_asked_again(server: ModelServer, provider: str) -> None:
    server.failures[:] = [429, 500]
    assert ask(provider, **at(server, provider)) == "said: hello?"
    assert len(server.asked) == 3


@SERVERS
@pytest.mark.parametrize(
    ("failures", "says", "retryable", "times"),
    [
        ([401], "m-1 at http://127.0.0.1:{port}{path} answered 401: no, 401 (key ***)", False, 1),
        ([404], "answered 404", False, 1),
        ([400], "answered 400", False, 1),
        ([429] * 3, "answered 429", True, 3),
        (["close"] * 3, "cannot be reached", True, 3),
        (["html"], "cannot be read", False, 1),
        (["malformed"], "cannot be read", False, 1),
        (["other"], "cannot be read", False, 1),
        (["empty"], "answered nothing", False, 1),
        (["cut"], "was cut off", False, 1),
    ],
    ids=str,
)
def test_a_failing_server_is_one_clear_line(
    server: ModelServer, provider: str, failures: list[Any], says: str, retryable: bool, times: int
) -> None:
    server.failures[:] = failures
    with pytest.raises(ModelError) as caught:
        ask(provider, **at(server, provider))
    path = "/v1" if provider == "openai" else ""
    assert says.format(port=server.port, path=path) in str(caught.value)
    assert "secret-7" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.retryable == retryable
    assert len(server.asked) == times


@SERVERS
def test_a_server_that_hangs_is_given_up(server: ModelServer, provider: str) -> None:
    server.failures[:] = ["hang"]
    start = time.monotonic()
    with pytest.raises(ModelError, match="did not answer in time"):
        ask(provider, **at(server, provider, timeout_s=1, attempts=1))
    assert time.monotonic() - start < 20


@SERVERS
def test_nobody_there(provider: str) -> None:
    with model_server() as gone:
        pass
    with pytest.raises(ModelError, match="cannot be reached"):
        ask(provider, **at(gone, provider, attempts=1))


@SERVERS
@pytest.mark.parametrize("key", ["sk-verysecret\r1", "sk-verysecret\n1", "sk-verysecrét"])
def test_a_key_that_cannot_be_sent_is_not_shown(
    server: ModelServer, provider: str, key: str
) -> None:
    with pytest.raises(ModelError, match="the key in api_key holds") as caught:
        ask(provider, **at(server, provider, api_key=key))
    assert "verysecr" not in f"{caught.value} {caught.value.hint}"
    assert server.asked == []


@SERVERS
def test_a_header_of_the_environment_is_not_shown(
    server: ModelServer, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{provider.upper()}_CUSTOM_HEADERS", "X-Mine: very\rsecret")
    with pytest.raises(ModelError) as caught:
        ask(provider, **at(server, provider, attempts=1))
    assert "secret" not in str(caught.value)


@SERVERS
@pytest.mark.parametrize(("name", "value", "says"), BROKEN_ENVIRONMENTS)
def test_an_environment_that_lets_nobody_be_asked_is_named(
    server: ModelServer, provider: str, name: str, value: str, says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")  # is not at fault
    monkeypatch.setenv(name, value)
    with pytest.raises(ModelError, match=says) as caught:
        ask(provider, **at(server, provider))
    assert "HTTPS_PROXY" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "unset it" in str(caught.value.hint)


def test_the_settings_are_looked_up_when_it_is_asked() -> None:
    def never() -> dict[str, Any]:
        raise AssertionError

    asyncio.run(Model("openai", never).close())


@SERVERS
def test_a_package_that_is_not_installed_is_named(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"openai": "openai_chat", "anthropic": "anthropic_messages"}[provider]
    monkeypatch.delitem(sys.modules, f"synmem.models.{module}", raising=False)
    monkeypatch.setitem(sys.modules, provider, None)
    with pytest.raises(MissingExtra) as caught:
        ask(provider)
    assert caught.value.hint == f"pip install 'synmem-cli[{provider}]'"


# --- a program --------------------------------------------------------------------------------


def program(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "model.py"
    file.write_text(text)
    return [sys.executable, str(file)]


def run(words: list[str], prompt: str = "hello?", timeout_s: int = 20) -> str:
    return ask("command", prompt, command=words, timeout_s=timeout_s)


def test_a_program_reads_the_prompt_and_prints_the_answer(tmp_path: Path) -> None:
    words = program(tmp_path, "import sys; print('GOT', sys.stdin.read().upper(), sys.argv[1:])")
    assert run([*words, "a b; touch x", "$HOME"], "é\n" * 50_000).startswith("GOT É\nÉ\n")
    assert run([*words, "a b; touch x", "$HOME"], "q") == "GOT Q ['a b; touch x', '$HOME']"


def test_a_program_that_reads_nothing_may_answer(tmp_path: Path) -> None:
    assert run(program(tmp_path, "print('hi')"), "x" * 1_000_000) == "hi"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import sys; print('half'); sys.exit('no model\\n  pulled')",
         r"failed \(exit code 1\): no model pulled$"),
        ("import os; os.kill(os.getpid(), 9)", r"failed \(killed by signal 9\)$"),
        ("print()", "answered nothing"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "is not UTF-8"),
        ("import sys; sys.exit('at http://u:hunter2@h/')", r"at http://u:\*\*\*@h/"),
    ],
    ids=["exit", "signal", "nothing", "bytes", "secret"],
)  # fmt: skip
def test_a_program_that_fails_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        run(program(tmp_path, text))
    assert sys.executable in str(caught.value)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="the program no-such-model is not there"):
        run(["no-such-model"])


SLEEPER = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


def ended(pid: int) -> bool:
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                time.sleep(0.05)
                continue
        return True
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    words = [*program(tmp_path, SLEEPER), str(tmp_path / "pid")]
    with pytest.raises(ModelError, match="took more than 2 s"):
        run(words, timeout_s=2)
    assert ended(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_program_is_killed_when_the_call_is_given_up(tmp_path: Path) -> None:
    words = [*program(tmp_path, SLEEPER), str(tmp_path / "pid")]

    async def main() -> None:
        model = Model("command", lambda: {"command": words, "timeout_s": 60})
        task = asyncio.create_task(model.generate("x"))
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended(int((tmp_path / "pid").read_text()))
