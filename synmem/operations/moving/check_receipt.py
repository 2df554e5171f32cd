"""Whether a store still holds what the receipt of a migration or an import says.

A receipt (see `receipt.py`) is read whole: about 400 bytes of memory a conversation. Its root
digest shows that it is as it was written, not by whom: who must not be able to write another one
keeps the root elsewhere. That of a receipt of version 1 is over digests and ids only: nothing shows
whether the rest of it was altered.
"""

import json
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from synmem.errors import CorruptData, Unsupported, UsageError
from synmem.messages import (
    EVERYTHING,
    FIELDS,
    Digest,
    Holds,
    JSONObject,
    Message,
    Unreadable,
    parse_json,
)
from synmem.operations.listing import BATCH, Match, matcher
from synmem.operations.looking import check_unchanged, infos_of
from synmem.operations.moving.check import Checked
from synmem.operations.moving.compare import State, description_hashes, description_of
from synmem.operations.moving.receipt import VERSION, Root, content_of
from synmem.operations.proof import canonical_lines, unreadable
from synmem.store import ConversationInfo, Store


class Line(msgspec.Struct, gc=False, frozen=True):
    """What a receipt says of one conversation: its messages, behind `at` others, under `digest`.

    Without a digest nothing of it was brought over.
    """

    conversation_id: str
    messages: int = 0
    digest: str | None = None
    at: int | Literal["end"] = 0
    description: dict[str, str] | None = msgspec.field(default=None, name="own")
    source_id: str | None = None


class Receipt(msgspec.Struct, frozen=True):
    """A receipt; its conversations as their JSON text, which takes the least memory."""

    source: msgspec.Raw
    destination: msgspec.Raw
    scheme: int
    fields: list[str]
    conversation_fields: list[str]
    time_us: int
    counts: dict[str, int]
    root: str
    conversations: list[msgspec.Raw]
    receipt: int = VERSION
    dry_run: bool = False
    defaults: list[tuple[str, str]] = []
    extra_of: str = ""
    id_as: str | None = None

    @property
    def about(self) -> JSONObject:
        """From where to where it was, its root digest, and its version."""
        names = {"source": self.source, "destination": self.destination}
        about = {key: parse_json(bytes(raw)) for key, raw in names.items()}
        named = {} if self.id_as is None else {"id_as": self.id_as}
        return about | named | {"root": self.root, "version": self.receipt}

    def chosen_by(self, line: Line) -> str:
        """The id that a glob is to fit: where `--id-as` gave the names, that of the source."""
        by_source = self.id_as is not None and line.source_id is not None
        return line.source_id if by_source and line.source_id else line.conversation_id

    @property
    def is_older(self) -> bool:
        """Whether its root covers no more than digests and ids."""
        return self.receipt < VERSION

    @property
    def holds(self) -> Holds:
        """What its digests are over."""
        fields = frozenset(self.fields)
        return Holds(
            fields=EVERYTHING.fields if fields == EVERYTHING.fields else fields,
            conversation_fields=frozenset(self.conversation_fields),
            time_us=self.time_us,
            defaults=frozenset(self.defaults),
            extra_of=self.extra_of,
        )

    def lines(self) -> Iterator[Line]:
        """What it says of each conversation, in the order of the ids' bytes."""
        return map(_line, self.conversations)

    @property
    def proven(self) -> int:
        """Of how many conversations it proves something."""
        return sum(line.digest is not None for line in self.lines())


_line = msgspec.json.Decoder(Line).decode


# --- reading one ----------------------------------------------------------------------------

_VERSIONS = (1, VERSION)
_BEGINS = re.compile(rb'\s*\{\s*"(receipt|source)"\s*:')


def parse_receipt(data: bytes, name: str) -> Receipt:
    """The receipt that a file holds; `name` is what the file is called.

    UsageError where it is none, or one of a dry run; CorruptData where it is not as it was
    written, or of a version that is not known.
    """
    receipt = _parsed(data, name)
    known = receipt.receipt in _VERSIONS and receipt.scheme == Digest.SCHEME
    if not known or not {*receipt.fields} <= {*FIELDS}:
        raise CorruptData(
            f"{name}: a receipt of version {receipt.receipt}, digests of scheme {receipt.scheme} "
            f"over {', '.join(receipt.fields)}: altered, or of a newer synmem"
        )
    count = len(receipt.conversations)
    root = _root(receipt, data, name)
    if root != receipt.root or receipt.counts.get("conversations", 0) != count:
        raise _altered(name, "what it says does not fit its root digest and its counts")
    if receipt.dry_run:
        raise UsageError(f"{name} is the receipt of a dry run, which wrote nothing")
    return receipt


def _parsed(data: bytes, name: str) -> Receipt:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        if _BEGINS.match(data):
            raise _altered(name, str(error)) from error
    raise UsageError(
        f"{name} is not a receipt", hint="`migrate` and `import` write one: --receipt FILE"
    )


_decode = msgspec.json.Decoder(Receipt).decode


def _root(receipt: Receipt, data: bytes, name: str) -> str:
    """The root digest that fits; puts the conversations in their order."""
    try:
        receipt.conversations.sort(key=lambda raw: _line(raw).conversation_id.encode())
        if receipt.is_older:
            return content_of((line.digest, line.conversation_id) for line in receipt.lines())
        # All of it, also what `Receipt` has no field for; without the conversations' text.
        rest = data
        if receipt.conversations:
            rest = data.replace(bytes(_decode_members(data)["conversations"]), b"[]", 1)
        root = Root(_decode_once(rest.decode()))
        for raw in receipt.conversations:
            root.take(_decode_once(bytes(raw).decode()))
        return str(root)
    except (msgspec.DecodeError, UnicodeError, ValueError, RecursionError) as error:
        raise _altered(name, str(error)) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object: readers differ in which of two values under one name counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("something is said twice")
    return found


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_once = json.JSONDecoder(object_pairs_hook=_once).decode


def _altered(name: str, why: str) -> CorruptData:
    return CorruptData(f"{name} was cut short or altered: {why}")


# --- comparing ------------------------------------------------------------------------------


async def check_receipt(
    receipt: Receipt, store: Store, *, match: Match = None
) -> AsyncIterator[list[Checked]]:
    """How each conversation of the receipt stands in the store, in lists.

    Absent: it is not there. Behind: it has fewer messages. Different: other ones, or another
    title or extra. Ahead: those of the receipt, and more. What the receipt does not name is not
    looked at. `match` takes the source's ids, where `--id-as` gave others. Unsupported where the
    store cannot hold what the digests are over.
    """
    _check_comparable(receipt.holds, store)
    fits = matcher(match)
    lines = (line for line in receipt.lines() if line.digest and fits(receipt.chosen_by(line)))
    while batch := list(islice(lines, BATCH)):
        stretches = {line.conversation_id: _Stretch(line, receipt.holds) for line in batch}
        async for page in store.read(list(stretches)):
            stretches[page.conversation].take(page.items)
        infos = await _infos(store, stretches.values())
        yield [stretch.checked(store, infos) for stretch in stretches.values()]
    await check_unchanged(store)


def _check_comparable(holds: Holds, store: Store) -> None:
    lacking: list[str] = [field for field in FIELDS if field in holds.fields - store.holds.fields]
    if "created_at" in holds.fields & store.holds.fields and store.holds.time_us > holds.time_us:
        lacking.append(f"created_at below {store.holds.time_us} us")
    if "extra" in holds.fields and store.holds.extra_of not in ("", holds.extra_of):
        lacking.append(f"extra that is not {store.holds.extra_of}'s")
    if lacking:
        raise Unsupported(
            f"{store.name} cannot be compared with the receipt: its digests are over what this "
            f"store does not hold: {', '.join(lacking)}"
        )


class _Stretch:
    """The messages of one conversation that a receipt is about, as they come from a store."""

    def __init__(self, line: Line, holds: Holds) -> None:
        self.line = line
        self._holds = holds
        self._digest = Digest(holds)
        self._seen = 0
        self._bad: str | None = None
        self._last: deque[bytes] = deque(maxlen=line.messages)

    def take(self, items: Sequence[Message | Unreadable]) -> None:
        """The conversation's next page."""
        begun, self._seen = self._seen, self._seen + len(items)
        if self.line.at == "end":
            self._last.extend(canonical_lines(items, self._holds))
            return
        first = max(0, self.line.at - begun)
        ours = items[first : max(0, self.line.at + self.line.messages - begun)]
        if (bad := unreadable(ours)) and self._bad is None:
            number = begun + first + list(ours).index(bad) + 1
            self._bad = f"message {number:,}: {bad.reason}"
        if self._bad is None:
            self._digest.take(canonical_lines(ours, self._holds))

    def checked(self, store: Store, infos: dict[str, ConversationInfo]) -> Checked:
        """How it stands, when all its pages were taken."""
        state, detail = self._messages()
        if state in (State.EQUAL, State.AHEAD) and self.line.description:
            common = self._holds.common(store.holds)
            info = infos.get(self.line.conversation_id)
            there = description_hashes(description_of(info, common)) if info else {}
            for field in sorted({*self.line.description} & common.conversation_fields):
                if there.get(field) != self.line.description[field]:
                    state, detail = State.DIFFERENT, field
                    if info is not None and info.unreadable is not None:
                        state, detail = State.UNREADABLE, info.unreadable
        return Checked(self.line.conversation_id, state, detail)

    def _messages(self) -> tuple[State, str]:
        count, at = self.line.messages, self.line.at
        if not self._seen:
            return State.ABSENT, ""
        if self._bad is not None:
            return State.UNREADABLE, self._bad
        end = count if at == "end" else at + count
        if self._seen < end:
            return State.BEHIND, f"{self._seen:,} of {end:,} messages"
        self._digest.take(list(self._last))
        if str(self._digest) != self.line.digest:
            which = "last " if at == "end" else f"first {end:,} " if not at else ""
            return State.DIFFERENT, f"its {which}messages have another digest"
        more = self._seen > end and at != "end"
        return (State.AHEAD, f"from message {end + 1:,} on") if more else (State.EQUAL, "")


async def _infos(store: Store, stretches: Iterable[_Stretch]) -> dict[str, ConversationInfo]:
    ids = [stretch.line.conversation_id for stretch in stretches if stretch.line.description]
    return await infos_of(store, ids, details=True) if store.holds.conversation_fields else {}
