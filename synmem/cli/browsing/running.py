"""From the command to the browser and back: which stores, and what came of it."""

import asyncio
import os

from synmem import leftovers
from synmem.cli.browsing.app import Browser
from synmem.cli.browsing.aside import Aside
from synmem.cli.run import INTERRUPTED, Session
from synmem.cli.several import sources_of
from synmem.tool import open_profile

_PATIENCE_S = 2.0
"""So long a store may take to close, when the person has left already."""


async def run(session: Session) -> int:
    """Show the browser until it is left; the exit code."""
    several = sources_of(session)
    if several is None:
        profile = session.resolve()
        stores = [Aside(profile.name, profile, open_profile)]
    else:
        stores = [Aside(each.label, each.profile, open_profile) for each in several.sources]
    if os.environ.get("NO_COLOR") == "":
        del os.environ["NO_COLOR"]  # Textual takes an empty one for a wish
    app = Browser(stores, session)
    try:
        await app.run_async()
    finally:
        is_closed = _closed(app.stores)
    task = asyncio.current_task()
    if task is not None and task.cancelling():  # by a signal, which Textual keeps to itself
        raise asyncio.CancelledError
    if app.failure is not None:
        raise app.failure
    code = INTERRUPTED if app.interrupted else 0
    if not is_closed:  # it is in the middle of something that nobody waits for any more
        leftovers.release_all()
        os._exit(code)
    return code


def _closed(stores: list[Aside]) -> bool:
    """Close them, all at once; whether they are closed in time."""
    for each in stores:
        each.close()
    return all([each.close(_PATIENCE_S) for each in stores])  # noqa: C419 (each has its time)
