"""Commands in a process that may have few open files, little memory, or no thread."""

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from synmem import exhaustion
from synmem.backends.sqlite.errors import translating
from synmem.cli.run import exit_code_of
from synmem.errors import AccessDenied, StoreUnavailable
from tests.cli.moved import lines, make

SEMANTIC = ("search", "--semantic", "hello")


def limited(limit: int, value: int, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "synmem", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
    )  # fmt: skip


@pytest.mark.parametrize("files", [7, 8])
@pytest.mark.parametrize("command", [("ls",), SEMANTIC, ("migrate",)], ids=lambda each: each[0])
def test_few_open_files_are_said_to_be_few(
    tmp_path: Path, command: tuple[str, ...], files: int
) -> None:
    place = str(make(tmp_path / "chat.db", {"a": ["hello world"]}))
    where = [place, str(tmp_path / "new.db")] if command[0] == "migrate" else ["-p", place]
    result = limited(resource.RLIMIT_NOFILE, files, [*command, *where])
    assert "Traceback" not in result.stderr
    assert "permission" not in result.stderr
    if result.returncode:
        assert "too many open files" in result.stderr.lower()
        assert "ulimit -n" in result.stderr


@pytest.mark.parametrize("megabytes", [90, 200, 320])
def test_too_little_memory_is_said_and_no_package_is_blamed(tmp_path: Path, megabytes: int) -> None:
    place = str(make(tmp_path / "chat.db", {"a": ["hello world"]}))
    result = limited(resource.RLIMIT_AS, megabytes << 20, [*SEMANTIC, "-p", place])
    assert "Traceback" not in result.stderr
    assert "pip install" not in result.stderr
    if result.returncode:
        assert "memory" in result.stderr or "thread" in result.stderr


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "no"), "out of memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "out of memory"),
        (OSError(errno.EMFILE, "no"), "too many open files"),
        (RuntimeError("can't start new thread"), "no thread can be started"),
    ],
)
def test_what_ran_out_is_told_wherever_it_was_noticed(
    capsys: pytest.CaptureFixture[str], error: Exception, what: str
) -> None:
    found = exhaustion.exhausted(error)
    assert found is not None
    assert found.what == what
    with exit_code_of(["ls"]) as outcome:
        try:
            raise error
        except Exception as cause:
            raise StoreUnavailable("server: no answer", hint="is it running?") from cause
    said = capsys.readouterr().err
    assert outcome.code == 4
    assert found.hint in said
    assert "is it running?" not in said


def test_a_bug_shows_its_traceback() -> None:
    for error in (RuntimeError("x"), ImportError("no module"), OSError(errno.EPERM, "no")):
        assert exhaustion.exhausted(error) is None
    with pytest.raises(RuntimeError), exit_code_of(["ls"]):
        raise RuntimeError("a bug")


def test_a_file_that_cannot_be_opened_for_another_reason_is_denied(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied, match="cannot be opened"), translating("chat.db"):
        sqlite3.connect(f"file:{tmp_path / 'gone' / 'x.db'}?mode=ro", uri=True)


def test_lines_are_read_with_few_files_too(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_bytes(lines({"a": ["hello"]}))
    result = limited(resource.RLIMIT_NOFILE, 7, ["ls", "-p", str(tmp_path / "chat.jsonl")])
    assert "Traceback" not in result.stderr
    assert result.returncode == 0 or "ulimit -n" in result.stderr
