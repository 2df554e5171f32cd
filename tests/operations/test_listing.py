"""Choosing conversations."""

import asyncio
from datetime import UTC, datetime

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound
from synmem.messages import Conversation, Message
from synmem.operations.listing import select
from synmem.store import Part


def chosen(**filters: object) -> list[str]:
    async def run() -> list[str]:
        store = InMemoryStore(page_size=2)
        times = {"a": 1, "A": 2, "team/a": 3, "a\nb": None, "[x]": 9}
        for conversation, day in times.items():
            time = datetime(2026, 1, day, tzinfo=UTC) if day else None
            message = Message("user", "x", created_at=time)
            await store.append([Part(Conversation(conversation), [message])])
        return [each async for page in select(store, **filters) for each in page]  # type: ignore[arg-type]

    return sorted(asyncio.run(run()))


@pytest.mark.parametrize(
    ("glob", "ids"),
    [
        ("*", ["A", "[x]", "a", "a\nb", "team/a"]),
        ("a*", ["a", "a\nb"]),
        ("a", ["a"]),
        ("*a", ["a", "team/a"]),
        ("?", ["A", "a"]),
        ("[[]x]", ["[x]"]),
        ("", []),
        ("nothing", []),
    ],
)
def test_a_glob_takes_the_whole_id_and_its_case(glob: str, ids: list[str]) -> None:
    assert chosen(match=glob) == ids


def test_named_ones_must_all_be_there() -> None:
    assert chosen(ids=["a", "[x]", "a"]) == ["[x]", "a"]
    with pytest.raises(ConversationNotFound, match="'zz'"):
        chosen(ids=["a", "zz"])


def test_idle_leaves_out_what_has_no_time() -> None:
    assert chosen(idle_before=datetime(2026, 1, 3, tzinfo=UTC)) == ["A", "a"]


def test_filters_go_together() -> None:
    assert chosen(ids=["a", "A"], match="[a-z]") == ["a"]
    assert chosen(idle_before=datetime(2027, 1, 1, tzinfo=UTC), match="*a") == ["a", "team/a"]
