"""`synmem summarize` as a person and a script see it."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synmem.backends import open_store
from synmem.cli.app import app
from synmem.messages import Conversation, Message
from synmem.store import Part


def run(command: str, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [command, *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def database(tmp_path: Path) -> str:
    file = tmp_path / "chat.db"

    async def fill() -> None:
        messages = [
            Message("user", f"Fact {n} is about the harbour crane of town {n}.") for n in range(30)
        ]
        async with open_store("sqlite", {"db_path": str(file)}, write=True) as store:
            await store.append([Part(Conversation(name), messages) for name in ("a", "b")])
            await store.append([Part(Conversation("short"), messages[:3])])

    asyncio.run(fill())
    return str(file)


def note_of(database: str) -> object:
    async def read() -> object:
        async with open_store("sqlite", {"db_path": database}) as store:
            return await store.note("a", "summary")  # type: ignore[attr-defined]

    return asyncio.run(read())


def test_it_prints_and_remembers(database: str) -> None:
    code, out, err = run("summarize", "a", "-p", database)
    assert code == 0
    assert out.startswith("User: Fact ")
    assert "no LLM is configured" in err
    assert isinstance(note_of(database), dict)
    code, again, err = run("summarize", "a", "-p", database)
    assert (code, again) == (0, out)
    assert "up to date" in err


def test_json_is_an_array(database: str) -> None:
    code, out, _ = run("summarize", "--match", "*", "-p", database, "--json")
    found = {each["conversation_id"]: each for each in json.loads(out)}
    assert code == 0
    assert found["short"] == {
        "conversation_id": "short", "summary": None, "messages": 0, "method": None,
        "replaced": False,
    }  # fmt: skip
    assert (found["a"]["messages"], found["a"]["method"]) == (10, "extractive")


def test_several_are_told_apart(database: str) -> None:
    _, out, err = run("summarize", "b", "a", "short", "-p", database)
    assert [line for line in out.splitlines() if line.startswith("#")] == ["# b", "# a"]
    assert "short: nothing to summarize" in err


def test_replace_needs_to_be_agreed_and_can_be_undone(database: str) -> None:
    before = run("show", "a", "-p", database)[1]
    code, out, err = run("summarize", "a", "--replace", "-p", database)
    assert (code, out) == (8, "")
    assert "--yes" in err
    assert run("show", "a", "-p", database)[1] == before
    code, out, err = run("summarize", "a", "--replace", "--yes", "-p", database)
    assert code == 0
    after = run("show", "a", "-p", database)[1]
    assert after.startswith("System: Summary of earlier conversation:\nUser: Fact")
    assert after.endswith("".join(before.splitlines(keepends=True)[10:]))
    assert "synmem undo" in err
    assert run("undo")[0] == 0
    assert run("show", "a", "-p", database)[1] == before


def test_replace_without_a_backup_says_so(database: str) -> None:
    code, _, err = run("summarize", "a", "--replace", "--yes", "--no-backup", "-p", database)
    assert code == 0
    assert "undo" not in err
    assert note_of(database) is None


def test_a_file_that_is_read_only_keeps_its_notes_in_the_state_folder(
    tmp_path: Path, own_folders: Path
) -> None:
    file = tmp_path / "chat.jsonl"
    line = '{"conversation_id":"a","role":"user","content":"The crane of the harbour is broken."}\n'
    file.write_text(line * 30)
    assert run("summarize", "a", "-p", str(file))[0] == 0
    assert file.read_text() == line * 30
    assert len(list((own_folders / "state").rglob("*-summary.json"))) == 1
    assert "up to date" in run("summarize", "a", "-p", str(file))[2]


def test_what_cannot_be_done_is_said(database: str) -> None:
    assert run("summarize", "gone", "-p", database)[0] == 3
    assert run("summarize", "-p", database)[0] == 2
    assert run("summarize", "a", "--match", "*", "-p", database)[0] == 2
    assert run("summarize", "a", "--max-messages", "0", "-p", database)[0] == 2
    assert run("summarize", "a", "--prompt", "p.txt", "-p", database)[0] == 2
    code, _, err = run("summarize", "a", "--method", "llm", "-p", database)
    assert code == 1
    assert "no LLM is configured" in err
    assert run("summarize", "a", "-p", str(Path(database).parent / "none.db"))[0] == 3
    assert not (Path(database).parent / "none.db").exists()


def test_a_file_of_synapsekit_gets_no_note_of_ours(tmp_path: Path, own_folders: Path) -> None:
    from synapsekit.memory.sqlite import SQLiteConversationMemory

    file = tmp_path / "theirs.db"
    memory = SQLiteConversationMemory(db_path=str(file), conversation_id="a")
    for n in range(30):
        memory.add("user", f"Fact {n} is about the harbour crane of town {n}.")
    memory.close()
    assert run("summarize", "a", "-p", str(file))[0] == 0
    assert len(list((own_folders / "state").rglob("*-summary.json"))) == 1
    _, out, _ = run("context", "a", "-p", str(file), "-f", "text")
    assert out.startswith("System: Summary of earlier conversation:\n")
    again = SQLiteConversationMemory(str(file), "a")
    assert len(again.get_messages()) == 30
    again.close()


def test_a_summary_that_cannot_be_remembered_is_printed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("not a folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "chat.jsonl"
    line = '{"conversation_id":"a","role":"user","content":"The crane of the harbour is broken."}\n'
    file.write_text(line * 30)
    code, out, err = run("summarize", "a", "-p", str(file))
    assert (code, out.splitlines()[0]) == (1, "User: The crane of the harbour is broken.")
    assert "cannot be remembered" in err
    assert run("context", "a", "-p", str(file))[0] == 0
    assert run("search", "crane", "-p", str(file))[0] == 0
