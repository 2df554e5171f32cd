"""`synmem clear`: delete conversations, or trim their front."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from synmem.cli import render
from synmem.cli.lines import listed
from synmem.cli.options import ConfirmOption, ConversationsArgument, MatchOption, YesOption
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import count, place, span
from synmem.errors import Unsupported, UsageError

if TYPE_CHECKING:
    from synmem.operations.keeping.backup import Backup
    from synmem.operations.keeping.clear import Doomed, Trim
    from synmem.operations.listing import Match
    from synmem.profiles import Profile
    from synmem.store import Store

IdleOption = Annotated[
    str | None, typer.Option("--idle", metavar="TIME", help="Those without a message since: 30d.")
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Every conversation; needs --confirm instead of --yes.")
]
OlderThanOption = Annotated[
    str | None,
    typer.Option(
        "--older-than", metavar="TIME",
        help="Only trim the front, up to the first message that is newer or has no time: 90d.",
    ),
]  # fmt: skip
KeepLastOption = Annotated[
    int | None,
    typer.Option("--keep-last", metavar="N", help="Only trim the front: the newest N stay."),
]
ExactOption = Annotated[
    bool,
    typer.Option(
        "--exact", help="Trim exactly there, also where a tool result then loses its call."
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would go; no more.")]
NoBackupOption = Annotated[
    bool, typer.Option("--no-backup", help="Erase for good: no backup, no undo.")
]


@command("layout")
async def clear(
    session: Session,
    conversations: ConversationsArgument = None,
    match: MatchOption = None,
    idle: IdleOption = None,
    every: AllOption = False,
    older_than: OlderThanOption = None,
    keep_last: KeepLastOption = None,
    exact: ExactOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    no_backup: NoBackupOption = False,
) -> int | None:
    """Delete conversations, or trim their front. `synmem undo` brings them back.

    Where a trim would leave a tool's result without its call, the call stays, and all behind it.

    \b
    synmem clear user-1 user-2
    synmem clear --idle 90d --dry-run
    synmem clear --match 'test-*' --yes
    synmem clear user-1 --keep-last 100
    """
    from synmem.cli.confirm import confirm as ask
    from synmem.cli.damage import name_strays

    choice = _choice(conversations, match, idle, every)
    trim = _trim(older_than, keep_last, exact=exact)
    profile = session.resolve()
    # Looking creates no file and takes no lock: the store is opened for writing only once it is
    # known that something goes, and agreed.
    async with session.open_profile(profile, planning=True) as store:
        if not store.holds.written:
            raise only_read(store)
        doomed, spared = await planned(session, store, choice, trim)
        strays = every and await name_strays(
            store, quiet=session.quiet
        )  # nothing removes what belongs nowhere
        if choice.ids is None and doomed:
            await _name_orphans(session, store, doomed)
    what = what_goes(doomed, trim, profile, choice.idle_before) + _staying(spared)
    if dry_run or not doomed:
        foreseen = _foresee(session, doomed, what, spared, dry_run=dry_run)
        return foreseen or (PARTLY if strays else None)
    question = f"Erase for good, without a backup: {what}" if no_backup else f"Remove {what}"
    ask(
        profile.name, question, yes=yes, confirmed=confirm, protected=profile.protected,
        by_name=every,
    )  # fmt: skip
    if yes or confirm:
        session.note(question)
    result = Result(spared)
    if no_backup:  # before, too: who is killed in between has left no sentence behind
        _erase_derived(profile, [each.conversation.id for each in doomed])
    try:
        async with session.open_profile(profile, write=True) as store:
            await remove(session, profile, store, doomed, trim, result, saved=not no_backup)
    finally:
        if no_backup:
            _forget(session, profile, result)
    if session.json:
        render.json_line(result.as_json())
    return PARTLY if result.failed or strays else None


class Choice(NamedTuple):
    """Which conversations are meant."""

    ids: Sequence[str] | None
    match: "Match"
    idle_before: datetime | None


def _choice(ids: list[str] | None, match: "Match", idle: str | None, every: bool) -> Choice:
    from synmem.cli.times import optional_moment

    if every and (ids or match is not None or idle is not None):
        raise UsageError("--all stands alone: not beside ids, --match or --idle")
    if ids and match is not None:
        raise UsageError("either ids or --match")
    if not (ids or every or match is not None or idle is not None):
        raise UsageError("what shall go?", hint="name conversations, or --match, --idle or --all")
    return Choice(ids or None, match, optional_moment(idle, option="--idle", removes=True))


def only_read(store: "Store") -> Unsupported:
    """What is said before anybody is asked whether it shall go."""
    from synmem.store import SupportsRemark

    whose = f" ({store.remark()})" if isinstance(store, SupportsRemark) else ""
    return Unsupported(
        f"{store.name}{whose} can be read, not written", hint="nothing can be removed there"
    )


def _trim(older_than: str | None, keep_last: int | None, *, exact: bool) -> "Trim":
    from synmem.cli.times import optional_moment
    from synmem.operations.keeping.clear import Trim

    if keep_last is not None and keep_last < 0:
        raise UsageError("--keep-last is 0 or more")
    if exact and older_than is None and keep_last is None:
        raise UsageError("--exact goes with --keep-last or --older-than")
    return Trim(optional_moment(older_than, option="--older-than", removes=True), keep_last, exact)


async def planned(
    session: Session, store: "Store", choice: Choice, trim: "Trim"
) -> "tuple[list[Doomed], int]":
    """What goes, and how many messages more than asked for stay."""
    from synmem.cli.list_conversations import note_untimed
    from synmem.cli.progress import progress
    from synmem.operations.keeping.clear import plan
    from synmem.operations.listing import listing

    doomed: list[Doomed] = []
    untimed: list[int] = []
    spared: list[int] = []
    pages = listing(store, **choice._asdict(), details=True, untimed=untimed.append)
    with progress(f"Looking at {place(store.name)}", quiet=session.quiet) as bar:
        async for page in pages:
            async for each in plan(store, page, trim, spared.append):
                doomed.append(each)
            bar.advance(len(page))
    note_untimed(session, sum(untimed))
    return doomed, sum(spared)


async def _name_orphans(session: Session, store: "Store", doomed: "Sequence[Doomed]") -> None:
    """Say which of these the store's own index does not name: they may be another program's."""
    from synmem.store import SupportsOrphans

    if not isinstance(store, SupportsOrphans):
        return
    ids = {repr(each.conversation.id) for each in doomed}
    for each in await store.orphans():
        if each.position in ids or each.position == "...":
            session.note(f"{render.visible_line(each.position)}: would go too; {each.reason}")


def what_goes(
    doomed: "Sequence[Doomed]", trim: "Trim", profile: "Profile", idle_before: datetime | None
) -> str:
    """What goes, for a person: how much, from when to when, which, from where, and before which
    moment, as the times that were typed were understood."""
    from synmem.cli.times import shown

    messages = _messages(doomed)
    words = count(messages, "message") if messages is not None else "their messages"
    if times := span([each.first_at for each in doomed], [each.last_at for each in doomed]):
        words += f", {times}"
    which = count(len(doomed), "conversation" if idle_before is None else "idle conversation")
    if len(doomed) <= 3:
        which += (
            " (" + ", ".join(render.visible_line(each.conversation.id) for each in doomed) + ")"
        )
    place = f"{profile.name} ({profile.where})" if profile.where != profile.name else profile.name
    moments = "".join(
        f"; {what} {shown(moment)}"
        for what, moment in (("idle since", idle_before), ("older than", trim.older_than))
        if moment is not None
    )
    return (
        f"{which}: {words}" if trim.whole else f"the front of {which}: {words}"
    ) + f", in {place}{moments}"


def _staying(spared: int) -> str:
    """How many more stay than was asked for, and why."""
    if not spared:
        return ""
    verb = "stays" if spared == 1 else "stay"
    return (
        f"; {count(spared, 'message')} more {verb}, so that no tool result loses its call (--exact "
        "trims all the same)"
    )


def _messages(doomed: "Sequence[Doomed]") -> int | None:
    counts = [each.messages for each in doomed if each.messages is not None]
    return sum(counts) if len(counts) == len(doomed) else None


def _foresee(
    session: Session, doomed: "Sequence[Doomed]", what: str, spared: int, *, dry_run: bool
) -> int | None:
    """What would go: on a terminal the conversations as `ls` has them; else their ids."""
    from synmem.cli.list_conversations import print_conversations
    from synmem.store import ConversationInfo

    session.note(f"Would remove {what}" if doomed else f"nothing to remove{_staying(spared)}")
    if session.json:
        result = Result(spared)
        result.conversations, result.messages = len(doomed), _messages(doomed)
        render.json_line({**result.as_json(), "dry_run": dry_run})
        return None
    if not render.is_terminal():
        return _ids(doomed)
    found = [
        ConversationInfo(
            id=each.conversation.id, messages=each.messages, first_at=each.first_at,
            last_at=each.last_at, title=each.conversation.title, unreadable=each.unreadable,
        )
        for each in doomed
    ]  # fmt: skip
    return print_conversations(found, "table")


def _ids(doomed: "Sequence[Doomed]") -> int | None:
    """Each id on a line; PARTLY where something of one cannot be read, which is named."""
    unreadable = [each for each in doomed if each.unreadable is not None]
    for each in unreadable:
        name, reason = render.visible_line(each.conversation.id), each.unreadable or ""
        render.note(f"{name}: unreadable: {render.visible_line(reason)}")
    for each in doomed:
        listed(each.conversation.id)
    return PARTLY if unreadable else None


class Result:
    """What `clear` came to."""

    def __init__(self, spared: int) -> None:
        self.spared = spared
        self.backup: str | None = None
        self.ids: list[str] = []
        self.conversations = 0
        self.messages: int | None = 0
        self.failed: list[tuple[str, str]] = []

    @property
    def words(self) -> str:
        """How much went, for a person."""
        messages = "messages" if self.messages is None else count(self.messages, "message")
        return f"{messages} of {count(self.conversations, 'conversation')}"

    def as_json(self) -> dict[str, object]:
        """The object that --json prints."""
        return {
            "backup": self.backup,
            "conversations": self.conversations,
            "messages": self.messages,
            "spared": self.spared,
            "failed": [{"conversation_id": each, "message": why} for each, why in self.failed],
        }


async def remove(
    session: Session,
    profile: "Profile",
    store: "Store",
    doomed: "Sequence[Doomed]",
    trim: "Trim",
    result: Result,
    *,
    saved: bool,
) -> None:
    """Remove what was planned, and take down what came of it."""
    from synmem.cli.progress import progress
    from synmem.operations.keeping.clear import Cleared, NotCleared
    from synmem.operations.keeping.clear import clear as clear_

    steps = len(doomed) * (2 if saved else 1)  # saved, then removed
    with (
        _backup(session, profile, result, saved) as backup,
        progress(f"Removing from {place(store.name)}", total=steps, quiet=session.quiet) as bar,
    ):
        async for outcome in clear_(store, doomed, trim, backup):
            bar.advance()
            if isinstance(outcome, Cleared):
                result.conversations += 1
                result.ids.append(outcome.conversation)
                if result.messages is not None and outcome.messages is not None:
                    result.messages += outcome.messages
                else:
                    result.messages = None
            elif isinstance(outcome, NotCleared):
                result.failed.append((outcome.conversation, str(outcome.error)))
                render.note_error("not removed", outcome.error)


@contextlib.contextmanager
def _backup(
    session: Session, profile: "Profile", result: Result, saved: bool
) -> "Iterator[Backup | None]":
    """A backup, whose undo command is told however the run ends; or none."""
    if not saved:
        yield None
        session.note(f"removed {result.words}, for good")
        return
    from synmem.cli.origin import origin_of, undoing
    from synmem.operations.keeping.backup import new_backup

    with new_backup(origin_of(session, profile, "clear")) as backup:
        try:
            yield backup
        finally:
            if backup.sealed:
                result.backup = backup.id
                what = f"removed {result.words}; to bring back"
                session.note(f"{what if result.ids else 'saved beforehand'}: {undoing(backup)}")


def _erase_derived(profile: "Profile", ids: Sequence[str]) -> None:
    """Erase what was derived from messages that go for good: notes, and the indexes."""
    from synmem.operations.derived import forget

    forget(profile.identity, ids)


def _forget(session: Session, profile: "Profile", result: Result) -> None:
    """Erase that once more, and say where messages may still be."""
    from synmem.operations.keeping.backups import backups, messages_file

    _erase_derived(profile, result.ids)
    older = [each for each in backups() if each.origin.identity == profile.identity]
    if older:
        session.note(
            f"{count(len(older), 'earlier backup')} of this store may hold it still: "
            f"{messages_file(older[0]).parent.parent}"
        )
