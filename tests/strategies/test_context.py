"""What is sent: within the budget, the newest always, calls and results together."""

import asyncio
import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from anthropic.types import MessageParam
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound
from synmem.messages import Conversation, Message, Unreadable
from synmem.models.tokens import counter
from synmem.store import Part
from synmem.strategies.context import Background, Context, Strategy
from synmem.strategies.meter import Meter
from synmem.strategies.sending import (
    EMPTY_QUESTION,
    as_anthropic,
    as_openai,
    as_text,
    from_user_on,
)
from synmem.strategies.smart import Smart
from synmem.strategies.summary import SUMMARY_HEAD
from synmem.strategies.window import Window


def say(role: str, content: str) -> Message:
    return Message(role, content)


def call(*ids: str, content: str = "") -> Message:
    calls = [{"id": each, "name": "f", "arguments": {}} for each in ids]
    return Message("assistant", content, tool_calls=calls)


def result(name: str | None, content: str = "done") -> Message:
    return Message("tool", content, tool_call_id=name)


def store_of(messages: list[Message]) -> InMemoryStore:
    store = InMemoryStore(page_size=7)
    asyncio.run(store.append([Part(Conversation("c"), messages)]))
    return store


def context(messages: list[Message], strategy: Strategy) -> Context:
    return asyncio.run(strategy.context(store_of(messages), "c"))


def texts(found: Context) -> list[str]:
    return [message.content for message in found.messages]


TALK = [say("user" if n % 2 == 0 else "assistant", f"{n:04}") for n in range(200)]


def test_the_newest_that_fit_are_taken() -> None:
    found = context(TALK, Window(max_tokens=3))
    assert texts(found) == ["0197", "0198", "0199"]
    assert not found.whole
    assert texts(context(TALK, Window(max_tokens=3.9))) == ["0197", "0198", "0199"]
    assert len(context(TALK, Window()).messages) == 200


def test_it_stops_at_the_first_that_does_not_fit() -> None:
    found = context(
        [say("user", "a"), say("user", "b" * 100), say("user", "c")], Window(max_tokens=9)
    )
    assert texts(found) == ["c"]
    assert [decision.taken for decision in found.decisions] == [False, True]


def test_the_newest_message_is_kept_with_a_warning() -> None:
    found = context([say("user", "a"), say("user", "b" * 100)], Window(max_tokens=9))
    assert texts(found) == ["b" * 100]
    assert found.warnings == ["the newest message alone is over the budget"]
    assert context([say("user", "b" * 36)], Window(max_tokens=9)).warnings == []


def test_a_window_counts_messages() -> None:
    assert texts(context(TALK, Window(messages=2))) == ["0198", "0199"]


def test_a_conversation_that_is_not_there_is_not_found() -> None:
    for strategy in (Window(), Smart()):
        with pytest.raises(ConversationNotFound):
            asyncio.run(strategy.context(InMemoryStore(), "c"))


def test_a_call_and_its_results_are_taken_together_or_not_at_all() -> None:
    talk = [say("user", "q"), call("1", "2"), result("1"), result("2"), say("assistant", "a")]
    assert len(context(talk, Window(messages=5)).messages) == 5
    for fewer in (4, 3, 2):
        taken = context(talk, Window(messages=fewer)).messages
        assert [each.role for each in taken] == (
            ["user", "assistant", "tool", "tool", "assistant"]
            if fewer == 4
            else ["user", "assistant"]
        )
    newest = context(talk[:-1], Window(messages=1))
    assert [each.role for each in newest.messages] == ["user", "assistant", "tool", "tool"]


def test_a_call_whose_result_comes_later_travels_with_it() -> None:
    talk = [call("1"), say("user", "still there?"), result("1"), say("user", "x")]
    assert len(context(talk, Window(messages=4)).messages) == 4
    assert texts(context(talk, Window(messages=3))) == ["x"]


def test_a_result_without_a_call_is_left_out() -> None:
    talk = [say("user", "a"), result("9"), say("user", "b")]
    found = context(talk, Window())
    assert texts(found) == ["a", "b"]
    assert found.warnings == ["a tool result whose call is not there is left out"]


def test_a_call_that_nothing_answers_is_left_out_unless_it_is_the_newest() -> None:
    talk = [say("user", "a"), call("1", content="let me see"), call("2"), say("user", "b")]
    found = context(talk, Window())
    assert texts(found) == ["a", "let me see", "b"]
    assert found.messages[1].tool_calls is None
    assert found.warnings == ["a tool call that has no result is left out"]
    assert context(talk[:-1], Window()).messages[-1].tool_calls is not None


def test_results_without_ids_belong_to_the_message_in_front() -> None:
    talk = [
        say("user", "a"),
        say("assistant", "call"),
        result(None),
        result(None),
        say("user", "b"),
    ]
    assert len(context(talk, Window()).messages) == 5
    assert texts(context(talk, Window(messages=3))) == ["b"]


def test_the_beginning_of_a_long_conversation_is_not_read() -> None:
    reads = []
    for count in (1_000, 100_000):
        store = store_of([])
        asyncio.run(store.append([Part(Conversation("c"), [say("user", "x" * 40)] * count)]))
        pages: list[int] = []
        whole = store._page
        store._page = lambda *args, p=pages, w=whole: (p.append(1), w(*args))[1]  # type: ignore[method-assign, misc]
        for strategy in (Smart(max_tokens=500), Window(messages=20)):
            asyncio.run(strategy.context(store, "c"))
        reads.append(len(pages))
    assert reads[0] == reads[1]


def test_a_result_whose_call_is_very_far_away_does_not_read_it_all() -> None:
    store = store_of([call("1"), *TALK * 40, result("1")])
    pages: list[int] = []
    whole = store._page
    store._page = lambda *args: (pages.append(1), whole(*args))[1]  # type: ignore[method-assign]
    found = asyncio.run(Window(max_tokens=10).context(store, "c"))
    assert found.messages[-1].role == "tool"
    assert len(found.messages) < 20
    assert len(pages) < 100


def test_smart_sends_the_tiers_in_order() -> None:
    found = context(
        [say("system", "first"), *TALK],
        Smart(max_tokens=60, system="SYS", summary="SUM", search_results="FOUND"),
    )
    assert [each.text for each in found.background] == [
        "SYS", "first", SUMMARY_HEAD + "SUM", "Search Results Context:\nFOUND",
    ]  # fmt: skip
    assert [each.cached for each in found.background] == [True, True, True, False]
    assert texts(found)[-1] == "0199"
    assert found.tokens <= 60


def test_smart_takes_the_first_system_message_once() -> None:
    for talk in ([say("system", "first"), say("user", "a")], [say("system", "first"), *TALK]):
        found = context(talk, Smart(max_tokens=20))
        assert [each.text for each in found.background] == ["first"]
        assert "first" not in texts(found)
    only = context([say("system", "first")], Smart())
    assert (only.background, texts(only)) == ([], ["first"])


def test_a_first_system_message_without_text_is_a_message() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    picture = Message("system", "", parts=[image])
    found = context([picture, say("user", "a")], Smart())
    assert (found.background, found.messages[0].parts) == ([], [image])


def test_search_results_are_cut_to_their_budget() -> None:
    found = context(TALK, Smart(max_search_tokens=10, search_results="x" * 100))
    assert found.background[0].text == "Search Results Context:\n" + "x" * 40
    small = context(TALK, Smart(max_tokens=10, search_results="x" * 100))
    assert small.tokens <= 10
    assert small.warnings == ["search results: cut to fit in the budget"]


def test_a_system_prompt_that_does_not_fit_is_left_out_with_a_warning() -> None:
    found = context(TALK, Smart(max_tokens=10, system="x" * 100))
    assert found.background == []
    assert found.warnings == ["system prompt: does not fit in the budget, left out"]


def test_an_unreadable_record_is_named_and_hides_nothing() -> None:
    store = store_of(TALK[:5])
    store._held["c"].messages[3] = Unreadable("4", "broken")
    found = asyncio.run(Window().context(store, "c"))
    assert texts(found) == ["0000", "0001", "0002", "0004"]
    assert found.unreadable == [Unreadable("4", "broken")]


OPENAI: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionMessageParam])
ANTHROPIC: TypeAdapter[Any] = TypeAdapter(list[MessageParam])

MESSAGES = st.lists(
    st.one_of(
        st.builds(
            say,
            st.sampled_from(["user", "assistant", "system", "human"]),
            st.text("ab ", max_size=30),
        ),
        st.builds(call, st.sampled_from("123"), content=st.sampled_from(["", "see"])),
        st.builds(call, st.sampled_from("123"), st.sampled_from("456")),
        st.builds(call, st.just("1"), st.just("1")),
        st.builds(result, st.sampled_from(["1", "2", "3", "4", None])),
    ),
    min_size=1,
    max_size=25,
)


def strategies(tokens: int, window: int) -> list[Strategy]:
    background = (Background("system prompt", "be kind", cached=True),)
    return [
        Window(max_tokens=tokens, background=background),
        Window(messages=window),
        Smart(max_tokens=tokens, system="be kind", summary="they talked", search_results="x" * 50),
    ]


@settings(max_examples=300, deadline=None)
@given(MESSAGES, st.integers(1, 60), st.integers(1, 9))
def test_whatever_was_said_what_is_sent_keeps_its_promises(
    messages: list[Message], tokens: int, window: int
) -> None:
    for strategy in strategies(tokens, window):
        found = context(messages, strategy)
        sent = found.messages
        assert sent[-1].content == messages[-1].content  # the newest, always
        if not any("alone is over" in warning for warning in found.warnings):
            limit = strategy.max_tokens if isinstance(strategy, (Window, Smart)) else math.inf
            assert found.tokens <= limit
        check_calls(sent)
        assert as_text(found)
        check_openai(as_openai(found))
        check_anthropic(as_anthropic(found))
        explained = from_user_on(found)
        taken = [each for each in explained.decisions if each.taken and each.place]
        assert [each.what for each in taken] == [each.role for each in explained.messages]


@settings(max_examples=300, deadline=None)
@given(MESSAGES, st.integers(1, 60), st.integers(1, 9))
def test_anthropic_gets_the_newest_message_and_no_more_than_the_budget(
    messages: list[Message], tokens: int, window: int
) -> None:
    for strategy in strategies(tokens, window):
        assert isinstance(strategy, (Window, Smart))
        found = context(messages, replace(strategy, meter=Meter(question=EMPTY_QUESTION)))
        body = as_anthropic(found)
        check_anthropic(body)
        assert messages[-1].content.strip() in "".join(said_to_anthropic(body))
        if not any("alone is over" in warning for warning in found.warnings):
            assert sum(map(len, said_to_anthropic(body))) / 4 <= strategy.max_tokens
        explained = from_user_on(found)
        in_front = body["messages"][0]["content"] == EMPTY_QUESTION
        paid = any(each.what == "question" and each.taken for each in explained.decisions)
        assert paid or not in_front
        assert found.tokens <= strategy.max_tokens or found.warnings


def said_to_anthropic(body: dict[str, Any]) -> list[str]:
    """Every text in it."""
    found = [each["text"] for each in body.get("system", ())]
    for message in body["messages"]:
        said = message["content"]
        blocks = [{"type": "text", "text": said}] if isinstance(said, str) else said
        found += [each.get("text", each.get("content", "")) for each in blocks]
    return found


def test_a_question_in_front_costs_only_where_there_is_one() -> None:
    asked = Window(max_tokens=2, meter=Meter(question=EMPTY_QUESTION))
    both = [say("assistant", "abcd"), say("user", "abcd")]
    assert context(both, asked).tokens == 2
    assert context(both[::-1], asked).tokens == 2
    found = context([say("user", "abcde"), both[0]], asked)  # what was asked does not fit
    assert texts(found) == ["abcd"]
    assert found.tokens == 1.75
    assert (from_user_on(found).tokens, context(both[:1], Window()).tokens) == (1.75, 1)
    nobody = context([both[0], both[0]], replace(asked, max_tokens=3))
    assert (nobody.tokens, from_user_on(nobody).tokens) == (2.75, 2.75)


def check_calls(sent: list[Message]) -> None:
    called: set[str] = set()
    for i, message in enumerate(sent[:-1]):
        if message.role == "tool":
            assert i > 0
            assert message.tool_call_id is None or message.tool_call_id in called
        called |= {each["id"] for each in message.tool_calls or ()}


def check_openai(sent: list[dict[str, Any]]) -> None:
    """What Chat Completions refuses."""
    OPENAI.validate_python(sent)
    for i, message in enumerate(sent):
        if message["role"] == "tool":
            assert i > 0
            call = next(each for each in reversed(sent[:i]) if each["role"] != "tool")
            assert message["tool_call_id"] in [each["id"] for each in call["tool_calls"]]
    callers = [i for i, each in enumerate(sent) if each["role"] != "tool"]
    for start, end in itertools.pairwise(callers):
        calls = [each["id"] for each in sent[start].get("tool_calls", ())]
        results = [each["tool_call_id"] for each in sent[start + 1 : end]]
        assert sorted(results) == sorted(calls)


def check_anthropic(body: dict[str, Any]) -> None:
    """What Messages refuses."""
    ANTHROPIC.validate_python(body["messages"])
    roles = [each["role"] for each in body["messages"]]
    assert roles == [["user", "assistant"][n % 2] for n in range(len(roles))]
    assert roles
    calls: list[str] = []
    all_calls: list[str] = []
    for message in body["messages"]:
        said = message["content"]
        blocks = [{"type": "text", "text": said}] if isinstance(said, str) else said
        assert blocks
        assert all(each["text"].strip() for each in blocks if each["type"] == "text")
        kinds = [each["type"] == "tool_result" for each in blocks]
        assert kinds == sorted(kinds, reverse=True)  # results first
        results = [each["tool_use_id"] for each in blocks if each["type"] == "tool_result"]
        waiting = message is body["messages"][-1] and all(kinds)
        assert set(results) == set(calls) or (waiting and set(results) <= set(calls))
        assert len(set(results)) == len(results)
        calls = [each["id"] for each in blocks if each["type"] == "tool_use"]
        all_calls += calls
    assert len(set(all_calls)) == len(all_calls)
    if roles[-1] == "assistant" and blocks[-1]["type"] == "text":
        assert blocks[-1]["text"] == blocks[-1]["text"].rstrip()


def test_a_message_costs_its_text_its_parts_and_its_calls() -> None:
    message_tokens = Meter().message
    assert message_tokens(say("user", "abcd")) == 1
    parts = [
        {"type": "text", "text": "abcd"},
        {"type": "image_url", "image_url": {"url": "x" * 90}},
    ]
    assert message_tokens(Message("user", "abcd", parts=parts)) > 25
    assert message_tokens(call("1")) > 5


def test_a_name_costs_what_is_sent_of_it() -> None:
    cost = Meter(counter("o200k_base")).message
    assert cost(Message("user", "hi", name="Ann Lee")) == cost(
        Message("user", "hi", name="Ann_Lee")
    )
    for sent, stored in (("unnamed", None), ("files_read_it", "files.read it")):
        one, other = (
            Message("assistant", "", tool_calls=[{"id": "1", "name": name}])
            for name in (sent, stored)
        )
        assert cost(one) == cost(other)


def test_what_lies_before_the_window_is_not_said_to_be_over_the_budget() -> None:
    found = context([say("user", str(n)) for n in range(5)], Window(2))
    reasons = {each.why for each in found.decisions if not each.taken}
    assert reasons == {"before the window"}
