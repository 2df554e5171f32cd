"""What two sides of a comparison have handed in, and how far it is the same."""

from synmem.messages import Holds, Message, Unreadable, canonical
from synmem.operations.proof import compared_lines
from synmem.store import Page


class Side:
    """What one side has handed in and was not compared yet, with its canonical lines."""

    def __init__(self, holds: Holds) -> None:
        self.items: list[Message | Unreadable] = []
        self.lines: list[bytes] = []
        self.done = False
        self.holds = holds

    @property
    def left(self) -> bool:
        """Whether any of it was not compared yet."""
        return bool(self.items)

    def take(self, page: Page | None) -> None:
        """Its next page; None behind the last one."""
        if page is None:
            self.done = True
        else:
            self.items = self.items + page.items if self.items else page.items
            self.lines += compared_lines(page.items, self.holds)

    def drop(self, count: int) -> None:
        """The first of it were compared."""
        self.items = self.items[count:]
        self.lines = self.lines[count:]


def agreeing(ours: Side, theirs: Side) -> int:
    """How many messages are the same from the beginning of both."""
    shorter = min(len(ours.lines), len(theirs.lines))
    if ours.lines[:shorter] == theirs.lines[:shorter]:
        return shorter
    for i in range(shorter):
        if ours.lines[i] != theirs.lines[i] and not _same(ours, theirs, i):
            return i
    return shorter


def _same(ours: Side, theirs: Side, i: int) -> bool:
    our, their = ours.items[i], theirs.items[i]
    if isinstance(our, Unreadable) or isinstance(their, Unreadable):
        return False
    return canonical(our, ours.holds) == canonical(their, ours.holds)
