"""How long a server is waited for, and how often it is asked again."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

CONNECT_S: Final = 5.0
"""So long a connection may take to come about."""

FIRST_ANSWER_S: Final = 10.0
"""So long it may take for its very first answer: one that hangs is known soon."""

ANSWER_S: Final = 60.0
"""So long a server may take for one answer: a large write on a busy machine."""

_ATTEMPTS: Final = 6
_PATIENCE_S: Final = 10.0

T = TypeVar("T")


async def again(step: Callable[[], Awaitable[T]], lost: tuple[type[Exception], ...]) -> T:
    """What `step` returns; it is tried again, a few times within seconds, where it raises one of
    `lost`: connections that broke or did not come about.

    A step that writes must be one that does no harm when its first try was done after all.
    """
    import logging

    import stamina

    # It says at WARNING that it tries again: to those who listen, not on everybody's stderr.
    log = logging.getLogger("stamina")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    async for attempt in stamina.retry_context(
        on=lost,
        attempts=_ATTEMPTS,
        timeout=_PATIENCE_S,
        wait_initial=0.1,
        wait_jitter=0.1,
        wait_max=2.0,
    ):
        with attempt:
            return await step()
    raise AssertionError("stamina ends by returning or raising")
