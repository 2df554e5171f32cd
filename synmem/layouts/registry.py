"""The layouts of other frameworks: one line each. Their modules are loaded when one is looked for.

Detection: a driver sketches its place once, and the shapes of every layout are matched with that.
"""

import importlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from synmem.errors import Unnamed
from synmem.layouts.shapes import (
    Columns,
    Documents,
    Items,
    Lists,
    Plan,
    Rows,
    Shape,
    Sketch,
    Whole,
)

LAYOUTS: Final[dict[str, tuple[str, ...]]] = {
    "agent_framework": ("redis", "file"),
    "agno": ("sqlite", "postgres"),
    "aider": ("file",),
    "anythingllm": ("sqlite",),
    "big_agi": ("file",),
    "chainlit": ("sqlite", "postgres"),
    "chat_ui": ("mongo",),
    "chatbox": ("file",),
    "chatgpt": ("file",),
    "cherry_studio": ("file",),
    "claude_ai": ("file",),
    "claude_code": ("file",),
    "cline": ("file",),
    "continue_dev": ("file",),
    "codex": ("file",),
    "copilot_cli": ("file",),
    "crush": ("sqlite",),
    "cursor": ("sqlite",),
    "dify": ("postgres",),
    "flowise": ("sqlite", "postgres"),
    "gemini_cli": ("file",),
    "gemini_contents": ("file",),
    "google_adk": ("sqlite", "postgres"),
    "goose": ("sqlite", "file"),
    "haystack": ("file",),
    "jan": ("file",),
    "kimi_cli": ("file",),
    "langchain": ("sqlite", "postgres", "mongo", "redis", "dynamodb", "file"),
    "langgraph": ("sqlite", "postgres"),
    "librechat": ("mongo", "file"),
    "llamaindex": ("sqlite", "postgres", "mongo", "redis", "dynamodb", "file"),
    "llm": ("sqlite",),
    "lm_studio": ("file",),
    "lobechat": ("postgres",),
    "mem0": ("sqlite",),
    "open_webui": ("sqlite", "postgres", "file"),
    "openai_agents": ("sqlite", "postgres", "mongo", "redis"),
    "opencode": ("sqlite", "file"),
    "pydantic_ai": ("file",),
    "qwen_code": ("file",),
    "sillytavern": ("file",),
    "spring_ai": ("postgres",),
    "strands": ("file",),
    "text_generation_webui": ("file",),
    "vercel_ai": ("postgres",),
    "vscode_chat": ("file",),
    "zed": ("sqlite",),
}
"""Layout -> the backends that it is on. Its module in `foreign` has its name, and `SHAPES`: by
backend, the shapes in which it may lie there."""


NAMES: Final = {
    "sqlite": "SQLite", "postgres": "PostgreSQL", "redis": "Redis", "mongo": "MongoDB",
    "dynamodb": "DynamoDB", "file": "files",
}  # fmt: skip


SAMPLE: Final = 20
"""So many records are looked at, where columns or names do not tell a layout."""


class RowsFit(NamedTuple):
    """A table that looks like one of a layout."""

    layout: str
    shape: Rows
    table: str


class WholeFit(NamedTuple):
    """Tables that look like those of a layout, and the first of them."""

    layout: str
    shape: Whole
    table: str
    plan: Plan


Fit = RowsFit | WholeFit


def named(backend: str) -> list[str]:
    """The layouts that there are on this backend."""
    return [name for name, backends in LAYOUTS.items() if backend in backends]


def check_known(where: str, layout: str, backend: str, own: Sequence[str]) -> None:
    """Unnamed, where there is no such layout on this backend, neither of our own nor another."""
    if layout not in (known := [*own, *named(backend)]):
        raise Unnamed(
            f"{where}: no layout {layout!r} on {NAMES[backend]}",
            hint=f"there are {', '.join(known)}",
        )


def shapes(layout: str, backend: str) -> Sequence[Shape]:
    """In which shapes a layout may lie on this backend; the first is how it is made."""
    module = importlib.import_module(f"synmem.layouts.foreign.{layout}")
    found: Sequence[Shape] = module.SHAPES[backend]
    return found


def title(layout: str) -> str:
    """What people call whose layout it is."""
    found: str = importlib.import_module(f"synmem.layouts.foreign.{layout}").TITLE
    return found


def fits(
    backend: str, sketch: Sketch, layout: str | None = None, table: str | None = None
) -> Iterator[Fit]:
    """The tables in a sketch that have the columns of a layout: of any, or of the one that is
    named, in any table, or in the one that is named. Names are compared in small letters."""
    tables = {name.lower(): _lowered(columns) for name, columns in sketch.items()}
    for name in named(backend):
        for shape in shapes(name, backend) if layout in (None, name) else ():
            for each in [one for one in sketch if table in (None, one)]:
                columns = _lowered(sketch[each])
                if isinstance(shape, Rows) and _fits(shape, each.lower(), columns, tables):
                    yield RowsFit(name, shape, each)
                if isinstance(shape, Whole) and _is_whole(shape, each.lower(), tables):
                    yield WholeFit(name, shape, each, shape.plan(sketch))


def is_written(shape: Shape) -> bool:
    """Whether what lies in that shape is written too: its framework reads it back."""
    if isinstance(shape, Rows):
        return shape.write is not None
    return isinstance(shape, Lists | Documents | Items) and shape.fold is not None


def meant(looks: Sequence[tuple[Fit, bool]], sketch: Sketch) -> list[Fit]:
    """Of the tables in a sketch that look like a layout's, and whether each has rows: those that
    are read where none is named. One without rows is none beside others that have some, and of a
    name that anybody may have chosen it tells nothing, unless it is the only table there."""
    full = [fit for fit, has_rows in looks if has_rows]
    return full or [
        fit
        for fit, _ in looks
        if isinstance(fit, WholeFit)
        or not fit.shape.any_name
        or len(sketch) == 1
        or fit.table.lower() == fit.shape.table.lower()
    ]


def likeness(backend: str, sketch: Sketch) -> list[str]:
    """What a place looks like that has no conversations in a layout that is known: by the names of
    its tables, of which the columns are others."""
    tables = {name.lower() for name in sketch}
    found = []
    for name in named(backend):
        for shape in shapes(name, backend):
            if isinstance(shape, Rows):
                own = {shape.table, *shape.beside}
            else:
                own = {*shape.tables} if isinstance(shape, Whole) else set()
            if own and {each.lower() for each in own} <= tables:
                found.append(name)
                break
    return found


def looks_like(found: Iterable[str], known: Collection[str] = ()) -> str:
    """How a person is told of a likeness; nothing where there is none, or only with `known`
    layouts, of which it is."""
    unknown = [each for each in found if each not in known]
    if not unknown:
        return ""
    return f"; it looks like {' or '.join(unknown)}, of a version that is not known"


def _lowered(columns: Columns) -> dict[str, str]:
    return {name.lower(): kind.lower() for name, kind in columns.items()}


def _fits(shape: Rows, table: str, columns: Columns, tables: Sketch) -> bool:
    """Whether a table is of that shape, in so far as columns tell."""
    return (
        (table.startswith(shape.begins) if shape.any_name else table == shape.table.lower())
        and columns.keys() >= {column.lower() for column in shape.columns}
        and columns.keys().isdisjoint(column.lower() for column in shape.lacks)
        and all(_kind(columns, name) in kinds for name, kinds in shape.types.items())
        and tables.keys() >= {each.lower() for each in shape.beside}
        and tables.keys().isdisjoint(each.lower() for each in shape.without)
    )


def _kind(columns: Columns, name: str) -> str:
    """The type of a column, without its length."""
    return columns.get(name.lower(), "").partition("(")[0].strip()


def _is_whole(shape: Whole, table: str, tables: Sketch) -> bool:
    """Whether a table is the first of those of that shape."""
    if table != next(iter(shape.tables)).lower():
        return False
    return tables.keys().isdisjoint(each.lower() for each in shape.without) and all(
        tables.get(table.lower(), {}).keys() >= {column.lower() for column in columns}
        for table, columns in shape.tables.items()
    )
