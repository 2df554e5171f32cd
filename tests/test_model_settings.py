"""Which model is asked: the table [llm], the environment, the flag; and where the key comes from."""

import sys
from pathlib import Path

import pytest

from synmem.errors import ModelError, ProfileError
from synmem.model_settings import LLMSettings, llm_settings


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC"):
        for name in ("API_KEY", "BASE_URL"):
            monkeypatch.delenv(f"{provider}_{name}", raising=False)


def settings(
    tmp_path: Path, toml: str, *, model: str | None = None, mode: int = 0o600
) -> LLMSettings:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    file.chmod(mode)
    found = llm_settings(file, model=model)
    assert found is not None
    return found


OPENAI = '[llm]\nprovider = "openai"\nmodel = "m"\n'


def test_without_a_table_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("")
    assert llm_settings(tmp_path / "c.toml") is None
    assert llm_settings() is None


def test_flag_then_environment_then_file_then_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(tmp_path, OPENAI + "timeout_s = 7\n")
    assert found.settings == {
        "model": "m",
        "timeout_s": 7,
        "attempts": 3,
        "max_prompt_tokens": 4000,
    }
    assert found.max_prompt_characters == 16_000
    monkeypatch.setenv("SYNMEM_LLM_MODEL", "of-env")
    monkeypatch.setenv("SYNMEM_LLM_TIMEOUT_S", "9")
    assert settings(tmp_path, OPENAI).settings["model"] == "of-env"
    assert settings(tmp_path, OPENAI + "timeout_s = 7\n").settings["timeout_s"] == 9
    assert settings(tmp_path, OPENAI, model="of-flag").settings["model"] == "of-flag"
    monkeypatch.setenv("SYNMEM_LLM_MODEL", "")
    assert settings(tmp_path, OPENAI).settings["model"] == "m"


def test_the_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNMEM_LLM_COMMAND", "ollama run gemma3")
    found = llm_settings()
    assert found is not None
    assert (found.provider, found.connection()["command"]) == (
        "command",
        ["ollama", "run", "gemma3"],
    )


def test_another_provider_leaves_the_files_key_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNMEM_LLM_PROVIDER", "anthropic")
    monkeypatch.setenv("SYNMEM_LLM_MODEL", "claude")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-anthropic")
    found = settings(tmp_path, OPENAI + 'api_key = "of-openai"\nbase_url = "http://h/v1"\n')
    assert found.connection()["api_key"] == "of-anthropic"
    assert found.connection()["base_url"] is None


def test_where_the_key_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError) as caught:
        settings(tmp_path, OPENAI).connection()
    assert "OPENAI_API_KEY" in str(caught.value.hint)
    own = OPENAI + 'base_url = "http://localhost:11434/v1"\n'
    assert settings(tmp_path, own).connection()["api_key"] == "none"
    monkeypatch.setenv("OPENAI_API_KEY", "of-env\n")  # as `export KEY="$(cat key; echo)"` makes it
    assert settings(tmp_path, OPENAI).connection()["api_key"] == "of-env"
    by_command = OPENAI + f"api_key_command = \"{sys.executable} -c 'print(7 * 11)'\"\n"
    assert settings(tmp_path, by_command, mode=0o644).connection()["api_key"] == "77"
    monkeypatch.setenv("MINE", "of-mine")
    by_variable = OPENAI + 'api_key = "${MINE}"\n'
    assert settings(tmp_path, by_variable, mode=0o644).connection()["api_key"] == "of-mine"
    monkeypatch.delenv("MINE")
    with pytest.raises(ProfileError, match="MINE is not set; api_key of \\[llm\\] needs it"):
        settings(tmp_path, by_variable).connection()


def test_a_key_that_cannot_be_sent_is_refused_by_the_place_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clients show the whole header where it holds a control character."""
    in_file = 'api_key = "sk-verysecret\\r-1"\n'
    (tmp_path / "key.py").write_text("print('sk-verysecret\\t1')")
    by_command = f'api_key_command = "{sys.executable} {tmp_path / "key.py"}"\n'
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecret\r-1")
    for toml, place in (
        ("", "OPENAI_API_KEY"), (in_file, "api_key of [llm]"),
        (by_command, "the answer of api_key_command of [llm]"),
    ):  # fmt: skip
        with pytest.raises(ModelError) as caught:
            settings(tmp_path, OPENAI + toml).connection()
        assert f"the key in {place} holds a control character" in str(caught.value)
        assert "verysecret" not in f"{caught.value} {caught.value.hint}"
    monkeypatch.setenv("SYNMEM_LLM_API_KEY", "sk-verysécret")
    with pytest.raises(ModelError, match="the key in SYNMEM_LLM_API_KEY holds"):
        settings(tmp_path, OPENAI).connection()
    monkeypatch.setenv("SYNMEM_LLM_API_KEY", "sk-1\r")
    assert settings(tmp_path, OPENAI).connection()["api_key"] == "sk-1"


def test_a_literal_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    literal = OPENAI + 'api_key = "sk-1"\n'
    assert settings(tmp_path, literal).connection()["api_key"] == "sk-1"
    with pytest.raises(ProfileError, match="can be read by others"):
        settings(tmp_path, literal, mode=0o644)


def test_a_key_command_that_fails_leaks_nothing(tmp_path: Path) -> None:
    code = "import sys; print(1); sys.exit(4)"
    found = settings(tmp_path, OPENAI + f"api_key_command = \"{sys.executable} -c '{code}'\"\n")
    with pytest.raises(ProfileError, match="the api_key_command of \\[llm\\] failed") as caught:
        found.connection()
    assert caught.value.hint == "exit code 4"


def test_the_words_of_a_command_are_expanded_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME", "a b; c")
    found = settings(tmp_path, "[llm]\ncommand = \"run '${NAME}' x\\\\ y\"\n")
    assert found.connection()["command"] == ["run", "a b; c", "x y"]


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[llm]\nmodel = "m"\n', "names no provider"),
        ('[llm]\nprovider = "magic"\n', "a provider that there is not"),
        ('[llm]\nprovider = 3\n', "a provider that there is not"),
        ('[llm]\nprovider = "openai"\n', "has no model, which openai needs"),
        (OPENAI + 'colour = "red"\n', "openai has no key 'colour'"),
        ('[llm]\nprovider = "command"\ncommand = "x"\nmodel = "m"\n', "has no key 'model'"),
        (OPENAI + 'timeout_s = "soon"\n', "timeout_s must be a whole number"),
        (OPENAI + "model = 3\n", "not TOML"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        settings(tmp_path, toml)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[llm]\ncommand = "run \'open"\n', "cannot be split"),
        ('[llm]\ncommand = " "\n', "is empty"),
        (OPENAI + 'base_url = "localhost:1"\n', "must begin with http"),
    ],
)
def test_what_cannot_be_asked_is_said(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        settings(tmp_path, toml).connection()


def test_a_command_takes_no_model_flag(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="names its own model"):
        settings(tmp_path, '[llm]\ncommand = "x"\n', model="m")
