"""Markdown to read: a heading a conversation, one a message with its role, and what was said as a
quotation under it.

Content is Markdown already (models write it), so it stays Markdown; as a quotation its headings,
fences and rules stay inside, even those it never closes, and nothing in it can pass for the next
message. HTML outside of code is escaped. A conversation that is alone in its file has its id,
title, times and count in front matter (YAML), of several each has them below its heading. Metadata
and extra are not written.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from synmem.formats.facts import facts, time
from synmem.hidden import UNSAFE
from synmem.messages import (
    Conversation,
    Message,
    dump_json,
    flat_call,
    format_time,
    parts_beside_calls,
)
from synmem.store import ConversationInfo

_LINE_END: Final = re.compile("\r\n|\r|\n")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_CODE_SPAN: Final = re.compile(r"((?<!`)(`+)(?!`).*?(?<!`)\2(?!`))")
_CONTAINER: Final = re.compile(r"[ \t]*(?:[-+*](?:[ \t]|$)|\d{1,9}[.)](?:[ \t]|$)|>)")
# All but an address, <https://...>; one with a backtick in it would take that from a code span.
_TAG: Final = re.compile(r"<(?=\S)(?![A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>`]*>)")
_LONG_LINE: Final = 10_000  # runs of backticks take quadratic time to pair
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|&~!$])")
_UNQUOTED: Final = re.compile(rf'["\\\n\t]|{UNSAFE.pattern}')
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Writer:
    """A heading a conversation; a heading and a quotation a message."""

    def __init__(self) -> None:
        self._behind = ""
        self._info: ConversationInfo | None = None
        self._alone = False

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def listed(self, info: ConversationInfo, *, alone: bool) -> None:
        """See `TakesListing.listed`."""
        self._info, self._alone = info, alone

    def conversation(self, conversation: Conversation) -> bytes:
        """The heading: the title, or the id; above or below it what else is known."""
        title = _one_line(conversation.title or "")
        name = _one_line(conversation.id) or "(blank)"
        info = self._info or ConversationInfo(id=conversation.id)
        text = f"{self._behind}# {title or name}\n"
        if self._alone and not self._behind:
            text = _front_matter(conversation, info) + text
        else:
            words = [*([f"id: {name}"] if title else []), *facts(info)]
            text += f"\n{', '.join(words)}\n" if words else ""
        self._behind, self._info = "\n", None
        return _encode(text)

    def messages(self, messages: Sequence[Message]) -> bytes:
        """The quotations."""
        return _encode("".join(_message(message) for message in messages))

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _front_matter(conversation: Conversation, info: ConversationInfo) -> str:
    """What a program reads of the file; a line each, whatever the values hold."""
    lines = [f"id: {_yaml(conversation.id)}"]
    if conversation.title:
        lines.append(f"title: {_yaml(conversation.title)}")
    for key, moment in (("first_at", info.first_at), ("last_at", info.last_at)):
        if moment is not None:
            lines.append(f"{key}: {format_time(moment)}")
    if info.messages is not None:
        lines.append(f"messages: {info.messages}")
    return "\n".join(["---", *lines, "---", "", ""])


def _yaml(text: str) -> str:
    """The text as a quoted scalar on one line, in YAML's own escapes."""
    return '"' + _UNQUOTED.sub(lambda match: _escape(match[0]), text) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        return "\ufffd"  # it has no place in UTF-8, and no escape in YAML
    if character in '"\\':
        return "\\" + character
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _message(message: Message) -> str:
    head = f"## {_one_line(message.role.capitalize()) or '(no role)'}"
    if message.name:
        head += f" ({_one_line(message.name)})"
    if message.created_at is not None:
        head += f" {time(message.created_at)}"
    blocks = [list(_shown_lines(message.content))]
    lines = list(_other_parts(parts_beside_calls(message)))
    for call in message.tool_calls or []:
        lines += ["", *_tool_call(call)]
    fence = _Fences(_LINE_END.split(message.content)).open
    if lines and fence is None:
        blocks.append(lines)  # whatever the content left open ends with its quotation
    else:
        blocks[0] += [*([fence] if fence and lines else []), *lines]
    if message.tool_call_id:
        blocks[0] = [f"answers {_one_line(message.tool_call_id)}", "", *blocks[0]]
    quotations = "\n\n".join(
        "\n".join(f"> {line}" if line else ">" for line in block) for block in blocks
    )
    return f"\n{head}\n\n{quotations}\n"


def _shown_lines(content: str) -> Iterator[str]:
    """The content's lines, HTML outside of code escaped."""
    lines = _LINE_END.split(content)
    fenced = _Fences(lines).code
    # Where a code span may reach over its line, `<` is escaped in all: better ugly than obeyed.
    sure = not any(
        len(line) > _LONG_LINE or "`" in _CODE_SPAN.sub("", line) or r"\`" in line
        for line, code in zip(lines, fenced, strict=True)
        if not code
    )
    for line, code in zip(lines, fenced, strict=True):
        yield line if code or "<" not in line else _escape_html(line, spans=sure)


class _Fences:
    """Which lines of a content belong to fenced blocks, as far as that is sure.

    A fence that is not set in begins a block of its own, wherever it stands. One that is set in,
    behind a list or a quotation, may belong to one of these and end with it: to know it, all of
    CommonMark would have to be known. From there on no line counts as code.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.code: list[bool] = []
        """For each line, whether it is certainly code, or the fence of it."""
        self.open: str | None = ""
        """The fence that is still open behind the last line, "" if none; None: it is not sure."""
        contained = False
        for line in lines:
            found = _FENCE.match(line)
            contained = contained or _CONTAINER.match(line) is not None
            if self.open is None:
                self.code.append(False)
            elif self.open:
                self.code.append(True)
                if found and found[1].startswith(self.open) and not found[2].strip(" \t"):
                    self.open = ""
            elif found and _opens(found):
                sure = not contained or not line.startswith(" ")
                self.open = found[1] if sure else None
                self.code.append(sure)
            else:
                self.code.append(False)


def _opens(found: re.Match[str]) -> bool:
    return not (found[1][0] == "`" and "`" in found[2])


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
    call = flat_call(call)
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


def _encode(text: str) -> bytes:
    return _SURROGATE.sub("\ufffd", text).encode()
