"""Hints name commands as they can be pasted; what is not there is answered with what is near."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synmem.backends import open_store
from synmem.cli import advice, render
from synmem.cli.app import app
from synmem.cli.run import Session
from synmem.messages import Conversation, Message
from synmem.store import Part
from tests.cli.processes import on_terminal, unwrapped

WHOLE = "0190a7e2-7c44-7000-8000-000000000001"


def run(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a store of a few conversations, one of which has a title."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(advice, "_SECONDS", 60.0)  # whatever else the machine does
    fill(tmp_path / "chat.db", "user-1", "user-12", WHOLE, "it's", "bad\x1b[2J")
    return tmp_path


def fill(file: Path, *ids: str) -> None:
    async def write() -> None:
        async with open_store("sqlite", {"db_path": str(file)}, write=True) as store:
            titles = {WHOLE: "Flights to \x1b[31mZürich"}
            parts = [
                Part(Conversation(id, title=titles.get(id)), [Message("user", "x")]) for id in ids
            ]
            await store.append(parts)

    asyncio.run(write())


def session(**said: object) -> Session:
    return Session(**{
        "profile": None, "config": None, "json": False, "quiet": False, "verbose": False, **said,
    })  # type: ignore[arg-type]  # fmt: skip


# --- lines that can be pasted ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("show", "ID"), "synmem show my.db ID"), (("ls",), "synmem ls my.db"),
        (("clear", "it's"), "synmem clear -p my.db 'it'\"'\"'s'"),
        (("search", "--rebuild"), "synmem search -p my.db --rebuild"),
        (("cat", "a b", "--last", "1"), "synmem cat my.db 'a b' --last 1"),
        (("undo", "--list"), "synmem undo -p my.db --list"),
        (("migrate", "SOURCE", "DEST"), "synmem migrate SOURCE DEST"),
        (("profile", "list"), "synmem profile list"),
    ],
)  # fmt: skip
def test_a_line_names_the_store_where_it_was_typed(words: tuple[str, ...], line: str) -> None:
    assert session(profile="my.db", typed=True).typing(*words) == line
    assert session(profile="my.db", label="my.db").typing(*words) == line
    plain = line.replace(" -p my.db", "").replace(" my.db", "")
    assert session(profile="my.db").typing(*words) == plain  # of the environment, which stays
    assert session().typing(*words) == plain


def test_a_line_has_no_secret_and_says_how_the_store_is_read() -> None:
    typed = session(profile="redis://u:t0p@h/0", typed=True, layout="langchain", branches=True)
    assert typed.typing("show", "ID") == (
        "synmem show 'redis://u:***@h/0' ID --layout langchain --branches"
    )
    assert typed.typing("clear", "ID") == (
        "synmem clear -p 'redis://u:***@h/0' ID --layout langchain"
    )


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("odd", ["a\nb", "tab\there", "\u202eevil\\'s", "\x1b[2J \\U00000041"])
def test_an_id_with_hidden_characters_can_be_pasted(odd: str) -> None:
    line = session(profile="my.db", typed=True).typing("show", odd)
    assert render.visible_line(line) == line
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert words.stdout.decode().split("\0")[:-1] == ["synmem", "show", "my.db", odd]


def test_the_commands_of_a_hint_get_the_store() -> None:
    typed = session(profile="my.db", typed=True)
    assert typed.with_stores("`synmem ls` lists them") == "`synmem ls my.db` lists them"
    assert typed.with_stores("`synmem add` makes one") == "`synmem add -p my.db` makes one"
    for text in (
        "`synmem undo -p x.db` it is", "`synmem ls my.db` lists", "`synmem migrate A B`", "no hint",
        "as `synmem export` writes them", "`synmem profile add NAME URL`", "`synmem frobnicate`",
    ):  # fmt: skip
        assert typed.with_stores(text) == text
    for odd in ("my chat.db", "redis://u:t0p@h/0?prefix=a"):
        typed = session(profile=odd, typed=True)
        for line in (typed.typing("show", "ID"), typed.typing("clear", "an id")):
            assert typed.with_stores(f"`{line}` does") == f"`{line}` does"
    assert session().with_stores("`synmem ls` lists them") == "`synmem ls` lists them"


def test_the_hint_of_a_command_for_two_stores_names_the_one_that_it_is_about(here: Path) -> None:
    for line in (
        ("check", "none.db"),
        ("migrate", "none.db", "chat.db"),
        ("check", "chat.db", "none.db"),
    ):
        assert "none.db: no such file (`synmem add -p none.db` makes one)" in run(*line)[2]
    whole = (here / "chat.db").read_bytes()
    (here / "cut.db").write_bytes(whole[: len(whole) // 2])
    assert "`synmem export -p cut.db --rescue`" in run("check", "cut.db")[2]


# --- what is near ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("user-", "user-1 or user-12"), ("usr-12", "user-12 or user-1"), ("its", "'it'\"'\"'s'"),
        ("zürich", f"{WHOLE} (Flights to ^[[31mZürich)"), ("0190a7e2", WHOLE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["show", "context", "clear", "export", "summarize"])
def test_near_ids_are_offered(command: str, typed: str, offered: str) -> None:
    code, found, said = run(command, typed, "-p", "chat.db")
    assert (code, found) == (3, "")
    assert said == (
        f"synmem: no conversation {typed!r} in chat.db (did you mean {offered}? "
        "`synmem ls chat.db` lists the conversations)\n"
    )


def test_an_id_that_cannot_stand_on_a_terminal_is_not_offered() -> None:
    assert run("show", "chat.db", "bad")[2] == (
        "synmem: no conversation 'bad' in chat.db (`synmem ls chat.db` lists the conversations)\n"
    )


def test_where_there_is_nothing_at_all_that_is_said(here: Path) -> None:
    run("clear", "--all", "-p", "chat.db", "--confirm", "chat.db")
    assert run("show", "chat.db", "x")[2] == (
        "synmem: no conversation 'x' in chat.db: nothing is in that store "
        "(`synmem add -p chat.db ID TEXT` adds a first message)\n"
    )


def test_a_file_that_is_only_read_is_not_to_be_added_to(here: Path) -> None:
    (here / "empty.jsonl").touch()
    assert "synmem add" not in (said := run("show", "empty.jsonl", "x")[2])
    assert "nothing is in that store (`synmem discover` finds" in said


def test_a_long_list_is_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "_takes_beginnings", lambda session: True)
    assert run("show", "chat.db", "0190")[0] == 0
    monkeypatch.setattr(advice, "_MOST", 1)  # others may begin so too
    code, _, said = run("show", "chat.db", "0190")
    assert (code, f"did you mean {WHOLE}" in said) == (3, True)


def test_a_beginning_is_enough_for_a_person(here: Path) -> None:
    for line in (["show", "chat.db", "0190"], ["context", "chat.db", "0190"]):
        code, shown = on_terminal(*line)
        assert code == 0
        assert f"{WHOLE}: the one conversation that begins with 0190\r\n" in shown
        assert "x" in shown
    code, shown = on_terminal("search", "chat.db", "x", "-c", "0190")
    assert (code, f"{WHOLE}: the one conversation" in shown) == (0, True)


def test_an_id_that_was_completed_is_said_on_one_line(here: Path) -> None:
    fill(here / "odd.db", "0190\nsynmem: all is well")
    code, shown = on_terminal("show", "odd.db", "0190")
    assert code == 0
    assert "0190^Jsynmem: all is well: the one conversation" in unwrapped(shown)


def test_a_beginning_is_not_enough_for_a_script_or_for_what_writes(here: Path) -> None:
    assert run("show", "chat.db", "0190")[0] == 3
    for line in (["clear", "0190", "--yes"], ["export", "0190"], ["entities", "0190"]):
        code, shown = on_terminal(*line, "-p", "chat.db")
        assert code == 3, shown
        assert WHOLE in shown  # it is offered
    assert run("show", "chat.db", WHOLE)[0] == 0


def test_a_hostile_id_that_is_taken_stays_on_its_line(here: Path) -> None:
    fill(here / "odd.db", "odd\nsynmem: all is well")
    code, shown = on_terminal("show", "odd.db", "odd", columns=200)
    assert code == 0
    assert "\nsynmem: all is well" not in shown
    assert "synmem: all is well: the one conversation that begins with odd" in shown


def test_of_several_stores_none_is_taken_for_the_one_that_is_meant(here: Path) -> None:
    run("add", "only", "x")
    code, shown = on_terminal("search", "x", "-c", "on", "--everywhere")
    assert code == 3
    assert "no conversation 'on' in default (`synmem ls`" in " ".join(shown.split())


def test_a_beginning_of_two_is_not_taken(here: Path) -> None:
    code, shown = on_terminal("show", "chat.db", "user")
    assert code == 3
    assert "did you mean user-1 or user-12?" in shown


# --- a file in the place of a conversation --------------------------------------------------


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("show chat.db", "`synmem ls chat.db` lists it, `synmem show chat.db CONVERSATION` takes "
         "one of it"),
        ("context chat.db --window 3", "`synmem ls chat.db` lists it, `synmem context chat.db "
         "CONVERSATION --window 3` takes one of it"),
        ("export chat.db", "`synmem export -p chat.db`"),
        ("clear chat.db user-1 --yes", "`synmem clear -p chat.db user-1 --yes`"),
        ("clear user-1 chat.db --yes", "`synmem clear -p chat.db user-1 --yes`"),
        ("entities chat.db", "`synmem entities -p chat.db CONVERSATION`"),
    ],
)  # fmt: skip
def test_a_file_in_the_line_is_told_to_stand_behind_p(line: str, hint: str) -> None:
    for environment in ({}, {"SYNMEM_PROFILE": "other.db"}):
        fill(Path("other.db"), "user-1")
        code, found, said = run(*line.split(), **environment)
        assert (code, found) == (3, "")
        assert said.endswith(f" (chat.db is a file: {hint})\n")


def test_where_no_store_was_named_one_is_to_be() -> None:
    for line, told in (
        ("show user-1 --last 2", "show STORE user-1 --last 2"), ("export", "export -p STORE"),
    ):  # fmt: skip
        code, _, said = run(*line.split())
        assert code == 3
        assert f"(no store was named: `synmem {told}`; `synmem discover` finds" in said
    assert "(no store was named" not in run("show", "gone.db", "user-1")[2]


def test_a_profile_in_the_line_is_told_to_stand_behind_p() -> None:
    run("profile", "add", "prod", "chat.db")
    said = run("clear", "prod", "user-1")[2]
    assert said.endswith(" (prod is a store: `synmem clear -p prod user-1`)\n")


@pytest.mark.parametrize("line", ["export nobody -o out.jsonl", "search x --conversation chat.db"])
def test_a_file_behind_an_option_is_not_taken_for_a_conversation(line: str) -> None:
    fill(Path("other.db"), "user-1")
    Path("out.jsonl").touch()
    code, found, said = run(*line.split(), SYNMEM_PROFILE="other.db")
    assert (code, found) == (3, "")
    assert "is a file" not in said


def test_who_adds_to_what_is_a_file_is_told_how_to_add_to_it(here: Path) -> None:
    told = "`synmem add -p chat.db CONVERSATION TEXT` adds to the file"
    code, found, said = run("add", "chat.db", "hello")
    assert (code, found) == (0, "")
    assert told in said
    assert told not in run("add", "chat.db", "hello", "-p", "other.db")[2]
    assert told not in run("add", "user-1", "hello")[2]


def test_a_file_that_is_looked_for_as_a_word_is_told_how_to_look_in_it(here: Path) -> None:
    told = "`synmem search chat.db WORDS` looks in it"
    assert told in run("search", "chat.db")[2]
    assert told not in run("search", "chat.db", "chat.db")[2]
    assert told not in run("search", "chat")[2]


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("out.xyz", "a file of that name would be ./out.xyz"),
        ("chat.bd", "(did you mean chat.db?;"),
        ("127.0.0.1:5432", "is named by its URL"),
    ],
)
def test_what_is_no_profiles_name_is_told_what_else_it_may_be(store: str, told: str) -> None:
    code, _, said = run("ls", "-p", store)
    assert code == 3
    assert told in said


def test_two_words_to_look_for_are_one_query() -> None:
    code, _, said = run("search", "redis", "cluster")
    assert code == 3
    assert "(to look for both words: `synmem search 'redis cluster'`" in said


@pytest.mark.parametrize("command", ["show", "context", "search"])
def test_a_store_that_stands_last_is_told_to_stand_first(here: Path, command: str) -> None:
    fill(Path("chat.db"), "user-1")
    code, found, said = run(command, "user-1", "chat.db")
    assert (code, found) == (3, "")
    assert f"the store stands first: `synmem {command} chat.db user-1`" in said


# --- nothing in a store ---------------------------------------------------------------------


def test_an_empty_store_says_what_to_do_to_a_person_alone(here: Path) -> None:
    run("clear", "--all", "-p", "chat.db", "--confirm", "chat.db")
    code, shown = on_terminal("ls", "chat.db")
    assert code == 0
    said = " ".join(shown.split())
    for line in (
        "`synmem add -p chat.db ID TEXT`", "`synmem import -p chat.db FILE`",
        "`synmem migrate SOURCE chat.db`", "`synmem discover`",
    ):  # fmt: skip
        assert line in said
    assert on_terminal("ls", "chat.db", "-q") == (0, "")
    assert on_terminal("ls", "chat.db", "--match", "x*") == (0, "")
    assert run("ls", "chat.db") == (0, "", "")


def test_the_default_store_has_no_store_in_its_lines(here: Path) -> None:
    code, shown = on_terminal("ls")
    assert (code, "`synmem add ID TEXT` adds a message" in " ".join(shown.split())) == (0, True)
