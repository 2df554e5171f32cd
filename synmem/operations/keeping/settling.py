"""What became of steps that were begun, and of which the journal does not know the outcome: asked
of the store, and where it remembers none, told by where the messages stand."""

from collections.abc import Sequence

from synmem.messages import chunks
from synmem.operations.keeping.removals import Removal, Removals
from synmem.operations.keeping.restoring import CALL, Undo, finish
from synmem.operations.keeping.standing import (
    first_positions,
    has_position,
    is_whole,
    last_of_front,
)
from synmem.store import START, Store, SupportsSteps


async def settle(store: Store, removals: Removals, how: Undo) -> list[Removal]:
    """Find out what became of steps that were begun, and see that those that were not done
    never will be. Returns those of the backup that turn out to be back, or never to have gone."""
    doubtful = removals.in_doubt
    done = await _done(store, doubtful, how)
    for some in chunks(doubtful, CALL):
        await _settle_some(store, removals, some, done, how)
    mine = set(map(id, removals.mine))
    return [each for each in doubtful if each.is_done and id(each) in mine]


async def _settle_some(
    store: Store, removals: Removals, doubtful: Sequence[Removal], done: set[str], how: Undo
) -> None:
    back: list[Removal] = []
    known: list[Removal] = []
    for each in doubtful:
        if each.fate.word == "restoring" and each.key in done:
            back.append(each)
            continue
        removed = each.fate.word == "restoring" or each.key in done
        # That a store does not know of a removal may also be because it has forgotten it.
        never = not removed and await _is_there(store, each)
        each.now("void" if never else "removed")
        known.append(each)
    if how.dry_run:
        for each in back:
            each.now("restored")
        return
    removals.note(known)
    # They stay remembered there: who died may have sent such a write twice, and late.
    await finish(store, removals, back)


async def _done(store: Store, doubtful: Sequence[Removal], how: Undo) -> set[str]:
    """Which of these steps were done."""
    if not isinstance(store, SupportsSteps):
        return await _compared(store, doubtful)
    asked = [each for each in doubtful if each.fate.token]
    found = await (store.steps_done if how.dry_run else store.call_off)(
        {each.step for each in asked}
    )
    unasked = [each for each in doubtful if not each.fate.token]
    done = {each.key for each in asked if each.step in found}
    return done | await _compared(store, unasked)


async def _compared(store: Store, doubtful: Sequence[Removal]) -> set[str]:
    """Which of these were done, where the store remembers no steps: told by where a conversation
    begins, since a message's place is not given again."""
    if not doubtful:
        return set()
    begins = await first_positions(store, [each.name for each in doubtful])
    done = set()
    for each in doubtful:
        now = begins.get(each.name, START)
        if each.fate.word == "restoring":
            if now != each.fate.front and await is_whole(store, each.kept, each.read):
                done.add(each.key)
        elif each.kept.first:
            if now != each.kept.first:
                done.add(each.key)
        elif not store.holds.lasting_positions or await _has_moved(store, each):
            done.add(each.key)
    return done


async def _is_there(store: Store, each: Removal) -> bool:
    """Whether it is seen that this was not removed: all of it is there, or its last message where
    it was, whatever else was removed before that."""
    if await is_whole(store, each.kept, each.read):
        return True
    return store.holds.lasting_positions and await has_position(store, each.name, each.kept.upto)


async def _has_moved(store: Store, each: Removal) -> bool:
    """Whether what a backup of version 1 keeps is not where it was."""
    return await last_of_front(store, each.kept) != each.kept.upto
