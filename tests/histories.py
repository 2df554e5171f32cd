"""Histories of what is done to conversations: with repeating texts, kills at any step, a clock that
jumps and two commands at once; and what must hold at their end.

Whatever was removed, and however it ended: when every backup is undone, the newest first, each
conversation is exactly what was said in it, message by message in order. Run on every store.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import Changed, Refused, StoreUnavailable, SynmemError
from synmem.messages import EVERYTHING, Conversation, Message, canonical
from synmem.notes import Notes
from synmem.operations.deriving.summarize import replace_fronts, summarize
from synmem.operations.keeping import backup as backup_module
from synmem.operations.keeping import backups, journal
from synmem.operations.keeping.backup import Backup, Origin, new_backup
from synmem.operations.keeping.clear import Trim, clear, plan
from synmem.operations.keeping.undo import NotRestored, Undo, undo
from synmem.operations.listing import listing
from synmem.operations.looking import infos_of
from synmem.operations.moving.receipt import Ledger
from synmem.operations.moving.transfer import Options, Transfer
from synmem.store import START, Part, Store

NAMES = ("a", "b")
TEXTS = ("ping", "pong")
Opener = Callable[[], AbstractAsyncContextManager[Store]]


class Killed(BaseException):
    """The process ends here, as it were."""


class Fuse:
    """Ends the process at its n-th step; after that nothing it does reaches anything."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.dead = False

    def light(self, steps: int | None) -> None:
        """From now on so many steps are left; None: as many as one likes."""
        self.left, self.dead = steps, False

    def burn(self) -> None:
        """One step more."""
        if self.left is not None:
            self.left -= 1
            self.dead = self.dead or self.left < 0
        if self.dead:
            raise Killed


_STEPS = (
    "append", "delete", "replace", "steps_done", "call_off", "forget_steps", "set_note", "notes",
    "expire", "refuses_back",
)  # fmt: skip


def fused(store: Store, fuse: Fuse) -> Store:
    """The store, whose steps may be the last: before they are done, or before the answer comes."""
    for name in _STEPS:
        if (step := getattr(store, name, None)) is not None:
            setattr(store, name, _burning(step, fuse))
    return store


def _burning(step: Callable[..., Awaitable[Any]], fuse: Fuse) -> Callable[..., Awaitable[Any]]:
    async def burning(*arguments: Any, **named: Any) -> Any:
        await asyncio.sleep(0)
        fuse.burn()
        answer = await step(*arguments, **named)
        fuse.burn()
        await asyncio.sleep(0)
        return answer

    return burning


@contextlib.contextmanager
def fused_files(fuse: Fuse) -> Iterator[None]:
    """The files of backups, with the same fuse: each line of a journal, each seal."""
    write, replaced = journal.Journal.write, backups.durable.replace

    def written(self: journal.Journal, line: journal.Line) -> None:
        fuse.burn()
        write(self, line)
        fuse.burn()

    def replacing(path: Any, data: bytes) -> None:
        fuse.burn()
        replaced(path, data)
        fuse.burn()

    journal.Journal.write = written  # type: ignore[method-assign]
    backups.durable.replace = replacing  # type: ignore[attr-defined]
    try:
        yield
    finally:
        journal.Journal.write = write  # type: ignore[method-assign]
        backups.durable.replace = replaced  # type: ignore[attr-defined]


class Clock(datetime):
    """A clock that somebody sets."""

    shift = timedelta()

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """The time, as this clock has it."""
        return datetime.now(tz) + cls.shift


# --- what is done ---------------------------------------------------------------------------


class Step(msgspec.Struct, frozen=True):
    """One command: what, to which conversation, how much, and at which step it is killed."""

    do: str
    name: str = "a"
    count: int = 1
    kill: int | None = None
    beside: "Step | None" = None
    """A second command, at the same time."""


_COMMANDS = ("add", "add", "clear", "trim", "trim", "replace", "summarize", "move", "undo", "undo old",
             "import", "clock")  # fmt: skip


def steps(*, two: bool = True) -> st.SearchStrategy[Step]:
    """Any command, perhaps killed, perhaps two at once."""
    one = st.builds(
        Step,
        do=st.sampled_from(_COMMANDS),
        name=st.sampled_from(NAMES),
        count=st.integers(1, 5),
        kill=st.none() | st.integers(0, 16),
    )
    if not two:
        return one
    return st.builds(
        lambda step, beside: msgspec.structs.replace(step, beside=beside),
        one,
        st.none() | st.none() | one,
    ).filter(_can_be_told)


def _can_be_told(step: Step) -> bool:
    """Whether what two commands at once come to is known without knowing who was first."""
    if step.beside is None:
        return True
    if step.do == step.beside.do == "add" and step.name == step.beside.name:
        return False
    both = {step.do, step.beside.do}
    brings = both & {"replace", "import", "add"}  # to what is absent it brings what nobody said
    return not brings or (not both & {"clear", "move"} and both != {"add", "import"})


class History:
    """One history on one store, and what was said in it."""

    def __init__(self, opener: Opener, identity: str, *, timed: bool, prefix: str = "") -> None:
        self.said: dict[str, list[Message]] = {name: [] for name in NAMES}
        self._opener = opener
        self._origin = Origin("test", identity, identity, identity, "test")
        self._timed = timed
        self._prefix = prefix
        self._number = 0
        self._serial = 0
        self._cleared: dict[str, list[Message]] = {}
        self.fuse = Fuse()

    async def run(self, steps: Sequence[Step]) -> None:
        """Do all of this, bring everything back, and see that it is what was said."""
        with fused_files(self.fuse):
            for step in steps:
                await self._step(step)
            self.fuse.light(None)
            await self._undo_all()
        async with self._opener() as store:
            for name in NAMES:
                found = await _messages(store, self._id(name))
                said = self.said[name]
                held = EVERYTHING.common(store.holds)
                same = [canonical(m, held) for m in found] == [canonical(m, held) for m in said]
                assert same, (name, _texts(found), _texts(said))
                if found and "title" in store.holds.conversation_fields:
                    info = (await infos_of(store, [self._id(name)], details=True))[self._id(name)]
                    assert info.title == f"Title of {name}"

    def _id(self, name: str) -> str:
        return f"{self._prefix}{name}"

    async def _step(self, step: Step) -> None:
        self._serial += 1
        if step.beside is not None:
            self.fuse.light(None)
            await asyncio.gather(self._tried(step), self._tried(step.beside))
            return
        self.fuse.light(step.kill)
        try:
            await self._tried(step)
        except Killed:
            self.fuse.light(None)
            await self._tried(step)  # the same command again
        self.fuse.light(None)

    async def _tried(self, step: Step) -> None:
        # Somebody else was faster, or there is something newer: all of these say so.
        with contextlib.suppress(Changed, Refused, StoreUnavailable, _Nothing):
            async with self._opener() as store:
                await self._do(fused(store, self.fuse), step)

    async def _do(self, store: Store, step: Step) -> None:
        name = self._id(step.name)
        match step.do:
            case "add":
                await self._add(store, step)
            case "clock":
                Clock.shift += timedelta(hours=step.count - 3)
            case "clear":
                await self._clear(store, step.name, Trim())
            case "trim":
                await self._clear(store, step.name, Trim(keep_last=step.count))
            case "replace":
                await self._replace(store, name, step.count)
            case "summarize":
                await self._summarize(store, name, step.count)
            case "move":
                await self._move(store, name)
            case "import":
                await self._import(store, step.name)
            case "undo":
                await self._undo(store, 0, Undo())
            case _:
                await self._undo(store, step.count, Undo(with_newer=step.count % 2 == 0))

    async def _add(self, store: Store, step: Step) -> None:
        """As an application does: what it said is there, or not, and it knows."""
        self.fuse.light(None)
        there = await infos_of(store, [self._id(step.name)], details=False)
        new = []
        for index in range(step.count):
            self._number += 1
            # Who begins anew says something that was not said before: the same would be taken
            # for what was removed, brought back by hand.
            text = TEXTS[self._number % 2] if there or index else f"new {self._number}"
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._number)
            new.append(Message("user", text, created_at=at if self._timed else None))
        # Later its title is there, or comes back with what was removed.
        title = None if self.said[step.name] else f"Title of {step.name}"
        await store.append([Part(Conversation(self._id(step.name), title), new)])
        self.said[step.name] += new

    async def _clear(self, store: Store, name: str, trim: Trim) -> None:
        ids = [self._id(name)]
        if trim.whole:
            before = await _messages(store, ids[0])
            self._cleared[name] = before or self._cleared.get(name, [])
        doomed = [
            each
            async for page in listing(store, match=ids[0], details=True)
            async for each in plan(store, page, trim)
        ]
        with new_backup(self._origin) as backup:
            async for _ in clear(store, doomed, trim, backup):
                pass

    async def _replace(self, store: Store, name: str, count: int) -> None:
        source = InMemoryStore()
        if not await infos_of(store, [name], details=False):
            return
        other = [Message("user", f"other {self._serial}.{count}.{n}") for n in range(count)]
        await source.append([Part(Conversation(name), other)])
        await _transferred(source, store, name, self._origin, on_conflict="replace")

    async def _summarize(self, store: Store, name: str, count: int) -> None:
        notes = Notes(store, backups.folders.state_path("notes", "test"))
        if not await infos_of(store, [name], details=False):
            return
        summary = await summarize(store, name, notes, max_messages=count)
        if summary.text is None:
            return
        with new_backup(self._origin) as backup:
            async for _ in replace_fronts(store, [summary], notes, backup):
                pass

    async def _move(self, store: Store, name: str) -> None:
        await _transferred(store, InMemoryStore(), name, self._origin, move=True)

    async def _import(self, store: Store, name: str) -> None:
        """What was cleared comes back by another way than undo."""
        if self._cleared.get(name) and not await infos_of(store, [self._id(name)], details=False):
            self.fuse.light(None)
            part = Part(Conversation(self._id(name)), self._cleared[name], START)
            await store.append([part])

    def _due(self) -> list[backups.Manifest]:
        mine = [m for m in backups.backups() if m.origin.identity == self._origin.identity]
        return [each for each in mine if not backups.is_undone(each)]

    async def _undo(self, store: Store, index: int, how: Undo) -> None:
        if due := self._due():
            await _undone(store, due[index % len(due)], how)

    async def _undo_all(self) -> None:
        async with self._opener() as store:
            while due := self._due():
                failed = await _undone(store, due[0], Undo(with_newer=True))
                assert not failed, failed


class _Nothing(SynmemError):
    """It was undone already."""


async def _undone(store: Store, manifest: backups.Manifest, how: Undo) -> list[NotRestored]:
    try:
        return [each async for each in undo(store, manifest, how) if isinstance(each, NotRestored)]
    except SynmemError as error:
        if "undone already" in str(error):
            raise _Nothing(str(error)) from error
        raise


async def _transferred(
    source: Store, dest: Store, name: str, origin: Origin, *, move: bool = False, **options: Any
) -> None:
    with Ledger() as ledger, new_backup(origin) as backup:
        kept: Backup | None = None if move else backup
        transfer = Transfer(
            source, dest, ledger, Options(ids=[name], move=move, **options), backup=kept
        )
        try:
            await transfer.copy()
            await transfer.verify()
            if move:
                await transfer.remove(backup)
        except SynmemError as error:
            if "no conversation" not in str(error):
                raise


@contextlib.contextmanager
def set_clock() -> Iterator[None]:
    """Let backups read the clock that the history sets."""
    before = backup_module.datetime
    backup_module.datetime = Clock  # type: ignore[misc]
    Clock.shift = timedelta()
    try:
        yield
    finally:
        backup_module.datetime = before  # type: ignore[misc]


async def _messages(store: Store, conversation: str) -> list[Message]:
    pages = store.read([conversation])
    return [item async for page in pages for item in page.items if isinstance(item, Message)]


def _texts(found: Sequence[Any]) -> list[str]:
    return [getattr(each, "content", str(each)) for each in found]
