"""`synmem discover FOLDER`: what lies below a folder is found by how it begins, within bounds, and
nothing is followed, written or read whole to decide."""

import gzip
import io
import json
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from synmem.cli import render
from synmem.operations.discovering import walk
from synmem.operations.discovering.walk import together
from synmem.places import root_of
from tests.at_places import FIXTURES, put
from tests.cli.moved import run
from tests.cli.test_discover import WATCHED, tree
from tests.layouts.test_fixtures import ALL
from tests.nobody import as_nobody

LINE = b'{"conversation_id":"a","role":"user","content":"hello"}\n'


def found(*arguments: str | Path, code: int = 0) -> dict[str, dict[str, Any]]:
    result = run("discover", "--json", *map(str, arguments))
    assert result.exit_code == code, result.stderr
    return {each["store"]: each for each in json.loads(result.stdout)}


def names(folder: Path, **options: Any) -> set[str]:
    """What is found, by its path below the folder."""
    return {str(Path(store).relative_to(folder)) for store in found(folder, **options)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files as people have them."""
    made = tmp_path / "things"
    for path, data in {
        "chats/backup.jsonl": LINE * 2,
        "chats/deep/er/backup.json": b'[{"conversation_id":"a","messages":[]}]',
        "chats/table.csv": b"conversation_id,role,content\na,user,hello\n",
        "chats/packed.jsonl.gz": gzip.compress(LINE),
        "other/package.json": b'{"name": "x", "dependencies": {}}',
        "other/list.json": b'[1, 2, {"role": "user"}]',
        "other/prices.csv": b"item,price\nx,1\n",
        "other/log.jsonl": b'{"level":"info","message":"conversation_id"}\n' * 10,
        "other/README.md": b"# A project\n",
        "other/broken.json": b'{"conversation_id": ',
        "other/none.db": b"",
        "other/text.db": b"conversation_id",
    }.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(data)
    with zipfile.ZipFile(made / "chats/archive.zip", "w") as archive:
        archive.writestr("messages.json", (FIXTURES / "haystack-json/messages.json").read_bytes())
    with sqlite3.connect(made / "other/app.sqlite") as db:
        db.execute("CREATE TABLE messages(id, subject, body)")
    db.close()
    shutil.copy(FIXTURES / "synapsekit-sqlite/conversations.db", made / "chats/chat.db")
    shutil.copy(FIXTURES / "langchain-sql-sqlite/message_store.db", made / "other/store.db")
    return made


# --- what is found --------------------------------------------------------------------------


def test_stores_of_all_kinds_are_found_and_nothing_else(folder: Path) -> None:
    data = found(folder)
    told = {str(Path(store).relative_to(folder)): each["layout"] for store, each in data.items()}
    assert told == {
        "chats/archive.zip": "haystack",
        "chats/backup.jsonl": "jsonl",
        "chats/chat.db": "synapsekit",
        "chats/deep/er/backup.json": "json",
        "chats/packed.jsonl.gz": "jsonl",
        "chats/table.csv": "csv",
        "other/store.db": "langchain",
    }
    for store, each in data.items():
        listed = json.loads(run("ls", "--json", "-p", store).stdout)
        assert each["conversations"] == len(listed), store


def test_files_of_the_forms_of_others_are_found(tmp_path: Path) -> None:
    for name in ("openai-chat-jsonl/train.jsonl", "sharegpt/sharegpt.json"):
        shutil.copy(FIXTURES / name, tmp_path)
    requests = (FIXTURES / "anthropic-messages/requests.jsonl").read_bytes()
    (tmp_path / "requests.jsonl.gz").write_bytes(gzip.compress(requests))
    (tmp_path / "almost.json").write_text('{"messages": [{"role": "user", "text": "x"}]}')
    told = {Path(store).name: each["layout"] for store, each in found(tmp_path).items()}
    assert told == {
        "requests.jsonl.gz": "anthropic", "sharegpt.json": "sharegpt", "train.jsonl": "openai",
    }  # fmt: skip


def test_what_is_found_is_in_the_order_of_its_names(folder: Path) -> None:
    lines = run("discover", str(folder)).stdout.splitlines()
    assert lines == sorted(lines)
    assert len(lines) == 7


def test_a_name_is_one_that_opens_it_from_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "chats")
    (folder / "chats/chat").write_bytes((folder / "chats/chat.db").read_bytes())
    for typed in (".", "deep", str(folder / "chats"), "../chats"):
        for store in found(typed):
            assert run("ls", "-p", store).exit_code == 0, store
    assert "backup.jsonl" in found(".")
    monkeypatch.chdir(folder)
    (folder / "hay").mkdir()
    for name in ("1.json", "2.json"):
        shutil.copy(FIXTURES / "haystack-json/messages.json", folder / "hay" / name)
    assert [*found("hay")] == ["./hay?layout=haystack"]
    assert "./hay?layout=haystack" in found(".")
    assert run("ls", "-p", "./hay?layout=haystack").exit_code == 0


def test_a_file_may_be_named_and_several_folders(folder: Path) -> None:
    chat = folder / "chats/chat.db"
    assert [*found(chat)] == [str(chat)]
    assert found(folder / "other/package.json") == {}
    assert found(folder, folder / "chats", folder).keys() == found(folder).keys()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = run("discover", str(tmp_path / "none"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "no such folder" in result.stderr


def test_a_place_of_a_program_has_its_name(own_folders: Path) -> None:
    put("llm-logs-new/logs.db", own_folders / "config/io.datasette.llm/logs.db")
    put("llm-logs-new/logs.db", own_folders / "copy.db")
    assert {*found(own_folders)} == {"llm", str(own_folders / "copy.db")}


def test_what_a_program_brought_over_is_there_once(own_folders: Path) -> None:
    data = own_folders / "data"
    shutil.copytree(FIXTURES / "opencode-json/storage", data / "opencode/storage")
    shutil.copytree(FIXTURES / "goose", data / "goose/sessions")
    assert {*found(own_folders)} == {"opencode", "goose"}
    shutil.copy(FIXTURES / "opencode-sqlite/opencode.db", data / "opencode/opencode.db")
    told = found(own_folders)
    assert {*told} == {"opencode", "goose"}
    assert {Path(each["path"]).suffix for each in told.values()} == {".db"}


def test_every_fixture_that_a_file_holds_is_found(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES, tmp_path / "all")
    layouts: dict[str, set[str]] = {}
    for store, each in found(tmp_path / "all").items():
        fixture = Path(store).relative_to(tmp_path / "all").parts[0].partition("?")[0]
        layouts.setdefault(fixture, set()).add(each["layout"])
    there = {each.name for each in ALL if each.backend in ("sqlite", "file")}
    assert layouts.keys() == there
    assert all(len(its) == 1 for its in layouts.values()), layouts


def test_files_of_one_layout_alone_are_one_store(tmp_path: Path) -> None:
    hay = (FIXTURES / "haystack-json/messages.json").read_bytes()
    for name in ("a/x/1.json", "a/x/2.json", "a/y/1.json", "b/1.json", "b/z/1.json", "c/one.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(hay)
    (tmp_path / "c/two.json").write_bytes(b'{"name": "another thing"}')
    (tmp_path / "d").mkdir()
    (tmp_path / "d/three.json").write_bytes(b"[]")
    assert names(tmp_path) == {
        "a?layout=haystack", "b?layout=haystack", "c/one.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fixture", "told"),
    [
        ("chatgpt-export", {"conversations.json": 7, "sharded?layout=chatgpt": 7}),
        ("strands-files", {"?layout=strands": 6}),
        ("jan-threads", {"threads?layout=jan": 7}),
        ("claude-code", {"projects?layout=claude_code": 7}),
        ("cline-tasks", {"?layout=cline": 9}),
        ("llamaindex-simple-json", {"chat_store.json": 7, "chat_store_double.json": 7}),
    ],
)
def test_what_belongs_together_is_one_store(
    fixture: str, told: dict[str, int], tmp_path: Path
) -> None:
    shutil.copytree(FIXTURES / fixture, tmp_path / "x")
    counted = {store: each["conversations"] for store, each in found(tmp_path / "x").items()}
    top = str(tmp_path / "x")
    assert {store.removeprefix(top).lstrip("/"): n for store, n in counted.items()} == told


def test_profiles_of_what_is_found_have_names_of_their_own(folder: Path) -> None:
    (folder / "llm.jsonl").write_bytes(LINE)
    (folder / "ls.jsonl").write_bytes(LINE)
    result = run("discover", "--add", str(folder))
    assert result.exit_code == 0
    profiles = {*run("profile", "list").stdout.splitlines()}
    assert {"archive", "backup", "backup-2", "chat", "packed", "table", "store",
            "llm-2", "ls-2"} <= profiles  # fmt: skip
    assert run("ls", "-p", "chat").stdout == run("ls", "-p", str(folder / "chats/chat.db")).stdout
    again = run("discover", "--add", str(folder))
    assert "added" not in again.stderr
    assert {*run("profile", "list").stdout.splitlines()} == profiles


# --- bounds ---------------------------------------------------------------------------------


def test_a_name_that_is_no_utf8_is_found_and_only_its_profile_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("a", "b/\udcff", "c"):
        (tmp_path / f"{name}.jsonl").write_bytes(LINE)
    assert len(found(tmp_path)) == 3
    result = run("discover", "--add", str(tmp_path))
    assert result.exit_code == 6
    assert [line.partition(":")[0] for line in result.stderr.splitlines() if "added" in line] == [
        "added a",
        render.visible_line(str(tmp_path / "b/\udcff.jsonl")),
        "added c",
    ]
    assert run("profile", "add", "b", str(tmp_path / "b/\udcff.jsonl")).exit_code == 1
    assert run("ls", "-p", "c").exit_code == 0


def test_a_database_whose_name_is_no_utf8_is_found(tmp_path: Path) -> None:
    source = FIXTURES / "synapsekit-sqlite/conversations.db"
    shutil.copy(source, tmp_path / "a\udcff.db")
    [[store, each]] = found(tmp_path).items()
    assert each["layout"] == "synapsekit"
    assert run("ls", "-p", store).exit_code == 0
    assert run("ls", "-p", f"file://{tmp_path}/a%FF.db").exit_code == 0


def test_no_link_leads_out_of_a_folder(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jsonl").write_bytes(LINE)
    (folder / "link").symlink_to(outside)
    (folder / "link.jsonl").symlink_to(outside / "secret.jsonl")
    (folder / "chats/round").symlink_to(folder)
    assert len(found(folder)) == 7
    assert [*found(folder / "link")] == [str(folder / "link/secret.jsonl")]  # it was named


def test_folders_of_programs_are_passed_over(folder: Path) -> None:
    for name in (".git", "node_modules", "a/node_modules/b", ".venv", "__pycache__"):
        (folder / name).mkdir(parents=True)
        (folder / name / "chat.jsonl").write_bytes(LINE)
    assert len(found(folder)) == 7


def test_folders_of_the_system_are_not_looked_into_and_those_called_alike_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "_OF_THE_SYSTEM", (str(tmp_path / "dev"),))
    for name in ("dev", "dev/shm", "devel"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "chat.jsonl").write_bytes(LINE)
    assert names(tmp_path) == {"devel/chat.jsonl"}


def test_what_lies_too_deep_is_not_looked_for(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (walk.DEEPEST + 1))
    deep.mkdir(parents=True)
    (deep / "too-deep.jsonl").write_bytes(LINE)
    (deep.parent / "deep.jsonl").write_bytes(LINE)
    assert {Path(name).name for name in found(tmp_path)} == {"deep.jsonl"}


def test_so_many_entries_are_looked_at_and_no_more(tmp_path: Path) -> None:
    tmp_path /= "many"
    (tmp_path / "below").mkdir(parents=True)
    for n in range(10):
        (tmp_path / f"{n}.jsonl").write_bytes(LINE)
    (tmp_path / "below/10.jsonl").write_bytes(LINE)
    result = run("discover", "--max", "5", str(tmp_path))
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) <= 5
    assert "5 entries were looked at, no more (--max N)" in result.stderr
    whole = run("discover", "--max", "12", str(tmp_path))
    assert (len(whole.stdout.splitlines()), whole.stderr) == (11, "")
    assert run("discover", "--max", "0", str(tmp_path)).exit_code == 2


def test_no_file_is_read_whole_to_decide(tmp_path: Path) -> None:
    for name, head in {
        "a.json": b'{"name": "x", "more": "', "b.jsonl": b'{"level": 1}\n{"x": "', "c.csv": b"a,b\n",
        "d.json": b"", "e.md": b"# x\n", "f.zip": b"PK\x03\x04", "g.gz": b"\x1f\x8b\x08\0",
        "h.db": b"SQLite format 3\0",
    }.items():  # fmt: skip
        with (tmp_path / name).open("wb") as file:
            file.write(head)
            file.truncate(40_000_000_000)  # a hole
    begun = time.monotonic()
    result = run("discover", str(tmp_path))
    assert result.stdout == ""
    assert time.monotonic() - begun < 20


def test_a_folder_that_may_not_be_looked_into_is_passed_over() -> None:
    with as_nobody() as folder:
        (folder / "closed").mkdir()
        (folder / "closed/in.jsonl").write_bytes(LINE)
        (folder / "open.jsonl").write_bytes(LINE)
        (folder / "closed").chmod(0)
        try:
            assert names(folder) == {"open.jsonl"}
            denied = run("discover", str(folder / "closed"))
            assert denied.exit_code == 5
        finally:
            (folder / "closed").chmod(0o755)


# --- what cannot be read --------------------------------------------------------------------


def test_an_export_of_ours_is_found_where_it_is_alone_in_an_archive(tmp_path: Path) -> None:
    for name, data in {"one.zip": LINE, "other.zip": b'{"level": 1}\n' * 2}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.jsonl", data)
    assert names(tmp_path) == {"one.zip"}


def damaged(how: str, name: str) -> bytes:
    """An archive of ChatGPT's conversations under this name, of which nothing can be read."""
    file = io.BytesIO()
    method = zipfile.ZIP_BZIP2 if how == "bzip2" else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("readme.txt", "x")
        archive.writestr(name, (FIXTURES / "chatgpt-export/conversations.json").read_bytes())
    data = bytearray(file.getvalue())
    if how == "cut off":
        del data[-100:]
    if how == "encrypted":
        for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.rindex(magic) + at] |= 1
    if how == "altered":
        data[data.index(b"mapping")] ^= 1
    return bytes(data)


@pytest.mark.parametrize("how", ["cut off", "encrypted", "altered", "bzip2"])
def test_an_archive_that_cannot_be_read_is_named_where_it_may_hold_conversations(
    how: str, tmp_path: Path
) -> None:
    (tmp_path / "export.zip").write_bytes(damaged(how, "conversations.json"))
    (tmp_path / "other.zip").write_bytes(damaged(how, "map.json"))
    result = run("discover", str(tmp_path))
    assert result.exit_code == 6
    assert result.stdout == ""
    assert "export.zip: cannot be read" in result.stderr
    # Of one whose directory is lost nobody knows what is in it.
    assert ("other.zip" in result.stderr) == (how == "cut off")


def test_what_cannot_be_read_is_named_and_hides_nothing(folder: Path) -> None:
    (folder / "broken.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    (folder / "torn.json").write_bytes(b'[{"conversation_id":"a","messages":[')
    result = run("discover", str(folder))
    assert result.exit_code == 6
    assert len(result.stdout.splitlines()) == 7
    for name in ("broken.db", "torn.json"):
        assert f"{folder / name}: cannot be read: " in result.stderr


def test_a_database_that_is_locked_and_none_of_ours_holds_nobody_up(folder: Path) -> None:
    with sqlite3.connect(folder / "other/app.sqlite", isolation_level=None) as db:
        db.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        assert len(found(folder)) == 7
        assert time.monotonic() - begun < 4
        db.execute("ROLLBACK")
    db.close()


def test_tables_that_were_just_made_and_lie_in_the_log_are_found(tmp_path: Path) -> None:
    store = tmp_path / "new.db"
    db = sqlite3.connect(store)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE messages(id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT, "
               "role TEXT, content TEXT, metadata TEXT)")  # fmt: skip
    db.execute("INSERT INTO messages VALUES (1, 'c', 'user', 'x', NULL)")
    db.commit()
    assert [each["conversations"] for each in found(tmp_path).values()] == [1]
    db.close()


def test_the_size_goes_before_a_name_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.cli.processes import on_terminal

    monkeypatch.chdir(tmp_path)
    name = "a-folder/of-a-program/its-exports.jsonl"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(LINE)
    _, shown = on_terminal("discover", "a-folder", "-q", NO_COLOR="1", columns=80)
    head, row = shown.splitlines()
    assert head.split() == ["store", "conversations", "messages", "last", "used"]
    assert row.split()[0] == name


def test_hostile_names_reach_no_terminal_raw(tmp_path: Path) -> None:
    (tmp_path / "\x1b[2J.jsonl").write_bytes(LINE)
    (tmp_path / "\x1b[3J.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    from tests.cli.processes import on_terminal

    code, shown = on_terminal("discover", str(tmp_path), NO_COLOR="1", COLUMNS="200")
    assert code == 6
    assert "\x1b[2J" not in shown
    assert "\x1b[3J" not in shown
    assert "^[[2J" in shown


def test_nothing_is_written_and_nothing_leaves_the_machine(folder: Path, own_folders: Path) -> None:
    before = tree(folder)
    state = str(own_folders / "state")
    code = f"HOME, STATE = {str(folder)!r}, {state!r}\n{WATCHED}"
    done = subprocess.run(
        [sys.executable, "-c", code, "discover", str(folder)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 7), done.stderr
    assert tree(folder) == before


# --- how folders come together --------------------------------------------------------------


@pytest.mark.parametrize(
    ("folders", "files", "told"),
    [
        (["a/x", "a/y"], ["a/x/1", "a/y/2", "b/3"], ["a"]),
        (["a/x", "a/y"], ["a/x/1", "a/y/2", "a/z/3"], ["a/x", "a/y"]),
        (["x", "y"], ["x/1", "y/2"], [""]),
        (["x", "x/y"], ["x/1", "x/y/2"], ["x"]),
        (["a/b/c", "a/b/d", "a/e"], ["a/b/c/1", "a/b/d/1", "a/e/1", "z/1"], ["a"]),
        ([""], ["1"], [""]),
    ],
)
def test_folders_that_hold_one_thing_alone_are_one(
    folders: list[str], files: list[str], told: list[str]
) -> None:
    assert together(folders, files) == told


@pytest.mark.parametrize(
    ("layout", "folder", "root"),
    [
        ("claude_code", "/b/.claude/projects/-a", "/b/.claude/projects"),
        ("claude_code", "/projects/x/.claude/projects/-a/u/subagents", "/projects/x/.claude/projects"),
        ("claude_code", "/b/elsewhere", None),
        ("codex", "/b/sessions/2026/01/02", "/b"),
        ("gemini_cli", "/b/tmp/demo/chats", "/b/tmp"),
        ("vscode_chat", "/b/User/workspaceStorage/h/chatSessions", "/b/User"),
        ("jan", "/b/threads/1", "/b/threads"),
        ("cline", "/b/data/tasks/1", "/b/data"),
        ("haystack", "/b/projects/x", None),
    ],
)  # fmt: skip
def test_a_folder_is_known_as_a_part_of_its_programs_place(
    layout: str, folder: str, root: str | None
) -> None:
    assert root_of(layout, Path(folder)) == (None if root is None else Path(root))
