"""Files that options name and that are no ordinary ones, or are not quite one's own."""

import json
import os
import shlex
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.moved import lines, make, run
from tests.cli.processes import PROGRAM, in_pipe, on_terminal

SAID = {"a": ["one", "two"], "b": ["three"]}
BASH = "/bin/bash"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "chat.db", SAID)


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `synmem` is the program."""
    program = " ".join(map(shlex.quote, PROGRAM))
    text = f'synmem() {{ {program} "$@"; }}\n{script}'
    return subprocess.run([BASH, "-c", text], cwd=folder, capture_output=True, text=True)


def messages(path: Path) -> int:
    return sum('"role"' in line for line in path.read_text().splitlines())


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_what_was_in_a_log_stays_in_front(store: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "log").write_text("before\n")
    done = shell(f"synmem export -q -p chat.db -o {name} >> log && echo after >> log", tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "log").read_text()
    assert text.startswith("before\n{")
    assert text.endswith("}\nafter\n")
    assert messages(tmp_path / "log") == 3


def test_receipt_and_rejects_into_a_log_stay_behind_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(SAID) + b'{"conversation_id": "c", "role": 1}\n')
    (tmp_path / "log").write_text("before\n")
    shell("synmem import in.jsonl -p new.db --rejects /dev/stdout >> log", tmp_path)
    assert (tmp_path / "log").read_text().startswith('before\n{"conversation_id"')
    shell("synmem import in.jsonl -p new.db --rejects x --receipt /dev/fd/1 >> log", tmp_path)
    kept = (tmp_path / "log").read_text()
    assert kept.startswith('before\n{"conversation_id"')
    assert '"destination"' in kept


def test_all_options_write_to_programs(store: Path, tmp_path: Path) -> None:
    done = shell(
        "synmem export -p chat.db -o >(cat > out.jsonl) && "
        "synmem migrate chat.db new.db --receipt >(cat > receipt.json) --rejects >(cat > left) && "
        "exec 7> seven && synmem export -p chat.db -o /dev/fd/7 -f csv && "
        "synmem export -p chat.db -o /proc/self/fd/7 && wait",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert messages(tmp_path / "out.jsonl") == 3
    # The programs behind `>(...)` hold the pipe of stderr: they have ended too.
    assert '"destination"' in (tmp_path / "receipt.json").read_text()
    seven = (tmp_path / "seven").read_text()
    assert seven.startswith("conversation_id,role")
    assert seven.endswith('"content":"three"}\n')


def test_a_descriptor_that_is_not_open_is_named(store: Path) -> None:
    result = run("export", "-p", store, "-o", "/dev/fd/987")
    assert result.exit_code == 1
    assert "/dev/fd/987: Bad file descriptor" in result.stderr


def test_a_fifo_is_written_and_stays(store: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    assert run("export", "-p", store, "-o", tmp_path / "fifo").exit_code == 0
    reader.join(30)
    assert got[0].count(b"\n") == 3
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


@pytest.mark.parametrize("option", ["-o", "--receipt", "--rejects"])
def test_a_device_stays_one(store: Path, tmp_path: Path, option: str) -> None:
    command = ["export", "-p", store] if option == "-o" else ["migrate", store, tmp_path / "n.db"]
    assert run(*command, option, "/dev/null").exit_code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    if option == "-o":
        full = run(*command, option, "/dev/full")
        assert full.exit_code == 1
        assert "/dev/full: No space left on device" in full.stderr


def test_a_terminal_that_is_named_gets_nothing_that_runs_there(tmp_path: Path) -> None:
    evil = make(tmp_path / "evil.db", {"a": ["\x1b[31m\x9b31m"]})
    for arguments in (["-o", "/dev/tty"], ["-o", "/dev/stdout", "-f", "markdown"]):
        code, shown = on_terminal("export", "-p", str(evil), *arguments)
        assert code == 0, shown
        assert "[31m" in shown
        assert "\x1b[31m" not in shown
        assert "\x9b" not in shown


def test_a_link_stays_and_what_it_leads_to_is_replaced(store: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    far = tmp_path / "far" / "out.jsonl"
    far.write_text("before")
    far.chmod(0o640)
    (tmp_path / "one").symlink_to("far/out.jsonl")
    (tmp_path / "two.jsonl").symlink_to("one")
    assert run("export", "-p", store, "-o", tmp_path / "two.jsonl").exit_code == 0
    assert (tmp_path / "two.jsonl").is_symlink()
    assert (tmp_path / "one").is_symlink()
    assert messages(far) == 3
    assert stat.S_IMODE(far.stat().st_mode) == 0o640
    (tmp_path / "nowhere").symlink_to("far/new.jsonl")
    assert run("export", "-p", store, "-o", tmp_path / "nowhere").exit_code == 0
    assert messages(tmp_path / "far" / "new.jsonl") == 3
    (tmp_path / "circle").symlink_to("circle")
    result = run("export", "-p", store, "-o", tmp_path / "circle")
    assert result.exit_code == 1
    assert "symbolic links" in result.stderr


def test_every_file_of_a_template_keeps_its_mode(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jsonl").write_text("before")
    (out / "a.jsonl").chmod(0o604)
    assert run("export", "-p", store, "-o", out / "{id}.jsonl").exit_code == 0
    assert stat.S_IMODE((out / "a.jsonl").stat().st_mode) == 0o604


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("before")
    os.chown(out, 12345, 23456)
    assert run("export", "-p", store, "-o", out).exit_code == 0
    assert (out.stat().st_uid, out.stat().st_gid) == (12345, 23456)
    assert messages(out) == 3


@pytest.mark.parametrize("option", ["--receipt", "--rejects"])
@pytest.mark.parametrize("name", ["new/", "there/", "there", ".", "there/.", ""])
def test_a_folder_is_no_file(
    store: Path, tmp_path: Path, option: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    result = run("migrate", store, "new.db", option, name)
    assert result.exit_code == 2, result.output
    assert option in result.stderr
    assert not Path("new").exists()
    assert not Path("new.db").exists()


def test_what_is_no_ordinary_file_has_no_parts(store: Path) -> None:
    assert run("export", "-p", store, "-o", "/dev/stdout", "--split", "1").exit_code == 2


@pytest.mark.parametrize("form", [[], ["-f", "json"]])
@pytest.mark.parametrize(
    "name", ["x.db", "x.sqlite.gz", "x.zip", "x.7z", "X.ZIP", "{id}.xz", "x.tar.gz", "x.tgz"]
)
def test_a_database_or_an_archive_is_not_written(
    store: Path, tmp_path: Path, name: str, form: list[str]
) -> None:
    result = run("export", "-p", store, "-o", tmp_path / name, *form)
    assert result.exit_code == 2
    assert f"{Path(name.lower().removesuffix('.gz')).suffix} files are not written" in result.stderr
    assert not (tmp_path / name).exists()


def test_other_endings_are_json_lines_and_a_form_may_be_named(store: Path, tmp_path: Path) -> None:
    """Also in a script is told what an ending does not say; no ending says nothing false."""
    for name in ("x.txt", "x.pdf", "x", "x.backup", ".jsonl", "x.xlsx"):
        result = run("export", "-p", store, "-o", tmp_path / name)
        assert result.exit_code == 0
        assert ("as JSON Lines" in result.stderr) == ("x." in name)
        assert messages(tmp_path / name) == 3
    assert not run("export", "-q", "-p", store, "-o", tmp_path / "x.txt").stderr
    assert run("export", "-p", store, "-o", tmp_path / "x.pdf", "-f", "json").exit_code == 0
    assert len(json.loads((tmp_path / "x.pdf").read_text())) == 2


def test_on_a_terminal_a_person_hears_what_an_ending_does_not_say(
    store: Path, tmp_path: Path
) -> None:
    note = "as JSON Lines; -f, or an ending, chooses another form"
    for name, told in (("x.txt", True), ("x", True), ("x.jsonl", False), ("x.md.gz", False)):
        code, shown = on_terminal("export", "-p", str(store), "-o", name, cwd=tmp_path)
        assert (code, note in shown.replace("\r\n", "")) == (0, told), shown
    for options in (["-q"], ["-f", "jsonl"]):
        _, shown = on_terminal("export", "-p", str(store), "-o", "x.txt", *options, cwd=tmp_path)
        assert note not in shown
    assert note not in on_terminal("export", "-p", str(store), "-o", "/dev/null")[1]


def test_a_closed_descriptor_of_stdout_is_no_success(store: Path) -> None:
    done = in_pipe("export", "-p", str(store), "-o", "/dev/stdin")
    assert done.returncode == 1
    assert b"/dev/stdin: " in done.stderr


def test_what_synmem_keeps_is_private_whatever_the_umask(tmp_path: Path) -> None:
    done = shell(
        "umask 000; export XDG_STATE_HOME=$PWD/st/ate XDG_CONFIG_HOME=$PWD/con/fig "
        "XDG_DATA_HOME=$PWD/da/ta; synmem add a one && synmem add a two && "
        "synmem summarize a --method extractive && synmem search --semantic one && "
        "synmem search one && synmem profile add local ./x.db && synmem export -o x.jsonl && "
        "synmem clear a --yes && synmem undo && synmem context a --strategy smart",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for kept in ("st", "con", "da"):
        found = [tmp_path / kept, *(tmp_path / kept).rglob("*")]
        assert len(found) >= 3
        for path in found:
            mode = stat.S_IMODE(path.stat().st_mode)
            if path.is_dir():
                assert mode == 0o700, path
            elif kept != "da":  # the database is the user's own, and its folder is private
                assert mode == 0o600, path


@pytest.mark.parametrize("as_json", [["--json"], ["-f", "json"]])
def test_an_error_in_json_shows_a_terminal_nothing_hidden(
    tmp_path: Path, as_json: list[str]
) -> None:
    for store in ("no\x9b31m\u202e\x7f.db", "redis://h:1/\x9b31m?\u202e\x7f=1"):
        code, shown = on_terminal("show", "a", "-p", store, *as_json)
        assert code > 0
        assert '{"error"' in shown
        assert not set("\x9b\u202e\x7f") & set(shown)
