"""Markdown to read: a heading a conversation, and each message as a quotation under its role.

Content is Markdown already (models write it), so it stays Markdown; as a quotation its headings,
fences and rules stay inside, even those it never closes, and nothing in it can pass for the next
message. HTML outside of code is escaped. Metadata and extra are not written.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from synmem.messages import Conversation, Message, dump_json

_LINE_END: Final = re.compile("\r\n|\r|\n")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_CODE_SPAN: Final = re.compile(r"((?<!`)(`+)(?!`).*?(?<!`)\2(?!`))")
_TAG: Final = re.compile(r"<(?=[A-Za-z/!?])(?![A-Za-z][A-Za-z0-9+.-]{1,31}:)")
_LONG_LINE: Final = 10_000  # runs of backticks take quadratic time to pair
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|&~!$])")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Writer:
    """A heading a conversation, a quotation a message."""

    def __init__(self) -> None:
        self._behind = ""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def conversation(self, conversation: Conversation) -> bytes:
        """The heading: the title, with the id below it, or the id."""
        title = _one_line(conversation.title or "")
        name = _one_line(conversation.id) or "(blank)"
        text = f"{self._behind}# {title or name}\n"
        if title:
            text += f"\nid: {name}\n"
        self._behind = "\n"
        return _encode(text)

    def messages(self, messages: Sequence[Message]) -> bytes:
        """The quotations."""
        return _encode("".join(_message(message) for message in messages))

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _message(message: Message) -> str:
    head = f"**{_one_line(message.role.capitalize()) or '(no role)'}**"
    if message.name:
        head += f" ({_one_line(message.name)})"
    if message.created_at is not None:
        head += f" {_time(message.created_at)}"
    lines = [*_shown_lines(message.content), *_other_parts(message.parts or [])]
    for call in message.tool_calls or []:
        lines += ["", *_tool_call(call)]
    if message.tool_call_id:
        lines = [f"answers {_one_line(message.tool_call_id)}", "", *lines]
    quotation = "\n".join(f"> {line}" if line else ">" for line in lines)
    return f"\n{head}\n\n{quotation}\n"


def _shown_lines(content: str) -> Iterator[str]:
    """The content's lines, HTML outside of code escaped."""
    lines = _LINE_END.split(content)
    fenced = list(_fenced(lines))
    # Where a code span may reach over its line, `<` is escaped in all: better ugly than obeyed.
    sure = not any(
        len(line) > _LONG_LINE or "`" in _CODE_SPAN.sub("", line) or r"\`" in line
        for line, code in zip(lines, fenced, strict=True)
        if not code
    )
    for line, code in zip(lines, fenced, strict=True):
        yield line if code or "<" not in line else _escape_html(line, spans=sure)


def _fenced(lines: Sequence[str]) -> Iterator[bool]:
    """Whether each line belongs to a fenced block."""
    fence = ""
    for line in lines:
        found = _FENCE.match(line)
        yield bool(fence) or _opens(found)
        if not fence and found and _opens(found):
            fence = found[1]
        elif fence and found and found[1].startswith(fence) and not found[2].strip():
            fence = ""


def _opens(found: re.Match[str] | None) -> bool:
    return found is not None and not (found[1][0] == "`" and "`" in found[2])


def _escape_html(line: str, *, spans: bool) -> str:
    if not spans:
        return _TAG.sub("&lt;", line)
    pieces = _CODE_SPAN.split(line)  # text, span, its backticks, text, ...
    return "".join(
        _TAG.sub("&lt;", piece) if i % 3 == 0 else piece
        for i, piece in enumerate(pieces)
        if i % 3 != 2
    )


def _other_parts(parts: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each part that is not text: its kind."""
    for part in parts:
        kind = part.get("type")
        if kind != "text":
            yield ""
            yield f"({_one_line(str(kind or 'part'))})"


def _tool_call(call: dict[str, Any]) -> Iterator[str]:
    """The call's name and id, and its arguments in a fence that they cannot end."""
    name = _one_line(str(call.get("name", ""))) or "(no name)"
    yield f"calls {name}" + (f" ({_one_line(str(call['id']))})" if call.get("id") else "")
    arguments = call.get("arguments")
    text = arguments if isinstance(arguments, str) else dump_json(arguments).decode()
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from ("", fence + "json", *_LINE_END.split(text), fence)


def _one_line(text: str) -> str:
    """Text that is only text, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _encode(text: str) -> bytes:
    return _SURROGATE.sub("\ufffd", text).encode()
