"""Search in all of it: the words, what was found, and the way to the message."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Final, NamedTuple

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from synmem.cli.browsing.aside import Aside
from synmem.cli.browsing.keys import Footer
from synmem.cli.browsing.lines import Line, between, from_codes
from synmem.cli.browsing.rowed import Rowed
from synmem.cli.render import visible, visible_line
from synmem.cli.screen.columns import cut
from synmem.cli.screen.pieces import Piece
from synmem.cli.screen.styles import BAD, DIM, of_role
from synmem.cli.snippets import snippet
from synmem.cli.times import ago
from synmem.cli.words import count
from synmem.errors import SynmemError
from synmem.operations.derived import word_file
from synmem.operations.searching.search import Hit, search
from synmem.operations.searching.words import Query

_K: Final = 100
"""So many are found at most, the best."""

_LARGE: Final = 500
"""Of several stores, one of so many messages gets an index: see `cli.searching`."""

_ROLE: Final = 20
"""What a store calls a role may be anything; the title has room beside it."""


class Found(NamedTuple):
    """A hit, and in which store."""

    store: Aside
    hit: Hit


class Hits(Rowed):
    """What was found: two lines each."""

    def __init__(self) -> None:
        super().__init__("hits", tall=2)
        self.found: list[Found] = []
        self.several = False
        self._query: Query | None = None

    def show(self, found: list[Found], query: Query) -> None:
        """These, with the words marked."""
        self.found, self._query, self.cursor = found, query, 0
        self.changed()

    def count(self) -> int:
        """See `Rowed.count`."""
        return len(self.found)

    def line(self, number: int, part: int, width: int) -> Line:
        """Where it is; below that the words around it."""
        store, hit = self.found[number]
        if part:
            return self._around(hit, width)
        title = hit.title or hit.conversation_id
        whose = [Piece(visible_line(store.label) + " ", DIM)] if self.several else []
        where = "" if hit.is_title else f" #{hit.position}"
        facts = f"{cut(visible_line(hit.role), _ROLE)}{where}  {ago(hit.created_at):>10}"
        return between([*whose, Piece(visible_line(title))], Piece(facts, of_role(hit.role)), width)

    def _around(self, hit: Hit, width: int) -> Line:
        texts = [hit.content, ", ".join(hit.tools)]
        for text in filter(str.strip, texts):
            for line in snippet(text, self._query, width - 2):
                return [Piece("  "), *from_codes(line)]
        return []


class Search(ModalScreen[Found | None]):
    """The words that are typed, and what was found; what is chosen is read."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("slash", "again", show=False),
        Binding("down", "results", show=False),
    ]

    def __init__(self, stores: Sequence[Aside], before: str = "") -> None:
        super().__init__()
        self.sought = before
        """What was looked for last."""
        self._stores = stores
        self._hits = Hits()
        self._hits.several = len(stores) > 1

    def compose(self) -> ComposeResult:
        """Words, what was found, what is to be said of it."""
        with Vertical(classes="full"):
            yield Input(
                self.sought, compact=True, id="words", placeholder='words, or "a phrase", of all'
            )
            yield self._hits
            yield Static(id="said")
            keys = (("enter", "search, then read"), ("↑↓", "move"), ("/", "other words"))
            yield Footer((*keys, ("esc", "back")))

    def _say(self, text: str, codes: str = "") -> None:
        said = self.query_one("#said", Static)
        said.set_class(codes == BAD, "-error")
        said.update(Content(visible(text)))

    @on(Input.Submitted)
    @work(exclusive=True, group="search")
    async def _search(self, event: Input.Submitted) -> None:
        self.sought = event.value
        self._say("searching ...")
        notes: list[str] = []
        near: list[str] = []
        try:
            query = Query(self.sought)
            results = await asyncio.gather(*(self._in(each, notes, near) for each in self._stores))
        except SynmemError as error:
            self._say(f"{error} ({error.hint})" if error.hint else str(error), BAD)
            return
        found = [each for some in results for each in some]
        found.sort(key=lambda each: -each.hit.score)
        self._hits.show(found, query)
        if near and not found:
            notes.insert(0, f"near: {', '.join(dict.fromkeys(near))}")
        self._say("; ".join([count(len(found), "hit") if found else "nothing found", *notes]))
        if found:
            self._hits.focus()

    async def _in(self, store: Aside, notes: list[str], near: list[str]) -> list[Found]:
        index = word_file(store.profile.identity)
        large = _LARGE if len(self._stores) > 1 else None
        try:
            found = await store.ask(
                lambda opened: search(
                    opened, self.sought, k=_K, index=index, large=large, near=True
                )
            )
        except SynmemError as error:
            if len(self._stores) == 1:
                raise
            notes.append(f"{store.label}: {error}")
            return []
        near += found.near
        if found.total is not None and found.total > len(found.hits):
            notes.append(f"the best of {found.total:,}")
        if found.unreadable:
            notes.append(f"{count(len(found.unreadable), 'record')} cannot be read")
        return [Found(store, hit) for hit in found.hits]

    @on(Rowed.Opened)
    def _chosen(self, event: Rowed.Opened) -> None:
        event.stop()
        self.dismiss(self._hits.found[self._hits.cursor])

    def action_again(self) -> None:
        """Type other words."""
        self.query_one("#words", Input).focus()

    def action_results(self) -> None:
        """From the words to what was found."""
        self._hits.focus()

    def action_leave(self) -> None:
        """Back, and nothing is read."""
        self.dismiss(None)
