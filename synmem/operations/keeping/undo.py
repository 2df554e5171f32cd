"""Bringing back what a destructive command removed, from its backup.

What was done is asked of the store, which remembers the token of each write, and never guessed
from content: a step that nobody knows the outcome of is settled first (`settling.py`). Then undo
looks how each conversation stands (`standing.py`), and writes with a token of its own, which is in
the journal before (`restoring.py`). One undo at a time works on a store, and for a conversation
the newest backup comes first (`removals.py`).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack

from synmem import folders
from synmem.errors import AlreadyUndone, Refused
from synmem.locks import waited_for
from synmem.notes import store_folder
from synmem.operations.keeping import backups
from synmem.operations.keeping.backups import Damaged, Manifest
from synmem.operations.keeping.removals import Removal, Removals
from synmem.operations.keeping.restoring import CALL, Batch, NotRestored, Restored, Undo
from synmem.operations.keeping.settling import settle
from synmem.store import Store

__all__ = ["NotRestored", "Restored", "Undo", "undo"]


async def undo(
    store: Store,
    manifest: Manifest,
    how: Undo | None = None,
    *,
    waiting: Callable[[], None] = lambda: None,
    damaged: Callable[[Damaged], None] = lambda each: None,
) -> AsyncIterator[Restored | NotRestored]:
    """Bring back everything in a backup that is not back yet.

    What stands in a conversation meanwhile stays, behind what comes back; what replaced a front
    gives way to it. CorruptData, and nothing written, where the backup is not as it was written;
    Refused where something of it was removed again later, unless `with_newer`. Run again after a
    crash it goes on, and doubles nothing. `waiting` hears that another undo is waited for,
    `damaged` of other backups that cannot be asked.
    """
    how = how or Undo()
    path = store_folder(folders.state_path("locks"), manifest.origin.identity)
    async with AsyncExitStack() as alone:
        if not how.dry_run:
            await alone.enter_async_context(waited_for(path.with_suffix(".lock"), waiting))
        with ExitStack() as locks:
            removals = Removals(manifest, locks, elsewhere=how.elsewhere, alone=not how.dry_run)
            for each in removals.damaged:
                damaged(each)
            if backups.is_undone(manifest) and not how.elsewhere:
                raise AlreadyUndone(
                    f"backup {manifest.id} is undone already", hint=backups.by_hand(manifest.id)
                )
            backups.verify(manifest)
            for one in await settle(store, removals, how):
                yield Restored(one.name, 0)
            for batch in _batches(_in_order(removals, manifest, how)):
                async for outcome in Batch(store, removals, how).restore(batch):
                    yield outcome
            if not how.dry_run:
                removals.finish()


def _in_order(removals: Removals, manifest: Manifest, how: Undo) -> list[Removal]:
    """What is to be brought back, the newest first; Refused where that includes what was not
    asked for."""
    newer = [each for each in removals.newer if not each.is_done]
    newer.sort(key=lambda each: each.order, reverse=True)
    if newer and not how.with_newer:
        raise _refused(manifest, newer)
    for other in {each.manifest.id: each.manifest for each in newer}.values():
        backups.verify(other)
    due = [each for each in removals.mine if not each.is_done]
    return sorted([*newer, *due], key=lambda each: each.order, reverse=True)


def _refused(manifest: Manifest, newer: Sequence[Removal]) -> Refused:
    names = list(dict.fromkeys(each.name for each in newer))
    others = list({each.manifest.id: each.manifest for each in newer}.values())
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    order = "; ".join(each.origin.undo(each.id) for each in (*others, manifest))
    return Refused(
        f"backup {manifest.id}: from conversation {names[0]!r}{more} something was removed again "
        "later, which comes back first",
        hint=f"in this order: {order}; or --with-newer does it",
    )


def _batches(due: Sequence[Removal]) -> list[list[Removal]]:
    """In groups of one backup, each conversation once in a group."""
    groups: list[list[Removal]] = []
    names: set[str] = set()
    for each in due:
        same = groups and groups[-1][0].manifest.id == each.manifest.id
        if not same or len(names) == CALL or each.name in names:
            groups.append([])
            names = set()
        groups[-1].append(each)
        names.add(each.name)
    return groups
