"""The browser on a real server that is slow, and then gone."""

import asyncio
import threading

from synmem.messages import Conversation, Message
from synmem.profiles import resolve
from synmem.store import Part
from synmem.tool import open_store
from tests.cli.browsing.screens import PATIENCE_S, at, browsing, in_loop, shows, until
from tests.cli.places import Places, proxied


async def _filled(place: str) -> None:
    async with open_store(place, write=True) as store:
        for name in ("a", "b", "c"):
            await store.append([Part(Conversation(name), [Message("user", f"said in {name}")])])


def test_keys_are_answered_while_a_page_is_on_its_way_and_when_the_server_is_gone(
    places: Places,
) -> None:
    place = places.new("redis")
    asyncio.run(_filled(place))
    with proxied(place) as (proxy, address):
        _browse(proxy, address)


@in_loop
async def _browse(proxy: object, address: str) -> None:
    held, arrived = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        held.wait(PATIENCE_S)

    async with browsing(at(resolve(address))) as (app, pilot):
        await shows(pilot, "3 conversations", "said in")
        proxy.delay_s = 0.05  # type: ignore[attr-defined]
        proxy.before_request(1, hold)  # type: ignore[attr-defined]
        first = app.list.current
        await pilot.press("down")
        await until(pilot, arrived.is_set)
        second = app.list.current
        await pilot.press("down", "question_mark")
        await shows(pilot, "unfold all messages")
        assert len({id(first), id(second), id(app.list.current)}) == 3
        await pilot.press("escape")
        held.set()
        assert app.list.current
        await shows(pilot, f"said in {app.list.current.info.id}", "#1")
        proxy.refuse()  # type: ignore[attr-defined]
        proxy.cut()  # type: ignore[attr-defined]
        await pilot.press("up")
        await until(pilot, lambda: app.query_one("#note").has_class("-error"))
        await shows(pilot, "127.0.0.1")
        await pilot.press("r")
        text = await shows(pilot, "0 conversations", "cannot be listed")
        assert "nothing here" not in text
        assert app.is_running
