"""All output: data to stdout, notes and errors to stderr, and the gate before a terminal.

Chat content is hostile. Whatever goes to a terminal passes `visible`, which shows control,
bidi and invisible characters in visible form; nothing stored is ever read as markup.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from synmem.errors import SynmemError
from synmem.hidden import UNSAFE
from synmem.hidden import visible as visible
from synmem.messages import chunks, dump_json

_HIDDEN = re.compile(UNSAFE.pattern.replace("\x0b-\x1f\x7f", "\x7f"))  # not JSON's own newlines
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def visible_line(text: str) -> str:
    """As `visible`, on one line: tabs and newlines are shown as ^I and ^J too."""
    return visible(text).replace("\t", "^I").replace("\n", "^J")


def is_terminal(stream: Any = None) -> bool:
    """Whether a person looks at it: stdout, or the stream given."""
    stream = sys.stdout if stream is None else stream
    return bool(stream.isatty())


def is_dumb() -> bool:
    """Whether the terminal says that it can neither move its cursor nor show colours."""
    return os.environ.get("TERM") == "dumb"


def colored(stream: Any = None) -> bool:
    """Whether stdout, or the stream given, may have colours (NO_COLOR, TERM=dumb, --no-color)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and not is_dumb()


def styled(text: str, codes: str) -> str:
    """A text that passed the gate, in these SGR codes; only where `colored`."""
    return f"\x1b[{codes}m{text}\x1b[0m"


_above: Callable[[bytes], object] | None = None
_away: Callable[[], contextlib.AbstractContextManager[None]] | None = None


@contextlib.contextmanager
def writing_above(
    write_above: Callable[[bytes], object],
    away: Callable[[], contextlib.AbstractContextManager[None]],
) -> Iterator[None]:
    """While something moves on the terminal, what is written to stdout there goes through
    `write_above`; and within `away`, what is said on stderr."""
    global _above, _away
    _above, _away = write_above, away
    try:
        yield
    finally:
        _above = _away = None


def is_taken() -> bool:
    """Whether something moves on the terminal: there is no room for a second."""
    return _above is not None


def write(data: bytes) -> None:
    """Bytes to stdout, as they are."""
    if _above is not None and is_terminal():
        _above(data)
    else:
        write_now(data)


def write_now(data: bytes) -> None:
    """As `write`, whatever moves on the terminal."""
    flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))
        return
    left = memoryview(data)
    with _naming_stdout():
        while left:
            # With PYTHONUNBUFFERED the stream is raw, and takes what a closing pipe still takes.
            left = left[buffer.write(left) :]


def flush() -> None:
    """What was written goes out now: somebody waits for it at the end of the pipe."""
    with _naming_stdout():
        sys.stdout.flush()


@contextlib.contextmanager
def _naming_stdout() -> Iterator[None]:
    """The error of a full disk behind stdout names no file by itself."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or "stdout"
        raise


@contextlib.contextmanager
def paged(wanted: bool = True, *, start: str = "") -> Iterator[Callable[[bytes], object]]:
    """A `write` that goes through the person's pager, on a terminal; else it is `write`.

    As git does it: PAGER (none where it is empty or `cat`), `less` without, and LESS=FRX where
    LESS is not set: what fits on the screen is just printed. `less` opens at `start` (+G, its end)
    where it is the pager. Leaving the pager ends the command quietly.
    """
    pager = _pager() if wanted and is_terminal() and not is_dumb() else None
    if pager is None:
        yield write
        return
    process = _Pager(pager, start if _LESS.fullmatch(pager) else "")
    try:
        yield process.write
    except BrokenPipeError:
        pass  # the person has seen enough
    finally:
        process.leave()
    if process.exit_code in (126, 127):  # how the shell says that there is no such program
        raise SynmemError(f"PAGER is {pager}, which cannot be run", hint="--no-pager, or PAGER=cat")


_LESS: Final = re.compile(r"([\w./+-]*/)?less( -[-\w]+)*")


class _Pager:
    """The pager's process. With a `start` it begins when there is more than the screen holds:
    `less` would not end by itself where it is not at its first line."""

    def __init__(self, pager: str, start: str) -> None:
        self._line = f"{pager} {start}".rstrip()
        self._process: Any = None
        self._held: bytes | None = b""
        if not start:
            self._begin()

    def write(self, data: bytes) -> None:
        if self._held is None:
            self._process.stdin.write(data)
            return
        self._held += data
        if _fills_screen(self._held):
            self._begin()

    def leave(self) -> None:
        """What was held back is printed, or the pager is left to the person."""
        if self._held is not None:
            write(self._held)
        else:
            _leave(self._process)

    @property
    def exit_code(self) -> int:
        return self._process.returncode if self._process else 0

    def _begin(self) -> None:
        import subprocess

        sys.stdout.flush()
        environment = {"LESS": "FRX", "LV": "-c", **os.environ}
        if "LESS" in os.environ:  # the person's own options, which may lack the one for colours
            environment["LESS"] = f"-R {environment['LESS']}"
        self._process = subprocess.Popen(
            self._line, shell=True, stdin=subprocess.PIPE, env=environment
        )
        held, self._held = self._held, None
        if held:
            self._process.stdin.write(held)


def _fills_screen(data: bytes) -> bool:
    """Whether it is more than the screen holds beside the next prompt."""
    import shutil

    from synmem.cli.screen.columns import cells

    columns, rows = shutil.get_terminal_size()
    taken = 0
    for line in data.decode("utf-8", "replace").split("\n"):
        taken += max(1, -(-cells(line) // max(1, columns)))
        if taken > rows:
            return True
    return False


def _pager() -> str | None:
    import shutil

    pager = os.environ.get("PAGER", "less").strip()
    if pager in ("", "cat") or ("PAGER" not in os.environ and not shutil.which("less")):
        return None
    if not _is_command(pager):
        note(f"PAGER is {pager}, which is no program here: printed without")
        return None
    return pager


def _is_command(pager: str) -> bool:
    """Whether the shell will find what this line of it begins with, as far as that can be told."""
    import shlex
    import shutil
    import subprocess

    try:
        words = [word for word in shlex.split(pager) if not re.match(r"[A-Za-z_]\w*=", word)]
    except ValueError:
        return False  # a quotation that does not end
    if not words or not re.fullmatch(r"[\w./+~-]+", words[0]) or shutil.which(words[0]):
        return True
    look = ["/bin/sh", "-c", 'command -v -- "$1"', "sh", words[0]]
    return os.name != "posix" or subprocess.run(look, capture_output=True).returncode == 0


def _leave(process: Any) -> None:
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    while True:
        try:
            process.wait()
            return
        except KeyboardInterrupt:
            continue  # Ctrl-C is the pager's own while it has the screen


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """A table on stdout, for a pipe: through the gate, nothing cut; `screen.tables` are for a
    terminal.

    `right` names the columns of numbers. A cell that is too long for its column pushes the others
    on.
    """
    from synmem.cli.screen.columns import cells, padded, terminal_width

    shown = [[visible_line(cell) for cell in row] for row in rows]
    most = terminal_width() // 2
    widths = [
        min(most, max([cells(column), *(cells(row[i]) for row in shown)]))
        for i, column in enumerate(columns)
    ]
    for some in chunks([columns, *shown], 1000):
        lines = [
            "  ".join(
                padded(cell, widths[i], right=i in right) for i, cell in enumerate(row)
            ).rstrip()
            for row in some
        ]
        write("\n".join([*lines, ""]).encode())


def line(text: str) -> None:
    """A line of data to stdout in UTF-8, exact in a pipe, through the gate on a terminal.

    A lone surrogate, which UTF-8 cannot carry, is written as `\\udXXX`.
    """
    if is_terminal():
        text = visible(text)
    write(text.encode("utf-8", "backslashreplace") + b"\n")


def fields(*texts: str) -> None:
    """A line of fields with tabs between them; inside of them a tab, newline or backslash is
    escaped, as C does it."""
    line("\t".join(text.translate(_ESCAPES) for text in texts))


def json_line(value: Any) -> None:
    """A JSON value on a line of its own, exact characters."""
    write_json(dump_json(value) + b"\n")


def json_indented(value: Any) -> None:
    """As `json_line`; on a terminal over several lines, as a person reads it: the same value."""
    if not is_terminal():
        json_line(value)
        return
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    write_json(text.encode("utf-8", "surrogatepass") + b"\n")


def write_json(data: bytes) -> None:
    """JSON to stdout, as it is; on a terminal hidden characters as escapes: the same value."""
    write(json_for_terminal(data) if is_terminal() else data)


def json_for_terminal(data: bytes) -> bytes:
    """The same JSON, every character that `visible` would show otherwise as its escape."""
    if data.isascii() and b"\x7f" not in data:
        return data  # of ASCII's control characters only DEL stands in JSON as it is
    return _HIDDEN.sub(_escaped, data.decode("utf-8", "surrogatepass")).encode()


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def note(text: str) -> None:
    """A line to stderr, for the person; where stderr takes none (a full disk), the work goes on."""
    note_drawn(fitted(visible(text)))


def hint(text: str) -> None:
    """As `note`, what a person may go on with: dim, and not wrapped, since it may be copied."""
    shown = visible(text)
    note_drawn(styled(shown, "2") if colored(sys.stderr) else shown)


def fitted(text: str, spare: int = 0) -> str:
    """The lines of a text for stderr: on a terminal wrapped at words, `spare` columns left free.

    A command in `backticks`, and a word that is too long for a line, are left to the terminal to
    break: they can be copied whole.
    """
    if not is_terminal(sys.stderr):
        return text
    from synmem.cli.screen.columns import error_width, filled

    return "\n".join(filled(text, error_width() - spare))


def note_drawn(text: str) -> None:
    """Lines to stderr that were made for a terminal: what they show passed the gate."""
    _to_stderr(text.encode("utf-8", "backslashreplace").decode() + "\n")


def _to_stderr(text: str) -> None:
    if _both_go_to_one():
        with contextlib.suppress(OSError):  # who writes to stdout hears of it
            flush()  # each stands where it was said
    try:
        with _away() if _away is not None else contextlib.nullcontext():
            sys.stderr.write(text)
            sys.stderr.flush()
    except OSError:  # there is nowhere else to say it
        drop(2)


def drop(descriptor: int) -> None:
    """Let a stream go that failed: what is still buffered has nowhere to go, and Python's exit
    must not try to write it again and change the exit code."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def error(problem: SynmemError, *, as_json: bool) -> None:
    """An error to stderr: what failed, where, and what to do."""
    _error(problem.kind, str(problem), problem.hint, problem.retryable, as_json=as_json)


def _both_go_to_one() -> bool:
    """Whether stdout and stderr are one: a terminal, or a file or pipe, by 2>&1."""
    if is_terminal() and is_terminal(sys.stderr):
        return True
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no file, or closed
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return False


def note_error(what: str, problem: SynmemError) -> None:
    """A line of an error that does not end the command: what came of it, and what to do."""
    note(f"{what}: {_with_hint(str(problem), problem.hint)}")


def usage_error(problem: Any, *, as_json: bool) -> None:
    """An error of the command line's own parser to stderr."""
    from synmem.cli.refusals import refusal
    from synmem.masking import mask_text

    message, hint = refusal(problem)
    # It quotes what was typed, which may be the address of a store.
    _error("usage", mask_text(message), mask_text(hint), False, as_json=as_json)


def _error(kind: str, message: str, hint: str | None, retryable: bool, *, as_json: bool) -> None:
    if as_json:
        data = {"kind": kind, "message": message, "hint": hint, "retryable": retryable}
        line = dump_json({"error": data})
        if is_terminal(sys.stderr):
            line = json_for_terminal(line)
        _to_stderr(line.decode() + "\n")
        return
    note(_with_hint(f"synmem: {' '.join(message.splitlines())}", hint))


def _with_hint(message: str, hint: str | None) -> str:
    return f"{message} ({hint})" if hint else message
