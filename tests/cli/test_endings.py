"""What ends a command from outside, and what it leaves behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from synmem import leftovers
from tests.cli.moved import make, run
from tests.cli.processes import PROGRAM

SIGNALS = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `out` is, and `temp` for temporary files."""
    for name in ("out", "temp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "many.db"
    return make(path, {f"c{i}": ["x" * 4000] * 50 for i in range(400)})


def left(folder: Path) -> list[str]:
    """What lies there under a name of ours."""
    return sorted(path.name for path in folder.iterdir() if ".synmem-" in path.name)


def started(*arguments: object, **more: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)], stderr=subprocess.PIPE, **more,  # type: ignore[call-overload]
    )  # fmt: skip


def wait_for(what: Callable[[], object], process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while not what():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)


def importing(folders: Path) -> "subprocess.Popen[bytes]":
    """An import that has spooled some of its stdin, and waits for more."""
    process = started("import", "-p", folders / "new.db", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b'{"conversation_id": "a", "role": "user", "content": "x"}\n' * 5000)
    process.stdin.flush()
    temp = folders / "temp"
    wait_for(lambda: any(path.stat().st_size for path in temp.iterdir()), process)
    return process


EXPORTS = [["out.csv"], ["out.jsonl", "--split", "3000"], ["{id}.jsonl"], ["{id}/x.jsonl"]]


@pytest.mark.parametrize("output", EXPORTS)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_no_half_file(
    many: Path, folders: Path, number: signal.Signals, output: list[str]
) -> None:
    out = folders / "out"
    name, *options = output
    process = started("export", "-p", many, "-o", out / name, *options)
    wait_for(lambda: any(out.iterdir()), process)
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number, told
    assert told.endswith(b"terminated\n" if number == signal.SIGTERM else b"hung up\n")
    assert [path for path in out.rglob("*") if ".synmem-" in path.name] == []
    for path in out.rglob("x-*"):
        assert path.read_bytes().count(b"\n") == 50


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_nothing_in_the_temporary_folder(
    folders: Path, number: signal.Signals
) -> None:
    process = importing(folders)
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number, told
    assert list((folders / "temp").iterdir()) == []
    assert not (folders / "new.db").exists()


def test_a_signal_ends_whoever_waits_for_a_reader(many: Path, folders: Path) -> None:
    # The pipe is full, nobody reads, and Python goes on with the same write after any handler.
    process = started("export", "-p", many, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    process.communicate()


def test_an_interrupt_while_modules_are_loaded_shows_no_traceback() -> None:
    begin = (
        "import sys\nclass Interrupt:\n    def find_spec(name, *rest):\n"
        "        if name == 'synmem.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt)\nfrom synmem.__main__ import main\nmain()"
    )
    ended = subprocess.run([sys.executable, "-c", begin, "ls"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "interrupted\n")


def test_what_is_ignored_stays_ignored(many: Path, folders: Path) -> None:
    """As under nohup: the signal comes, and the export ends as if it had not."""
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "os.execv(sys.executable, sys.argv[1:])"
    )
    out = folders / "out"
    command = [sys.executable, "-c", code, *PROGRAM, "export", "-p", str(many), "-o"]
    process = subprocess.Popen([*command, str(out / "all.jsonl")], stderr=subprocess.PIPE)
    wait_for(lambda: any(out.iterdir()), process)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
    process.communicate()
    assert [path.name for path in out.iterdir()] == ["all.jsonl"]
    assert (out / "all.jsonl").read_bytes().count(b"\n") == 20_000


def test_undo_is_told_when_a_clear_is_terminated(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from synmem.operations.keeping import clear\n"
        "whole, sent = clear.clear, []\n"
        "async def first(*given):\n"
        "    async for each in whole(*given):\n"
        "        yield each\n"
        "        if not sent:\n"
        "            sent.append(os.kill(os.getpid(), signal.SIGTERM))\n"
        "clear.clear = first\n"
        "from synmem.cli.app import app\n"
        "app(prog_name='synmem')\n"
    )
    store = make(tmp_path / "s.db", {f"c{i}": ["x"] for i in range(300)})
    done = subprocess.run(
        [sys.executable, "-c", code, "clear", "--match", "*", "--yes", "-p", str(store)],
        capture_output=True, text=True, env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "st")},
    )  # fmt: skip
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "synmem undo" in done.stderr


# --- what a kill left -----------------------------------------------------------------------


@pytest.mark.parametrize("output", EXPORTS)
def test_the_next_run_sweeps_what_a_kill_left(many: Path, folders: Path, output: list[str]) -> None:
    out = folders / "out"
    name, *options = output
    process = started("export", "-p", many, "-o", out / name, *options)
    wait_for(lambda: any(".part" in path.name for path in out.rglob("*")), process)
    process.kill()
    process.communicate()
    assert [path for path in out.rglob("*") if ".synmem-" in path.name] != []
    others = [".out.csv.0123abcd.part", ".synmem-notours.lock", ".x.synmem-0123.part"]
    for other in others:
        (out / other).write_text("another's")
    assert run("export", "-p", many, "-o", out / name, *options).exit_code == 0
    assert [
        path.name for path in out.rglob("*") if ".synmem-" in path.name and path.name not in others
    ] == []
    assert {path.name for path in out.iterdir()} >= set(others)


def test_the_next_run_sweeps_the_temporary_folder(folders: Path) -> None:
    process = importing(folders)
    process.kill()
    process.communicate()
    assert len(left(folders / "temp")) == 2
    (folders / "in.jsonl").write_text('{"conversation_id": "a", "role": "user", "content": "x"}\n')
    assert run("import", folders / "in.jsonl", "-p", folders / "new.db").exit_code == 0
    assert left(folders / "temp") == []


def test_what_is_being_written_is_not_swept(folders: Path) -> None:
    out = folders / "out"
    with leftovers.Claim(out) as claim:
        part = claim.part("x.jsonl")
        part.write_text("half")
        code = "import sys; from synmem.leftovers import sweep; from pathlib import Path; "
        subprocess.run([sys.executable, "-c", code + f"sweep(Path({str(out)!r}))"], check=True)
        leftovers.sweep(out)
        assert part.read_text() == "half"
    assert list(out.iterdir()) == []


def test_a_link_and_what_has_no_lock_file(folders: Path) -> None:
    out = folders / "out"
    (folders / "precious").mkdir()
    (folders / "precious" / "file").write_text("mine")
    token = "0" * 16
    (out / f".synmem-{token}.folder").symlink_to(folders / "precious")
    (out / f".x.0.synmem-{token}.part").write_text("orphan")
    (out / f".synmem-{'1' * 16}.folder").mkdir()
    (out / f".synmem-{'1' * 16}.folder" / "copy.db").write_text("orphan")
    leftovers.sweep(out)
    assert [path.name for path in out.iterdir()] == [f".synmem-{token}.folder"]
    assert (folders / "precious" / "file").read_text() == "mine"
