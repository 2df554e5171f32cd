"""The transfer engine, between two in-memory stores."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import Changed, Rejected, UsageError
from synmem.messages import FIELDS, Conversation, Holds, Message, Unreadable
from synmem.operations import listing
from synmem.operations.keeping.backup import Origin, backups, new_backup
from synmem.operations.keeping.undo import Restored, undo
from synmem.operations.moving.check import check
from synmem.operations.moving.compare import State
from synmem.operations.moving.receipt import Entry, Ledger, receipt_lines
from synmem.operations.moving.transfer import Options, Transfer
from synmem.store import Page, Part


def messages(*texts: str) -> list[Message]:
    return [Message("user", text) for text in texts]


async def fill(store: InMemoryStore, conversation: str, *texts: str, **own: Any) -> None:
    await store.append([Part(Conversation(conversation, **own), messages(*texts))])


async def texts(store: Any, conversation: str) -> list[str]:
    return [
        item.content if isinstance(item, Message) else "?"
        async for page in store.read([conversation])
        for item in page.items
    ]


@dataclass
class Outcome:
    transfer: Transfer
    entries: dict[str, Entry]
    counts: dict[str, int]
    rejected: list[tuple[str, int, Any, str]] = field(default_factory=list)
    receipt: dict[str, Any] = field(default_factory=dict)


async def run(
    source: Any, dest: Any, backup: Any = None, moved: Any = None, **options: Any
) -> Outcome:
    rejected: list[tuple[str, int, Any, str]] = []
    with Ledger() as ledger:
        transfer = Transfer(
            source, dest, ledger, Options(**options),
            reject=lambda *each: rejected.append(each), backup=backup,
        )  # fmt: skip
        await transfer.copy()
        if not transfer._options.dry_run:
            await transfer.verify()
            if transfer._options.move:
                await transfer.remove(moved)
        entries = {e.conversation: e for page in ledger.pages() for e in page}
        text = b"".join(
            receipt_lines(
                ledger, source="s", destination="d", holds=transfer.holds,
                not_compared=transfer.not_compared, dry_run=transfer._options.dry_run,
            )
        )  # fmt: skip
        return Outcome(transfer, entries, ledger.counts(), rejected, json.loads(text))


async def states(source: Any, dest: Any, **options: Any) -> dict[str, State]:
    return {
        each.conversation: each.state
        async for page in check(source, dest, **options)
        for each in page
    }


class Poor(InMemoryStore):
    """Holds no times and no titles."""

    holds = Holds(
        fields=frozenset({"role", "content", "metadata"}), conversation_fields=frozenset()
    )


class Picky(InMemoryStore):
    """Refuses messages that say so, and takes three messages a call."""

    holds = Holds(call_messages=3)
    calls: int = 0

    def refusal(self, message: Message) -> str | None:
        return "too large" if "refuse" in message.content else super().refusal(message)

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[str]:
        assert sum(len(part.messages) for part in parts) <= 3
        self.calls += 1
        return await super().append(parts, keep=keep)


def break_record(store: InMemoryStore, conversation: str, index: int) -> None:
    store._held[conversation].messages[index] = Unreadable(str(index), "not JSON")


# --- the five states ------------------------------------------------------------------------


def test_each_state_is_handled_and_a_second_run_does_nothing() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=2), InMemoryStore(page_size=2)
        await fill(source, "absent", "a", "b", "c")
        await fill(source, "behind", "a", "b", "c")
        await fill(source, "equal", "a", "b")
        await fill(source, "ahead", "a")
        await fill(source, "different", "a", "b")
        await fill(dest, "behind", "a")
        await fill(dest, "equal", "a", "b")
        await fill(dest, "ahead", "a", "b")
        await fill(dest, "different", "a", "x")
        await fill(dest, "extra", "a")
        first = await run(source, dest)
        assert {i: e.action for i, e in first.entries.items()} == {
            "absent": "copied",
            "behind": "appended",
            "equal": "equal",
            "ahead": "ahead",
            "different": "nothing",
        }
        assert first.entries["different"].kind == "conflict"
        assert first.entries["different"].problem == "message 2: content"
        assert first.counts["messages"] == first.transfer.written == 5
        assert first.transfer.verified == 2
        assert await texts(dest, "behind") == ["a", "b", "c"]
        assert await texts(dest, "different") == ["a", "x"]
        second = await run(source, dest)
        assert second.transfer.written == 0

    asyncio.run(main())


def test_many_small_conversations_travel_in_few_calls() -> None:
    class Counting(InMemoryStore):
        calls = 0

        async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[str]:
            self.calls += 1
            return await super().append(parts, keep=keep)

    async def main() -> None:
        source, dest = InMemoryStore(), Counting()
        await source.append([Part(Conversation(f"c{i}"), messages("a", "b")) for i in range(1_200)])
        outcome = await run(source, dest, jobs=3)
        assert outcome.counts["copied"] == 1_200
        assert dest.calls <= 6
        assert set((await states(source, dest)).values()) == {State.EQUAL}

    asyncio.run(main())


def test_a_large_conversation_is_split_into_calls_that_the_store_takes() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=7), Picky()
        await fill(source, "large", *(str(i) for i in range(20)))
        await fill(source, "small", "a")
        await run(source, dest)
        assert await texts(dest, "large") == [str(i) for i in range(20)]
        assert dest.calls == 7

    asyncio.run(main())


@pytest.mark.parametrize("ahead", ["source", "dest"])
def test_a_conversation_of_thousands_of_messages_is_compared_page_by_page(ahead: str) -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore(page_size=700)
        many = [str(i) for i in range(7_001)]
        await fill(source, "large", *(many if ahead == "source" else many[:-1]))
        await fill(dest, "large", *(many[:-1] if ahead == "source" else many))
        expected = State.BEHIND if ahead == "source" else State.AHEAD
        assert await states(source, dest) == {"large": expected}
        outcome = await run(source, dest)
        assert outcome.transfer.written == (1 if ahead == "source" else 0)
        assert await texts(dest, "large") == many

    asyncio.run(main())


def test_equality_is_exact_but_not_pedantic() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        pairs: dict[str, tuple[Any, Any]] = {
            "int-float": ({"n": 1}, {"n": 1.0}),
            "bool-int": ({"n": True}, {"n": 1}),
            "nan-null": ({"n": float("nan")}, {"n": None}),
            "order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
            "empty": ({}, None),
            "nan": ({"n": float("nan")}, {"n": float("nan")}),
            "big": ({"n": 2**70}, {"n": 2**70}),
        }
        for name, (one, other) in pairs.items():
            for store, metadata in ((source, one), (dest, other)):
                message = Message("user", "\ud800" if name == "big" else "x", metadata)
                await store.append([Part(Conversation(name), [message])])
        found = await states(source, dest)
        assert {name for name, state in found.items() if state is State.DIFFERENT} == {
            "int-float",
            "bool-int",
            "nan-null",
        }

    asyncio.run(main())


def test_source_and_destination_must_be_two() -> None:
    store = InMemoryStore()
    with pytest.raises(UsageError, match="same store"):
        asyncio.run(run(store, store))


# --- title and extra ------------------------------------------------------------------------


def test_title_and_extra_travel_and_are_brought_later_too() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "new", "a", title="T", extra={"x": 1})
        await fill(source, "untitled there", "a", title="T")
        await fill(source, "untitled here", "a")
        await fill(source, "two titles", "a", title="T")
        await fill(dest, "untitled there", "a", "b")
        await fill(dest, "untitled here", "a", title="U")
        await fill(dest, "two titles", "a", title="U")
        assert await states(source, dest) == {
            "new": State.ABSENT,
            "untitled there": State.BEHIND,
            "untitled here": State.AHEAD,
            "two titles": State.DIFFERENT,
        }
        outcome = await run(source, dest)
        assert outcome.entries["two titles"].problem == "title"
        infos = [i async for page in dest.conversations(details=True) for i in page]
        assert {i.id: (i.title, i.extra) for i in infos} == {
            "new": ("T", {"x": 1}),
            "untitled there": ("T", None),
            "untitled here": ("U", None),
            "two titles": ("U", None),
        }
        assert (await run(source, dest)).transfer.written == 0

    asyncio.run(main())


def test_what_the_destination_cannot_hold_is_said_and_not_compared() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), Poor()
        at = datetime(2026, 1, 1, tzinfo=UTC)
        await source.append([Part(Conversation("a", "T"), [Message("user", "x", created_at=at)])])
        await fill(dest, "a", "x")
        outcome = await run(source, dest, exact=True)
        assert outcome.entries["a"].action == "equal"
        assert "created_at" in outcome.transfer.lost
        assert "conversation title" in outcome.receipt["not_compared"]
        assert outcome.receipt["fields"] == ["role", "content", "metadata"]

    asyncio.run(main())


# --- conflicts ------------------------------------------------------------------------------


def test_rename_copies_under_another_name_and_makes_no_third_copy() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "a", "1", "2", title="T")
        await fill(dest, "a", "x")
        for written in (2, 0):
            outcome = await run(source, dest, on_conflict="rename", label="prod")
            assert outcome.transfer.written == written
            assert not any(e.kind for e in outcome.entries.values())
        assert await texts(dest, "a (from prod)") == ["1", "2"]
        await fill(source, "a", "3")
        await run(source, dest, on_conflict="rename", label="prod")
        assert await texts(dest, "a (from prod)") == ["1", "2", "3"]
        assert len(dest._held) == 2

    asyncio.run(main())


def test_rename_names_the_conflict_where_the_other_name_is_different_too() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "a", "1")
        await fill(dest, "a", "x")
        await fill(dest, "a (from prod)", "y")
        outcome = await run(source, dest, on_conflict="rename", label="prod")
        assert outcome.entries["a"].kind == "conflict"
        assert "a (from prod)" in (outcome.entries["a"].problem or "")

    asyncio.run(main())


def test_extend_appends_what_follows_a_rolling_window() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=3), InMemoryStore(page_size=3)
        await fill(source, "window", *"efghijkl")
        await fill(dest, "window", *"abcdefghi")
        await fill(source, "short", *"bc")
        await fill(dest, "short", *"abc")
        await fill(source, "too little", *"cdefg")
        await fill(dest, "too little", *"abcde")
        await fill(source, "repeating", *"aabaabaac")
        await fill(dest, "repeating", *"xaabaabaab")
        for run_number in (1, 2):
            outcome = await run(source, dest, on_conflict="extend", exact=True)
            assert outcome.entries["window"].action == "extended"
            assert outcome.entries["window"].verified
            assert outcome.entries["window"].written == (3 if run_number == 1 else 0)
            assert outcome.entries["too little"].kind == "conflict"
            assert await texts(dest, "window") == [*"abcdefghijkl"]
            assert await texts(dest, "short") == [*"abc"]
            assert await texts(dest, "repeating") == [*"xaabaabaabaac"]

    asyncio.run(main())


def test_replace_lets_the_whole_give_way_after_a_backup() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "a", "1", "2")
        await fill(dest, "a", "x", "y", "z")
        with new_backup(ORIGIN) as backup:
            outcome = await run(source, dest, backup, on_conflict="replace")
        assert outcome.entries["a"].action == "replaced"
        assert await texts(dest, "a") == ["1", "2"]
        assert [b.messages for b in backups()] == [3]

    asyncio.run(main())


class Slow(InMemoryStore):
    """Lets others have a turn before every page, as a store on a disk does."""

    async def read(self, conversations: Sequence[str], **how: Any) -> AsyncIterator[Page]:  # type: ignore[override]
        async for page in super().read(conversations, **how):
            await asyncio.sleep(0)
            yield page


ORIGIN = Origin(command="migrate", target="d", where="d", identity="memory:", backend="memory")


def test_what_several_at_once_replace_lies_in_the_backup_one_behind_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "BATCH", 1)

    async def main() -> None:
        source, dest = Slow(page_size=2), Slow(page_size=2)
        before = {f"c{n}": [f"{n}.{i}" for i in range(5 + n)] for n in range(6)}
        for conversation, said in before.items():
            await fill(source, conversation, "new", conversation)
            await fill(dest, conversation, *said)
        with new_backup(ORIGIN) as backup:
            await run(source, dest, backup, on_conflict="replace", jobs=4)
        assert await texts(dest, "c3") == ["new", "c3"]
        (manifest,) = backups()
        async for outcome in undo(dest, manifest):
            assert isinstance(outcome, Restored)
        assert {i: await texts(dest, i) for i in before} == before

    asyncio.run(main())


def test_what_changed_before_it_could_be_replaced_is_replaced_as_it_is_then() -> None:
    class Contested(InMemoryStore):
        contested = False

        async def replace(self, conversation: Conversation, *arguments: Any, **how: Any) -> None:
            if not self.contested:
                self.contested = True
                await self.delete("a")
                await fill(self, "a", "x", "late")
            await super().replace(conversation, *arguments, **how)

    async def main() -> None:
        source, dest = InMemoryStore(), Contested()
        await fill(source, "a", "1", "2")
        await fill(dest, "a", "x")
        with new_backup(ORIGIN) as backup:
            await run(source, dest, backup, on_conflict="replace")
        assert await texts(dest, "a") == ["1", "2"]
        (manifest,) = backups()
        async for outcome in undo(dest, manifest):
            assert isinstance(outcome, Restored)
        assert await texts(dest, "a") == ["x", "late"]

    asyncio.run(main())


def test_replace_keeps_what_is_there_where_the_source_is_broken() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), Picky()
        await fill(source, "broken", "1", "2")
        await fill(source, "refused", "1", "refuse")
        await fill(dest, "broken", "x")
        await fill(dest, "refused", "x")
        break_record(source, "broken", 1)
        outcome = await run(source, dest, on_conflict="replace")
        assert outcome.entries["broken"].kind == "unreadable"
        assert outcome.entries["refused"].kind == "rejected"
        assert await texts(dest, "broken") == await texts(dest, "refused") == ["x"]

    asyncio.run(main())


def test_stop_ends_the_run_at_the_first_conflict() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        for name in "abc":
            await fill(source, name, "1")
            await fill(dest, name, "x")
        outcome = await run(source, dest, on_conflict="stop")
        assert outcome.transfer.stopped
        assert len(outcome.entries) == 1

    asyncio.run(main())


# --- what cannot be brought over ------------------------------------------------------------


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_refused_message_ends_its_conversation_and_no_other(dry_run: bool) -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=2), Picky()
        await fill(source, "a", "1", "refuse", "3", "4", "5")
        await fill(source, "b", "1", "2", "3")
        await fill(source, "c", "refuse")
        outcome = await run(source, dest, dry_run=dry_run)
        assert [(c, at, m.content) for c, at, m, _ in outcome.rejected] == [
            ("a", 1, "refuse"),
            ("a", 2, "3"),
            ("a", 3, "4"),
            ("a", 4, "5"),
            ("c", 0, "refuse"),
        ]
        assert outcome.rejected[0][3] == "message 2: too large"
        assert outcome.rejected[1][3] == "follows message 2: too large"
        assert outcome.entries["a"].kind == outcome.entries["c"].kind == "rejected"
        assert outcome.transfer.left == 5
        if dry_run:
            assert not dest._held
        else:
            assert await texts(dest, "a") == ["1"]
            assert await texts(dest, "b") == ["1", "2", "3"]
            assert outcome.transfer.verified == 2
            again = await run(source, dest)
            assert again.transfer.written == 0
            assert len(again.rejected) == 5

    asyncio.run(main())


def test_an_unreadable_record_ends_its_conversation_and_a_later_run_stays_there() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=2), InMemoryStore()
        await fill(source, "a", *"12345")
        await fill(source, "b", *"12345")
        break_record(source, "a", 2)
        for written in (7, 0):
            outcome = await run(source, dest)
            assert outcome.transfer.written == written
            assert outcome.entries["a"].kind == "unreadable"
            assert [at for _, at, _, _ in outcome.rejected] == [2, 3, 4]
        assert await texts(dest, "a") == ["1", "2"]
        assert await states(source, dest) == {"a": State.UNREADABLE, "b": State.EQUAL}

    asyncio.run(main())


# --- others write meanwhile -----------------------------------------------------------------


class Growing(InMemoryStore):
    """Gets a message more while its first page is away."""

    grown = False

    async def read(self, *given: Any, **options: Any) -> AsyncIterator[Page]:
        async for page in super().read(*given, **options):
            yield page
            if not self.grown:
                self.grown = True
                await fill(self, page.conversation, "late")


def test_messages_that_arrive_during_the_copy_are_brought_now_or_next_time() -> None:
    async def main() -> None:
        source, dest = Growing(page_size=2), InMemoryStore()
        await fill(source, "a", *"12345")
        await run(source, dest)
        await run(source, dest)
        assert await texts(dest, "a") == [*"12345", "late"]

    asyncio.run(main())


class Contended(InMemoryStore):
    """Another run beside ours is quicker, a few times."""

    rivals = 3

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[str]:
        if self.rivals:
            self.rivals -= 1
            part = parts[0]
            await super().append([Part(part.conversation, part.messages[:1])])
        return await super().append(parts, keep=keep)


def test_two_runs_side_by_side_double_nothing() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), Contended()
        await fill(source, "a", *"12345")
        await fill(source, "b", *"123")
        await run(source, dest)
        assert await texts(dest, "a") == [*"12345"]
        assert await texts(dest, "b") == [*"123"]

        source, dest = InMemoryStore(page_size=2), InMemoryStore(page_size=2)
        for i in range(300):
            await fill(source, f"c{i}", *"abcdefg")
        await asyncio.gather(run(source, dest, jobs=2), run(source, dest, jobs=2))
        assert set((await states(source, dest)).values()) == {State.EQUAL}

    asyncio.run(main())


def test_a_destination_that_never_rests_ends_as_changed() -> None:
    class Restless(InMemoryStore):
        async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[str]:
            raise Changed("changed")

    async def main() -> None:
        source = InMemoryStore()
        await fill(source, "a", "1")
        with pytest.raises(Changed, match="keeps changing"):
            await run(source, Restless())

    asyncio.run(main())


# --- proof ----------------------------------------------------------------------------------


class Lossy(InMemoryStore):
    """Says that it wrote, and alters a text."""

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[str]:
        altered = [
            Part(p.conversation, [Message(m.role, m.content.replace("5", "S")) for m in p.messages])
            for p in parts
        ]
        return await super().append(altered, keep=keep)


@pytest.mark.parametrize("exact", [False, True])
def test_a_copy_that_is_not_what_was_sent_fails_and_is_named(exact: bool) -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), Lossy()
        await fill(source, "a", *"123")
        await fill(source, "b", *"456")
        outcome = await run(source, dest, exact=exact)
        assert {i: e.kind for i, e in outcome.entries.items()} == {"a": None, "b": "failed"}

    asyncio.run(main())


class Sorting(InMemoryStore):
    """Gives keys back in another order, as JSONB does: that is equal."""

    async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[str]:
        turned = [
            Part(
                p.conversation,
                [Message(m.role, m.content, dict(reversed(m.metadata.items())))
                 for m in p.messages if m.metadata],
            )
            for p in parts
        ]  # fmt: skip
        return await super().append(turned, keep=keep)


def test_the_order_of_keys_does_not_fail_a_verification() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), Sorting()
        await source.append(
            [Part(Conversation("a"), [Message("user", "x", {"b": i, "a": 2}) for i in range(5)])]
        )
        for exact in (False, True):
            outcome = await run(source, dest, exact=exact)
            assert outcome.entries["a"].kind is None
        assert outcome.entries["a"].action == "equal"

    asyncio.run(main())


def test_a_receipt_has_a_digest_for_each_and_a_root_over_them() -> None:
    import hashlib

    async def main() -> None:
        source, dest, third = InMemoryStore(), InMemoryStore(), InMemoryStore(page_size=1)
        await fill(source, "é", "1")
        await fill(source, "b", "2", "3")
        await fill(dest, "b", "2")
        one = (await run(source, dest, exact=True)).receipt
        other = (await run(source, third, exact=True)).receipt
        assert one["content"] == other["content"]
        assert one["root"] != other["root"]  # which says what was done, too
        lines = [(c["conversation_id"], c["digest"]) for c in one["conversations"]]
        assert [i for i, _ in lines] == ["b", "é"]
        content = hashlib.sha256("".join(f"{d} {i}\n" for i, d in lines).encode())
        assert one["content"] == f"sha256:{content.hexdigest()}"
        told = [
            {key: value for key, value in one.items() if key not in ("root", "conversations")},
            *one["conversations"],
        ]
        text = "".join(
            json.dumps(each, sort_keys=True, separators=(",", ":")) + "\n" for each in told
        )
        assert one["root"] == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        assert one["counts"]["messages"] == 2

    asyncio.run(main())


# --- choosing and moving --------------------------------------------------------------------


def test_since_and_until_choose_by_the_last_message() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        for day in (1, 2, 3):
            at = datetime(2026, 1, day, tzinfo=UTC)
            await source.append(
                [Part(Conversation(str(day)), [Message("user", "x", created_at=at)])]
            )
        await fill(source, "untimed", "x")
        outcome = await run(
            source, dest, since=datetime(2026, 1, 2, tzinfo=UTC),
            until=datetime(2026, 1, 3, tzinfo=UTC),
        )  # fmt: skip
        assert set(dest._held) == {"2"}
        assert outcome.transfer.untimed == 1

    asyncio.run(main())


def test_move_removes_only_what_was_verified_and_has_not_grown() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), Picky()
        await fill(source, "copied", *"12345")
        await fill(source, "equal", "1")
        await fill(source, "different", "1")
        await fill(source, "refused", "1", "refuse")
        await fill(dest, "equal", "1")
        await fill(dest, "different", "x")
        outcome = await run(source, dest, move=True)
        assert set(source._held) == {"different", "refused"}
        assert outcome.transfer.removed == 2

        ledger = Ledger()
        growing, told = InMemoryStore(), []
        await fill(growing, "a", "1")
        options = Options(move=True)
        transfer = Transfer(growing, InMemoryStore(), ledger, options, tell=told.append)
        await transfer.copy()
        await transfer.verify()
        await fill(growing, "a", "late")
        await transfer.remove()
        assert await texts(growing, "a") == ["1", "late"]
        assert [entry.kind for entry in told] == [None, "changed"]
        ledger.close()

    asyncio.run(main())


class Untitled(InMemoryStore):
    """Holds all of a message and nothing of a conversation."""

    holds = Holds(conversation_fields=frozenset())


class Coarse(InMemoryStore):
    """Holds whole seconds, and no tool calls."""

    holds = Holds(fields=frozenset(FIELDS) - {"tool_calls"}, time_us=1_000_000)


class Lagging(InMemoryStore):
    """Read from a replica, which hears of a note later, or never."""

    late = True
    broken = False

    async def note(self, conversation: str, name: str) -> Any | None:
        if self.broken:
            raise KeyboardInterrupt
        return None if self.late else await super().note(conversation, name)


@pytest.mark.parametrize("late", ["source", "dest"])
def test_move_removes_nothing_where_both_are_one_store_of_which_one_is_read_late(
    late: str,
) -> None:
    async def main() -> None:
        source, dest = Lagging(), Lagging()
        source.late, dest.late = late == "source", late == "dest"
        await fill(source, "a", *"12")
        dest._held = source._held
        with pytest.raises(UsageError, match="same store"):
            await run(source, dest, move=True)
        assert await texts(source, "a") == ["1", "2"]
        assert source._held["a"].notes == {}

    asyncio.run(main())


def test_move_leaves_no_note_behind_where_it_is_interrupted() -> None:
    async def main() -> None:
        source, dest = Lagging(), Lagging()
        await fill(source, "a", "1")
        dest.broken = True
        try:
            await run(source, dest, move=True)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("it was not interrupted")
        assert source._held["a"].notes == {}

    asyncio.run(main())


def test_move_leaves_what_the_destination_cannot_hold() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=2), Untitled(page_size=2)
        await fill(source, "titled", "1", title="T")
        await fill(source, "with extra", "1", extra={"k": 1})
        await fill(source, "empty extra", "1", extra={})
        await fill(source, "plain", *"12345")
        outcome = await run(source, dest, move=True)
        assert set(source._held) == {"titled", "with extra"}
        assert outcome.transfer.removed == 2
        assert outcome.counts["left"] == 2
        problem = outcome.entries["titled"].problem or ""
        assert problem.endswith("its title does not travel")
        assert problem.startswith("left in ")

    asyncio.run(main())


def test_move_leaves_what_has_a_message_of_which_something_stays_behind() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=2), Coarse()
        whole = datetime(2026, 1, 1, tzinfo=UTC)
        fine = whole.replace(microsecond=1)
        call = [{"id": "1", "name": "f", "arguments": "{}"}]
        for name, last in {
            "call": Message("user", "x", tool_calls=call),
            "no call": Message("user", "x", tool_calls=[]),
            "fine": Message("user", "x", created_at=fine),
            "whole": Message("user", "x", created_at=whole),
        }.items():
            await source.append([Part(Conversation(name), [*messages("1", "2"), last])])
        outcome = await run(source, dest, move=True)
        assert set(source._held) == {"call", "fine"}
        assert "message 3: its tool_calls does not" in (outcome.entries["call"].problem or "")
        assert "message 3: its created_at below" in (outcome.entries["fine"].problem or "")

    asyncio.run(main())


def test_move_leaves_a_title_that_extend_did_not_bring() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "a", *"bcdef", title="T")
        await fill(dest, "a", *"abcde")
        outcome = await run(source, dest, move=True, on_conflict="extend")
        assert await texts(dest, "a") == [*"abcdef"]
        assert set(source._held) == {"a"}
        assert "its title is not in" in (outcome.entries["a"].problem or "")

    asyncio.run(main())


def test_what_was_moved_is_in_the_backup_and_nothing_else_is_brought_back() -> None:
    class Busy(InMemoryStore):
        """Somebody writes right after the backup was read."""

        late = False

        async def delete(self, conversation: str, **how: Any) -> bool:
            if not self.late:
                self.late = True
                await fill(self, "late", "3")
            return await super().delete(conversation, **how)

    async def main() -> None:
        source, dest = Busy(page_size=2), InMemoryStore()
        for name in ("a", "b", "late"):
            await fill(source, name, "1", "2", title=name)
        await fill(source, "other", "1")
        await fill(dest, "other", "x")
        with new_backup(ORIGIN) as backup:
            outcome = await run(source, dest, moved=backup, move=True)
        assert set(source._held) == {"late", "other"}
        assert outcome.entries["late"].kind == "changed"
        (manifest,) = backups()
        back = [each async for each in undo(source, manifest)]
        assert sorted(each.conversation for each in back) == ["a", "b"]
        assert await texts(source, "a") == ["1", "2"]
        assert await texts(source, "late") == ["1", "2", "3"]
        infos = [i async for page in source.conversations(["b"], details=True) for i in page]
        assert infos[0].title == "b"

    asyncio.run(main())


def test_nothing_is_removed_that_the_backup_did_not_take() -> None:
    class Vanishing(InMemoryStore):
        """The read of many breaks off at `b`, which is never at rest."""

        moving = False

        async def read(self, *given: Any, **how: Any) -> AsyncIterator[Page]:
            async for page in super().read(*given, **how):
                if self.moving and "limit" not in how and page.conversation == "b":
                    raise Changed("gone")
                yield page

    async def main() -> None:
        source, dest = Vanishing(), InMemoryStore()
        await fill(source, "a", "1")
        await fill(source, "b", "1")
        await fill(source, "c", "1")
        with Ledger() as ledger, new_backup(ORIGIN) as backup:
            transfer = Transfer(source, dest, ledger, Options(move=True))
            await transfer.copy()
            await transfer.verify()
            source.moving = True
            await transfer.remove(backup)
            assert ledger.counts()["changed"] == 1
        assert set(source._held) == {"b"}
        assert transfer.removed == 2
        assert [each.messages for each in backups()] == [2]

    asyncio.run(main())


# --- at random ------------------------------------------------------------------------------

small_texts = st.lists(st.sampled_from("abc"), max_size=9)
histories = st.dictionaries(st.sampled_from(["x", "y", "x (from s)", "z"]), small_texts)


@settings(max_examples=150, deadline=None)
@given(
    histories, histories, st.sampled_from(["skip", "replace", "rename", "extend"]),
    st.integers(1, 4), st.booleans(),
)  # fmt: skip
def test_any_two_histories_come_to_rest(
    ours: dict[str, list[str]],
    theirs: dict[str, list[str]],
    way: str,
    page_size: int,
    exact: bool,
) -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=page_size), InMemoryStore(page_size=3)
        for store, history in ((source, ours), (dest, theirs)):
            for conversation, said in history.items():
                if said:
                    await fill(store, conversation, *said)
        first = await run(source, dest, on_conflict=way, label="s", exact=exact)
        after = {i: await texts(dest, i) for i in dest._held}
        named = {e.source for e in first.entries.values() if e.kind}
        assert not any(e.kind == "failed" for e in first.entries.values())
        for conversation, said in ours.items():
            before = theirs.get(conversation, [])
            if said and conversation not in named:
                copies = [after.get(i, []) for i in (conversation, f"{conversation} (from s)")]
                ends = [copy[-len(said) :] == said for copy in copies]
                starts = [copy[: len(said)] == said for copy in copies]
                assert any(starts) or (way == "extend" and ends[0])
            elif said and way in ("skip", "extend"):
                assert after[conversation] == before
        second = await run(source, dest, on_conflict=way, label="s", exact=exact)
        assert second.transfer.written == 0
        assert {i: await texts(dest, i) for i in dest._held} == after

    asyncio.run(main())


def test_rejected_names_no_conversation_of_the_call() -> None:
    class Confused(InMemoryStore):
        async def append(self, parts: Sequence[Part], *, keep: int | None = None) -> list[str]:
            raise Rejected([("somebody else", 0, "no")])

    async def main() -> None:
        source = InMemoryStore()
        await fill(source, "a", "1")
        with pytest.raises(Rejected):
            await run(source, Confused())

    asyncio.run(main())


def test_the_ledger_keeps_many_entries_in_little_memory(tmp_path: Path) -> None:
    ledger = Ledger()
    for start in range(0, 20_000, 500):
        ledger.record(
            Entry(conversation=f"c{i}", source=f"c{i}", action="equal", digest="d", verified=True)
            for i in range(start, start + 500)
        )
    ids = [e.conversation.encode() for page in ledger.pages() for e in page]
    assert ids == sorted(ids)
    assert len(ids) == 20_000
    assert list(ledger.pages(unverified=True)) == []
    ledger.close()


def test_what_is_watched_comes_to_what_was_expected() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=2), InMemoryStore(page_size=3)
        for name, ours, theirs in (
            ("absent", "abcde", ""), ("behind", "abcde", "ab"), ("equal", "abc", "abc"),
            ("ahead", "ab", "abc"),
        ):  # fmt: skip
            for store, said in ((source, ours), (dest, theirs)):
                if said:
                    await fill(store, name, *said)
        with Ledger() as ledger:
            transfer = Transfer(source, dest, ledger, Options())
            seen: list[int] = []
            transfer.watch = seen.append
            assert await transfer.expected() == 15
            await transfer.copy()
            assert sum(seen) == 15
            for options in (Options(match="a*"), Options(ids=["absent"])):
                assert await Transfer(source, dest, ledger, options).expected() is None

    asyncio.run(main())
