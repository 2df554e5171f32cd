"""`synmem check`: is a store sound, do two hold the same, does one hold what a receipt says."""

import contextlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.options import IdAsOption, MatchOption
from synmem.cli.run import DIFFERENT, PARTLY, Session, command
from synmem.cli.words import count, place
from synmem.errors import CorruptData, UnknownLayout, Unsupported, UsageError

if TYPE_CHECKING:
    from synmem.messages import Damage
    from synmem.operations.listing import Match
    from synmem.operations.moving.check import Checked, Soundness
    from synmem.operations.moving.contents import Digests
    from synmem.operations.moving.naming import Naming
    from synmem.store import Store

_WORDS = {
    "=": "equal", "+": "only in the source", "-": "only in the destination",
    "<": "destination behind", ">": "destination ahead", "*": "different", "!": "unreadable",
}  # fmt: skip

SourceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE", help="A profile, a URL or a file.", autocompletion=completing.profiles
    ),
]
DestArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="DEST", help="What to compare it with.", autocompletion=completing.profiles
    ),
]
OneWayOption = Annotated[
    bool, typer.Option("--one-way", help="Do not look for what only the destination has.")
]
ReceiptOption = Annotated[
    Path | None,
    typer.Option(
        "--receipt", metavar="FILE", help="Compare with the receipt of a migration or an import."
    ),
]
QuickOption = Annotated[
    bool,
    typer.Option("--quick", help="Counts and last messages only: may miss a difference."),
]
SummaryOption = Annotated[
    bool,
    typer.Option("--summary", help="In a pipe the last line too, with counts, behind '# '."),
]


@command("layout", "branches")
async def check(
    session: Session,
    source: SourceArgument = None,
    dest: DestArgument = None,
    match: MatchOption = None,
    one_way: OneWayOption = False,
    quick: QuickOption = False,
    receipt: ReceiptOption = None,
    id_as: IdAsOption = None,
    summary: SummaryOption = False,
) -> int | None:
    """Read a store through, or compare two. It goes conversation by conversation.

    = equal, + only in SOURCE, - only in DEST, < DEST is behind, > DEST is ahead, * different,
    ! unreadable. Printed are those that are not equal; all with -v.

    Of one store a root digest is told. It is over ids, titles, extra and all fields of messages
    that the store holds (--json names them): stores that hold the same have the same.

    \b
    synmem check chat.db
    synmem check chat.db --summary | tail -1
    synmem check chat.db backup.jsonl
    synmem check chat.db prod --quick --json
    synmem check prod --receipt receipt.json
    synmem check chat.db archive.db --one-way --id-as '{host}/{layout}/{id}'
    """
    from synmem.cli.naming import naming_of, template_of

    if receipt is not None and id_as is not None:
        raise UsageError("--receipt and --id-as", hint="the receipt says what is called how")
    if dest is None and (one_way or quick or id_as is not None):
        raise UsageError("--one-way, --quick, --id-as compare two stores", hint="name a DEST")
    if receipt is not None and dest is not None:
        raise UsageError("--receipt takes the place of one of the stores", hint="name one STORE")
    if summary and session.json:
        raise UsageError("--summary and --json", hint="the JSON object has the counts")
    named = template_of(id_as)
    listed = _List(session, summary=summary)
    try:
        if receipt is not None:
            return await _check_receipt(session, listed, source, receipt, match)
        profile = session.resolve(source)
        async with session.open_profile(profile) as ours:
            if dest is None:
                return await _sound(session, listed, ours, match)
            naming = naming_of(named, ours, profile.backend, profile.name)
            async with session.open_profile(session.resolve_other(dest)) as theirs:
                return await _compare(session, listed, ours, theirs, match, one_way, quick, naming)
    except UnknownLayout:  # nothing of it was looked at
        raise
    except CorruptData as error:
        from synmem.cli.advice import name_store

        name_store(session, error, source, dest)
        render.error(error, as_json=session.json)
        return PARTLY


# --- one store ------------------------------------------------------------------------------


async def _sound(session: Session, listed: "_List", store: "Store", match: "Match") -> int | None:
    from synmem.cli.damage import name_damage
    from synmem.cli.progress import progress
    from synmem.operations.moving.check import Soundness, sound
    from synmem.operations.moving.contents import Contents
    from synmem.store import SupportsRemark, SupportsTotal

    found = Soundness()
    with contextlib.ExitStack() as stack:
        contents = stack.enter_context(Contents(store.holds)) if listed.tells_all else None
        bar = stack.enter_context(progress(f"Reading {place(store.name)}", quiet=session.quiet))
        if bar.watched and match is None and isinstance(store, SupportsTotal):
            bar.expect(await store.total())
        async for broken in sound(store, found, match=match, contents=contents):
            bar.advance(found.messages + found.unreadable - bar.done)
            for each in broken:
                where = "" if each.position is None else f"message {each.position:,}: "
                listed.add("!", each.conversation_id, where + each.reason)
        digests = contents.digests() if contents is not None and not _bad(found) else None
    name_damage(store.name, [each for each in found.damage if not session.quiet or _is_bad(each)])
    if columns := store.holds.unread:
        session.note(f"not read: somebody's own columns: {', '.join(columns)}")
    if match is None:
        await session.tell_others(store)
    whose = store.remark() if isinstance(store, SupportsRemark) else None
    if session.json:
        listed.end({**({} if whose is None else {"remark": whose}), **_as_json(found, digests)})
    else:
        about = "" if whose is None else f" ({whose})"
        listed.last(f"{store.name}{about}: {_in_words(found)}", digests)
    return PARTLY if _bad(found) else None


def _as_json(found: "Soundness", digests: "Digests | None") -> dict[str, object]:
    """What --json says of one store, behind its conversations."""
    return {
        "counts": {
            "conversations": found.conversations,
            "messages": found.messages,
            "unreadable": found.unreadable,
        },
        "digests": None if digests is None else digests._asdict(),
        "damage": [
            {"kind": each.kind, "position": each.position, "reason": each.reason}
            for each in found.damage
        ],
        "tools": {
            "calls_without_result": found.unanswered,
            "results_without_call": found.orphans,
            "conversations": found.parted,
        },
    }


def _in_words(found: "Soundness") -> str:
    words = f"{count(found.conversations, 'conversation')}, {count(found.messages, 'message')}"
    words += f", {found.unreadable:,} unreadable" if found.unreadable else ""
    words += "" if _bad(found) else ": sound"
    return words + _parted(found)


def _parted(found: "Soundness") -> str:
    """What of tool calls has lost its other half; nothing where all have theirs."""
    parts = []
    if found.unanswered:
        parts.append(f"{count(found.unanswered, 'tool call')} without a result")
    if found.orphans:
        parts.append(f"{count(found.orphans, 'tool result')} without its call")
    if not parts:
        return ""
    names = ", ".join(map(render.visible_line, found.parted_names))
    more = ", ..." if found.parted > len(found.parted_names) else ""
    where = count(found.parted, "conversation")
    return f"; {' and '.join(parts)} in {where} ({names}{more})"


def _bad(found: "Soundness") -> bool:
    return bool(found.unreadable) or any(map(_is_bad, found.damage))


def _is_bad(damage: "Damage") -> bool:
    from synmem.messages import HARMLESS

    return damage.kind not in HARMLESS


# --- two stores -----------------------------------------------------------------------------


async def _compare(
    session: Session,
    listed: "_List",
    source: "Store",
    dest: "Store",
    match: "Match",
    one_way: bool,
    quick: bool,
    naming: "Naming",
) -> int | None:
    from synmem.cli.damage import check_damage
    from synmem.cli.progress import progress
    from synmem.operations.moving.check import check
    from synmem.operations.moving.compare import State, not_compared

    chosen = bool(match)
    how = {"consent": True, "quiet": session.quiet, "chosen": chosen}
    damaged = [await check_damage(each, **how) for each in (source, dest)]
    counts: Counter[str] = Counter({state.value: 0 for state in State})
    doing = f"Comparing {place(source.name)} and {place(dest.name)}"
    with progress(doing, quiet=session.quiet) as bar:
        if bar.watched:
            bar.expect(await _conversations(source, match))
        states = check(source, dest, match=match, one_way=one_way, quick=quick, naming=naming)
        async for found in states:
            bar.advance(len(found))
            for each in found:
                counts[each.state.value] += 1
                listed.show(each)
    missing = not_compared(source.holds, dest.holds)
    if session.json:
        end: dict[str, object] = {"counts": dict(counts), "not_compared": missing}
        listed.end({**end, "quick": True} if quick else end)
    _summarize(session, listed, counts, missing, quick)
    if counts["-"] and not any(counts[key] for key in "+<>*!") and render.is_terminal():
        session.hint("--one-way does not look for what only the destination has")
    return _exit_code(counts) or (PARTLY if any(damaged) else None)


async def _conversations(store: "Store", match: "Match") -> int | None:
    """How many there are to be compared, where a store can tell cheaply."""
    from synmem.operations.listing import select
    from synmem.store import SupportsTotal

    if not isinstance(store, SupportsTotal):
        return None
    return sum([len(page) async for page in select(store, match=match)])


def _summarize(
    session: Session, listed: "_List", counts: Counter[str], missing: list[str], quick: bool
) -> None:
    words = _WORDS | ({"=": "without a difference seen"} if quick else {})
    _tell(session, listed, counts, missing, words)
    if quick:
        session.note("only counts and last messages were compared: that is no proof of equality")


def _tell(
    session: Session,
    listed: "_List",
    counts: Counter[str],
    missing: list[str],
    words: dict[str, str],
) -> None:
    if missing:
        session.note(f"not compared: {', '.join(missing)}")
    parts = [f"{counts[key]:,} {word}" for key, word in words.items() if counts[key]]
    total = count(sum(counts.values()), "conversation")
    listed.last(f"{total}: {', '.join(parts)}" if parts else "no conversations")


def _exit_code(counts: Counter[str]) -> int | None:
    if any(counts[key] for key in "+-<>*"):
        return DIFFERENT
    return PARTLY if counts["!"] else None


# --- a store and a receipt ------------------------------------------------------------------

_RECEIPT_WORDS = {
    "=": "equal", "+": "missing", "<": "with fewer messages", ">": "with more messages since",
    "*": "different", "!": "unreadable",
}  # fmt: skip


async def _check_receipt(
    session: Session, listed: "_List", target: str | None, file: Path, match: "Match"
) -> int | None:
    from synmem.cli.files import read_whole
    from synmem.cli.progress import progress
    from synmem.operations.moving.check_receipt import check_receipt, parse_receipt
    from synmem.operations.moving.compare import State

    receipt = parse_receipt(read_whole(file), str(file))
    counts: Counter[str] = Counter({state.value: 0 for state in State})
    async with session.open(target) as store:
        missing = [
            f"conversation {field}"
            for field in receipt.conversation_fields
            if field not in store.holds.conversation_fields
        ]
        doing = f"Comparing {place(store.name)} and {file.name}"
        with progress(doing, total=receipt.proven, quiet=session.quiet) as bar:
            try:
                async for found in check_receipt(receipt, store, match=match):
                    bar.advance(len(found))
                    for each in found:
                        counts[each.state.value] += 1
                        listed.show(each)
            except Unsupported as error:
                render.error(error, as_json=session.json)
                return PARTLY
    if session.json:
        about = {"not_compared": missing, "receipt": receipt.about}
        listed.end({"counts": dict(counts), **about})
    _tell(session, listed, counts, missing, _RECEIPT_WORDS)
    if receipt.is_older:
        session.note(
            f"{file}: a receipt of the older scheme: its root digest covers the ids and digests of "
            "its conversations, and nothing else that it says"
        )
    if unproven := len(receipt.conversations) - receipt.proven:
        session.note(f"nothing of {count(unproven, 'conversation')} more was brought over")
    return _exit_code(counts)


class _List:
    """The conversations on stdout as they come: lines, or the array of a JSON object. With
    `summary` the last line too, in a pipe."""

    def __init__(self, session: Session, *, summary: bool) -> None:
        self._session = session
        self._summary = summary and not render.is_terminal()
        self._comma = b""

    @property
    def tells_all(self) -> bool:
        """Whether anybody is told what comes last."""
        return self._session.json or self._summary or not self._session.quiet

    def show(self, checked: "Checked") -> None:
        """One of two stores: the equal ones only with -v, or in JSON."""
        if self._session.json or self._session.verbose or checked.state.value != "=":
            there = checked.there if checked.there != checked.conversation else ""
            self.add(checked.state.value, checked.conversation, checked.detail, there)

    def add(self, state: str, conversation: str, detail: str, there: str = "") -> None:
        """A line, or an element; `there` is another name that it has in the destination."""
        if self._session.json:
            from synmem.messages import dump_json

            data = {"conversation_id": conversation, "state": state, "detail": detail}
            if there:
                data["destination_id"] = there
            head = b'{"conversations":[' if not self._comma else b","
            render.write_json(head + dump_json(data))
            self._comma = b","
            return
        if render.is_terminal():
            from synmem.cli.screen.states import state_lines

            render.write(state_lines(state, conversation, detail, there).encode())
            return
        # One line each, whatever the id holds: --json has the exact characters.
        shown = render.visible_line(conversation)
        shown += f" (as {render.visible_line(there)})" if there else ""
        render.line(f"{state} {shown}" + (f"  {render.visible_line(detail)}" if detail else ""))

    def last(self, text: str, digests: "Digests | None" = None) -> None:
        """The line with the counts, and with the root digest of one store."""
        text += f"; root digest {digests.root}" if digests is not None else ""
        if self._summary:
            render.line(f"# {render.visible_line(text)}")
        else:
            self._session.note(text)

    def end(self, rest: dict[str, object]) -> None:
        """Close the JSON object with what is known at the end."""
        from synmem.messages import dump_json

        head = b'{"conversations":[' if not self._comma else b""
        render.write_json(head + b"]," + dump_json(rest)[1:] + b"\n")
