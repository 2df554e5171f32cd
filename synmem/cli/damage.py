"""What is wrong with a store beyond its messages: told to the person, and how much it forbids."""

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

from synmem.cli import render
from synmem.errors import CorruptData

if TYPE_CHECKING:
    from synmem.messages import Damage
    from synmem.operations.looking import Skipped
    from synmem.store import Store


class Harm(IntEnum):
    """How much is wrong with a store, in rising order."""

    NONE = 0
    STRAYS = 1
    DAMAGED = 2


async def check_damage(
    source: "Store",
    *,
    consent: bool,
    as_json: bool = False,
    quiet: bool = False,
    chosen: bool = False,
) -> Harm:
    """What is wrong with the source beyond its messages; everything is named that is a fault, and
    but for `quiet` also how it is read.

    Of a file that is not as it was written nothing may be brought over without consent: a
    malformed line could belong anywhere. Rows that belong to no conversation harm none; where
    conversations are `chosen` by their ids, these are none of them, and are not named.
    """
    from synmem.messages import FINER, SEVERAL, STRAY, TWICE
    from synmem.operations.looking import damage_of, faults

    found = await damage_of(source)
    damage = [each for each in faults(found) if not (chosen and each.kind == STRAY)]
    told = () if quiet else (FINER, SEVERAL, TWICE)
    name_damage(source.name, [*damage, *(each for each in found if each.kind in told)])
    if all(each.kind == STRAY for each in damage):
        return Harm.STRAYS if damage else Harm.NONE
    if not consent:
        problem = CorruptData(
            f"nothing was written: {source.name} is damaged",
            hint="--rejects FILE takes what can be read, and keeps the rest",
        )
        render.error(problem, as_json=as_json)
    return Harm.DAMAGED


async def name_strays(store: "Store", *, quiet: bool = False) -> bool:
    """Whether records belong to no conversation, where the store can tell that at little cost;
    they are named: who lists, counts or searches all passes over them. With `quiet` what is no
    fault is not."""
    from synmem.operations.looking import faults
    from synmem.store import SupportsStrays

    strays = await store.strays() if isinstance(store, SupportsStrays) else []
    wrong = faults(strays)
    name_damage(store.name, wrong if quiet else strays)
    return bool(wrong)


async def name_several(store: "Store") -> None:
    """Say of a file of several exports how it is read."""
    from synmem.messages import SEVERAL
    from synmem.store import SupportsDamage, SupportsExports

    # A server would look through all that it has for its damage, a second time.
    if isinstance(store, SupportsExports) and isinstance(store, SupportsDamage):
        name_damage(store.name, [each for each in await store.damage() if each.kind == SEVERAL])


def name_unreadable(records: "Iterable[Skipped]", whose: str = "") -> bool:
    """Whether records cannot be read, each of which is named."""
    some = False
    for each in records:
        where = f"{each.conversation_id}, message {each.position}"
        render.note(f"{whose}{render.visible_line(where)} cannot be read: {each.reason}")
        some = True
    return some


def name_damage(store: str, damage: "Iterable[Damage]") -> None:
    """A line for each: `chat.jsonl:17: malformed: not JSON`."""
    for each in damage:
        reason = render.visible_line(each.reason)
        render.note(f"{_place(store, each.position)}: {each.kind}: {reason}")


def _place(store: str, position: str) -> str:
    """Where something stands: in a store that is one file the position may begin with its name."""
    from pathlib import Path

    called = Path(store).name
    if called != position.partition(":")[0] or Path(store).is_dir():
        return f"{store}:{position}"
    return f"{store}{position[len(called) :]}"
