"""`synmem undo`: the right backup, to the right store."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from synmem.cli.app import app
from synmem.operations import backups


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


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
    assert again.exit_code == 1
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


def test_a_backup_is_a_sound_sealed_file(store: str) -> None:
    cleared(store, "a")
    file = json.loads(run("undo", "--list", "--json").stdout)[0]["file"]
    result = run("check", file)
    assert result.exit_code == 0, result.stdout + result.stderr
    Path(file).write_bytes(Path(file).read_bytes().replace(b'"x"', b'"y"'))
    assert run("check", file).exit_code == 6
