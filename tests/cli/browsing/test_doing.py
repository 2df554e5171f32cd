"""What the keys do, on real files: the same as the commands, with the same questions."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Conversation, Message
from synmem.profiles import resolve
from synmem.store import Part
from synmem.tool import open_store
from tests.cli.browsing.screens import (
    BEGAN,
    PATIENCE_S,
    at,
    browsing,
    fill,
    filled,
    held,
    in_loop,
    screen,
    shows,
    until,
)


async def written(path: Path, **conversations: list[str]) -> str:
    """An SQLite file with these conversations, one message a user's."""
    async with open_store(path, write=True) as store:
        for number, (name, said) in enumerate(conversations.items()):
            at = BEGAN.replace(day=1 + number)
            messages = [Message("user", each, created_at=at) for each in said]
            await store.append([Part(Conversation(name), messages)])
    return str(path)


async def ids(path: str) -> list[str]:
    async with open_store(path) as store:
        return sorted([info.id async for page in store.conversations() for info in page])


# --- delete and undo ------------------------------------------------------------------------


@in_loop
async def test_a_conversation_is_deleted_after_a_question_and_brought_back(tmp_path: Path) -> None:
    path = await written(tmp_path / "chat.db", a=["one", "two"], b=["three"])
    async with browsing(at(resolve(path))) as (app, pilot):
        await pilot.press("down", "d")
        text = await shows(pilot, "Remove 1 conversation (a): 2 messages, 2025-03-01, in chat.db")
        assert "y yes" in text
        await pilot.press("n")
        await shows(pilot, "not confirmed: nothing was done")
        assert await ids(path) == ["a", "b"]
        await pilot.press("d")
        await shows(pilot, "y yes")
        await pilot.press("y")
        await shows(pilot, "removed 2 messages of 1 conversation; u brings it back")
        assert await ids(path) == ["b"]
        assert [row.info.id for row in app.rows.shown] == ["b"]
        await pilot.press("u")
        await shows(pilot, "brought back 1 conversation, 2 messages")
        assert await ids(path) == ["a", "b"]
        assert [row.info.id for row in app.rows.shown] == ["b", "a"]


@in_loop
async def test_what_was_deleted_before_comes_back_after_a_question(tmp_path: Path) -> None:
    path = await written(tmp_path / "chat.db", a=["one"], b=["two"])
    async with browsing(at(resolve(path))) as (_, pilot):
        await pilot.press("d")
        await shows(pilot, "y yes")
        await pilot.press("y")
        await shows(pilot, "u brings it back")
    async with browsing(at(resolve(path))) as (_, pilot):
        await pilot.press("u")
        await shows(pilot, "Bring back 1 conversation, 1 message", "(clear)?")
        await pilot.press("n")
        await shows(pilot, "nothing was done")
        assert await ids(path) == ["a"]
        await pilot.press("u")
        await shows(pilot, "y yes")
        await pilot.press("y")
        await shows(pilot, "brought back")
        assert await ids(path) == ["a", "b"]
        await pilot.press("u")
        await shows(pilot, "there is nothing to undo")


@in_loop
async def test_a_protected_profile_wants_its_name_typed(tmp_path: Path) -> None:
    path = await written(tmp_path / "chat.db", a=["one"])
    config = tmp_path / "config.toml"
    config.write_text(
        f'[profiles.prod]\nbackend = "sqlite"\ndb_path = {json.dumps(path)}\nprotected = true\n'
    )
    async with browsing(at(resolve("prod", config))) as (_, pilot):
        await pilot.press("d")
        await shows(pilot, "Type the profile's name, prod, to go on")
        await pilot.press(*"pro", "enter")
        await shows(pilot, "not confirmed: nothing was done")
        await pilot.press("d")
        await shows(pilot, "Type the profile's name")
        await pilot.press("y", "backspace", *"prod", "enter")
        await shows(pilot, "removed 1 message of 1 conversation")
        assert await ids(path) == []


@in_loop
async def test_a_store_that_is_only_read_says_so_by_name(tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    file.write_text('{"conversation_id":"a","role":"user","content":"one"}\n')
    async with browsing(at(resolve(str(file)))) as (app, pilot):
        await pilot.press("d")
        await shows(pilot, "Remove 1 conversation (a)")
        await pilot.press("y")
        await until(pilot, lambda: app.query_one("#note").has_class("-error"))
        await shows(pilot, "export.jsonl")
        assert len(file.read_text().splitlines()) == 1


class SlowToDelete(InMemoryStore):
    """A store of which a deletion waits."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.gate = threading.Event(), threading.Event()

    async def delete(self, conversation: str, **how: Any) -> bool:
        self.asked.set()
        self.gate.wait(PATIENCE_S)
        return await super().delete(conversation, **how)


@in_loop
async def test_no_other_key_ends_a_deletion_that_is_under_way() -> None:
    store = filled(SlowToDelete(), a=["one"], b=["two"])
    async with browsing(held(store)) as (app, pilot):
        await pilot.press("d")
        await shows(pilot, "y yes")
        await pilot.press("y")
        await until(pilot, store.asked.is_set)
        await pilot.press("d", "u", "e", "r", "slash", "down", "up")
        assert len(app.screen_stack) == 1
        store.gate.set()
        await shows(pilot, "removed 1 message of 1 conversation")
        assert [row.info.id for row in app.rows.shown] == ["a"]


@in_loop
async def test_behind_a_dialog_the_keys_are_those_of_what_has_the_focus(tmp_path: Path) -> None:
    path = await written(tmp_path / "chat.db", a=["one"])
    async with browsing(at(resolve(path))) as (app, pilot):
        for key, asked in (("e", "Export to which file?"), ("slash", "search, then read")):
            await shows(pilot, "f filter")
            await pilot.press(key)
            await shows(pilot, asked)
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)
            assert "f filter" in screen(app) and "no filter" not in screen(app)


# --- export and copy ------------------------------------------------------------------------


@in_loop
async def test_a_conversation_is_exported_and_nothing_is_written_over_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await written(tmp_path / "chat.db", a=["one", "two"])
    monkeypatch.chdir(tmp_path)
    async with browsing(at(resolve(path))) as (_, pilot):
        await pilot.press("e")
        await shows(pilot, "Export to which file?", "a.jsonl")
        await pilot.press("enter")
        await shows(pilot, "1 conversation, 2 messages written to a.jsonl")
        lines = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
        assert [line["content"] for line in lines] == ["one", "two"]
        Path("a.jsonl").write_text("mine")
        await pilot.press("e")
        await shows(pilot, "Export to which file?")
        await pilot.press("enter")
        await shows(pilot, "a.jsonl is there already. Write over it?")
        await pilot.press("n")
        await shows(pilot, "nothing was written")
        assert Path("a.jsonl").read_text() == "mine"
        await pilot.press("e")
        await shows(pilot, "Export to which file?")
        await pilot.press(*["backspace"] * 7, *"/no/x.db", "enter")
        await shows(pilot, ".db files are not written")
        await pilot.press("e", "escape")


@in_loop
async def test_a_file_that_cannot_be_written_is_said_in_the_screen(tmp_path: Path) -> None:
    path = await written(tmp_path / "chat.db", a=["one"])
    (tmp_path / "file").write_text("")
    async with browsing(at(resolve(path))) as (app, pilot):
        await pilot.press("e")
        await shows(pilot, "Export to which file?")
        await pilot.press(*["backspace"] * 7, *str(tmp_path / "file" / "x.jsonl"), "enter")
        await until(pilot, lambda: app.query_one("#note").has_class("-error"))
        assert app.is_running


@in_loop
async def test_a_file_may_be_named_from_the_home_folder_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await written(tmp_path / "chat.db", a=["one"])
    monkeypatch.setenv("HOME", str(tmp_path))
    async with browsing(at(resolve(path))) as (_, pilot):
        await pilot.press("e")
        await shows(pilot, "Export to which file?")
        await pilot.press(*["backspace"] * 7, *"~/x.jsonl", "enter")
        await shows(pilot, "1 conversation, 1 message written to")
    assert (tmp_path / "x.jsonl").exists()


@in_loop
async def test_a_message_or_a_conversation_is_copied_through_the_gate() -> None:
    store = InMemoryStore()
    fill(store, "a", ["What?\x1b[2J", "This."])
    async with browsing(held(store)) as (app, pilot):
        await pilot.press("c")
        await shows(pilot, "copied the conversation: 2 messages")
        assert app.clipboard == "User: What?^[[2J\n\nAssistant: This.\n"
        await pilot.press("enter", "up", "c")
        await shows(pilot, "copied the message: 10 characters")
        assert app.clipboard == "What?^[[2J"


# --- search ---------------------------------------------------------------------------------


@in_loop
async def test_words_are_searched_in_all_of_it_and_enter_goes_to_the_message() -> None:
    long = [f"message {i}" for i in range(400)]
    long[100] = "here is the [needle]"
    store = filled(InMemoryStore(), long=long, other=["nothing", "at all"])
    async with browsing(held(store)) as (app, pilot):
        await pilot.press("slash")
        await shows(pilot, "other words")
        await pilot.press(*"NEEDLE", "enter")
        await shows(pilot, "1 hit", "here is the [needle]", "#101")
        await pilot.press("enter")
        await until(pilot, lambda: app.messages.has_focus and app.messages.current is not None)
        assert app.messages.current and app.messages.current.number == 101
        assert app.list.current and app.list.current.info.id == "long"
        await shows(pilot, "here is the [needle]", "#101", "#102")


@in_loop
async def test_a_search_finds_what_the_filter_hides_and_says_where_there_is_nothing() -> None:
    store = filled(InMemoryStore(), one=["find me"], two=["not me"])
    async with browsing(held(store)) as (app, pilot):
        await pilot.press("f", *"two", "enter")
        await until(pilot, lambda: len(app.rows.shown) == 1)
        await pilot.press("slash", *"nowhere", "enter")
        await shows(pilot, "nothing found")
        await pilot.press(*["backspace"] * 7, *"find", "enter")
        await shows(pilot, "find me")
        await pilot.press("enter")
        await until(pilot, lambda: len(app.rows.shown) == 2 and app.messages.has_focus)
        assert app.list.current and app.list.current.info.id == "one"
        await pilot.press("slash")
        assert "find" in await shows(pilot, "other words")
        await pilot.press("escape")


@in_loop
async def test_of_several_stores_near_words_are_told_only_where_none_has_anything() -> None:
    one = held(filled(InMemoryStore(), a=["a needle"]), "one")
    two = held(filled(InMemoryStore(), b=["a needless thing"]), "two")
    async with browsing(one, two) as (_, pilot):
        await pilot.press("slash", *"needle", "enter")
        assert "near" not in await shows(pilot, "1 hit")
        await pilot.press("slash", *["backspace"] * 6, *"needel", "enter")
        await shows(pilot, "nothing found; near: needle")


@in_loop
async def test_a_title_has_room_beside_a_role_of_many_characters() -> None:
    store = filled(InMemoryStore(), odd=[Message("x" * 300, "a needle", created_at=BEGAN)])
    async with browsing(held(store), size=(60, 20)) as (_, pilot):
        await pilot.press("slash", *"needle", "enter")
        text = await shows(pilot, "1 hit")
        assert "odd " in text
        assert "#1" in text


# --- other stores ---------------------------------------------------------------------------


def profiles(tmp_path: Path, **paths: str) -> None:
    config = Path(tmp_path / "home" / "config" / "synmem")
    config.mkdir(parents=True)
    text = "".join(
        f'[profiles.{name}]\nbackend = "sqlite"\ndb_path = {json.dumps(path)}\n'
        for name, path in paths.items()
    )
    (config / "config.toml").write_text(text)
    (config / "config.toml").chmod(0o600)


@in_loop
async def test_the_store_is_switched_from_inside(tmp_path: Path) -> None:
    first = await written(tmp_path / "first.db", a=["in the first"])
    second = await written(tmp_path / "second.db", b=["in the second"])
    profiles(tmp_path, work=first, home=second)
    async with browsing(at(resolve("work"))) as (app, pilot):
        await shows(pilot, "in the first")
        await pilot.press("s")
        await shows(pilot, "everywhere", "work", "home", "second.db")
        await pilot.press("end", "enter")
        await shows(pilot, "in the second")
        assert "in the first" not in screen(app)
        await pilot.press("s")
        await shows(pilot, "everywhere")
        await pilot.press("escape")


@in_loop
async def test_everywhere_is_all_stores_in_one_list_each_with_its_name(tmp_path: Path) -> None:
    first = await written(tmp_path / "first.db", a=["in the first"])
    second = await written(tmp_path / "second.db", b=["in the second"])
    profiles(tmp_path, work=first, home=second, gone=str(tmp_path / "none" / "x.db"))
    async with browsing(at(resolve("work"))) as (app, pilot):
        await pilot.press("s")
        await shows(pilot, "everywhere")
        await pilot.press("enter")
        await shows(pilot, "3 stores", "2 conversations", "work in the first", "home in the sec")
        await until(pilot, lambda: not app.listing)
        await shows(pilot, "gone: ")
        await pilot.press("slash", *"first", "enter")
        await shows(pilot, "1 hit")
        await pilot.press("enter")
        await shows(pilot, "in the first", "#1")


@in_loop
async def test_everywhere_may_be_nothing_at_all(tmp_path: Path) -> None:
    path = await written(tmp_path / "chat.db", a=["one"])
    async with browsing(at(resolve(path))) as (app, pilot):
        await pilot.press("s")
        await shows(pilot, "everywhere")
        await pilot.press("enter")
        await shows(pilot, "0 stores", "0 conversations", "nothing here")
        await pilot.press("u", "d", "e", "c", "r")
        await shows(pilot, "0 stores", "nothing here")
        await pilot.press("slash", *"one", "enter")
        await shows(pilot, "enter search")
        assert app.is_running


@in_loop
async def test_a_store_that_cannot_be_opened_is_said_in_the_screen(tmp_path: Path) -> None:
    first = await written(tmp_path / "first.db", a=["in the first"])
    (tmp_path / "bad.db").write_text("no database at all, but some text that is long enough")
    profiles(tmp_path, bad=str(tmp_path / "bad.db"), work=first)
    async with browsing(at(resolve("work"))) as (app, pilot):
        await pilot.press("s")
        await shows(pilot, "everywhere", "bad")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.query_one("#note").has_class("-error"))
        await shows(pilot, "bad.db")
        await pilot.press("s")
        await shows(pilot, "everywhere")
        await pilot.press("down", "down", "enter")
        await shows(pilot, "in the first")


@in_loop
async def test_every_key_has_a_sentence_in_the_help() -> None:
    async with browsing(held(filled(InMemoryStore(), a=["x"])), size=(50, 20)) as (app, pilot):
        await pilot.press("question_mark")
        await shows(pilot, "unfold all messages", "undo what was deleted last", "esc back")
        await pilot.press("escape")
        await until(pilot, lambda: "unfold all" not in screen(app))
