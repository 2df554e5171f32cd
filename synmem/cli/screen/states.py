"""How `check` says on a terminal what is with one conversation."""

from typing import Final

from synmem.cli.render import visible_line
from synmem.cli.screen.columns import cells, cut_middle, prose_width, wrapped
from synmem.cli.screen.styles import BAD, DIM, GOOD, STRONG, WARNING, painted

_SIGNS: Final = {"=": GOOD, "*": BAD, "!": BAD}
_INDENT: Final = "    "


def state_lines(state: str, conversation: str, detail: str, there: str = "") -> str:
    """The sign, the id (cut only where it has no line), and what is with it: on the same line
    where that fits, else below, wrapped. `there` is what it is called in the destination."""
    width = prose_width()
    sign = painted(state, STRONG, _SIGNS.get(state, WARNING))
    names = [visible_line(conversation), *([f"as {visible_line(there)}"] if there else [])]
    detail = visible_line(detail)
    first = " ".join([names[0], *(f"({name})" for name in names[1:])])
    if 2 + cells(first) + 2 + cells(detail) <= width:
        return f"{sign} {first}{painted('  ' + detail if detail else '', DIM)}\n"
    below = [cut_middle(name, width - len(_INDENT)) for name in names[1:]]
    below += wrapped(detail, width - len(_INDENT)) if detail else []
    lines = [f"{sign} {cut_middle(names[0], width - 2)}"]
    return "\n".join([*lines, *(_INDENT + painted(line, DIM) for line in below), ""])
