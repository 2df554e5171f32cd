"""The memories of this process, call by call beside SynapseKit 2.0.1's where it has them."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import synapsekit.memory
from hypothesis import given
from hypothesis import strategies as st

import synmem.memory
from synmem.memory import (
    BaseMemory,
    BufferMemory,
    ConversationMemory,
    InMemoryConversation,
    SummaryMemory,
    TokenBufferMemory,
    WindowMemory,
)

CALLS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"), st.sampled_from(["user", "assistant", "system"]), st.text(max_size=30)
        ),
        st.just(("clear",)),
    ),
    max_size=25,
)


def same(ours: Any, theirs: Any, calls: list[Any]) -> None:
    for name, *arguments in calls:
        assert getattr(ours, name)(*arguments) == getattr(theirs, name)(*arguments)
        assert ours.get_messages() == theirs.get_messages()
        assert ours.format_context() == theirs.format_context()
        assert len(ours) == len(theirs)


@given(CALLS)
def test_buffer_memory_does_as_the_reference(calls: list[Any]) -> None:
    same(BufferMemory(), synapsekit.memory.BufferMemory(), calls)


@given(CALLS, st.integers(1, 4))
def test_conversation_memory_does_as_the_reference(calls: list[Any], window: int) -> None:
    same(ConversationMemory(window), synapsekit.memory.ConversationMemory(window), calls)
    same(ConversationMemory(window=window), synapsekit.memory.ConversationMemory(window), calls)


@given(CALLS, st.integers(1, 40), st.integers(1, 5))
def test_token_buffer_memory_does_as_the_reference(calls: list[Any], most: int, per: int) -> None:
    same(TokenBufferMemory(most, per), synapsekit.memory.TokenBufferMemory(most, per), calls)


def test_the_documents_conversation_example() -> None:
    memory = ConversationMemory(window_size=10)
    memory.add_user("What is SynapseKit?")
    memory.add_assistant("SynapseKit is an async-first RAG framework.")
    assert memory.get() == [
        {"role": "user", "content": "What is SynapseKit?"},
        {"role": "assistant", "content": "SynapseKit is an async-first RAG framework."},
    ]
    memory.clear()
    assert memory.get() == []


@pytest.mark.parametrize("memory", [InMemoryConversation(3), WindowMemory(3)])
def test_the_oldest_messages_leave_the_window(memory: BaseMemory) -> None:
    async def main() -> None:
        for n in range(5):
            await memory.add("user", f"{n}")
        assert [m["content"] for m in await memory.get()] == ["2", "3", "4"]
        assert memory.to_string() == "User: 2\nUser: 3\nUser: 4"
        assert memory.to_messages() == await memory.get()
        await memory.clear()
        assert await memory.get() == []
        assert memory.to_string() == ""

    asyncio.run(main())


def test_what_a_caller_does_to_the_messages_stays_with_the_caller() -> None:
    buffer = BufferMemory()
    buffer.add("user", "x")
    buffer.get_messages()[0]["content"] = "changed"
    assert buffer.get_messages() == [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: WindowMemory(0), "window_size must be >= 1"),
        (lambda: InMemoryConversation(0), "max_messages must be >= 1"),
        (lambda: ConversationMemory(0), "window_size must be >= 1"),
        (lambda: ConversationMemory(window=0), "window must be >= 1"),
        (lambda: ConversationMemory(None), "window_size must be a whole number"),
        (lambda: SummaryMemory(BufferMemory(), None), "backend must be a BaseMemory"),
        (lambda: SummaryMemory(WindowMemory(), None), "llm must have a method"),
        (lambda: TokenBufferMemory(0), "max_tokens must be >= 1"),
        (lambda: TokenBufferMemory(1, 0), "chars_per_token must be >= 1"),
        (lambda: WindowMemory("3"), "window_size must be a whole number"),  # type: ignore[arg-type]
        (lambda: BufferMemory().add("user", None), "content must be a string"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_argument_is_named(make: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


def test_a_memory_of_a_programs_own_has_the_rest_of_the_interface() -> None:
    class Mine(BaseMemory):
        async def add(self, role: str, content: str) -> None: ...
        async def get(self) -> list[dict[str, Any]]:
            return []

        async def clear(self) -> None: ...

    async def main() -> None:
        async with Mine() as mine:
            assert (mine.to_messages(), mine.to_string()) == ([], "")

    asyncio.run(main())


def test_every_name_of_the_reference_is_there_and_nothing_is_loaded_before_it_is_used() -> None:
    assert len(synmem.memory.__all__) == 19
    for name in synmem.memory.__all__:
        assert getattr(synmem.memory, name).__name__ == name
    with pytest.raises(AttributeError):
        synmem.memory.Nothing  # noqa: B018


USED = """
import sys
import synmem.memory
print([name for name in ("asyncio", "msgspec") if name in sys.modules])
import asyncio
from synmem.memory import SqliteMemory
asyncio.run(SqliteMemory(sys.argv[1]).add("user", "x"))
heavy = ("redis", "asyncpg", "pymongo", "boto3", "numpy", "openai", "anthropic", "typer", "rich")
print([name for name in heavy if name in sys.modules])
"""


def test_nothing_is_loaded_that_is_not_used(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", USED, tmp_path / "a.db"], capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")
