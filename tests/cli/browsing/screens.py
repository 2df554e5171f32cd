"""The browser without a terminal: stores for it, its keys, and its screen as text."""

import asyncio
import contextlib
import difflib
import functools
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from synmem.backends.inmemory import InMemoryStore
from synmem.cli.browsing.app import Browser
from synmem.cli.browsing.aside import Aside
from synmem.cli.run import Session
from synmem.messages import Conversation, Message
from synmem.profiles import Profile
from synmem.store import ConversationInfo, Page, Part, Store
from synmem.tool import open_profile

KEPT = Path(__file__).parent / "screens"
BEGAN = datetime(2025, 3, 1, 9, 0, tzinfo=UTC)

PATIENCE_S = 20.0
"""So long a test waits for what must happen; it waits for that, not for the time."""


class Gated(InMemoryStore):
    """A store whose pages wait at gates, in its own thread, as a slow disk or server would."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.listing = threading.Event()
        self.reading = threading.Event()
        self.asked = threading.Event()
        self.listing.set()
        self.reading.set()

    async def conversations(
        self, ids: Sequence[str] | None = None, *, details: bool = False
    ) -> AsyncIterator[list[ConversationInfo]]:
        async for page in super().conversations(ids, details=details):
            if ids is None:
                self.listing.wait(PATIENCE_S)
            yield page

    async def read(self, conversations: Sequence[str], **how: Any) -> AsyncIterator[Page]:
        async for page in super().read(conversations, **how):
            self.asked.set()
            self.reading.wait(PATIENCE_S)
            yield page


def filled(store: Any, **conversations: Sequence[Message | str]) -> Any:
    """The store with these conversations: texts are the user's and the assistant's in turn."""
    for number, (name, said) in enumerate(conversations.items()):
        fill(store, name, said, began=BEGAN + timedelta(days=number))
    return store


def fill(
    store: Any,
    name: str,
    said: Sequence[Message | str],
    *,
    title: str | None = None,
    began: datetime = BEGAN,
) -> None:
    messages = [
        each
        if isinstance(each, Message)
        else Message(("user", "assistant")[i % 2], each, created_at=began + timedelta(minutes=i))
        for i, each in enumerate(said)
    ]
    _now(store.append([Part(Conversation(name, title), messages)]))


def _now(work: Coroutine[Any, Any, Any]) -> None:
    """Run what waits for nothing, also within a loop."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that pytest can run."""

    @functools.wraps(test)
    def running(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return running


def held(store: Store, label: str = "memory", *, protected: bool = False) -> Aside:
    """That store, for the browser."""

    @contextlib.asynccontextmanager
    async def opening(
        profile: Profile, *, write: bool = False, planning: bool = False
    ) -> AsyncIterator[Store]:
        yield store

    return Aside(label, Profile(label, "memory", {}, protected), opening)


def at(profile: Profile) -> Aside:
    """The store of a profile."""
    return Aside(profile.name, profile, open_profile)


def session(**said: Any) -> Session:
    """What was typed."""
    plain: dict[str, Any] = {"profile": None, "config": None, "json": False, "quiet": False}
    return Session(**{**plain, "verbose": False, **said})


@contextlib.asynccontextmanager
async def browsing(
    *stores: Aside, size: tuple[int, int] = (110, 30), whole: bool = True
) -> AsyncIterator[tuple[Browser, Pilot[None]]]:
    """The browser on these stores; unless they wait at a gate, when the listing is whole."""
    app = Browser(stores, session())
    async with app.run_test(size=size) as pilot:
        if whole:
            await until(pilot, lambda: not app.listing)
        await pilot.pause()
        yield app, pilot
    for each in app.stores:
        assert each.close(PATIENCE_S)


async def until(pilot: Pilot[None], happened: Callable[[], object]) -> None:
    """Wait for something, which must happen."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, "it did not happen:\n" + screen(pilot.app)
        await pilot.pause(0.01)
    await pilot.pause()


async def shows(pilot: Pilot[None], *texts: str) -> str:
    """Wait until all of these are on the screen, and return it."""
    await until(pilot, lambda: all(text in screen(pilot.app) for text in texts))
    return screen(pilot.app)


def screen(app: Any) -> str:
    """What is on the screen, without the spaces at the ends of its lines."""
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    return "\n".join(lines).replace("\xa0", " ") + "\n"


async def compare(pilot: Pilot[None], name: str) -> None:
    """The screen comes to be as it is kept; SYNMEM_TEST_SCREENS=write keeps it as it is now."""
    file = KEPT / f"{name}.txt"
    if os.environ.get("SYNMEM_TEST_SCREENS") == "write":
        await until(
            pilot, lambda: all(w.is_finished or w.group == "doing" for w in pilot.app.workers)
        )
        file.parent.mkdir(exist_ok=True)
        file.write_text(screen(pilot.app))
    kept = file.read_text()
    with contextlib.suppress(AssertionError):
        await until(pilot, lambda: screen(pilot.app) == kept)
    lines = difflib.unified_diff(kept.splitlines(), screen(pilot.app).splitlines(), lineterm="")
    assert screen(pilot.app) == kept, f"{name}:\n" + "\n".join(lines)
