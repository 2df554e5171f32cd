"""Embedders: the built-in model, offline; and an endpoint, over real HTTP."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from synmem.errors import MissingExtra, ModelError
from synmem.vectors import OpenAIEmbedder, WordLlama, embedder_of
from synmem.vectors.embedding import PIECE, Embedder, embed_query, pieces
from tests.models.llms import BROKEN_ENVIRONMENTS
from tests.services.embeddings import embedding_server

OFFLINE = """
import asyncio, sys

def forbid(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        raise AssertionError(f"network: {event} {arguments}")
    if event == "open" and arguments[1] and set(str(arguments[1])) & set("wax+"):
        raise AssertionError(f"writes: {arguments}")
    if event in ("os.mkdir", "os.rename"):
        raise AssertionError(f"writes: {arguments}")

from synmem.vectors import WordLlama
sys.addaudithook(forbid)
vectors = WordLlama()._embed(["hello", "world"])
import logging
assert vectors.shape == (2, 256)
assert not logging.getLogger().handlers
assert not {"wordllama", "requests", "pydantic"} & set(sys.modules)
"""

SAME = """
import asyncio, pathlib
import numpy, wordllama
from synmem.vectors import WordLlama
folder = pathlib.Path(wordllama.__file__).parent
theirs = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
texts = ["Grace likes tea", "a", "The deploy failed at midnight.\\n" * 9, "日本語 \U0001f44d"]
ours = asyncio.run(WordLlama().embed(texts))
assert numpy.allclose(ours, theirs.embed(texts, norm=True), atol=1e-6)
"""


def embedded(embedder: Embedder, *texts: str) -> np.ndarray:
    return asyncio.run(embedder.embed(list(texts)))


@pytest.mark.parametrize("program", [OFFLINE, SAME], ids=["offline", "as wordllama itself"])
def test_the_built_in_model_needs_no_network_and_writes_nothing(
    program: str, tmp_path: Path
) -> None:
    home = tmp_path / "empty"
    home.mkdir()
    environment = {
        **os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert not list(home.iterdir())


def test_vectors_have_length_one_and_that_of_no_token_is_zero() -> None:
    vectors = embedded(WordLlama(), "hello", "", "x" * 5000, "lone \ud800", "hello")
    assert vectors.shape == (5, 256)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 1, 1, 1])
    assert (vectors[0] == vectors[4]).all()


def test_a_text_has_the_same_vector_in_any_company() -> None:
    texts = [f"text {'more ' * (i % 50)}{i}" for i in range(600)]
    together = embedded(WordLlama(), *texts)
    assert np.allclose(together[[7, 599]], embedded(WordLlama(), texts[7], texts[599]), atol=1e-6)


def test_a_long_text_is_cut_at_white_space_and_nothing_is_lost() -> None:
    words = [f"word{i}" for i in range(2000)]
    cut = pieces("  " + " ".join(words) + "\n")
    assert max(map(len, cut)) <= PIECE
    assert " ".join(cut).split() == words
    assert "".join(pieces("x" * 5001)) == "x" * 5001
    assert pieces(" \n") == []
    assert pieces("a\ud800") == ["a?"]


def test_a_question_of_any_length_has_one_vector() -> None:
    vector = asyncio.run(embed_query(WordLlama(), "why? " * 3000))
    assert vector.shape == (256,)
    assert np.linalg.norm(vector) == pytest.approx(1)


def test_without_the_packages_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for package, hint in (("tokenizers", "[vector]"), ("openai", "[vector,openai]")):
        monkeypatch.setitem(sys.modules, package, None)
        embedder = WordLlama() if package == "tokenizers" else OpenAIEmbedder(api_key="k")
        with pytest.raises(MissingExtra) as caught:
            embedded(embedder, "x")
        assert hint in (caught.value.hint or "")


def test_the_configuration_says_which_embedder_it_is() -> None:
    assert isinstance(embedder_of({}), WordLlama)
    assert isinstance(embedder_of({"provider": "wordllama"}), WordLlama)
    asked = embedder_of({"provider": "openai", "model": "m", "base_url": "http://u:pw@h/v1"})
    assert asked.model == "openai/m/all at http://u:***@h/v1"


# --- an endpoint ----------------------------------------------------------------------------


def test_an_endpoint_gets_the_texts_and_gives_a_row_for_each_in_their_order() -> None:
    texts = [f"text {i}" for i in range(1200)] + ["long " * 45_000]
    with embedding_server() as server:
        embedder = OpenAIEmbedder("some-model", base_url=server.url, api_key="secret-key-1")
        found = embedded(embedder, *texts)
        assert np.allclose(found, embedded(WordLlama(), *texts), atol=1e-6)
        assert sorted(server.texts) == sorted(texts)
        assert len(server.asked) == 4
        for key, body in server.asked:
            assert (key, body["model"]) == ("secret-key-1", "some-model")
            assert "dimensions" not in body
        assert embedded(embedder).shape[0] == 0
        assert len(server.asked) == 4


def test_an_endpoint_can_be_asked_for_shorter_vectors() -> None:
    with embedding_server() as server:
        embedder = OpenAIEmbedder("m", base_url=server.url, dimensions=64)
        assert embedded(embedder, "x").shape == (1, 64)
        key, body = server.asked[0]
        assert body["dimensions"] == 64
        assert key == "none"  # a server of one's own may want no key


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    with embedding_server() as server:
        embedded(OpenAIEmbedder("m", base_url=server.url), "x")
        assert server.asked[0][0] == "from-environment"


def test_a_key_is_sent_without_the_end_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with embedding_server() as server:
        embedded(OpenAIEmbedder("m", base_url=server.url, api_key="from-command\r\n"), "x")
        monkeypatch.setenv("OPENAI_API_KEY", "from-crlf-file\r")
        embedded(OpenAIEmbedder("m", base_url=server.url), "x")
        assert [key for key, _ in server.asked] == ["from-command", "from-crlf-file"]


def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very\rsecret")
    with embedding_server() as server:
        with pytest.raises(ModelError, match="the key in OPENAI_API_KEY holds") as caught:
            embedded(OpenAIEmbedder("m", base_url=server.url), "x")
        assert "secret" not in f"{caught.value} {caught.value.hint}"
        assert server.asked == []


@pytest.mark.parametrize(("name", "value", "says"), BROKEN_ENVIRONMENTS)
def test_an_environment_that_lets_no_endpoint_be_asked_is_named(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(name, value)
    with embedding_server() as server, pytest.raises(ModelError, match=says) as caught:
        embedded(OpenAIEmbedder("m", base_url=server.url), "x")
    assert "hunter2" not in str(caught.value)


def test_openai_itself_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelError, match="no key") as caught:
        embedded(OpenAIEmbedder(), "x")
    assert "api_key_command" in (caught.value.hint or "")


def test_a_busy_endpoint_is_asked_again() -> None:
    with embedding_server() as server:
        server.failures = [429, "close"]
        assert embedded(OpenAIEmbedder("m", base_url=server.url), "x").shape == (1, 256)
        assert len(server.asked) == 3


@pytest.mark.parametrize("failure", [401, 400, 500, "close", "html", "few", "ragged", "nan"])
def test_an_endpoint_that_fails_is_a_model_error_without_the_key(failure: int | str) -> None:
    with embedding_server() as server:
        server.failures = [failure] * 3
        embedder = OpenAIEmbedder("m", base_url=server.url, api_key="secret-key-1", attempts=1)
        with pytest.raises(ModelError) as caught:
            embedded(embedder, "x", "y")
        assert "secret-key-1" not in f"{caught.value} {caught.value.hint}"
        assert "m at http://127.0.0.1" in str(caught.value)


def test_an_endpoint_that_is_not_there_is_a_model_error() -> None:
    with embedding_server() as server:
        url = server.url
    with pytest.raises(ModelError, match="cannot be reached"):
        embedded(OpenAIEmbedder("m", base_url=url, attempts=1), "x")
