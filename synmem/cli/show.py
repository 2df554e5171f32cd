"""`synmem show`: the messages of a conversation."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import count
from synmem.errors import UsageError

if TYPE_CHECKING:
    from synmem.messages import JSONObject, Message
    from synmem.operations.show import Filter, Item, Reading

FORMATS = ("pretty", "text", "markdown", "json", "jsonl")
_COLORS = {"user": "1;36", "assistant": "1;32", "system": "1;35", "developer": "1;35"}
_DIM = "2"

ConversationArgument = Annotated[
    str,
    typer.Argument(metavar="CONVERSATION", help="Its id.", autocompletion=completing.conversations),
]
LastOption = Annotated[int | None, typer.Option("--last", metavar="N", help="The newest N.")]
FirstOption = Annotated[int | None, typer.Option("--first", metavar="N", help="The oldest N.")]
RoleOption = Annotated[
    list[str] | None,
    typer.Option("--role", "-r", metavar="ROLE", help="Only of this role; may be repeated."),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="At this time or later: 2h, 2026-11-21."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Before this time.")
]
FollowOption = Annotated[bool, typer.Option("--follow", help="Go on with what arrives.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", "-f", metavar="NAME",
        help="pretty (on a terminal), text (in a pipe), markdown, json or jsonl.",
    ),
]  # fmt: skip
NoPagerOption = Annotated[bool, typer.Option("--no-pager", help="Never through $PAGER.")]


@command("layout", "branches", store_first=True)
async def show(
    session: Session,
    conversation: ConversationArgument,
    last: LastOption = None,
    first: FirstOption = None,
    role: RoleOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    follow: FollowOption = False,
    form: FormatOption = None,
    no_pager: NoPagerOption = False,
) -> int | None:
    """Show a conversation's messages.

    \b
    synmem show user-1 --last 10
    synmem show user-1 --last 10 --follow
    synmem show user-1 --since 2h -f jsonl
    """
    from synmem.operations.show import Reading

    _check(last, first, follow, until)
    printer = _printer(session, form, follow)
    wanted = _filter(role, since, until)
    async with session.open() as store:
        reading = Reading(store, conversation, wanted)
        with render.paged(not no_pager and not follow) as out:
            await _print(reading, printer, out, last, first)
        if follow:
            await _follow(reading, printer)
    if wanted.untimed:
        session.note(f"left out {count(wanted.untimed, 'message')} without a time")
    return PARTLY if printer.unreadable else None


def _check(last: int | None, first: int | None, follow: bool, until: str | None) -> None:
    if last is not None and first is not None:
        raise UsageError("--last and --first do not go together")
    for option, value in (("--last", last), ("--first", first)):
        if value is not None and value < 0:
            raise UsageError(f"{option} is 0 or more")
    if follow and (first is not None or until is not None):
        raise UsageError("--follow has no end: it goes without --first and --until")


def _filter(role: list[str] | None, since: str | None, until: str | None) -> "Filter":
    from synmem.operations.show import Filter

    if since is None and until is None:
        return Filter(role or ())
    from synmem.cli.times import optional_moment

    return Filter(
        role or (),
        optional_moment(since, option="--since"),
        optional_moment(until, option="--until"),
    )


def _printer(session: Session, form: str | None, follow: bool) -> "_Printer":
    form = session.json_or(form) or ("pretty" if render.is_terminal() else "text")
    if form not in FORMATS:
        raise UsageError(f"--format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    if follow and form == "json":
        raise UsageError("--follow never closes a JSON array", hint="-f jsonl prints one a line")
    return _Printer(form)


async def _print(
    reading: "Reading",
    printer: "_Printer",
    out: Callable[[bytes], object],
    last: int | None,
    first: int | None,
) -> None:
    # The first page is looked at before anything is printed: a conversation that is not there
    # leaves nothing behind on stdout, not even a bracket.
    if last is not None:
        items = await reading.last(last)
        out(printer.opening + printer.page(items))
    else:
        begun = False
        async for page in reading.all(first):
            out((b"" if begun else printer.opening) + printer.page(page))
            begun = True
        if not begun:
            out(printer.opening)
    out(printer.closing)


async def _follow(reading: "Reading", printer: "_Printer") -> None:
    render.flush()
    async for page in reading.new():
        render.write(printer.page(page))
        render.flush()


class _Printer:
    """Turns messages into what stdout gets, in one of the formats."""

    def __init__(self, form: str) -> None:
        self.unreadable = 0
        self._begun = False
        self._array = form == "json"
        self._terminal = render.is_terminal()
        self._colored = render.colored()
        self.opening = b"[" if self._array else b""
        self.closing = b"]\n" if self._array else b""
        self._one: Callable[[Message], bytes] = {
            "pretty": self._pretty,
            "text": self._text,
            "markdown": self._markdown,
            "json": self._json,
            "jsonl": self._json,
        }[form]

    def page(self, items: "Sequence[Item]") -> bytes:
        """These messages; a record that cannot be read is named on stderr in its place."""
        from synmem.messages import Unreadable

        chunks = []
        for item in items:
            if isinstance(item, Unreadable):
                self.unreadable += 1
                render.note(f"record {item.position} cannot be read: {item.why}")
            else:
                chunks.append(self._one(item))
        return b"".join(chunks)

    def _json(self, message: "Message") -> bytes:
        from synmem.messages import encode_line

        line = encode_line(b"{", message)
        if self._terminal:
            line = render.json_for_terminal(line)
        if not self._array:
            return line
        before, self._begun = (b",\n" if self._begun else b""), True
        return before + line[:-1]

    def _text(self, message: "Message") -> bytes:
        lines = [f"{message.role.capitalize()}: {message.content}"]
        lines += [_call(call, whole=True) for call in message.tool_calls or ()]
        return self._encoded("\n".join(lines) + "\n")

    def _markdown(self, message: "Message") -> bytes:
        from synmem.formats.markdown import Writer

        text = Writer().messages([message]).decode()
        if not self._begun:
            text = text.removeprefix("\n")
        self._begun = True
        return self._encoded(text)

    def _encoded(self, text: str) -> bytes:
        shown = render.visible(text) if self._terminal else text
        return shown.encode("utf-8", "backslashreplace")

    def _pretty(self, message: "Message") -> bytes:
        head = self._styled(render.visible_line(message.role), _COLORS.get(message.role, "1;33"))
        if details := _details(message):
            head += "  " + self._styled(details, _DIM)
        lines = [head, *([render.visible(message.content)] if message.content else [])]
        lines += [self._styled(render.visible_line(each), _DIM) for each in _beside(message)]
        before, self._begun = ("\n" if self._begun else ""), True
        return (before + "\n".join(lines) + "\n").encode("utf-8", "backslashreplace")

    def _styled(self, text: str, codes: str) -> str:
        return render.styled(text, codes) if self._colored else text


def _details(message: "Message") -> str:
    """What stands beside the role: the name, the call it answers, and the time."""
    from synmem.cli.times import shown

    words = [message.name or "", message.tool_call_id or "", shown(message.created_at)]
    return "  ".join(render.visible_line(word) for word in words if word)


def _beside(message: "Message") -> list[str]:
    """Lines for what is not text: tool calls, parts that are no text, metadata."""
    from synmem.messages import parts_beside_calls

    lines = [_call(call) for call in message.tool_calls or ()]
    for part in parts_beside_calls(message):
        if part.get("type") != "text":
            lines.append(f"[{part.get('type')}] {_dumped(part)}")
    if message.metadata:
        lines.append(f"metadata {_dumped(message.metadata)}")
    return lines


def _call(call: "JSONObject", *, whole: bool = False) -> str:
    from synmem.messages import flat_call

    call = flat_call(call)
    arguments = call.get("arguments")
    shown = arguments if isinstance(arguments, str) else _dumped(arguments, whole=whole)
    return f"-> {call.get('name')}({shown})  {call.get('id') or ''}".rstrip()


def _dumped(value: object, *, whole: bool = False) -> str:
    from synmem.messages import dump_json

    text = dump_json(value).decode()
    return text if whole or len(text) <= 500 else f"{text[:500]}... ({len(text):,} characters)"
