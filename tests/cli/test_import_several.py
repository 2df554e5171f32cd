"""`synmem import` of several files: what belongs together, and what comes one after the other."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.at_places import FIXTURES
from tests.cli.moved import lines, make, run, said

FORMS = ("jsonl", "json", "csv")
MON = {"a": ["1", "2"], "b": ["x"]}
TUE = {"a": ["1", "2", "3"], "b": ["x"], "c": ["new"]}


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest.db"


def backup(path: Path, said: Mapping[str, Sequence[str]], *options: str) -> Path:
    """A full export of a store that says this."""
    store = path.with_name(f"of-{path.name}.db")
    store.unlink(missing_ok=True)
    result = run("export", "-p", make(store, said), "-o", path, *options)
    assert result.exit_code == 0, result.stderr
    store.unlink()
    return path


def parts(path: Path, said: Mapping[str, Sequence[str]], split: str, *options: str) -> list[Path]:
    """The parts of a split export."""
    backup(path, said, "--split", split, *options)
    return sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))


# --- full backups ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seal", [[], ["--seal"]])
def test_full_backups_are_brought_one_after_the_other(
    tmp_path: Path, dest: Path, form: str, seal: list[str]
) -> None:
    if seal and form != "jsonl":
        pytest.skip("only JSON Lines have a seal")
    mon = backup(tmp_path / f"mon.{form}", MON, *seal)
    tue = backup(tmp_path / f"tue.{form}", TUE, *seal)
    result = run("import", mon, tue, "-p", dest)
    assert result.exit_code == 0, result.stderr
    assert "3 conversations: 3 copied; 5 messages written and verified" in result.stderr
    assert said(dest) == TUE
    again = run("import", tue, mon, tue, "-p", dest)
    assert again.exit_code == 0, again.stderr
    assert "0 messages written" in again.stderr
    assert said(dest) == TUE


def test_the_same_file_twice_is_the_file_once(tmp_path: Path, dest: Path) -> None:
    mon = backup(tmp_path / "mon.jsonl", MON)
    assert run("import", mon, mon, "-p", dest).exit_code == 0
    assert said(dest) == MON


def test_what_a_later_file_says_otherwise_is_named_with_the_file(
    tmp_path: Path, dest: Path
) -> None:
    one = backup(tmp_path / "one.jsonl", {"a": ["1", "2"]})
    other = backup(tmp_path / "other.jsonl", {"a": ["1", "z"], "b": ["x"]})
    result = run("import", one, other, "-p", dest, "--json")
    assert result.exit_code == 6
    assert f"{other}: a: different: message 2: content" in result.stderr
    assert said(dest) == {"a": ["1", "2"], "b": ["x"]}
    receipt = json.loads(result.stdout)
    assert receipt["counts"] == {"conversations": 2, "messages": 3, "copied": 2, "conflict": 1}
    receipt_file = tmp_path / "r.json"
    receipt_file.write_text(result.stdout)
    assert run("check", dest, "--receipt", receipt_file).exit_code == 0

    renamed = run("import", one, other, "-p", dest, "--on-conflict", "rename")
    assert renamed.exit_code == 0, renamed.stderr
    assert said(dest)["a (from other.jsonl)"] == ["1", "z"]


def test_the_receipt_of_several_files_proves_the_longest(tmp_path: Path, dest: Path) -> None:
    mon, tue = backup(tmp_path / "mon.jsonl", MON), backup(tmp_path / "tue.jsonl", TUE)
    for number, order in enumerate([(mon, tue), (tue, mon)]):
        store, receipt = tmp_path / f"{number}.db", tmp_path / f"{number}.json"
        assert run("import", *order, "-p", store, "--receipt", receipt).exit_code == 0
        found = json.loads(receipt.read_text())
        assert [(e["conversation_id"], e["action"], e["messages"])
                for e in found["conversations"]] == [
            ("a", "copied", 3), ("b", "copied", 1), ("c", "copied", 1),
        ]  # fmt: skip
        assert found["counts"]["messages"] == 5
        assert run("check", store, "--receipt", receipt).exit_code == 0


def test_a_dry_run_counts_what_several_files_have_in_common_once(
    tmp_path: Path, dest: Path
) -> None:
    mon, tue = backup(tmp_path / "mon.jsonl", MON), backup(tmp_path / "tue.jsonl", TUE)
    result = run("import", mon, tue, "-p", dest, "--dry-run")
    assert result.exit_code == 0
    assert "3 conversations: 3 would be copied; 5 messages would be written" in result.stderr
    assert "each file is compared with what is there now" in result.stderr
    assert not dest.exists()


def test_stop_ends_before_the_next_file(tmp_path: Path) -> None:
    one = backup(tmp_path / "one.jsonl", {"a": ["z"]})
    two = backup(tmp_path / "two.jsonl", {"a": ["z"], "b": ["1"]})
    dest = make(tmp_path / "dest.db", {"a": ["1"]})
    result = run("import", one, two, "-p", dest, "--on-conflict", "stop")
    assert result.exit_code == 6
    assert said(dest) == {"a": ["1"]}


def test_many_files_without_a_conversation_in_common_are_brought_together(
    tmp_path: Path, dest: Path
) -> None:
    store = make(tmp_path / "s.db", {f"x-{n:04}": ["1", "2"] for n in range(0, 60, 2)})
    run("export", "-p", store, "-o", tmp_path / "out" / "{id}.jsonl")
    result = run("import", *(tmp_path / "out").iterdir(), "-p", dest)
    assert result.exit_code == 0, result.stderr  # named like parts, with gaps, and no parts
    assert "30 copied; 60 messages written" in result.stderr
    assert run("check", store, dest).exit_code == 0


# --- several exports in one file ------------------------------------------------------------


@pytest.mark.parametrize("command", ["import", "stdin", "migrate"])
def test_sealed_exports_in_one_file_are_each_by_themselves(
    tmp_path: Path, dest: Path, command: str
) -> None:
    mon = backup(tmp_path / "mon.jsonl", MON, "--seal").read_bytes()
    tue = backup(tmp_path / "tue.jsonl", TUE, "--seal").read_bytes()
    both = tmp_path / "both.jsonl"
    for data in (mon + tue, tue + mon, mon + tue + lines({"d": ["4"]})):
        both.write_bytes(data)
        if command == "stdin":
            done = run("import", "-p", dest, stdin=data)
        elif command == "import":
            done = run("import", both, "-p", dest)
        else:
            done = run("migrate", both, dest)
        assert done.exit_code == 0, done.stderr
        assert said(dest) == {**TUE, **({"d": ["4"]} if b'"d"' in data else {})}
        assert run("check", both, dest).exit_code == 0
        dest.unlink()


@pytest.mark.parametrize("latest_first", [False, True])
def test_a_file_of_several_exports_is_read_as_the_longest_has_it(
    tmp_path: Path, latest_first: bool
) -> None:
    both = tmp_path / "both.jsonl"
    mon = backup(tmp_path / "mon.jsonl", MON, "--seal").read_bytes()
    tue = backup(tmp_path / "tue.jsonl", TUE, "--seal").read_bytes()
    both.write_bytes(tue + mon if latest_first else mon + tue)
    assert said(both) == TUE
    assert run("show", "a", "-p", both).stdout == "User: 1\nUser: 2\nUser: 3\n"
    store = make(tmp_path / "tue.db", TUE)
    commands = (["check", both], ["check", store, both], ["export", "-p", both])
    for command in commands:
        result = run(*command)
        assert result.exit_code == 0, result.stderr
        assert "2 exports stand in it, one behind the other" in result.stderr
    with both.open("ab") as file:
        file.write(backup(tmp_path / "wed.jsonl", {"a": ["1", "2", "3", "4"]}).read_bytes())
    assert said(both) == {**TUE, "a": ["1", "2", "3", "4"]}


# --- parts ----------------------------------------------------------------------------------

LONG = {"a": [f"{n} " + "x" * 50 for n in range(40)], "b": ["1"], "c": ["2", "3", "4"]}


@pytest.mark.parametrize("how", [["jsonl"], ["jsonl", "--seal"], ["json"], ["csv"]])
@pytest.mark.parametrize("order", ["sorted", "reversed", "twice", "one file"])
def test_the_parts_of_a_set_are_one(tmp_path: Path, dest: Path, how: list[str], order: str) -> None:
    form, *options = how
    found = parts(tmp_path / f"x.{form}", LONG, "9", *options)
    assert len(found) == 5
    if order == "one file":
        if form != "jsonl":
            pytest.skip("only JSON Lines can be put one behind the other")
        data = b"".join(path.read_bytes() for path in found)
        result = run("import", "-p", dest, stdin=data)
    else:
        named = {"sorted": found, "reversed": found[::-1], "twice": found * 2}[order]
        result = run("import", *named, "-p", dest)
    assert result.exit_code == 0, result.stderr
    assert said(dest) == LONG


@pytest.mark.parametrize("options", [[], ["--seal"]])
@pytest.mark.parametrize("left_out", [0, 2, 4])
def test_a_set_without_one_of_its_parts_is_refused(
    tmp_path: Path, dest: Path, options: list[str], left_out: int
) -> None:
    found = parts(tmp_path / "x.jsonl", LONG, "9", *options)
    named = found[:left_out] + found[left_out + 1 :]
    result = run("import", *named, "-p", dest)
    if left_out == 4 and not options:
        assert result.exit_code == 0  # without a seal nobody can know
        return
    assert result.exit_code == 6
    assert f"part {left_out + 1} is not here" in result.stderr
    assert str(named[0]) in result.stderr
    assert not dest.exists()
    as_it_is = run("import", "--parts", *named, "-p", dest)
    assert as_it_is.exit_code == 0, as_it_is.stderr
    assert len(said(dest)["a"]) < 40 or "c" not in said(dest) or len(said(dest)["c"]) < 3


@pytest.mark.parametrize("command", ["import", "migrate"])
def test_a_part_alone_is_refused_where_it_says_so(tmp_path: Path, dest: Path, command: str) -> None:
    found = parts(tmp_path / "x.jsonl", LONG, "9", "--seal")
    assert run("check", found[1]).exit_code == 0  # whole in itself
    to = ["-p", dest] if command == "import" else [dest]
    result = run(command, found[1], *to)
    assert result.exit_code == 6
    assert "of the 5 parts of its export parts 1, 3 to 5 are not here" in result.stderr
    assert not dest.exists()


def test_a_mixture_of_two_runs_is_refused(tmp_path: Path, dest: Path) -> None:
    old = parts(tmp_path / "x.jsonl", LONG, "5", "--seal")
    kept = {path: path.read_bytes() for path in old}
    new = parts(tmp_path / "x.jsonl", LONG, "9", "--seal")
    for path in old[len(new) :]:
        path.write_bytes(kept[path])
    result = run("import", *old, "-p", dest)
    assert result.exit_code == 6
    assert f"{old[len(new)]}: of the 9 parts of its export parts 1 to 5 are not here" in (
        result.stderr
    )
    for path in old[len(new) :]:
        path.write_bytes(lines({"c": ["of an older export without a seal"]}))
    result = run("import", *old, "-p", dest)
    assert result.exit_code == 6
    assert f"{old[len(new)]} is not of the same export" in result.stderr
    assert not dest.exists()
    assert run("import", *new, "-p", dest).exit_code == 0
    assert said(dest) == LONG


def test_files_named_like_parts_that_begin_again_are_refused(tmp_path: Path, dest: Path) -> None:
    for number, text in enumerate(["1", "2", "3"], 1):
        (tmp_path / f"day-000{number}.jsonl").write_bytes(lines({"a": [text], "b": [text]}))
    result = run("import", *sorted(tmp_path.glob("day-*")), "-p", dest)
    assert result.exit_code == 6
    assert "day-0002.jsonl is named like a part of an export, but conversation 'a'" in result.stderr
    assert not dest.exists()


def test_years_are_no_parts(tmp_path: Path, dest: Path) -> None:
    for year, said_then in (("2024", MON), ("2026", TUE)):
        backup(tmp_path / f"chat-{year}.jsonl", said_then)
    result = run("import", *sorted(tmp_path.glob("chat-*.jsonl")), "-p", dest)
    assert result.exit_code == 0, result.stderr
    assert said(dest) == TUE


def test_pipes_are_taken_like_files(tmp_path: Path, dest: Path) -> None:
    mon, tue = backup(tmp_path / "mon.jsonl", MON), backup(tmp_path / "tue.jsonl", TUE)
    done = subprocess.run(
        ["bash", "-c", '"$0" -m synmem import <(cat "$1") - -p "$3" < "$2"',
         sys.executable, mon, tue, dest],
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert said(dest) == TUE


def test_a_byte_order_mark_in_a_second_file_does_no_harm(tmp_path: Path, dest: Path) -> None:
    files = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    for path, text in zip(files, "12", strict=True):
        path.write_bytes(b"\xef\xbb\xbf" + lines({"a": [text]}))
    assert run("import", "--parts", *files, "-p", dest).exit_code == 0
    assert said(dest) == {"a": ["1", "2"]}


# --- surplus parts --------------------------------------------------------------------------


@pytest.mark.parametrize("how", [["jsonl"], ["jsonl", "--seal"], ["json"], ["csv"]])
def test_a_shorter_run_removes_what_an_earlier_left_over(
    tmp_path: Path, dest: Path, how: list[str]
) -> None:
    form, *options = how
    path = tmp_path / f"x.{form}"
    assert len(parts(path, LONG, "3", *options)) == 15
    own = tmp_path / f"x-2024.{form}"
    backup(own, MON)
    (tmp_path / f"x-0016.{form}").write_text("no export at all")
    found = parts(path, LONG, "10", *options)
    assert [each.name for each in found] == [
        *(f"x-000{n}.{form}" for n in range(1, 6)), f"x-0016.{form}", own.name,
    ]  # fmt: skip
    assert run("import", *found[:5], "-p", dest).exit_code == 0
    assert said(dest) == LONG


def test_the_file_that_is_read_is_no_surplus(tmp_path: Path) -> None:
    before = parts(tmp_path / "x.jsonl", LONG, "9", "--seal")
    result = run("export", "-p", before[4], "-o", tmp_path / "x.jsonl", "--split", "9", "--seal")
    assert result.exit_code == 0
    assert sorted(tmp_path.glob("x-*.jsonl")) == [before[0], before[4]]
    assert f"{before[4]}: there from before" in result.stderr


def test_a_run_that_fails_removes_nothing(tmp_path: Path) -> None:
    before = parts(tmp_path / "x.jsonl", LONG, "3", "--seal")
    store = make(tmp_path / "s.db", {"a": ["1"]})
    result = run("export", "none", "-p", store, "-o", tmp_path / "x.jsonl", "--split", "9")
    assert result.exit_code == 3
    assert sorted(tmp_path.glob("x-*.jsonl")) == before


# --- any sequence ---------------------------------------------------------------------------


def sequences(cases: int, seed: int, folder: Path) -> None:
    """Random exports, whole, split or one behind the other, in random orders: the store says what
    the model says, in which each export comes by itself."""
    chance = random.Random(seed)
    for case in range(cases):
        place = folder / f"{seed}-{case}"
        place.mkdir()
        history = {name: [f"{name}{n}" for n in range(chance.randint(1, 9))] for name in "abc"}
        dest, model = place / "dest.db", {}
        named: list[Path] = []
        for number in range(chance.randint(1, 4)):
            taken = {
                name: texts[: chance.randint(1, len(texts))]
                for name, texts in history.items()
                if chance.random() < 0.8
            } or {"a": history["a"][:1]}
            form = chance.choice(FORMS)
            seal = ["--seal"] if form == "jsonl" and chance.random() < 0.6 else []
            path = place / f"{chance.choice('xyz')}{number}.{form}"
            if chance.random() < 0.5:
                several = parts(path, taken, str(chance.randint(1, 6)), *seal)
                if seal:
                    chance.shuffle(several)
                if seal and chance.random() < 0.3:
                    path.write_bytes(b"".join(p.read_bytes() for p in sorted(several)))
                    several = [path]
                named += several
            else:
                named.append(backup(path, taken, *seal))
            for name, texts in taken.items():
                model[name] = max(model.get(name, []), texts, key=len)
        chance.random() < 0.3 and named.append(chance.choice(named))
        for _ in range(2):
            result = run("import", *named, "-p", dest)
            assert result.exit_code == 0, (seed, case, named, result.stderr)
            assert said(dest) == model, (seed, case, named)


def test_any_sequence_of_files_ends_as_the_model(tmp_path: Path) -> None:
    sequences(8, 12, tmp_path)


@pytest.mark.real
def test_any_sequence_of_files_ends_as_the_model_ten_times(tmp_path: Path) -> None:
    for seed in range(10):
        sequences(8, seed, tmp_path)


# --- trees ----------------------------------------------------------------------------------


def test_other_branches_are_counted_and_brought_where_they_are_asked_for(
    tmp_path: Path, dest: Path
) -> None:
    export = FIXTURES / "chatgpt-export" / "conversations.json"
    other = tmp_path / "claude.json"
    shutil.copyfile(FIXTURES / "claude-ai-export" / "conversations.json", other)
    options = ("-p", dest, "--id-as", "{layout}/{id}")
    for _ in range(2):
        assert "left out: another branch (--branches" in run("import", export, *options).stderr
        assert "left out: 2 other branches" in run("import", export, other, *options).stderr
    result = run("import", export, "--match", "*1", *options)
    assert "left out" not in result.stderr, result.stderr
    result = run("import", export, other, "--branches", *options)
    assert (result.exit_code, "left out" in result.stderr) == (0, False), result.stderr
    assert sum("#" in each for each in said(dest)) == 2


def test_what_is_not_compared_is_told_of_each_file(tmp_path: Path, dest: Path) -> None:
    mon = backup(tmp_path / "mon.jsonl", MON, "-f", "sharegpt")
    tue = backup(tmp_path / "tue.jsonl", TUE)
    wed = backup(tmp_path / "wed.jsonl", TUE, "-f", "sharegpt")
    told = run("import", mon, tue, wed, "-p", dest).stderr
    assert f"\nnot compared of {mon}, {wed}: metadata, created_at, " in told
    assert "; not compared" not in told
    alike = run("import", mon, wed, "-p", dest).stderr
    assert "; not compared: metadata, created_at, " in alike
    assert str(mon) not in alike


def test_what_does_not_travel_is_told_of_each_file(tmp_path: Path, dest: Path) -> None:
    mon = backup(tmp_path / "mon.jsonl", MON)
    tue = backup(tmp_path / "tue.jsonl", TUE, "-f", "sharegpt")
    wed = backup(tmp_path / "wed.jsonl", TUE)
    result = run("import", mon, tue, wed, "-p", dest, "--layout", "langchain")
    losing = f"what {dest} cannot hold does not travel"
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{mon}: {losing}: metadata, created_at, ")
    assert lines[1].startswith(f"{tue}: {losing}: conversation extra, ")
    assert lines[-1].startswith(f"{losing}, of {mon}, {wed}: metadata, created_at, ")
