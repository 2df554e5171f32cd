"""The tool from Python: the examples of its page, and what it does beside the straight way."""

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import synmem
from synmem.errors import CorruptData, ProfileNotFound, StoreError, StoreNotFound, UsageError
from synmem.messages import Message
from synmem.operations.moving.compare import State

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(awaited: Awaitable[Any]) -> Any:
    async def main() -> Any:
        return await awaited

    return asyncio.run(main())


def write(place: Any, conversation: str, *texts: str) -> None:
    async def main() -> None:
        async with synmem.open_store(place, write=True) as store:
            messages = [Message("user", text) for text in texts]
            await store.append([synmem.Part(synmem.Conversation(conversation), messages)])

    asyncio.run(main())


def test_the_examples_of_the_page_print_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 3
    for program, printed in examples:
        exec(compile(program, str(PAGE), "exec"), {})
        assert capsys.readouterr().out == printed


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(synmem, name) for name in synmem.__all__)
    assert set(synmem.__all__) <= set(dir(synmem))
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = synmem.nothing_of_that_name


def test_importing_it_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import synmem; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{'synmem'}\n"


# --- where it is ----------------------------------------------------------------------------


def test_a_place_is_a_profile_a_url_a_path_or_nothing_for_the_default(here: Path) -> None:
    config = here / "config.toml"
    config.write_text('[profiles.mine]\nbackend = "sqlite"\ndb_path = "chat.db"\n')
    write("sqlite:///chat.db", "c", "x")

    async def names(**given: Any) -> list[str]:
        async with synmem.open_store(**given) as store:
            return [info.id async for page in store.conversations() for info in page]

    for place in ("chat.db", "./chat.db", Path("chat.db"), here / "chat.db"):
        assert run(names(place=place)) == ["c"]
    assert run(names(place="mine", config=config)) == ["c"]
    with pytest.raises(ProfileNotFound, match="mine"):
        run(names(place="mine"))
    with pytest.raises(StoreNotFound):
        run(names())
    write(None, "d", "x")
    assert run(names()) == ["d"]


def test_a_path_is_one_whatever_it_is_called(here: Path) -> None:
    for name in ("default", "a?layout=x.db", "50%25 #1.db", "a\udcff%FF.db"):
        write(Path(name), "c", "x")
        assert (here / name).is_file()


# --- migrate --------------------------------------------------------------------------------


def test_migrate_goes_on_and_says_what_is_different(here: Path) -> None:
    write("a.db", "same", "x")
    write("a.db", "other", "x", "y")
    write("b.db", "other", "z")
    moved = run(synmem.migrate("a.db", Path("b.db")))
    assert (moved.ok, moved.conversations, moved.written) == (False, 2, 1)
    assert moved.problems.keys() == {"other"}
    assert moved.problems["other"].startswith("conflict: ")
    write("a.db", "same", "more")
    assert run(synmem.migrate("a.db", "b.db", match="same")).written == 1
    assert run(synmem.migrate("a.db", "b.db", on_conflict="rename")).ok
    assert run(synmem.migrate("a.db", "b.db", on_conflict="rename")).written == 0


def test_an_archive_keeps_both_where_a_conversation_is_different(here: Path) -> None:
    write("a.db", "other", "x", "y")
    write("b.db", "other", "z")
    for written in (2, 0):
        moved = run(synmem.migrate("a.db", "b.db", archive=True))
        assert (moved.ok, moved.written) == (True, written)
    with pytest.raises(UsageError, match="keeps both"):
        run(synmem.migrate("a.db", "b.db", archive=True, on_conflict="rename"))


def test_what_a_filter_by_time_leaves_out_is_told(here: Path) -> None:
    (here / "a.jsonl").write_text('{"conversation_id": "c", "role": "user", "content": "x"}\n')
    moved = run(synmem.migrate("a.jsonl", "b.db", since=datetime(2020, 1, 1, tzinfo=UTC)))
    assert (moved.conversations, moved.untimed) == (0, 1)
    assert run(synmem.migrate("a.jsonl", "b.db")).untimed == 0
    with pytest.raises(UsageError, match="zone"):
        run(synmem.migrate("a.jsonl", "b.db", until=datetime(2020, 1, 1)))


def test_a_store_that_was_closed_proves_nothing() -> None:
    write("a.db", "c", "x")

    async def main() -> None:
        async with synmem.open_store("a.db", write=True) as store:
            pass
        for asked in (
            synmem.check(store), synmem.migrate(store, "b.db"), synmem.search(store, "x"),
            store.append([synmem.Part(synmem.Conversation("c"), [Message("user", "x")])]),
        ):  # fmt: skip
            with pytest.raises(StoreError, match="was closed"):
                await asked

    asyncio.run(main())


def test_migrate_takes_stores_that_are_open_and_leaves_them_open() -> None:
    async def main() -> None:
        async with (
            synmem.open_store("memory:", write=True) as source,
            synmem.open_store("b.db", write=True) as dest,
        ):
            await source.append([synmem.Part(synmem.Conversation("c"), [Message("user", "x")])])
            assert (await synmem.migrate(source, dest)).written == 1
            assert (await synmem.check(source, dest)).ok
            assert len((await synmem.search(dest, "x")).hits) == 1
            await dest.delete("c")
            assert [d.state for d in (await synmem.check(source, dest)).differences] == [
                State.ABSENT
            ]

    asyncio.run(main())


def test_each_export_of_a_file_is_brought_by_itself(here: Path) -> None:
    write("a.db", "c", "x")
    lines = sealed()
    (here / "two.jsonl").write_bytes(lines + lines)
    moved = run(synmem.migrate("two.jsonl", "b.db"))
    assert (moved.ok, moved.written) == (True, 1)
    assert run(synmem.check("a.db", "b.db")).ok


def test_of_a_damaged_file_nothing_is_brought(here: Path) -> None:
    write("a.db", "c", "x", "y")
    (here / "cut.jsonl").write_bytes(sealed().rpartition(b'{"synmem"')[0])
    with pytest.raises(CorruptData, match="cut short"):
        run(synmem.migrate("cut.jsonl", "b.db"))
    assert not (here / "b.db").exists()
    checked = run(synmem.check("cut.jsonl"))
    assert not checked.ok
    assert [each.kind for each in checked.damage] == ["cut short"]


def test_what_belongs_to_no_conversation_is_told(here: Path) -> None:
    write("a.db", "c", "x")
    with sqlite3.connect(here / "a.db") as database:
        database.execute(
            "INSERT INTO messages (conversation_id, role, content) VALUES ('', 'user', 'y')"
        )
    database.close()
    moved = run(synmem.migrate("a.db", "b.db"))
    assert (moved.ok, moved.written, moved.problems, len(moved.strays)) == (False, 1, {}, 1)
    assert len(run(synmem.check("a.db")).damage) == 1
    assert run(synmem.migrate("a.db", "b.db", match="*")).ok
    assert run(synmem.check("a.db", "b.db", match="*")).ok
    assert not run(synmem.check("a.db", "b.db")).ok


def sealed() -> bytes:
    from typer.testing import CliRunner

    from synmem.cli.app import app

    return CliRunner().invoke(app, ["export", "--seal", "-p", "a.db"]).stdout_bytes


@pytest.mark.parametrize("way", ["replace", "nonsense"])
def test_what_would_be_lost_or_is_no_way_is_refused(way: str) -> None:
    write("a.db", "c", "x")
    with pytest.raises(UsageError, match="on_conflict"):
        run(synmem.migrate("a.db", "b.db", on_conflict=way))


# --- check and search -----------------------------------------------------------------------


def test_check_names_what_cannot_be_read(here: Path) -> None:
    write("a.db", "c", "x", "y")
    assert run(synmem.check("a.db")).ok
    with sqlite3.connect(here / "a.db") as database:
        database.execute("UPDATE messages SET metadata = 'no json' WHERE content = 'y'")
    database.close()
    [found] = run(synmem.check("a.db")).differences
    assert (found.conversation, found.state) == ("c", State.UNREADABLE)


def test_check_compares_both_ways(here: Path) -> None:
    write("a.db", "c", "x")
    write("b.db", "c", "x")
    write("b.db", "d", "x")
    [found] = run(synmem.check("a.db", "b.db")).differences
    assert (found.conversation, found.state) == ("d", State.EXTRA)
    assert run(synmem.check("a.db", "b.db", one_way=True)).ok


def test_search_finds_in_one_conversation(here: Path) -> None:
    write("a.db", "c", "red", "blue")
    write("a.db", "d", "red")
    found = run(synmem.search("a.db", "red", conversation="d"))
    assert [(hit.conversation_id, hit.position) for hit in found.hits] == [("d", 1)]
