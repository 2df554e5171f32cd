"""What a transfer did, conversation by conversation, kept on disk; and the receipt made of it.

A receipt is one JSON object: `receipt` (its version, 2), `source` and `destination` (secrets
masked), `scheme` and `fields` of the digests (those that both sides hold), `defaults` (keys of
`extra` that these are without: the destination fills them by itself), `not_compared`,
`counts`, `id_as` (the template of `--id-as`, where there was one), `content`, SHA-256 over the
lines `digest id` (the same for two receipts of the same conversations, whatever was done), `root`
(`Root`: over all that the receipt says), and `conversations` with a line for each:
`conversation_id` (in the destination), `source_id` (where that is another), `action`, `messages`,
`digest`; `at`, the number of messages before these (left out for 0; "end" where they are the last,
and the store could not count those before); `own`, a SHA-256 for the title and for the extra, where
they are set (`compare.description_line`); and `problem`. `check_receipt.py` reads it again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Self

import msgspec

from synmem.messages import FIELDS, Digest, Holds, JSONObject, dump_json
from synmem.store import START, Position
from synmem.temporary import private_database, room

VERSION: Final = 2
"""The form of a receipt: one that knows no other does not guess. The root of version 1 is what
`content` is now."""

_PAGE = 500


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one conversation.

    `messages` of it are in the destination behind `after`, under `digest`. `written` of them came
    by this run; `verified` says that they were read back. `own` has a hash of the title and of the
    extra that must be there, `source_end` is where the source ended.
    """

    conversation: str
    source: str
    action: str
    messages: int = 0
    written: int = 0
    digest: str | None = None
    after: Position = START
    at: int | None = 0
    """How many messages of the destination stand before; None: they are its last."""
    description: dict[str, str] = {}
    source_end: Position = START
    verified: bool = False
    rows: bool = False
    """Whether the digest is the destination's own, of what it copied: `SupportsCopy.digests`."""
    kind: str | None = None
    """What went wrong: conflict, rejected, unreadable, failed, changed; left: it was not moved."""
    problem: str | None = None

    def line(self) -> JSONObject:
        """The entry as the receipt shows it."""
        values = {
            "conversation_id": self.conversation,
            "source_id": self.source if self.source != self.conversation else None,
            "action": self.action,
            "messages": self.messages,
            "at": "end" if self.at is None else self.at or None,
            "digest": self.digest,
            "own": self.description or None,
            "kind": self.kind,
            "problem": self.problem,
        }
        return {key: value for key, value in values.items() if value is not None}


def as_utf8(problem: str) -> str:
    """A problem as an entry holds it: it may quote an id or a text that UTF-8 has no form for."""
    return problem.encode("utf-8", "backslashreplace").decode()


class Ledger:
    """The entries of a run, by the bytes of their ids; on disk where they are many."""

    def __init__(self) -> None:
        self._rows = private_database()
        self._rows.execute(
            "CREATE TABLE entry (id BLOB PRIMARY KEY, checked INTEGER, data BLOB) WITHOUT ROWID"
        )
        self._rows.execute("CREATE TABLE later (id BLOB PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def record(self, entries: Iterable[Entry]) -> None:
        """Remember entries; a later one of the same conversation takes the place of the first."""
        rows = [
            (e.conversation.encode(), e.verified or e.digest is None, _encode(e)) for e in entries
        ]
        with room():
            self._rows.execute("BEGIN")  # else each row would be a transaction
            try:
                self._rows.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", rows)
            finally:
                if self._rows.in_transaction:  # not where there was no room for them
                    self._rows.execute("COMMIT")

    def add(self, other: "Ledger", *, planned: bool = False) -> None:
        """What a later run did, to what is here: an entry of both is what became of it in all.

        What is only `planned` is not done one after the other: the most of it counts.
        """
        for page in other.pages():
            marks = ",".join("?" * len(page))
            ids = [entry.conversation.encode() for entry in page]
            rows = self._rows.execute(f"SELECT data FROM entry WHERE id IN ({marks})", ids)
            before = {entry.conversation: entry for entry in (_decode(row[0]) for row in rows)}
            self.record(
                _together(before[each.conversation], each, planned=planned)
                if each.conversation in before
                else each
                for each in page
            )

    def pages(self, *, unverified: bool = False) -> Iterator[list[Entry]]:
        """All entries, or those to verify, in the order of the ids' bytes."""
        where = "AND NOT checked" if unverified else ""
        last = b""
        while True:
            rows = self._rows.execute(
                f"SELECT id, data FROM entry WHERE id > ? {where} ORDER BY id LIMIT {_PAGE}", [last]
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [_decode(data) for _, data in rows]

    def entry(self, conversation: str) -> Entry | None:
        """What became of the conversation that has this id in the destination."""
        rows = self._rows.execute("SELECT data FROM entry WHERE id = ?", [conversation.encode()])
        return next((_decode(data) for (data,) in rows), None)

    def put_off(self, conversations: Sequence[str]) -> None:
        """Remember conversations of the source to which the run comes back."""
        with room():
            rows = [(each.encode(),) for each in conversations]
            self._rows.executemany("INSERT OR IGNORE INTO later VALUES (?)", rows)

    def later(self) -> Iterator[list[str]]:
        """Those, in the order of the ids' bytes."""
        last = b""
        while rows := self._rows.execute(
            f"SELECT id FROM later WHERE id > ? ORDER BY id LIMIT {_PAGE}", [last]
        ).fetchall():
            last = rows[-1][0]
            yield [id_.decode() for (id_,) in rows]

    def counts(self) -> dict[str, int]:
        """How many conversations had each action, and each kind of problem."""
        counts: Counter[str] = Counter()
        for page in self.pages():
            for entry in page:
                counts["conversations"] += 1
                counts["messages"] += entry.written
                counts[entry.action] += 1
                if entry.kind:
                    counts[entry.kind] += 1
        return dict(counts)

    def described(self) -> int:
        """Of how many conversations only title or extra were brought, and no message."""
        return sum(
            entry.action == "appended" and not entry.written and entry.kind is None
            for page in self.pages()
            for entry in page
        )

    def close(self) -> None:
        """Give the temporary file back."""
        self._rows.close()


_WROTE: Final = frozenset({"copied", "appended", "replaced", "extended", "branched"})


def _together(first: Entry, then: Entry, *, planned: bool) -> Entry:
    """What two runs, one after the other, did to a conversation.

    The digest is of the more that is proven: the first's, where the second brought nothing, or
    only the beginning of what was there.
    """
    kept = first if then.digest is None or (then.action == "ahead" and first.digest) else then
    wrote = first.action if first.action in _WROTE else then.action
    worse = then if then.kind is not None else first
    return msgspec.structs.replace(
        kept,
        action=wrote if then.action != "replaced" else "replaced",
        written=max(first.written, then.written) if planned else first.written + then.written,
        kind=worse.kind,
        problem=worse.problem,
    )


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Root:
    """The root digest of a receipt: SHA-256 over its lines, each with a newline.

    The first is all that the receipt says but `root` and `conversations`, then comes each
    conversation, in the order of the ids' bytes; JSON with sorted keys, without blanks, in ASCII.
    """

    def __init__(self, head: JSONObject) -> None:
        self._hash = hashlib.sha256()
        self.take({key: head[key] for key in head if key not in ("root", "conversations")})

    def take(self, line: JSONObject) -> None:
        """The next conversation."""
        text = json.dumps(line, sort_keys=True, separators=(",", ":"))
        self._hash.update(text.encode() + b"\n")

    def __str__(self) -> str:
        return "sha256:" + self._hash.hexdigest()


def content_of(digests: Iterable[tuple[str | None, str]]) -> str:
    """SHA-256 over the lines `digest id`, given in the order of the ids' bytes."""
    root = hashlib.sha256()
    for digest, conversation in digests:
        if digest:
            root.update(f"{digest} ".encode() + conversation.encode() + b"\n")
    return "sha256:" + root.hexdigest()


def receipt_lines(
    ledger: Ledger,
    *,
    source: str,
    destination: str,
    holds: Holds,
    not_compared: list[str],
    dry_run: bool = False,
    id_as: str | None = None,
) -> Iterator[bytes]:
    """The receipt as JSON text, in pieces: as flat in memory as the ledger."""
    head: dict[str, Any] = {
        "receipt": VERSION,
        "source": source,
        "destination": destination,
        "scheme": Digest.SCHEME,
        "fields": [field for field in FIELDS if field in holds.fields],
        "conversation_fields": sorted(holds.conversation_fields),
        "time_us": holds.time_us,
        "not_compared": not_compared,
        "counts": ledger.counts(),
        "content": content_of((e.digest, e.conversation) for page in ledger.pages() for e in page),
    }
    if holds.defaults:
        head["defaults"] = sorted(holds.defaults)
    if holds.extra_of:
        head["extra_of"] = holds.extra_of
    if id_as is not None:
        head["id_as"] = id_as
    if dry_run:
        head["dry_run"] = True
    root = Root(head)
    for page in ledger.pages():
        for entry in page:
            root.take(entry.line())
    head["root"] = str(root)
    yield dump_json(head)[:-1] + b',"conversations":['
    comma = b""
    for page in ledger.pages():
        yield comma + b",".join(dump_json(entry.line()) for entry in page)
        comma = b","
    yield b"]}\n"
