"""Questions at the foot of the screen, which must be answered before anything else is done."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from synmem.cli.browsing.keys import HELP, Footer, Keys
from synmem.cli.browsing.lines import Line
from synmem.cli.browsing.rowed import Rowed
from synmem.cli.render import visible, visible_line
from synmem.cli.screen.columns import cells, cut
from synmem.cli.screen.pieces import Piece
from synmem.cli.screen.styles import DIM


class Question(ModalScreen[bool]):
    """Yes or no; where a `word` is asked for, only that is yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,enter", "answer(False)", show=False),
        Binding("escape", "answer(False)", show=False),
    ]

    def __init__(self, text: str, word: str | None = None) -> None:
        super().__init__()
        self._text = text
        self._word = word

    def compose(self) -> ComposeResult:
        """What is asked."""
        keys: Keys = (("y", "yes"), ("n", "no"))
        with Vertical(classes="dialog"):
            yield Static(Content(visible(self._text)))
            if self._word is not None:
                yield Input(compact=True)
                keys = (("enter", "go on"), ("esc", "no"))
            yield Footer(keys)

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        self.dismiss(event.value == self._word)

    def action_answer(self, answer: bool) -> None:
        """That is the answer."""
        self.dismiss(answer)


class Prompt(ModalScreen[str | None]):
    """A line of text; None where it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, text: str, value: str = "") -> None:
        super().__init__()
        self._text = text
        self._value = value

    def compose(self) -> ComposeResult:
        """What is asked, and what is answered, unless it is changed."""
        with Vertical(classes="dialog"):
            yield Static(Content(visible(self._text)))
            yield Input(self._value, compact=True, select_on_focus=False)
            yield Footer((("enter", "go on"), ("esc", "not")))

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)

    def action_leave(self) -> None:
        """Nothing is answered."""
        self.dismiss(None)


class Help(ModalScreen[None]):
    """All keys, with a sentence for each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "leave", show=False)
    ]

    def compose(self) -> ComposeResult:
        """The sentences."""
        with Vertical(classes="dialog"):
            yield Static(Content.assemble(*self._lines()))
            yield Footer((("esc", "back"),))

    def _lines(self) -> list[tuple[str, str]]:
        pairs = []
        for key, what in HELP:
            pairs += [(f"{key:>9}  ", "bold"), (f"{what}\n", "")]
        return pairs

    def action_leave(self) -> None:
        """Back to the conversations."""
        self.dismiss(None)


class Choices(Rowed):
    """A list to choose from: each a name, and what is to be said of it."""

    def __init__(self, choices: list[tuple[str, str]]) -> None:
        super().__init__("choices")
        self.choices = choices

    def count(self) -> int:
        """See `Rowed.count`."""
        return len(self.choices)

    def line(self, number: int, part: int, width: int) -> Line:
        """The name, and the rest as far as there is room."""
        name, rest = self.choices[number]
        name = cut(visible_line(name), width)
        return [
            Piece(name),
            Piece(cut("  " + visible_line(rest), max(0, width - cells(name))), DIM),
        ]


class Choice(ModalScreen[int | None]):
    """One of several; None where none is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", show=False)]

    def __init__(self, text: str, choices: list[tuple[str, str]]) -> None:
        super().__init__()
        self._text = text
        self._choices = choices

    def compose(self) -> ComposeResult:
        """The names, one a line."""
        with Vertical(classes="dialog tall"):
            yield Static(Content(self._text))
            yield Choices(self._choices)
            yield Footer((("↑↓", "move"), ("enter", "open"), ("esc", "back")))

    def on_mount(self) -> None:
        """It is there to be moved in."""
        choices = self.query_one(Choices)
        choices.styles.height = min(len(self._choices), max(3, self.size.height - 4))
        choices.focus()

    @on(Rowed.Opened)
    def _chosen(self, event: Rowed.Opened) -> None:
        event.stop()
        self.dismiss(event.rowed.cursor)

    def action_leave(self) -> None:
        """None of them."""
        self.dismiss(None)
