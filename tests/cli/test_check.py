"""`synmem check`."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from synmem.backends.file.forms import Form
from synmem.messages import Holds
from tests.cli.moved import lines, make, run

SOURCE = {"same": ["1"], "here": ["1"], "short": ["1", "2"], "long": ["1"], "other": ["1", "2"]}
DEST = {"same": ["1"], "there": ["1"], "short": ["1"], "long": ["1", "2"], "other": ["1", "x"]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make(tmp_path / "source.db", SOURCE)


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return make(tmp_path / "dest.db", DEST)


def test_a_sound_store(source: Path) -> None:
    result = run("check", source)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{source}: 5 conversations, 7 messages: sound" in result.stderr
    data = json.loads(run("check", source, "--json").stdout)
    assert data["counts"] == {"conversations": 5, "messages": 7, "unreadable": 0}


def test_what_cannot_be_read_is_named(source: Path, dest: Path) -> None:
    with sqlite3.connect(source) as database:
        database.execute("UPDATE messages SET metadata = '[' WHERE conversation_id = 'same'")
    database.close()
    result = run("check", source)
    assert result.exit_code == 6
    assert result.stdout.startswith("! same  message 1: ")
    both = run("check", source, dest, "--match", "same")
    assert both.exit_code == 6
    assert both.stdout.startswith("! same")


def test_differences_are_listed_and_exit_7(source: Path, dest: Path) -> None:
    result = run("check", source, dest)
    assert result.exit_code == 7
    assert sorted(result.stdout.splitlines()) == [
        "* other  message 2: content",
        "+ here",
        "- there",
        "< short  from message 2 on",
        "> long  from message 2 on",
    ]
    assert "6 conversations: 1 equal, 1 only in the source" in result.stderr
    verbose = run("check", source, dest, "-v")
    assert "= same" in verbose.stdout.splitlines()


def test_json_is_one_object(source: Path, dest: Path) -> None:
    data = json.loads(run("check", source, dest, "--json").stdout)
    assert data["counts"] == {"=": 1, "+": 1, "-": 1, "<": 1, ">": 1, "*": 1, "!": 0}
    assert data["not_compared"] == []
    found = {each["conversation_id"]: each for each in data["conversations"]}
    assert found["other"]["state"] == "*"
    assert found["other"]["detail"] == "message 2: content"
    assert set(found) == set(SOURCE) | set(DEST)


def test_one_way_and_match(source: Path, dest: Path) -> None:
    assert "there" not in run("check", source, dest, "--one-way").stdout
    assert run("check", source, dest, "--match", "same").exit_code == 0
    assert run("check", source, dest, "--one-way", "--match", "there").exit_code == 0


def test_quick_says_that_it_proves_nothing(source: Path, dest: Path) -> None:
    result = run("check", source, dest, "--quick", "--match", "same")
    assert result.exit_code == 0
    assert "no proof of equality" in result.stderr
    assert run("check", source, dest, "--quick", "--match", "short").exit_code == 7
    assert run("check", source, "--quick").exit_code == 2


def test_a_file_is_a_store_like_any_other(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.jsonl"
    run("export", "-p", source, "--seal", "-o", file)
    assert run("check", source, file).exit_code == 0
    assert run("check", file).exit_code == 0
    file.write_bytes(file.read_bytes().replace(b'"1"', b'"I"'))
    broken = run("check", file)
    assert broken.exit_code == 6
    assert "altered" in broken.stderr
    file.write_bytes(lines({"a": ["1"]}) + b"{broken\n")
    assert run("check", file).exit_code == 6


def test_what_is_not_compared_is_said(source: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.db"
    with sqlite3.connect(shared) as database:
        database.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT "
            "NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)"
        )
    database.close()
    result = run("check", source, shared)
    assert result.exit_code == 7
    assert "not compared: conversation extra, conversation title" in result.stderr


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    assert run("check", tmp_path / "no.db").exit_code == 3
    (tmp_path / "text.db").write_text("hello")
    assert run("check", tmp_path / "text.db").exit_code == 6


def test_a_store_of_an_unknown_layout_is_no_broken_one(source: Path, tmp_path: Path) -> None:
    goose = tmp_path / "goose.db"
    with contextlib.closing(sqlite3.connect(goose)) as database:
        database.execute("CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT)")
    listed = run("ls", "-p", goose)
    assert "no conversations in a layout that synmem knows" in listed.stderr
    for stores in ([goose], [source, goose], [goose, source], [f"{goose}?table=nope"]):
        assert run("check", *stores).exit_code == listed.exit_code == 1
    assert run("check", goose).stderr == listed.stderr


def test_a_receipt_is_proven_later(source: Path, tmp_path: Path) -> None:
    dest, receipt = tmp_path / "new.db", tmp_path / "receipt.json"
    assert run("migrate", source, dest, "--receipt", receipt).exit_code == 0
    result = run("check", "--receipt", receipt, dest)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "5 conversations: 5 equal\n"
    run("add", "new", "x", "-p", dest)
    run("add", "short", "3", "-p", dest)
    run("clear", "long", "--yes", "-p", dest)
    changed = run("check", dest, "--receipt", receipt)
    assert changed.exit_code == 7
    assert sorted(changed.stdout.splitlines()) == ["+ long", "> short  from message 3 on"]
    assert "3 equal, 1 missing, 1 with more messages since" in changed.stderr
    assert "= same" in run("check", dest, "--receipt", receipt, "-v").stdout.splitlines()
    assert run("check", dest, "--receipt", receipt, "--match", "same").exit_code == 0
    data = json.loads(run("check", dest, "--receipt", receipt, "--json").stdout)
    assert data["counts"] == {"=": 3, "+": 1, "-": 0, "<": 0, ">": 1, "*": 0, "!": 0}
    assert data["receipt"]["source"] == str(source)
    assert data["receipt"]["root"] == json.loads(receipt.read_text())["root"]
    assert len(data["conversations"]) == 5


def test_what_json_prints_is_a_receipt_too(source: Path, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(run("migrate", source, tmp_path / "d.db", "--json").stdout)
    assert run("check", "--receipt", tmp_path / "r.json", tmp_path / "d.db").exit_code == 0
    assert run("check", "--receipt", tmp_path / "r.json", source).exit_code == 0


def test_a_receipt_that_says_something_else_is_altered(source: Path, tmp_path: Path) -> None:
    receipt, dest = tmp_path / "r.json", tmp_path / "d.db"
    assert run("migrate", source, dest, "--receipt", receipt).exit_code == 0
    said = json.loads(receipt.read_text())
    for change in (
        {"source": "elsewhere.db"}, {"destination": "prod"}, {"not_compared": ["created_at"]},
        {"conversations": [{**each, "action": "equal"} for each in said["conversations"]]},
    ):  # fmt: skip
        receipt.write_text(json.dumps({**said, **change}))
        result = run("check", "--receipt", receipt, dest)
        assert result.exit_code == 6, change
        assert "was cut short or altered" in result.stderr
    old = {key: value for key, value in said.items() if key != "content"}
    receipt.write_text(json.dumps({**old, "receipt": 1, "root": said["content"]}))
    result = run("check", "--receipt", receipt, dest)
    assert result.exit_code == 0
    assert "a receipt of the older scheme: its root digest covers the ids and digests" in (
        result.stderr
    )


def test_a_receipt_that_is_none_or_was_altered(source: Path, tmp_path: Path) -> None:
    receipt, dest = tmp_path / "r.json", tmp_path / "d.db"
    run("migrate", source, dest, "--receipt", receipt)
    text = receipt.read_text()
    receipt.write_text(text.replace('"same"', '"name"'))
    for broken in (text.replace('"same"', '"name"'), text[:-20]):
        receipt.write_text(broken)
        result = run("check", "--receipt", receipt, dest)
        assert result.exit_code == 6
        assert f"{receipt} was cut short or altered" in result.stderr
        told = run("check", "--receipt", receipt, dest, "--json").stderr
        assert json.loads(told)["error"]["kind"] == "corrupt"
    assert run("check", "--receipt", source, dest).exit_code == 2
    assert run("check", "--receipt", tmp_path / "no.json", dest).exit_code == 3
    assert run("check", "--receipt", tmp_path, dest).exit_code == 1
    receipt.write_text(text)
    assert run("check", "--receipt", receipt, dest, source).exit_code == 2
    assert run("check", "--receipt", receipt, dest, "--quick").exit_code == 2


def test_a_store_that_lacks_what_a_receipt_has_cannot_be_compared(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("migrate", source, tmp_path / "d.db", "--receipt", tmp_path / "r.json")
    run("export", "-p", source, "-o", tmp_path / "d.jsonl")
    assert run("check", "--receipt", tmp_path / "r.json", tmp_path / "d.jsonl").exit_code == 0
    monkeypatch.setattr(Form, "holds", Holds(fields=frozenset({"role", "content"})))
    result = run("check", "--receipt", tmp_path / "r.json", tmp_path / "d.jsonl")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "cannot be compared with the receipt" in result.stderr


def test_what_was_mended_and_imported_later_has_a_receipt_of_its_own(tmp_path: Path) -> None:
    dest, rest = make(tmp_path / "d.db", {"a": ["1"]}), tmp_path / "rest.jsonl"
    mended = [
        {"conversation_id": "a", "role": "user", "content": text, "reason": "refused", "at": at}
        for at, text in enumerate(["2", "3"], 1)
    ]
    rest.write_text("".join(json.dumps(each) + "\n" for each in mended))
    for action in ("appended", "equal"):
        receipt = tmp_path / f"{action}.json"
        assert run("import", rest, "-p", dest, "--receipt", receipt).exit_code == 0
        (line,) = json.loads(receipt.read_text())["conversations"]
        assert (line["action"], line["at"], line["messages"]) == (action, 1, 2)
        assert run("check", dest, "--receipt", receipt).exit_code == 0
    changed = make(tmp_path / "e.db", {"a": ["x", "2", "4"]})
    result = run("check", changed, "--receipt", receipt)
    assert result.exit_code == 7
    assert result.stdout.startswith("* a")
