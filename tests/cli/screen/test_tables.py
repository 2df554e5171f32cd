"""Tables fit: cells are cut, then columns go."""

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from synmem.cli.screen.columns import cells
from synmem.cli.screen.tables import Column, Table

COLUMNS = [
    Column("id", least=8, middle=True),
    Column("messages", right=True, goes=1),
    Column("last", goes=2),
    Column("title", least=8),
]
ROW = ["69d50646-deaf-4a1b-bea1-d6c7a17fd975", "1,204", "3h ago", "How do I pack a suitcase?"]


def test_what_has_room_is_whole() -> None:
    table = Table(COLUMNS, [ROW], width=110)
    assert table.head() == "id" + " " * 36 + "messages  last    title"
    assert table.row(ROW) == "  ".join([ROW[0], "   1,204", "3h ago", ROW[3]])


def test_the_longest_is_cut_first_and_then_columns_go() -> None:
    narrow = Table(COLUMNS, [ROW], width=60)
    assert narrow.shown == ["id", "messages", "last", "title"]
    assert narrow.row(ROW) == "69d50646-d…7a17fd975     1,204  3h ago  How do I pack a sui…"
    narrower = Table(COLUMNS, [ROW], width=28)
    assert narrower.shown == ["id", "messages", "title"]
    assert narrower.row(ROW) == "69d5…975     1,204  How do…"


def test_a_line_never_breaks_and_the_gate_is_passed() -> None:
    row = ["a\nb\x1b[2J", "1", "", "日本"]
    assert Table(COLUMNS, [row], width=80).row(row).startswith("a^Jb^[[2J  ")


def test_a_line_does_not_break_where_a_pager_joins_no_emoji() -> None:
    family = "👩\u200d👩\u200d👧\u200d👦"
    row = [f"a {family}", "1", "", "日本" * 30]
    shown = Table(COLUMNS, [row], width=50).row(row)
    assert shown.endswith("本…")
    assert sum(map(wcwidth, shown.replace("\u200d", ""))) <= 50


@given(
    st.lists(st.tuples(*[st.text(max_size=40)] * 4), min_size=1, max_size=3), st.integers(24, 120)
)
def test_every_line_fits(rows: list[tuple[str, ...]], width: int) -> None:
    table = Table(COLUMNS, rows, width=width)
    assert all(cells(table.row(row)) <= width for row in rows)
