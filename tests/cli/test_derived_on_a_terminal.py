"""Summaries and entities as a person sees them: wrapped at words; in a pipe as they are."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from wcwidth import width

from tests.cli.processes import in_pipe, on_terminal

MODEL = """
import sys
prompt = sys.stdin.read()
said = "Ann, \x1b[2JRome, 日本" if "separated by commas" in prompt else "it is known that " * 20 + "東京です" * 30
sys.stdout.buffer.write(said.encode())
"""


@pytest.fixture
def store(tmp_path: Path, own_folders: Path) -> str:
    model = tmp_path / "model.py"
    model.write_text(MODEL, "utf-8")
    config = own_folders / "config" / "synmem" / "config.toml"
    config.parent.mkdir(parents=True)
    command = shlex.join([sys.executable, str(model)])
    config.write_text(f'[llm]\nprovider = "command"\ncommand = "{command}"\n')
    config.chmod(0o600)
    file = tmp_path / "chat.jsonl"
    lines = [
        {"conversation_id": "c", "role": "user", "content": f"Ann was {n} times in Rome. " * 9}
        for n in range(3)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_a_summary_is_wrapped_at_words(store: str, columns: int) -> None:
    told = ["summarize", "c", "-p", store, "--max-messages", "1", "-q"]
    code, shown = on_terminal(*told, columns=columns)
    assert code == 0
    assert all(width(line) <= min(columns, 100) for line in shown.splitlines())
    piped = in_pipe(*told).stdout.decode()
    assert "".join(shown.split()) == "".join(piped.split())
    assert len(piped.splitlines()) == 1


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_entities_stand_above_what_is_known_of_them(store: str, columns: int) -> None:
    told = ["entities", "c", "-p", store, "-q"]
    code, shown = on_terminal(*told, columns=columns, NO_COLOR="1")
    lines = shown.splitlines()
    assert code == 0
    assert all(width(line) <= min(columns, 100) for line in lines)
    heads = [line for line in lines if line and not line.startswith("  ")]
    assert heads == ["Ann", "^[[2JRome", "日本"]
    assert "\x1b[2J" not in shown
    assert len(in_pipe(*told).stdout.splitlines()) == 3
