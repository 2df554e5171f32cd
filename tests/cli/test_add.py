"""`synmem add`: one message, exactly as it was given, or an error and nothing written."""

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from synmem.cli.app import app
from tests.cli.processes import in_pipe, on_terminal, unwrapped


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def stored(store: Path, conversation: str = "a") -> list[dict[str, object]]:
    result = run("show", conversation, "--json", "-p", str(store))
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, list)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def test_a_message_is_stored_with_the_time_of_its_writing(store: Path) -> None:
    before = datetime.now(UTC)
    result = run("add", "a", "Hello!", "-p", str(store))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    (message,) = stored(store)
    assert (message["role"], message["content"]) == ("user", "Hello!")
    at = datetime.fromisoformat(str(message["created_at"]))
    assert before <= at <= datetime.now(UTC)


def test_role_metadata_and_time(store: Path) -> None:
    metadata = '{"n": 1180591620717411303424, "f": 1.0, "nan": NaN, "é": null}'
    result = run(
        "add", "a", "x", "-r", "tool", "-m", metadata, "--at", "2026-01-02T03:04:05.678901+01:00",
        "-p", str(store),
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    (message,) = stored(store)
    assert message["role"] == "tool"
    assert repr(message["metadata"]) == repr(json.loads(metadata))
    assert message["created_at"] == "2026-01-02T02:04:05.678901Z"


def test_json_prints_the_message_as_it_was_stored(store: Path) -> None:
    result = run("add", "a", "x", "--at", "2026-01-02T00:00:00.5Z", "--json", "-p", str(store))
    assert json.loads(result.stdout) == {"conversation_id": "a", **stored(store)[0]}


@pytest.mark.parametrize(
    ("given", "content"),
    [
        (b"one line\n", "one line"),
        (b"no newline", "no newline"),
        (b"two\n\n", "two\n"),
        (b"\n lead", "\n lead"),
        (b"dos\r\n", "dos\r"),
        ("é \u2028 \0 \x1b[31m\n".encode(), "é \u2028 \0 \x1b[31m"),
    ],
)
@pytest.mark.parametrize("dash", [[], ["-"]])
def test_stdin_less_one_final_newline(
    store: Path, given: bytes, content: str, dash: list[str]
) -> None:
    assert run("add", "a", *dash, "-p", str(store), stdin=given).exit_code == 0
    assert stored(store)[0]["content"] == content


@pytest.mark.parametrize("given", [b"", b"\n"])
def test_an_empty_stdin_is_a_usage_error_and_makes_no_file(store: Path, given: bytes) -> None:
    result = run("add", "a", "-p", str(store), stdin=given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "stdin is empty" in result.stderr
    assert not store.exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a", "x", "-r", "human"], "system, developer, user, assistant, tool"),
        (["a", "x", "-r", "User"], "no role 'User'"),
        (["a", "x", "-m", '{"a": }'], "line 1 column 7"),
        (["a", "x", "-m", "[1]"], "not a JSON object"),
        (["a", "x", "--at", "the other day"], "ISO 8601"),
        (["", "x"], "0 bytes"),
        (["é" * 513, "x"], "1026 bytes"),
        ([], "CONVERSATION is missing"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_and_makes_no_file(
    store: Path, arguments: list[str], why: str
) -> None:
    result = run("add", *arguments, "-p", str(store))
    assert result.exit_code == 2
    assert why.lower() in result.stderr.lower()
    assert not store.exists()


def test_the_longest_id_is_taken(store: Path) -> None:
    assert run("add", "é" * 512, "x", "-p", str(store)).exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX shell")
def test_a_closed_stdin_is_a_usage_error(store: Path) -> None:
    command = ["sh", "-c", '"$0" -m synmem add a -p "$1" <&-', sys.executable, str(store)]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert not store.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="its arguments are text")
def test_bytes_that_are_no_text_are_a_usage_error(store: Path) -> None:
    for arguments, stdin in (
        (("add", b"\xff", "x"), b""),
        (("add", "a", b"caf\xe9"), b""),
        (("add", "a"), b"caf\xe9\n"),
    ):
        done = in_pipe(*arguments, "-p", str(store), stdin=stdin)
        assert done.returncode == 2
        assert b"not UTF-8" in done.stderr
    assert not store.exists()


def test_a_rolling_window_keeps_the_newest(store: Path, own_folders: Path) -> None:
    config = own_folders / "config.toml"
    for setting, left in (("max_messages = 3", 3), ("window = 2", 4)):
        file = store.with_name(f"{left}.db")
        config.write_text(
            f'[profiles.w]\nbackend = "sqlite"\ndb_path = "{file.as_posix()}"\n{setting}\n'
        )
        for i in range(6):
            added = run("add", "a", str(i), "-p", "w", "--config", str(config))
            assert added.exit_code == 0, added.stderr
        assert [each["content"] for each in stored(file)] == [str(i) for i in range(6 - left, 6)]


def synapsekit_file(path: Path) -> Path:
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT "
            "NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)"
        )
        database.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        database.execute(
            "INSERT INTO messages (conversation_id, role, content) VALUES ('a', 'user', 'theirs')"
        )
    database.close()
    return path


def test_in_a_file_of_synapsekit_no_time_is_stamped_unless_it_is_wished(store: Path) -> None:
    synapsekit_file(store)
    assert run("add", "a", "plain", "-p", str(store)).exit_code == 0
    assert run("add", "a", "at", "--at", "2026-01-01T00:00:00.5Z", "-p", str(store)).exit_code == 0
    assert run("add", "a", "wished", "-p", f"sqlite:///{store}?timestamps=true").exit_code == 0
    times = [each.get("created_at") for each in stored(store)]
    assert times[:3] == [None, None, "2026-01-01T00:00:00.500000Z"]
    assert times[3] is not None


def test_a_time_ago_is_before_now(store: Path) -> None:
    assert run("add", "a", "x", "--at", "2h", "-p", str(store)).exit_code == 0
    at = datetime.fromisoformat(str(stored(store)[0]["created_at"]))
    assert timedelta(0) <= datetime.now(UTC) - timedelta(hours=2) - at < timedelta(minutes=1)


def test_an_id_that_looks_like_an_option_stands_behind_two_dashes(store: Path) -> None:
    assert run("add", "-p", str(store), "--", "--all", "--json").exit_code == 0
    assert run("ls", "-p", str(store)).stdout == "--all\n"


def test_the_default_store_is_made_by_the_first_add() -> None:
    assert run("ls").stdout == ""
    assert run("add", "a", "x").exit_code == 0
    assert run("ls").stdout == "a\n"


def test_verbose_says_where(store: Path) -> None:
    result = run("add", "a", "x", "-v", "-p", str(store))
    assert result.stdout == ""
    assert str(store) in result.stderr


def test_start_up_imports_only_what_it_needs(store: Path) -> None:
    code = (
        "import sys; from synmem.cli.app import app\n"
        f"try: app(['add', 'a', 'x', '-p', {str(store)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        # pydantic and subprocess come with Typer and asyncio themselves
        "heavy = {'rich', 'tomlkit', 'tomli_w', 'httpx', 'redis', 'synmem.operations',"
        " 'synmem.cli.show'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("jobs", [[], ["--jobs", "3"]])
def test_a_number_within_its_range_needs_no_pydantic(
    store: Path, tmp_path: Path, jobs: list[str]
) -> None:
    run("add", "a", "x", "-p", str(store))
    arguments = ["migrate", str(store), str(tmp_path / "other.db"), *jobs]
    code = (
        "import sys; from synmem.cli.app import app\n"
        f"try: app({arguments})\n"
        "except SystemExit as end: assert not end.code\n"
        "print('typer._adapters' in sys.modules)"  # Typer's, with pydantic
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal")
def test_on_a_terminal_it_says_how_to_end(store: Path) -> None:
    code, text = on_terminal("add", "a", "-p", str(store), typed=b"Hello\n\x04", prompt=b"own.")
    assert code == 0
    assert "Ctrl-D" in text
    assert f"added to a in {store}" in unwrapped(text)
    assert stored(store)[0]["content"] == "Hello"


def test_an_interrupt_while_typing_is_heard_at_once(tmp_path: Path) -> None:
    file = tmp_path / "typed.db"
    code, _ = on_terminal("add", "a", "-p", str(file), prompt=b"of its own.", typed=b"half\n\x03")
    assert code == 130
    assert not file.exists()


def test_a_folder_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "chat.db").mkdir()
    for command in (["add", "a", "x"], ["show", "a"]):
        result = CliRunner().invoke(app, [*command, "-p", str(tmp_path / "chat.db")])
        assert (result.exit_code, result.stdout) == (1, "")
        assert "chat.db is a folder" in result.stderr
