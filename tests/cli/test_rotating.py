"""`export --keep N` removes what it wrote itself on earlier days, and nothing else."""

import asyncio
import gzip
import os
import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest

from synmem.backends import open_store
from synmem.formats.sealed import read_sealed
from synmem.layouts.interchange import jsonl as jsonlines
from synmem.messages import Conversation, Message
from synmem.store import Part
from tests.cli.moved import lines, make, run, said
from tests.cli.processes import PROGRAM, in_pipe

TODAY = "2026-02-03"
DAYS = [f"2020-01-0{day}" for day in range(1, 8)]


class _Today(date):
    @classmethod
    def today(cls) -> "_Today":
        return cls.fromisoformat(TODAY)


@pytest.fixture(autouse=True)
def one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """No midnight falls into a test; a process of its own has the day of the machine."""
    monkeypatch.setattr("synmem.cli.outputs.date", _Today)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "chat.db", {"a": ["1", "2"], "b": ["3"]}, title="t")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the exports lie, seen from where they are written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    return tmp_path / "b"


def keep(store: Path, number: int, *more: str, name: str = "{date}.jsonl", code: int = 0) -> str:
    """Export with --keep; what was said."""
    result = run("export", "-p", store, "-o", f"b/{name}", "--keep", number, *more)
    assert result.exit_code == code, result.stderr
    assert not result.stdout
    return result.stderr


def on(day: str, folder: Path) -> None:
    """What was written today was written on that day."""
    for path in sorted(folder.iterdir()):
        if TODAY in path.name:
            path.rename(folder / path.name.replace(TODAY, day))


def week(store: Path, folder: Path, *more: str, name: str = "{date}.jsonl") -> None:
    """An export of each of these days."""
    for day in DAYS:
        keep(store, 100, *more, name=name)
        on(day, folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["{date}.jsonl", "x-{date}.jsonl.gz", "{date} {date}.ndjson"])
@pytest.mark.parametrize("number", [1, 2, 4, 7, 8, 9, 100])
def test_the_newest_stay(store: Path, folder: Path, name: str, number: int) -> None:
    week(store, folder, name=name)
    told = keep(store, number, name=name)
    left = [*DAYS, TODAY][-number:]
    assert names(folder) == [name.format(date=day) for day in left]
    assert f"kept {min(number, 8)} of b/{name}; {max(0, 8 - number)} older one" in told
    assert keep(store, number, "-q", name=name) == ""
    assert names(folder) == [name.format(date=day) for day in left]


def test_what_is_written_is_sealed_and_every_reader_takes_it(store: Path, folder: Path) -> None:
    keep(store, 1)
    on(DAYS[0], folder)
    keep(store, 3, name="{date}.jsonl")
    one, two = folder / f"{DAYS[0]}.jsonl", folder / f"{TODAY}.jsonl"
    opening = one.read_bytes().splitlines(keepends=True)[0]
    part = jsonlines.opening_of(opening)
    assert isinstance(part, jsonlines.PartOf)
    assert (part.part, part.of) == (1, 1)
    assert opening == jsonlines.part_opening(part)
    assert run("check", one).exit_code == 0
    assert run("check", store, one).exit_code == 0
    dest = folder / "d.db"
    assert run("import", one, two, "-p", dest).exit_code == 0
    assert said(dest) == said(store)
    both = one.read_bytes() + two.read_bytes()
    assert run("import", "-p", folder / "e.db", stdin=both).exit_code == 0
    assert said(folder / "e.db") == said(store)


def test_the_parts_of_one_export_are_one(store: Path, folder: Path) -> None:
    week(store, folder, "--split", "1")
    assert len(names(folder)) == 21
    told = keep(store, 3, "--split", "1")
    assert "kept 3 of b/{date}.jsonl; 5 older ones removed" in told
    days = [*DAYS[-2:], TODAY]
    assert names(folder) == [f"{day}-000{n}.jsonl" for day in days for n in (1, 2, 3)]
    assert run("import", *sorted(folder.iterdir())[:3], "-p", "d.db").exit_code == 0
    assert said(Path("d.db")) == said(store)
    keep(store, 1)  # in one file from now on: those in parts are older ones still
    assert names(folder) == [f"{TODAY}.jsonl"]


def test_of_more_parts_than_four_digits_tell_each_begins_as_long_as_before() -> None:
    name = "0123456789ab-0123456789abcdef"
    whole = jsonlines.part_opening(jsonlines.PartOf(name, 1))
    last = jsonlines.part_opening(jsonlines.PartOf(name, 999_999, 999_999))
    assert len(whole) == len(last)


def test_another_choice_of_the_same_store_is_left_alone(store: Path, folder: Path) -> None:
    for number, choice in enumerate([[], ["a"], ["a", "b"], ["--match", "a"]]):
        keep(store, 100, *choice)
        on(DAYS[number], folder)
    told = keep(store, 1, "b", "a")  # the order of ids is no choice
    assert names(folder) == [f"{day}.jsonl" for day in (*DAYS[:2], DAYS[3], TODAY)]
    assert "of another choice" in told
    on(DAYS[4], folder)
    keep(store, 1)
    assert names(folder) == [f"{day}.jsonl" for day in (DAYS[1], *DAYS[3:5], TODAY)]


def test_what_is_not_certainly_ours_stays_and_is_said(store: Path, folder: Path) -> None:
    week(store, folder)
    ours = (folder / f"{DAYS[0]}.jsonl").read_bytes()
    other = make(folder.parent / "other.db", {"z": ["9"]})
    run("export", "-p", other, "-o", "b/2019-01-01.jsonl", "--seal")
    run("export", "-p", store, "-o", "b/2019-01-02.jsonl")
    run("export", "-p", other, "-o", "b/{date}.jsonl", "--keep", 100)
    on("2019-01-03", folder)
    (folder / "2019-01-04.jsonl").write_text("by hand\n")
    (folder / "2019-01-05.jsonl").write_bytes(ours.replace(b'"1"', b'"7"'))
    (folder / "2019-01-06.jsonl").write_bytes(ours[:-40])
    (folder / "2019-01-07.jsonl").write_bytes(ours + lines({"mine": ["added by hand"]}))
    (folder / "2019-01-08.jsonl").symlink_to(f"{DAYS[6]}.jsonl")
    (folder / "2019-01-09.jsonl").mkdir()
    os.mkfifo(folder / "2019-01-10.jsonl")
    (folder / "2019-01-11.jsonl").write_bytes(b"")
    (folder / "2019-01-12-0002.jsonl").write_bytes(ours)
    (folder / "2019-01-13.jsonl").write_bytes(ours.removesuffix(b"\n"))
    (folder / "2019-01-14.jsonl").write_bytes(b"\n" + ours)
    for name in (
        "2019-13-01.jsonl",
        "x-2019-01-01.jsonl",
        "2019-01-01.jsonl.bak",
        "2019-1-1.jsonl",
    ):
        (folder / name).write_bytes(ours)  # of another template
    before = set(names(folder))
    told = keep(store, 2)
    assert set(names(folder)) == before - {f"{day}.jsonl" for day in DAYS[:-1]} | {f"{TODAY}.jsonl"}
    assert "kept 2 of b/{date}.jsonl; 6 older ones removed" in told
    assert "not counted, and left alone: b/2019-01-01.jsonl (not written with --keep)" in told
    assert "11 more" in told
    assert "b/2019-01-01.jsonl.bak" not in told
    assert keep(store, 2, "-q") == ""


def test_a_packed_one_that_is_damaged_stays(store: Path, folder: Path) -> None:
    week(store, folder, name="{date}.jsonl.gz")
    first = folder / f"{DAYS[0]}.jsonl.gz"
    first.write_bytes(first.read_bytes()[:-9])
    second = folder / f"{DAYS[1]}.jsonl.gz"
    second.write_bytes(gzip.compress(gzip.decompress(second.read_bytes()) + b"\n"))
    third = folder / f"{DAYS[2]}.jsonl.gz"
    third.write_bytes(b"no gzip")
    told = keep(store, 1, name="{date}.jsonl.gz")
    assert names(folder) == [*(f"{day}.jsonl.gz" for day in DAYS[:3]), f"{TODAY}.jsonl.gz"]
    assert told.count("jsonl.gz (") == 3


def test_a_part_that_is_damaged_keeps_all_of_its_export(store: Path, folder: Path) -> None:
    week(store, folder, "--split", "1")
    part = folder / f"{DAYS[0]}-0002.jsonl"
    part.write_bytes(part.read_bytes().replace(b'"2"', b'"8"'))
    (folder / f"{DAYS[1]}-0001.jsonl").unlink()
    keep(store, 1, "--split", "1")
    assert [name for name in names(folder) if TODAY not in name] == [
        *(f"{DAYS[0]}-000{n}.jsonl" for n in (1, 2, 3)),
        *(f"{DAYS[1]}-000{n}.jsonl" for n in (2, 3)),
    ]


def test_the_clock_may_have_been_wrong(store: Path, folder: Path) -> None:
    """What was written just now stays, whatever its day."""
    keep(store, 5)
    on("9999-01-01", folder)
    keep(store, 1)
    assert names(folder) == [f"{TODAY}.jsonl"]


def test_nothing_goes_for_an_export_that_lacks_something(store: Path, folder: Path) -> None:
    week(store, folder)
    empty = run("export", "-p", store, "-o", "b/{date}.jsonl", "--keep", "1", "--match", "none")
    assert empty.exit_code == 0
    assert "nothing older was removed: there is nothing in the new one" in empty.stderr
    assert len(names(folder)) == 8
    broken = folder.parent / "broken.jsonl"
    broken.write_bytes(lines({"a": ["1"]}) + b"{\n")
    for _ in range(2):
        told = keep(broken, 1, code=6)
        assert "nothing older was removed: not all is in the new one" in told
    assert len(names(folder)) == 8


@pytest.mark.parametrize("more", [(), ("--split", "1")])
def test_what_lacks_something_takes_no_place_of_the_same_day(
    store: Path, folder: Path, more: tuple[str, ...]
) -> None:
    chat = folder.parent / "chat.jsonl"
    chat.write_bytes(lines({"a": ["1", "2"], "b": ["3"]}))
    keep(chat, 2, *more)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    chat.write_bytes(lines({"a": ["1"]}) + b"{\n")
    told = keep(chat, 2, *more, code=1)
    assert "stays as it was: it holds 3 messages" in told
    assert "something is missing" in told
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    chat.write_bytes(lines({"a": ["1"]}))  # less, and all of it
    keep(chat, 2, *more)
    assert "1" in said(folder / names(folder)[0])["a"][0]


def test_an_empty_store_takes_no_place_of_the_same_day(store: Path, folder: Path) -> None:
    keep(store, 2)
    before = (folder / f"{TODAY}.jsonl").read_bytes()
    assert run("clear", "--match", "*", "-p", store, "--yes").exit_code == 0
    assert "there is nothing (" in keep(store, 2, code=1)
    assert (folder / f"{TODAY}.jsonl").read_bytes() == before
    on(DAYS[0], folder)
    assert "there is nothing in the new one" in keep(store, 2)


def test_what_is_not_as_it_was_written_is_an_error_and_nothing_goes(
    store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    week(store, folder)
    replace = Path.replace

    def failing(path: Path, target: Path) -> Path:
        """A disk that loses a bit."""
        data = path.read_bytes()
        path.write_bytes(data.replace(b'"3"', b'"4"'))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    told = keep(store, 1, code=1)
    assert "read back, it is not as it was written" in told
    assert "nothing older was removed" in told
    assert len(names(folder)) == 8


@pytest.mark.parametrize("kill_at", range(7))
def test_a_kill_leaves_whole_exports_and_the_next_run_goes_on(
    store: Path, folder: Path, kill_at: int
) -> None:
    for day in DAYS[:3]:
        keep(store, 100, "--split", "1")
        on(day, folder)
    code = (
        "import os, pathlib, signal\n"
        "unlink, count = pathlib.Path.unlink, [0]\n"
        "def killed(self, *a, **k):\n"
        "    if '2020' in self.name:\n"
        f"        if count[0] == {kill_at}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        count[0] += 1\n"
        "    return unlink(self, *a, **k)\n"
        "pathlib.Path.unlink = killed\n"
        "from synmem.cli import outputs\n"
        "class Day(outputs.date):\n"
        f"    today = classmethod(lambda cls: cls.fromisoformat('{TODAY}'))\n"
        "outputs.date = Day\n"
        "from synmem.__main__ import main\n"
        "main()\n"
    )
    words = ["export", "-p", store, "-o", "b/{date}.jsonl", "--keep", "1", "--split", "1"]
    done = subprocess.run([PROGRAM[0], "-c", code, *map(str, words)], timeout=60)
    assert done.returncode == -9
    assert len([name for name in names(folder) if TODAY in name]) == 3
    for name in names(folder):
        with (folder / name).open("rb") as file:
            assert read_sealed(file).messages == 1
    left = names(folder)
    keep(store, 4, "--split", "1")
    assert names(folder) == left  # not so many are whole
    if kill_at in (1, 2):  # the first parts of an export of which the last were removed
        keep(store, 3, "--split", "1")
        assert all(len([n for n in names(folder) if day in n]) in (0, 3) for day in DAYS)
    keep(store, 1, "--split", "1")
    assert {name[:10] for name in names(folder)} == {TODAY}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-o", "b/{date}.jsonl", "--keep", "0"], "--keep is 1 or more"),
        (["-o", "b/{date}.jsonl", "--keep", "-1"], "--keep is 1 or more"),
        (["--keep", "1"], "a file for each day"),
        (["-o", "b/x.jsonl", "--keep", "1"], "a file for each day"),
        (["-o", "b/{id}-{date}.jsonl", "--keep", "1"], "without {id}"),
        (["-o", "b/", "--keep", "1"], "a file for each day"),
        (["-o", "b/{date}/x.jsonl", "--keep", "1"], "let it be in the file's"),
        (["-o", "b/{date}.md", "--keep", "1"], "only a sealed file can say whose it is"),
        (["-o", "b/{date}.csv", "--keep", "1"], "only a sealed file"),
        (["-o", "b/{date}.jsonl", "-f", "openai", "--keep", "1"], "only a sealed file"),
    ],
)
def test_keep_where_it_makes_no_sense_is_a_usage_error(
    store: Path, folder: Path, words: list[str], why: str
) -> None:
    result = run("export", "-p", store, *words)
    assert result.exit_code == 2
    assert why in result.stderr
    assert not names(folder)


def test_keep_is_for_files(store: Path, folder: Path) -> None:
    for days in (0, 1):  # it may be midnight
        os.mkfifo(folder / f"{date.today() + timedelta(days)}.jsonl")
    assert (
        in_pipe("export", "-p", str(store), "-o", "b/{date}.jsonl", "--keep", "1").returncode == 2
    )


def test_what_is_read_is_not_removed(store: Path, folder: Path) -> None:
    keep(store, 1)
    on(DAYS[0], folder)
    source = folder / f"{DAYS[0]}.jsonl"
    keep(source, 1)
    assert len(names(folder)) == 2


def test_odd_content_is_proven_too(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "odd.db"
    messages = [
        Message("user", "\ud800", metadata={"n": float("nan"), "big": 2**70}),
        Message('"role"', "\u2028\n", extra={"role": "x"}),
    ]

    async def main() -> None:
        async with open_store("sqlite", {"db_path": str(path)}, write=True) as store:
            await store.append(
                [Part(Conversation('"a\n', title="\ud800", extra={"x": 1}), messages)]
            )

    asyncio.run(main())
    done = in_pipe("export", "-p", str(path), "-o", "b/{date}.jsonl.gz", "--keep", "1")
    assert (done.returncode, done.stdout) == (0, b"")
