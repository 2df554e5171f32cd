"""The layouts of other frameworks: one line each. Their modules are loaded when one is looked for.

Detection: a driver sketches its place once, and the shapes of every layout are matched with that.
"""

import importlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from synmem.layouts.shapes import Rows

LAYOUTS: Final[dict[str, tuple[str, ...]]] = {
    "langchain": ("sqlite",),
}
"""Layout -> the backends that it is on. Its module in `foreign` has its name, and `SHAPES`: by
backend, the shapes in which it may lie there."""

Sketch = Mapping[str, Collection[str]]
"""The tables of a place, and the columns of each."""


class Fit(NamedTuple):
    """A table that looks like one of a layout."""

    layout: str
    shape: Rows
    table: str


def named(backend: str) -> list[str]:
    """The layouts that there are on this backend."""
    return [name for name, backends in LAYOUTS.items() if backend in backends]


def shapes(layout: str, backend: str) -> Sequence[Rows]:
    """In which shapes a layout may lie on this backend; the first is how it is made."""
    module = importlib.import_module(f"synmem.layouts.foreign.{layout}")
    found: Sequence[Rows] = module.SHAPES[backend]
    return found


def fits(
    backend: str, sketch: Sketch, layout: str | None = None, table: str | None = None
) -> Iterator[Fit]:
    """The tables in a sketch that have the columns of a layout: of any, or of the one that is
    named, in any table, or in the one that is named."""
    for name in named(backend):
        if layout not in (None, name):
            continue
        for shape in shapes(name, backend):
            if not (sketch.keys() >= shape.beside and sketch.keys().isdisjoint(shape.without)):
                continue
            candidates = [table] if table else [*sketch] if shape.any_name else [shape.table]
            for each in candidates:
                if shape.columns <= {*sketch.get(each, ())}:
                    yield Fit(name, shape, each)
