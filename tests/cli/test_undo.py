"""`synmem undo`: the right backup, to the right store."""

import json
import os
import re
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from synmem import folders
from synmem.cli.app import app
from synmem.masking import secrets_of
from synmem.operations.keeping import backups
from synmem.profiles import from_address
from tests.cli.places import Places


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def cleared(store: str, conversation: str = "a") -> str:
    """Add, clear, and return the backup's id."""
    assert run("add", conversation, "x", "-p", store).exit_code == 0
    done = run("clear", conversation, "--yes", "--json", "-p", store)
    assert done.exit_code == 0, done.stderr
    return str(json.loads(done.stdout)["backup"])


def ids(store: str) -> list[str]:
    return run("ls", "-p", store).stdout.split("\n")[:-1]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "chat.db")


def test_newest_first_then_the_one_before(store: str) -> None:
    cleared(store, "a")
    cleared(store, "b")
    assert run("undo").exit_code == 0
    assert ids(store) == ["b"]
    assert run("undo").exit_code == 0
    assert ids(store) == ["a", "b"]
    result = run("undo")
    assert result.exit_code == 1
    assert "nothing to undo" in result.stderr


def test_by_id_and_a_second_time_says_so(store: str) -> None:
    first = cleared(store, "a")
    cleared(store, "b")
    assert run("undo", first).exit_code == 0
    assert ids(store) == ["a"]
    again = run("undo", first)
    assert again.exit_code == 0
    assert "undone already" in again.stderr
    assert run("undo", "nonsense").exit_code == 3
    assert run("undo", "2").exit_code == 2  # both begin like this


def test_a_relative_path_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    cleared("chat.db")
    monkeypatch.chdir(tmp_path / "two")
    assert run("undo").exit_code == 0
    assert not list((tmp_path / "two").iterdir())
    assert ids(str(tmp_path / "one" / "chat.db")) == ["a"]


def test_with_p_the_newest_of_that_store(tmp_path: Path) -> None:
    one, two = str(tmp_path / "1.db"), str(tmp_path / "2.db")
    cleared(one)
    cleared(two)
    assert run("undo", "-p", one).exit_code == 0
    assert (ids(one), ids(two)) == (["a"], [])
    assert run("undo", "-p", one).exit_code == 1


def test_with_p_and_an_id_it_goes_where_one_says(tmp_path: Path) -> None:
    one, two = str(tmp_path / "1.db"), str(tmp_path / "2.db")
    backup = cleared(one)
    result = run("undo", backup, "-p", two)
    assert result.exit_code == 0
    assert "another store" in result.stderr
    assert (ids(one), ids(two)) == ([], ["a"])


def test_the_profile_of_the_environment_does_not_divert_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = str(tmp_path / "1.db"), str(tmp_path / "2.db")
    cleared(one)
    monkeypatch.setenv("SYNMEM_PROFILE", two)
    assert run("undo").exit_code == 0
    assert ids(one) == ["a"]
    assert not Path(two).exists()


def test_a_profile_that_is_another_store_by_now_is_an_error(
    tmp_path: Path, own_folders: Path
) -> None:
    config = own_folders / "config.toml"

    def names(path: str) -> None:
        config.write_text(
            f'[profiles.p]\nbackend = "sqlite"\ndb_path = "{(tmp_path / path).as_posix()}"\n'
        )

    names("1.db")
    assert run("add", "a", "x", "-p", "p", "--config", str(config)).exit_code == 0
    assert run("clear", "a", "--yes", "-p", "p", "--config", str(config)).exit_code == 0
    names("2.db")
    result = run("undo")
    assert result.exit_code == 1
    assert "another store" in result.stderr
    names("1.db")
    assert run("undo").exit_code == 0  # the configuration file is remembered
    assert ids(str(tmp_path / "1.db")) == ["a"]


def test_a_damaged_backup_is_an_error_and_writes_nothing(store: str) -> None:
    cleared(store)
    file = backups.messages_file(backups.backups()[0])
    file.write_bytes(file.read_bytes().replace(b'"x"', b'"y"'))
    result = run("undo")
    assert result.exit_code == 1
    assert "damaged: altered" in result.stderr
    assert ids(store) == []


def test_the_list(store: str) -> None:
    assert run("undo", "--list").stdout == ""
    first, second = cleared(store, "a"), cleared(store, "b")
    assert run("undo").exit_code == 0
    assert run("undo", "--list").stdout == f"{second}\n{first}\n"
    listed = json.loads(run("undo", "--list", "--json").stdout)
    assert [(each["backup"], each["undone"]) for each in listed] == [(second, True), (first, False)]
    assert listed[0]["command"] == "clear"
    assert run("undo", first, "--list").exit_code == 2


def test_a_backup_is_a_store_that_can_be_read(store: str) -> None:
    cleared(store, "a")
    file = json.loads(run("undo", "--list", "--json").stdout)[0]["file"]
    assert run("show", "a", "-p", file).stdout == "User: x\n"


def test_no_secret_is_written_into_a_backup(tmp_path: Path) -> None:
    from synmem.cli.origin import origin_of
    from synmem.cli.run import Session
    from synmem.profiles import resolve

    session = Session(None, None, False, False, False)
    origin = origin_of(session, resolve("redis://u:hunter2@localhost/0"), "clear")
    assert (origin.named, origin.settings) == (False, None)
    assert "hunter2" not in repr(origin)
    plain = origin_of(session, resolve(f"sqlite:///{os.fspath(tmp_path)}/a.db"), "clear")
    assert plain.settings is not None


def test_a_backup_of_an_address_with_a_secret_asks_for_it(store: str) -> None:
    import msgspec

    cleared(store)
    manifest = backups.backups()[0]
    origin = msgspec.structs.replace(manifest.origin, settings=None, where="redis://u:***@h/0")
    changed = msgspec.structs.replace(manifest, origin=origin)
    file = backups.messages_file(manifest).with_name("manifest.json")
    file.write_bytes(backups.manifest_bytes(changed))
    result = run("undo")
    assert result.exit_code == 2
    assert "-p" in result.stderr
    assert run("undo", "-p", store).exit_code == 0
    assert ids(store) == ["a"]


def test_the_command_that_is_printed_has_p_where_the_address_holds_a_secret(
    places: Places, tmp_path: Path
) -> None:
    store = places.new("postgres")
    secrets = secrets_of(from_address(store).settings)
    if not secrets:
        pytest.skip("the server of the environment has no password")
    run("add", "a", "x", "-p", store)
    run("add", "a", "y", "-p", store)
    for command in (
        ["clear", "a", "-p", store],
        ["clear", "a", "--keep-last", "1", "-p", store],
        ["summarize", "a", "--replace", "--max-messages", "1", "-p", store],
        ["migrate", store, tmp_path / "other.db", "--move"],
    ):
        done = run(*command, "--yes")
        assert done.exit_code == 0, done.stderr
        [told] = re.findall(r"synmem undo (.+) -p ADDRESS \((.+), with its secret\)", done.stderr)
        assert told[1] == from_address(store).where
        assert not any(secret in done.stderr for secret in secrets)
        assert run("undo", told[0]).exit_code == 2
        assert run("undo", told[0], "-p", store).exit_code == 0
    run("profile", "add", "named", store)
    told = re.findall(r"synmem undo (\S+)$", run("clear", "a", "--yes", "-p", "named").stderr, re.M)
    assert run("undo", *told).exit_code == 0
    assert ids(store) == ["a"]


def test_of_several_commands_each_has_p_where_the_address_holds_a_secret() -> None:
    from synmem.operations.keeping.backups import Origin

    origin = Origin("clear", "redis://h/0", "redis://h/0", "redis:h/0", "redis", named=False)
    assert (origin.is_found, origin.undo("1")) == (False, "synmem undo 1 -p ADDRESS")
    assert replace(origin, settings={}).undo("1") == "synmem undo 1"
    assert replace(origin, named=True).undo("1") == "synmem undo 1"


def test_a_backup_is_a_sound_sealed_file(store: str) -> None:
    cleared(store, "a")
    file = json.loads(run("undo", "--list", "--json").stdout)[0]["file"]
    result = run("check", file)
    assert result.exit_code == 0, result.stdout + result.stderr
    Path(file).write_bytes(Path(file).read_bytes().replace(b'"x"', b'"y"'))
    assert run("check", file).exit_code == 6


def test_the_newest_of_the_store_typed_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = str(tmp_path / "1.db"), str(tmp_path / "2.db")
    cleared(one)
    cleared(two)
    for environment in (one, two):
        monkeypatch.setenv("SYNMEM_PROFILE", environment)
        result = run("undo", "--dry-run", "-p", one)
        assert result.exit_code == 0
        assert f"to {one}" in result.stderr
    assert run("undo", "-p", one).exit_code == 0
    assert (ids(one), ids(two)) == (["a"], [])


@pytest.mark.parametrize("name", ["manifest.json", "index.jsonl", "journal", "conversations.jsonl"])
@pytest.mark.parametrize("damage", [b"", b"\xff\x00 garbage\n", b"{}\n", None])
def test_every_damaged_file_is_named_and_no_older_backup_is_taken(
    store: str, name: str, damage: bytes | None
) -> None:
    cleared(store)
    cleared(store)
    newest = backups.backups()[0]
    file = backups.folder_of(newest) / name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    listed = run("undo", "--list", "--json")
    damaged = [each["backup"] for each in json.loads(listed.stdout) if each["damaged"]]
    assert (listed.exit_code, damaged) == (6, [newest.id])
    assert newest.id in listed.stderr
    for arguments in (["undo"], ["undo", newest.id], ["undo", "-p", store]):
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert newest.id in result.stderr
        assert "Traceback" not in result.output
    assert ids(store) == []


def test_without_a_backup_no_sentence_stays_anywhere(tmp_path: Path) -> None:
    store = tmp_path / "chat.db"
    secret = "The xylophone costs 4711 crowns."
    for n in range(30):
        run("add", "a", f"{secret} That is sentence number {n}.", "-p", store)
    assert run("summarize", "a", "-p", store, "--method", "extractive").exit_code == 0
    assert b"4711" in store.read_bytes()
    result = run("clear", "a", "--keep-last", "1", "--yes", "--no-backup", "-p", store)
    assert result.exit_code == 0
    with sqlite3.connect(store) as database:
        assert database.execute("SELECT count(*) FROM messages").fetchone() == (1,)
        kept = database.execute("SELECT name FROM messages_meta").fetchall()
    database.close()
    assert kept == []
    texts = [file.read_bytes() for file in folders.state_folder().rglob("*") if file.is_file()]
    assert not any(b"4711" in text for text in texts)


OWN_TABLE = (
    "CREATE TABLE messages (id INTEGER PRIMARY KEY{auto}, conversation_id TEXT NOT NULL, "
    "role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT, tenant TEXT NOT NULL, note BLOB)"
    "{end}"
)


@pytest.mark.parametrize("auto", ["", " AUTOINCREMENT"])
@pytest.mark.parametrize("trim", [[], ["--keep-last", "2"]])
def test_a_table_of_ones_own_comes_back_column_by_column(
    tmp_path: Path, auto: str, trim: list[str]
) -> None:
    store = tmp_path / "own.db"

    def rows() -> list[object]:
        columns = "conversation_id, role, content, metadata, tenant, note"
        with sqlite3.connect(store) as database:
            found = database.execute(f"SELECT {columns} FROM messages ORDER BY id").fetchall()
        database.close()
        return found

    with sqlite3.connect(store) as database:
        database.execute(OWN_TABLE.format(auto=auto, end=""))
        for n in range(5):
            database.execute(
                "INSERT INTO messages (conversation_id, role, content, tenant, note) "
                "VALUES ('a', 'user', ?, ?, ?)",
                [f"{n}", f"tenant {n}", b"\x00\xff" if n % 2 else None],
            )
    database.close()
    before = rows()
    assert run("clear", "a", *trim, "--yes", "-p", store).exit_code == 0
    assert rows() == before[-2:] if trim else not rows()
    assert run("undo").exit_code == 0
    assert rows() == before
    moved = tmp_path / "moved.db"
    assert run("migrate", store, moved, "--move", "--yes").exit_code == 0
    assert rows() == []
    messages = json.loads(run("show", "a", "--json", "-p", moved).stdout)
    assert [each["extra"]["synapsekit"]["tenant"] for each in messages] == [
        f"tenant {n}" for n in range(5)
    ]
    assert run("migrate", moved, f"sqlite:///{store}?layout=synapsekit").exit_code == 0
    assert rows() == before


def test_what_the_table_would_not_take_back_is_named_before_anything_goes(tmp_path: Path) -> None:
    store = tmp_path / "own.db"
    with sqlite3.connect(store) as database:
        database.execute(OWN_TABLE.format(auto="", end=""))
        database.execute(
            "INSERT INTO messages (conversation_id, role, content, tenant) "
            "VALUES ('a', 'user', 'x', 't')"
        )
        database.execute(
            "CREATE TRIGGER no_more BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'closed'); END"
        )
    database.close()
    result = run("clear", "a", "--yes", "-p", store)
    assert result.exit_code == 6
    assert "closed" in result.stderr
    assert "--no-backup" in result.stderr
    assert ids(str(store)) == ["a"]


def test_options_that_make_no_sense_together(store: str) -> None:
    for extra in (["x"], ["--dry-run"], ["--force"], ["--with-newer"]):
        assert run("undo", "--list", *extra).exit_code == 2


def test_a_dry_run_says_what_would_come_back(store: str) -> None:
    cleared(store)
    result = run("undo", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == "restore\t1\ta\n"
    assert "would bring back 1 conversation, 1 message" in result.stderr
    assert ids(store) == []
    done = json.loads(run("undo", "--dry-run", "--json").stdout)
    assert done["dry_run"] is True
    assert (done["conversations"], done["messages"]) == (1, 1)


@pytest.mark.parametrize("trim", [[], ["--keep-last", "1"]])
def test_ids_that_a_table_takes_for_the_same_are_not_removed_one_for_the_other(
    tmp_path: Path, trim: list[str]
) -> None:
    store = tmp_path / "own.db"
    with sqlite3.connect(store) as database:
        database.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "conversation_id TEXT NOT NULL COLLATE NOCASE, role TEXT NOT NULL, "
            "content TEXT NOT NULL, metadata TEXT)"
        )
        database.executemany(
            "INSERT INTO messages (conversation_id, role, content) VALUES (?, 'user', 'x')",
            [["c"], ["C"], ["c"], ["C"], ["d"], ["d"]],
        )
    database.close()
    assert run("clear", "c", *trim, "--yes", "-p", store).exit_code == 0
    with sqlite3.connect(store) as database:
        left = [row[0] for row in database.execute("SELECT conversation_id FROM messages")]
    database.close()
    assert sorted(left) == ["C", "C", *["c"] * (len(trim) // 2), "d", "d"]
    assert run("undo").exit_code == 0
    for name in ("c", "C", "d"):
        assert run("show", name, "-p", store).stdout == "User: x\nUser: x\n"


@pytest.mark.parametrize("layout", ["synmem", "synapsekit"])
@pytest.mark.parametrize("trim", [[], ["--keep-last", "25"]])
def test_a_summary_fits_again_wherever_it_lies(
    tmp_path: Path, layout: str, trim: list[str]
) -> None:
    store = f"sqlite:///{tmp_path}/chat.db?layout={layout}"
    lines = [
        json.dumps({"conversation_id": "a", "role": "user", "content": f"Sentence {n} of a talk."})
        for n in range(40)
    ]
    (tmp_path / "said.jsonl").write_text("\n".join(lines) + "\n")
    assert run("import", tmp_path / "said.jsonl", "-p", store).exit_code == 0
    arguments = ["summarize", "a", "--method", "extractive", "--max-messages", "10", "-p", store]
    first = run(*arguments)
    assert first.exit_code == 0
    assert run("clear", "a", *trim, "--yes", "-p", store).exit_code == 0
    assert run("undo").exit_code == 0
    again = run(*arguments)
    assert "is up to date" in again.stderr
    assert again.stdout == first.stdout
