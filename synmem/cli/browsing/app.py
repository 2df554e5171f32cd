"""The browser: what is on the screen, and what its keys do."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Event, Key
from textual.widgets import Input, Static

from synmem.cli.browsing.aside import Aside
from synmem.cli.browsing.beginnings import look_up
from synmem.cli.browsing.conversations import Conversations
from synmem.cli.browsing.keys import IN_FILTER, IN_LIST, IN_MESSAGES, Footer
from synmem.cli.browsing.messages import Messages
from synmem.cli.browsing.rows import Rows
from synmem.cli.render import visible, visible_line
from synmem.cli.run import Session
from synmem.cli.words import count
from synmem.errors import StoreNotFound, SynmemError

_AT_ONCE = 4
"""So many stores are listed at once."""

_MOVES = {"up": "move(-1)", "down": "move(1)", "pageup": "turn(-1)", "pagedown": "turn(1)"}
"""Keys that move in the list also while the filter is typed."""

_NARROW = 80
"""Under so many columns there is one pane."""


class Browser(App[None]):
    """Conversations, and beside them the messages of the current one."""

    CSS_PATH = "browser.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_NARROW, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("f", "filter", show=False),
        Binding("tab", "other", show=False, priority=True),
        Binding("escape", "leave", show=False),
        Binding("r", "reload", show=False),
        *(Binding(key, f"list('{what}')", show=False) for key, what in _MOVES.items()),
    ]

    def __init__(self, stores: Sequence[Aside], session: Session) -> None:
        super().__init__(ansi_color=True)
        self.session = session
        self.theme = "ansi-dark"
        self.stores = list(stores)
        self.rows = Rows()
        self.failure: Exception | None = None
        """What ended it, where it was no key."""
        self.interrupted = False
        self._listed = 0
        self._is_first = True
        self.listing = True
        """Whether there may be more conversations."""
        self.list = Conversations(self.rows)
        self.messages = Messages()

    # --- what is on the screen ---

    def compose(self) -> ComposeResult:
        """The screen."""
        yield Static(id="head")
        yield Input(id="filter", placeholder="words of ids and titles", compact=True)
        with Horizontal(id="panes"):
            yield self.list
            yield self.messages
        yield Static(id="note")
        yield Footer(id="keys")

    def on_mount(self) -> None:
        """The screen stands: now look."""
        self.list.focus()
        self._show_keys()
        self.list.several = len(self.stores) > 1
        self.action_reload()

    def open(self, stores: Sequence[Aside]) -> None:
        """List the conversations of these stores."""
        for each in self.stores:
            if each not in stores:
                each.close()
        self._is_first = False
        self.stores = list(stores)
        self.list.several = len(self.stores) > 1
        self.messages.clear()
        self.action_reload()

    def say(self, text: str) -> None:
        """A line for the person, until the next key."""
        note = self.query_one("#note", Static)
        note.remove_class("-error")
        note.update(Content(visible(text)))

    def fail(self, error: SynmemError, what: str = "") -> None:
        """What went wrong, and what to do about it."""
        hint = f" ({error.hint})" if error.hint else ""
        self.say(f"{what}{': ' if what else ''}{error}{hint}")
        self.query_one("#note", Static).add_class("-error")

    async def on_event(self, event: Event) -> None:
        """What was said is read once a key is pressed."""
        if isinstance(event, Key):
            self.say("")
        await super().on_event(event)

    def show_head(self) -> None:
        """Which store, and how much there is in it."""
        [first, *others] = self.stores
        name = f"{len(self.stores)} stores" if others else first.label
        number = count(len(self.rows.all), "conversation")
        if self.rows.filtered:
            number = f"{len(self.rows.shown):,} of {number}"
        going = " …" if self.listing else ""
        head = Content.assemble((visible_line(name), "bold"), (f"  {number}{going}", "dim"))
        self.query_one("#head", Static).update(head)

    def _show_keys(self) -> None:
        footer = self.query_one(Footer)
        if isinstance(self.focused, Input):
            footer.show(IN_FILTER)
        else:
            footer.show(IN_MESSAGES if self.messages.has_focus else IN_LIST)

    def on_descendant_focus(self) -> None:
        """The keys are those of what has the focus."""
        self.screen.set_class(self.messages.has_focus, "-reading")
        self._show_keys()

    # --- listing ---

    @work(exclusive=True, group="listing")
    async def action_reload(self) -> None:
        """List anew; what was current stays so."""
        before = self.list.current
        self.rows.clear()
        self._listed, self.listing = 0, True
        self.list.saying = "listing ..."
        self.list.begin()
        self.show_head()
        turns = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._list(each, turns) for each in self.stores))
        self.listing = False
        current = self.list.current
        self.rows.sort()
        self.list.saying = "nothing here"
        self.list.changed(keep=current)
        if before is not None:
            self.list.select(before.key)
        self.show_head()

    async def _list(self, store: Aside, turns: asyncio.Semaphore) -> None:
        try:
            async with turns:
                async for page in store.pages(lambda s: s.conversations(details=True)):
                    self._listed += 1
                    self.rows.add(page, store)
                    self.list.changed(keep=self.list.current)
                    self.show_head()
        except SynmemError as error:
            if isinstance(error, StoreNotFound) and self.session.nothing_yet(store.profile):
                return
            if self._is_first and not self._listed and len(self.stores) == 1:
                self.failure = error  # there is nothing to show: as any other command says it
                self.exit()
            self.fail(error, store.label if len(self.stores) > 1 else "")

    @work(exclusive=True, group="filtering")
    @on(Input.Changed, "#filter")
    async def _filter(self, event: Input.Changed) -> None:
        await self.rows.filter(event.value)
        self.list.begin()
        self.show_head()

    @work(exclusive=True, group="beginnings")
    @on(Conversations.Seen)
    async def _look_up(self, event: Conversations.Seen) -> None:
        """How the conversations begin that are seen and have no title."""
        await look_up(event.rows)
        self.list.refresh()

    # --- reading ---

    @on(Conversations.Current)
    def _beside(self, event: Conversations.Current) -> None:
        if event.row is None:
            self.messages.clear()
        elif self.size.width >= _NARROW:
            self.messages.show(event.row)

    @on(Conversations.Opened)
    def _opened(self, event: Conversations.Opened) -> None:
        if self.messages.row is not event.row:
            self.messages.show(event.row)
        self.messages.focus()

    @on(Messages.Failed)
    def _failed(self, event: Messages.Failed) -> None:
        self.fail(event.error)

    # --- keys ---

    def action_filter(self) -> None:
        """Type what is looked for among the conversations."""
        self.screen.add_class("-filtering")
        self.query_one("#filter", Input).focus()

    @on(Input.Submitted, "#filter")
    def _keep_filter(self) -> None:
        self.list.focus()

    async def action_list(self, what: str) -> None:
        """Move in the list, from where something else has the keys."""
        await self.list.run_action(what)

    def action_other(self) -> None:
        """The other pane."""
        if self.list.has_focus and self.list.current is not None:
            self.list.action_open()
        else:
            self.list.focus()

    def action_leave(self) -> None:
        """From the messages to the list; there, or where it is typed, without the filter."""
        if self.messages.has_focus:
            self.list.focus()
            return
        self.query_one("#filter", Input).value = ""
        self.screen.remove_class("-filtering")
        self.list.focus()

    async def action_quit(self) -> None:
        """Leave."""
        self.exit()

    def action_interrupt(self) -> None:
        """Leave, as Ctrl-C does everywhere."""
        self.interrupted = True
        self.exit()
