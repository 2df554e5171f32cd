"""Markdown as lines for a terminal: wrapped at words, code by character, no character lost.

What is not shown is only the marks of what was rendered: of emphasis, code, fences, quotations and
tables, and the address of a link whose text is the same. Headings, bullets and numbers stay as they
were typed. What is no Markdown that somebody wrote (50,000 characters, or nested 19 levels deep)
is wrapped as plain text.
"""

import re
from typing import TYPE_CHECKING, Final

from synmem.cli import render
from synmem.cli.screen import inline
from synmem.cli.screen.grid import Grid
from synmem.cli.screen.markdown import ROWS, UNEVEN, parsed
from synmem.cli.screen.pieces import Line, Piece, drawn, folded_line, wrapped
from synmem.cli.screen.styles import DIM, STRONG

if TYPE_CHECKING:
    from markdown_it.token import Token

BAR: Final = "│ "
"""What stands before each line of a quotation."""
RULE: Final = "─"

_LEAST_TEXT: Final = 12
_INWARD: Final = "  "
_BLANK: Final = re.compile(r"[ >]*")
_UNDERLINE: Final = re.compile(r"(=+|-+) *$")
_CLOSING: Final = re.compile(r" (#+) *$")
_BLOCKS: Final = frozenset({
    "paragraph_open", "heading_open", "blockquote_open", "bullet_list_open", "ordered_list_open",
    "list_item_open", "fence", "code_block", "hr", "table_open",
})  # fmt: skip


def prose(text: str, width: int) -> list[str]:
    """The lines of a text as it is stored, which passes the gate here; each fits the width, as far
    as a character does."""
    return [drawn(line) for line in rendered(shown(text), width)]


def shown(text: str) -> str:
    """The text through the gate; tabs are spaces, and lines end as they do here."""
    return render.visible(text.replace("\r\n", "\n")).expandtabs(4)


def plain(text: str, width: int) -> list[Line]:
    """The lines of a text that passed the gate and is no Markdown."""
    return [part for line in text.split("\n") for part in wrapped([Piece(line)], width)]


def rendered(text: str, width: int) -> list[Line]:
    """As `prose`, of a text that passed the gate, with the styles apart."""
    tokens = parsed(text)
    if tokens is None:
        return plain(text, width)
    page = _Page(text.split("\n"), width)
    for token in tokens:
        page.take(token)
    return page.lines


class _Container:
    """A quotation or an item of a list: what stands before its first line, and before the rest."""

    def __init__(self, first: Piece, rest: Piece) -> None:
        self._first: Piece | None = first
        self.rest = rest

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it was printed."""
        return self._first is not None

    def next(self) -> Piece:
        piece, self._first = self._first or self.rest, None
        return piece


class _Page:
    """The lines so far, and the containers that are open."""

    def __init__(self, source: list[str], width: int) -> None:
        self.lines: list[Line] = []
        self._source = source
        self._width = width
        self._open: list[_Container] = []
        self._begun = -1
        self._heading: Token | None = None
        self._table: Grid | None = None
        self._source_rows: list[str] | None = None
        self._marks = not render.colored()

    def take(self, token: "Token") -> None:
        """The next token."""
        if token.type in _BLOCKS and token.map:
            self._space(token.map[0])
        if taking := getattr(self, f"_take_{token.type}", None):
            taking(token)

    def _space(self, line: int) -> None:
        """An empty line where one stands before the block that begins at this line."""
        if line > max(self._begun, 0) and _BLANK.fullmatch(self._source[line - 1]) and self.lines:
            self.lines.append([Piece(BAR, DIM) for each in self._fitting() if each.rest.style])
        self._begun = max(self._begun, line)

    # --- containers -------------------------------------------------------------------------

    def _take_blockquote_open(self, token: "Token") -> None:
        self._open.append(_Container(Piece(BAR, DIM), Piece(BAR, DIM)))

    def _take_blockquote_close(self, token: "Token") -> None:
        self._open.pop()

    def _take_list_item_open(self, token: "Token") -> None:
        marker = f"{token.info}{token.markup} "
        self._open.append(_Container(Piece(marker), Piece(" " * len(marker))))

    def _take_list_item_close(self, token: "Token") -> None:
        if self._open[-1].is_empty:
            self._print([[]])
        self._open.pop()

    def _fitting(self) -> list[_Container]:
        """The innermost containers, as many as leave the text room."""
        most = max(self._width - _LEAST_TEXT, self._width // 3)
        fitting: list[_Container] = []
        for each in reversed(self._open):
            most -= len(each.rest.text)
            if most < 0:
                break
            fitting.insert(0, each)
        return fitting

    def _room(self) -> int:
        """How wide a line may be, behind what stands before it."""
        return self._width - sum(len(each.rest.text) for each in self._fitting())

    def _print(self, lines: list[Line], *, code: bool = False) -> None:
        """Lines within the containers, broken as they must be."""
        fitting = self._fitting()
        outer = self._open[: len(self._open) - len(fitting)]
        # The bullets of what has no room of its own stand in the text.
        before = [each.next() for each in outer if each.is_empty]
        for line in lines:
            for part in (folded_line if code else wrapped)([*before, *line], self._room()):
                self.lines.append([*(each.next() for each in fitting), *part])
            before = []

    # --- blocks -----------------------------------------------------------------------------

    def _take_heading_open(self, token: "Token") -> None:
        self._heading = token

    def _take_heading_close(self, token: "Token") -> None:
        self._heading = None

    def _take_inline(self, token: "Token") -> None:
        children = token.children or []
        if self._table is not None:
            style = "" if len(self._table.rows) > 1 else STRONG
            self._table.rows[-1].append(inline.lines(children, style)[0])
        elif self._heading is None:
            self._print(inline.lines(children))
        else:
            self._print(self._headed(self._heading, inline.lines(children, STRONG)))

    def _headed(self, heading: "Token", lines: list[Line]) -> list[Line]:
        """A heading's lines with its marks, which tell its level."""
        assert heading.map
        last = self._source[heading.map[1] - 1]
        if heading.markup.startswith("#"):
            lines[0].insert(0, Piece(f"{heading.markup} ", DIM))
            if closing := _CLOSING.search(last.partition(heading.markup)[2]):
                lines[-1].append(Piece(f" {closing[1]}", DIM))
        elif underline := _UNDERLINE.search(last):
            lines.append([Piece(underline[1], DIM)])
        return lines

    def _take_fence(self, token: "Token") -> None:
        mark = token.markup if self._marks else ""
        head = mark + token.info.strip()
        if head:
            self._print([[Piece(head, DIM)]], code=True)
        self._code(token, "")
        if mark and (end := self._end_of(token)):
            self._print([[Piece(end, DIM)]], code=True)

    def _end_of(self, fence: "Token") -> str:
        """The mark that closes it, as it was typed; none where nothing does."""
        assert fence.map
        start, end = fence.map
        if fence.content.removesuffix("\n").count("\n") + bool(fence.content) == end - start - 1:
            return ""
        return self._source[end - 1].strip(" >")

    def _take_code_block(self, token: "Token") -> None:
        self._code(token, "    ")

    def _code(self, block: "Token", indent: str) -> None:
        """Its lines, behind this indent where marks are shown; else they stand a little inward, in
        no colour: none is readable over many lines on each terminal."""
        lines = block.content.removesuffix("\n").split("\n") if block.content else []
        if self._marks:
            self._print([[Piece(indent + line)] for line in lines], code=True)
            return
        self._open.append(_Container(Piece(_INWARD), Piece(_INWARD)))
        self._print([[Piece(line)] for line in lines], code=True)
        self._open.pop()

    def _take_hr(self, token: "Token") -> None:
        self._print([[Piece(RULE * self._room(), DIM)]])

    # --- tables -----------------------------------------------------------------------------

    def _take_table_open(self, token: "Token") -> None:
        self._table = Grid()
        self._source_rows = token.meta[ROWS] if token.meta[UNEVEN] else None

    def _take_tr_open(self, token: "Token") -> None:
        assert self._table
        self._table.rows.append([])

    def _take_th_open(self, token: "Token") -> None:
        assert self._table
        self._table.aligned.append(str(token.attrs.get("style", "")).partition(":")[2])

    def _take_table_close(self, token: "Token") -> None:
        assert self._table
        if self._source_rows is not None:
            self._print([[Piece(row)] for row in self._source_rows])
        else:
            self._print(self._table.lines(self._room()))
        self._table = None
