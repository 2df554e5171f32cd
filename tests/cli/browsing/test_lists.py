"""The list of conversations: what stands in it, when, and what a filter leaves."""

import threading
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from wcwidth import width

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Message
from synmem.store import ConversationInfo
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


@in_loop
async def test_the_newest_conversation_is_first_and_its_messages_stand_beside_it() -> None:
    store = filled(InMemoryStore(), old=["How are you?", "Well."], new=["What is new?", "All."])
    async with browsing(held(store)) as (app, pilot):
        text = await shows(pilot, "What is new?", "All.", "How are you?")
        assert app.list.current and app.list.current.info.id == "new"
        assert text.index("What is new?") < text.index("How are you?")
        assert "2 conversations" in text


@in_loop
async def test_a_title_or_else_the_first_words_of_the_user_or_else_the_id_is_shown() -> None:
    store = InMemoryStore()
    fill(store, "titled", ["x"], title="A title of its own")
    fill(store, "said", [Message("system", "Be kind."), Message("user", "What I said\nfirst")])
    fill(store, "empty", [Message("assistant", "")])
    async with browsing(held(store), size=(79, 20)) as (_, pilot):
        await shows(pilot, "A title of its own", "What I said first", "empty")


@in_loop
async def test_a_filter_finds_what_stands_in_the_list() -> None:
    store = filled(InMemoryStore(), one=["Where is my REFUND?"], two=["Hello"])
    fill(store, "titled", ["about a refund"], title="A title of its own")
    async with browsing(held(store)) as (app, pilot):
        await shows(pilot, "Where is my REFUND?", "Hello", "A title")
        await pilot.press("f", *"refund")
        await until(pilot, lambda: [row.info.id for row in app.rows.shown] == ["one"])


@in_loop
async def test_of_several_stores_the_titles_begin_below_each_other() -> None:
    stores = [held(filled(InMemoryStore(), a=["hello"]), name) for name in ("work", "日本の家")]
    async with browsing(*stores) as (_, pilot):
        text = await shows(pilot, "work ", "日本の家 ")
        rows = [line for line in text.splitlines() if "hello  " in line]
        assert len(rows) == 2
        assert len({width(row.partition("hello")[0]) for row in rows}) == 1


@in_loop
async def test_the_first_screen_stands_before_the_listing_does() -> None:
    store = filled(Gated(), talk=["x"])
    store.listing.clear()
    async with browsing(held(store, "slow"), whole=False) as (app, pilot):
        text = await shows(pilot, "listing")
        assert "slow" in text
        assert "q quit" in text
        assert app.listing
        store.listing.set()
        await until(pilot, lambda: not app.listing)


class InTwo(InMemoryStore):
    """A store of which the second page of the listing waits."""

    def __init__(self) -> None:
        super().__init__(page_size=2)
        self.gate = threading.Event()

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        first = True
        async for page in super().conversations(ids, details=details):
            if ids is None and not first:
                self.gate.wait(PATIENCE_S)
            first = False
            yield page


@in_loop
async def test_rows_appear_as_pages_arrive_and_are_sorted_once_they_are_whole() -> None:
    store = filled(InTwo(), a=["1"], b=["2"], c=["3"])
    async with browsing(held(store), whole=False) as (app, pilot):
        await until(pilot, lambda: len(app.rows.all) == 2)
        assert app.listing
        assert [row.info.id for row in app.rows.shown] == ["a", "b"]
        store.gate.set()
        await until(pilot, lambda: not app.listing)
        assert [row.info.id for row in app.rows.shown] == ["c", "b", "a"]


@in_loop
async def test_a_row_that_somebody_moved_to_stays_current_when_the_listing_is_whole() -> None:
    store = filled(InTwo(), a=["1"], b=["2"], c=["3"])
    async with browsing(held(store), whole=False) as (app, pilot):
        await until(pilot, lambda: len(app.rows.all) == 2)
        await pilot.press("down")
        store.gate.set()
        await until(pilot, lambda: not app.listing)
        assert app.list.current and app.list.current.info.id == "b"


@in_loop
async def test_a_filter_takes_words_of_ids_and_titles_as_they_are_typed() -> None:
    store = InMemoryStore()
    fill(store, "user-1", ["x"], title="Weather in Zürich")
    fill(store, "user-2", ["x"], title="Zürich by night")
    fill(store, "user-3", ["x"], title="Redis")
    async with browsing(held(store)) as (app, pilot):
        await pilot.press("f", *"ZÜR", "space", *"wea")
        await until(pilot, lambda: len(app.rows.shown) == 1)
        text = await shows(pilot, "1 of 3 conversations", "Weather in Zürich")
        assert "Redis" not in text
        await pilot.press(*["backspace"] * 4)
        await until(pilot, lambda: len(app.rows.shown) == 2)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.rows.shown) == 3)
        await pilot.press("f", *"user-3", "enter")
        await until(pilot, lambda: len(app.rows.shown) == 1)
        assert app.list.has_focus


@in_loop
async def test_where_a_filter_leaves_none_it_says_what_looks_into_the_messages() -> None:
    store = filled(InMemoryStore(), a=["hello", "world"])
    async with browsing(held(store), size=(80, 24)) as (_, pilot):
        await pilot.press("f", *"world")
        await shows(pilot, "0 of 1 conversation", "none; esc, / searches in all")
        await pilot.press("escape", "slash", *"world", "enter")
        await shows(pilot, "1 hit")


@in_loop
async def test_one_moves_in_the_list_while_the_filter_is_typed() -> None:
    store = filled(InMemoryStore(), a1=["x"], a2=["x"], b=["x"])
    async with browsing(held(store)) as (app, pilot):
        await pilot.press("f", "a")
        await until(pilot, lambda: len(app.rows.shown) == 2)
        assert app.list.current and app.list.current.info.id == "a2"
        await pilot.press("down")
        assert app.list.current.info.id == "a1"


@in_loop
async def test_many_conversations_are_not_as_many_widgets() -> None:
    store = filled(InMemoryStore(), **{f"c{i}": ["x"] for i in range(3_000)})
    async with browsing(held(store)) as (app, pilot):
        assert len(app.rows.shown) == 3_000
        assert len(list(app.screen.walk_children())) < 20
        await pilot.press("end")
        assert app.list.current is app.rows.shown[-1]
        await pilot.press("home", "pagedown")
        assert app.list.current is not app.rows.shown[0]


@in_loop
async def test_under_80_columns_there_is_one_pane() -> None:
    store = filled(InMemoryStore(), talk=["Is this narrow?", "It is."])
    async with browsing(held(store), size=(79, 20)) as (app, pilot):
        assert "It is." not in screen(app)
        await pilot.press("enter")
        text = await shows(pilot, "It is.")
        assert "2025-03-01 " not in text.replace("── Sat 2025-03-01 ─", "")
        await pilot.press("escape")
        assert "It is." not in screen(app)
        await pilot.resize_terminal(80, 20)
        await shows(pilot, "It is.", "2025-03-01 │")


@in_loop
async def test_what_has_no_time_stands_behind_what_has_one() -> None:
    store = InMemoryStore()
    fill(store, "timeless", [Message("user", "x")])
    fill(store, "timed", ["x"], began=BEGAN + timedelta(days=1))
    async with browsing(held(store)) as (app, _):
        assert [row.info.id for row in app.rows.shown] == ["timed", "timeless"]
