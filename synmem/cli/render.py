"""All output: data to stdout, notes and errors to stderr, and the gate before a terminal.

Chat content is hostile. Whatever goes to a terminal passes `visible`, which shows control,
bidi and invisible characters in visible form; nothing stored is ever read as markup.
"""

import os
import re
import sys
from typing import Any

from synmem.errors import SynmemError
from synmem.messages import dump_json

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0"
    "\ufff0-\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Left as they are, because ordinary text needs them: the joiners of emoji and of Indic and
# Persian words (U+200C, U+200D) between visible characters, and U+FE0F, the emoji style.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    """The text, fit for a terminal: ESC as ^[, other hidden characters as <U+202E>."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_shown, text)


def visible_line(text: str) -> str:
    """As `visible`, on one line: tabs and newlines are shown as ^I and ^J too."""
    return visible(text).replace("\t", "^I").replace("\n", "^J")


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if code < 0x20:
        return "^" + chr(code + 0x40)
    if code == 0x7F:
        return "^?"
    if character in _JOINERS:
        before = match.string[match.start() - 1 : match.start()]
        after = match.string[match.end() : match.end() + 1]
        if before > "\x7f" and after > "\x7f" and not _UNSAFE.match(after):
            return character
    return f"<U+{code:04X}>"


def is_terminal(stream: Any = None) -> bool:
    """Whether a person looks at it: stdout, or the stream given."""
    stream = sys.stdout if stream is None else stream
    return bool(stream.isatty())


def colored() -> bool:
    """Whether stdout may have colours (NO_COLOR, TERM=dumb, --no-color)."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write(data: bytes) -> None:
    """Bytes to stdout, as they are."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))
    else:
        buffer.write(data)


def line(text: str) -> None:
    """A line of data to stdout in UTF-8, exact in a pipe, through the gate on a terminal.

    A lone surrogate, which UTF-8 cannot carry, is written as `\\udXXX`.
    """
    if is_terminal():
        text = visible(text)
    write(text.encode("utf-8", "backslashreplace") + b"\n")


def json_line(value: Any) -> None:
    """A JSON value on a line of its own, exact characters."""
    write(dump_json(value) + b"\n")


def note(text: str) -> None:
    """A line to stderr, for the person."""
    shown = visible(text)
    sys.stderr.write(shown.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stderr.flush()


def error(problem: SynmemError, *, as_json: bool) -> None:
    """An error to stderr: what failed, where, and what to do."""
    _error(problem.kind, str(problem), problem.hint, problem.retryable, as_json=as_json)


def usage_error(problem: Any, *, as_json: bool) -> None:
    """An error of the command line's own parser to stderr."""
    name = problem.ctx.command_path if getattr(problem, "ctx", None) else "synmem"
    if type(problem).__name__ == "NoArgsIsHelpError":
        note(problem.format_message())
        return
    _error("usage", problem.format_message(), f"`{name} --help`", False, as_json=as_json)


def _error(kind: str, message: str, hint: str | None, retryable: bool, *, as_json: bool) -> None:
    if as_json:
        data = {"kind": kind, "message": message, "hint": hint, "retryable": retryable}
        sys.stderr.write(dump_json({"error": data}).decode() + "\n")
        return
    note(f"synmem: {' '.join(message.splitlines())}" + (f" ({hint})" if hint else ""))
