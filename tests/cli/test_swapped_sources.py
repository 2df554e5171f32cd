"""A file that is written over while it is read: named, exit 4, and never called verified."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.file.reading import Reader
from synmem.backends.file.store import FileStore
from synmem.formats import open_writer
from synmem.layouts.interchange import csv_table, json_array
from synmem.messages import Conversation, Message
from tests.cli.moved import lines, make, run

FORMS = ("jsonl", "json", "csv")
COMMANDS = ("import", "migrate", "check", "check of two", "export", "receipt")
OURS = {"a": [f"a{n:05}" for n in range(3_000)], "b": ["x"]}
THEIRS = {"a": [f"b{n:05}" for n in range(3_000)], "b": ["x"]}


def written(form: str, said: dict[str, list[str]]) -> bytes:
    """An export of this form; of texts of one length always of one size."""
    writer = open_writer(form)
    pieces = [writer.begin()]
    for name, texts in said.items():
        pieces.append(writer.conversation(Conversation(name)))
        pieces.append(writer.messages([Message("user", text) for text in texts]))
    return b"".join([*pieces, writer.end()])


def command(name: str, file: Path, place: Path) -> Sequence[Any]:
    """What reads the file."""
    dest = place / "dest.db"
    if name == "check of two":
        return ("check", make(dest, OURS), file)
    if name == "receipt":
        source = make(place / "source.db", OURS)
        receipt = place / "r.json"
        assert run("migrate", source, dest, "--receipt", receipt).exit_code == 0
        return ("check", file, "--receipt", receipt)
    return {
        "import": ("import", file, "-p", dest),
        "migrate": ("migrate", file, dest),
        "check": ("check", file),
        "export": ("export", "-p", file, "-o", place / "out.jsonl"),
    }[name]


def while_read(monkeypatch: pytest.MonkeyPatch, form: str, act: Callable[[], None]) -> None:
    """Let something happen in the middle of the reading: after the first page, or line."""
    done: list[bool] = []

    def once() -> None:
        if not done:
            done.append(True)
            act()

    if form == "jsonl":
        pages = Reader.next

        def following(self: Reader, some: Any) -> Any:
            found = pages(self, some)
            once()
            return found

        monkeypatch.setattr(Reader, "next", following)
        return
    module: Any = {"json": json_array, "csv": csv_table}[form]
    read = module.read_lines

    def lines_of(*arguments: Any, **options: Any) -> Iterator[bytes]:
        for number, each in enumerate(read(*arguments, **options)):
            if number == 1_500:
                once()
            yield each

    monkeypatch.setattr(module, "read_lines", lines_of)


def over(file: Path, data: bytes, *, time_set_back: bool) -> Callable[[], None]:
    """Write other bytes into the same file."""

    def act() -> None:
        before = file.stat()
        with file.open("r+b") as opened:
            opened.write(data)
            opened.truncate()
        if time_set_back:
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    return act


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("time_set_back", [False, True])
def test_a_file_that_is_written_over_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str, time_set_back: bool
) -> None:
    ours, theirs = written(form, OURS), written(form, THEIRS)
    assert len(ours) == len(theirs)
    file = tmp_path / f"in.{form}"
    file.write_bytes(ours)
    arguments = command(name, file, tmp_path)
    with monkeypatch.context() as patched:
        while_read(patched, form, over(file, theirs, time_set_back=time_set_back))
        result = run(*arguments)
    assert result.exit_code == 4, result.stderr
    assert f"{file} changed while it was read (run again)" in result.stderr
    assert "verified" not in result.stderr
    assert ": sound" not in result.stderr
    assert not (tmp_path / "out.jsonl").exists()
    if form != "jsonl" and name in ("import", "migrate"):
        assert not (tmp_path / "dest.db").exists()  # it is known before the first write


def test_what_was_written_before_it_changed_is_said_to_differ_perhaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "in.jsonl"
    data = lines({f"c{n}": ["one"] * 20 for n in range(1_000)})
    file.write_bytes(data)
    pages = Reader.next
    read: list[None] = []

    def following(self: Reader, some: Any) -> Any:
        read.append(None)
        if len(read) == 15:
            over(file, data.replace(b"one", b"two"), time_set_back=False)()
        return pages(self, some)

    with monkeypatch.context() as patched:
        patched.setattr(Reader, "next", following)
        result = run("import", file, "-p", tmp_path / "dest.db")
    assert result.exit_code == 4, result.stderr
    assert "written so far" in result.stderr
    assert "and names what has become different meanwhile" in result.stderr
    again = run("import", file, "-p", tmp_path / "dest.db")
    assert again.exit_code == 6
    assert "different" in again.stderr


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_replaced_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    file, other = tmp_path / f"in.{form}", tmp_path / "other"
    file.write_bytes(written(form, OURS))
    other.write_bytes(written(form, THEIRS))
    with monkeypatch.context() as patched:
        while_read(patched, form, lambda: other.replace(file) and None)
        result = run("import", file, "-p", tmp_path / "dest.db")
    assert result.exit_code == 4, result.stderr
    assert "changed while it was read" in result.stderr


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["mode", "link"])
def test_a_mode_or_a_link_is_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, way: str
) -> None:
    file = tmp_path / f"in.{form}"
    file.write_bytes(written(form, OURS))

    def act() -> None:
        file.chmod(0o600) if way == "mode" else (tmp_path / "link").hardlink_to(file)

    with monkeypatch.context() as patched:
        while_read(patched, form, act)
        result = run("import", file, "-p", tmp_path / "dest.db")
    assert result.exit_code == 0, result.stderr


def test_lines_that_are_appended_are_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(OURS))

    def act() -> None:
        with file.open("ab") as opened:
            opened.write(lines({"a": ["more"]}))

    with monkeypatch.context() as patched:
        while_read(patched, "jsonl", act)
        assert run("import", file, "-p", tmp_path / "dest.db").exit_code == 0
    assert run("import", file, "-p", tmp_path / "dest.db").exit_code == 0
    assert run("check", file, tmp_path / "dest.db").exit_code == 0


def test_what_grows_and_changes_in_front_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(OURS))
    data = lines(THEIRS) + lines({"a": ["more"]})
    with monkeypatch.context() as patched:
        while_read(patched, "jsonl", over(file, data, time_set_back=False))
        result = run("import", file, "-p", tmp_path / "dest.db")
    assert result.exit_code == 4, result.stderr


@pytest.mark.parametrize("form", FORMS)
def test_one_of_several_files_that_is_written_over_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    first, second = tmp_path / f"1.{form}", tmp_path / f"2.{form}"
    first.write_bytes(written(form, {"c": ["1"]}))
    second.write_bytes(written(form, OURS))
    act = over(second, written(form, THEIRS), time_set_back=True)
    with monkeypatch.context() as patched:
        if form == "jsonl":  # between the look and the copy
            append = FileStore.exports
            seen: list[Path] = []

            async def exports(self: FileStore) -> Any:
                seen.append(Path(self.name))
                if seen.count(second) == 2:
                    act()
                return await append(self)

            patched.setattr(FileStore, "exports", exports)
        else:
            while_read(patched, form, act)
        result = run("import", first, second, "-p", tmp_path / "dest.db")
    assert result.exit_code == 4, result.stderr
    assert f"{second} changed while it was read" in result.stderr
    assert not (tmp_path / "dest.db").exists()


def test_a_file_behind_stdin_is_held_too(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(OURS))
    code = (
        "import os, sys; from synmem.cli import importing; from synmem.cli.app import app\n"
        "read = importing._read_some; n = 0\n"
        "def some():\n"
        "    global n; n += 1\n"
        "    if n == 2:\n"
        "        with open(sys.argv[-1], 'r+b') as f: f.seek(60); f.write(b'Z')\n"
        "        os.utime(sys.argv[-1], ns=(0, int(sys.argv[-2])))\n"
        "    return read()\n"
        "importing._read_some = some; sys.argv[1:] = sys.argv[1:]; "
        "app(['import', '-p', sys.argv[1]])\n"
    )
    dest, time = tmp_path / "dest.db", str(file.stat().st_mtime_ns)
    with file.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-c", code, str(dest), time, str(file)],
            stdin=stdin, capture_output=True,
        )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert b"stdin changed while it was read" in done.stderr
    assert not dest.exists()


# --- at any moment --------------------------------------------------------------------------


def swapped(cases: int, seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte or a stretch of the file changes at a random step of its opening or reading: what is
    imported is one of both, whole, or the change is named."""
    from synmem.backends.file import slices

    chance = random.Random(seed)
    form = ""
    for case in range(cases):
        place = folder / f"{seed}-{case}"
        place.mkdir()
        form = FORMS[case % 3]
        ours, theirs = written(form, OURS), written(form, THEIRS)
        file, dest = place / f"in.{form}", place / "dest.db"
        file.write_bytes(ours)
        act = over(file, theirs, time_set_back=chance.random() < 0.5)
        left = [chance.randint(1, 8)]
        advance, pages = slices._advance, Reader.next

        def step(left: list[int] = left, act: Callable[[], None] = act) -> None:
            left[0] -= 1
            if left[0] == 0:
                act()

        def changed(left: list[int] = left) -> bool:
            return left[0] <= 0

        def advancing(
            steps: Any, advance: Any = advance, step: Any = step, changed: Any = changed
        ) -> Any:
            step()
            try:
                next(steps)
            except StopIteration as stop:
                return (stop.value,)
            step()
            return advance(steps) if changed() else None

        def following(self: Reader, some: Any, pages: Any = pages, step: Any = step) -> Any:
            found = pages(self, some)
            step()
            return found

        with monkeypatch.context() as patched:
            patched.setattr(slices, "_advance", advancing)
            patched.setattr(Reader, "next", following)
            result = run("import", file, "-p", dest, "--json")
        if result.exit_code == 4:
            assert "changed while it was read" in json.loads(
                result.stderr.splitlines()[-1]
            )["error"]["message"], (seed, case)  # fmt: skip
            continue
        assert result.exit_code == 0, (seed, case, result.stderr)
        exported = run("export", "-p", dest, "-f", "jsonl").stdout.encode()
        assert exported.count(b"a0") in (0, 3_000), (seed, case, form)


def test_what_is_imported_is_never_a_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped(6, 15, tmp_path, monkeypatch)


@pytest.mark.real
def test_what_is_imported_is_never_a_mixture_ten_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(10):
        swapped(6, seed, tmp_path, monkeypatch)
