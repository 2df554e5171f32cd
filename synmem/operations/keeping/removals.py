"""What was removed from a store, over all its backups: what of it is due, and in which order.

For a conversation the newest removal comes back first, by the counter that each seal has taken.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Final

import msgspec

from synmem import folders
from synmem.errors import CorruptData
from synmem.notes import store_folder
from synmem.operations.keeping import backups
from synmem.operations.keeping.backups import Damaged, Kept, Manifest, Pages
from synmem.operations.keeping.journal import Fate, Journal, Line, Word, spans_of
from synmem.store import START, Position, Step

_DONE: Final = ("void", "restored")


class Removal:
    """One conversation, or its front, as one backup keeps it; and what became of it."""

    def __init__(self, manifest: Manifest, kept: Kept, fate: Fate) -> None:
        self.manifest = manifest
        self.kept = kept
        self.fate = fate
        self.key = f"{manifest.id}.{kept.number}"
        self.order = fate.sequence, manifest.id
        """Later removals are higher."""

    @property
    def name(self) -> str:
        """The conversation's id."""
        return self.kept.conversation.id

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do: it is back, or never went."""
        return self.fate.word in _DONE

    @property
    def is_in_doubt(self) -> bool:
        """Whether a step was begun of which the journal does not know the outcome."""
        return self.fate.word in ("removing", "restoring", None)

    @property
    def step(self) -> Step:
        """The write that was announced last, as the store may remember it."""
        return Step(self.name, self.fate.token)

    def now(self, word: Word, front: Position | None = None) -> None:
        """What became of it; to be noted in the journal."""
        self.fate = msgspec.structs.replace(self.fate, word=word, front=front)

    def for_another_store(self) -> None:
        """All of it is due there, and nothing stood behind it."""
        self.fate = Fate("void" if self.fate.word == "void" else "removed")
        self.kept = msgspec.structs.replace(self.kept, replacement=None, left=None)

    def read(self) -> Pages:
        """The messages."""
        return backups.read(self.manifest, self.kept)


class Removals:
    """The removals of one backup, and those of the same store that are newer and not back yet."""

    def __init__(
        self, manifest: Manifest, locks: ExitStack, *, elsewhere: bool = False, alone: bool = True
    ) -> None:
        """Locks, to be `alone`, this backup and every other that has to come back first; Busy
        where a command still writes one of these. What is brought `elsewhere`, to another store,
        is due in its own all the same: nothing is written down."""
        self._silent = elsewhere
        self._alone = alone
        self.damaged: list[Damaged] = []
        """Other backups of which it is not known what they hold."""
        notes = store_folder(folders.state_path("notes"), manifest.origin.identity)
        self.notes_folder = None if elsewhere else notes
        """Where notes on the store lie that it does not keep."""
        self._locks = locks
        self._journals: dict[str, Journal] = {}
        self._of: dict[str, list[Removal]] = {}
        self._restored: dict[str, list[Removal]] = {}
        self._lock(manifest)
        self.mine = self._of[manifest.id] = self._read(manifest)
        self._remember_restored(each for each in self.mine if each.fate.word == "restored")
        if elsewhere:
            for each in self.mine:
                each.for_another_store()
        self.newer = [] if elsewhere else self._newer_ones(manifest)
        locks.callback(self._close)

    @property
    def in_doubt(self) -> list[Removal]:
        """Those of which it must be found out what became of them."""
        return [each for each in (*self.mine, *self.newer) if each.is_in_doubt]

    def fronts_of_rest(self, removal: Removal) -> set[Position]:
        """Where what followed the messages of this removal begins: where it began then, and where
        later removals from its front were brought back to."""
        if removal.kept.left is None:
            return set()
        known = {removal.kept.left.position}
        for each in sorted(self._restored.get(removal.name, []), key=lambda one: one.order):
            if each.order > removal.order and each.kept.first in known and each.fate.front:
                known.add(each.fate.front)
        return known

    def announce(
        self, batch: Sequence[Removal], token: str, begins: Sequence[Position], *, together: bool
    ) -> None:
        """Write down that these, of one backup, are about to be brought back with this token;
        each begins here now."""
        numbers = [each.kept.number for each in batch]
        fronts = dict(zip(numbers, begins, strict=True))
        line = Line("restoring", spans_of(numbers), token, together=together, fronts=fronts)
        if not self._silent:
            self._journal(batch[0].manifest).write(line)
        for each in batch:
            own = token if together else f"{token}.{each.kept.number}"
            each.fate = Fate("restoring", own, each.fate.sequence, fronts[each.kept.number])

    def note(self, removals: Iterable[Removal]) -> None:
        """Write down what became of these."""
        if self._silent:
            return
        groups: dict[tuple[str, Word], list[Removal]] = {}
        for each in removals:
            assert each.fate.word is not None
            groups.setdefault((each.manifest.id, each.fate.word), []).append(each)
        for (_, word), some in groups.items():
            fronts = {each.kept.number: each.fate.front or START for each in some}
            self._journal(some[0].manifest).note(
                word,
                [each.kept.number for each in some],
                fronts if word == "restored" else None,
            )
            if word == "restored":
                self._remember_restored(some)

    def finish(self) -> None:
        """Write down of each backup of which nothing is left to do that it is undone."""
        if self._silent:
            return
        for removals in self._of.values():
            if removals and all(each.is_done for each in removals):
                self._journal(removals[0].manifest).write(Line("undone"))

    def _newer_ones(self, manifest: Manifest) -> list[Removal]:
        due = {each.name: each.order for each in self.mine if not each.is_done}
        sound, self.damaged = backups.every()
        found: list[Removal] = []
        for other in sound:
            same = other.origin.place == manifest.origin.place
            later = (other.sequence, other.id) > min(due.values(), default=(0, ""))
            if other.id == manifest.id or not same or not later:
                continue
            try:
                removals = self._read(other)
                if _newer(removals, due):  # again, now that nobody writes to it
                    self._lock(other)
                    removals = self._of[other.id] = self._read(other)
                    found += _newer(removals, due)
                self._remember_restored(r for r in removals if r.fate.word == "restored")
            except CorruptData as error:
                self.damaged.append(backups.damaged_by(other, error))
        return found

    def _read(self, manifest: Manifest) -> list[Removal]:
        fates = backups.fates(manifest)
        return [
            Removal(manifest, kept, fates.get(kept.number, Fate()))
            for kept in backups.entries(manifest)
        ]

    def _remember_restored(self, removals: Iterable[Removal]) -> None:
        for each in removals:
            self._restored.setdefault(each.name, []).append(each)

    def _lock(self, manifest: Manifest) -> None:
        if self._alone:
            self._locks.enter_context(backups.lock(manifest))

    def _journal(self, manifest: Manifest) -> Journal:
        return self._journals.setdefault(manifest.id, backups.journal(manifest))

    def _close(self) -> None:
        for each in self._journals.values():
            each.close()


def _newer(removals: Sequence[Removal], due: dict[str, tuple[int, str]]) -> list[Removal]:
    return [
        each
        for each in removals
        if each.name in due and not each.is_done and each.order > due[each.name]
    ]
