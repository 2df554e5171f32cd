"""The messages beside the list: read from their end, folded, and never taken for more than text."""

import asyncio
import threading
from typing import Any
from unittest.mock import patch

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.cli.browsing.drawing import drawn
from synmem.cli.browsing.lines import Line
from synmem.cli.browsing.window import MOST, STEP
from synmem.messages import Message, Unreadable
from tests.cli.browsing.screens import (
    BEGAN,
    PATIENCE_S,
    Gated,
    browsing,
    fill,
    filled,
    held,
    in_loop,
    screen,
    shows,
    until,
)

CALL = {"id": "c1", "name": "get_weather", "arguments": '{"city":"Zürich"}'}


def tools() -> InMemoryStore:
    store = InMemoryStore()
    fill(
        store,
        "tools",
        [
            "What is the weather?",
            Message("assistant", "I shall look.", tool_calls=[CALL], created_at=BEGAN),
            Message("tool", "sunny\n23 degrees\n" * 20, tool_call_id="c1", created_at=BEGAN),
            Message("assistant", "It is sunny.", created_at=BEGAN),
        ],
    )
    return store


@in_loop
async def test_the_newest_message_is_at_the_bottom_and_older_ones_come_as_one_scrolls_up() -> None:
    store = filled(InMemoryStore(), long=[f"message number {i}" for i in range(1, 1001)])
    async with browsing(held(store)) as (app, pilot):
        text = await shows(pilot, "message number 1000", "#1000")
        assert "message number 900" not in text
        await pilot.press("enter")
        for _ in range(200):
            await pilot.press("pageup")
            assert len(app.messages._placed) <= MOST
            assert len(app.messages._made) <= MOST + STEP
            if "message number 500\n" in screen(app).replace(" │", ""):
                break
        await shows(pilot, "message number 500")
        await pilot.press("g")
        await shows(pilot, "#1  ")
        assert len(app.messages._placed) <= MOST
        for _ in range(30):
            await pilot.press("pagedown")
        assert app.messages._placed[-1].number > 2 * STEP
        await pilot.press("G")
        await shows(pilot, "message number 1000")


@in_loop
async def test_what_is_read_while_one_scrolls_does_not_move_what_one_sees() -> None:
    store = filled(Gated(), long=[f"message number {i}" for i in range(1, 301)])
    async with browsing(held(store)) as (app, pilot):
        await shows(pilot, "message number 300")
        await pilot.press("enter")
        store.reading.clear()
        store.asked.clear()
        while not store.asked.is_set():
            await pilot.press("pageup")
        before = screen(app)
        have = len(app.messages._placed)
        store.reading.set()
        await until(pilot, lambda: len(app.messages._placed) > have)
        assert _without_bar(screen(app)) == _without_bar(before)


@in_loop
async def test_who_went_to_the_first_message_gets_there_whatever_key_follows() -> None:
    store = filled(InMemoryStore(), long=[f"message number {i}" for i in range(1, 301)])
    wrapping, gate = threading.Event(), threading.Event()

    def slow(*arguments: Any, **how: Any) -> list[Line]:
        wrapping.set()
        gate.wait(PATIENCE_S)
        return drawn(*arguments, **how)

    async with browsing(held(store)) as (app, pilot):
        await shows(pilot, "message number 300")
        await pilot.press("enter")
        with patch("synmem.cli.browsing.messages.drawn", slow):
            await pilot.press("g")
            await until(pilot, wrapping.is_set)
            await pilot.press(*["pageup"] * 12)
            gate.set()
            await until(pilot, lambda: not app.messages._reading)
        await shows(pilot, "message number 1\n")


def _without_bar(text: str) -> list[str]:
    return [line[:108].rstrip() for line in text.splitlines()]


@in_loop
async def test_where_a_narrow_screen_becomes_wide_the_messages_are_those_of_the_current_row() -> (
    None
):
    store = filled(InMemoryStore(), one=["this is one"], two=["this is two"])
    async with browsing(held(store), size=(50, 24)) as (app, pilot):
        await pilot.press("enter")
        await shows(pilot, "#1", "this is two")
        await pilot.press("escape", "down")
        await pilot.resize_terminal(110, 30)
        await until(pilot, lambda: app.messages.row is app.list.current)
        text = await shows(pilot, "#1", "    this is one")
        assert text.splitlines()[0].endswith("one  1 message")
        assert len(text.splitlines()[0]) > 100


@pytest.mark.parametrize("size", [(50, 24), (80, 24), (110, 30)])
@in_loop
async def test_no_character_lies_under_the_bar(size: tuple[int, int]) -> None:
    code = "".join(f"{i:03}-" for i in range(60))
    store = filled(InMemoryStore(), long=[f"```\n{code}\n```"] * 12)
    async with browsing(held(store), size=size) as (app, pilot):
        await pilot.press("enter")
        text = await shows(pilot, "#12")
        assert app.messages.show_vertical_scrollbar
        lines = [line.rpartition("│")[2].strip(" ▌▁▂▃▄▅▆▇█") for line in text.splitlines()]
        assert code in "".join(lines)


@in_loop
async def test_a_tool_call_is_one_line_and_its_result_is_folded_until_it_is_asked_for() -> None:
    async with browsing(held(tools())) as (_, pilot):
        text = await shows(pilot, "It is sunny.", "get_weather", "← get_weather")
        assert text.count("degrees") < 5
        await pilot.press("enter", "up", "space")
        assert (await shows(pilot, "23 degrees")).count("degrees") > 5
        await pilot.press("space", "up", "enter")
        await shows(pilot, "get_weather", "Zürich")
        await pilot.press("enter", "a")
        assert (await shows(pilot, "degrees")).count("degrees") > 5


@in_loop
async def test_a_long_message_is_folded_and_unfolds_to_its_last_word() -> None:
    store = filled(InMemoryStore(), long=["word " * 2_000 + "end of it"])
    async with browsing(held(store)) as (_, pilot):
        await shows(pilot, "more characters")
        await pilot.press("enter", "enter", "G")
        await shows(pilot, "end of it")


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("[/INST] [bold]not[/bold] :smile: [link=x]", "[/INST] [bold]not[/bold] :smile: [link=x]"),
        ("$accent [@click=quit]x[/]", "$accent [@click=quit]x[/]"),
        ("a\x1b]0;title\x07b\x1b[2J", "a^[]0;title^Gb^[[2J"),
        ("x\u202ey", "x<U+202E>y"),
        ("家族 — e\u0301", "家族 — e\u0301"),
        ("\ud800", "<U+D800>"),
    ],
)
@in_loop
async def test_what_is_stored_is_shown_as_it_is_and_read_as_nothing_else(
    said: str, seen: str
) -> None:
    store = InMemoryStore()
    fill(store, "talk", [said])
    fill(store, "titled", [Message(said if said.isascii() else "user", said)], title=said)
    async with browsing(held(store), size=(200, 20)) as (app, pilot):
        await until(pilot, lambda: screen(app).count(seen) >= 3)
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen(app).count(seen) >= 3)


@in_loop
async def test_an_id_is_shown_through_the_gate() -> None:
    store = InMemoryStore()
    fill(store, "[bold]\x1b[31m\u202e\n id", [Message("assistant", "")])
    async with browsing(held(store)) as (_, pilot):
        await shows(pilot, "[bold]^[[31m<U+202E>^J id")


@in_loop
async def test_a_record_that_cannot_be_read_stands_in_its_place() -> None:
    store = filled(InMemoryStore(), talk=["before", "broken", "behind"])
    store._held["talk"].messages[1] = Unreadable("row 2", "no \x1bJSON")
    async with browsing(held(store)) as (_, pilot):
        text = await shows(pilot, "before", "record row 2 cannot be read: no ^[JSON", "behind")
        assert "#3" in text


@in_loop
async def test_a_key_is_answered_while_a_page_waits() -> None:
    store = filled(Gated(), a=["one"], b=["two"], c=["three"])
    async with browsing(held(store)) as (app, pilot):
        await shows(pilot, "three")
        store.reading.clear()
        store.asked.clear()
        await pilot.press("down")
        await until(pilot, store.asked.is_set)  # its thread is blocked now, as in a long query
        await pilot.press("down")
        assert app.list.current and app.list.current.info.id == "a"
        await pilot.press("f", "b")
        await until(pilot, lambda: len(app.rows.shown) == 1)
        store.reading.set()
        await shows(pilot, "two")


@in_loop
async def test_one_leaves_while_a_page_waits() -> None:
    store = filled(Gated(), a=["one"])
    async with browsing(held(store)) as (app, pilot):
        await shows(pilot, "one")
        store.reading.clear()
        store.asked.clear()
        await pilot.press("r")
        await until(pilot, store.asked.is_set)
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
        store.reading.set()


@in_loop
async def test_what_is_asked_of_a_store_that_is_closed_is_cancelled() -> None:
    store = held(filled(InMemoryStore(), a=["one"]))
    assert store.close(PATIENCE_S)
    with pytest.raises(asyncio.CancelledError):
        await store.ask(lambda _: asyncio.sleep(0))


@in_loop
async def test_a_bar_that_appears_stands_where_the_lines_do() -> None:
    store = filled(InMemoryStore(), talk=[str(number) for number in range(50)])
    async with browsing(held(store)) as (app, pilot):
        await shows(pilot, "49")
        messages = app.messages
        assert messages.scroll_y > 0
        messages.show_vertical_scrollbar = False
        messages.scroll_y = 3
        assert messages.vertical_scrollbar.position != 3
        messages.show_vertical_scrollbar = True
        assert messages.vertical_scrollbar.position == messages.scroll_y == 3
