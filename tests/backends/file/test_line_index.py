"""The index of a JSON Lines file: its runs tile the file, and cost little."""

import random
import sys

from synmem.backends.file.line_index import NONE, Index
from synmem.messages import Message, encode_line, line_prefix


def line(conversation: str, text: str = "x") -> bytes:
    """A message as a line."""
    return encode_line(line_prefix(conversation), Message("user", text))


def test_runs_tile_the_file() -> None:
    blocks = [
        b"broken\n" + line("a") * 3 + line("b") + b"\n" + line("a"),
        b'{"conversation_id":"b","title":"t"}\n' + line("b") * 2 + b'{"synmem": {"sealed": 1}}\n',
        line("a") + b"broken, and the end",
    ]
    index = Index()
    for block in blocks:
        index.feed(block)
    data = b"".join(blocks)
    assert index.end == len(data)
    assert index.line_count == len(data.split(b"\n"))
    pieces = [data[index.starts[run] : index.stop(run)] for run in range(len(index.starts))]
    assert b"".join(pieces) == data
    assert [piece.rstrip(b"\n").count(b"\n") + 1 for piece in pieces] == [
        index.count(run) for run in range(len(pieces))
    ]
    of_a = b"".join(pieces[run] for run in index.runs(index.first_run[0]))
    assert of_a == b"broken\n" + line("a") * 4
    sealed = b"".join(pieces[run] for run in index.runs(index.first_run[2]))
    assert sealed == line("a") + b"broken, and the end"
    backwards = list(index.runs(index.last_run[0], reverse=True))
    assert backwards == list(index.runs(index.first_run[0]))[::-1]
    assert (index.names, list(index.counts)) == (["a", "b", "a"], [5, 3, 2])
    assert [each.numbers for each in index.exports] == [{"a": 0, "b": 1}, {"a": 2}]
    assert index.numbers == {"a": 0, "b": 1}


def test_a_conversation_that_is_only_titled_has_no_run() -> None:
    index = Index()
    index.feed(b'{"conversation_id":"b","title":"t"}\n')
    assert (index.names, index.counts[0], index.first_run[0]) == (["b"], 0, NONE)


def test_lines_cost_nothing_and_runs_little() -> None:
    index = Index()
    block = line("a") * 1_000
    for _ in range(100):
        index.feed(block)
    assert len(index.starts) == 100
    names = [f"c{n % 500}" for n in range(20_000)]
    random.Random(2).shuffle(names)
    index = Index()
    index.feed(b"".join(map(line, names)))
    arrays = (index.starts, index.lines, index.owners, index.behind, index.before)
    assert sum(map(sys.getsizeof, arrays)) < 36 * len(index.starts)
