"""What a foreign store may hold that its framework never wrote: any JSON at any place."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as some

from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable, refusal

WORDS = (
    "text", "think", "tool_call", "image_file", "file", "reasoning", "tool", "call", "result",
    "user", "assistant", "system", "a", "b", "{}", '{"a": 1}', "[", "2026-09-21T14:13:20Z", "",
)  # fmt: skip

JSON: Any = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.sampled_from(WORDS)
    | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from((*WORDS, "id", "name", "type", "value")), inner, max_size=4)
    ),
    max_leaves=8,
)  # fmt: skip


def document(*keys: str) -> Any:
    """An object with some of these keys, and any JSON under each."""
    return some.dictionaries(some.sampled_from(keys), JSON, max_size=len(keys))


def documents(*keys: str) -> Any:
    """Some such objects, or other JSON in their place."""
    return some.lists(document(*keys) | JSON, max_size=5)


def is_well_told(unfold: Callable[[], Told]) -> bool:
    """Whether it says messages or why not, or that nothing can be read, and nothing else."""
    try:
        told = unfold()
    except ValueError:
        return True
    for said in (told.messages, *told.branches.values()):
        for each in said:
            assert isinstance(each, Message | Unreadable)
            if isinstance(each, Message):
                refusal(each)
    assert told.title is None or isinstance(told.title, str)
    assert told.extra is None or isinstance(told.extra, dict)
    return True
