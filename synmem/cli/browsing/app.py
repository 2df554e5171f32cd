"""The browser: what is on the screen, and what its keys do."""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Event, Key
from textual.widgets import Input, Static
from textual.worker import WorkerFailed

from synmem.cli.browsing import choosing, doing
from synmem.cli.browsing.aside import Aside
from synmem.cli.browsing.beginnings import look_up
from synmem.cli.browsing.choosing import EVERYWHERE
from synmem.cli.browsing.conversations import Conversations
from synmem.cli.browsing.dialogs import Choice, Help, Prompt, Question
from synmem.cli.browsing.keys import IN_FILTER, IN_LIST, IN_MESSAGES, Footer
from synmem.cli.browsing.messages import Messages
from synmem.cli.browsing.rowed import Rowed
from synmem.cli.browsing.rows import Row, Rows, listed
from synmem.cli.browsing.searching import Search
from synmem.cli.outputs import Output, name_of
from synmem.cli.render import visible, visible_line
from synmem.cli.screen.columns import cells, padded
from synmem.cli.session import Session
from synmem.cli.words import count
from synmem.errors import StoreNotFound, SynmemError
from synmem.messages import Message
from synmem.store import ConversationInfo

_AT_ONCE = 4
"""So many stores are listed at once."""

_MOVES = {"up": "move(-1)", "down": "move(1)", "pageup": "turn(-1)", "pagedown": "turn(1)"}
"""Keys that move in the list also while the filter is typed."""

_WORKS = frozenset({"search", "stores", "export", "copy", "delete", "undo", "reload"})

_NARROW = 80
"""Under so many columns there is one pane."""


class Browser(App[None]):
    """Conversations, and beside them the messages of the current one."""

    CSS_PATH = "browser.tcss"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False  # what is selected has a background; the terminal's own selection has none
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_NARROW, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("f", "filter", show=False),
        Binding("tab", "other", show=False, priority=True),
        Binding("escape", "leave", show=False),
        Binding("r", "reload", show=False),
        Binding("slash", "search", show=False),
        Binding("s", "stores", show=False),
        Binding("e", "export", show=False),
        Binding("c", "copy", show=False),
        Binding("d", "delete", show=False),
        Binding("u", "undo", show=False),
        Binding("question_mark", "help", show=False),
        *(Binding(key, f"list('{what}')", show=False) for key, what in _MOVES.items()),
    ]

    def __init__(self, stores: Sequence[Aside], session: Session) -> None:
        super().__init__(ansi_color=True)
        self.session = session
        self.theme = "ansi-dark"
        self.stores = list(stores)
        self.rows = Rows()
        self.failure: BaseException | None = None
        """What ended it, where it was no key."""
        self.interrupted = False
        self._is_first = True
        """Whether nothing was ever listed: what goes wrong then ends it."""
        self._broken: list[str] = []
        """The stores that cannot be listed, and why."""
        self._writing = False
        """Whether something is being written, which no other key may end."""
        self._sought = ""
        self._backups: dict[str, str | None] = {}
        """By the store, what was removed last: nobody is asked whether it shall come back."""
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
        self.list.tell_apart([each.label for each in self.stores])
        self.action_reload()

    def open(self, stores: Sequence[Aside]) -> None:
        """List the conversations of these stores."""
        for each in self.stores:
            if each not in stores:
                each.close()
        self._is_first = False
        self.stores = list(stores)
        self.list.tell_apart([each.label for each in self.stores])
        self.messages.clear()
        self.action_reload()

    def say(self, text: str) -> None:
        """A line for the person, until the next key."""
        note = self.query_one("#note", Static)
        note.remove_class("-error")
        note.update(Content(visible(text)))

    def fail(self, error: SynmemError) -> None:
        """What went wrong, and what to do about it."""
        self._fail_with(str(error), error.hint)

    def _fail_with(self, text: str, hint: str | None) -> None:
        self.say(f"{text} ({hint})" if hint else text)
        self.query_one("#note", Static).add_class("-error")

    async def on_event(self, event: Event) -> None:
        """What was said is read once a key is pressed."""
        if isinstance(event, Key):
            self.say("")
        await super().on_event(event)

    @on(Messages.Shown)
    def show_head(self) -> None:
        """Which store, and how much there is in it."""
        name = self.stores[0].label if len(self.stores) == 1 else f"{len(self.stores)} stores"
        number = count(len(self.rows.all), "conversation")
        if self.rows.filtered:
            number = f"{len(self.rows.shown):,} of {number}"
        going = " …" if self.listing else ""
        left = f"{visible_line(name)}  {number}{going}"
        width = max(0, self.size.width - 2)
        right = self.messages.described(max(0, width - cells(left) - 2))
        head = padded(f"  {number}{going}", width - cells(visible_line(name)) - cells(right))
        content = Content.assemble((visible_line(name), "bold"), (head, "dim"), right)
        self.query_one("#head", Static).update(content)

    def on_resize(self) -> None:
        """Another head fits, and perhaps both panes, once Textual knows the size."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        self.show_head()
        if not self.messages.has_focus and self.messages.row is not self.list.current:
            self.list.tell_again()

    def _show_keys(self) -> None:
        footer = self.query_one(Footer)
        if isinstance(self.focused, Input):
            footer.show(IN_FILTER)
        else:
            footer.show(IN_MESSAGES if self.messages.has_focus else IN_LIST)

    def on_descendant_focus(self) -> None:
        """The keys are those of what has the focus, but for a dialog, which has its own."""
        if len(self.screen_stack) > 1:
            return
        self.screen.set_class(self.messages.has_focus, "-reading")
        self._show_keys()

    def _handle_exception(self, error: Exception) -> None:
        """A bug shows its traceback when the screen is gone; Textual's own would show what is in
        every variable, too."""
        if self.is_headless:
            super()._handle_exception(error)
            return
        self.failure = self.failure or (error.error if isinstance(error, WorkerFailed) else error)
        self.exit()

    # --- listing ---

    @work(exclusive=True, group="listing")
    async def action_reload(self) -> None:
        """List anew; what was current stays so."""
        before = self.list.current
        self.rows.clear()
        self.listing = True
        self._broken.clear()
        self.list.saying = "listing ..."
        self.list.begin()
        self.show_head()
        turns = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._list(each, turns) for each in self.stores))
        self.listing = self._is_first = False
        current = self.list.current
        self.rows.sort()
        self.list.saying = "cannot be listed" if self._broken else "nothing here; s: other stores"
        self.list.follow(current)
        if before is not None:
            self.list.select(before.key)
        self.show_head()

    async def _list(self, store: Aside, turns: asyncio.Semaphore) -> None:
        try:
            async with turns:
                async for page in listed(store):
                    self._is_first = False
                    self.rows.add(page)
                    self.list.follow(self.list.current)
                    self.show_head()
        except SynmemError as error:
            if isinstance(error, StoreNotFound) and self.session.nothing_yet(store.profile):
                return
            if self._is_first and len(self.stores) == 1:
                self.failure = error  # there is nothing to show: as any other command says it
                self.exit()
            self._broken.append(f"{store.label}: {error}" if len(self.stores) > 1 else str(error))
            self._fail_with("; ".join(self._broken), error.hint)

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

    @on(Rowed.Opened, "#conversations")
    def _opened(self) -> None:
        row = self.list.current
        if row is not None and self.messages.row is not row:
            self.messages.show(row)
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

    async def action_leave(self) -> None:
        """From the messages to the list; there, or where it is typed, without the filter."""
        if not self.messages.has_focus:
            await self._drop_filter()
        self.list.focus()

    async def _drop_filter(self) -> None:
        row, field = self.list.current, self.query_one("#filter", Input)
        with self.prevent(Input.Changed):
            field.value = ""
        self.workers.cancel_group(self, "filtering")
        self.screen.remove_class("-filtering")
        await self.rows.filter("")
        self.list.follow(row)
        self.show_head()

    # --- what the commands do, too ---

    @property
    def subject(self) -> Row | None:
        """The conversation that is meant: the one that is read, or the current one."""
        return self.messages.row if self.messages.has_focus else self.list.current

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except SynmemError as error:
            self.fail(error)
        finally:
            self._writing = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While something is written, nothing else is begun; a question waits for its answer."""
        if action == "other":
            return len(self.screen_stack) == 1
        return not (self._writing and action in _WORKS)

    def action_help(self) -> None:
        """All keys."""
        self.push_screen(Help())

    @work(exclusive=True, group="doing")
    async def action_search(self) -> None:
        """Search in all of it, and read what was found."""
        asked = Search(self.stores, self._sought)
        found = await self.push_screen_wait(asked)
        self._sought = asked.sought
        if found is None:
            return
        key = found.store.label, found.hit.conversation_id
        if not self.list.select(key, tell=False):
            await self._drop_filter()
            self.list.select(key, tell=False)
        row = self.list.current
        if row is None or row.key != key:  # it is not listed yet
            row = Row(ConversationInfo(id=found.hit.conversation_id), found.store)
        self.messages.show(row, found.hit.position)
        self.messages.focus()

    @work(exclusive=True, group="doing")
    async def action_stores(self) -> None:
        """Choose another store."""
        with self._telling():
            there = await asyncio.to_thread(choosing.offers, self.session)
            names = [EVERYWHERE, *((each.name, each.where) for each in there)]
            chosen = await self.push_screen_wait(Choice("Which store?", names))
            if chosen == 0:
                self.open(await asyncio.to_thread(choosing.all_here, self.session))
            elif chosen is not None:
                self.open([choosing.opened(self.session, there[chosen - 1])])

    @work(exclusive=True, group="doing")
    async def action_export(self) -> None:
        """Write the conversation to a file."""
        row = self.subject
        if row is None:
            return
        with self._telling():
            text = "Export to which file? Its ending says the form: .jsonl .json .md .html .csv"
            output = await self.push_screen_wait(Prompt(text, f"{name_of(row.info.id)}.jsonl"))
            if output is None:
                return
            output = os.path.expanduser(output)  # noqa: PTH111 (a last slash stays)
            path = Output(output, None, row.store.profile).path(row.info.id)
            question = f"{path} is there already. Write over it?"
            if path.exists() and not await self.push_screen_wait(Question(question)):
                self.say("nothing was written")
                return
            self._writing = True
            self.say(await doing.export(self.session, row, output))

    @work(exclusive=True, group="doing")
    async def action_copy(self) -> None:
        """The message, or from the list the conversation, to the clipboard."""
        placed, row = self.messages.current, self.subject
        with self._telling():
            if self.messages.has_focus and placed is not None:
                if isinstance(placed.item, Message):
                    text = doing.text_of(placed.item)
                    self.copy_to_clipboard(text)
                    self.say(f"copied the message: {count(len(text), 'character')}")
            elif row is not None:
                text, messages = await doing.whole_text(row)
                self.copy_to_clipboard(text)
                what = f"{count(messages, 'message')}, {count(len(text), 'character')}"
                self.say(f"copied the conversation: {what}")

    @work(exclusive=True, group="doing")
    async def action_delete(self) -> None:
        """Delete the conversation, after a question and a backup."""
        row = self.subject
        if row is None:
            return
        with self._telling():
            removal = await doing.look(self.session, row)
            name = row.store.profile.name if row.store.profile.protected else None
            asked = f"{removal.question}?"
            if name is not None:
                asked += f"\nType the profile's name, {name}, to go on:"
            if not await self.push_screen_wait(Question(asked, name)):
                self.say("not confirmed: nothing was done")
                return
            self._writing = True
            self.say("removing ...")
            said, backup = await doing.remove(self.session, row.store, removal.doomed)
            self._backups[row.store.label] = backup
            self.rows.remove(row)
            self.messages.clear()
            self.list.focus()
            self.list.tell_again()
            self.show_head()
            self.say(said)

    @work(exclusive=True, group="doing")
    async def action_undo(self) -> None:
        """Bring back what was deleted last from the store."""
        row = self.subject
        if row is None and not self.stores:
            return
        store = row.store if row is not None else self.stores[0]
        with self._telling():
            manifest, what = await doing.last_removal(store)
            ours = self._backups.get(store.label) == manifest.id
            if not ours and not await self.push_screen_wait(Question(f"{what}?")):
                self.say("nothing was done")
                return
            self._writing = True
            self.say("bringing back ...")
            said = await doing.undo(self.session, store, manifest)
            await self.action_reload().wait()
            self.say(said)

    async def action_quit(self) -> None:
        """Leave."""
        self.exit()

    def action_interrupt(self) -> None:
        """Leave, as Ctrl-C does everywhere."""
        self.interrupted = True
        self.exit()
