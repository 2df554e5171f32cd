"""The running summary: each text once, in prompts that fit, and nothing lost when a model fails."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.errors import ModelError
from synmem.models import estimate_tokens
from synmem.strategies.summary import Buffer, Running, concise, fold, templated, within
from tests.models.llms import Recording


def test_without_lines_nothing_is_asked() -> None:
    llm = Recording()
    assert asyncio.run(fold(llm, "before", [])) == "before"
    assert llm.prompts == []


def test_the_first_summary_is_of_the_conversation_and_the_next_goes_on() -> None:
    llm = Recording(lambda prompt: f"  S{len(llm.prompts)}\n")
    first = asyncio.run(fold(llm, "", ["User: hello", "Assistant: hi"]))
    assert first == "S1"
    assert llm.prompts[0].endswith("\nUser: hello\nAssistant: hi")
    assert asyncio.run(fold(llm, first, ["User: bye"])) == "S2"
    assert "S1" in llm.prompts[1]
    assert "hello" not in llm.prompts[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab \n", min_size=1, max_size=300), min_size=1, max_size=30),
       st.integers(500, 1500))  # fmt: skip
def test_a_long_history_goes_in_prompts_that_fit_and_nothing_is_left_out(
    lines: list[str], most: int
) -> None:
    llm = Recording(lambda prompt: "S" * 20)
    asyncio.run(fold(llm, "", lines, "{}|{}".format, most))
    assert all(len(prompt) <= most for prompt in llm.prompts)
    sent = "".join(prompt.partition("|")[2] for prompt in llm.prompts)
    assert [c for c in sent if c in "ab"] == [c for c in "".join(lines) if c in "ab"]
    full = sum(map(len, lines)) + len(lines)
    assert len(llm.prompts) <= 1 + 2 * full // (most - 22)


def test_a_summary_that_is_too_long_leaves_room_all_the_same() -> None:
    llm = Recording(lambda prompt: "S" * 5000)
    asyncio.run(fold(llm, "", ["x" * 3000], concise, 1000))
    assert 3 <= len(llm.prompts) <= 13


def test_an_empty_answer_is_a_failure_not_a_summary() -> None:
    with pytest.raises(ModelError):
        asyncio.run(fold(Recording(lambda prompt: " \n"), "before", ["User: x"]))


def test_the_length_wanted_is_said() -> None:
    assert "no more than 77 tokens" in within(77)("", "x")
    assert "no more than 77 tokens" in within(77)("s", "x")


def test_a_template_of_the_users_own() -> None:
    prompt = templated('{"as": "json"} {conversation} | {summary} | {other}')
    assert prompt("", "User: {summary}") == '{"as": "json"} User: {summary} |  | {other}'
    assert prompt("S", "U") == '{"as": "json"} U | S | {other}'
    assert templated("Sum up: {conversation}")("S", "User: a") == (
        "Sum up: System: Summary of earlier conversation:\n    S\nUser: a"
    )
    assert templated("Sum up.")("", "User: a") == "Sum up.\n\nUser: a"


def test_a_running_summary_asks_for_new_lines_alone() -> None:
    llm = Recording(lambda prompt: f"S{len(llm.prompts)}")
    running = Running()
    lines = [f"User: number {n}" for n in range(10)]
    asyncio.run(running.reach(llm, lines))
    asyncio.run(running.reach(llm, lines))
    assert len(llm.prompts) == 1
    asyncio.run(running.reach(llm, [*lines, "User: number 10"]))
    assert (running.text, running.covered, len(llm.prompts)) == ("S2", 11, 2)
    assert "number 9" not in llm.prompts[1]
    llm.fail_at = 3
    with pytest.raises(ModelError):
        asyncio.run(running.reach(llm, [*lines, "User: number 10", "User: x"]))
    assert (running.text, running.covered) == ("S2", 11)


def buffer(count: int) -> Buffer:
    return Buffer("", [{"role": "user", "content": f"{n:03}" + "x" * 97} for n in range(count)])


def test_a_buffer_summarizes_the_oldest_two_until_it_fits() -> None:
    llm = Recording()
    held = buffer(10)  # 25 tokens each
    asyncio.run(held.fit(llm, 150, estimate_tokens))
    assert (len(llm.prompts), len(held.messages)) == (3, 4)
    assert "User: 000" in llm.prompts[0]
    assert "User: 001" in llm.prompts[0]
    assert "User: 002" not in llm.prompts[0]
    assert held.messages[0]["content"].startswith("006")
    asyncio.run(held.fit(llm, 150, estimate_tokens))
    assert len(llm.prompts) == 3


def test_a_buffer_goes_no_further_than_two_messages() -> None:
    for count, left in ((2, 2), (4, 2), (5, 1)):  # two at a time, as SynapseKit does it
        held = buffer(count)
        asyncio.run(held.fit(Recording(), 1, estimate_tokens))
        assert len(held.messages) == left


def test_a_model_that_fails_leaves_a_buffer_whole() -> None:
    held = buffer(10)
    llm = Recording(fail_at=2)
    with pytest.raises(ModelError):
        asyncio.run(held.fit(llm, 150, estimate_tokens))
    assert (held.summary, len(held.messages)) == ("SUM", 8)
