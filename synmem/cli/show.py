"""`synmem show`: the messages of a conversation."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from synmem.cli import completing, render
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import count
from synmem.errors import UsageError

if TYPE_CHECKING:
    from synmem.cli.showing import Pretty
    from synmem.messages import JSONObject, Message
    from synmem.operations.show import Filter, Item, Reading

FORMATS = ("pretty", "text", "markdown", "json", "jsonl")

ConversationArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONVERSATION",
        help="Its id; for a person its beginning is enough.",
        autocompletion=completing.conversations,
    ),
]
LastOption = Annotated[int | None, typer.Option("--last", metavar="N", help="The newest N.")]
FirstOption = Annotated[int | None, typer.Option("--first", metavar="N", help="The oldest N.")]
AroundOption = Annotated[
    int | None,
    typer.Option("--around", metavar="N", help="Message N, as search counts, and 5 on each side."),
]
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
        "--format", "-f", metavar="NAME", autocompletion=completing.one_of(*FORMATS),
        help="pretty (on a terminal), text (in a pipe; for reading, not for parsing), markdown, "
        "json or jsonl.",
    ),
]  # fmt: skip
FullOption = Annotated[
    bool, typer.Option("--full", help="Unfold calls, results, reasoning and metadata.")
]
RawOption = Annotated[
    bool, typer.Option("--raw", help="Content as it is stored: nothing rendered or wrapped.")
]
NoPagerOption = Annotated[bool, typer.Option("--no-pager", help="Never through $PAGER.")]


@command("layout", "branches", store_first=True)
async def show(
    session: Session,
    conversation: ConversationArgument,
    last: LastOption = None,
    first: FirstOption = None,
    around: AroundOption = None,
    role: RoleOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    follow: FollowOption = False,
    full: FullOption = False,
    raw: RawOption = False,
    form: FormatOption = None,
    no_pager: NoPagerOption = False,
) -> int | None:
    """Show a conversation's messages.

    On a terminal the newest come first into view, of many the newest 200; what a tool was asked and
    answered is folded. In a pipe it is all of them. Text is for reading, not for parsing: a message
    may hold lines that look like the next one; json and jsonl are exact.

    \b
    synmem show user-1 --last 10
    synmem show user-1 --around 37 --full
    synmem show user-1 --last 10 --follow
    synmem show user-1 --since 2h -f jsonl
    """
    from synmem.operations.show import Reading

    asked = Asked(last, first, around, since is not None or until is not None)
    _check(asked, follow, until)
    form = _form(session, form, follow)
    wanted = _filter(role, since, until)
    printer: _Printer | Pretty
    async with session.open() as store:
        reading = Reading(store, conversation, wanted)
        if form == "pretty":
            from synmem.cli import showing

            printer = showing.Pretty(store, reading, conversation, full=full, raw=raw)
            await _print_pretty(printer, asked, paged=not (no_pager or follow))
        else:
            printer = _Printer(form)
            with render.paged(not no_pager and not follow) as out:
                await _print(reading, printer, out, asked)
        if follow:
            await _follow(reading, printer)
    if wanted.untimed:
        session.note(f"left out {count(wanted.untimed, 'message')} without a time")
    return PARTLY if printer.unreadable else None


class Asked(NamedTuple):
    """Which messages are wanted, beside the filters: at most one is set of the first three."""

    last: int | None
    first: int | None
    around: int | None
    by_time: bool


def _check(asked: Asked, follow: bool, until: str | None) -> None:
    named = {"--last": asked.last, "--first": asked.first, "--around": asked.around}
    given = [option for option, value in named.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} do not go together")
    for option in given:
        least = 1 if option == "--around" else 0
        if (named[option] or 0) < least:
            raise UsageError(f"{option} is {least} or more")
    if follow and (asked.first is not None or asked.around is not None or until is not None):
        raise UsageError("--follow has no end: it goes without --first, --around and --until")


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


def _form(session: Session, form: str | None, follow: bool) -> str:
    form = session.json_or(form) or ("pretty" if render.is_terminal() else "text")
    if form not in FORMATS:
        raise UsageError(f"--format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    if follow and form == "json":
        raise UsageError("--follow never closes a JSON array", hint="-f jsonl prints one a line")
    return form


async def _print(
    reading: "Reading", printer: "_Printer", out: Callable[[bytes], object], asked: Asked
) -> None:
    # The first page is looked at before anything is printed: a conversation that is not there
    # leaves nothing behind on stdout, not even a bracket.
    begun = False
    async for page in _pages(reading, asked):
        out((b"" if begun else printer.opening) + printer.page(page))
        begun = True
    if not begun:
        out(printer.opening)
    out(printer.closing)


async def _pages(reading: "Reading", asked: Asked) -> AsyncIterator["Sequence[Item]"]:
    if asked.last is not None:
        yield await reading.last(asked.last)
    elif asked.around is not None:
        from synmem.operations.show import BESIDE

        yield await reading.around(asked.around, BESIDE)
    else:
        async for page in reading.all(asked.first):
            yield page


async def _print_pretty(printer: "Pretty", asked: Asked, *, paged: bool) -> None:
    """What was asked for, in the pager, which opens at the newest or at what was asked for."""
    if asked.around is not None:
        data, line = await printer.around(asked.around)
        with render.paged(paged, start=f"+{line}") as out:
            out(data)
    elif asked.last is None and (asked.first is not None or asked.by_time):
        with render.paged(paged, start="" if asked.first is not None else "+G") as out:
            await printer.pages(asked.first, out)
    else:
        data = await printer.newest(asked.last)
        with render.paged(paged, start="+G") as out:
            out(data)
    printer.tell_unreadable()


async def _follow(reading: "Reading", printer: "_Printer | Pretty") -> None:
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
        self.opening = b"[" if self._array else b""
        self.closing = b"]\n" if self._array else b""
        self._one: Callable[[Message], bytes] = {
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
        lines += [call_text(call) for call in message.tool_calls or ()]
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


def call_text(call: "JSONObject") -> str:
    """A tool call on a line: `-> name(arguments)  id`."""
    from synmem.messages import dump_json, flat_call

    call = flat_call(call)
    arguments = call.get("arguments")
    shown = arguments if isinstance(arguments, str) else dump_json(arguments).decode()
    return f"-> {call.get('name')}({shown})  {call.get('id') or ''}".rstrip()
