"""Contexts that ask a model: for what is new alone, of a history read no further than is needed."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound, ModelError, SynmemError
from synmem.messages import Conversation, Message, Unreadable
from synmem.notes import Notes
from synmem.operations.deriving.context import Built, Wanted, build
from synmem.operations.deriving.running import Asking
from synmem.operations.deriving.summarize import remember, summarize
from synmem.store import Part
from synmem.strategies.summary import SUMMARY_HEAD
from tests.models.llms import Recording

SIZE = 100


def said(n: int) -> Message:
    return Message("assistant" if n % 2 else "user", f"<{n:07}>".ljust(SIZE, "."))


class Counting(InMemoryStore):
    """Counts the messages that are read."""

    def __init__(self, messages: list[Message]) -> None:
        super().__init__(page_size=50)
        self.read_count = 0
        asyncio.run(self.append([Part(Conversation("c"), messages)]))

    def _page(self, *args: Any) -> Any:
        page = super()._page(*args)
        self.read_count += len(page.items) if page else 0
        return page

    def more(self, messages: list[Message]) -> None:
        asyncio.run(self.append([Part(Conversation("c"), messages)]))


def ask(
    store: InMemoryStore, folder: Path, llm: Any, strategy: str, most: int = 4000, **wanted: Any
) -> Built:
    notes = Notes(store, folder / "notes")
    return asyncio.run(build(store, "c", Wanted(strategy, **wanted), notes, Asking(llm, most)))


def summary_of(built: Built) -> str | None:
    found = [each.text for each in built.context.background if each.kind == "summary"]
    return found[0].removeprefix(SUMMARY_HEAD) if found else None


def numbers(texts: list[str]) -> list[int]:
    return [int(part[:7]) for text in texts for part in text.split("<")[1:]]


def sent(built: Built) -> list[int]:
    return numbers([each.content for each in built.context.messages])


# --- hybrid -----------------------------------------------------------------------------------


def test_hybrid_is_a_window_and_a_summary_of_the_rest(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(30)]), Recording()
    built = ask(store, tmp_path, llm, "hybrid")
    assert sent(built) == list(range(20, 30))
    assert summary_of(built) == "SUM"
    assert numbers(llm.prompts) == list(range(20))
    assert "200 tokens" in llm.prompts[0]
    assert len(llm.prompts) == 1


def test_hybrid_with_no_more_than_its_window_asks_nothing(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(10)]), Recording()
    built = ask(store, tmp_path, llm, "hybrid")
    assert (sent(built), summary_of(built), llm.prompts) == (list(range(10)), None, [])


def test_a_second_hybrid_sends_two_new_messages_worth(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(2000)]), Recording()
    ask(store, tmp_path, llm, "hybrid")
    assert numbers(llm.prompts) == list(range(1990))
    calls, characters, read = len(llm.prompts), llm.characters, store.read_count
    assert characters > 190_000
    ask(store, tmp_path, llm, "hybrid")
    assert len(llm.prompts) == calls
    store.more([said(2000), said(2001)])
    built = ask(store, tmp_path, llm, "hybrid")
    assert sent(built) == list(range(1992, 2002))
    assert len(llm.prompts) == calls + 1
    assert numbers(llm.prompts[calls:]) == [1990, 1991]
    assert llm.characters - characters < 2 * SIZE + 600
    assert store.read_count - read < 500


def test_one_strategy_goes_on_from_the_summary_of_another(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(200)]), Recording()
    ask(store, tmp_path, llm, "hybrid")
    calls = len(llm.prompts)
    built = ask(store, tmp_path, llm, "summary-buffer", max_tokens=1000)
    assert (summary_of(built), len(llm.prompts)) == ("SUM", calls)
    assert len(sent(built)) > 30


KINDS = st.lists(st.sampled_from(["said", "call", "result", "nameless"]), min_size=1, max_size=12)


@settings(max_examples=120, deadline=None)
@given(st.lists(KINDS, min_size=1, max_size=4), st.sampled_from(["hybrid", "summary-buffer"]),
       st.integers(500, 1500), st.integers(2, 9))  # fmt: skip
def test_whatever_arrives_each_text_is_summarized_once_and_in_order(
    arrivals: list[list[str]], strategy: str, most: int, window: int
) -> None:
    store, llm = InMemoryStore(page_size=4), Recording(lambda prompt: "S" * 30)
    n = 0
    with tempfile.TemporaryDirectory() as folder:
        for kinds in arrivals:
            messages = []
            for kind in kinds:
                messages.append(talk(kind, n))
                n += 1
            asyncio.run(store.append([Part(Conversation("c"), messages)]))
            limits = {"window": window} if strategy == "hybrid" else {"max_tokens": 30 * window}
            built = ask(store, Path(folder), llm, strategy, most, **limits)
            covered = numbers(llm.prompts)
            assert covered == list(range(len(covered)))
            assert all(len(prompt) <= most for prompt in llm.prompts)
            shown = sent(built)
            assert shown == sorted(shown)
            assert set(range(len(covered), n)) <= {*shown, *left_out(built)}


def talk(kind: str, n: int) -> Message:
    text = f"<{n:07}>".ljust(SIZE, ".")
    if kind == "call":
        return Message("assistant", text, tool_calls=[{"id": str(n), "name": "f", "arguments": {}}])
    if kind == "result":
        return Message("tool", text, tool_call_id=str(n - 1))
    return Message("tool" if kind == "nameless" else "user", text)


def left_out(built: Built) -> list[int]:
    """The numbers of messages that are left out for their own sake: `--explain` says why."""
    end = max(sent(built)) + 1
    out = [each for each in built.context.decisions if not each.taken]
    return [end + each.place for each in out if each.why.startswith("a tool ")]


@pytest.mark.parametrize("strategy", ["hybrid", "summary-buffer"])
def test_a_long_history_is_read_once(tmp_path: Path, strategy: str) -> None:
    store, llm = Counting([]), Recording()
    store._page_size = 1000
    store.more([said(0)] * 50_000)
    ask(store, tmp_path, llm, strategy, 200_000)
    assert len(llm.prompts) < 40
    assert 49_800 < len(numbers(llm.prompts)) < 50_000
    calls, read = len(llm.prompts), store.read_count
    store.more([said(1), said(2)])
    ask(store, tmp_path, llm, strategy, 200_000)
    assert numbers(llm.prompts[calls:]) == ([0, 0] if strategy == "hybrid" else [])
    assert store.read_count - read < 800


def test_prompts_are_no_longer_than_they_may_be(tmp_path: Path) -> None:
    store = Counting([said(n) for n in range(300)])
    llm = Recording(lambda prompt: "S" * 300)
    ask(store, tmp_path, llm, "hybrid", 2000)
    assert max(map(len, llm.prompts)) <= 2000
    assert numbers(llm.prompts) == list(range(290))
    assert len(llm.prompts) < 40


def test_what_was_paid_for_is_not_lost_where_the_model_fails(tmp_path: Path) -> None:
    store = Counting([said(n) for n in range(300)])
    llm = Recording(fail_at=8)
    with pytest.raises(ModelError):
        ask(store, tmp_path, llm, "hybrid", 2000)
    assert store._held["c"].notes == {}
    again = Recording()
    built = ask(store, tmp_path, again, "hybrid", 2000)
    done = numbers(llm.prompts[:7])
    assert numbers(again.prompts) == list(range(len(done), 290))
    assert summary_of(built) == "SUM"


def test_a_stale_summary_is_made_anew_and_said_to_be(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(30)]), Recording()
    ask(store, tmp_path, llm, "hybrid")
    asyncio.run(store.delete("c", upto="10"))
    built = ask(store, tmp_path, llm, "hybrid")
    assert built.remarks == ("the summary was stale, and is made anew",)
    assert numbers(llm.prompts[1:]) == list(range(10, 20))


def test_a_summary_that_summarize_made_is_gone_on_from(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(50)]), Recording()
    notes = Notes(store, tmp_path / "notes")

    async def prepared() -> None:
        summary = await summarize(store, "c", notes, asking=Asking(llm, 4000))
        await remember(summary, notes, beside=True)

    asyncio.run(prepared())
    calls = len(llm.prompts)
    ask(store, tmp_path, llm, "hybrid")
    assert numbers(llm.prompts[calls:]) == list(range(30, 40))
    assert list(store._held["c"].notes) == ["summary"]  # a context is a read


def test_a_summary_that_took_the_place_of_messages_is_one(tmp_path: Path) -> None:
    earlier = Message("system", SUMMARY_HEAD + "EARLIER")
    store, llm = Counting([earlier, *[said(n) for n in range(10)]]), Recording()
    built = ask(store, tmp_path, llm, "hybrid")
    assert (summary_of(built), llm.prompts, sent(built)) == ("EARLIER", [], list(range(10)))
    assert [each.kind for each in built.context.background] == ["summary"]
    store.more([said(10), said(11)])
    ask(store, tmp_path, llm, "hybrid")
    assert numbers(llm.prompts) == [0, 1]
    assert "EARLIER" in llm.prompts[0]


def test_the_conversations_own_system_message_goes_in_front(tmp_path: Path) -> None:
    store = Counting([Message("system", "be kind"), *[said(n) for n in range(30)]])
    built = ask(store, tmp_path, Recording(), "hybrid", system="SYS")
    assert [each.text for each in built.context.background][:2] == ["SYS", "be kind"]


def test_calls_and_results_are_summarized_or_sent_together(tmp_path: Path) -> None:
    call = Message("assistant", "", tool_calls=[{"id": "1", "name": "look", "arguments": {"q": 1}}])
    result = Message("tool", "found it", tool_call_id="1")
    talk = [said(0), call, result, *[said(n) for n in range(1, 10)]]
    llm = Recording()
    built = ask(Counting(talk), tmp_path, llm, "hybrid")
    assert sent(built) == list(range(1, 10))
    assert '-> look({"q":1})\nTool: found it' in llm.prompts[0]


def test_an_unreadable_record_does_not_stop_it(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(30)]), Recording()
    store._held["c"].messages[5] = Unreadable("6", "broken")
    built = ask(store, tmp_path, llm, "hybrid")
    assert summary_of(built) == "SUM"
    assert numbers(llm.prompts) == [n for n in range(20) if n != 5]


def test_a_folder_that_cannot_be_written_does_not_lose_the_answer(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not a folder")
    built = ask(Counting([said(n) for n in range(30)]), tmp_path, Recording(), "hybrid")
    assert summary_of(built) == "SUM"
    assert "cannot be remembered" in built.remarks[0]


# --- summary buffer ---------------------------------------------------------------------------


def test_a_buffer_that_fits_asks_nothing(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(30)]), Recording()
    built = ask(store, tmp_path, llm, "summary-buffer", max_tokens=750)
    assert (len(sent(built)), summary_of(built), llm.prompts) == (30, None, [])


def test_a_buffer_that_is_over_is_summarized_as_far_as_is_needed(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(100)]), Recording(lambda prompt: "S" * 200)
    built = ask(store, tmp_path, llm, "summary-buffer", max_tokens=1000)
    assert built.context.tokens <= 1000
    covered = numbers(llm.prompts)
    assert covered == list(range(len(covered)))
    assert set(range(len(covered), 100)) <= set(sent(built))  # nothing between the two is lost
    assert len(llm.prompts) <= 4
    calls = len(llm.prompts)
    for n in range(100, 104):  # room was left: not every message makes a call
        store.more([said(n)])
        built = ask(store, tmp_path, llm, "summary-buffer", max_tokens=1000)
        assert sent(built)[-1] == n
    assert len(llm.prompts) == calls
    store.more([said(n) for n in range(104, 120)])
    ask(store, tmp_path, llm, "summary-buffer", max_tokens=1000)
    new = numbers(llm.prompts[calls:])
    assert new == list(range(len(covered), len(covered) + len(new)))
    assert 0 < len(new) < 30


def test_a_summary_that_grows_leaves_fewer_messages_and_no_gap(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(100)]), Recording(lambda prompt: "S" * 2000)
    built = ask(store, tmp_path, llm, "summary-buffer", max_tokens=1000, most=6000)
    assert built.context.tokens <= 1000
    assert set(range(100)) == {*numbers(llm.prompts), *sent(built)}


def test_a_question_in_front_leaves_no_gap(tmp_path: Path) -> None:
    for most in range(150, 180):
        store, llm = Counting([said(1)]), Recording()
        for n in range(3, 25, 2):  # the newest is never the user's
            store.more([said(n)])
            wanted: dict[str, Any] = {"max_tokens": most, "question": "." * 40}
            built = ask(store, tmp_path / str(most), llm, "summary-buffer", **wanted)
            assert {*numbers(llm.prompts), *sent(built)} == set(range(1, n + 1, 2)), most


def test_a_result_goes_where_its_call_goes_when_the_summary_grows(tmp_path: Path) -> None:
    """The call fits beside no summary, and not beside the one that is made: it alone was sent
    away, and the result, which nothing can be made of without it, was left out."""
    call = Message(
        "assistant", "<0000008>".ljust(200, "."),
        tool_calls=[{"id": "1", "name": "look", "arguments": {}}],
    )  # fmt: skip
    result = Message("tool", "<0000009>".ljust(SIZE, "."), tool_call_id="1")
    long = [msgspec.structs.replace(said(n), content=said(n).content.ljust(200)) for n in range(8)]
    store, llm = Counting([*long, call, result, said(10)]), Recording(lambda prompt: "S" * 300)
    built = ask(store, tmp_path, llm, "summary-buffer", max_tokens=180)
    assert numbers(llm.prompts) == list(range(10))
    assert (sent(built), left_out(built)) == ([10], [])
    calls = len(llm.prompts)
    ask(store, tmp_path, llm, "summary-buffer", max_tokens=180)
    assert len(llm.prompts) == calls


@pytest.mark.parametrize("strategy", ["hybrid", "summary-buffer", "entity"])
@pytest.mark.parametrize("tokenizer", [None, "o200k_base"])
def test_budgets_are_exact(tmp_path: Path, strategy: str, tokenizer: str | None) -> None:
    from synmem.models.tokens import counter
    from synmem.strategies.sending import as_openai, as_text

    store = Counting(
        [Message("user", f"Message {n}: \u00e9t\u00e9 \U0001f389 {'la ' * n}") for n in range(40)]
    )
    llm = Recording(lambda prompt: "Ann, Bob" if "separated by commas" in prompt else "Sum it up.")
    count = counter(tokenizer)
    for most in (60, 150, 400):
        built = ask(store, tmp_path, llm, strategy, max_tokens=most, tokenizer=tokenizer)
        contents = [each["content"] for each in as_openai(built.context)]
        assert built.context.tokens == pytest.approx(sum(map(count, contents)))
        assert built.context.tokens <= most or "alone is over" in built.context.warnings[-1]
        labelled = ask(
            store, tmp_path, llm, strategy, max_tokens=most, tokenizer=tokenizer, labelled=True
        )
        if not any("alone" in each for each in labelled.context.warnings):
            assert count(as_text(labelled.context) + "\n") <= most


# --- entities ---------------------------------------------------------------------------------


def finds(prompt: str) -> str:
    if "separated by commas" in prompt:
        return f"E{numbers([prompt])[0] % 3}"
    return f"described at {numbers([prompt])[0]}"


def test_entities_stand_in_front_of_the_messages(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(5)]), Recording(finds)
    built = ask(store, tmp_path, llm, "entity")
    assert built.context.background[0].text == (
        "Known entities:\n  - E2: described at 2\n  - E0: described at 3\n  - E1: described at 4"
    )
    assert sent(built) == list(range(5))
    assert len(llm.prompts) == 10
    store.more([said(5)])
    ask(store, tmp_path, llm, "entity")
    assert numbers(llm.prompts[10:]) == [5, 5]


def test_entities_that_do_not_fit_are_the_oldest(tmp_path: Path) -> None:
    store, llm = Counting([said(n) for n in range(5)]), Recording(finds)
    built = ask(store, tmp_path, llm, "entity", max_tokens=60)
    assert built.remarks == ("2 of 3 entities do not fit",)
    assert built.context.background[0].text.endswith("  - E1: described at 4")


# --- what is not there --------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["hybrid", "summary-buffer", "entity"])
def test_what_is_not_there_is_said(tmp_path: Path, strategy: str) -> None:
    store = InMemoryStore()
    notes = Notes(store, tmp_path)
    with pytest.raises(ConversationNotFound):
        asyncio.run(build(store, "c", Wanted(strategy), notes, Asking(Recording(), 4000)))
    with pytest.raises(SynmemError, match="no LLM is configured"):
        asyncio.run(build(store, "c", Wanted(strategy), notes))
