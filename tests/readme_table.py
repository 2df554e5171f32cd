"""The README's table *Does it read mine?*, made of the registry of layouts.

`python -m tests.readme_table` writes it anew.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from synmem.layouts import registry

EXPORTED: Final = (
    ("Anthropic", "bodies of requests, JSON Lines or JSON", "anthropic"),
    ("OpenAI", "chat messages, JSON Lines or JSON", "openai"),
    ("ShareGPT", "JSON, JSON Lines", "sharegpt"),
)
"""Forms of files that are written too: whose, which, and what they are called."""


class Line(NamedTuple):
    """A line of the table."""

    framework: str
    where: str
    read: str
    write: str
    detected: str


README: Final = Path(__file__).parent.parent / "README.md"
BEGIN: Final = "<!-- does it read mine? made by tests/readme_table.py -->\n\n"


def lines() -> Iterator[Line]:
    """The layouts that there are, by framework, and then the forms that are written too."""
    found: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for layout, backends in registry.LAYOUTS.items():
        title = registry.title(layout)
        for backend in backends:
            for shape in registry.shapes(layout, backend):
                writes = "yes" if registry.is_written(shape) else "no"
                places = found.setdefault((title, layout, writes), {})
                versions = places.setdefault(registry.NAMES[backend], [])
                if shape.version not in versions:
                    versions.append(shape.version)
    for (title, layout, writes), places in sorted(found.items(), key=_by_title):
        where = ", ".join(_place(name, filter(None, some)) for name, some in places.items())
        yield Line(title, where, "yes", writes, f"yes: `{layout}`")
    for framework, where, form in EXPORTED:
        yield Line(framework, where, "yes", "`export`", f"yes: `{form}`")


def _by_title(found: tuple[tuple[str, str, str], object]) -> tuple[str, bool]:
    (title, _, writes), _ = found
    return title.lower(), writes == "no"


def _place(name: str, versions: Iterable[str]) -> str:
    told = ", ".join(versions)
    return f"{name} ({told})" if told else name


def table() -> str:
    """The table, as Markdown has it."""
    rows = [("framework", "where", "read", "write", "detected"), ("---",) * 5, *lines()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def parted() -> tuple[str, str, str]:
    """The README's text up to the table, the table, and what follows it."""
    before, begin, rest = README.read_text().partition(BEGIN)
    told, blank, after = rest.partition("\n\n")
    return before + begin, told + "\n", blank[1:] + after


if __name__ == "__main__":
    head, _, tail = parted()
    README.write_text(head + table() + tail)
