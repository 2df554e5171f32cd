"""`synmem add`: append one message."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synmem.cli import completing, render
from synmem.cli.run import Session, command, hearing_interrupts
from synmem.errors import ProfileError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from synmem.messages import Conversation, JSONObject, Message
    from synmem.profiles import Profile
    from synmem.store import Store

ConversationArgument = Annotated[
    str,
    typer.Argument(metavar="CONVERSATION", help="Its id.", autocompletion=completing.conversations),
]
TextArgument = Annotated[
    str | None, typer.Argument(metavar="TEXT", help="The message; without it, or -: stdin.")
]
RoleOption = Annotated[
    str,
    typer.Option(
        "--role",
        "-r",
        metavar="ROLE",
        help="system, developer, user, assistant or tool.",
        autocompletion=completing.one_of("system", "developer", "user", "assistant", "tool"),
    ),
]
MetadataOption = Annotated[
    str | None, typer.Option("--metadata", "-m", metavar="JSON", help="A JSON object.")
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="When it was said: ISO 8601, or 2h ago.")
]


@command("layout")
async def add(
    session: Session,
    conversation: ConversationArgument,
    text: TextArgument = None,
    role: RoleOption = "user",
    metadata: MetadataOption = None,
    at: AtOption = None,
) -> None:
    """Append one message.

    \b
    synmem add user-1 "Hello!"
    echo "Hi, how can I help?" | synmem add user-1 -r assistant -m '{"model": "x"}'
    """
    from synmem.messages import Conversation, Message, conversation_refusal, encode_line
    from synmem.messages import line_prefix as prefix_of
    from synmem.store import Part

    _check_role(role)
    target = Conversation(conversation)
    if why := conversation_refusal(target):
        raise UsageError(f"conversation: {why}")
    data = _metadata(metadata)
    time = _time(at)
    content = _content(text)
    profile = session.resolve()
    keep = _keep(profile.settings)
    async with session.open_profile(profile, write=True) as store:
        for option, field in (("--metadata", data and "metadata"), ("--at", time and "created_at")):
            if field and field not in store.holds.fields:
                raise UsageError(f"{option}: {store.name} holds no {field}", hint="leave it out")
        if time is None and _stamps(store, profile):
            time = _now()
        message = Message(role, content, data or None, time)
        if keep is None:
            await store.append([Part(target, [message])])
        else:
            await _keeping(session, store, target, message, keep)
        if session.json:
            render.write(encode_line(prefix_of(conversation), message))
        elif session.verbose or render.is_terminal():
            session.note(f"added to {render.visible_line(conversation)} in {store.name}")
    if not session.typed:
        session.tell_file(
            conversation, "is a conversation's id here, and a file's name too",
            "adds to the file", "CONVERSATION", "TEXT",
        )  # fmt: skip


async def _keeping(
    session: Session, store: "Store", target: "Conversation", message: "Message", keep: int
) -> None:
    """Append to a rolling window, and say where more of it stays than its profile has."""
    from synmem.cli.words import count
    from synmem.operations.keeping.groups import append_keeping

    more = await append_keeping(store, target, message, keep) - keep
    if more > 0:
        session.note(
            f"{count(more, 'message')} more than the window of {keep:,} "
            f"{'stays' if more == 1 else 'stay'}: a tool result would lose its call"
        )


def _check_role(role: str) -> None:
    from synmem.messages import ROLES

    if role not in ROLES:
        raise UsageError(f"no role {role!r}", hint=f"one of {', '.join(ROLES)}")


def _metadata(text: str | None) -> "JSONObject | None":
    from synmem.messages import parse_json

    if text is None:
        return None
    try:
        data = parse_json(text)
    except ValueError as error:
        raise UsageError(f"--metadata is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError("--metadata is not a JSON object", hint="""as in '{"source": "web"}'""")
    return data


def _time(text: str | None) -> "datetime | None":
    if text is None:
        return None
    from synmem.cli.times import moment

    return moment(text, option="--at")


def _now() -> "datetime":
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _content(text: str | None) -> str:
    """The text that was typed, or stdin less one final newline."""
    if text is None or text == "-":
        return _from_stdin()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the message is not UTF-8") from error
    return text


def _from_stdin() -> str:
    if sys.stdin is None:
        raise UsageError("stdin is closed: there is nothing to add")
    try:
        with hearing_interrupts():
            if sys.stdin.isatty():
                render.note("Type the message, then Ctrl-D on a line of its own.")
            text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"stdin is not UTF-8, at byte {error.start:,}") from error
    text = text.removesuffix("\n")
    if not text:
        raise UsageError("stdin is empty: there is nothing to add")
    return text


def _keep(settings: Mapping[str, Any]) -> int | None:
    """How many messages the profile's rolling window keeps, or None: all."""
    keep = settings.get("max_messages")
    if keep is None and settings.get("window") is not None:
        keep = 2 * settings["window"]  # pairs of question and answer
    if keep is not None and keep < 1:
        # 0 would throw away the message itself, and a negative number has no meaning.
        raise ProfileError("max_messages and window are 1 or more, or not set")
    return keep


def _stamps(store: "Store", profile: "Profile") -> bool:
    """Whether a message gets the time of its writing: in our own tables, or where it is wished."""
    wished = store.holds.own or profile.settings.get("timestamps") is True
    return wished and "created_at" in store.holds.fields
