"""`synmem profile`: the file it writes, the secrets it does not show."""

import asyncio
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import stamina
from typer.testing import CliRunner, Result

from synmem import folders
from synmem.backends import open_store
from synmem.cli.app import app
from synmem.messages import Conversation, Message
from synmem.store import Part
from tests.cli.processes import in_pipe, on_terminal
from tests.nobody import as_nobody


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["profile", *arguments])
    assert result.exit_code == code, result.output
    return result


def configure(text: str | bytes, mode: int = 0o600) -> Path:
    file = folders.config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def configured() -> dict[str, Any]:
    return tomllib.loads(folders.config_file().read_text())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


COMMENTED = """\
# My stores.
default_profile = "local"   # mine

# The local one.
[profiles.local]
backend = "sqlite"     # as it is
db_path = '~/chat.db'

# Handle with care.
[profiles.prod]
backend = "postgres"
dsn = "postgresql://app:${PGPASSWORD}@db.internal/chat"
protected = true

# The model.
[llm]
provider = "openai"  # any
"""


# --- add ------------------------------------------------------------------------------------


def test_the_first_profile_makes_a_private_file(tmp_path: Path) -> None:
    run("add", "local", str(tmp_path / "chat.db"))
    file = folders.config_file()
    assert mode_of(file) == 0o600
    assert configured() == {
        "profiles": {"local": {"backend": "sqlite", "db_path": str(tmp_path / "chat.db")}}
    }
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_what_stands_there_is_not_touched_by_a_byte() -> None:
    before = COMMENTED.encode().replace(b"\n", b"\r\n", 3).rstrip(b"\n")
    file = configure(before)
    run("add", "cache", "redis://h:6379/0", "--set", "ttl_seconds=60", "--set", "cluster=true")
    after = file.read_bytes()
    assert after.startswith(before + b"\n")
    assert configured()["profiles"]["cache"] == {
        "backend": "redis",
        "url": "redis://h:6379/0",
        "ttl_seconds": 60,
        "cluster": True,
    }


def test_adding_does_not_change_the_default_but_says_how() -> None:
    result = run("add", "m", "memory:")
    assert "default_profile" not in configured()
    assert "synmem profile use m" in result.stderr
    run("add", "n", "memory:", "--default")
    assert configured()["default_profile"] == "n"
    assert set(configured()["profiles"]) == {"m", "n"}


def test_a_typed_path_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("add", "a", "chat.db")
    run("add", "b", "sqlite:///x/../b.db?layout=synapsekit")
    run("add", "c", "~/c.jsonl")
    profiles = configured()["profiles"]
    assert profiles["a"]["db_path"] == str(tmp_path / "chat.db")
    assert profiles["b"] == {
        "backend": "sqlite",
        "db_path": str(tmp_path / "b.db"),
        "layout": "synapsekit",
    }
    assert profiles["c"] == {"backend": "file", "path": "~/c.jsonl"}


def test_protected_and_create_are_keys_of_the_profile() -> None:
    run("add", "d", "dynamodb://eu/chats", "--create", "--protected")
    assert configured()["profiles"]["d"] == {
        "backend": "dynamodb",
        "table_name": "chats",
        "region": "eu",
        "create": True,
        "protected": True,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["local", "x.db"], 1, "already"),
        (["new", "word"], 2, "./word"),
        (["a.db", "x.db"], 2, "name"),
        (["a/b", "x.db"], 2, "name"),
        (["a b", "x.db"], 2, "name"),
        (["new", "foo://x"], 2, "foo"),
        (["new", "x.db", "--set", "colour=red"], 1, "colour"),
        (["new", "x.db", "--set", "window=0"], 1, "window"),
        (["new", "x.db", "--set", "window"], 2, "KEY=VALUE"),
        (["new", "x.db", "--create"], 1, "--create:"),
        (["new", "redis://h", "--set", "url=postgres://h"], 1, "redis://"),
    ],
)
def test_what_cannot_be_a_profile_is_refused_and_nothing_is_written(
    arguments: list[str], code: int, words: str
) -> None:
    file = configure(COMMENTED)
    result = run("add", *arguments, code=code)
    assert words in result.stderr
    assert file.read_text() == COMMENTED


def test_a_file_that_cannot_take_a_table_is_left_alone() -> None:
    text = 'profiles = {a = {backend = "memory"}}\n'
    file = configure(text)
    result = run("add", "b", "memory:", code=1)
    assert "nothing was done" in result.stderr
    assert file.read_text() == text


def test_broken_toml_is_left_alone() -> None:
    file = configure("[profiles\n")
    for arguments in (["add", "b", "memory:"], ["use", "b"], ["remove", "b"], ["list"], ["show"]):
        result = run(*arguments, code=1)
        assert "line 1, column" in result.stderr
    assert file.read_text() == "[profiles\n"


def test_a_password_does_not_go_into_a_file_that_others_read() -> None:
    file = configure("# mine\n", 0o644)
    result = run("add", "p", "redis://:hunter2@h", code=1)
    assert "chmod 600" in result.stderr
    assert file.read_text() == "# mine\n"
    run("add", "p", "redis://:${PW}@h")
    assert mode_of(file) == 0o644


def test_a_linked_file_stays_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    real.chmod(0o640)
    file = folders.config_file()
    file.parent.mkdir(parents=True)
    file.symlink_to(real)
    run("add", "m", "memory:")
    assert file.is_symlink()
    assert mode_of(real) == 0o640
    assert "profiles.m" in real.read_text()


def test_the_file_that_is_named_is_made(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "my.toml"
    run("add", "m", "memory:", "--config", str(file))
    assert mode_of(file) == 0o600
    assert not folders.config_file().exists()
    assert run("list", "--config", str(file)).stdout == "m\ndefault\n"
    run("list", "--config", str(tmp_path / "none.toml"), code=3)


def test_a_change_by_somebody_else_is_not_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    file = configure(COMMENTED)
    theirs = COMMENTED + "# theirs\n"
    fsync = os.fsync

    def meanwhile(handle: int) -> None:
        fsync(handle)
        file.write_text(theirs)

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert "run again" in run("add", "m", "memory:", code=1).stderr
    assert file.read_text() == theirs
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


# --- use and remove -------------------------------------------------------------------------


def test_use_keeps_every_comment() -> None:
    file = configure(COMMENTED)
    run("use", "prod")
    assert file.read_text() == COMMENTED.replace('"local"   # mine', '"prod"   # mine')


def test_use_writes_the_key_before_the_first_table() -> None:
    configure('# top\n\n# a\n[profiles.a]\nbackend = "memory"  # m\n\n[llm]\nmodel = "x"\n')
    run("use", "a")
    assert configured()["default_profile"] == "a"
    text = folders.config_file().read_text()
    assert [word in text for word in ("# top", "# a\n", "# m")] == [True] * 3


def test_use_of_what_is_not_there_is_not_found() -> None:
    file = configure(COMMENTED)
    assert "there is no profile 'x'" in run("use", "x", code=3).stderr
    assert file.read_text() == COMMENTED
    run("use", "default", code=0)  # the built-in one


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        (
            "local",
            ['default_profile = "local"   # mine\n', "[profiles.local]\n",
             'backend = "sqlite"     # as it is\n', "db_path = '~/chat.db'\n"],
        ),
        (
            "prod",
            ["[profiles.prod]\n", 'backend = "postgres"\n',
             'dsn = "postgresql://app:${PGPASSWORD}@db.internal/chat"\n', "protected = true\n"],
        ),
    ],
)  # fmt: skip
def test_remove_takes_the_profile_and_no_comment_of_another(name: str, gone: list[str]) -> None:
    file = configure(COMMENTED)
    run("remove", name, "--confirm", name)
    expected = COMMENTED
    for line in gone:
        expected = expected.replace(line, "")
    lines = [line for line in file.read_text().splitlines() if line]
    assert lines == [line for line in expected.splitlines() if line]


@pytest.mark.parametrize(
    "text",
    [
        '[profiles.a]\nbackend="memory"\n[llm]\nmodel="x"\n[profiles.b]\nbackend="memory"\n',
        '[profiles.b]\nbackend="memory"\n[llm]\nmodel="x"\n[profiles.a]\nbackend="memory"\n',
        'profiles.a.backend = "memory"\nprofiles.b.backend = "memory"\n',
        '[profiles]\na = {backend = "memory"}\nb = {backend = "memory"}\n',
        'profiles = {a = {backend = "memory"}, b = {backend = "memory"}}\n',
        '[profiles.a]\nbackend="memory"\n',
        '[profiles]\n[profiles.a]\nbackend="memory"\n',
        '[profiles."a"]\nbackend="memory"\n# end\n',
    ],
)
def test_remove_finds_a_profile_however_it_is_written_or_leaves_the_file(text: str) -> None:
    file = configure(text)
    before = configured()
    result = CliRunner().invoke(app, ["profile", "remove", "a"])
    if result.exit_code == 0:
        del before["profiles"]["a"]
        assert {**configured(), "profiles": configured().get("profiles", {})} == before
        assert ("# end" in file.read_text()) == ("# end" in text)
    else:
        assert "nothing was done" in result.stderr
        assert file.read_text() == text


def test_remove_of_the_default_takes_that_key_too() -> None:
    configure(COMMENTED)
    run("remove", "local")
    assert "default_profile" not in configured()
    run("remove", "local", code=3)


def test_a_protected_profile_needs_its_name_again() -> None:
    file = configure(COMMENTED)
    assert "--confirm prod" in run("remove", "prod", code=8).stderr
    run("remove", "prod", "--confirm", "local", code=8)
    assert file.read_text() == COMMENTED
    run("remove", "prod", "--confirm", "prod")
    assert set(configured()["profiles"]) == {"local"}


# --- looking --------------------------------------------------------------------------------


def test_list_prints_names_in_a_pipe_and_objects_as_json() -> None:
    configure(COMMENTED)
    assert run("list").stdout == "local\nprod\n"
    assert json.loads(run("list", "--json").stdout) == [
        {
            "name": "local",
            "backend": "sqlite",
            "default": True,
            "protected": False,
            "where": "~/chat.db",
        },
        {
            "name": "prod",
            "backend": "postgres",
            "default": False,
            "protected": True,
            "where": "postgresql://app:***@db.internal/chat",
        },
    ]


def test_list_shows_a_table_on_a_terminal() -> None:
    configure(COMMENTED + '[profiles."a\\u001b[2Jb"]\nbackend = "memory"\n')
    for columns in (50, 80, 200):
        code, shown = on_terminal("profile", "list", columns=columns, NO_COLOR="1")
        lines = shown.splitlines()
        assert code == 0
        assert all(len(line) <= columns for line in lines)
        assert [lines[0].split()[0], lines[0].split()[-1]] == ["profile", "protected"]
        assert lines[1].startswith("*  local ")
        assert "~/chat.db" in lines[1]
        assert lines[2].split()[-1] == "protected"
        assert lines[3].startswith("   a^[[2Jb")


def test_show_and_test_align_their_keys_on_a_terminal(tmp_path: Path) -> None:
    long = "application_name=" + "x" * 200
    configure(f'[profiles.far]\nbackend = "postgres"\ndsn = "postgresql://a:secret@h/d?{long}"\n')
    code, shown = on_terminal("profile", "show", "far", columns=60, NO_COLOR="1")
    lines = shown.splitlines()
    assert code == 0
    assert all(len(line) <= 60 for line in lines)
    assert {line[:11].strip() for line in lines} == {"backend", "dsn", "protected", ""}
    assert long in "".join(line[11:] for line in lines)
    assert "secret" not in shown
    run("add", "near", str(tmp_path / "chat.db"))
    assert in_pipe("add", "-p", "near", "c", "x").returncode == 0
    code, shown = on_terminal("profile", "test", "near", columns=200, NO_COLOR="1")
    rows = [line.split(maxsplit=1) for line in shown.splitlines()]
    assert rows == [
        ["ok", "near"], ["backend", "sqlite"], ["where", str(tmp_path / "chat.db")],
        ["holds", "1 conversation"],
    ]  # fmt: skip


def test_list_names_a_profile_that_is_broken_and_goes_on() -> None:
    configure('[profiles.a]\nbackend = "oracle"\n[profiles.b]\nbackend = "memory"\n')
    result = run("list", code=6)
    assert result.stdout == "a\nb\ndefault\n"
    assert "'a'" in result.stderr


def test_show_says_where_each_key_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(COMMENTED)
    monkeypatch.setenv("SYNMEM_PROFILE_PROD_SCHEMA", "app")
    data = json.loads(run("show", "prod", "--json").stdout)
    assert data["settings"] == {
        "backend": "postgres",
        "dsn": "postgresql://app:***@db.internal/chat",
        "schema": "app",
        "protected": True,
    }
    assert data["origins"] == {
        "backend": "config",
        "dsn": "config",
        "schema": "env",
        "protected": "config",
    }
    assert "schema     app  (env)" in run("show", "prod").stdout
    assert "protected  false  (default)" in run("show").stdout


def test_path_prints_where_the_file_would_be(tmp_path: Path) -> None:
    assert run("path").stdout == f"{folders.config_file()}\n"
    data = json.loads(run("path", "--json", "--config", str(tmp_path / "c.toml")).stdout)
    assert data == {"path": str(tmp_path / "c.toml"), "exists": False}


def test_test_opens_the_store_and_counts_a_page() -> None:
    result = run("test", "-p", "memory:")
    assert result.stdout == "ok: memory (memory), 0 conversations, memory:\n"


def test_test_counts_what_is_there_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"

    async def fill() -> None:
        async with open_store("sqlite", {"db_path": str(file)}, write=True) as store:
            await store.append([Part(Conversation("a"), [Message("user", "hello")])])

    asyncio.run(fill())
    before = file.read_bytes()
    run("add", "local", str(file))
    data = json.loads(run("test", "local", "--json").stdout)
    assert data["ok"] is True
    assert (data["conversations"], data["complete"]) == (1, True)
    assert file.read_bytes() == before


def test_test_of_a_store_that_is_not_there_yet_is_not_found(tmp_path: Path) -> None:
    result = run("test", "-p", str(tmp_path / "chat.db"), code=3)
    assert "chat.db" in result.stderr
    assert not (tmp_path / "chat.db").exists()
    error = json.loads(run("test", "--json", code=3).stderr)
    assert error["error"]["kind"] == "not_found"


def test_test_of_an_unknown_profile_is_not_found() -> None:
    assert "'nope'" in run("test", "nope", code=3).stderr


# --- secrets --------------------------------------------------------------------------------

HIDING_PLACES = [
    "redis://:hunter2@h/0",
    "redis://u:hun@hunter2@h/0",
    "redis://:a/hunter2@h/0",
    "postgresql://app:hunter2@h/chat?sslpassword=hunter2",
    "postgresql:///chat?password=hunter2",
    "mongodb://u:hunter2@a:1,b:2/chats?authSource=admin&serverSelectionTimeoutMS=200",
]


@pytest.mark.parametrize("url", HIDING_PLACES)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_no_command_ever_shows_a_secret(url: str, as_json: tuple[str, ...]) -> None:
    runs = [
        ["add", "x", url, "-v"],
        ["add", "x", url],
        ["add", "y", url, "--set", "password=hunter2", "--set", "window=hunter2"],
        ["add", "y", url, "--set", "hunter2"],
        ["add", "y", url, "--set", "password=hunter2", "--set", "password_command=echo hunter2"],
        ["list"],
        ["show", "x"],
        ["show", "y"],
        ["show", "-p", url],
        ["test", "x", "-v"],
        ["test", "-p", url],
        ["use", "x"],
        ["remove", "x"],
    ]
    with stamina.set_testing(True, attempts=2):  # again at once: nothing comes about there
        for arguments in runs:
            result = CliRunner().invoke(app, ["profile", *arguments, *as_json])
            assert "hunter2" not in result.output, arguments


@pytest.mark.parametrize("text", ['password = "hunter2', 'password = hunter2"\n', "hunter2 = 1"])
def test_no_error_of_the_file_shows_a_secret(text: str) -> None:
    configure(f'[profiles.x]\nbackend = "redis"\nurl = "redis://h"\n{text}')
    for arguments in (["list"], ["show", "x"], ["test", "x"], ["use", "x"]):
        result = CliRunner().invoke(app, ["profile", *arguments])
        assert result.exit_code
        assert "= hunter2" not in result.output
        assert '"hunter2' not in result.output


def test_a_folder_that_cannot_be_written_is_said() -> None:
    with as_nobody() as folder:
        folder.chmod(0o500)
        result = run("add", "m", "memory:", "--config", str(folder / "config.toml"), code=1)
        assert "cannot be written" in result.stderr
