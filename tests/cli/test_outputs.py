"""Where `export -o` writes: in parts, and a file for each conversation."""

import gzip
import hashlib
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synmem.cli.outputs import Output, limit_of, name_of
from synmem.errors import UsageError
from synmem.profiles import resolve
from tests.at_places import FIXTURES
from tests.cli.moved import make, run, said
from tests.cli.processes import PROGRAM, start

# --- names ----------------------------------------------------------------------------------

IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


def id_of(name: str) -> str:
    """The way back, as the README tells it; as a file system would have it that has no capitals."""
    text, _, bits = name.lower().partition("~")
    letters = iter(range(len(text)))
    capitals = int(bits or "0", 16)
    return "".join(
        character.upper()
        if character.isascii() and character.isalpha() and capitals >> next(letters) & 1
        else character
        for character in unquote(text, errors="strict")
    )


@given(IDS)
@example("UPPER")
@example("Con.txt")
@example("\u017f \u212a")  # long s and the Kelvin sign, which fold to s and k
@example("e\u0301")
def test_a_name_can_be_turned_back_and_is_safe_anywhere(conversation: str) -> None:
    name = name_of(conversation)
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.%~")
    assert name[0] not in ".-~"
    assert not name.endswith(".")
    assert name.split(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}
    assert len(name) <= 200
    if "~~" not in name:
        assert id_of(name) == conversation


@given(IDS, IDS)
@example("upper", "UPPER")
@example("a~1", "A")
@example("a%2F", "a/")
@example("x" * 300, "x" * 301)
@example("é" * 300, "É" * 300)
def test_two_ids_never_have_one_name(one: str, other: str) -> None:
    assert (name_of(one).lower() == name_of(other).lower()) == (one == other)


@pytest.mark.parametrize(
    ("conversation", "name"),
    [
        ("user-1", "user-1"), ("User-1", "User-1~1"), ("UPPER", "UPPER~1f"),
        ("a/b", "a%2Fb"), ("..", "%2E%2E"), (".hidden", "%2Ehidden"), ("-rf", "%2Drf"),
        ("con", "%63on"), ("nul.md", "%6Eul.md"), ("console", "console"), ("a.", "a%2E"),
        ("a b", "a%20b"), ("é", "%C3%A9"), ("a~b", "a%7Eb"), ("\0", "%00"),
    ],
)  # fmt: skip
def test_names_look_like_this(conversation: str, name: str) -> None:
    assert name_of(conversation) == name


def test_a_name_that_is_too_long_ends_with_a_digest() -> None:
    for conversation, begins in (("a" * 1024, "a" * 166), ("a" + "é" * 510, "a%C3%A9")):
        kept, _, digest = name_of(conversation).partition("~~")
        assert kept.startswith(begins)
        assert len(kept) in (164, 165, 166)
        assert digest == hashlib.sha256(conversation.encode()).hexdigest()[:32]


# --- one for each ---------------------------------------------------------------------------

HOSTILE = {
    name: [f"hello {name!r}"]
    for name in (
        "../../up", "..", ".", "/abs", "a/b", "UPPER", "upper", "Upper", "x" * 1024, "y" * 1023,
        "é" * 512, "con", "new\nline", "{id}", "%41", "A", "~", "*", "-rf", "a\\b", "\x00nul",
    )
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "chat.db", HOSTILE, title="T")


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
def test_a_file_for_each_and_an_import_of_all_is_equal(
    store: Path, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / "out"
    result = run("export", "-p", store, "-o", out / "{profile}" / ("{id}." + ending))
    assert result.exit_code == 0, result.stderr
    assert f"written to {len(HOSTILE)} files, {out}/{{profile}}/{{id}}.{ending}" in result.stderr
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {path.parent for path in files} == {out / "chat.db"}
    assert len({path.name.lower() for path in files}) == len(HOSTILE)
    back = tmp_path / "back.db"
    assert run("import", *files, "-p", back).exit_code == 0
    assert run("check", store, back).exit_code == 0
    assert said(back) == HOSTILE


def test_each_file_is_whole_in_itself(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("export", "-p", store, "--match", "[uU]pper", "--seal", "-o", out / "chat {{}} {id}.jsonl")
    assert sorted(path.name for path in out.iterdir()) == [
        "chat {} Upper~1.jsonl",
        "chat {} upper.jsonl",
    ]
    for path in out.iterdir():
        assert run("check", path).exit_code == 0
    run("export", "upper", "-p", store, "-o", out / "{id}" / "x.md")
    assert (out / "upper" / "x.md").read_text().startswith('---\nid: "upper"\ntitle: "T"\n')


@pytest.mark.parametrize(("name", "there"), [("out/", False), ("out", True), ("out/", True)])
def test_a_folder_has_a_file_for_each_with_the_ending_of_the_form(
    store: Path, tmp_path: Path, name: str, there: bool
) -> None:
    folder = tmp_path / "new" / "out"
    if there:
        folder.mkdir(parents=True)
    for form, ending in ((None, "jsonl"), ("markdown", "md"), ("csv", "csv"), ("json", "json")):
        options = [] if form is None else ["-f", form]
        result = run(
            "export", "-p", store, "--match", "[uU]pper", "-o", f"{folder.parent}/{name}", *options
        )
        assert result.exit_code == 0, result.stderr
        assert f"written to 2 files, {folder}/{{id}}.{ending}" in result.stderr
        files = sorted(path.name for path in folder.iterdir())
        assert files == [f"Upper~1.{ending}", f"upper.{ending}"]
        for path in folder.iterdir():
            path.unlink()


def test_a_folder_whose_name_ends_like_a_file_is_a_folder(store: Path, tmp_path: Path) -> None:
    for name in ("x.md/", "y.db/"):
        assert run("export", "upper", "-p", store, "-o", f"{tmp_path}/{name}").exit_code == 0
        assert (tmp_path / name / "upper.jsonl").read_bytes().startswith(b'{"conversation_id"')


def test_the_day_stands_in_a_name_and_missing_folders_are_made(store: Path, tmp_path: Path) -> None:
    before = date.today()
    assert run("export", "-p", store, "-o", tmp_path / "new" / "a" / "{date}.jsonl").exit_code == 0
    (made,) = (tmp_path / "new" / "a").iterdir()
    assert made.name in (f"{before}.jsonl", f"{date.today()}.jsonl")
    assert run("export", "-p", store, "-o", tmp_path / "b" / "c" / "x.md").exit_code == 0
    assert (tmp_path / "b" / "c" / "x.md").is_file()


# --- compressed -----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "md"])
def test_a_name_that_ends_in_gz_is_compressed_to_the_same_bytes_each_time(
    store: Path, tmp_path: Path, ending: str
) -> None:
    plain, one, other = (tmp_path / f"{n}.{ending}" for n in ("plain", "one", "other"))
    assert run("export", "-p", store, "-o", plain).exit_code == 0
    for path in (one, other):
        assert run("export", "-p", store, "-o", f"{path}.gz").exit_code == 0
    one, other = (path.with_name(f"{path.name}.gz") for path in (one, other))
    assert gzip.decompress(one.read_bytes()) == plain.read_bytes()
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes()[4:8] == bytes(4)  # no time
    assert one.stat().st_size < plain.stat().st_size


def test_a_compressed_file_for_each_conversation(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("export", "-p", store, "-o", out / "{id}.jsonl.gz", "--seal").exit_code == 0
    files = [*out.iterdir()]
    assert len(files) == len(HOSTILE)
    back = tmp_path / "back.db"
    assert run("import", *files, "-p", back).exit_code == 0
    assert said(back) == HOSTILE


def test_only_the_profile_in_the_name_is_one_file(store: Path, tmp_path: Path) -> None:
    result = run("export", "-p", store, "-o", tmp_path / "out" / "{profile}.jsonl")
    assert result.exit_code == 0
    assert f"messages written to {tmp_path}/out/chat.db.jsonl\n" in result.stderr
    assert run("check", store, tmp_path / "out" / "chat.db.jsonl").exit_code == 0


def test_a_conversation_that_is_not_there_makes_no_file(store: Path, tmp_path: Path) -> None:
    assert (
        run("export", "upper", "no", "-p", store, "-o", tmp_path / "o" / "{id}.md").exit_code == 3
    )
    assert not (tmp_path / "o").exists()
    result = run("export", "--match", "no*", "-p", store, "-o", tmp_path / "o" / "{id}.md")
    assert result.exit_code == 0
    assert "0 messages written to 0 files" in result.stderr


def test_a_file_in_the_way_of_a_folder_is_named(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    before = store.read_bytes()
    result = run("export", "-p", store, "-o", "{profile}/{id}.md")
    assert result.exit_code == 1
    assert "chat.db: no folder can be made where a file is" in result.stderr
    assert store.read_bytes() == before


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("name", ["chat.db", "link.db"])
def test_what_lies_beside_what_is_read_is_not_written_over(
    store: Path, name: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    Path("link.db").symlink_to(store)
    beside = Path(f"chat.db{suffix}")
    for command in (
        ["export", "-p", name, "-o", str(beside)],
        ["migrate", name, "other.db", "--receipt", str(beside)],
        ["migrate", name, "other.db", "--rejects", str(beside)],
    ):
        result = run(*command)
        assert result.exit_code == 2, result.stderr
        assert "is what is read" in result.stderr
        assert not beside.exists()


@pytest.mark.parametrize("output", ["chat.db", "./chat.db", "{profile}", "link.db"])
def test_what_is_read_is_not_written_over(
    store: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    Path("link.db").symlink_to(store)
    before = store.read_bytes()
    result = run("export", "-p", "chat.db", "-o", output)
    assert result.exit_code == 2
    assert "is what is read" in result.stderr
    assert store.read_bytes() == before


@pytest.mark.parametrize("output", ["lf/{id}.json", "lf/", "lf/tools.json", "link/tools.json"])
def test_files_of_the_folder_that_is_read_are_not_written_over(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FIXTURES / "langchain-file", "lf", ignore=lambda *_: ["expected.json"])
    Path("link").symlink_to("lf")
    before = {path: path.read_bytes() for path in Path("lf").iterdir()}
    result = run("export", "-p", "lf/", "-o", output, "-f", "json")
    assert result.exit_code == 2, result.stderr
    assert "in the folder that is read" in result.stderr
    assert {path: path.read_bytes() for path in Path("lf").iterdir()} == before


def test_what_no_program_keeps_conversations_in_may_be_written_again_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FIXTURES / "langchain-file", "lf", ignore=lambda *_: ["expected.json"])
    for _ in range(2):
        for output in ("lf/pages/", "lf/all.html"):
            assert run("export", "-p", "lf/", "-o", output, "-f", "html").exit_code == 0


# --- in parts -------------------------------------------------------------------------------

LONG = {"a": [f"{i} " + "x" * 100 for i in range(100)], "b": ["1"], "c": ["2", "3"]}


@pytest.fixture
def long(tmp_path: Path) -> Path:
    return make(tmp_path / "long.db", LONG, title="T")


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
@pytest.mark.parametrize("split", ["30", "2kb", "1.5KiB"])
def test_all_parts_imported_together_are_the_whole(
    long: Path, tmp_path: Path, ending: str, split: str
) -> None:
    result = run("export", "-p", long, "-o", tmp_path / f"x.{ending}", "--split", split)
    assert result.exit_code == 0, result.stderr
    parts = sorted(tmp_path.glob(f"x-*.{ending}"))
    first = f"{tmp_path}/x-0001.{ending} to x-{len(parts):04}.{ending}\n"
    assert f"3 conversations, 103 messages written to {len(parts)} files, {first}" in result.stderr
    assert not (tmp_path / f"x.{ending}").exists()
    assert len(parts) >= 4
    if split == "2kb":
        assert max(part.stat().st_size for part in parts) <= 2_000
    assert run("import", *parts, "-p", tmp_path / "back.db").exit_code == 0
    assert run("check", long, tmp_path / "back.db").exit_code == 0


def test_every_part_has_its_own_seal(long: Path, tmp_path: Path) -> None:
    run("export", "-p", long, "-o", tmp_path / "x.jsonl", "--split", "3kb", "--seal")
    parts = sorted(tmp_path.glob("x-*.jsonl"))
    assert max(part.stat().st_size for part in parts) <= 3_000
    for part in parts:
        assert run("check", part).exit_code == 0
    parts[1].write_bytes(parts[1].read_bytes()[:-50])
    assert run("import", *parts, "-p", tmp_path / "back.db").exit_code == 6


@pytest.mark.parametrize("options", [[], ["--seal"]])
def test_compressed_parts_are_the_whole(long: Path, tmp_path: Path, options: list[str]) -> None:
    result = run("export", "-p", long, "-o", tmp_path / "x.jsonl.gz", "--split", "30", *options)
    assert result.exit_code == 0, result.stderr
    parts = sorted(tmp_path.glob("x-000?.jsonl.gz"))
    assert len(parts) == 4
    assert f"{parts[0]} to x-0004.jsonl.gz" in result.stderr
    if options:
        assert b'"of":4' in gzip.decompress(parts[2].read_bytes()).replace(b" ", b"")
    assert run("import", *reversed(parts), "-p", tmp_path / "back.db").exit_code == 0
    assert run("check", long, tmp_path / "back.db").exit_code == 0
    result = run("export", "-p", long, "-o", tmp_path / "x.jsonl.gz", "--split", "60", *options)
    assert "2 parts of an earlier, longer export removed" in result.stderr
    assert len(sorted(tmp_path.glob("x-*.gz"))) == 2


def test_parts_take_the_place_of_those_before_and_others_are_named(
    long: Path, tmp_path: Path
) -> None:
    for name in ("x-0001.jsonl", "x-0009.jsonl", "x-2024.jsonl", "x-09.jsonl"):
        (tmp_path / name).write_text("before")
    result = run("export", "-p", long, "-o", tmp_path / "x.jsonl", "--split", "100")
    assert f"{tmp_path}/x-0009.jsonl and 1 more: there from before" in result.stderr
    assert (tmp_path / "x-0001.jsonl").read_text() != "before"
    assert (tmp_path / "x-2024.jsonl").read_text() == "before"


def test_more_than_9999_parts_stay_in_order() -> None:
    output = Output("x.jsonl", "1", resolve("chat.db"))
    assert (output.part(7).name, output.part(10_001).name) == ("x-0007.jsonl", "x-10001.jsonl")
    names = [output.part(number, 10_002).name for number in range(1, 10_003)]
    assert (names[0], names[-1]) == ("x-00001.jsonl", "x-10002.jsonl")
    assert sorted(names) == names


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [("1000", 1000, False), ("20mb", 20_000_000, True), ("1.5 KiB", 1536, True), ("7B", 7, True),
     ("2GiB", 2 << 30, True)],
)  # fmt: skip
def test_sizes(text: str, number: int, unit: bool) -> None:
    assert limit_of(text) == (number, unit)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "10x", "mb", "0.1b", "1e3", "٣"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        limit_of(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--split", "10"], ["--split", "10", "-o", "-"], ["--split", "10", "-o", "{id}.md"],
        ["--split", "x", "-o", "y"], ["-o", "{name}.md"], ["-o", "{}.md"], ["-o", "{id!r}"],
        ["-o", "{id:>9}"], ["-o", "{id"], ["-o", "a}b"], ["-o", "{id.x}"], ["-o", "{0}"],
        ["-o", ""], ["-o", "/"], ["-o", ".", "--split", "10"], ["-o", "x/", "--split", "10"],
        ["-o", "{dates}.md"],
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error(
    long: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    result = run("export", "-p", long, *arguments)
    assert result.exit_code == 2, result.output
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-o", "{date:%Y}.md"], "{date} has no other form"),
        (["-o", "{id!r}.md"], "{id} has no other form"),
        (["-o", "{dates}.md"], "no placeholder is called 'dates'"),
        (["-o", "x/", "--split", "10"], "--split does not go with a file for each conversation"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(long: Path, arguments: list[str], why: str) -> None:
    assert why in run("export", "-p", long, *arguments).stderr


# --- what fails -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["-o", "out/x.jsonl", "--split", "300"], ["-o", "out/{id}.jsonl"]]
)
def test_a_full_disk_leaves_no_half_file(tmp_path: Path, arguments: list[str]) -> None:
    store = make(
        tmp_path / "s.db", {"a": ["first"], "b": ["x" * 1000] * 390, "c": ["y" * 1000] * 390}
    )
    out = tmp_path / "out"
    out.mkdir()
    for name in ("x-0001.jsonl", "b.jsonl"):
        (out / name).write_text("before")
    code = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, -1)); "
        "os.execv(sys.executable, sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *PROGRAM, "export", "-p", str(store), *arguments]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert b"too large" in done.stderr.lower()
    assert {path.name for path in out.iterdir()} == {"x-0001.jsonl", "b.jsonl"}
    assert (out / "x-0001.jsonl").read_text() == (out / "b.jsonl").read_text() == "before"


@pytest.mark.parametrize("arguments", [["--split", "1000", "-o", "x.jsonl"], ["-o", "{id}.jsonl"]])
def test_an_interrupt_leaves_nothing_half(tmp_path: Path, arguments: list[str]) -> None:
    said = {f"c{i}": ["x" * 300] * 40 for i in range(1_500)}
    store = make(tmp_path / "many.db", said)
    out = tmp_path / "out"
    out.mkdir()
    *options, name = arguments
    process = start("export", "-p", str(store), *options, str(out / name))
    while len(list(out.iterdir())) < 5 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, told = process.communicate(timeout=60)
    assert time.monotonic() - begun < 15  # one second, on a machine that has time
    assert process.returncode == 130, told
    assert [path for path in out.iterdir() if path.name.startswith(".")] == []
    for path in out.iterdir():
        assert path.read_bytes().count(b"\n") == 40


# --- pages ----------------------------------------------------------------------------------


def test_a_folder_of_pages_has_an_index_that_leads_to_each(store: Path, tmp_path: Path) -> None:
    make(store, {"index": ["of all things"]})
    out = tmp_path / "out"
    result = run("export", "-p", store, "-o", f"{out}/", "-f", "html")
    assert result.exit_code == 0, result.stderr
    pages = {path.name for path in out.iterdir()} - {"index.html"}
    assert len(pages) == len(HOSTILE) + 1
    assert "%69ndex.html" in pages
    index = (out / "index.html").read_text()
    assert {unquote(name) for name in re.findall(r'href="\./([^"]+)"', index)} == pages
    assert f'<footer class="w">{len(pages)} conversations</footer>' in index
    for name in pages:
        assert "1 conversation, 1 message</footer>" in (out / name).read_text()


def test_the_index_is_there_with_the_pages_or_not_at_all(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("export", "no", "-p", store, "-o", f"{out}/", "-f", "html").exit_code == 3
    assert not out.exists()
    for options in (["-o", f"{out}/{{id}}.html"], ["-o", f"{out}/{{id}}/", "-f", "html"]):
        assert run("export", "upper", "-p", store, *options).exit_code == 0
    assert run("export", "upper", "-p", store, "-o", f"{out}/").exit_code == 0
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert found == {"upper.html", "upper/upper.html", "upper.jsonl"}


def test_the_parts_of_a_page_go_on_with_the_numbers(long: Path, tmp_path: Path) -> None:
    result = run("export", "a", "-p", long, "-o", tmp_path / "x.html", "--split", "60")
    assert result.exit_code == 0, result.stderr
    one, two = ((tmp_path / f"x-000{n}.html").read_text() for n in (1, 2))
    assert (one.count("<article"), two.count("<article")) == (60, 40)
    assert '<h1 dir="auto">T</h1>' in two
    assert '<article id="m60" class="user">' in one
    assert '<article id="m61" class="user">' in two
    assert two.count("cannot be read") == 0
