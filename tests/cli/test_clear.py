"""`synmem clear`: nothing goes that was not meant, and what goes can be brought back."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from synmem import folders
from synmem.backends.sqlite.store import SqliteStore
from synmem.cli.app import app
from tests.cli.processes import in_pipe, on_terminal, start


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def add(store: Path, conversation: str, *times: str) -> None:
    for i, time in enumerate(times):
        result = run("add", "-p", str(store), "--at", time, "--", conversation, str(i))
        assert result.exit_code == 0, result.stderr


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "chat.db"
    add(path, "old", "2020-01-01T00:00Z", "2020-01-02T00:00Z")
    add(path, "mixed", "2020-01-01T00:00Z", "2020-01-02T00:00Z", "1h")
    add(path, "new", "2h", "1h")
    return path


def left(store: Path) -> dict[str, int]:
    objects = json.loads(run("ls", "--json", "-p", str(store)).stdout)
    return {each["conversation_id"]: each["messages"] for each in objects}


ALL = {"old": 2, "mixed": 3, "new": 2}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["old"], {"mixed": 3, "new": 2}),
        (["old", "new", "old"], {"mixed": 3}),
        (["--match", "*e*"], {"old": 2}),
        (["--match", "zz*"], ALL),
        (["--idle", "30d"], {"mixed": 3, "new": 2}),
        (["--idle", "30d", "--match", "n*"], ALL),
        (["old", "new", "--idle", "30d"], {"mixed": 3, "new": 2}),
        (["mixed", "--older-than", "90d"], {"old": 2, "mixed": 1, "new": 2}),
        (["--match", "*", "--older-than", "90d"], {"mixed": 1, "new": 2}),
        (["--match", "*", "--older-than", "90d", "--keep-last", "2"], {**ALL, "mixed": 2}),
        (["--match", "*", "--keep-last", "1"], {"old": 1, "mixed": 1, "new": 1}),
        (["mixed", "--keep-last", "0"], {"old": 2, "new": 2}),
    ],
)
def test_what_goes_and_comes_back(
    store: Path, arguments: list[str], expected: dict[str, int]
) -> None:
    before = run("ls", "--json", "-p", str(store)).stdout
    texts = [run("show", each, "--json", "-p", str(store)).stdout for each in ALL]
    result = run("clear", *arguments, "--yes", "-p", str(store))
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert left(store) == expected
    if expected != ALL:
        assert "synmem undo 2" in result.stderr
        undone = run("undo")
        assert (undone.exit_code, undone.stdout) == (0, ""), undone.stderr
    assert run("ls", "--json", "-p", str(store)).stdout == before
    assert [run("show", each, "--json", "-p", str(store)).stdout for each in ALL] == texts


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--older-than", "90d"],
        ["--keep-last", "1"],
        ["--all", "old"],
        ["--all", "--match", "*"],
        ["--all", "--idle", "1d"],
        ["old", "--match", "*"],
        ["old", "--keep-last", "-1"],
        ["old", "--older-than", "soon"],
    ],
)
def test_what_makes_no_sense_removes_nothing(store: Path, arguments: list[str]) -> None:
    result = run("clear", *arguments, "--yes", "--confirm", "chat.db", "-p", str(store))
    assert result.exit_code == 2
    assert left(store) == ALL


def test_without_a_terminal_it_needs_yes(store: Path) -> None:
    result = run("clear", "old", "-p", str(store))
    assert result.exit_code == 8
    for word in ("--yes", "1 conversation", "old", "2 messages", "2020-01-01", str(store)):
        assert word in result.stderr
    assert left(store) == ALL
    assert not list(folders.state_folder("backups").iterdir())


def test_one_name_that_is_not_there_removes_nothing(store: Path) -> None:
    result = run("clear", "old", "zz", "new", "--yes", "-p", str(store))
    assert result.exit_code == 3
    assert "'zz'" in result.stderr
    assert left(store) == ALL


def test_all_needs_the_name_and_not_yes(store: Path) -> None:
    assert run("clear", "--all", "--yes", "-p", str(store)).exit_code == 8
    wrong = run("clear", "--all", "--yes", "--confirm", "other", "-p", str(store))
    assert (wrong.exit_code, left(store)) == (8, ALL)
    assert run("clear", "--all", "--confirm", "chat.db", "-p", str(store)).exit_code == 0
    assert left(store) == {}
    assert run("undo").exit_code == 0
    assert left(store) == ALL


def test_an_id_that_is_called_all_is_only_an_id(store: Path) -> None:
    add(store, "--all", "1h")
    ids = in_pipe("ls", "-0", "--match", "--*", "-p", str(store)).stdout
    assert ids == b"--all\0"
    # What `xargs -0 synmem clear --yes` would run, with and without the two dashes.
    assert run("clear", "--yes", "-p", str(store), "--all").exit_code == 8
    assert run("clear", "--yes", "-p", str(store), "--", "--all").exit_code == 0
    assert left(store) == ALL


def test_a_dry_run_says_what_would_go(store: Path) -> None:
    result = run("clear", "--match", "*", "--older-than", "90d", "--dry-run", "-p", str(store))
    assert (result.exit_code, result.stdout) == (0, "mixed\nold\n")
    assert "4 messages" in result.stderr
    assert left(store) == ALL
    done = json.loads(run("clear", "old", "--dry-run", "--json", "-p", str(store)).stdout)
    assert (done["conversations"], done["messages"], done["dry_run"]) == (1, 2, True)
    assert not list(folders.state_folder("backups").iterdir())


def test_a_store_without_an_index_of_its_own_is_not_looked_through_for_damage(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server that would be a look at every document."""

    async def damage(store: object) -> None:
        raise AssertionError

    monkeypatch.setattr(SqliteStore, "damage", damage)
    assert run("clear", "--match", "*", "--dry-run", "-p", str(store)).exit_code == 0


def test_where_nothing_fits_nothing_is_asked(store: Path) -> None:
    result = run("clear", "--match", "zz*", "--json", "-p", str(store))
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "backup": None, "conversations": 0, "messages": 0, "spared": 0, "failed": [],
        "dry_run": False,
    }  # fmt: skip


def test_json_says_what_went(store: Path) -> None:
    done = json.loads(run("clear", "old", "new", "--yes", "--json", "-p", str(store)).stdout)
    assert (done["conversations"], done["messages"], done["failed"]) == (2, 4, [])
    undone = json.loads(run("undo", done["backup"], "--json").stdout)
    assert undone == {
        "backup": done["backup"], "conversations": 2, "messages": 4, "there": [], "failed": [],
    }  # fmt: skip


def test_no_backup_leaves_nothing_behind(store: Path) -> None:
    result = run("clear", "old", "--yes", "--no-backup", "-p", str(store))
    assert result.exit_code == 0
    assert "for good" in result.stderr
    assert not list(folders.state_folder("backups").iterdir())
    assert run("undo").exit_code == 1


def test_a_record_that_cannot_be_read_keeps_its_conversation(store: Path) -> None:
    import sqlite3

    with sqlite3.connect(store) as database:
        database.execute(
            "UPDATE messages SET metadata = '{broken' WHERE conversation_id = 'mixed' "
            "AND content = '1'"
        )
    database.close()
    result = run("clear", "mixed", "old", "--yes", "--json", "-p", str(store))
    assert result.exit_code == 6
    assert [each["conversation_id"] for each in json.loads(result.stdout)["failed"]] == ["mixed"]
    assert "--no-backup" in result.stderr
    assert left(store) == {"mixed": 3, "new": 2}
    assert run("clear", "mixed", "--yes", "--no-backup", "-p", str(store)).exit_code == 0
    assert left(store) == {"new": 2}


def test_a_protected_profile_needs_yes_and_its_name(store: Path, own_folders: Path) -> None:
    config = own_folders / "config.toml"
    config.write_text(
        f'[profiles.prod]\nbackend = "sqlite"\ndb_path = "{store.as_posix()}"\nprotected = true\n'
    )
    common = ["clear", "old", "-p", "prod", "--config", str(config)]
    assert run(*common, "--yes").exit_code == 8
    assert run(*common, "--confirm", "prod").exit_code == 8
    assert left(store) == ALL
    assert run(*common, "--yes", "--confirm", "prod").exit_code == 0
    assert left(store) == {"mixed": 3, "new": 2}


def test_looking_does_not_make_a_store(tmp_path: Path) -> None:
    missing = tmp_path / "none.db"
    assert run("clear", "--match", "*", "--yes", "-p", str(missing)).exit_code == 3
    assert not missing.exists()


def test_on_a_terminal_it_asks(store: Path) -> None:
    code, text = on_terminal("clear", "old", "-p", str(store), typed=b"n\n")
    assert code == 8
    assert "2 messages" in text
    assert left(store) == ALL
    code, text = on_terminal("clear", "old", "-p", str(store), typed=b"\x04")
    assert (code, left(store)) == (8, ALL)
    code, text = on_terminal("clear", "old", "-p", str(store), typed=b"y\n")
    assert code == 0
    assert "synmem undo" in text
    assert left(store) == {"mixed": 3, "new": 2}


def test_on_a_terminal_all_asks_for_the_name(store: Path) -> None:
    code, _ = on_terminal(
        "clear", "--all", "--yes", "-p", str(store), typed=b"y\n", prompt=b"go on: "
    )
    assert (code, left(store)) == (8, ALL)
    code, _ = on_terminal("clear", "--all", "-p", str(store), typed=b"chat.db\n", prompt=b"go on: ")
    assert (code, left(store)) == (0, {})


def test_the_question_shows_a_hostile_id_in_visible_form(store: Path) -> None:
    add(store, "x\x1b[2J\ny", "1h")
    code, text = on_terminal("clear", "x\x1b[2J\ny", "-p", str(store), typed=b"n\n")
    assert code == 8
    assert "x^[[2J^Jy" in text
    assert "\x1b[2J" not in text


def test_erasing_takes_the_derived_along_and_names_earlier_backups(store: Path) -> None:
    assert run("search", "0", "-p", str(store)).exit_code == 0
    assert run("clear", "new", "--yes", "-p", str(store)).exit_code == 0
    state = folders.state_folder()
    from synmem.notes import note_file, store_folder
    from synmem.profiles import resolve

    identity = resolve(str(store)).identity
    notes = store_folder(state / "notes", identity)
    notes.mkdir(parents=True)
    for each in ("old", "mixed"):
        note_file(notes, each, "summary").write_text("{}")
    index = store_folder(state / "search", identity).with_suffix(".db")
    index.parent.mkdir(exist_ok=True)
    index.write_bytes(b"")
    result = run("clear", "old", "--yes", "--no-backup", "-p", str(store))
    assert [file.name for file in notes.iterdir()] == [note_file(notes, "mixed", "summary").name]
    assert not index.exists()
    assert "1 earlier backup of this store" in result.stderr


def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """kill -9 in the middle of `clear`, then in the middle of `undo`, then `undo` again."""
    import sqlite3
    import time

    path = tmp_path / "many.db"
    lines = "".join(
        json.dumps({"conversation_id": f"c{i}", "role": "user", "content": f"{i} {n}"}) + "\n"
        for i in range(1500)
        for n in range(3)
    )
    done = in_pipe("import", "-p", str(path), stdin=lines.encode())
    assert done.returncode == 0, done.stderr

    def messages() -> int:
        with sqlite3.connect(path) as database:
            count = database.execute("SELECT count(*) FROM messages").fetchone()[0]
        database.close()
        return int(count)

    def killed(*arguments: str, until: float) -> None:
        process = start(*arguments, "-p", str(path))
        end = time.monotonic() + 30
        before = messages()
        while process.poll() is None and time.monotonic() < end:
            if abs(messages() - before) >= until:
                break
        process.kill()
        process.communicate()

    everything = in_pipe("export", "-p", str(path)).stdout
    assert len(everything.splitlines()) == 4500
    killed("clear", "--match", "*", "--yes", until=900)
    assert 0 < messages() < 4500
    killed("undo", until=1)
    again = in_pipe("undo", "-p", str(path))
    assert again.returncode in (0, 1), again.stderr  # 1: the first came to its end
    restored = in_pipe("export", "-p", str(path)).stdout
    assert sorted(restored.splitlines()) == sorted(everything.splitlines())
    for i in (0, 700, 1499):
        assert run("show", f"c{i}", "-p", str(path)).stdout == "".join(
            f"User: {i} {n}\n" for n in range(3)
        )


def test_an_interrupt_at_the_question_is_heard_at_once(store: Path) -> None:
    code, text = on_terminal("clear", "old", "-p", str(store), typed=b"\x03")
    assert (code, left(store)) == (130, ALL)
    assert text.endswith("^C\r\n")


def test_the_span_of_times_is_from_the_oldest_to_the_newest(tmp_path: Path) -> None:
    store = tmp_path / "mixed.db"
    add(store, "a", "2026-02-02T12:00", "2026-01-01T12:00", "2026-01-02T12:00")
    told = run("clear", "a", "--dry-run", "-p", str(store)).stderr
    assert "2026-01-02 to 2026-02-02" in told
