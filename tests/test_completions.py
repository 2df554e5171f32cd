"""Completion in real shells, by the scripts that are shipped, with ids that are not kind."""

import asyncio
import os
import pty
import select
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synmem import folders
from synmem.backends import open_store
from synmem.cli.app import app
from synmem.cli.completing import MOST_IDS, SCRIPTS, Shell
from synmem.messages import Conversation, Message
from synmem.store import Part

SCRIPTS_FOLDER = Path(__file__).parent.parent / "completions"

IDS = [
    "user:1", "user:2", "user 3", "it's", 'a"b', "$(touch pwned)", "`touch pwned`",
    "a\\$(touch pwned)", "z!touch", "zoo", "plain", "ünï ✓", "k=v", "a/b", "bad\x1b[2J", "hid\u202eden",
]  # fmt: skip


def test_the_shipped_scripts_are_what_the_program_prints() -> None:
    assert {path.name for path in SCRIPTS_FOLDER.iterdir()} == {
        name for name, _ in SCRIPTS.values()
    }
    for shell, (name, _) in SCRIPTS.items():
        printed = CliRunner().invoke(app, ["--show-completion", shell])
        assert printed.exit_code == 0
        assert (SCRIPTS_FOLDER / name).read_text(encoding="utf-8") == printed.stdout, (
            "python -m synmem.cli.completing completions"
        )


def test_the_scripts_are_written_by_the_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "synmem.cli.completing", str(tmp_path / "made")]
    subprocess.run(command, check=True)
    for name, text in SCRIPTS.values():
        assert (tmp_path / "made" / name).read_text(encoding="utf-8") == text


def fill(file: Path, ids: list[str]) -> None:
    async def write() -> None:
        async with open_store("sqlite", {"db_path": str(file)}, write=True) as store:
            parts = [Part(Conversation(id), [Message("user", "x")]) for id in ids]
            await store.append(parts)

    asyncio.run(write())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a store, two profiles, and `synmem` on the PATH."""
    folder = tmp_path / "here"
    folder.mkdir()
    fill(folder / "chat.db", IDS)
    config = folders.config_file()
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[profiles.local]\nbackend = "sqlite"\ndb_path = "{folder / "chat.db"}"\n'
        '[profiles.remote]\nbackend = "redis"\nurl = "redis://h"\npassword_command = "touch run"\n'
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    shim = programs / "synmem"
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m synmem "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)
    return folder


def need(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not on the PATH")
    return path


# --- bash -----------------------------------------------------------------------------------

_DRIVER = """
source "$1"; shift
COMP_LINE=$1 COMP_POINT=${#1}; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_synmem_completion synmem
for reply in "${COMPREPLY[@]}"; do printf '%s\\n' "$reply"; done
"""


def bash(line: str, *words: str) -> list[str]:
    """What bash would offer; `words` are the line's as bash breaks it."""
    script = str(SCRIPTS_FOLDER / "synmem.bash")
    command = [need("bash"), "--norc", "-c", _DRIVER, "bash", script, line, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.splitlines()


def test_bash_completes_commands(here: Path) -> None:
    assert bash("synmem sh", "synmem", "sh") == ["show"]
    assert bash("synmem profile re", "synmem", "profile", "re") == ["remove"]


def test_bash_completes_profiles(here: Path) -> None:
    assert bash("synmem show -p ", "synmem", "show", "-p", "") == ["default", "local", "remote"]
    assert bash("synmem show -p lo", "synmem", "show", "-p", "lo") == ["local"]
    assert bash("synmem show --profile=re", "synmem", "show", "--profile", "=", "re") == ["remote"]
    assert bash("synmem profile use lo", "synmem", "profile", "use", "lo") == ["local"]


def test_bash_completes_ids_quoted_for_the_command_line(here: Path) -> None:
    offered = bash("synmem show -p local ", "synmem", "show", "-p", "local", "")
    read_back = [word for line in offered for word in shlex.split(line)]
    assert sorted(read_back) == sorted(IDS[:-2])
    assert not (here / "pwned").exists()


@pytest.mark.parametrize(
    ("typed", "pieces", "offered"),
    [
        ("user:", ["user", ":"], ["1", "2"]),
        ("user:1", ["user", ":", "1"], ["1"]),
        ("user\\ ", ["user\\ "], ["user\\ 3"]),
        ('"user ', ['"user '], ["user 3"]),
        ('"user:', ['"user:'], ["user:1", "user:2"]),
        ("'$(", ["'$("], ["$(touch pwned)"]),
        ('"$(', ['"$('], ["\\$(touch pwned)"]),
        ('"`', ['"`'], ["\\`touch pwned\\`"]),
        ('"z', ['"z'], ["zoo"]),
        ("z", ["z"], ["z\\!touch", "zoo"]),
        ("'z!", ["'z!"], ["z!touch"]),
        ("'it", ["'it"], []),
        ("k=", ["k", "="], ["v"]),
        ("a/", ["a/"], ["a/b"]),
    ],
)
def test_bash_completes_ids_with_colons_spaces_and_quotes(
    here: Path, typed: str, pieces: list[str], offered: list[str]
) -> None:
    line = f"synmem show -p local {typed}"
    assert bash(line, "synmem", "show", "-p", "local", *pieces) == offered


def test_bash_completes_ids_of_a_url(here: Path) -> None:
    line = "synmem show -p sqlite:///chat.db pl"
    words = ["synmem", "show", "-p", "sqlite", ":", "///chat.db", "pl"]
    assert bash(line, *words) == ["plain"]
    assert bash("synmem show -p chat.db pl", "synmem", "show", "-p", "chat.db", "pl") == ["plain"]


def test_bash_offers_nothing_where_a_store_cannot_be_asked(here: Path) -> None:
    for store in ("nothing.db", "nobody", "redis://h"):
        assert bash(f"synmem show -p {store} ", "synmem", "show", "-p", store, "") == []
    assert bash("synmem show -p remote ", "synmem", "show", "-p", "remote", "") == []
    assert not (here / "run").exists()
    folders.config_file().write_text("[broken")
    assert bash("synmem show -p ", "synmem", "show", "-p", "") == []


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("z\\!", "z\\!touch "),
        ("'z!", "'z!touch' "),
        ('"zo', '"zoo" '),
        ('"z!', '"z!'),
    ],
)
def test_no_id_that_is_completed_wakes_the_history(here: Path, typed: str, line: str) -> None:
    shell = need("bash")
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(TERM="dumb", LANG="C.UTF-8")
        os.execv(shell, [shell, "--norc", "--noprofile", "-i"])
    try:
        script = shlex.quote(str(SCRIPTS_FOLDER / "synmem.bash"))
        os.write(terminal, f"bind 'set enable-bracketed-paste off'; . {script}\n".encode())
        os.write(terminal, b"touch pwned && rm pwned; echo rea''dy\n")
        assert b"ready" in read(terminal, b"ready")
        os.write(terminal, f"synmem show -p local {typed}\t".encode())
        assert line.encode() in read(terminal, line.encode())
        if typed != '"z!':  # there the person has typed it
            os.write(terminal, b"; echo do''ne\n")
            shown = read(terminal, b"done")
            assert b"event not found" not in shown
            assert b"touch pwned" not in shown
            assert b"\n  x\r" in shown
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)


# --- the program's answer -------------------------------------------------------------------


def answer(*words: str, **variables: str) -> tuple[list[str], str]:
    asked = {
        "_SYNMEM_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        ["synmem"], env={**os.environ, **asked, **variables}, capture_output=True, text=True
    )
    return [line for line in done.stdout.splitlines() if line], done.stderr


def test_the_store_may_be_named_by_the_environment(here: Path) -> None:
    assert answer("synmem", "show", "pl", SYNMEM_PROFILE="local") == (["plain"], "")


def test_the_configuration_that_is_named_counts(here: Path, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text('[profiles.third]\nbackend = "memory"\n')
    words = ["synmem", "show", "--config", str(config), "-p", "th"]
    assert answer(*words) == (["third"], "")


def test_at_most_so_many_ids_are_offered(here: Path) -> None:
    fill(here / "many.db", [f"c{n:04}" for n in range(MOST_IDS * 3)])
    offered, _ = answer("synmem", "show", "-p", "many.db", "c")
    assert len(offered) == MOST_IDS


def test_reading_ids_makes_no_file(here: Path) -> None:
    before = sorted(path.name for path in here.iterdir())
    answer("synmem", "show", "-p", "local", "u")
    answer("synmem", "show", "-p", "new.db", "u")
    assert sorted(path.name for path in here.iterdir()) == before


def test_a_store_that_does_not_answer_holds_nobody_up(here: Path) -> None:
    started = time.monotonic()
    answer("synmem", "show", "-p", "local", "u")
    usually = time.monotonic() - started
    holder = sqlite3.connect(here / "chat.db")
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("CREATE TABLE held (x)")
    started = time.monotonic()
    _, said = answer("synmem", "show", "-p", "local", "u")
    taken = time.monotonic() - started
    holder.rollback()
    holder.close()
    assert said == ""
    assert taken < usually + 4  # it waits for a second; others wait for five


# --- zsh and fish ---------------------------------------------------------------------------


def fish(line: str) -> list[str]:
    script = f"source {shlex.quote(str(SCRIPTS_FOLDER / 'synmem.fish'))}; complete -C $argv[1]"
    done = subprocess.run(
        [need("fish"), "-N", "-c", script, line], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_fish_completes_commands_profiles_and_ids(here: Path) -> None:
    assert fish("synmem sh") == ["show"]
    assert fish("synmem show -p lo") == ["local"]
    assert sorted(fish("synmem show -p local ")) == sorted(IDS[:-2])
    assert fish("synmem show -p sqlite:///chat.db user:") == ["user:1", "user:2"]
    assert fish("synmem show -p local user\\ ") == ["user 3"]
    assert fish('synmem show -p local "user ') == ["user 3"]
    assert fish("synmem show -p chat") == ["chat.db"]
    assert not (here / "pwned").exists()


def read(terminal: int, until: bytes, seconds: float = 20) -> bytes:
    seen, end = b"", time.monotonic() + seconds
    while until not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65536)
    return seen


def test_zsh_completes_commands_profiles_and_ids(here: Path) -> None:
    zsh = need("zsh")
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(TERM="dumb", PS1="> ", LANG="C.UTF-8")
        os.execv(zsh, [zsh, "-f", "-i"])
    try:
        init = f"fpath=({shlex.quote(str(SCRIPTS_FOLDER))} $fpath); autoload -Uz compinit; "
        os.write(terminal, f"{init} compinit -u -D; echo rea''dy\n".encode())
        assert b"ready" in read(terminal, b"ready")
        for typed, completed in (
            ("synmem sh", "synmem show "),
            ("synmem show -p lo", "-p local "),
            ("synmem show -p sqlite:///chat.db user:1", "user:1 "),
            ("synmem show -p local user\\ ", "user\\ 3 "),
            ("synmem show -p local it", "it\\'s "),
            ("synmem show -p local '$(", "'$(touch pwned)' "),
            ("synmem show -p local 'a\\", "'a\\$(touch pwned)' "),
        ):
            os.write(terminal, f"{typed}\t".encode())
            assert completed.encode() in read(terminal, completed.encode()), typed
            os.write(terminal, b"\x15")  # forget the line
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)
    assert not (here / "pwned").exists()


def test_there_is_a_script_for_every_shell() -> None:
    assert set(SCRIPTS) == set(Shell)
