"""`ls`, `search` and `stats` of several stores: each line says whose it is, one that cannot be read
is named and hides no other, and what is chosen or limited is so over all."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from synmem.operations.derived import meaning_file, word_file
from synmem.operations.searching import search as searching
from synmem.profiles import resolve
from tests.at_places import FIXTURES, put
from tests.cli.moved import run
from tests.cli.processes import in_pipe, on_terminal
from tests.cli.test_langchain import done


def found(*arguments: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = json.loads(done(*arguments, "--json"))
    return data


def add(store: Path, conversation: str, text: str, time: str = "2026-01-01T00:00:00Z") -> None:
    done("add", conversation, text, "-p", str(store), "--at", time)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two stores, the second of which was used last, and in between the first."""
    first, second = tmp_path / "one.db", tmp_path / "two.db"
    add(first, "b", "the webhook of stripe fails", "2026-01-01T00:00:00Z")
    add(first, "a", "good morning", "2026-01-03T00:00:00Z")
    add(second, "c", "webhook webhook", "2026-01-02T00:00:00Z")
    add(second, "c", "stripe sends a webhook", "2026-01-04T00:00:00Z")
    return first, second


@pytest.fixture
def home(own_folders: Path) -> Path:
    """A machine with two programs and a profile."""
    for fixture, target in (
        ("llm-logs-new/logs.db", "config/io.datasette.llm/logs.db"),
        ("mem0-history/history.db", ".mem0/history.db"),
    ):
        put(fixture, own_folders / target)
    done("profile", "add", "mine", str(own_folders / "mine.db"))
    done("add", "mine-1", "the weather in Zürich", "-p", "mine")
    return own_folders


# --- ls -------------------------------------------------------------------------------------


def test_ls_says_whose_each_conversation_is(two: tuple[Path, Path]) -> None:
    first, second = map(str, two)
    assert done("ls", "-p", first, "-p", second) == f"{first}\ta\n{first}\tb\n{second}\tc\n"
    assert done("ls", "-0", "-p", second, "-p", first) == f"{second}\tc\0{first}\ta\0{first}\tb\0"
    data = found("ls", "-p", first, "-p", second)
    assert [(each["store"], each["conversation_id"], each["messages"]) for each in data] == [
        (first, "a", 1), (first, "b", 1), (second, "c", 2),
    ]  # fmt: skip
    lines = done("ls", "-p", first, "-p", second, "-f", "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == data


def test_ls_sorts_and_limits_over_all(two: tuple[Path, Path]) -> None:
    first, second = map(str, two)
    data = found("ls", "-p", first, "-p", second, "--sort", "updated")
    assert [each["conversation_id"] for each in data] == ["c", "a", "b"]
    data = found("ls", "-p", first, "-p", second, "--sort", "updated", "--limit", "2")
    assert [each["conversation_id"] for each in data] == ["c", "a"]
    data = found("ls", "-p", first, "-p", second, "--sort", "messages", "--limit", "1")
    assert [each["conversation_id"] for each in data] == ["c"]
    assert found("ls", "-p", first, "-p", second, "--limit", "0") == []
    assert len(found("ls", "-p", first, "-p", second, "--match", "[ab]")) == 2


def test_ls_on_a_terminal_has_a_column_for_the_store(two: tuple[Path, Path]) -> None:
    done("profile", "add", "one", str(two[0]))
    done("profile", "add", "two", str(two[1]))
    code, shown = on_terminal("ls", "-p", "one", "-p", "two", NO_COLOR="1")
    rows = [line.split() for line in shown.splitlines()]
    assert code == 0
    assert rows[0][:3] == ["store", "conversation", "messages"]
    assert [row[:3] for row in rows[1:4]] == [["two", "c", "2"], ["one", "a", "1"], ["one", "b", "1"]]  # fmt: skip


def test_an_id_that_cannot_stand_in_a_line_is_named_and_its_neighbours_keep_their_store(
    two: tuple[Path, Path],
) -> None:
    first, second = map(str, two)
    add(two[0], "a\tx", "tab")
    result = run("ls", "-p", first, "-p", second)
    assert (result.exit_code, result.stdout) == (6, f"{first}\ta\n{first}\tb\n{second}\tc\n")
    assert done("ls", "-0", "-p", first, "-p", second).split("\0")[1] == f"{first}\ta\tx"


def test_one_store_by_two_names_is_listed_once(two: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = map(str, two)
    done("profile", "add", "one", first)
    (tmp_path / "link.db").symlink_to(two[0])
    told = done("ls", "-p", first, "-p", "one", "-p", str(tmp_path / "link.db"), "-p", second)
    assert told == done("ls", "-p", first, "-p", second)


def test_a_repeated_store_is_one_of_several(two: tuple[Path, Path]) -> None:
    first = str(two[0])
    assert done("ls", "-p", first, "-p", first) == f"{first}\ta\n{first}\tb\n"


def test_a_store_of_the_environment_is_one_whatever_is_in_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "with a space.db"
    add(store, "a", "x")
    monkeypatch.setenv("SYNMEM_PROFILE", str(store))
    assert done("ls") == "a\n"
    assert done("search", "x").startswith("a\t1\t")
    assert done("stats").startswith(f"store\t{store}\n")
    add(tmp_path / "other.db", "b", "y")
    assert done("ls", "-p", str(tmp_path / "other.db")) == "b\n"


@pytest.mark.parametrize("command", ["ls", "stats", "search"])
def test_a_store_that_cannot_be_read_is_named_and_hides_no_other(
    command: str, two: tuple[Path, Path], tmp_path: Path
) -> None:
    broken, missing = tmp_path / "broken.db", tmp_path / "missing.db"
    broken.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    words = ["webhook"] if command == "search" else []
    first, second = map(str, two)
    whole = run(command, *words, "-p", first, "-p", second)
    result = run(command, *words, "-p", first, "-p", str(broken), "-p", second, "-p", str(missing))
    assert (result.exit_code, result.stdout) == (6, whole.stdout)
    assert whole.exit_code == 0
    for path in (broken, missing):
        assert f"{path}: cannot be read: " in result.stderr


def test_a_name_that_is_none_is_an_error(two: tuple[Path, Path]) -> None:
    result = run("ls", "-p", str(two[0]), "-p", "nobody")
    assert (result.exit_code, result.stdout) == (3, "")


def test_a_secret_in_an_address_is_not_printed(two: tuple[Path, Path]) -> None:
    result = run("ls", "-p", str(two[0]), "-p", "redis://u:t0p@127.0.0.1:1/0")
    assert result.exit_code == 6
    assert "redis://u:***@127.0.0.1:1/0: cannot be read" in result.stderr
    assert "t0p" not in result.output


def test_notes_say_whose_they_are(tmp_path: Path) -> None:
    store = tmp_path / "webui.db"
    shutil.copy(FIXTURES / "open-webui/webui.db", store)
    add(tmp_path / "one.db", "a", "x")
    result = run("ls", "-p", str(store), "-p", str(tmp_path / "one.db"))
    assert result.stderr.startswith("left out: another branch")  # of all together
    done("clear", "a", "--yes", "--no-backup", "-p", str(tmp_path / "one.db"))
    idle = run("ls", "--idle", "1d", "-p", str(FIXTURES / "llm-logs-new/logs.db"), "-p", str(store))
    assert f"{FIXTURES}/llm-logs-new/logs.db: left out 1 conversation whose" in idle.stderr
    assert run("ls", "-q", "-p", str(store), "-p", str(tmp_path / "one.db")).stderr == ""


# --- search ---------------------------------------------------------------------------------


def test_search_merges_by_rank_and_counts_over_all(two: tuple[Path, Path]) -> None:
    first, second = map(str, two)
    each = [*found("search", "webhook", "-p", first), *found("search", "webhook", "-p", second)]
    hits = found("search", "webhook", "-p", first, "-p", second)
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in each), reverse=True)
    assert [(hit["store"], hit["content"]) for hit in hits] == [
        (second, "webhook webhook"), (second, "stripe sends a webhook"),
        (first, "the webhook of stripe fails"),
    ]  # fmt: skip
    assert found("search", "webhook", "-k", "2", "-p", first, "-p", second) == hits[:2]
    lines = done("search", "webhook", "-p", first, "-p", second).splitlines()
    assert lines[0] == f"{second}\tc\t1\tuser\twebhook webhook"


def test_search_finds_the_same_by_an_index(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = map(str, two)
    plain = found("search", "webhook", "-p", first, "-p", second)
    with monkeypatch.context() as patch:
        patch.setattr("synmem.cli.searching._LARGE", 1)
        indexed = run("search", "webhook", "-p", first, "-p", second, "--json")
    assert json.loads(indexed.stdout) == plain
    assert f"{first}: indexing the words of this store" in indexed.stderr
    for store in two:
        assert word_file(resolve(str(store)).identity).stat().st_mode & 0o777 == 0o600
    again = run("search", "webhook", "-p", first, "-p", second, "--json")
    assert (json.loads(again.stdout), again.stderr) == (plain, "")


def test_an_index_that_is_there_is_used_and_kept_up_to_date(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = map(str, two)
    with monkeypatch.context() as patch:
        patch.setattr("synmem.cli.searching._LARGE", 1)
        found("search", "webhook", "-p", first, "-p", second)

    def scan(*_: Any) -> Any:
        raise AssertionError("the whole store is read")

    monkeypatch.setattr(searching, "_scanned", scan)
    add(two[0], "new", "another webhook")
    assert [hit["conversation_id"] for hit in found("search", "another", "-p", first)] == ["new"]


def test_search_in_one_conversation_looks_for_it_in_each(two: tuple[Path, Path]) -> None:
    first, second = map(str, two)
    hits = found("search", "webhook", "-c", "c", "-p", first, "-p", second)
    assert {hit["store"] for hit in hits} == {second}
    result = run("search", "webhook", "-c", "none", "-p", first, "-p", second)
    assert result.exit_code == 3
    assert "no conversation 'none'" in result.stderr


def test_search_on_a_terminal_says_whose_a_hit_is(two: tuple[Path, Path]) -> None:
    done("profile", "add", "one", str(two[0]))
    done("profile", "add", "two", str(two[1]))
    code, shown = on_terminal("search", "fails", "-p", "one", "-p", "two", NO_COLOR="1")
    assert code == 0
    assert shown.startswith("one  b  #1  user  2026-01-01")


def test_a_wrong_query_opens_no_store(two: tuple[Path, Path]) -> None:
    for arguments in (("search", "..."), ("search",), ("search", "x", "-k", "0")):
        assert run(*arguments, "-p", str(two[0]), "-p", "redis://127.0.0.1:1").exit_code == 2


# --- stats ----------------------------------------------------------------------------------


def test_stats_of_several_are_a_block_each(two: tuple[Path, Path]) -> None:
    first, second = map(str, two)
    data = found("stats", "-p", first, "-p", second)
    assert [(each["store"], each["conversations"], each["messages"]) for each in data] == [
        (first, 2, 2), (second, 1, 2),
    ]  # fmt: skip
    lines = [line.split("\t") for line in done("stats", "-p", first, "-p", second).splitlines()]
    assert [first, "messages", "2"] in lines
    assert [second, "messages user", "2"] in lines
    assert {line[0] for line in lines} == {first, second}


def test_stats_on_a_terminal_have_a_row_each_and_one_for_all(two: tuple[Path, Path]) -> None:
    done("profile", "add", "one", str(two[0]))
    done("profile", "add", "two", str(two[1]))
    code, shown = on_terminal("stats", "-p", "one", "-p", "two", NO_COLOR="1")
    rows = [line.split() for line in shown.splitlines()]
    assert code == 0
    assert [row[:3] for row in rows[1:4]] == [["one", "2", "2"], ["two", "1", "2"], ["all", "3", "4"]]  # fmt: skip
    assert rows[3][-2:] == ["2026-01-01", "2026-01-04"]


def test_stats_name_the_indexes_and_search_forgets_them(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = map(str, two)
    monkeypatch.setattr("synmem.cli.searching._LARGE", 1)
    found("search", "webhook", "-p", first, "-p", second)
    [index] = json.loads(done("stats", "-p", first, "--json"))["indexes"]
    assert index["kind"] == "words"
    assert index["bytes"] == Path(index["path"]).stat().st_size
    assert f"index of words\t{index['bytes']}" in done("stats", "-p", first).splitlines()
    assert "  words  " in on_terminal("stats", "-p", first)[1]
    gone = run("search", "--forget", "-p", first, "-p", second)
    assert (gone.exit_code, gone.stdout) == (0, "")
    assert index["path"] in gone.stderr
    assert not Path(index["path"]).exists()
    assert json.loads(done("stats", "-p", second, "--json"))["indexes"] == []
    assert "there was no index" in run("search", "--forget", "-p", first).stderr
    assert run("search", "x", "--forget", "-p", first).exit_code == 2


def test_what_is_remembered_of_files_is_an_index_too(tmp_path: Path, own_folders: Path) -> None:
    sessions = tmp_path / "projects"
    for number in range(40):  # as many as are worth it
        shutil.copytree(FIXTURES / "claude-code/projects", sessions / str(number))
    [index] = json.loads(done("stats", "-q", "-p", str(sessions), "--json"))["indexes"]
    file = Path(index["path"])
    assert (index["kind"], index["bytes"]) == ("files", file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.is_relative_to(own_folders / "state")
    assert str(file) in run("search", "--forget", "-p", str(sessions)).stderr
    assert not file.exists()


# --- everywhere -----------------------------------------------------------------------------


def test_everywhere_is_the_profiles_of_files_and_the_places_of_programs(home: Path) -> None:
    stores = {each["store"] for each in found("ls", "--everywhere")}
    assert stores == {"mine", "llm", "mem0"}
    hits = found("search", "weather", "--everywhere")
    assert {hit["store"] for hit in hits} >= {"mine", "llm"}
    assert {each["store"] for each in found("stats", "--everywhere")} == stores
    piped = in_pipe("ls", "--everywhere")
    assert piped.stdout.decode() == done("ls", "--everywhere")


def test_what_a_profile_leaves_out_is_left_out_also_as_a_place(home: Path) -> None:
    config = home / "config/synmem/config.toml"
    done("profile", "add", "talks", str(home / ".mem0/history.db"))
    assert "talks" in {each["store"] for each in found("ls", "--everywhere")}
    config.write_text(config.read_text() + "everywhere = false\n")
    assert {each["store"] for each in found("ls", "--everywhere")} == {"mine", "llm"}
    assert len(found("ls", "-p", "talks", "-p", "mine")) == 8  # it is left out only there
    assert "everywhere" in done("profile", "show", "talks")
    assert "everywhere" not in done("profile", "show", "mine")


def test_a_profile_that_nothing_was_added_to_is_no_fault(home: Path) -> None:
    done("profile", "add", "fresh", str(home / "fresh.db"))
    done("ls", "--everywhere")
    done("profile", "add", "away", "/nowhere/at/all/chat.db")
    result = run("ls", "--everywhere")
    assert result.exit_code == 6
    assert "away: cannot be read: " in result.stderr


def test_servers_are_asked_only_where_that_is_wanted(home: Path) -> None:
    done("profile", "add", "cache", "redis://127.0.0.1:1/0")
    done("search", "weather", "--everywhere")
    result = run("search", "weather", "--everywhere", "--servers")
    assert result.exit_code == 6
    assert "cache: cannot be read: " in result.stderr
    assert result.stdout == done("search", "weather", "--everywhere")


def test_a_broken_profile_is_named(home: Path) -> None:
    config = home / "config/synmem/config.toml"
    config.write_text(config.read_text() + '\n[profiles.odd]\nbackend = "none"\n')
    result = run("ls", "--everywhere")
    assert result.exit_code == 6
    assert "left out: profile 'odd'" in result.stderr
    assert len(result.stdout.splitlines()) == len(done("ls", "-p", "mine", "-p", "llm", "-p", "mem0").splitlines())  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls", "--everywhere", "-p", "mine"), ("ls", "mine", "--everywhere"), ("ls", "--servers"),
        ("search", "x", "--everywhere", "--layout", "llm"), ("stats", "mine", "-p", "llm"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_options_that_exclude_each_other_are_refused(
    home: Path, arguments: tuple[str, ...]
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_meanings_are_sought_offline_everywhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNMEM_EMBEDDING_PROVIDER", "openai")
    monkeypatch.setenv("SYNMEM_EMBEDDING_MODEL", "none")
    monkeypatch.setenv("SYNMEM_EMBEDDING_BASE_URL", "http://127.0.0.1:1")
    result = run("search", "--semantic", "is it raining?", "--everywhere", "--json")
    assert result.exit_code == 0, result.stderr
    assert "offline" in result.stderr
    assert len(json.loads(result.stdout)) == 5
    identity = resolve("mine").identity
    assert meaning_file(identity, offline=True).exists()
    assert not meaning_file(identity).exists()
    [index] = json.loads(done("stats", "-p", "mine", "--json"))["indexes"]
    assert index["path"] == str(meaning_file(identity, offline=True))
    done("search", "--forget", "--everywhere")
    assert not meaning_file(identity, offline=True).exists()


def test_where_nothing_is_everywhere_finds_nothing() -> None:
    assert done("ls", "--everywhere") == ""
    assert found("search", "x", "--everywhere") == []
    assert found("stats", "--everywhere") == []


def test_what_was_changed_inside_of_another_programs_conversation_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.cli.searching._LARGE", 1)
    store = home / "config/io.datasette.llm/logs.db"
    shutil.copy(FIXTURES / "llm-logs-legacy/logs.db", store)
    assert found("search", "paris", "--everywhere")
    with sqlite3.connect(store) as db:
        db.execute("UPDATE responses SET response = 'a walrus' WHERE id = (SELECT min(id) "
                   "FROM responses WHERE conversation_id = 'plain')")  # fmt: skip
    db.close()
    result = run("search", "walrus", "--everywhere", "--json")
    assert [hit["store"] for hit in json.loads(result.stdout)] == ["llm"]
    assert "--rebuild" not in result.stderr
    assert found("search", "paris", "-p", "llm") == []
