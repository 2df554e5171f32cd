"""The strategy `vector`: what is near in meaning, in its place, within the budget."""

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound
from synmem.messages import Conversation, Message, Unreadable
from synmem.operations.searching.recall import Meanings
from synmem.store import Part
from synmem.strategies.context import Background, Context
from synmem.strategies.recall import Recall, Recalled
from synmem.vectors import WordLlama

USER, ASSISTANT = "user", "assistant"
MODEL = WordLlama()
CALL = [{"id": "1", "name": "weather", "arguments": "{}"}]


def store_of(messages: list[Message]) -> InMemoryStore:
    store = InMemoryStore(page_size=3)
    asyncio.run(store.append([Part(Conversation("c"), messages)]))
    return store


def said(*texts: str) -> list[Message]:
    return [Message((USER, ASSISTANT)[i % 2], text) for i, text in enumerate(texts)]


def recalled(history: list[Message], **options: object) -> Context:
    store = store_of(history)
    nearest = Meanings(store, MODEL, None).nearest
    return asyncio.run(Recall(nearest, **options).context(store, "c"))  # type: ignore[arg-type]


def contents(context: Context) -> list[str]:
    return [message.content for message in context.messages]


TALK = said(
    "My sister lives in Lisbon",
    "Nice. Portugal is lovely in spring",
    "The invoice for March is not paid",
    "I wrote a reminder to the customer",
    "Our washing machine leaks",
    "Call a plumber",
    "What shall I cook tonight?",
    "Pasta with tomatoes",
)
ASKED = [each.content for each in TALK[-2:]]
"""What the user said last, and the newest: they always come."""


def test_the_nearest_come_in_their_own_order_with_the_newest_at_the_end() -> None:
    context = recalled(TALK, query="a country to travel to", messages=2)
    assert contents(context) == [TALK[0].content, TALK[1].content, *ASKED]


def test_without_a_query_it_is_the_last_message_of_the_users() -> None:
    asked: list[str] = []

    async def nearest(conversation: str, query: str, k: int) -> list[Recalled]:
        asked.append(query)
        return []

    for messages in (TALK, [*TALK, Message(USER, " ")], TALK[1:2], [Message(USER, "")]):
        asyncio.run(Recall(nearest).context(store_of(messages), "c"))
    assert asked == [TALK[6].content, TALK[6].content, TALK[1].content]


def test_what_is_nearer_is_asked_first_and_what_does_not_fit_leaves_its_room() -> None:
    long = "Lisbon, Porto, Faro and all other cities of Portugal. " * 3
    messages = [*said(long), *TALK]
    context = recalled(messages, query="cities of Portugal", messages=3, max_tokens=36)
    assert long not in contents(context)
    assert TALK[1].content in contents(context)
    assert context.tokens <= 36
    out = [each.why for each in context.decisions if not each.taken]
    assert any(why.startswith("over the budget") for why in out)
    assert any(why.startswith("others are nearer") for why in out)


def test_the_newest_is_kept_though_it_alone_is_over() -> None:
    context = recalled(TALK, query="Portugal", max_tokens=2)
    assert contents(context) == [TALK[-1].content]
    assert context.warnings == [
        "the newest message alone is over the budget",
        "what the user said last does not fit in the budget, left out",
    ]


def test_the_background_comes_before_what_is_near() -> None:
    background = (Background("system prompt", "s" * 80, cached=True),)
    context = recalled(TALK, query="Portugal", background=background, max_tokens=30)
    assert context.background == list(background)
    assert context.tokens <= 30
    assert len(context.messages) == 2


def test_the_decisions_name_the_places_counted_from_the_newest() -> None:
    context = recalled(TALK, query="a country to travel to", messages=1)
    taken = {each.place: each.why for each in context.decisions if each.taken}
    assert set(taken) == {-7, -2, -1}
    assert taken[-7].startswith("near (0.")
    assert (taken[-2], taken[-1]) == ("what the user said last", "the newest")


@pytest.mark.parametrize("between", [0, 3, 20, 100])
def test_a_call_is_never_parted_from_its_result(between: int) -> None:
    messages = [
        *said(*["filler"] * 150),
        Message(USER, "How is the weather in Lisbon?"),
        Message(ASSISTANT, "", tool_calls=CALL),
        *said(*["and then"] * between),
        Message("tool", "Sunny, 25 degrees in Portugal", tool_call_id="1"),
        *said(*["filler"] * 150),
    ]
    context = recalled(messages, query="degrees in Portugal", messages=between + 2)
    assert contents(context) == ["", *["and then"] * between, messages[152 + between].content,
                                 "filler", "filler"]  # fmt: skip
    assert context.messages[0].tool_calls == CALL
    context = recalled(messages, query="degrees in Portugal", messages=between + 1)
    assert not any(each.role == "tool" or each.tool_calls for each in context.messages)


def test_a_result_whose_call_is_gone_is_left_out() -> None:
    messages = [Message("tool", "Sunny in Lisbon", tool_call_id="9"), *TALK]
    assert messages[0].content not in contents(recalled(messages, query="Sunny in Lisbon"))


def test_a_near_message_of_the_newest_unit_comes_once() -> None:
    messages = [
        *TALK, Message(ASSISTANT, "Let me look at the weather", tool_calls=CALL),
        Message("tool", "Sunny", tool_call_id="1"),
    ]  # fmt: skip
    context = recalled(messages, query="Let me look at the weather", messages=9)
    assert [each.content for each in context.messages].count("Let me look at the weather") == 1
    assert context.messages[-1].content == "Sunny"


def test_an_unreadable_record_among_them_is_passed_over() -> None:
    store = store_of(TALK)
    store._held["c"].messages[1] = Unreadable("2", "bad")
    nearest = Meanings(store, MODEL, None).nearest
    context = asyncio.run(Recall(nearest, query="Portugal", messages=1).context(store, "c"))
    assert contents(context) == [TALK[0].content, *ASKED]


def test_a_conversation_that_is_not_there_is_not_found() -> None:
    store = store_of(TALK)
    nearest = Meanings(store, MODEL, None).nearest
    with pytest.raises(ConversationNotFound):
        asyncio.run(Recall(nearest).context(store, "gone"))


def test_of_a_long_conversation_only_what_is_near_is_read(tmp_path: Path) -> None:
    store = store_of(said(*[f"text number {i}" for i in range(5000)]))
    nearest = Meanings(store, MODEL, tmp_path / "i.db").nearest
    recall = Recall(nearest, query="text number 77")
    asyncio.run(recall.context(store, "c"))
    read = 0
    page = store._page

    def counted(*arguments: object) -> object:
        nonlocal read
        found = page(*arguments)  # type: ignore[arg-type]
        read += len(found.items) if found else 0
        return found

    store._page = counted  # type: ignore[assignment,method-assign]
    asyncio.run(recall.context(store, "c"))
    assert read < 600


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_recalled_is_in_order_whole_and_within_the_budget(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from("uact"), min_size=1, max_size=40))
    messages: list[Message] = []
    calls = 0
    for i, kind in enumerate(kinds):
        if kind == "c":
            calls += 1
            call = {"id": str(calls), "name": "f", "arguments": "{}"}
            messages.append(Message(ASSISTANT, f"call {i}", tool_calls=[call]))
        elif kind == "t":
            messages.append(Message("tool", f"result {i}", tool_call_id=str(max(calls, 1))))
        else:
            messages.append(Message(USER if kind == "u" else ASSISTANT, f"text {i}"))
    store = store_of(messages)
    numbers = list(range(1, len(messages) + 1))
    random.Random(len(messages)).shuffle(numbers)

    async def nearest(conversation: str, query: str, k: int) -> list[Recalled]:
        positions = [""]
        async for page in store.read(["c"]):
            positions += [page.position(i) for i in range(len(page.items))]
        return [Recalled(n, len(messages), positions[n - 1], 0.5) for n in numbers[:k]]

    budget = data.draw(st.integers(min_value=1, max_value=60))
    recall = Recall(nearest, query="x", messages=data.draw(st.integers(1, 20)), max_tokens=budget)
    context = asyncio.run(recall.context(store, "c"))
    texts = contents(context)
    order = [int(text.split()[1]) for text in texts]
    assert order == sorted(set(order))
    # After all that is sent in front of it: never a result without its call, or the other way.
    open_calls: set[str] = set()
    answered: set[str] = set()
    newest = messages[-1].content
    for message in context.messages:
        open_calls |= {call["id"] for call in message.tool_calls or ()}
        if message.role == "tool" and message.content != newest:
            assert message.tool_call_id in open_calls
        if message.tool_call_id:
            answered.add(message.tool_call_id)
    last_call = max((i for i, m in enumerate(messages) if m.tool_calls), default=-1)
    pending = {c["id"] for c in messages[last_call].tool_calls or ()} if last_call >= 0 else set()
    assert open_calls - answered <= pending
    assert texts[-1] == newest
    if "the newest message alone is over the budget" not in context.warnings:
        assert context.tokens <= budget
