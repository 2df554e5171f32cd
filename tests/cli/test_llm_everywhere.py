"""The strategies and commands that ask a model, on every real store."""

import json
from collections.abc import Iterator

import pytest

from tests.cli.moved import lines, run
from tests.cli.places import BACKENDS, Places
from tests.services.llm import ModelServer, model_server


def answer(prompt: str) -> str:
    if "separated by commas" in prompt:
        return "Ann"
    return f"of {prompt.count('fact')} facts"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with model_server(answer) as server:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("SYNMEM_LLM_PROVIDER", "openai")
        monkeypatch.setenv("SYNMEM_LLM_MODEL", "m")
        monkeypatch.setenv("SYNMEM_LLM_BASE_URL", server.openai)
        yield server


def facts(first: int, count: int) -> bytes:
    return lines({"a": [f"fact {n}" for n in range(first, first + count)]})


def asked(model: ModelServer) -> list[int]:
    """How many facts each call since the last look was about."""
    found = [prompt.count("fact") for prompt in model.prompts]
    model.asked.clear()
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_is_asked_for_what_is_new_alone(
    places: Places, backend: str, model: ModelServer
) -> None:
    store = places.new(backend)

    def done(*arguments: str) -> str:
        result = run(*arguments, "-p", store)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    assert run("import", "-p", store, stdin=facts(0, 30)).exit_code == 0
    before = done("export", "--json")
    for strategy, calls in (("hybrid", [20]), ("summary-buffer", []), ("entity", None)):
        done("context", "a", "-s", strategy)
        found = asked(model)
        assert found == calls if calls is not None else len(found) == 60
        done("context", "a", "-s", strategy)
        assert asked(model) == []
    assert done("summarize", "a") == "of 10 facts\n"
    assert done("entities", "a", "--json") == '[{"name":"Ann","description":"of 2 facts"}]\n'
    assert done("export", "--json") == before
    asked(model)
    for n in (30, 31):
        done("add", "a", f"fact {n}")
    body = json.loads(done("context", "a", "-s", "hybrid", "-f", "anthropic"))
    assert "Summary of earlier conversation" in body["system"][0]["text"]
    done("summarize", "a")
    assert asked(model) == [2 + 1, 2 + 1]  # two messages, and the summary that speaks of facts
    done("entities", "a")
    assert len(asked(model)) == 4
    assert "replaced" in run("summarize", "a", "--replace", "--yes", "-p", store).stderr
    done("undo")
    assert len(json.loads(done("show", "a", "--json"))) == 32
