"""Summarize: what is covered, what is read again, and what takes whose place."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound, UsageError
from synmem.messages import Conversation, Message, Unreadable
from synmem.notes import Notes
from synmem.operations.deriving.summarize import (
    NotReplaced,
    Replaced,
    Summary,
    check,
    remember,
    replace_fronts,
    summarize,
)
from synmem.operations.keeping import backup as backups
from synmem.operations.keeping.undo import undo
from synmem.store import Part
from synmem.strategies.summary import SUMMARY_HEAD


def fact(n: int) -> Message:
    at = datetime(2026, 1, 1, 0, n, tzinfo=UTC)
    return Message("user", f"Fact {n} is about the harbour crane of town {n}.", created_at=at)


def store_of(messages: list[Message]) -> InMemoryStore:
    store = InMemoryStore(page_size=3)
    append(store, messages)
    return store


def append(store: InMemoryStore, messages: list[Message]) -> None:
    asyncio.run(store.append([Part(Conversation("c"), messages)]))


def run(store: InMemoryStore, tmp_path: Path, **options: int) -> Summary:
    notes = Notes(store, tmp_path / "notes")

    async def both() -> Summary:
        summary = await summarize(store, "c", notes, **options)
        await remember(summary, notes, beside=False)
        return summary

    return asyncio.run(both())


def numbers(summary: Summary) -> list[int]:
    assert summary.text is not None
    return [int(line.split()[2]) for line in summary.text.splitlines()]


def contents(store: InMemoryStore) -> list[str]:
    return [m.content for m in store._held["c"].messages if isinstance(m, Message)]


def test_all_but_the_newest_are_covered(tmp_path: Path) -> None:
    summary = run(store_of([fact(n) for n in range(30)]), tmp_path, max_messages=20)
    assert summary.messages == 10
    assert max(numbers(summary)) < 10
    assert summary.text is not None
    assert summary.text.startswith("User: Fact ")


def test_there_is_nothing_to_do_up_to_max_messages(tmp_path: Path) -> None:
    store = store_of([fact(n) for n in range(20)])
    assert run(store, tmp_path, max_messages=20).text is None
    assert run(store, tmp_path, max_messages=19).messages == 1


def test_a_conversation_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ConversationNotFound):
        run(InMemoryStore(), tmp_path)


def test_what_is_covered_is_not_read_again(tmp_path: Path) -> None:
    store = store_of([fact(n % 60) for n in range(900)])
    first = run(store, tmp_path)
    assert not first.remembered
    pages: list[int] = []
    whole = store._page
    store._page = lambda *args: (pages.append(1), whole(*args))[1]  # type: ignore[method-assign]
    again = run(store, tmp_path)
    assert again.remembered
    assert again.text == first.text
    append(store, [fact(1)] * 5)
    more = run(store, tmp_path)
    assert (more.remembered, more.messages) == (False, first.messages + 5)
    assert len(pages) < 60


def test_a_smaller_summary_is_made_anew(tmp_path: Path) -> None:
    store = store_of([fact(n) for n in range(40)])
    assert run(store, tmp_path, max_messages=5).messages == 35
    assert run(store, tmp_path, max_messages=20).messages == 20
    assert run(store, tmp_path, max_messages=10).messages == 30


def test_a_stale_summary_is_said_to_be_and_made_anew(tmp_path: Path) -> None:
    store = store_of([fact(n) for n in range(40)])
    run(store, tmp_path, max_messages=20)
    asyncio.run(store.delete("c", upto="10"))
    summary = run(store, tmp_path, max_messages=20)
    assert (summary.stale, summary.remembered, summary.messages) == (True, False, 10)


def test_a_stale_summary_with_nothing_to_summarize_is_forgotten(tmp_path: Path) -> None:
    store = store_of([fact(n) for n in range(30)])
    run(store, tmp_path)
    asyncio.run(store.delete("c", upto="15"))
    assert run(store, tmp_path).stale
    assert not run(store, tmp_path).stale


def test_a_result_goes_where_its_call_goes(tmp_path: Path) -> None:
    call = Message("assistant", "", tool_calls=[{"id": "1", "name": "f", "arguments": {}}])
    talk = [fact(1), call, Message("tool", "x", tool_call_id="1"), fact(2), fact(3)]
    assert run(store_of(talk), tmp_path / "1", max_messages=3).messages == 3
    nameless = [fact(1), Message("assistant", "calls"), Message("tool", "x"), fact(2), fact(3)]
    assert run(store_of(nameless), tmp_path / "2", max_messages=3).messages == 3


def test_an_unreadable_record_is_named(tmp_path: Path) -> None:
    store = store_of([fact(n) for n in range(9)])
    store._held["c"].messages[1] = Unreadable("2", "broken")
    summary = run(store, tmp_path, max_messages=3)
    assert [each.position for each in summary.unreadable] == [2]
    assert summary.messages == 6


def replace(store: InMemoryStore, summary: Summary, tmp_path: Path) -> list[object]:
    async def run_it() -> list[object]:
        notes = Notes(store, tmp_path / "notes")
        origin = backups.Origin(
            command="summarize", target="t", where="t", identity="i", backend="memory"
        )
        with backups.new_backup(origin) as backup:
            return [each async for each in replace_fronts(store, [summary], notes, backup)]

    return asyncio.run(run_it())


def test_the_summary_takes_the_place_of_the_oldest_and_undo_brings_them_back(
    tmp_path: Path,
) -> None:
    store = store_of([fact(n) for n in range(30)])
    before = contents(store)
    summary = run(store, tmp_path, max_messages=20)
    assert replace(store, summary, tmp_path) == [Replaced("c", 10)]
    after = contents(store)
    assert after == [SUMMARY_HEAD + (summary.text or ""), *before[10:]]
    first = store._held["c"].messages[0]
    assert isinstance(first, Message)
    assert (first.role, first.created_at) == ("system", fact(9).created_at)
    assert not list((tmp_path / "notes").iterdir())
    [manifest] = backups.backups()
    asyncio.run(_all(undo(store, manifest)))
    assert contents(store) == before


async def _all(steps: object) -> None:
    async for _ in steps:  # type: ignore[attr-defined]
        pass


def test_a_summary_alone_is_not_summarized_again(tmp_path: Path) -> None:
    store = store_of([fact(n) for n in range(30)])
    replace(store, run(store, tmp_path, max_messages=20), tmp_path)
    assert run(store, tmp_path, max_messages=20).text is None
    append(store, [fact(30), fact(31)])
    again = run(store, tmp_path, max_messages=20)
    assert again.messages == 3
    assert again.text is not None
    assert SUMMARY_HEAD not in again.text
    assert min(numbers(again)) < 10


def test_what_changed_since_stays_as_it_is(tmp_path: Path) -> None:
    store = store_of([fact(n) for n in range(30)])
    summary = run(store, tmp_path, max_messages=20)
    asyncio.run(store.delete("c", upto="10"))
    before = contents(store)
    [outcome] = replace(store, summary, tmp_path)
    assert isinstance(outcome, NotReplaced)
    assert contents(store) == before
    assert backups.backups() == []


def test_an_unreadable_record_is_never_replaced(tmp_path: Path) -> None:
    store = store_of([fact(n) for n in range(30)])
    store._held["c"].messages[1] = Unreadable("2", "broken")
    [outcome] = replace(store, run(store, tmp_path), tmp_path)
    assert isinstance(outcome, NotReplaced)
    assert len(store._held["c"].messages) == 30


def test_what_makes_no_sense_is_a_usage_error() -> None:
    check("auto", 1)
    check("llm", 20, "Sum up: {conversation}")
    for method, count, template in (
        ("magic", 20, None), ("auto", 0, None), ("llm", 20, "Sum up."),
        ("extractive", 20, "{conversation}"),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            check(method, count, template)
