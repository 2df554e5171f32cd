"""aider's chat history: one Markdown file in each repository, of all sessions.

A heading begins a session, a conversation that is called as the time in it, which has no zone; of
several that began in the same second the later ones are numbered. A line that begins with `####` is
the user's, one with `>` aider's own output, and all else the model's: what it says itself in such
lines cannot be told from that. The output stays with the message before it, `output`; that before
the first question are the announcements of the session. A session without a question is none.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from synmem.layouts.heads import BOM, Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import Holds, Message

NAME: Final = "aider"
TITLE: Final = "aider"

HOLDS: Final = Holds(
    fields=frozenset({"role", "content", "extra"}),
    conversation_fields=frozenset({"extra"}),
    own=False,
    extra_of=NAME,
)

_FILE: Final = ".aider.chat.history.md"
_BEGINS: Final = "# aider chat started at "
_HEADING: Final = re.compile(
    "^" + re.escape(_BEGINS) + r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[ \t\r]*$", re.MULTILINE
)
_USER: Final = "#### "
_OWN: Final = "> "


def group(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Each history by itself; a file that is looked at alone may be called otherwise."""
    return {name: (name,) for name in names if name.endswith(_FILE) or len(names) == 1}


def unfold(files: Files) -> dict[str, Told]:
    """The sessions of a file."""
    (data,) = files.data.values()
    text = data.removeprefix(BOM).decode("utf-8", "surrogateescape")
    found: dict[str, Told] = {}
    begun: Counter[str] = Counter()
    for began, lines in _sessions(text):
        begun[began] += 1
        id_ = began if begun[began] == 1 else f"{began} ({begun[began]})"
        found[id_] = _told(lines)
    return found


def _sessions(text: str) -> Iterator[tuple[str, list[str]]]:
    """When each session began, and its lines."""
    headings = [*_HEADING.finditer(text)]
    for index, heading in enumerate(headings):
        is_last = index + 1 == len(headings)
        body = text[heading.end() : None if is_last else headings[index + 1].start()]
        if heading[0].endswith("\r"):
            body = body.replace("\r\n", "\n")
        lines = body.split("\n")
        if is_last and _is_torn(lines[-1]):
            lines.pop()
        yield heading[1], lines


def _is_torn(line: str) -> bool:
    """Whether a line without an end is being written, and whose it is cannot be told yet."""
    marks = (_USER, _OWN, _BEGINS)
    return line.startswith(_BEGINS) or any(mark.startswith(line) for mark in marks)


def _told(lines: Sequence[str]) -> Told:
    """What is said in a session; aider's own output stays with what is before it."""
    announced: list[str] = []
    said: list[tuple[str, str, list[str]]] = []
    for kind, block in _blocks(lines):
        if not said and kind != "user":
            announced.append(block)
        elif kind == "output":
            said[-1][2].append(block)
        else:
            said.append((kind, block, []))
    extra = {NAME: {"announcements": "\n".join(announced)}} if announced else None
    return Told(
        messages=[
            Message(role, text, extra={NAME: {"output": "\n".join(output)}} if output else None)
            for role, text, output in said
        ],
        extra=extra,
    )


def _blocks(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Lines of one kind that follow each other, without their marks; none that is blank."""
    for kind, group_ in groupby(lines, _kind):
        if kind == "assistant":
            text = "\n".join(group_).strip()
        else:
            text = "\n".join(_unmarked(line) for line in group_)
        if text or kind == "user":
            yield kind, text


def _kind(line: str) -> str:
    if not line.startswith(("#", ">")):
        return "assistant"
    if line.startswith(_USER) or line.rstrip() == _USER.rstrip():
        return "user"
    return "output" if line.startswith(_OWN) or line.rstrip() == _OWN.rstrip() else "assistant"


def _unmarked(line: str) -> str:
    """Less the mark, and the two blanks that end each such line."""
    return line.partition(" ")[2].removesuffix("  ") if line.rstrip() not in ("####", ">") else ""


def _misses(head: Head) -> str | None:
    if _HEADING.search(head.text):
        return ""
    return None


SHAPES: Final = {"file": (Folder(group=group, misses=_misses, unfold=unfold, holds=HOLDS),)}
