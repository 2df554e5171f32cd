"""What the user said last is sent, however long tools have worked since, or it is said that not."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Conversation, Message
from synmem.notes import Notes
from synmem.operations.deriving.context import STRATEGIES, Wanted, build
from synmem.operations.deriving.running import Asking
from synmem.store import Part
from synmem.strategies.context import Background, Context
from synmem.strategies.recall import Recalled
from synmem.strategies.sending import EMPTY_QUESTION, as_anthropic, as_openai, as_text
from tests.models.llms import Recording

QUESTION = Message("user", "Where is the crane?")
LEFT_OUT = "what the user said last does not fit in the budget, left out"


def look(n: int) -> list[Message]:
    call = Message("assistant", "", tool_calls=[{"id": f"{n}", "name": "look", "arguments": {}}])
    return [call, Message("tool", f"number {n} ".ljust(100, "."), tool_call_id=f"{n}")]


def loop(times: int) -> list[Message]:
    """Somebody asks, and tools work for long."""
    return [QUESTION, *[each for n in range(times) for each in look(n)]]


def built(messages: list[Message], **wanted: object) -> Context:
    store = InMemoryStore(page_size=7)

    async def nearest(conversation: str, query: str, k: int) -> list[Recalled]:
        places, positions = [""], list[str]()
        async for page in store.read(["c"]):
            positions += [page.position(i) for i in range(len(page.items))]
        places += positions
        total = len(messages)
        return [Recalled(n, total, places[n - 1], 0.5) for n in range(1, min(k, total) + 1)]

    async def main(folder: str) -> Context:
        await store.append([Part(Conversation("c"), messages)])
        asking = Asking(Recording(), 2000)
        made = Wanted(**wanted)  # type: ignore[arg-type]
        notes = Notes(store, Path(folder))
        return (await build(store, "c", made, notes, asking, nearest)).context

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(main(folder))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("window", [None, 2, 10])
def test_the_only_question_of_a_long_tool_loop_is_sent(strategy: str, window: int | None) -> None:
    found = built(
        loop(200), strategy=strategy, max_tokens=300, window=window, question=EMPTY_QUESTION
    )
    assert found.messages[0] == QUESTION
    assert len(found.messages) > 2
    assert found.tokens <= 300
    assert LEFT_OUT not in found.warnings
    assert as_openai(found)[-len(found.messages)]["content"] == QUESTION.content
    assert as_anthropic(found)["messages"][0]["content"] == QUESTION.content
    assert f"User: {QUESTION.content}\n" in as_text(found)
    whys = {each.place: each.why for each in found.decisions if each.taken}
    assert whys[-401] == "what the user said last"
    assert "question" not in [each.what for each in found.decisions]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_that_does_not_fit_is_named(strategy: str) -> None:
    messages = [Message("user", "x" * 2000), *loop(20)[1:]]
    found = built(messages, strategy=strategy, max_tokens=300, question=EMPTY_QUESTION)
    assert LEFT_OUT in found.warnings
    assert "user" not in [each.role for each in found.messages]
    assert found.tokens <= 300
    assert (-41, False) in [(each.place, each.taken) for each in found.decisions]


def test_it_is_sought_so_far_and_no_further() -> None:
    assert built(loop(499), max_tokens=300).messages[0] == QUESTION
    found = built(loop(700), max_tokens=300)
    assert found.messages[0].role == "assistant"
    assert found.warnings == ["the user says nothing in the newest 1,000 messages"]
    assert built(loop(3)[1:], max_tokens=40).warnings == []  # there is none


def test_one_that_says_nothing_is_none() -> None:
    silent = [*loop(30), Message("user", " "), *look(31)]
    assert built(silent, max_tokens=200).messages[0] == QUESTION
    seen = Message("user", "", parts=[{"type": "image_url", "image_url": {"url": "http://x/y"}}])
    assert built([QUESTION, seen, *loop(30)[1:]], max_tokens=200).messages[0] == seen


def test_the_system_prompt_goes_before_it_and_search_results_behind_it() -> None:
    asked = [Message("user", "x" * 400), *loop(20)[1:]]
    found = built(asked, max_tokens=140, system="s" * 160)
    assert [each.kind for each in found.background] == ["system prompt"]
    assert LEFT_OUT in found.warnings
    found = built(asked, max_tokens=160, search_results="r" * 400)
    assert found.messages[0] == asked[0]
    assert found.background != [] or "search results: cut to fit in the budget" in found.warnings


kinds = st.sampled_from(["user", "assistant", "system", "look", "call", "tool", "silent"])


@settings(max_examples=150, deadline=None)
@given(st.lists(kinds, min_size=1, max_size=25), st.sampled_from(STRATEGIES), st.integers(1, 150),
       st.none() | st.integers(1, 6))  # fmt: skip
def test_it_is_there_or_a_warning_says_so(
    said: list[str], strategy: str, most: int, window: int | None
) -> None:
    messages: list[Message] = []
    for n, kind in enumerate(said):
        text = f"number {n} ".ljust(10 * (n % 7) + 1, ".")
        plain = Message("user" if kind == "silent" else kind, "" if kind == "silent" else text)
        made = {"look": look(n), "call": look(n)[:1], "tool": look(n - 1)[1:]}
        messages += made.get(kind, [plain])
    asked = [i for i, each in enumerate(messages) if each.role == "user" and each.content]
    found = built(messages, strategy=strategy, max_tokens=most, window=window)
    if asked:
        assert (messages[asked[-1]] in found.messages) != (LEFT_OUT in found.warnings)
    if "the newest message alone is over the budget" not in found.warnings:
        assert found.tokens <= most
    contents = [each.content for each in messages]
    once = [each.content for each in found.messages if each.role == "user" and each.content]
    places = [contents.index(each) for each in once]
    assert places == sorted(set(places))


def test_a_background_is_never_named_twice() -> None:
    found = built(loop(5), system="be kind", search_results="found")
    assert [each.kind for each in found.background] == ["system prompt", "search results"]
    assert isinstance(found.background[0], Background)
