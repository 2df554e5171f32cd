"""Search after a message was changed in the middle of its conversation, by its own program."""

from pathlib import Path

import pytest

from synmem import folders
from tests.cli.editing import edit
from tests.cli.moved import lines, run
from tests.cli.places import BACKENDS, Places

OLD, NEW = "the penguin sleeps", "a walrus wakes up"
SAID = {
    "zoo": ["first of all", OLD, "and so on", "last of all"],
    "bar": ["nothing of that kind", "nor here"],
}
TELLS = ("sqlite", "postgres", "file")
"""Those that tell what was changed; of the others it is said that they do not."""


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every store is large enough for an index of its words."""
    large(monkeypatch, 0)


def large(monkeypatch: pytest.MonkeyPatch, messages: int) -> None:
    """A store of so many messages gets an index."""
    for name in ("LARGE", "WHOLE_LARGE"):
        monkeypatch.setattr(f"synmem.operations.searching.search.{name}", messages)


def place_of(places: Places, backend: str, folder: Path) -> str:
    if backend == "file":
        (folder / "chat.jsonl").write_bytes(lines(SAID))
        return str(folder / "chat.jsonl")
    place = places.new(backend)
    assert run("import", "-p", place, stdin=lines(SAID)).exit_code == 0
    return place


def hits(place: str, *query: str) -> tuple[list[str], str]:
    result = run("search", *query, "-p", place)
    assert result.exit_code == 0, result.stderr
    return [line.split("\t")[3] for line in result.stdout.splitlines()], result.stderr


@pytest.mark.parametrize("backend", (*BACKENDS, "file"))
def test_words_that_came_into_the_middle_are_found(
    places: Places, backend: str, tmp_path: Path
) -> None:
    place = place_of(places, backend, tmp_path)
    assert hits(place, "penguin")[0] == [OLD]
    edit(place, backend, OLD, NEW)
    found, said = hits(place, "walrus")
    if backend in TELLS:
        assert (found, said) == ([NEW], "")
    else:
        assert "--rebuild" in said
    assert hits(place, "walrus", "--rebuild")[0] == [NEW]
    assert hits(place, "penguin")[0] == []


@pytest.mark.parametrize("backend", (*BACKENDS, "file"))
def test_a_meaning_that_came_into_the_middle_is_found(
    places: Places, backend: str, tmp_path: Path
) -> None:
    place = place_of(places, backend, tmp_path)
    assert hits(place, "--semantic", OLD, "-k", "1")[0] == [OLD]
    edit(place, backend, OLD, NEW)
    found, said = hits(place, "--semantic", NEW, "-k", "1")
    if backend in TELLS:
        assert found == [NEW]
        assert "--rebuild" not in said
    else:
        assert "--rebuild" in said
    assert hits(place, "--semantic", NEW, "-k", "1", "--rebuild")[0] == [NEW]


@pytest.mark.parametrize("backend", TELLS)
def test_appended_and_changed_at_once(places: Places, backend: str, tmp_path: Path) -> None:
    place = place_of(places, backend, tmp_path)
    assert hits(place, "penguin")[0] == [OLD]
    edit(place, backend, OLD, NEW)
    if backend == "file":
        with Path(place).open("ab") as file:
            file.write(lines({"zoo": ["a second walrus"]}))
    else:
        assert run("add", "-p", place, "zoo", "a second walrus").exit_code == 0
    assert sorted(hits(place, "walrus")[0]) == ["a second walrus", NEW]
    assert hits(place, "penguin")[0] == []


def test_what_is_removed_from_the_middle_while_more_is_appended_moves_the_others(
    tmp_path: Path,
) -> None:
    import sqlite3

    place = str(tmp_path / "chat.db")
    said = {"zoo": [f"word{i}" for i in range(30)]}
    assert run("import", "-p", place, stdin=lines(said)).exit_code == 0
    assert hits(place, "word29")[0] == ["word29"]
    with sqlite3.connect(place) as db:
        db.execute("DELETE FROM messages WHERE content = 'word3'")
    db.close()
    run("add", "-p", place, "zoo", "more")
    run("add", "-p", place, "zoo", "more")
    assert run("search", "word29", "-p", place).stdout.split("\t")[:2] == ["zoo", "29"]


def test_a_small_store_needs_no_rebuild_and_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(monkeypatch, 10)
    place = str(tmp_path / "chat.db")
    run("import", "-p", place, stdin=lines(SAID))
    assert hits(place, "penguin", "--rebuild")[0] == [OLD]


@pytest.mark.parametrize("backend", ("mongo", "dynamodb"))
def test_what_has_the_same_score_with_other_words_is_not_taken_for_it(
    places: Places, backend: str, tmp_path: Path
) -> None:
    """Also where the store tells nothing: what was proposed is read again."""
    place = place_of(places, backend, tmp_path)
    assert hits(place, "penguin")[0] == [OLD]
    edit(place, backend, OLD, "the penguin awakes")
    assert hits(place, "penguin")[0] == ["the penguin awakes"]
    assert hits(place, "awakes")[0] == ["the penguin awakes"]


def test_nothing_of_an_old_text_stays_in_the_index(tmp_path: Path) -> None:
    place = str(tmp_path / "chat.db")
    said = {f"c{i}": ["a penguin sleeps", f"word{i}", "x" * 500] for i in range(50)}
    said |= {"zoo": ["before", "the chrysanthemum wilts", "behind"], "gone": ["xylophone", "y"]}
    assert run("import", "-p", place, stdin=lines(said)).exit_code == 0
    assert hits(place, "chrysanthemum")[0] == ["the chrysanthemum wilts"]
    [index] = Path(folders.state_path("search")).glob("*.db")
    assert b"chrysanthemum" in index.read_bytes()
    assert b"xylophone" in index.read_bytes()
    edit(place, "sqlite", "the chrysanthemum wilts", NEW)
    assert run("clear", "gone", "-p", place, "--yes").exit_code == 0
    assert hits(place, "walrus")[0] == [NEW]
    for word in (b"chrysanthemum", b"wilts", b"xylophone"):
        assert word not in index.read_bytes()
