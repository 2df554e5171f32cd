"""Markdown as tokens, of which no character of the text is missing.

CommonMark's rules, with tables and strikethrough, but where they swallow what was written: HTML is
text, an entity (`&lt;`) and a definition (`[a]: http://x`) stay as they were typed, the backslash
of LaTeX (`\\(`) stays too and goes only in front of what would be a mark, and a link or image keeps
what stands behind its text. Line breaks stay, and so do the spaces that begin a line.
"""

import functools
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import table
from markdown_it.rules_block.table import escapedSplit
from markdown_it.rules_inline import image, link

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

ESCAPED: Final = frozenset("*_`#~|")
"""What a backslash makes a character of, and no mark: the backslash itself is then not shown."""

TAIL: Final = "tail"
"""The key of a link's or image's token: what stands behind its text, `(http://x "title")`."""
LABEL: Final = "label"
"""The key of the same: its text as it was typed."""
ROWS: Final = "rows"
"""The key of a table's token: its lines as they were typed."""
UNEVEN: Final = "uneven"
"""The key of the same: whether a row has more cells than the head, which Markdown drops."""

_DEEPEST: Final = 40
_LONGEST: Final = 50_000
_MOST_BRACKETS: Final = 2_000
_WIDEST_TABLE: Final = 40
_PUNCTUATION: Final = frozenset(r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""")


def parsed(text: str) -> "list[Token] | None":
    """The tokens of a text that passed the gate; None where it is too long, or nested too deeply,
    to be Markdown that somebody wrote, or would take seconds."""
    if len(text) > _LONGEST or text.count("[") > _MOST_BRACKETS:
        return None
    tokens = _parser().parse(text)
    if any(token.level >= _DEEPEST - 2 for token in tokens):
        return None  # what lies deeper was passed over
    return tokens


class _Parser(MarkdownIt):
    """Addresses are not changed: they are shown as they were typed."""

    def normalizeLink(self, url: str) -> str:
        return url

    def normalizeLinkText(self, link: str) -> str:
        return link


@functools.cache
def _parser() -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": _DEEPEST}
    parser = _Parser("commonmark", options).enable(["table", "strikethrough"])
    parser.disable(["entity", "reference"])
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    for name, rule in (
        ("newline", _newline), ("escape", _escape), ("link", _link), ("image", _image),
    ):  # fmt: skip
        parser.inline.ruler.at(name, rule)
    return parser


def _newline(state: "StateInline", silent: bool) -> bool:
    """A line break; the spaces behind it are text."""
    if state.src[state.pos] != "\n":
        return False
    if not silent:
        state.pending = state.pending.rstrip(" ")
        state.push("softbreak", "br", 0)
    state.pos += 1
    return True


def _escape(state: "StateInline", silent: bool) -> bool:
    """A backslash, and a character that is no mark."""
    escaped = state.src[state.pos : state.pos + 2]
    if len(escaped) < 2 or escaped[0] != "\\" or escaped[1] not in _PUNCTUATION:
        return False
    if not silent:
        token = state.push("text_special", "", 0)
        token.content = escaped[1] if escaped[1] in ESCAPED else escaped
        token.markup = escaped
        token.info = "escape"
    state.pos += 2
    return True


def _link(state: "StateInline", silent: bool) -> bool:
    start, before = state.pos, len(state.tokens)
    if not link(state, silent):
        return False
    if not silent:
        opened = next(each for each in state.tokens[before:] if each.type == "link_open")
        _remember(state, opened, start, start)
    return True


def _image(state: "StateInline", silent: bool) -> bool:
    start = state.pos
    if not image(state, silent):
        return False
    if not silent:
        _remember(state, state.tokens[-1], start, start + 1)
    return True


def _remember(state: "StateInline", token: "Token", start: int, bracket: int) -> None:
    """Give a link or image its text and its tail as they were typed."""
    end = state.pos
    close = state.md.helpers.parseLinkLabel(state, bracket, start == bracket)
    token.meta[LABEL] = state.src[bracket + 1 : close]
    token.meta[TAIL] = " ".join(state.src[close + 1 : end].split("\n"))


def _table(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    before = len(state.tokens)
    if not table(state, start, end, silent):
        return False
    if not silent:
        places = range(start, state.line)
        rows = [state.src[state.bMarks[i] + state.tShift[i] : state.eMarks[i]] for i in places]
        sizes = [_cells(row) for i, row in enumerate(rows) if i != 1]
        opened = state.tokens[before]
        opened.meta[ROWS] = rows
        opened.meta[UNEVEN] = max(sizes) > sizes[0] or sizes[0] > _WIDEST_TABLE
    return True


def _cells(row: str) -> int:
    """How many cells the row of a table has."""
    found = escapedSplit(row.strip())
    return len(found) - (found[0] == "") - (len(found) > 1 and found[-1] == "")
