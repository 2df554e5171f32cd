"""What stands within a paragraph, a heading or a cell of Markdown: emphasis, code, links."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from synmem.cli import render
from synmem.cli.screen.markdown import LABEL, TAIL
from synmem.cli.screen.pieces import Line, Piece
from synmem.cli.screen.styles import CODE, DIM, EMPHASIS, LINK, STRONG

if TYPE_CHECKING:
    from markdown_it.token import Token

IMAGE: Final = "▣ "
"""What stands before the text of an image."""

_STRUCK: Final = "9"
_STYLES: Final = {"em": EMPHASIS, "strong": STRONG, "s": _STRUCK, "link": LINK}


def lines(tokens: "Sequence[Token]", style: str = "") -> list[Line]:
    """The lines of these tokens, in that style and their own. Where there are no colours to tell
    it by, the marks of emphasis and code stay."""
    made = _Lines(style)
    for token in tokens:
        made.take(token)
    return made.lines


class _Lines:
    def __init__(self, style: str) -> None:
        self.lines: list[Line] = [[]]
        self._styles = [style]
        self._links: list[Token] = []
        self._marks = not render.colored()

    def take(self, token: "Token") -> None:
        kind = token.type
        if kind == "softbreak":
            self.lines.append([])
        elif kind == "code_inline":
            self._code(token)
        elif kind == "image":
            self._add(IMAGE, DIM)
            self._add(" ".join(token.content.split("\n")))
            self._tail(token)
        elif token.nesting > 0:
            self._open(token)
        elif token.nesting < 0:
            self._close(token)
        else:
            self._add(token.content)

    def _add(self, text: str, *styles: str) -> None:
        if text:
            self.lines[-1].append(Piece(text, ";".join(filter(None, [*self._styles, *styles]))))

    def _code(self, token: "Token") -> None:
        marks = token.markup if self._marks else ""
        space = " " if marks and "`" in token.content[:1] + token.content[-1:] else ""
        self._add(marks + space + token.content + space + marks, CODE)

    def _open(self, token: "Token") -> None:
        kind = token.type.removesuffix("_open")
        if kind == "link":
            self._links.append(token)
            self._add("<" if token.markup == "autolink" else "", DIM)
        elif self._marks:
            self._add(token.markup)
        self._styles.append(_STYLES.get(kind, ""))

    def _close(self, token: "Token") -> None:
        self._styles.pop()
        if token.type != "link_close":
            self._add(token.markup if self._marks else "")
        elif token.markup == "autolink":
            self._links.pop()
            self._add(">", DIM)
        else:
            self._tail(self._links.pop())

    def _tail(self, token: "Token") -> None:
        """Where a link or image leads, unless its text says just that."""
        tail = token.meta[TAIL]
        if tail != f"({token.meta[LABEL]})":
            self._add(f" {tail}", DIM)
