"""The console blocks of a page of Markdown: commands behind `$ `, each with what it prints.

A comment in front of a block says what it needs:

    <!-- scene: langchain, postgres -->    a new folder, in which these scenes have been laid out
    <!-- scene: langchain; terminal -->    the same, and its commands run on a terminal
    <!-- terminal -->                      it goes on in the folder of the block before, on a terminal

A block without one goes on where the block before it ended, and in a pipe. In what is printed,
`...` stands for any text on a line, and alone on a line for any lines.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent.parent
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK: Final = re.compile(
    r"(?:^<!-- (?:scene: (?P<scenes>[\w, -]*))?(?:; )?(?P<terminal>terminal)? -->\n+)?"
    r"^```console\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)

_PASSING: Final = re.compile(
    r"\b\d{8}-\d{6}-\d{6}-[0-9a-f]{4}\b"  # a backup's id is made of the time
    r"|(?<=idle since )\S+ \S+$|(?<=older than )\S+ \S+$"
    r"|(?<=/)[0-9a-f]{32}(?=\.db)"  # an index is called after where its store is
    r"|(?<=', )\d+(?=\))",  # a port that nobody listens on
    re.MULTILINE,
)


class Step(NamedTuple):
    """A command, and what it prints."""

    command: str
    printed: str
    on_terminal: bool
    line: int


@dataclass
class Act:
    """The steps of blocks that go on from one another, and the scenes in which they do."""

    page: Path
    number: int
    scenes: list[str]
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page.name}:{self.steps[0].line}"


def acts(page: Path) -> list[Act]:
    """All that a page's blocks do, in order."""
    text = page.read_text()
    found: list[Act] = []
    blocks = [*_BLOCK.finditer(text)]
    assert len(blocks) == text.count("```console"), f"{page.name}: a block has no end"
    for block in blocks:
        if block["scenes"] is not None or not found:
            found.append(Act(page, len(found), re.findall(r"[\w-]+", block["scenes"] or "")))
        first = text.count("\n", 0, block.start("text")) + 1
        found[-1].steps += _steps(block["text"], first, on_terminal=bool(block["terminal"]))
    return found


def _steps(text: str, first: int, *, on_terminal: bool) -> Iterator[Step]:
    starts = [found.start() for found in re.finditer(r"^\$ ", text, re.MULTILINE)]
    assert starts[:1] == [0], "a console block begins with a command"
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        found = re.match(r"\$ ((?:.*\\\n)*.*)\n", text[start:end])
        assert found
        printed = text[start + found.end() : end]
        yield Step(found[1], printed, on_terminal, first + text.count("\n", 0, start))


def rewritten(act: Act, shown: Sequence[str]) -> None:
    """Put what the commands of an act print now behind them, where it is not what stands there.

    Other acts of the page may have been rewritten since this one was read: it is looked for anew.
    """
    [now] = [each for each in acts(act.page) if each.number == act.number]
    lines = act.page.read_text().splitlines(keepends=True)
    for step, text in reversed([*zip(now.steps, shown, strict=True)]):
        if not fits(step.printed, text):
            begin = step.line + step.command.count("\n")
            lasting = _PASSING.sub("...", text).replace(str(datetime.now(UTC).date()), "...")
            lines[begin : begin + step.printed.count("\n")] = lasting.splitlines(keepends=True)
    act.page.write_text("".join(lines))


def fits(printed: str, shown: str) -> bool:
    """Whether this was printed, but for what `...` stands for."""
    lines = [
        r"(?:.*\n)*?" if line == "...\n" else re.escape(line).replace(r"\.\.\.", ".*?")
        for line in printed.splitlines(keepends=True)
    ]
    return re.fullmatch("".join(lines), shown) is not None
