"""A progress bar on stderr, for a person on a terminal only, of what takes longer than a moment."""

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from synmem.cli import render

_EVERY_S: Final = 0.1
_LATE_S: Final = 0.5
_RECENT: Final = 100
"""The rate is that of so many drawings: of ten seconds."""
_USUAL: Final = 80
"""So many columns has a terminal that does not say how many."""
_CLEAR_LINE: Final = "\r\x1b[2K"


class Bar:
    """Counts what was done; `advance` costs nothing, whether anybody sees it or not."""

    def __init__(self, *, watched: bool = False) -> None:
        self.done = 0
        self.total: int | None = None
        self.watched = watched
        """Whether somebody may see it: what only it needs is not worth asking for otherwise."""

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count

    def expect(self, total: int | None) -> None:
        """How many there will be, once that is known."""
        self.total = total


@contextlib.contextmanager
def progress(
    text: str,
    *,
    total: int | None = None,
    quiet: bool = False,
    beside: Callable[[], str] | None = None,
) -> Iterator[Bar]:
    """A line on the terminal that says what is done and how much of it is, from half a second on;
    it goes away at the end.

    What `beside` says whenever it is drawn stands behind the count. In a pipe, on TERM=dumb, with
    `quiet` or below another bar nothing is drawn.
    """
    drawn = not quiet and not render.is_taken() and render.is_terminal(sys.stderr)
    bar = Bar(watched=drawn and not render.is_dumb())
    bar.expect(total)
    if not bar.watched:
        yield bar
        return
    with _Line(bar, text, beside) as line, render.writing_above(line.above, line.away):
        yield bar


class _Line:
    """The line on the terminal, which a thread draws: the work need not think of it."""

    def __init__(self, bar: Bar, text: str, beside: Callable[[], str] | None) -> None:
        self._bar, self._beside = bar, beside
        self._text = render.visible_line(text)
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._is_drawn = False
        self._rest = b""
        self._seen = deque([(time.monotonic(), 0)], maxlen=_RECENT)

    def __enter__(self) -> "_Line":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        with self.away():
            rest, self._rest = self._rest, b""
            if rest:
                render.write_now(rest)

    def above(self, data: bytes) -> None:
        """Lines of stdout, on the terminal where the bar is: each in its own place, the bar below.
        What is not ended yet waits, since it would be drawn over."""
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            with self.away():
                render.write_now(lines + newline)
                render.flush()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """While something else is written, there is no bar."""
        with self._lock:
            self._write(_CLEAR_LINE if self._is_drawn else "")
            self._is_drawn = False
            yield

    def _run(self) -> None:
        wait = _LATE_S
        while not self._ended.wait(wait):
            wait = _EVERY_S
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        from synmem.cli.screen.bars import progress_line
        from synmem.cli.screen.columns import error_columns

        columns = error_columns() or _USUAL
        done, total, now = self._bar.done, self._bar.total, time.monotonic()
        began, before = self._seen[0]
        self._seen.append((now, done))
        line = progress_line(
            self._text,
            done,
            total,
            width=columns - 1,  # in its last column a terminal may be about to begin a line
            rate=(done - before) / max(now - began, 1e-3),
            beside=self._beside() if self._beside else "",
        )
        self._is_drawn = True
        self._write(f"{_CLEAR_LINE}{line}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody sees it any more
            sys.stderr.write(text)
            sys.stderr.flush()
