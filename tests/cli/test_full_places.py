"""Where there is no room: the folder or file that is full is named, and no other."""

import subprocess
from pathlib import Path

import pytest

from tests.backends.sqlite.test_living import hot, in_mounts
from tests.cli.moved import make, run
from tests.cli.processes import PROGRAM


@pytest.mark.parametrize("form", ["csv", "json", "stdin"])
def test_a_full_folder_for_temporary_files_is_named(tmp_path: Path, form: str) -> None:
    source = make(tmp_path / "a.db", {"a": ["x" * 1000] * 300})
    file = tmp_path / f"a.{'jsonl' if form == 'stdin' else form}"
    assert run("export", "-p", source, "-o", file).exit_code == 0
    small = tmp_path / "small"
    small.mkdir()
    arguments = ["-"] if form == "stdin" else [str(file)]
    command = in_mounts(
        f"mount -t tmpfs -o size=64k none {small}; export TMPDIR={small}",
        *PROGRAM, "import", *arguments, "-p", tmp_path / "to.db",
    )  # fmt: skip
    with file.open("rb") as stdin:
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"synmem: a temporary file in {small} cannot be written: No space")
    assert "TMPDIR" in done.stderr
    assert "Exception ignored" not in done.stderr
    assert not (tmp_path / "to.db").exists()


def test_a_copy_for_which_there_is_no_room_is_not_the_fault_of_the_file(tmp_path: Path) -> None:
    path = hot(tmp_path / "f", tmp_path)
    small = tmp_path / "small"
    small.mkdir()
    command = in_mounts(
        f"mount -t tmpfs -o size=64k none {small}; export TMPDIR={small}",
        *PROGRAM, "ls", "-p", path,
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"none can be made in {small}: No space left on device" in done.stderr
    assert "TMPDIR" in done.stderr
