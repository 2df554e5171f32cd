"""How much is in a store: counted, and remembered for as long as nothing was written to it."""

import contextlib
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from synmem import durable, folders
from synmem.messages import dump_json
from synmem.operations.listing import listing
from synmem.operations.moving.naming import layout_of
from synmem.store import Store

_MOST: Final = 10_000
"""So many stores are remembered, those that were counted last."""


@runtime_checkable
class TellsLayout(Protocol):
    """A store of our own in a file, which tells in what form."""

    def layout(self) -> str:
        """The layout by which it can be named; no I/O."""


class Total(msgspec.Struct, frozen=True):
    """Conversations and messages (None where the store cannot tell cheaply), the last time of
    any, how many conversations cannot be read in part, and whose layout it is."""

    layout: str
    conversations: int
    messages: int | None
    last_at: datetime | None
    unreadable: int


async def count(store: Store) -> Total:
    """Count a store by its listing."""
    conversations, messages, unreadable = 0, 0, 0
    known, last_at = True, None
    async for page in listing(store, details=True):
        conversations += len(page)
        for info in page:
            known = known and info.messages is not None
            messages += info.messages or 0
            unreadable += info.unreadable is not None
            if info.last_at is not None and (last_at is None or info.last_at > last_at):
                last_at = info.last_at
    layout = layout_of(store) or (store.layout() if isinstance(store, TellsLayout) else "")
    return Total(layout, conversations, messages if known else None, last_at, unreadable)


class _Kept(msgspec.Struct, frozen=True):
    signature: str
    total: Total


class Remembered:
    """What was counted before, in a file of the state folder: rebuilt at any time."""

    def __init__(self, program: str) -> None:
        """`program`: the version of this one; another may count otherwise."""
        self._file = folders.state_path("totals.json")
        self._program = program
        self._kept = _read(self._file, program)
        self._changed = False

    def get(self, key: str, signature: str | None) -> Total | None:
        """What was counted of a store, if its signature is still the same."""
        kept = self._kept.get(_hashed(key))
        return kept.total if kept is not None and kept.signature == signature else None

    def put(self, key: str, signature: str | None, total: Total) -> None:
        """Remember what was counted while the signature was this; nothing where there is none."""
        if signature is not None:
            self._kept.pop(_hashed(key), None)
            self._kept[_hashed(key)] = _Kept(signature, total)
            self._changed = True

    def save(self) -> None:
        """Write what is new; where that cannot be, it is counted again the next time."""
        if not self._changed:
            return
        last = dict(list(self._kept.items())[-_MOST:])
        data = {"program": self._program, "stores": msgspec.to_builtins(last)}
        with contextlib.suppress(OSError):
            folders.private(self._file.parent)
            durable.replace(self._file, dump_json(data))


def _hashed(key: str) -> str:
    """A name of ASCII: a path may hold what JSON cannot."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class _File(msgspec.Struct):
    program: str
    stores: dict[str, _Kept]


def _read(file: Path, program: str) -> dict[str, _Kept]:
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_File)
    except (OSError, ValueError):
        return {}
    return found.stores if found.program == program else {}
