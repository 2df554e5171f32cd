"""`export -f` and `import` of the forms of others: OpenAI's, Anthropic's, ShareGPT."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import synmem
from synmem.backends import open_store
from synmem.backends.file.store import FileStore
from synmem.errors import SynmemError
from synmem.messages import Conversation, Message
from synmem.store import Part
from tests.cli.moved import make, run
from tests.cli.moved import said as said_in
from tests.cli.processes import in_pipe, on_terminal
from tests.layouts.interchange.forms import FILES, FIXTURES, FORMS, jsonl_of, objects

ALL = [(form, FIXTURES / file) for form, files in FILES.items() for file in files]
USER = {"role": "user", "content": "x"}


def store(path: Path, *messages: Message, name: str = "c", **own: Any) -> Path:
    """An SQLite store of one conversation."""

    async def main() -> None:
        async with open_store("sqlite", {"db_path": str(path)}, write=True) as there:
            await there.append([Part(Conversation(name, **own), messages)])

    asyncio.run(main())
    return path


@pytest.mark.parametrize(("form", "file"), ALL)
def test_a_file_that_was_imported_is_exported_as_it_was(
    tmp_path: Path, form: str, file: Path
) -> None:
    first, second = tmp_path / "1.db", tmp_path / "2.db"
    done = run("import", file, "-p", first)
    assert (done.exit_code, run("check", file, first).exit_code) == (0, 0), done.stderr
    assert "equal already" in run("import", file, "-p", first).stderr
    out = run("export", "-f", form, "-p", first)
    assert out.exit_code == 0
    there = file.read_bytes()
    wanted = json.loads(there) if file.suffix == ".json" else objects(there)
    by_first = {json.dumps(each, sort_keys=True) for each in wanted}
    assert {json.dumps(each, sort_keys=True) for each in objects(out.stdout_bytes)} == by_first
    assert run("import", "-p", second, stdin=out.stdout_bytes).exit_code == 0
    assert run("export", "-f", form, "-p", second).stdout_bytes == out.stdout_bytes


@pytest.mark.parametrize(("form", "file"), ALL)
def test_a_file_is_a_store_by_its_content_or_where_its_form_is_named(
    tmp_path: Path, form: str, file: Path
) -> None:
    bare = tmp_path / "any.name"
    bare.write_bytes(file.read_bytes())
    listed = run("ls", "-p", file).stdout.split()
    for place in (bare, f"{file}?format={form}", f"{file}?layout={form}"):
        assert run("ls", "-p", place).stdout.split() == listed != []
    assert run("import", "-f", form, bare, "-p", tmp_path / "x.db").exit_code == 0
    assert "sound" in run("check", file).stderr


def test_check_finds_what_differs_and_says_what_it_cannot_compare(tmp_path: Path) -> None:
    file, dest = FIXTURES / FILES["openai"][0], tmp_path / "x.db"
    run("import", file, "-p", dest)
    with sqlite3.connect(dest) as database:
        database.execute("UPDATE messages SET content = 'Lyon.' WHERE content = 'Paris.'")
    database.close()
    done = run("check", file, dest)
    assert done.exit_code == 7
    assert "* line-1" in done.stdout
    assert "not compared: metadata, created_at, conversation title" in done.stderr


@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_in_it_is_said_and_what_is_left_out_is_named(tmp_path: Path, form: str) -> None:
    source = store(
        tmp_path / "s.db", Message("user", "x", {"a": 1}), Message("critic\x1b", "no"), title="T"
    )
    out = tmp_path / "out.jsonl"
    done = run("export", "-f", form, "-p", source, "-o", out)
    assert done.exit_code == 6
    assert "c: message 2 left out: " in done.stderr
    assert f"not in it, which {form} has no place for: metadata (1)" in done.stderr
    assert "1 conversation, 1 message written" in done.stderr
    assert "1 record left out" in done.stderr
    assert "\x1b" not in done.stderr
    assert len(objects(out.read_bytes())) == 1
    quiet = run("export", "-f", form, "-p", source, "-q")
    assert (quiet.exit_code, "no place for" in quiet.stderr) == (6, False)


@pytest.mark.parametrize("form", FORMS)
def test_each_conversation_may_have_a_file(tmp_path: Path, form: str) -> None:
    source = make(tmp_path / "s.db", {"a": ["1", "2"], "b": ["3"]})
    done = run("export", "-f", form, "-p", source, "-o", f"{tmp_path}/out/")
    assert done.exit_code == 0, done.stderr
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["a.jsonl", "b.jsonl"]
    assert [len(objects(file.read_bytes())) for file in files] == [1, 1]


@pytest.mark.parametrize("form", FORMS)
def test_parts_hold_whole_conversations_and_earlier_ones_are_removed(
    tmp_path: Path, form: str
) -> None:
    source = make(tmp_path / "s.db", {"a": ["1", "2"], "b": ["3"], "c": ["4"], "d": ["5"] * 5})
    whole = run("export", "-f", form, "-p", source).stdout_bytes

    def parts(split: str) -> list[int]:
        out = tmp_path / "x.jsonl"
        done = run("export", "-f", form, "-p", source, "-o", out, "--split", split)
        assert done.exit_code == 0, done.stderr
        files = sorted(tmp_path.glob("x-*.jsonl"))
        assert b"".join(file.read_bytes() for file in files) == whole
        return [len(objects(file.read_bytes())) for file in files]

    assert parts("1") == [1, 1, 1, 1]
    assert parts("3") == [2, 1, 1]
    assert parts("100") == [4]
    assert parts("1b") == [1, 1, 1, 1]
    lines = whole.splitlines(keepends=True)
    assert parts(f"{len(lines[0] + lines[1])}b") == [2, 1, 1]
    assert parts("1mb") == [4]


def test_conversations_of_several_files_are_never_taken_for_one(tmp_path: Path) -> None:
    for n in (1, 2):
        said = jsonl_of({"messages": [{**USER, "content": f"file {n}"}]})
        (tmp_path / f"train-000{n}.jsonl").write_bytes(said)
    files = sorted(tmp_path.glob("*.jsonl"))
    first, second = tmp_path / "1.db", tmp_path / "2.db"
    done = run("import", *files, "-p", first)
    assert done.exit_code == 6
    assert "train-0002.jsonl: line-1: different" in done.stderr
    assert "--on-conflict rename brings both" in done.stderr
    assert said_in(first) == {"line-1": ["file 1"]}
    assert run("import", *files, "-p", second, "--on-conflict", "rename").exit_code == 0
    assert [*said_in(second).values()] == [["file 1"], ["file 2"]]
    done = run("import", *files, "-p", first, "--parts")
    assert done.exit_code == 2
    assert "goes on in no other file" in done.stderr


@pytest.mark.parametrize("form", FORMS)
def test_on_a_terminal_nothing_passes_unseen(tmp_path: Path, form: str) -> None:
    source = make(tmp_path / "s.db", {"a": ["\x1b[31m \u202e"]})
    code, shown = on_terminal("export", "-p", str(source), "-f", form)
    assert code == 0
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown


def test_conversation_names_the_only_one(tmp_path: Path) -> None:
    dest = tmp_path / "x.db"
    one = jsonl_of({"messages": [USER]})
    assert run("import", "--conversation", "mine", "-p", dest, stdin=one).exit_code == 0
    assert run("ls", "-p", dest).stdout.split() == ["mine"]
    done = run("import", "--conversation", "mine", "-p", dest, stdin=one * 2)
    assert done.exit_code == 2
    assert "several conversations have no id" in done.stderr


@pytest.mark.parametrize(
    ("way", "code", "ids"),
    [("skip", 6, ["line-1"]), ("replace", 0, ["line-1"]), ("rename", 0, ["line-1", "line-1 (from b.jsonl)"])],
)  # fmt: skip
def test_conflicts_are_settled_as_for_any_import(
    tmp_path: Path, way: str, code: int, ids: list[str]
) -> None:
    dest, file = tmp_path / "x.db", tmp_path / "b.jsonl"
    run("import", "-p", dest, stdin=jsonl_of({"messages": [USER]}))
    file.write_bytes(jsonl_of({"messages": [{**USER, "content": "other"}]}))
    done = run("import", file, "-p", dest, "--on-conflict", way)
    assert done.exit_code == code, done.stderr
    assert sorted(run("ls", "-f", "ids", "-p", dest).stdout.splitlines()) == ids
    more = jsonl_of({"messages": [USER, {"role": "assistant", "content": "y"}]})
    fresh = tmp_path / "y.db"
    run("import", "-p", fresh, stdin=jsonl_of({"messages": [USER]}))
    assert "1 message" in run("import", "-p", fresh, stdin=more).stderr


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_was_cut_is_named_and_the_rest_imported_with_rejects(
    tmp_path: Path, form: str
) -> None:
    data = (FIXTURES / FILES[form][0]).read_bytes()
    file, dest, rejects = tmp_path / "cut.jsonl", tmp_path / "x.db", tmp_path / "left.jsonl"
    file.write_bytes(data[:-20])
    done = run("import", file, "-p", dest)
    assert done.exit_code == 6
    assert "torn: the file ends in the middle of this line" in done.stderr
    assert not dest.exists()
    assert run("import", file, "-p", dest, "--rejects", rejects).exit_code == 6
    count = len(objects(data)) - 1
    assert len(run("ls", "-f", "ids", "-p", dest).stdout.splitlines()) == count
    assert len(objects(rejects.read_bytes())) == 1


def test_what_is_almost_one_of_them_says_which_and_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('[{"messages": [{"role": "user", "text": "x"}]}]')
    done = run("ls", "-p", file)
    assert done.exit_code == 1
    assert "it is like openai's, but message 1 has 'text'" in done.stderr
    assert "-f openai takes it for one" in done.stderr
    file.write_text('[{"title": "x", "turns": {}}]')
    done = run("ls", "-p", file)
    assert done.exit_code == 1
    assert "first object has title, turns" in done.stderr


@pytest.mark.parametrize("form", FORMS)
def test_what_the_model_thought_is_counted_and_no_fault(tmp_path: Path, form: str) -> None:
    said = [Message("reasoning", "hm"), Message("user", "x"), Message("reasoning", "hm")]
    done = run("export", "-f", form, "-p", store(tmp_path / "s.db", *said), "-v")
    assert done.exit_code == 0
    assert "role reasoning (2)" in done.stderr
    assert "1 conversation, 1 message written" in done.stderr
    source = store(tmp_path / "t.db", Message("reasoning", "hm"))
    done = run("export", "-f", form, "-p", source, "-v")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "0 conversations, 0 messages written" in done.stderr


def test_messages_are_numbered_as_in_the_store(tmp_path: Path) -> None:
    source = store(tmp_path / "s.db", *[Message("user", "x")] * 3, Message("critic", "y"))
    with sqlite3.connect(source) as database:
        database.execute("UPDATE messages SET metadata = '[' WHERE id = 2")
    database.close()
    for form in FORMS:
        done = run("export", "-f", form, "-p", source)
        assert "c: message 2 cannot be read" in done.stderr
        assert "c: message 4 left out" in done.stderr


def test_no_seal_and_no_guard_is_of_these_forms(tmp_path: Path) -> None:
    source = make(tmp_path / "s.db", {"a": ["1"]})
    for option in ("--seal", "--csv-raw"):
        assert run("export", "-f", "openai", option, "-p", source).exit_code == 2


def test_an_export_is_piped_into_an_import(tmp_path: Path) -> None:
    source = make(tmp_path / "s.db", {"a": ["1", "2"], "b": ["3"]})
    exported = in_pipe("export", "-f", "sharegpt", "-p", str(source)).stdout
    dest = tmp_path / "d.db"
    assert in_pipe("import", "-p", str(dest), stdin=exported).returncode == 0
    assert run("check", source, dest).exit_code == 0


def test_a_batch_is_known_imported_and_exported_as_it_was(tmp_path: Path) -> None:
    around = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}
    said = {**around, "body": {"model": "m", "messages": [USER]}}
    file, dest = tmp_path / "batch.jsonl", tmp_path / "d.db"
    file.write_bytes(jsonl_of(said))
    assert run("ls", "-p", file).stdout == "a\n"
    assert run("import", file, "-p", dest).exit_code == 0
    assert run("check", file, dest).exit_code == 0
    assert objects(run("export", "-f", "openai", "-p", dest).stdout_bytes) == [said]


SINGLE = sorted(
    path
    for path in FIXTURES.rglob("*")
    if path.is_file() and path.suffix in (".json", ".jsonl", ".md", ".yaml")
)


@pytest.mark.parametrize("file", SINGLE, ids=lambda path: str(path.relative_to(FIXTURES)))
def test_a_file_is_read_or_refused_but_never_taken_for_what_it_is_not(file: Path) -> None:
    async def main() -> None:
        async with synmem.open_store(file) as there:
            found = [info.id async for page in there.conversations() for info in page]
            assert found or not isinstance(there, FileStore) or not file.stat().st_size
            for name in found:
                items = [item async for page in there.read([name]) for item in page.items]
                assert any(isinstance(item, Message) for item in items), name

    try:
        asyncio.run(main())
    except SynmemError as error:
        assert str(file.name) in str(error)
