"""`synmem export`."""

import json
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.moved import make, run
from tests.cli.processes import PROGRAM, in_pipe, on_terminal

SAID = {"a": ["1", "2"], "b": ["\ud800 \x1b[31m"]}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "s.db", SAID, title="T")


def test_a_message_is_a_line_and_nothing_else_is_said(store: Path) -> None:
    result = in_pipe("export", "-p", str(store))
    assert (result.returncode, result.stderr) == (0, b"")
    data = [json.loads(line) for line in result.stdout.split(b"\n")[:-1]]
    assert [d.get("content", d.get("title")) for d in data] == ["T", "1", "2", "T", SAID["b"][0]]


def test_chosen_conversations(store: Path) -> None:
    for arguments in (["a"], ["--match", "a*"]):
        data = json.loads(run("export", *arguments, "--json", "-p", store).stdout)
        assert [(d["conversation_id"], d["title"], len(d["messages"])) for d in data] == [
            ("a", "T", 2)
        ]


def test_a_missing_conversation_ends_it_before_anything_is_written(
    store: Path, tmp_path: Path
) -> None:
    result = run("export", "a", "no", "-p", store, "-o", tmp_path / "out.jsonl")
    assert (result.exit_code, result.stdout) == (3, "")
    assert not (tmp_path / "out.jsonl").exists()
    assert run("export", "--match", "no*", "-p", store).exit_code == 0


@pytest.mark.parametrize(
    ("name", "begins"),
    [("x.json", b"["), ("x.md", b"# T"), ("x.csv", b"conversation_id"), ("x.txt", b"{"),
     ("x.html", b"<!DOCTYPE html>"), ("X.HTM", b"<!DOCTYPE html>"),
     ("x.jsonl", b'{"conversation_id"')],
)  # fmt: skip
def test_the_ending_decides_the_format(
    store: Path, tmp_path: Path, name: str, begins: bytes
) -> None:
    result = run("export", "-p", store, "-o", tmp_path / name)
    assert result.exit_code == 0, result.stderr
    assert "2 conversations, 3 messages written" in result.stderr
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_file_keeps_its_mode_and_nothing_is_left_beside_it(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "x.jsonl"
    file.write_text("before")
    file.chmod(0o640)
    assert run("export", "-p", store, "-o", file).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [each.name for each in folder.iterdir()] == ["x.jsonl"]


def test_a_failure_leaves_the_file_as_it_was(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "x.jsonl"
    file.write_text("before")
    limited = f"ulimit -f 100; trap '' XFSZ; exec {' '.join(PROGRAM)} export -p {store} -o {file}"
    make(store, {"long": ["x" * 100_000]})
    done = subprocess.run(["sh", "-c", limited], capture_output=True)
    assert done.returncode == 1
    assert b"too large" in done.stderr.lower()
    assert file.read_text() == "before"
    assert [each.name for each in folder.iterdir()] == ["x.jsonl"]


def test_a_symbolic_link_stays_one(store: Path, tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    assert run("export", "-p", store, "-o", tmp_path / "link.jsonl").exit_code == 0
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").stat().st_size > 0


def test_an_unreadable_record_is_named_and_the_rest_goes_on(store: Path) -> None:
    with sqlite3.connect(store) as database:
        database.execute("UPDATE messages SET metadata = '[' WHERE content = '1'")
    database.close()
    result = run("export", "a", "-p", store)
    assert result.exit_code == 6
    assert "a: message 1 cannot be read" in result.stderr
    assert [json.loads(line).get("content") for line in result.stdout.splitlines()] == [None, "2"]


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    store = make(tmp_path / "many.db", {"a": ["x" * 100] * 20_000})
    with subprocess.Popen(
        [*PROGRAM, "export", "-p", str(store)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_options_that_do_not_fit_are_usage_errors(store: Path) -> None:
    for arguments in (
        ["-f", "pdf"], ["--json", "-f", "csv"], ["--seal", "-f", "json"], ["--csv-raw"],
    ):  # fmt: skip
        assert run("export", "-p", store, *arguments).exit_code == 2


def test_a_store_that_is_not_there_exports_nothing() -> None:
    result = in_pipe("export")
    assert result.returncode == 3  # a backup of nothing should not look like one
    assert result.stdout == b""


def test_a_page_says_what_could_not_be_read_and_one_conversation_is_shown_as_it_is(
    store: Path, tmp_path: Path
) -> None:
    make(store, {"a": ["3"]})
    with sqlite3.connect(store) as database:
        database.execute("UPDATE messages SET metadata = '[' WHERE content = '2'")
    database.close()
    for arguments, anchor in ((["a"], "m"), (["--match", "a"], "m"), ([], "c1-m")):
        result = run("export", *arguments, "-p", store, "-o", tmp_path / "x.html")
        assert result.exit_code == 6
        text = (tmp_path / "x.html").read_text()
        assert f'<article id="{anchor}1" class="user">' in text
        assert f'<article id="{anchor}2" class="e">#2 cannot be read</article>' in text
        assert f'<article id="{anchor}3" class="user">' in text
        assert ('<h1 dir="auto">T</h1>' in text) == bool(arguments)
        assert "3 messages" in text


@pytest.mark.parametrize("form", ["jsonl", "json", "markdown", "html", "csv"])
def test_on_a_terminal_nothing_passes_unseen(store: Path, form: str) -> None:
    code, shown = on_terminal("export", "-p", str(store), "-f", form)
    assert code == 0
    assert "\x1b[31m" not in shown


def test_a_terminal_under_the_name_of_a_packed_file_is_shown_nothing_that_acts(
    store: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.jsonl.gz").symlink_to("/dev/stdout")
    code, shown = on_terminal("export", "-q", "-p", str(store), "-o", "x.jsonl.gz", cwd=tmp_path)
    assert code == 0, shown
    assert shown.startswith("^_")
    assert not set(map(chr, range(0x80, 0xA0))) & set(shown)
