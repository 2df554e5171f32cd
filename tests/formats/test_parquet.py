"""Parquet: what stands in which column, in groups, for those who read it."""

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.errors import MissingExtra
from synmem.formats import TakesNumbers, open_writer, parquet
from synmem.messages import Conversation, Message
from tests.cli.moved import make, run
from tests.cli.processes import in_pipe, on_terminal
from tests.formats.test_formats import TALK, written

AT = datetime(2026, 11, 21, 6, 0, 0, 123456, tzinfo=UTC)


def rows(data: bytes) -> list[dict[str, Any]]:
    """The rows of a file, but for what says nothing."""
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    return [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]


def row(message: Message, conversation: Conversation = Conversation("c")) -> dict[str, Any]:
    [found] = rows(written(open_writer("parquet"), [(conversation, [message])]))
    return found


def test_a_row_is_a_message() -> None:
    first, second, third = rows(written(open_writer("parquet"), TALK))
    assert first == {
        "conversation_id": "a", "title": "A title", "conversation_extra": '{"k":1}', "position": 1,
        "role": "user", "content": "Hi", "created_at": AT, "metadata": '{"n":1}',
    }  # fmt: skip
    assert second["position"] == 2
    assert third == {"conversation_id": "b", "position": 1, "role": "user", "content": "null"}


def test_columns_are_the_same_whatever_is_in_them() -> None:
    for talk in ([], TALK):
        table = pyarrow.parquet.read_table(io.BytesIO(written(open_writer("parquet"), talk)))
        assert table.column_names == list(parquet._COLUMNS)
        assert str(table.schema.field("created_at").type) == "timestamp[us, tz=UTC]"
        assert str(table.schema.field("position").type) == "int64"


def test_structured_fields_are_json() -> None:
    calls = [{"id": "c", "name": "f", "arguments": {"n": 2**70}}]
    found = row(
        Message("assistant", "", tool_calls=calls, parts=[{"type": "x"}], extra={"l": {"é": None}})
    )
    assert json.loads(found["tool_calls"]) == calls
    assert json.loads(found["parts"]) == [{"type": "x"}]
    assert json.loads(found["extra"]) == {"l": {"é": None}}
    assert row(Message("tool", "r", tool_call_id="c", name=""))["name"] == ""


def test_what_no_text_holds_is_exact_in_extra() -> None:
    found = row(Message("r\ud800", "\0 \udfff", extra={"synmem": 1}), Conversation("c", "t\ud800"))
    assert (found["role"], found["content"], found["title"]) == ("r\ufffd", "\0 \ufffd", "t\ufffd")
    assert json.loads(found["extra"]) == {
        "synmem": {"exact": {"title": "t\ud800", "role": "r\ud800", "content": "\0 \udfff"}, "kept": 1}
    }  # fmt: skip


def test_rows_are_written_in_groups_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 3)
    writer = open_writer("parquet")
    pieces = [writer.begin(), writer.conversation(Conversation("c"))]
    assert pieces[0] == b"PAR1"
    pieces += [writer.messages([Message("user", str(n))]) for n in range(7)]
    assert [n for n, piece in enumerate(pieces[2:]) if piece] == [2, 5]
    data = b"".join([*pieces, writer.end()])
    file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [3, 3, 1]
    assert [each["content"] for each in rows(data)] == list("0123456")
    monkeypatch.setattr(parquet, "_GROUP_CHARACTERS", 1000)
    large = written(
        open_writer("parquet"), [(Conversation("c"), [Message("user", "x" * 2000)] * 2)]
    )
    assert pyarrow.parquet.ParquetFile(io.BytesIO(large)).num_row_groups == 2


TEXT = st.text(st.characters(), max_size=8)


@settings(deadline=None, max_examples=100)
@given(
    said=st.lists(st.tuples(TEXT, st.none() | st.datetimes().map(lambda at: at.replace(tzinfo=UTC))), max_size=5)
)  # fmt: skip
def test_any_text_and_time_comes_back(said: list[tuple[str, datetime | None]]) -> None:
    messages = [Message("user", text, created_at=at) for text, at in said]
    found = rows(written(open_writer("parquet"), [(Conversation("c"), messages)]))
    exact = [
        json.loads(each.get("extra", "{}")).get("synmem", {}).get("exact", {}) for each in found
    ]
    assert [
        (own.get("content", each["content"]), each.get("created_at"))
        for own, each in zip(exact, found, strict=True)
    ] == said


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="pyarrow") as caught:
        open_writer("parquet")
    assert caught.value.hint == "pip install 'synmem-cli[parquet]'"


def test_what_cannot_be_read_counts_in_positions() -> None:
    writer = open_writer("parquet")
    pieces = [
        writer.begin(),
        writer.conversation(Conversation("c")),
        writer.messages([Message("user", "1")]),
    ]
    assert isinstance(writer, TakesNumbers)
    writer.number(3)
    pieces += [writer.messages([Message("user", "3"), Message("user", "4")]), writer.end()]
    assert [each["position"] for each in rows(b"".join(pieces))] == [1, 3, 4]


# --- the command ----------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make(tmp_path / "s.db", {"a": ["1", "2"], "b": ["3"]}, title="T")


def test_the_ending_chooses_it_and_a_pipe_takes_it(store: Path, tmp_path: Path) -> None:
    done = run("export", "-p", store, "-o", tmp_path / "x.parquet")
    assert done.exit_code == 0, done.stderr
    data = (tmp_path / "x.parquet").read_bytes()
    assert [each["content"] for each in rows(data)] == ["1", "2", "3"]
    piped = in_pipe("export", "-p", str(store), "-f", "parquet")
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert rows(piped.stdout) == rows(data)
    run("export", "-p", store, "-f", "parquet", "-o", f"{tmp_path}/out/")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.parquet", "b.parquet"]


def test_no_terminal_is_shown_it_and_no_part_of_it_is_a_file(store: Path, tmp_path: Path) -> None:
    code, shown = on_terminal("export", "-p", str(store), "-f", "parquet")
    assert code == 2
    assert "binary" in shown
    assert "PAR1" not in shown
    done = run("export", "-p", store, "-o", tmp_path / "x.parquet", "--split", "1")
    assert (done.exit_code, list(tmp_path.glob("*.parquet"))) == (2, [])


def test_it_is_named_where_it_is_to_be_read(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    run("export", "-p", store, "-o", file)
    done = run("ls", "-p", file)
    assert done.exit_code == 1
    assert "is a Parquet file" in done.stderr
