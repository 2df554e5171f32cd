"""`synmem discover`: what is found is listed, nothing is changed, and nothing leaves the machine."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synmem.operations.discovering import footprint, look
from tests.at_places import FIXTURES, put
from tests.cli.moved import run
from tests.cli.processes import in_pipe, on_terminal
from tests.nobody import as_nobody


def found(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
    result = run("discover", "--json", *arguments)
    assert result.exit_code == code, result.stderr
    data: list[dict[str, Any]] = json.loads(result.stdout)
    return data


@pytest.fixture
def home(own_folders: Path) -> Path:
    """A machine with three programs on it."""
    put("llm-logs-new/logs.db", own_folders / "config/io.datasette.llm/logs.db")
    put("mem0-history/history.db", own_folders / ".mem0/history.db")
    put("open-webui/webui.db", own_folders / ".open-webui/webui.db")
    return own_folders


def tree(folder: Path) -> dict[str, Any]:
    """All that is in a folder, and when it was changed; but not when it was read."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.stat().st_ctime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }


# --- what is listed -------------------------------------------------------------------------


def test_the_places_that_are_there_are_listed(home: Path) -> None:
    data = {each["store"]: each for each in found()}
    assert [*data] == ["llm", "mem0", "open-webui"]
    for name, each in data.items():
        listed = json.loads(run("ls", "--json", "-p", name).stdout)
        assert each["conversations"] == len(listed)
        assert each["messages"] == sum(info["messages"] for info in listed)
        assert each["last_at"] == max(info["last_at"] for info in listed if info["last_at"])
        assert each["bytes"] == Path(each["path"]).stat().st_size
    assert data["open-webui"]["layout"] == "open_webui"
    assert data["llm"]["path"] == str(home / "config/io.datasette.llm/logs.db")


def test_in_a_pipe_a_line_has_tabs(home: Path) -> None:
    done = in_pipe("discover")
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert (done.returncode, done.stderr) == (0, b"")
    assert [[*line[:4], line[5]] for line in lines] == [
        [each["store"], each["layout"], str(each["conversations"]), str(each["messages"]),
         each["last_at"]]
        for each in found()
    ]  # fmt: skip


def test_on_a_terminal_it_is_a_table(home: Path) -> None:
    code, shown = on_terminal("discover", "-q", NO_COLOR="1", columns=120)
    head, *rows = shown.splitlines()
    assert code == 0
    assert any(row.split()[-1].startswith("~/") for row in rows)
    assert head.split() == [
        "store",
        "layout",
        "conversations",
        "messages",
        "size",
        "last",
        "used",
        "path",
    ]
    assert [row.split()[0] for row in rows[:3]] == ["llm", "mem0", "open-webui"]
    assert " kB " in rows[0]


def test_where_a_terminal_is_narrow_columns_go(home: Path) -> None:
    head = ["store", "conversations", "messages", "last", "used"]
    code, shown = on_terminal("discover", "-q", NO_COLOR="1", COLUMNS="50")
    assert (code, shown.splitlines()[0].split()) == (0, head)
    assert all(len(line) <= 50 for line in shown.splitlines())


def test_where_nothing_is_it_says_so(own_folders: Path) -> None:
    result = run("discover")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "nothing found; `synmem discover FOLDER` looks below a folder\n"
    assert found() == []


def test_the_size_has_what_sqlite_keeps_beside_the_file(home: Path) -> None:
    file = home / ".mem0/history.db"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("INSERT INTO messages(id, session_scope, role, content, created_at) "
                   "VALUES ('n', 's', 'user', 'x', '2027-01-01T00:00:00+00:00')")  # fmt: skip
        db.commit()
        wal = file.with_name("history.db-wal")
        assert wal.stat().st_size
        [mem0] = [each for each in found() if each["store"] == "mem0"]
        assert mem0["bytes"] == file.stat().st_size + wal.stat().st_size
        assert mem0["conversations"] == 8
        assert mem0["last_at"] == "2027-01-01T00:00:00.000000Z"
    db.close()


def test_several_of_one_program_are_named_by_their_paths(own_folders: Path) -> None:
    paths = [own_folders / "data/opencode" / name for name in ("opencode.db", "opencode-beta.db")]
    for path in paths:
        put("opencode-sqlite/opencode.db", path)
    data = found()
    assert sorted(each["path"] for each in data) == sorted(map(str, paths))
    for each in data:
        assert each["store"] == f"{each['path']}?layout=opencode"
        assert run("ls", each["store"]).exit_code == 0


def test_what_a_program_had_before_is_said_to_be_there(own_folders: Path) -> None:
    put("opencode-sqlite/opencode.db", own_folders / "data/opencode/opencode.db")
    shutil.copytree(FIXTURES / "opencode-json/storage", own_folders / "data/opencode/storage")
    result = run("discover")
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["opencode"]
    assert f"left out, since a newer one is there: {own_folders}/data/opencode/storage" in result.stderr  # fmt: skip
    assert run("discover", "-q").stderr == ""


def test_one_store_may_be_named(home: Path, tmp_path: Path) -> None:
    run("add", "c", "x", "-p", str(tmp_path / "one.db"))
    run("profile", "add", "one", str(tmp_path / "one.db"))
    for name in ("one", "llm", str(tmp_path / "one.db")):
        [told] = found("-p", name)
        assert told["conversations"] == len(run("ls", "-p", name).stdout.splitlines())
    assert [each["store"] for each in found("-p", "one")] == ["one"]
    assert run("discover", "-p", "one", str(tmp_path)).exit_code == 2
    assert run("discover", "-p", "redis://127.0.0.1:1").exit_code == 2


# --- what cannot be read --------------------------------------------------------------------


def test_a_store_that_cannot_be_read_is_named_and_hides_no_other(home: Path) -> None:
    (home / ".mem0/history.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    result = run("discover")
    assert result.exit_code == 6
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["llm", "open-webui"]
    assert "mem0: cannot be read: " in result.stderr
    [broken] = [each for each in found(code=6) if "error" in each]
    assert (broken["store"], broken["conversations"]) == ("mem0", None)
    code, shown = on_terminal("discover", "-q", NO_COLOR="1")
    assert code == 6
    assert [row.split()[2] for row in shown.splitlines() if row.startswith("mem0  ")] == ["unreadable"]  # fmt: skip


def test_a_place_that_may_not_be_looked_into_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with as_nobody() as folder:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            monkeypatch.setenv(name, str(folder))
        shutil.copytree(FIXTURES / "claude-code", folder / ".claude")
        put("mem0-history/history.db", folder / ".mem0/history.db")
        (folder / ".claude/projects").chmod(0)
        try:
            for arguments in (("discover",), ("ls", "--everywhere")):
                result = run(*arguments)
                assert result.exit_code == 6
                assert {line.split("\t")[0] for line in result.stdout.splitlines()} == {"mem0"}
                assert "claude-code: cannot be read: " in result.stderr
            assert run("ls", "-p", "claude-code").exit_code == 5
        finally:
            (folder / ".claude/projects").chmod(0o755)


def test_a_file_that_is_another_programs_is_named(home: Path) -> None:
    put("llm-logs-new/logs.db", home / ".mem0/history.db")
    result = run("discover")
    assert result.exit_code == 6
    assert "mem0: cannot be read: " in result.stderr


# --- remembered -----------------------------------------------------------------------------


def test_what_was_counted_is_remembered_until_the_file_changes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_SETTLED_S", 0.0)
    counted: list[str] = []
    count = look.count

    async def counting(store: Any) -> Any:
        counted.append(store.name)
        return await count(store)

    monkeypatch.setattr(look, "count", counting)
    first = found()
    assert len(counted) == 3
    assert found() == first
    assert len(counted) == 3
    with sqlite3.connect(home / ".mem0/history.db") as db:
        db.execute("DELETE FROM messages WHERE session_scope = "
                   "(SELECT session_scope FROM messages LIMIT 1)")  # fmt: skip
    db.close()
    after = {each["store"]: each for each in found()}
    assert len(counted) == 4
    assert after["mem0"]["conversations"] == 6
    [totals] = home.glob("state/synmem/totals.json")
    assert totals.stat().st_mode & 0o777 == 0o600
    assert str(home) not in totals.read_text()
    totals.write_text("not JSON")
    assert {each["store"]: each for each in found()} == after


def test_what_was_written_just_now_is_not_remembered(home: Path) -> None:
    os.utime(home / ".mem0/history.db")
    assert footprint.footprint(home / ".mem0/history.db").signature is None


def test_another_version_of_the_program_counts_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_SETTLED_S", 0.0)
    found()
    [totals] = home.glob("state/synmem/totals.json")
    data = json.loads(totals.read_text())
    data["program"] = "0"
    for kept in data["stores"].values():
        kept["total"]["conversations"] = 1000
    totals.write_text(json.dumps(data))
    assert all(each["conversations"] < 1000 for each in found())


def test_of_a_folder_only_what_the_pattern_names_is_measured(tmp_path: Path) -> None:
    for name, size in (("a/chats/1.json", 10), ("a/chats/deep/2.json", 20), ("a/other/3", 40),
                       ("b/chats/4.json", 80)):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    assert footprint.footprint(tmp_path, ("*/chats/*.json",)).size == 110
    assert footprint.footprint(tmp_path, ("a/*/*", "a/chats/*.json")).size == 70
    assert footprint.footprint(tmp_path, ("*/*",)).size == 150
    assert footprint.footprint(tmp_path).size == 150
    assert footprint.footprint(tmp_path / "none") == (0, None, footprint.footprint(tmp_path / "none").signature)  # fmt: skip


def test_a_link_out_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/big").write_bytes(b"x" * 1000)
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    assert footprint.footprint(tmp_path / "in").size < 1000


# --- profiles -------------------------------------------------------------------------------


def test_add_writes_profiles_once(home: Path) -> None:
    first = run("discover", "--add")
    assert first.exit_code == 0
    assert "added llm: " in first.stderr
    config = home / "config/synmem/config.toml"
    assert config.stat().st_mode & 0o777 == 0o600
    text = config.read_text()
    listed = run("profile", "list").stdout.splitlines()
    assert {"llm", "mem0", "open-webui"} <= {*listed}
    told = run("ls", "-p", "mem0").stdout
    again = run("discover", "--add")
    assert (again.exit_code, "added" in again.stderr) == (0, False)
    assert config.read_text() == text
    assert [each["profile"] for each in found("--add")] == ["llm", "mem0", "open-webui"]
    assert run("ls", "-p", "mem0").stdout == told


def test_add_takes_no_name_that_is_another_stores(home: Path, tmp_path: Path) -> None:
    run("profile", "add", "mem0", str(tmp_path / "mine.db"))
    run("profile", "add", "talks", str(home / "config/io.datasette.llm/logs.db"))
    assert run("discover", "--add").exit_code == 0
    assert {each["store"]: each["profile"] for each in found("--add")} == {
        "llm": "talks", "mem0": "mem0-2", "open-webui": "open-webui",
    }  # fmt: skip
    assert "mine.db" in run("profile", "show", "mem0").stdout


def test_add_leaves_out_what_cannot_be_read(home: Path) -> None:
    (home / ".mem0/history.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    assert run("discover", "--add").exit_code == 6
    assert "mem0" not in run("profile", "list").stdout.splitlines()


# --- what it leaves alone -------------------------------------------------------------------

WATCHED = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen"):
        print(event, arguments, file=sys.stderr)
        raise SystemExit(99)
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(HOME):
        mode, flags = arguments[1], arguments[2]
        if isinstance(mode, str) and set(mode) & set("wax+"):
            if not arguments[0].startswith(STATE):
                print(event, arguments, file=sys.stderr)
                raise SystemExit(99)
sys.addaudithook(hook)
sys.argv = ["synmem", *sys.argv[1:]]
from synmem.__main__ import main
main()
"""


def test_nothing_is_written_and_nothing_leaves_the_machine(home: Path) -> None:
    state = home / "state"
    before = tree(home)
    code = f"HOME, STATE = {str(home)!r}, {str(state)!r}\n{WATCHED}"
    done = subprocess.run(
        [sys.executable, "-c", code, "discover"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr
    after = {name: told for name, told in tree(home).items() if not name.startswith("state")}
    assert after == {name: told for name, told in before.items() if not name.startswith("state")}
