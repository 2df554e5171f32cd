"""Help: bare `synmem`, the front page, each command's, and the pages of the manual."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import synmem
from synmem.cli.app import app
from synmem.cli.commands import COMMANDS
from synmem.cli.manual.topics import TOPICS
from synmem.cli.run import CLOSED_PIPE, DIFFERENT, EXIT_CODES, INTERRUPTED, PARTLY
from synmem.formats import FORMATS
from synmem.layouts.registry import LAYOUTS
from tests.cli.processes import in_pipe, on_terminal


def run(*arguments: str, width: int = 80, **environment: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(
        app, [*arguments], prog_name="synmem", terminal_width=width, env=environment
    )
    return result.exit_code, result.stdout, result.stderr


PAGES = [[name, "--help"] for name in COMMANDS] + [["help", topic] for topic in TOPICS]
PAGES += [[], ["profile"], ["profile", "add", "--help"]]


def test_bare_synmem_is_the_help_on_stdout() -> None:
    for line in ([], ["--help"], ["-h"], ["help"]):
        done = in_pipe(*line)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == in_pipe().stdout
    assert b"\x1b" not in done.stdout
    assert run("profile") == (0, run("profile", "--help")[1], "")


@pytest.mark.parametrize("width", [50, 80, 100])
@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_no_line_of_help_is_wider_than_the_terminal(page: list[str], width: int) -> None:
    code, text, said = run(*page, width=width)
    assert (code, said) == (0, "")
    is_example = False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            is_example = line == "Examples"
        # What can be pasted is not broken.
        assert len(line) <= width or is_example or " synmem " in f" {line}", line
    assert not re.search(r"\\b|\x08", text)


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_no_word_of_help_is_broken(page: list[str]) -> None:
    assert run(*page, width=50)[1].split() == run(*page, width=100)[1].split()


def test_help_is_at_most_a_hundred_columns_wide() -> None:
    for columns, most in (("200", 100), ("64", 64)):
        done = in_pipe("search", "--help", COLUMNS=columns)
        widest = max(len(line) for line in done.stdout.decode().splitlines())
        assert most - 15 < widest <= most


def test_headings_are_bold_on_a_terminal_that_has_colours() -> None:
    assert "\x1b[1mOptions\x1b[0m" in on_terminal("show", "--help")[1]
    for line in (["show", "--help", "--no-color"], ["--no-color"]):
        assert "\x1b" not in on_terminal(*line)[1]
    assert "\x1b" not in on_terminal("show", "--help", NO_COLOR="1")[1]


def test_a_commands_own_options_stand_before_those_of_every_command() -> None:
    own, common = run("show", "--help")[1].split("\nOptions of every command\n")
    assert "--last N" in own
    assert "--profile" not in own
    for option in ("-p, --profile", "--config", "--json", "-q, --quiet", "-h, --help"):
        assert f"  {option}" in common


def test_help_of_a_command_is_what_it_says_itself() -> None:
    for name in COMMANDS:
        assert run("help", name)[1] == run(name, "--help")[1], name
    assert run("help", "profile", "add")[1] == run("profile", "add", "--help")[1]


def test_an_unknown_page_is_answered_with_those_that_are() -> None:
    code, found, said = run("help", "xyzzy")
    assert (code, found) == (2, "")
    assert all(topic in said for topic in TOPICS)
    assert "did you mean exit-codes?" in run("help", "exit-code")[2]
    assert "did you mean show?" in run("help", "shwo")[2]
    alone = "there is no help on formats (it is a page of its own: `synmem help formats`)"
    assert alone in run("help", "formats", "layouts")[2]
    assert run("help", "profile", "xyzzy")[::2] == (
        2, "synmem: there is no help on xyzzy (`synmem profile --help`)\n"
    )  # fmt: skip
    assert run("help", "show", "xyzzy")[2].endswith(" (`synmem show --help`)\n")


def test_the_page_of_exit_codes_has_every_one() -> None:
    codes = {*EXIT_CODES.values(), PARTLY, DIFFERENT, INTERRUPTED, CLOSED_PIPE, 0, 129, 143}
    rows = re.findall(r"^  ([\d, ]+)  \w", run("help", "exit-codes")[1], re.MULTILINE)
    told = re.findall(r"\d+", " ".join(rows))
    assert {int(code) for code in told} == codes
    assert len(told) == len(codes)


def test_the_pages_name_all_layouts_formats_and_variables() -> None:
    assert all(re.search(rf"^  {n}\b", run("help", "layouts")[1], re.MULTILINE) for n in LAYOUTS)
    assert all(name in run("help", "formats")[1] for name in FORMATS)
    told = run("help", "environment", width=100)[1]
    root = Path(synmem.__file__).parent
    texts = "".join(path.read_text() for path in root.rglob("*.py") if "manual" not in path.parts)
    for name in set(re.findall(r"\bSYNMEM_[A-Z]+", texts)) - {"SYNMEM_COMPLETE"}:
        assert name in told, name


def test_the_times_that_the_page_names_are_taken() -> None:
    from synmem.cli.times import moment

    rows = run("help", "times", width=100)[1].split("\n\n")[0].splitlines()[1:]
    typed = [each for row in rows for each in re.split(r",? ", row.strip().split("  ")[0])]
    assert len(typed) >= 10
    for each in typed:
        moment(each)


def test_every_example_of_the_pages_is_a_command_that_is_there() -> None:
    for topic in TOPICS:
        for line in run("help", topic)[1].splitlines():
            if found := re.match(r"  synmem ([a-z-]+)(?= )", line):
                assert found[1] in COMMANDS or found[1] in ("chat",), line


# --- in front of the command ----------------------------------------------------------------


def test_options_may_stand_in_front_of_the_command(tmp_path: Path) -> None:
    store = str(tmp_path / "chat.db")
    run("-p", store, "-q", "add", "user-1", "hello")
    for front in (["-p", store], [f"--profile={store}"], [f"-p{store}", "-v"]):
        assert run(*front, "ls")[1] == run("ls", *front)[1] == "user-1\n"
    assert run("--json", "-p", store, "ls")[1].startswith("[{")
    other = tmp_path / "c.toml"
    other.write_text(f'[profiles.here]\nbackend = "sqlite"\ndb_path = "{store}"\n')
    assert run("--config", str(other), "-p", "here", "show", "user-1")[1] == "User: hello\n"
    assert run("--config", str(other), "here")[1] == "user-1\n"
    assert run("--config", str(other), "profile", "list")[1] == "here\ndefault\n"
    assert run("--config", str(other), "help", "times")[0] == 0


def test_an_option_twice_with_different_values_is_an_error(tmp_path: Path) -> None:
    store = str(tmp_path / "chat.db")
    run("add", "user-1", "hello", "-p", store)
    for line in (
        ["-p", store, "show", "user-1", "-p", "x.db"], ["show", "user-1", "-p", store, "-px.db"],
    ):  # fmt: skip
        assert run(*line)[::2] == (
            2, f"synmem: --profile twice: {store!r} and 'x.db' (one of the two)\n"
        )  # fmt: skip
    assert run("show", "user-1", "--last", "1", "--last=2")[2] == (
        "synmem: --last twice: '1' and '2' (one of the two)\n"
    )
    secret = run("show", "x", "-p", "redis://:t0p@h/0", "-p", "redis://:t0q@g/0")[2]
    assert "t0" not in secret
    assert "'redis://:***@h/0' and 'redis://:***@g/0'" in secret


def test_the_same_value_twice_and_flags_are_none(tmp_path: Path) -> None:
    store = str(tmp_path / "chat.db")
    run("add", "user-1", "hello", "-p", store)
    line = ["show", "user-1", "-p", store, "-p", store, "-q", "-q", "--no-color", "--no-color"]
    assert run(*line) == (0, "User: hello\n", "")
    assert run("-v", "show", "user-1", "-v", "-p", store)[1] == "User: hello\n"
    for several in (["ls", "-p", store, "-p", store], ["ls", "--match", "u*", "--match", "x*"]):
        assert run(*several, *([] if "-p" in several else ["-p", store]))[0] == 0


def test_a_version_is_said_by_one_letter_too() -> None:
    assert in_pipe("-V").stdout == in_pipe("--version").stdout == in_pipe("-q", "-V").stdout
