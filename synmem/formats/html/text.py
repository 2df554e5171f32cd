"""Text as HTML that shows every character of it.

Markdown keeps its marks: what they mean is shown by how it looks. The text of the HTML is the text
that went in, but for hidden characters, which are put in visible form.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from synmem.hidden import UNSAFE, shown, visible

_HIDDEN: Final = re.compile(f"\r(?=\n)|{UNSAFE.pattern}")
_MARKS: Final = re.compile(r"[`*#|~]")
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE: Final = re.compile(r"[ \t>]*(`{3,}|~{3,})([^\n]*)")
_HEADING: Final = re.compile(r" {0,3}#{1,6} ")
_ROW: Final = re.compile(r"[ \t]*\|.*\|[ \t]*$")
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)|\*\*(?=[^\s*])([^*\n]+)(?<=\S)\*\*")
_LONG_LINE: Final = 5_000  # no prose: it stays as it is


def plain(text: str) -> str:
    """The text, for the inside of an element."""
    escaped = escape(text)
    if escaped.isascii() and escaped.isprintable():
        return escaped
    return _HIDDEN.sub(_shown, escaped)


def attribute(text: str) -> str:
    """The text, for an attribute in double quotes."""
    return escape(visible(text))


def line(text: str, most: int = 300) -> str:
    """The beginning of the text, on one line."""
    text = " ".join(text[: most * 4].split())
    return plain(text if len(text) <= most else text[: most - 1] + "…")


def _shown(match: re.Match[str]) -> str:
    if match[0] == "\r" and match.string.startswith("\n", match.end()):
        return "&#13;"
    instead = shown(match)
    return instead if instead == match[0] else f'<i class="h">{escape(instead)}</i>'


def markdown(text: str) -> str:
    """The text, which may be Markdown."""
    if not _MARKS.search(text):
        return plain(text)
    return "".join(_blocks(_LINE.findall(text)))


def code(text: str) -> str:
    """The text as a block of code."""
    return f'<div class="code"><code>{plain(text)}</code></div>'


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence and not (fence[1][0] == "`" and "`" in fence[2]):
            end = _closing(lines, at + 1, fence[1])
            yield _fenced(lines[at:end], fence[1])
        elif _ROW.match(lines[at]) and len(lines[at]) <= _LONG_LINE:
            end = _behind_rows(lines, at)
            yield f'<div class="code">{plain("".join(lines[at:end]))}</div>'
        else:
            end = at + 1
            yield _prose(lines[at])
        at = end


def _closing(lines: Sequence[str], at: int, fence: str) -> int:
    """The line behind the one that closes the fence; behind the last where none does."""
    for number in range(at, len(lines)):
        found = _FENCE.match(lines[number])
        if found and found[1].startswith(fence) and not found[2].strip():
            return number + 1
    return len(lines)


def _fenced(lines: Sequence[str], fence: str) -> str:
    last = _FENCE.match(lines[-1]) if len(lines) > 1 else None
    closed = last is not None and last[1].startswith(fence) and not last[2].strip()
    inner = lines[1:-1] if closed else lines[1:]
    text = f'<div class="code"><span class="f">{plain(lines[0])}</span>'
    text += f"<code>{plain(''.join(inner))}</code>"
    return text + (f'<span class="f">{plain(lines[-1])}</span></div>' if closed else "</div>")


def _behind_rows(lines: Sequence[str], at: int) -> int:
    while at < len(lines) and len(lines[at]) <= _LONG_LINE and _ROW.match(lines[at]):
        at += 1
    return at


def _prose(one: str) -> str:
    if len(one) > _LONG_LINE or not _MARKS.search(one):
        return plain(one)
    # No mark stands in what escaping makes: what is put around is never put around half of it.
    inner = _INLINE.sub(_emphasis, plain(one))
    return f'<b class="hd">{inner}</b>' if _HEADING.match(one) else inner


def _emphasis(match: re.Match[str]) -> str:
    if match[1] is not None:
        return f"<code>{match[0]}</code>"
    return f"<strong>{match[0]}</strong>"
