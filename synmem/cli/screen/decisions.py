"""What `context --explain` says on a terminal: what is in or out, what each costs, and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from synmem.cli.screen.bars import bar
from synmem.cli.screen.columns import error_width
from synmem.cli.screen.styles import DIM, GOOD, of_role, painted
from synmem.cli.screen.tables import Column, Table

if TYPE_CHECKING:
    from synmem.strategies.context import Decision

_BAR: Final = 20

_COLUMNS: Final = (
    Column("", style=GOOD),
    Column("at", right=True, style=DIM),
    Column("what", least=9),
    Column("tokens", right=True),
    Column("", goes=1),
    Column("why", least=10, style=DIM),
)


def decision_lines(decisions: "Sequence[Decision]", *, whole: bool) -> list[str]:
    """A row for each, in their order, as wide as stderr is; the bars are as long as what each costs
    of the dearest."""
    most = max((each.tokens for each in decisions), default=0)
    rows = [
        (
            "in" if each.taken else "out",
            f"{each.place}" if each.place else "",
            each.what,
            f"{each.tokens:,.0f}",
            bar(each.tokens / most if most else 0, _BAR),
            each.why,
        )
        for each in decisions
    ]
    table = Table(_COLUMNS, rows, width=error_width())
    lines = [table.head()]
    if not whole:
        lines.append(painted("older messages are not read", DIM))
    for each, row in zip(decisions, rows, strict=True):
        cost = of_role(each.what) if each.place else DIM
        lines.append(
            table.row(row, {4: cost} if each.taken else dict.fromkeys(range(len(row)), DIM))
        )
    return lines
