"""A progress bar on stderr, for a person on a terminal only."""

import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from synmem.cli import render

_EVERY_S = 0.1
_LATE_S = 0.5
_CLEAR_LINE = b"\r\x1b[2K"


class Bar:
    """Counts what was done; `advance` is cheap, the terminal is written ten times a second."""

    def __init__(self) -> None:
        self.done = 0
        self._total: int | None = None
        self._shown: Any = None
        self._task: Any = None
        self._next = 0.0

    @property
    def drawn(self) -> bool:
        """Whether anybody sees it: what only it needs is not worth asking for otherwise."""
        return self._shown is not None

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        if self._shown is not None and (now := time.monotonic()) >= self._next:
            self._next = now + _EVERY_S
            self._shown.update(self._task, completed=self.done)

    def show(self, shown: Any, task: Any) -> None:
        """Draw it from now on, there."""
        self._shown, self._task = shown, task
        self._shown.update(task, completed=self.done, total=self._total)

    def end(self) -> None:
        """Show what was done in the end."""
        self._shown.update(self._task, completed=self.done)

    def expect(self, total: int | None) -> None:
        """How many there will be, once that is known."""
        self._total = total
        if self._shown is not None:
            self._shown.update(self._task, total=total)


class _Above:
    """Lines of stdout, on the terminal where the bar is: each in its own place, the bar below."""

    def __init__(self, shown: Any) -> None:
        self._lock = getattr(shown.live, "_lock", contextlib.nullcontext())  # its thread draws, too
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Whole lines now; what is not ended yet would be drawn over."""
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            with self._lock:
                sys.stderr.flush()
                render.write_now(_CLEAR_LINE + lines + newline)
                render.flush()

    def close(self) -> None:
        """The rest, where the bar has gone."""
        rest, self._rest = self._rest, b""
        if rest:
            render.write_now(rest)


@contextlib.contextmanager
def progress(
    text: str,
    *,
    total: int | None = None,
    quiet: bool = False,
    beside: Callable[[], str] | None = None,
) -> Iterator[Bar]:
    """A bar that counts to `total`, with rate and time left, and goes away at the end.

    What `beside` says whenever it is drawn stands behind the count.
    In a pipe, on TERM=dumb or with `quiet` nothing is drawn.
    """
    bar = Bar()
    if not _is_drawn(quiet=quiet):
        yield bar
        return
    with _showing(bar, text, total, beside):
        yield bar


@contextlib.asynccontextmanager
async def late_progress(text: str, *, quiet: bool = False) -> AsyncIterator[Bar]:
    """As `progress`, of work that may be done at once: drawn where it takes half a second."""
    import asyncio

    bar = Bar()
    if not _is_drawn(quiet=quiet):
        yield bar
        return
    with contextlib.ExitStack() as stack:
        showing = _showing(bar, text, None, None)
        loop = asyncio.get_running_loop()
        due = loop.call_later(_LATE_S, lambda: stack.enter_context(showing))
        stack.callback(due.cancel)
        yield bar


def _is_drawn(*, quiet: bool) -> bool:
    return not quiet and render.is_terminal(sys.stderr) and not render.is_dumb()


@contextlib.contextmanager
def _showing(
    bar: Bar, text: str, total: int | None, beside: Callable[[], str] | None
) -> Iterator[None]:
    shown = _drawn(render.visible_line(text), beside)
    above = _Above(shown)
    with contextlib.closing(above), shown, render.writing_above(above.write):
        if total is not None:
            bar.expect(total)
        bar.show(shown, shown.add_task(""))
        try:
            yield
        finally:
            bar.end()


def _drawn(text: str, beside: Callable[[], str] | None) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class Counted(ProgressColumn):
        """Text, count and rate: plain Text, never markup."""

        def render(self, task: Any) -> Text:
            total = f"/{int(task.total):,}" if task.total is not None else ""
            rate = f"  {task.speed:,.0f}/s" if task.speed else ""
            more = f" in {beside()}" if beside is not None else ""
            return Text(f"{text} {int(task.completed):,}{total}{more}{rate}")

    return Progress(
        Counted(table_column=Column(no_wrap=True)),
        # As wide as what is left of the line, which does not become two.
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        TimeRemainingColumn(),
        expand=True,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=True,
    )
