"""The memories that ask a model: what the documents show, and beside SynapseKit 2.0.1."""

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import synapsekit.memory
from hypothesis import given
from hypothesis import strategies as st

from synmem.errors import ModelError
from synmem.memory import (
    BaseMemory,
    EntityMemory,
    HybridMemory,
    InMemoryConversation,
    SmartContextManager,
    SqliteMemory,
    SummaryBufferMemory,
    SummaryMemory,
    WindowMemory,
)
from synmem.memory.turn import Turn
from tests.memory.models import Echo, Failing, Nothing

ADDS = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), st.text("ab ", min_size=0, max_size=60)),
    max_size=12,
)


def run(main: Any) -> Any:
    return asyncio.run(main)


@given(ADDS, st.integers(1, 4), st.integers(0, 3))
def test_smart_context_manager_does_as_the_reference(adds: Any, per: int, limit: int) -> None:
    async def main() -> None:
        budget = {"max_recent_tokens": limit * 8, "max_search_tokens": 3, "chars_per_token": per}
        for llm in (True, False):
            made = [Echo() if llm else None for _ in range(2)]
            ours = SmartContextManager(made[0], **budget)
            theirs = synapsekit.memory.SmartContextManager(made[1], **budget)
            for manager in (ours, theirs):
                manager.set_system("system")
                manager.set_search_results("results " * 9)
            for add in adds:
                ours.add(*add)
                theirs.add(*add)
                assert await ours.get_messages() == await theirs.get_messages()
                assert (ours.summary, len(ours)) == (theirs.summary, len(theirs))
            ours.clear_search_results()
            theirs.clear_search_results()
            assert await ours.get_messages() == await theirs.get_messages()
            ours.clear()
            assert (await ours.get_messages(), ours.summary, len(ours)) == ([], "", 0)

    run(main())


@given(ADDS, st.integers(1, 2))
def test_summary_buffer_memory_does_as_the_reference(adds: Any, per: int) -> None:
    async def main() -> None:
        ours = SummaryBufferMemory(Echo(), 100, per)
        theirs = synapsekit.memory.SummaryBufferMemory(Echo(), 100, per)
        for role, content in adds:
            ours.add(role, content * 3)
            theirs.add(role, content * 3)
            assert await ours.get_messages() == await theirs.get_messages()
            assert ours.format_context() == theirs.format_context()
            assert (ours.summary, len(ours)) == (theirs.summary, len(theirs))

    run(main())


@given(ADDS, st.integers(1, 3))
def test_hybrid_memory_has_the_references_shape_and_summarizes_a_text_once(
    adds: Any, window: int
) -> None:
    async def main() -> None:
        model = Echo()
        ours = HybridMemory(model, window)
        theirs = synapsekit.memory.HybridMemory(Echo(), window)
        for role, content in adds:
            ours.add(role, content)
            theirs.add(role, content)
            shown = await ours.get_messages_with_summary()
            expected = await theirs.get_messages_with_summary()
            assert [m["role"] for m in shown] == [m["role"] for m in expected]
            assert shown[-2 * window :] == expected[-2 * window :]
            assert ours.get_messages() == theirs.get_messages()
            assert ours.get_recent_messages() == theirs.get_recent_messages()
        asked = len(model.prompts)
        await ours.get_messages_with_summary()
        assert len(model.prompts) == asked == max(0, len(adds) - 2 * window)

    run(main())


def test_hybrid_memory_sends_only_what_is_new() -> None:
    async def main() -> None:
        model = Echo()
        memory = HybridMemory(model, 1, 77)
        for n in range(50):
            memory.add("user", f"said {n}.")
        await memory.get_messages_with_summary()
        memory.add("user", "said 50.")
        memory.add("user", "said 51.")
        shown = await memory.format_context()
        assert (
            shown
            == "System: Summary of earlier conversation:\nanswer 2\nUser: said 50.\nUser: said 51."
        )
        assert len(model.prompts) == 2
        assert "77" in model.prompts[0]
        assert "said 47." in model.prompts[0]
        assert [f"said {n}." in model.prompts[1] for n in (47, 48, 49, 50)] == [
            False,
            True,
            True,
            False,
        ]
        assert "answer 1" in model.prompts[1]

    run(main())


class Names:
    """Finds names that begin with a capital; describes by telling how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    async def generate(self, prompt: str) -> str:
        message = prompt.rpartition("essage:")[2].strip() if "essage:" in prompt else ""
        if "comma" in prompt:
            return ", ".join(w.strip(".") for w in message.split() if w[:1].isupper()) or "NONE"
        self.count += 1
        return f" description {self.count} "


@given(st.lists(st.lists(st.sampled_from(["Alice", "Bob", "Paris", "x", "y"]), unique=True, max_size=4), max_size=6), st.integers(1, 3))  # fmt: skip
def test_entity_memory_does_as_the_reference(said: list[list[str]], most: int) -> None:
    async def main() -> None:
        ours, theirs = EntityMemory(Names(), most), synapsekit.memory.EntityMemory(Names(), most)
        for words in said:
            await ours.add("user", " ".join(words))
            await theirs.add("user", " ".join(words))
            assert list(ours.get_entities()) == list(theirs.get_entities())
            assert ours.get_messages() == theirs.get_messages()
            known = ours.format_context()
            assert (len(ours), known.count("  - ")) == (len(theirs), len(ours.get_entities()))

    run(main())


def test_the_entities_are_formatted_as_the_documents_show() -> None:
    async def main() -> None:
        memory = EntityMemory(Names())
        await memory.add("user", "Alice is in Paris.")
        assert memory.format_context() == (
            "Known entities:\n  - Alice: description 1\n  - Paris: description 2\n\n"
            "User: Alice is in Paris."
        )
        memory.clear()
        assert (memory.format_context(), memory.get_entities(), len(memory)) == ("", {}, 0)

    run(main())


def test_summary_memory_replaces_the_oldest_by_one_message() -> None:
    async def main() -> None:
        model, backend = Echo(), InMemoryConversation()
        memory = SummaryMemory(backend, model, max_messages=4)
        for n in range(7):
            await memory.add("user", f"said {n}")
        assert (
            await backend.get()
            == await memory.get()
            == [
                {"role": "system", "content": "Summary of earlier conversation:\nanswer 2"},
                {"role": "user", "content": "said 5"},
                {"role": "user", "content": "said 6"},
            ]
        )
        assert "said 2" in model.prompts[0]
        assert "said 3" not in model.prompts[0]
        assert "answer 1" in model.prompts[1]
        assert memory.to_string().startswith("System: Summary of earlier")

    run(main())


class Foreign(BaseMemory):
    """A BaseMemory of somebody else's: it has only what the reference asks for."""

    def __init__(self) -> None:
        self.held: list[dict[str, Any]] = []

    async def add(self, role: str, content: str) -> None:
        self.held.append({"role": role, "content": content})

    async def get(self) -> list[dict[str, Any]]:
        return list(self.held)

    async def clear(self) -> None:
        self.held.clear()


def test_summary_memory_wraps_any_base_memory() -> None:
    async def main() -> None:
        memory = SummaryMemory(Foreign(), Echo(), max_messages=4, summary_prompt="Kurz: ")
        for n in range(5):
            await memory.add("user", f"said {n}")
        assert [m["content"] for m in await memory.get()][1:] == ["said 3", "said 4"]

    run(main())


@pytest.mark.parametrize("backend", [InMemoryConversation, Foreign])
def test_a_model_that_fails_loses_nothing_and_the_next_call_goes_on(backend: Any) -> None:
    async def main() -> None:
        model = Failing()
        memory = SummaryMemory(backend(), model, max_messages=2)
        for n in range(2):
            await memory.add("user", f"said {n}")
        for n in (2, 3):
            with pytest.raises(RuntimeError, match="down"):
                await memory.add("user", f"said {n}")
        assert [m["content"] for m in await memory.get()] == [f"said {n}" for n in range(4)]
        model.works = True
        await memory.add("user", "said 4")
        assert [m["content"] for m in await memory.get()] == [
            "Summary of earlier conversation:\na summary", "said 4",
        ]  # fmt: skip

    run(main())


def test_a_model_that_fails_changes_nothing_in_the_other_memories() -> None:
    async def main() -> None:
        model = Failing()
        hybrid, buffer = HybridMemory(model, 1), SummaryBufferMemory(model, 100, 1)
        smart, entity = SmartContextManager(model, 10, chars_per_token=1), EntityMemory(model)
        for n in range(4):
            for memory in (hybrid, buffer, smart):
                memory.add("user", f"said {n} " * 20)
        for read in (hybrid.get_messages_with_summary, buffer.get_messages, smart.get_messages):
            with pytest.raises(RuntimeError):
                await read()
        with pytest.raises(RuntimeError):
            await entity.add("user", "Alice")
        assert (len(hybrid), len(buffer), len(smart), len(entity)) == (4, 4, 4, 1)
        assert (hybrid.summary, buffer.summary, smart.summary) == ("", "", "")
        model.works = True
        assert len(await hybrid.get_messages_with_summary()) == 3
        assert hybrid.summary == "a summary"

    run(main())


@given(ADDS, st.integers(1, 2))
def test_a_model_that_answers_nothing_is_gone_on_without_as_the_reference_does(
    adds: Any, per: int
) -> None:
    async def main() -> None:
        pairs = [
            (SummaryBufferMemory, synapsekit.memory.SummaryBufferMemory, (Nothing(), 100, per)),
            (SmartContextManager, synapsekit.memory.SmartContextManager, (Nothing(), 10, 9, per)),
            (HybridMemory, synapsekit.memory.HybridMemory, (Nothing(), per)),
        ]
        for our_kind, their_kind, arguments in pairs:
            ours, theirs = our_kind(*arguments), their_kind(*arguments)
            for role, content in adds:
                for memory in (ours, theirs):
                    memory.add(role, content * 3)
                hybrid = our_kind is HybridMemory
                get = "get_messages_with_summary" if hybrid else "get_messages"
                assert await getattr(ours, get)() == await getattr(theirs, get)()
                assert (ours.summary, len(ours)) == (theirs.summary, len(theirs))

    run(main())


def test_where_a_model_answers_nothing_the_summary_so_far_stays() -> None:
    async def main() -> None:
        model = Nothing()
        hybrid, buffer = HybridMemory(model, 1), SummaryBufferMemory(model, 100, 1)
        smart = SmartContextManager(model, 100, chars_per_token=1)
        for n in range(8):
            model.answer = "in short" if n == 2 else ""
            for memory in (hybrid, buffer, smart):
                memory.add("user", f"said {n} ".ljust(40, "."))
            shown = await hybrid.get_messages_with_summary()
            await buffer.get_messages()
            await smart.get_messages()
        assert (buffer.summary, smart.summary) == ("in short", "in short")
        assert shown[0]["content"] == "Summary of earlier conversation:\nin short"
        model.answer = "all of it"
        await hybrid.get_messages_with_summary()
        asked = [n for n in range(8) if f"said {n} " in model.prompts[-1]]
        assert asked == [1, 2, 3, 4, 5]  # not 0, which the summary covers
        summary = SummaryMemory(InMemoryConversation(), Nothing(), max_messages=2)
        for n in range(2):
            await summary.add("user", f"said {n}")
        with pytest.raises(ModelError):  # here nothing else would be left of them
            await summary.add("user", "said 2")
        assert len(await summary.get()) == 3

    run(main())


def test_memories_that_ask_a_model_can_be_pickled() -> None:
    memories = [
        HybridMemory(Echo(), 1), SummaryBufferMemory(Echo()), SmartContextManager(Echo()),
        EntityMemory(Echo()), SummaryMemory(InMemoryConversation(), Echo(), 2, "{conversation}!"),
    ]  # fmt: skip
    hybrid, *_, summary = map(pickle.loads, map(pickle.dumps, memories))
    for n in range(3):
        hybrid.add("user", f"said {n}")
        run(summary.add("user", f"said {n}"))
    assert run(hybrid.format_context()).startswith("System: Summary of earlier conversation:")
    assert summary._llm.prompts == ["User: said 0\nUser: said 1!"]


def test_two_tasks_at_once_summarize_each_message_once() -> None:
    async def main() -> None:
        class Slow(Echo):
            async def generate(self, prompt: str) -> str:
                await asyncio.sleep(0.01)
                return await super().generate(prompt)

        for memory in (SummaryBufferMemory(Slow(), 100, 1), SmartContextManager(Slow(), 100, chars_per_token=1)):  # fmt: skip
            for n in range(6):
                memory.add("user", f"{n}" * 40)
            first, second = await asyncio.gather(memory.get_messages(), memory.get_messages())
            assert first == second
            assert [m["content"][:1] for m in first[1:]] == ["4", "5"]

    run(main())


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: HybridMemory(Echo(), 0), "window must be >= 1"),
        (lambda: HybridMemory(None), "llm must have a method"),  # type: ignore[arg-type]
        (lambda: SummaryBufferMemory(Echo(), 99), "max_tokens must be >= 100"),
        (lambda: EntityMemory(Echo(), 0), "max_entities must be >= 1"),
        (lambda: SummaryMemory(InMemoryConversation(), object()), "llm must have a method"),  # type: ignore[arg-type]
        (lambda: SmartContextManager(chars_per_token=0), "chars_per_token must be >= 1"),
        (lambda: SummaryMemory(InMemoryConversation(4), Echo(), 4), "backend keeps 4 messages"),
        (lambda: SummaryMemory(InMemoryConversation(3), Echo(), 4), "backend keeps 3 messages"),
        (lambda: SummaryMemory(WindowMemory(), Echo()), "backend keeps 10 messages"),
        (lambda: SummaryMemory(SqliteMemory(":memory:", max_messages=20), Echo()), "keeps 20"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


@pytest.mark.parametrize(
    "backend",
    [
        lambda: InMemoryConversation(5),
        InMemoryConversation,
        lambda: SqliteMemory(":memory:", max_messages=5),
        lambda: SqliteMemory(":memory:"),
    ],
)
def test_a_summary_over_a_memory_that_keeps_more_asks_before_anything_is_lost(backend: Any) -> None:
    async def main() -> None:
        model = Echo()
        async with SummaryMemory(backend(), model, max_messages=4) as memory:
            for n in range(5):
                await memory.add("user", f"message {n}")
            first, *rest = await memory.get()
        assert len(model.prompts) == 1
        assert all(f"message {n}" in model.prompts[0] for n in range(3))
        assert first["role"] == "system"
        assert [each["content"] for each in rest] == ["message 3", "message 4"]

    run(main())


class Slow:
    """Answers after a moment, and counts how many ask at once."""

    def __init__(self) -> None:
        self.asking = self.most = 0

    async def generate(self, prompt: str) -> str:
        self.asking += 1
        self.most = max(self.most, self.asking)
        await asyncio.sleep(0.001)
        self.asking -= 1
        return "NONE" if "comma" in prompt else "in short"


def waiting(kind: str, llm: Slow) -> Any:
    """Makes a memory, and gives what many tasks may do at once."""
    if kind == "summary":
        return SummaryMemory(InMemoryConversation(), llm, max_messages=2).add
    if kind == "entity":
        return EntityMemory(llm).add
    memory: Any = {
        "hybrid": lambda: HybridMemory(llm, 1),
        "buffer": lambda: SummaryBufferMemory(llm, 100, 1),
        "smart": lambda: SmartContextManager(llm, 10, chars_per_token=1),
    }[kind]()
    get = memory.get_messages_with_summary if kind == "hybrid" else memory.get_messages

    async def ask(role: str, content: str) -> None:
        memory.add(role, content)
        await get()

    return ask


@pytest.mark.parametrize("kind", ["summary", "entity", "hybrid", "buffer", "smart"])
def test_tasks_of_one_event_loop_after_the_other_and_of_threads_wait_their_turn(kind: str) -> None:
    llm = Slow()
    ask = waiting(kind, llm)

    async def many() -> None:
        await asyncio.gather(*(ask("user", "x" * 40) for _ in range(5)))

    for _ in range(2):
        run(many())
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(run, many()) for _ in range(3)]:
            done.result(20)
    assert llm.most == 1


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_turn_to_the_next() -> None:
    async def main() -> None:
        turn, had = Turn(), []

        async def have(n: int) -> None:
            async with turn:
                had.append(n)
                await asyncio.sleep(0.01)

        tasks = [asyncio.ensure_future(have(n)) for n in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await tasks[0]
        await asyncio.sleep(0.001)
        tasks[2].cancel()  # it has its turn
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(have(5), 5)
        assert had == [0, 2, 5]

        async with turn:
            late = asyncio.ensure_future(have(6))
            await asyncio.sleep(0)
        late.cancel()  # after it was given the turn, before it knows
        await asyncio.gather(late, return_exceptions=True)
        await asyncio.wait_for(have(7), 5)

    run(main())


def test_what_is_cleared_while_the_model_thinks_stays_forgotten() -> None:
    class Clearing:
        async def generate(self, prompt: str) -> str:
            manager.clear()
            for n in range(3):
                manager.add("user", f"new {n}")
            return "a summary of what is forgotten"

    manager = SmartContextManager(Clearing(), max_recent_tokens=3, chars_per_token=4)
    for _ in range(3):
        manager.add("user", "something long")
    shown = run(manager.get_messages())
    assert ([each["content"] for each in shown], manager.summary) == (
        ["new 0", "new 1", "new 2"], "",
    )  # fmt: skip


def test_what_a_hybrid_forgets_while_the_model_thinks_is_not_shown() -> None:
    class Clearing(Echo):
        async def generate(self, prompt: str) -> str:
            if not self.prompts:
                memory.clear()
                for n in range(3):
                    memory.add("user", f"new {n}")
            return await super().generate(prompt)

    memory = HybridMemory(Clearing(), 1)
    for _ in range(3):
        memory.add("user", "something long")
    shown = run(memory.get_messages_with_summary())
    assert [each["content"] for each in shown] == [
        "Summary of earlier conversation:\nanswer 2", "new 1", "new 2",
    ]  # fmt: skip
    memory.clear()
    assert run(memory.get_messages_with_summary()) == []


def test_what_a_hybrid_forgets_while_it_waits_its_turn_is_not_summarized() -> None:
    async def main() -> None:
        class Held(Echo):
            async def generate(self, prompt: str) -> str:
                await go_on.wait()
                return await super().generate(prompt)

        go_on = asyncio.Event()
        memory = HybridMemory(Held(), 1)
        for _ in range(3):
            memory.add("user", "something long")
        asked = [asyncio.ensure_future(memory.get_messages_with_summary()) for _ in range(2)]
        await asyncio.sleep(0)
        memory.clear()
        go_on.set()
        assert (await asyncio.gather(*asked), memory.summary) == ([[], []], "")

    run(main())


def test_entities_of_what_is_forgotten_do_not_come_back() -> None:
    async def main() -> None:
        class Held(Names):
            async def generate(self, prompt: str) -> str:
                await go_on.wait()
                return await super().generate(prompt)

        go_on = asyncio.Event()
        memory = EntityMemory(Held())
        adding = [asyncio.ensure_future(memory.add("user", name)) for name in ("Alice", "Bob")]
        await asyncio.sleep(0)
        memory.clear()  # one is being learned, one waits its turn
        go_on.set()
        await asyncio.gather(*adding)
        assert (memory.get_entities(), len(memory)) == ({}, 0)
        await memory.add("user", "Paris")
        assert list(memory.get_entities()) == ["Paris"]

    run(main())
