"""SIGTERM and SIGHUP end a command as Ctrl-C does: it cleans up on its way out.

A signal that is ignored, as SIGHUP under nohup, stays so.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

_WORDS: Final = {"SIGTERM": "terminated", "SIGHUP": "hung up"}
_PATIENCE_S: Final = 3.0
"""Whoever waits for a reader that never reads, or a server, is not waited for any longer."""


class Ended(Exception):
    """A signal ended the command, which has cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(_WORDS[signal.Signals(number).name])
        self.exit_code = 128 + number
        """What shells say of a program that died of it."""


class Hearing:
    """What was heard, and the task that is cancelled then."""

    def __init__(self) -> None:
        self.number = 0
        self.task: asyncio.Task[Any] | None = None
        self._timer: threading.Timer | None = None

    def hear(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signals."""
        if self.number:
            return  # who hangs up often says so twice: it is being seen to
        self.number = number
        if self.task is None:
            raise Ended(number)
        self._timer = threading.Timer(_PATIENCE_S, self._end_now)
        self._timer.daemon = True
        self._timer.start()
        if not self.task.done():
            self.task.cancel()
            # The loop may sleep in its selector, and hears of nothing there.
            self.task.get_loop().call_soon_threadsafe(lambda: None)

    def stop(self) -> None:
        """It has ended by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_now(self) -> None:
        from synmem import leftovers

        try:
            leftovers.release_all()
        finally:
            os._exit(128 + self.number)


@contextlib.contextmanager
def hearing() -> Iterator[Hearing]:
    """Let the signals cancel `Hearing.task`; Ended at the end where one did."""
    heard = Hearing()
    with contextlib.ExitStack() as restored:
        if threading.current_thread() is threading.main_thread():
            for name in _WORDS:
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                    signal.signal(number, heard.hear)
                    restored.callback(signal.signal, number, signal.SIG_DFL)
        try:
            yield heard
        except BaseException as error:
            if heard.number and not isinstance(error, Ended):
                raise Ended(heard.number) from None
            raise
        finally:
            heard.stop()
