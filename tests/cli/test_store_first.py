"""The store may stand first, where the commands say so; and a store alone is listed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from synmem import folders
from synmem.cli.app import app
from synmem.cli.commands import COMMANDS, STORE_ALONE, STORE_FIRST


def run(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a store, which a profile names too, and a file of no ending."""
    monkeypatch.chdir(tmp_path)
    assert run("add", "user-1", "hello", "-p", "chat.db")[0] == 0
    assert run("add", "user-2", "good morning", "-p", "./chat")[0] == 0
    config = folders.config_file()
    config.parent.mkdir(parents=True)
    config.write_text(f'[profiles.mine]\nbackend = "sqlite"\ndb_path = "{tmp_path}/chat.db"\n')
    return tmp_path


LINES = [
    ("show", "{}", "user-1"), ("show", "{}", "user-1", "--last", "1"), ("cat", "{}", "user-1"),
    ("search", "{}", "hello"), ("context", "{}", "user-1"), ("ls", "{}"), ("list", "{}"),
    ("stats", "{}"), ("{}",), ("{}", "--match", "user-*"),
]  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=" ".join)
@pytest.mark.parametrize("store", ["chat.db", "./chat.db", "sqlite:///chat.db", "mine"])
def test_a_store_that_stands_first_is_what_p_names(line: tuple[str, ...], store: str) -> None:
    rest = [word for word in line if word != "{}"] if line[0] != "{}" else ["ls", *line[1:]]
    code, found, said = run(*(word.format(store) for word in line))
    assert (code, said) == (0, "")
    assert found
    assert run(*rest, "-p", store) == (code, found, said)


def test_discover_takes_a_store_and_still_a_folder(here: Path) -> None:
    for what in ("chat.db", "mine", "."):
        code, found, _ = run("discover", what)
        assert (code, "chat.db" in found or "mine" in found) == (0, True)
    (here / "mine").mkdir()
    assert run("discover", "mine") == (0, "", "nothing found\n")
    assert run("discover", "nowhere")[0] == 3


def test_it_overrides_the_environment_and_no_typed_option(here: Path) -> None:
    for line in (["show", "chat.db", "user-1"], ["ls", "chat.db"], ["chat.db"]):
        code, found, _ = run(*line, SYNMEM_PROFILE="other.db")
        assert (code, "hello" in found or "user-1" in found) == (0, True)
        code, _, said = run(*line, "-p", "chat.db")
        assert code == 2
        assert said == "synmem: two stores: -p and chat.db (one of the two)\n"


def test_one_argument_is_the_commands_own(here: Path) -> None:
    assert run("show", "user-1", "-p", "chat.db")[1] == "User: hello\n"
    assert run("search", "hello", "-p", "chat.db")[1].startswith("user-1")
    code, _, said = run("show")
    assert (code, said) == (2, "synmem: which conversation? (`synmem show CONVERSATION`)\n")


def test_a_bare_word_that_is_a_file_needs_a_dot_and_a_slash(here: Path) -> None:
    for line in (["chat"], ["show", "chat", "user-2"], ["ls", "chat"], ["context", "chat", "x"]):
        code, _, said = run(*line)
        assert code in (2, 3)
        assert "./chat" in said
    assert run("./chat")[1] == "user-2\n"
    assert run("show", "./chat", "user-2")[1] == "User: good morning\n"


def test_a_commands_name_wins_over_a_profiles(here: Path) -> None:
    config = folders.config_file()
    config.write_text(config.read_text().replace("mine", "stats"))
    assert "conversations" in run("stats", "chat.db")[1]
    assert run("ls", "stats")[1] == "user-1\n"
    _, _, said = run("profile", "list")
    assert said == "stats is a command's name too: `synmem stats` is that, -p stats the store\n"
    assert "`synmem stats` is that" in run("profile", "show", "stats")[2]


@pytest.mark.parametrize("name", ["show", "cat", "list", "profile"])
def test_no_profile_is_called_like_a_command(name: str, here: Path) -> None:
    code, _, said = run("profile", "add", name, "chat.db")
    assert code == 2
    assert said == f"synmem: {name} is a command's name (call the profile something else)\n"


def test_the_configuration_that_is_named_says_what_a_store_is(here: Path) -> None:
    other = here / "other.toml"
    other.write_text('[profiles.third]\nbackend = "sqlite"\ndb_path = "chat.db"\n')
    assert run("third", "--config", other)[1] == "user-1\n"
    assert run("third", f"--config={other}")[1] == "user-1\n"
    assert run("third", SYNMEM_CONFIG=str(other))[1] == "user-1\n"
    assert run("third")[0] == 2


def test_the_tables_say_what_the_commands_do() -> None:
    for name in COMMANDS:
        if name in STORE_FIRST:
            assert run(name, "a.db", "b", "-p", "c.db")[2].startswith("synmem: two stores")
        if name in STORE_ALONE:
            assert run(name, "x.db", "-p", "c.db")[2].startswith("synmem: two stores") or (
                name == "discover"
            )


WRONG = {
    "rm user-1": "clear user-1", "delete user-1 -p x.db": "clear user-1 -p x.db",
    "rm chat.db user-1": "clear -p chat.db user-1", "rm chat.db": "clear -p chat.db CONVERSATION",
    "delete user-1 chat.db": "clear -p chat.db user-1", "drop user-1 x.db": "clear user-1 x.db",
    "rm -rf user-1": "clear CONVERSATION", "remove": "clear CONVERSATION",
    "cp a.db b.db": "migrate a.db b.db", "copy a.db": "migrate a.db DEST",
    "mv a.db b.db": "migrate a.db b.db --move", "diff a.db b.db": "check a.db b.db",
    "find chat.db hello": "search chat.db hello", "grep hello": "search hello",
    "grep hello chat.db": "search chat.db hello", "version": "--version",
    "dump chat.db": "export -p chat.db", "backup": "export", "load x.jsonl": "import x.jsonl",
    "mv": "migrate SOURCE DEST --move", "head": "show CONVERSATION --first 10",
    "restore": "import FILE", "tail chat.db user-1": "show chat.db user-1 --last 10",
    "delete redis://:t0p@h/0 it's": "clear -p 'redis://:***@h/0' 'it'\"'\"'s'",
}  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_another_programs_verb_is_answered_with_ours_and_not_run(line: str, here: Path) -> None:
    verb, *rest = line.split()
    code, found, said = run(verb, *rest)
    assert (code, found) == (2, "")
    assert said == f"synmem: there is no command {verb} (`synmem {WRONG[line]}`)\n"
    assert run("show", "user-1", "-p", "chat.db")[0] == 0
    assert not (here / "a.db").exists()


def test_an_unknown_word_is_answered_with_what_is_near() -> None:
    assert run("shwo", "x")[2] == "synmem: there is no command shwo (did you mean show?)\n"
    assert run("xyzzy")[2] == "synmem: there is no command xyzzy (`synmem --help` lists them)\n"
    Path("folder").mkdir()
    assert "(a folder of that name: `synmem ls ./folder`)" in run("folder")[2]
    assert run("")[2] == "synmem: there is no command '' (`synmem --help` lists them)\n"
    assert run("xyzzy", "--json")[2].startswith('{"error":{"kind":"usage"')


def test_a_command_behind_its_store_is_put_in_front() -> None:
    said = run("chat.db", "clear", "user-1")[2]
    assert said == (
        "synmem: the command stands first, not chat.db (`synmem clear -p chat.db user-1`)\n"
    )
    assert run("show", "user-1", "-p", "chat.db")[0] == 0
