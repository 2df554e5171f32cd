"""Summarize by a model: it is asked once for each text, and the store stays as it is."""

import asyncio
from pathlib import Path

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ModelError
from synmem.messages import Conversation, Message
from synmem.notes import Notes
from synmem.operations.deriving.running import Asking
from synmem.operations.deriving.summarize import (
    Replaced,
    Summary,
    remember,
    replace_fronts,
    summarize,
)
from synmem.operations.keeping import backup as backups
from synmem.store import Part
from synmem.strategies.summary import SUMMARY_HEAD
from tests.models.llms import Recording


def said(n: int) -> Message:
    return Message("user", f"<{n:05}>".ljust(100, "."))


def store_of(count: int) -> InMemoryStore:
    store = InMemoryStore(page_size=7)
    more(store, *[said(n) for n in range(count)])
    return store


def more(store: InMemoryStore, *messages: Message) -> None:
    asyncio.run(store.append([Part(Conversation("c"), list(messages))]))


def numbers(texts: list[str]) -> list[int]:
    return [int(part[:5]) for text in texts for part in text.split("<")[1:]]


def run(
    store: InMemoryStore,
    folder: Path,
    llm: Recording | None,
    *,
    max_messages: int = 20,
    template: str | None = None,
    beside: bool = True,
) -> Summary:
    notes = Notes(store, folder / "notes")
    asking = None
    if llm is not None:
        asking = Asking(llm, 4000).by(template) if template else Asking(llm, 4000)

    async def both() -> Summary:
        summary = await summarize(store, "c", notes, max_messages=max_messages, asking=asking)
        await remember(summary, notes, beside=beside)
        return summary

    return asyncio.run(both())


def test_the_model_is_asked_only_for_what_is_new(tmp_path: Path) -> None:
    store, llm = store_of(1020), Recording(lambda prompt: f"S{len(llm.prompts)}")
    first = run(store, tmp_path, llm)
    assert (first.messages, first.method, first.remembered) == (1000, "llm", False)
    assert first.text == f"S{len(llm.prompts)}"
    assert numbers(llm.prompts) == list(range(1000))
    assert max(map(len, llm.prompts)) <= 4000
    calls, characters = len(llm.prompts), llm.characters
    again = run(store, tmp_path, llm)
    assert (again.text, again.remembered, len(llm.prompts)) == (first.text, True, calls)
    more(store, said(1020), said(1021))
    new = run(store, tmp_path, llm)
    assert (new.messages, new.remembered) == (1002, False)
    assert numbers(llm.prompts[calls:]) == [1000, 1001]
    assert llm.characters - characters < 2 * 100 + 600
    assert not list((tmp_path / "notes").iterdir())  # it lies beside the data


def test_a_failing_model_leaves_the_store_as_it_was_and_what_was_paid_for(tmp_path: Path) -> None:
    store, llm = store_of(220), Recording(fail_at=4)
    with pytest.raises(ModelError):
        run(store, tmp_path, llm)
    assert store._held["c"].notes == {}
    assert len(store._held["c"].messages) == 220
    done = numbers(llm.prompts[:3])
    again = Recording()
    assert run(store, tmp_path, again).messages == 200
    assert numbers(again.prompts) == list(range(len(done), 200))


def test_messages_that_arrive_meanwhile_are_never_lost(tmp_path: Path) -> None:
    store = store_of(30)

    class Slow(Recording):
        async def generate(self, prompt: str) -> str:
            await store.append([Part(Conversation("c"), [said(100 + len(self.prompts))])])
            return await super().generate(prompt)

    summary = run(store, tmp_path, Slow())
    more(store, said(200))
    assert replaced(store, summary, tmp_path) == [Replaced("c", 10)]
    left = [m.content for m in store._held["c"].messages if isinstance(m, Message)]
    assert left[0] == SUMMARY_HEAD + "SUM"
    assert numbers(left) == [*range(10, 30), 100, 200]


def replaced(store: InMemoryStore, summary: Summary, folder: Path) -> list[object]:
    async def main() -> list[object]:
        origin = backups.Origin(
            command="summarize", target="t", where="t", identity="i", backend="memory"
        )
        with backups.new_backup(origin) as backup:
            notes = Notes(store, folder / "notes")
            return [each async for each in replace_fronts(store, [summary], notes, backup)]

    return asyncio.run(main())


def test_after_a_replacement_the_summary_goes_on(tmp_path: Path) -> None:
    store, llm = store_of(30), Recording(lambda prompt: f"S{len(llm.prompts)}")
    replaced(store, run(store, tmp_path, llm), tmp_path)
    assert run(store, tmp_path, llm).text is None  # the summary alone is not summarized
    assert len(llm.prompts) == 1
    more(store, said(30), said(31))
    summary = run(store, tmp_path, llm)
    assert (summary.text, summary.messages) == ("S2", 3)
    assert numbers(llm.prompts[1:]) == [10, 11]
    assert "S1" in llm.prompts[1]
    assert SUMMARY_HEAD not in llm.prompts[1]


def test_a_stale_summary_is_said_to_be_and_made_anew(tmp_path: Path) -> None:
    store, llm = store_of(40), Recording()
    run(store, tmp_path, llm)
    asyncio.run(store.delete("c", upto="10"))
    summary = run(store, tmp_path, llm)
    assert (summary.stale, summary.messages) == (True, 10)
    assert numbers(llm.prompts[1:]) == list(range(10, 20))


def test_another_prompt_makes_another_summary(tmp_path: Path) -> None:
    store, llm = store_of(30), Recording()
    run(store, tmp_path, llm)
    run(store, tmp_path, llm, template="In Latin: {conversation}")
    assert llm.prompts[1].startswith("In Latin: User: <00000>")
    assert run(store, tmp_path, llm, template="In Latin: {conversation}").remembered
    run(store, tmp_path, llm, template="In Greek: {conversation}")
    assert len(llm.prompts) == 3


def test_a_summary_by_sentences_is_not_gone_on_from_by_a_model(tmp_path: Path) -> None:
    store, llm = store_of(30), Recording()
    assert run(store, tmp_path, None).method == "extractive"
    summary = run(store, tmp_path, llm)
    assert (summary.method, summary.stale, numbers(llm.prompts)) == ("llm", False, list(range(10)))


def test_fewer_messages_left_alone_is_more_of_the_same_summary(tmp_path: Path) -> None:
    store, llm = store_of(40), Recording()
    run(store, tmp_path, llm, max_messages=20)
    run(store, tmp_path, llm, max_messages=10)
    assert numbers(llm.prompts) == list(range(30))
    run(store, tmp_path, llm, max_messages=20)  # it must not cover what is to be left alone
    assert numbers(llm.prompts[2:]) == list(range(20))
