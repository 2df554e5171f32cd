"""`synmem import`."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import lines, make, run, said
from tests.cli.processes import PROGRAM, in_pipe

SAID = {"a": ["1", "2", "3"], "b": ["x", "y"]}


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest.db"


def test_a_file_and_stdin_are_imported_once(tmp_path: Path, dest: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(SAID))
    first = run("import", file, "-p", dest)
    assert first.exit_code == 0, first.stderr
    assert "2 conversations: 2 copied; 5 messages written and verified" in first.stderr
    for arguments in ([], ["-"]):
        again = in_pipe("import", *arguments, "-p", str(dest), stdin=lines(SAID))
        assert again.returncode == 0
        assert b"2 equal already" in again.stderr
    assert said(dest) == SAID


def test_export_piped_into_import_is_equal(tmp_path: Path, dest: Path) -> None:
    source = make(tmp_path / "s.db", {**SAID, "é\n": ["\ud800\0\u2028"]}, title="T")
    exported = in_pipe("export", "-p", str(source)).stdout
    assert in_pipe("import", "-p", str(dest), stdin=exported).returncode == 0
    assert run("check", source, dest).exit_code == 0


def test_no_time_is_stamped(dest: Path) -> None:
    run("import", "-p", dest, stdin=lines({"a": ["1"]}))
    exported = run("export", "-p", dest).stdout
    assert json.loads(exported) == {"conversation_id": "a", "role": "user", "content": "1"}


def test_an_empty_stdin_is_a_usage_error_and_makes_nothing(dest: Path) -> None:
    result = run("import", "-p", dest, stdin=b"")
    assert result.exit_code == 2
    assert not dest.exists()


def test_an_empty_file_has_no_conversations(tmp_path: Path, dest: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"")
    result = run("import", tmp_path / "empty.jsonl", "-p", dest)
    assert result.exit_code == 0, result.stderr


def test_a_missing_file_is_not_found(tmp_path: Path, dest: Path) -> None:
    assert run("import", tmp_path / "no.jsonl", "-p", dest).exit_code == 3
    assert not dest.exists()


def test_a_database_is_no_export_and_the_command_for_it_is_named(
    tmp_path: Path, dest: Path
) -> None:
    source = make(tmp_path / "source.db", SAID)
    named = run("import", source, "-p", dest)
    piped = in_pipe("import", "-p", str(dest), stdin=source.read_bytes())
    for code, told in (
        (named.exit_code, named.stderr),
        (piped.returncode, piped.stderr.decode()),
    ):
        assert code == 6
        assert "is an SQLite database" in told
        assert "synmem migrate" in told
    assert not dest.exists()


def sealed(tmp_path: Path) -> bytes:
    source = make(tmp_path / "sealed.db", SAID)
    return in_pipe("export", "--seal", "-p", str(source)).stdout


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: data.replace(b'"x"', b'"X"'), "altered"),
        (lambda data: lines(SAID) + b"{broken\n" + lines({"c": ["1"]}), "malformed"),
    ],
)
def test_a_damaged_file_is_found_before_anything_is_written(
    tmp_path: Path, dest: Path, damage: Any, word: str
) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(damage(sealed(tmp_path)))
    result = run("import", file, "-p", dest)
    assert result.exit_code == 6
    assert f"{file}:" in result.stderr
    assert word in result.stderr
    assert not dest.exists()


def test_with_rejects_the_rest_of_a_damaged_file_is_imported(tmp_path: Path, dest: Path) -> None:
    file, left = tmp_path / "in.jsonl", tmp_path / "left.jsonl"
    file.write_bytes(
        lines({"a": ["1", "2"]}) + b"{broken\n" + lines({"b": ["x"]}) + lines({"a": ["3"]})
    )
    result = run("import", file, "-p", dest, "--rejects", left)
    assert result.exit_code == 6
    assert said(dest) == {"a": ["1", "2"], "b": ["x"]}
    kept = [json.loads(line) for line in left.read_text().splitlines()]
    assert [(each["conversation_id"], each["at"]) for each in kept] == [("a", 2), ("a", 3)]
    assert "reason" in kept[0]
    assert kept[0]["text"] == "{broken"


@pytest.mark.parametrize(
    ("form", "data", "text"),
    [
        ("jsonl", lines({"a": ["1"]}) + b"{br\xff\xc3\xa9ken\n", "{br\udcffé" + "ken"),
        (
            "json", b'[{"conversation_id": "a", "messages": [{"role": "user", "content": "1"}, 7]}]',
            "7",
        ),
        ("csv", b'conversation_id,role,content\na,user,1\na,user,"x,y",z\n', 'a,user,"x,y",z'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_from_stdin_is_whole_in_the_rejects(
    tmp_path: Path, dest: Path, form: str, data: bytes, text: str
) -> None:
    left = tmp_path / "left.jsonl"
    result = in_pipe("import", "-f", form, "-p", str(dest), "--rejects", str(left), stdin=data)
    assert result.returncode == 6, result.stderr
    assert said(dest) == {"a": ["1"]}
    assert [json.loads(line)["text"] for line in left.read_text().splitlines()] == [text]


def test_a_bad_message_ends_its_own_conversation_only(tmp_path: Path, dest: Path) -> None:
    file = tmp_path / "in.jsonl"
    bad = b'{"conversation_id": "a", "role": "user", "content": 7}\n'
    file.write_bytes(lines({"a": ["1"]}) + bad + lines({"a": ["2"], "b": ["x"]}))
    result = run("import", file, "-p", dest)
    assert result.exit_code == 6
    assert "a: unreadable: message 2" in result.stderr
    assert said(dest) == {"a": ["1"], "b": ["x"]}


def test_with_parts_a_conversation_goes_on_in_the_next_file(tmp_path: Path, dest: Path) -> None:
    files = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    files[0].write_bytes(lines({"a": ["1"], "b": ["x"]})[:-1])
    files[1].write_bytes(lines({"a": ["2"]}))
    alone = run("import", *files, "-p", tmp_path / "alone.db")
    assert alone.exit_code == 6
    assert f"{files[1]}: a: different: message 1" in alone.stderr
    assert "--parts joins them" in alone.stderr
    assert said(tmp_path / "alone.db") == {"a": ["1"], "b": ["x"]}
    result = run("import", "--parts", *files, "-p", dest)
    assert result.exit_code == 0, result.stderr
    assert said(dest) == {"a": ["1", "2"], "b": ["x"]}


def test_of_several_files_all_are_checked_before_any_is_imported(
    tmp_path: Path, dest: Path
) -> None:
    (tmp_path / "1.jsonl").write_bytes(lines({"a": ["1"]}))
    (tmp_path / "2.jsonl").write_bytes(b"{broken\n" + lines({"b": ["1"]}))
    result = run("import", tmp_path / "1.jsonl", tmp_path / "2.jsonl", "-p", dest)
    assert result.exit_code == 6
    assert "2.jsonl:1" in result.stderr
    assert not dest.exists()


@pytest.mark.parametrize("form", ["json", "csv", "jsonl"])
def test_each_format_that_is_exported_is_imported(tmp_path: Path, dest: Path, form: str) -> None:
    source = make(tmp_path / "s.db", {"a": ["=1+1", "-3", 'two\nlines, "quoted"']}, title="T")
    file = tmp_path / f"out.{form}"
    assert run("export", "-p", source, "-o", file).exit_code == 0
    assert run("import", file, "-p", dest).exit_code == 0
    assert run("check", source, dest).exit_code == 0


def test_conversation_names_what_has_no_name(dest: Path) -> None:
    data = b'{"role": "user", "content": "hi"}\n'
    result = run("import", "-p", dest, "--conversation", "mine", stdin=data)
    assert result.exit_code == 0, result.stderr
    assert said(dest) == {"mine": ["hi"]}


def test_dry_run_and_match(dest: Path) -> None:
    result = run("import", "-p", dest, "--dry-run", "--match", "a", stdin=lines(SAID))
    assert result.stdout == "copy\t3\ta\n"
    assert not dest.exists()


def test_the_rejects_never_overwrite_what_is_read(tmp_path: Path, dest: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(SAID))
    result = run("import", file, "-p", dest, "--rejects", file)
    assert result.exit_code == 2
    assert file.read_bytes() == lines(SAID)


@pytest.mark.parametrize("option", ["--rejects", "--receipt"])
@pytest.mark.parametrize("link", ["symbolic", "hard", "roundabout"])
def test_nothing_is_written_over_what_is_read_however_it_is_spelled(
    tmp_path: Path, dest: Path, option: str, link: str
) -> None:
    file, other = tmp_path / "in.jsonl", tmp_path / "other"
    bad = lines({"a": ["1"]}) + b"{broken\n"
    file.write_bytes(bad)
    if link == "symbolic":
        other.symlink_to(file)
    elif link == "hard":
        other.hardlink_to(file)
    else:
        (tmp_path / "folder").mkdir()
        other = tmp_path / "folder" / ".." / "in.jsonl"
    for arguments in (("import", file, "-p", dest), ("migrate", file, dest)):
        result = run(*arguments, option, other)
        assert result.exit_code == 2, result.stderr
        assert "is what is read" in result.stderr
        assert file.read_bytes() == bad
        assert not dest.exists()


def test_stdin_that_is_a_file_is_not_written_over(tmp_path: Path, dest: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(SAID) + b"{broken\n")
    with file.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "synmem", "import", "-p", dest, "--rejects", file],
            stdin=stdin, capture_output=True,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert file.read_bytes() == lines(SAID) + b"{broken\n"


def test_rejects_and_receipt_are_neither_the_destination_nor_one_file(
    tmp_path: Path, dest: Path
) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(SAID))
    for flags in (["--rejects", dest], ["--receipt", dest],
                  ["--rejects", tmp_path / "x", "--receipt", tmp_path / "x"]):  # fmt: skip
        assert run("import", file, "-p", dest, *flags).exit_code == 2
        assert not dest.exists()
    nowhere = ["--rejects", "/dev/null", "--receipt", "/dev/null"]
    assert run("import", file, "-p", dest, *nowhere).exit_code == 0


def test_mended_rejects_complete_their_conversation_in_order(tmp_path: Path, dest: Path) -> None:
    file, left = tmp_path / "in.jsonl", tmp_path / "left.jsonl"
    texts = ["1", "2", "3", "4"]
    bad = b'{"conversation_id": "a", "role": "user", "content": 7}\n'
    file.write_bytes(lines({"a": texts[:2]}) + bad + lines({"a": texts[3:], "b": ["x"]}))
    assert run("import", file, "-p", dest, "--rejects", left).exit_code == 6
    assert said(dest) == {"a": texts[:2], "b": ["x"]}
    early = run("import", left, "-p", dest)
    assert early.exit_code == 6  # not mended yet
    assert said(dest)["a"] == texts[:2]

    kept = [json.loads(line) for line in left.read_text().splitlines()]
    kept[0] = {**kept[1], "content": "3", "at": 2}
    left.write_text("".join(json.dumps(each) + "\n" for each in kept))
    for written in (2, 0):
        result = run("import", left, "-p", dest)
        assert result.exit_code == 0, result.stderr
        assert f"{written} messages written" in result.stderr
        assert said(dest) == {"a": texts, "b": ["x"]}
    exported = run("export", "a", "-p", dest).stdout
    assert "reason" not in exported

    other = tmp_path / "other.db"
    assert run("import", left, "-p", make(other, {"a": ["1"]})).exit_code == 6
    assert said(other) == {"a": ["1"]}

    another = run("import", left, "-p", make(tmp_path / "4.db", {"a": ["1", "2", "3", "x"]}))
    assert another.exit_code == 6
    assert "a: different: message 4: content" in another.stderr


@pytest.mark.parametrize(
    ("name", "shown", "hint"),
    [
        ("postgresql://u:s3crpw@h/x", "postgresql://u:***@h/x", "synmem migrate URL PROFILE"),
        ("https://u:s3crpw@h/x.jsonl", "https://u:***@h/x.jsonl", "the file's path"),
    ],
)
def test_a_url_is_no_file_and_its_password_is_not_printed(
    dest: Path, name: str, shown: str, hint: str
) -> None:
    result = run("import", name, "-p", dest)
    assert result.exit_code == 2
    assert shown in result.stderr
    assert hint in result.stderr
    assert "s3crpw" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_under_the_rejects_is_named(tmp_path: Path, dest: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(b'{"conversation_id": "a", "role": "user", "content": 7}\n')
    result = run("import", file, "-p", dest, "--rejects", "/dev/full")
    assert result.exit_code == 1
    assert "/dev/full: No space left on device (make room, " in result.stderr


def test_nothing_in_a_protected_profile_gives_way(tmp_path: Path) -> None:
    make(tmp_path / "prod.db", {"a": ["1"]})
    config = tmp_path / "config.toml"
    config.write_text(
        f'[profiles.prod]\nbackend = "sqlite"\ndb_path = "{tmp_path / "prod.db"}"\n'
        "protected = true\n"
    )
    to_prod = ["-p", "prod", "--config", config]
    result = run("import", *to_prod, "--on-conflict", "replace", stdin=lines({"a": ["2"]}))
    assert result.exit_code == 8
    assert run("import", *to_prod, stdin=lines({"b": ["2"]})).exit_code == 0


def test_damaged_input_is_a_json_error_with_json(tmp_path: Path, dest: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(lines(SAID) + b"{\n")
    for files in ([bad], [bad, bad]):
        result = run("import", *files, "-p", dest, "--json")
        assert result.exit_code == 6
        error = json.loads(result.stderr.splitlines()[-1])["error"]
        assert "nothing was written" in error["message"]
        assert (error["kind"], error["retryable"]) == ("corrupt", False)
    assert not dest.exists()


def test_a_line_of_an_impossible_id_does_not_join_the_conversation_it_stands_in(
    tmp_path: Path, dest: Path
) -> None:
    file = tmp_path / "in.jsonl"
    strange = json.dumps({"conversation_id": "", "role": "user", "content": "of nobody"})
    file.write_bytes(lines({"a": ["1"]}) + strange.encode() + b"\n" + lines({"a": ["2"]}))
    assert run("import", file, "-p", dest).exit_code == 6
    assert not dest.exists()
    rejects = tmp_path / "rejects.jsonl"
    assert run("import", file, "-p", dest, "--rejects", rejects).exit_code == 6
    assert said(dest) == {"a": ["1"]}
    assert b"of nobody" in rejects.read_bytes()


def test_an_interrupt_while_stdin_is_read_says_that_nothing_was_written(dest: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "import", "-p", str(dest)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        # More than a pipe holds: once it is written, the program reads.
        process.stdin.write(lines({"a": ["x" * 1000] * 300}))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"interrupted while reading: nothing was written\n"
    assert process.returncode == 130
    assert not dest.exists()


def test_an_empty_title_is_none_and_the_copy_is_equal(tmp_path: Path) -> None:
    file, dest = tmp_path / "old.jsonl", tmp_path / "new.db"
    file.write_text(
        '{"conversation_id": "a", "title": ""}\n'
        '{"conversation_id": "a", "role": "user", "content": "x"}\n'
    )
    for _ in range(2):
        done = run("import", str(file), "-p", str(dest))
        assert done.exit_code == 0, done.stderr
    done = run("check", str(file), str(dest))
    assert done.exit_code == 0, done.stderr
