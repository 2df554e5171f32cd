"""`synmem migrate`."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synmem.cli.app import app
from tests.cli.moved import lines, make, run, said
from tests.cli.processes import in_pipe, on_terminal, start, unwrapped

SAID = {"a": ["1", "2", "3"], "b / é\n": ["\ud800", "NUL \0"], "*": ["x"]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make(tmp_path / "source.db", SAID, title="T", extra={"k": [1.0]})


def test_everything_arrives_and_is_proven_and_a_second_run_writes_nothing(
    source: Path, tmp_path: Path
) -> None:
    dest = tmp_path / "dest.db"
    before = source.read_bytes()
    first = run("migrate", source, dest)
    assert first.exit_code == 0, first.stderr
    assert first.stdout == ""
    assert first.stderr == "3 conversations: 3 copied; 6 messages written and verified\n"
    assert said(dest) == SAID
    assert run("check", source, dest).exit_code == 0
    second = run("migrate", source, dest)
    assert second.stderr == "3 conversations: 3 equal already; 0 messages written\n"
    assert source.read_bytes() == before


def test_quiet_says_nothing(source: Path, tmp_path: Path) -> None:
    result = run("migrate", source, tmp_path / "dest.db", "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_a_copy_that_was_cut_off_is_taken_up_again(source: Path, tmp_path: Path) -> None:
    dest = make(tmp_path / "dest.db", {"a": ["1"]}, title="T", extra={"k": [1.0]})
    result = run("migrate", source, dest)
    assert "2 copied, 1 appended to; 5 messages written" in result.stderr
    assert said(dest) == SAID


def test_a_file_can_be_the_source(source: Path, tmp_path: Path) -> None:
    assert run("export", "-p", source, "--seal", "-o", tmp_path / "x.jsonl").exit_code == 0
    assert run("migrate", tmp_path / "x.jsonl", tmp_path / "dest.db").exit_code == 0
    assert run("check", source, tmp_path / "dest.db").exit_code == 0


def test_the_remedy_for_a_conflict_is_named_once(tmp_path: Path) -> None:
    source = make(tmp_path / "source.db", {"a": ["1"], "b": ["1"]})
    dest = make(tmp_path / "dest.db", {"a": ["x"], "b": ["x"]})
    told = run("migrate", source, dest).stderr
    assert "2 different (--on-conflict replace|rename|extend decides); " in told
    assert told.count("--on-conflict") == 1
    tried = run("migrate", source, dest, "--on-conflict", "extend").stderr
    assert "2 different (--on-conflict replace|rename decides); " in tried


def test_conversations_without_a_time_are_named_where_time_chooses(tmp_path: Path) -> None:
    source = make(tmp_path / "source.db", {"a": ["1"], "b": ["1"], "other": ["1"]})
    result = run("migrate", source, tmp_path / "dest.db", "--since", "30d", "--match", "[ab]")
    assert result.exit_code == 0
    assert "left out 2 conversations whose last message has no time\n" in result.stderr
    assert "0 conversations; 0 messages written" in result.stderr


def test_a_conflict_is_named_and_exits_6(source: Path, tmp_path: Path) -> None:
    dest = make(tmp_path / "dest.db", {"a": ["1", "x"]})
    result = run("migrate", source, dest)
    assert result.exit_code == 6
    assert "a: different: message 2: content" in result.stderr
    assert said(dest)["a"] == ["1", "x"]
    assert len(said(dest)) == 3


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("replace", {"a": ["1", "2", "3"]}),
        ("rename", {"a": ["1", "x"], "a (from source.db)": ["1", "2", "3"]}),
    ],
)
def test_a_conflict_can_be_resolved(
    source: Path, tmp_path: Path, way: str, expected: dict[str, list[str]]
) -> None:
    dest = make(tmp_path / "dest.db", {"a": ["1", "x"]})
    for _ in range(2):
        result = run("migrate", source, dest, "--on-conflict", way, "--match", "a*")
        assert result.exit_code == 0, result.stderr
        assert said(dest) == expected


def test_what_was_replaced_can_be_brought_back(source: Path, tmp_path: Path) -> None:
    dest = make(tmp_path / "dest.db", {"a": ["1", "x"]})
    result = run("migrate", source, dest, "--on-conflict", "replace", "--match", "a")
    assert "synmem undo" in result.stderr
    undone = run("undo")
    assert undone.exit_code == 0, undone.stderr
    assert said(dest) == {"a": ["1", "x"]}


def test_stop_exits_6(source: Path, tmp_path: Path) -> None:
    dest = make(tmp_path / "dest.db", {"*": ["y"]})
    result = run("migrate", source, dest, "--on-conflict", "stop")
    assert result.exit_code == 6
    assert "stopped at the first difference" in result.stderr


def test_an_unreadable_row_ends_its_conversation_and_goes_to_the_rejects(
    source: Path, tmp_path: Path
) -> None:
    with sqlite3.connect(source) as database:
        database.execute("UPDATE messages SET metadata = '{broken' WHERE content = '2'")
    database.close()
    rejects = tmp_path / "left.jsonl"
    result = run("migrate", source, tmp_path / "dest.db", "--rejects", rejects)
    assert result.exit_code == 6
    assert "a: unreadable: message 2 cannot be read" in result.stderr
    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(each["at"], each.get("content")) for each in kept] == [(1, None), (2, "3")]
    assert said(tmp_path / "dest.db") == {**SAID, "a": ["1"]}


def test_dry_run_lists_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    result = run("migrate", source, tmp_path / "dest.db", "--dry-run", "--match", "[a*]")
    assert result.exit_code == 0
    assert sorted(result.stdout.splitlines()) == ["copy\t1\t*", "copy\t3\ta"]
    assert "2 conversations: 2 would be copied; 4 messages would be written" in result.stderr
    assert not (tmp_path / "dest.db").exists()


def test_dry_run_keeps_to_a_line_for_a_conversation_whatever_its_id(tmp_path: Path) -> None:
    source = make(tmp_path / "s.db", {"one\ncopy\t9\ttwo": ["1"]})
    result = run("migrate", source, tmp_path / "dest.db", "--dry-run")
    assert result.stdout == 'copy\t1\t"one\\ncopy\\t9\\ttwo"\n'


@pytest.mark.parametrize("flag", ["--json", "--receipt"])
def test_the_receipt_has_counts_and_digests(source: Path, tmp_path: Path, flag: str) -> None:
    file = tmp_path / "receipt.json"
    flags = [flag, file] if flag == "--receipt" else [flag]
    result = run("migrate", source, tmp_path / "dest.db", *flags)
    receipt = json.loads(file.read_text() if flag == "--receipt" else result.stdout)
    assert receipt["counts"] == {"conversations": 3, "messages": 6, "copied": 3}
    assert {c["conversation_id"]: c["messages"] for c in receipt["conversations"]} == {
        "a": 3,
        "b / é\n": 2,
        "*": 1,
    }
    assert all(c["digest"].startswith("sha256:") for c in receipt["conversations"])
    again = json.loads(run("migrate", source, tmp_path / "dest.db", "--json").stdout)
    assert again["content"] == receipt["content"]


def test_move_removes_from_the_source_and_must_be_confirmed(source: Path, tmp_path: Path) -> None:
    dest = make(tmp_path / "dest.db", {"a": ["x"]})
    assert run("migrate", source, dest, "--move").exit_code == 8
    result = run("migrate", source, dest, "--move", "--yes")
    assert result.exit_code == 6
    assert said(source) == {"a": SAID["a"]}
    assert said(dest) == {**SAID, "a": ["x"]}


def _shared(path: Path) -> Path:
    """A file as SynapseKit makes it: it holds no titles."""
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT "
            "NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)"
        )
    database.close()
    return path


def test_move_leaves_what_does_not_travel_and_names_it(tmp_path: Path) -> None:
    source = make(tmp_path / "source.db", {"plain": ["1"]})
    make(source, {"titled": ["1"]}, title="T")
    make(source, {"more": ["1"]}, extra={"k": 1})
    dest = _shared(tmp_path / "shared.db")
    result = run("migrate", source, dest, "--move", "--yes")
    assert result.exit_code == 6
    assert f"titled: left in {source}: its title does not travel\n" in result.stderr
    assert f"more: left in {source}: its extra does not travel\n" in result.stderr
    assert "2 not moved; " in result.stderr
    assert set(said(source)) == {"titled", "more"}
    assert said(dest) == {"plain": ["1"], "titled": ["1"], "more": ["1"]}


def test_what_was_moved_can_be_brought_back(source: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest.db"
    run("export", "-p", source, "-o", tmp_path / "before.jsonl")
    result = run("migrate", source, dest, "--move", "--yes")
    assert result.exit_code == 0, result.stderr
    assert said(source) == {}
    (told,) = [line for line in result.stderr.splitlines() if "synmem undo" in line]
    undone = run("undo", told.split()[-1])
    assert undone.exit_code == 0, undone.stderr
    run("export", "-p", source, "-o", tmp_path / "after.jsonl")
    assert (tmp_path / "after.jsonl").read_bytes() == (tmp_path / "before.jsonl").read_bytes()
    assert said(dest) == SAID


def test_a_move_without_a_backup_says_so_and_keeps_none(source: Path, tmp_path: Path) -> None:
    asked = run("migrate", source, tmp_path / "dest.db", "--move", "--no-backup")
    assert asked.exit_code == 8
    assert "without a backup" in asked.stderr
    result = run("migrate", source, tmp_path / "dest.db", "--move", "--no-backup", "--yes")
    assert result.exit_code == 0
    assert "synmem undo" not in result.stderr
    assert said(source) == {}
    assert run("undo", "--list").stdout == ""


def test_a_move_that_also_replaces_can_be_undone_on_both_sides(
    source: Path, tmp_path: Path
) -> None:
    dest = make(tmp_path / "dest.db", {"a": ["1", "x"]})
    assert run("migrate", source, dest, "--move", "-y", "--on-conflict", "replace").exit_code == 0
    assert [run("undo").exit_code for _ in range(2)] == [0, 0]
    assert said(source) == SAID
    assert said(dest)["a"] == ["1", "x"]


@pytest.mark.parametrize("other", ["source.db", "./sub/../source.db", "sqlite:///source.db"])
def test_a_store_is_not_copied_onto_itself(
    source: Path, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    (source.parent / "sub").mkdir()
    result = run("migrate", source, other)
    assert result.exit_code == 2
    assert "same store" in result.stderr


def test_a_hard_link_is_the_same_store_and_loses_nothing(source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.hardlink_to(source)
    result = run("migrate", source, link, "--move", "--yes")
    assert result.exit_code == 2
    assert "same store" in result.stderr
    assert run("ls", "-p", source).stdout


def test_a_missing_source_makes_no_destination(tmp_path: Path) -> None:
    assert run("migrate", tmp_path / "no.db", tmp_path / "dest.db").exit_code == 3
    assert not (tmp_path / "dest.db").exists()


def test_what_the_destination_lacks_is_said_before(source: Path, tmp_path: Path) -> None:
    dest = _shared(tmp_path / "shared.db")
    result = run("migrate", source, dest)
    assert result.exit_code == 0
    assert "does not travel: conversation extra, conversation title" in result.stderr
    assert said(dest) == SAID


MANY = {f"c{i}": [f"{n} " + "x" * 500 for n in range(100)] for i in range(400)}


def test_an_interrupt_ends_it_within_a_second_and_the_next_run_completes_it(
    tmp_path: Path,
) -> None:
    source, dest = make(tmp_path / "many.db", MANY), tmp_path / "dest.db"
    process = start("migrate", str(source), str(dest))
    while not dest.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, told = process.communicate(timeout=60)
    assert time.monotonic() - begun < 15  # one second, on a machine that has time
    assert process.returncode == 130, told
    assert b"goes on from there" in told
    again = run("migrate", source, dest)
    assert again.exit_code == 0, again.stderr
    assert run("check", source, dest).exit_code == 0


def test_on_a_terminal_it_counts_to_a_total_and_an_interrupt_says_how_to_go_on(
    tmp_path: Path,
) -> None:
    source, dest = tmp_path / "many.jsonl", tmp_path / "dest.db"
    source.write_bytes(lines({f"c{i}": [f"message {n}" for n in range(30)] for i in range(8_000)}))
    code, shown = on_terminal(
        "migrate", str(source), str(dest), typed=b"\x03", prompt=b"/240,000", columns=120
    )
    assert code == 130, shown
    assert re.search(r"Copying many.jsonl → dest.db  [\d,]+/240,000  in [\d,]+ conv", shown)
    assert re.search(r"[1-9][\d,]* messages written so far", shown)
    assert "the same command again goes on from there" in unwrapped(shown)
    again = run("migrate", source, dest)
    assert again.exit_code == 0
    assert re.search(r"8,000 conversations: .*written and verified\n", again.stderr)
    assert run("check", source, dest).exit_code == 0


def test_killed_at_any_moment_the_next_run_completes_it(tmp_path: Path) -> None:
    source = make(tmp_path / "many.db", {name: texts[:30] for name, texts in MANY.items()})
    for i in range(3):
        dest = tmp_path / f"dest{i}.db"
        process = start("migrate", str(source), str(dest))
        while not dest.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(0.05 * i)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert in_pipe("migrate", str(source), str(dest)).returncode == 0
        assert run("check", source, dest).exit_code == 0


def test_on_a_terminal_hostile_ids_pass_the_gate(tmp_path: Path) -> None:
    source = make(tmp_path / "s.db", {"\x1b[31mred": ["1"]})
    dest = make(tmp_path / "d.db", {"\x1b[31mred": ["2"]})
    code, shown = on_terminal("migrate", str(source), str(dest))
    assert code == 6
    assert "^[[31mred: different" in shown


def test_rows_that_belong_to_no_conversation_are_named_and_the_rest_moves(tmp_path: Path) -> None:
    source, dest = tmp_path / "source.db", tmp_path / "dest.db"
    with contextlib.closing(sqlite3.connect(source)) as db:
        db.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT, role TEXT, content TEXT, metadata TEXT)"
        )
        db.executemany(
            "INSERT INTO messages (conversation_id, role, content) VALUES (?, 'user', 'x')",
            [("a",), ("",), (b"b",), ("c",)],
        )
        db.commit()
    for arguments in (
        ["migrate", str(source), str(dest)],
        ["check", str(source)],
        ["export", "-p", str(source)],
        ["check", str(source), str(dest)],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 6, arguments
        assert "row 2: stray: its conversation_id is empty" in result.stderr
        assert "row 3: stray: its conversation_id is a BLOB" in result.stderr
    assert CliRunner().invoke(app, ["ls", "-p", str(dest)]).stdout == "a\nc\n"
