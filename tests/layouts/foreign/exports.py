"""What the tests of layouts share that are read from exports: a file of many values."""

import contextlib
import io
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as some

from synmem.backends.file.elements import elements
from synmem.layouts import registry
from synmem.layouts.shapes import MALFORMED, Export, Told, Value
from tests.layouts.foreign.wholes import FIXTURES, check_told, within


def export_of(layout: str) -> Export:
    """The layout's shape, of which it has one."""
    (shape,) = (each for each in registry.shapes(layout, "file") if isinstance(each, Export))
    return shape


def values_of(layout: str, fixture: str, name: str) -> list[tuple[str, Any]]:
    """The values of a file of a fixture, each with its key."""
    file = io.BytesIO((FIXTURES / fixture / name).read_bytes())
    return [(each.key, each.value) for each in elements(file, export_of(layout).at) if each]


def unfolded(
    layout: str, value: Any, key: str = "", beside: Mapping[str, str] | None = None
) -> dict[str, Told]:
    """What a value says, by conversation."""
    found = export_of(layout).unfold(Value(value, key, beside or {}))
    for told in found.values():
        check_told(told)
    return dict(found)


def told_one(layout: str, value: Any, key: str = "", **beside: str) -> Told:
    """What the one conversation in a value says."""
    (told,) = unfolded(layout, value, key, beside).values()
    return told


def check_spoiled(layout: str, value: tuple[str, Any]) -> None:
    """That a value, whatever stands in it, tells messages and what cannot be read, or raises as the
    store expects it."""
    with contextlib.suppress(*MALFORMED):
        unfolded(layout, value[1], value[0])


@some.composite
def spoiled(draw: some.DrawFn, values: list[tuple[str, Any]]) -> tuple[str, Any]:
    """A value, in which something is another thing or missing."""
    key, value = draw(some.sampled_from(values))
    for _ in range(draw(some.integers(1, 3))):
        value = draw(within(value))
    return key, value
