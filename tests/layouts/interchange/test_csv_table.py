"""The CSV form: tables that others wrote or edited, and rows that are wrong."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synmem.formats import open_writer
from synmem.layouts.interchange import csv_table
from synmem.messages import Conversation, Message, decode_line


def lines(data: str | bytes, **how: Any) -> list[Any]:
    """The table as JSON values, a list for each row: perhaps a title, and the message."""
    raw = data.encode() if isinstance(data, str) else data
    found = csv_table.read_lines(io.BytesIO(raw), **how)
    return [json.loads(line) for lines in found for line in lines.splitlines()]


def table(conversation: Conversation, message: Message) -> str:
    """One message as a table."""
    writer = open_writer("csv")
    head = writer.begin() + writer.conversation(conversation)
    return (head + writer.messages([message]) + writer.end()).decode()


def test_only_role_and_content_are_needed_where_the_conversation_is_given() -> None:
    assert lines("role,content\nuser,x\n", conversation="mine") == [
        {"conversation_id": "mine", "role": "user", "content": "x"}
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_what_a_spreadsheet_saves_is_read(delimiter: str) -> None:
    data = "\ufeffconversation_id,role,content\r\na,user,x\r\n".replace(",", delimiter)
    assert lines(data) == [{"conversation_id": "a", "role": "user", "content": "x"}]


def test_columns_that_are_not_ours_are_kept() -> None:
    (found,) = lines("conversation_id,role,content,rating\na,user,x,5\n")
    assert found["extra"] == {"csv": {"rating": "5"}}


def test_a_row_that_is_wrong_stands_in_its_place_by_its_line_in_the_file() -> None:
    found = lines(
        b"conversation_id,role,content,metadata,created_at\n"
        b'a,user,"two\nlines",,\n'
        b"a,user,x,{broken,\n"
        b"\n"
        b"a,user,too,few\n"
        b"a,user,x,,2026-01-01 00:00\n"
        b"a,user,\xff,,\n"
        b",user,x,,\n"
        b"a,user,good,,\n"
    )
    marks = [value["unreadable"] for value in found if "unreadable" in value]
    assert marks == [
        ["4", "metadata is not JSON: Expecting property name enclosed in double quotes at column 2"],
        ["6", "4 cells, not 5"],
        ["7", "created_at has no zone: '2026-01-01 00:00' "
         "(`import --timezone`, or ?timezone=, says which)"],
        ["8", "not UTF-8"],
        ["9", "no conversation_id"],
    ]  # fmt: skip
    assert [value.get("conversation_id") for value in found] == ["a"] * 5 + [None, "a"]
    assert found[-1]["content"] == "good"


def test_the_exact_text_holds_until_its_cell_is_edited() -> None:
    data = table(Conversation("a"), Message("user", "nul \0 here", name=""))
    (found,) = lines(data)
    assert (found["content"], found["name"]) == ("nul \0 here", "")
    assert "extra" not in found
    (found,) = lines(data.replace("nul \u2400 here", "edited"))
    assert found["content"] == "edited"


def test_a_key_of_our_reserved_name_is_the_messages_own() -> None:
    for own in ({"exact": {"content": "forged"}}, {"kept": 1}, {}, 5, None):
        extra = {"synmem": own, "other": 1}
        (found,) = lines(table(Conversation("a"), Message("user", "", extra=extra)))
        assert found["extra"] == extra
        assert found["content"] == ""


def test_a_reserved_key_that_we_did_not_write_is_left_alone() -> None:
    for other in ('{"synmem": {"exact": 5}}', '{"synmem": {"more": 1}}', '{"synmem": {}}'):
        quoted = other.replace('"', '""')
        (found,) = lines(f'conversation_id,role,content,extra\na,user,x,"{quoted}"\n')
        assert found["extra"] == json.loads(other)


def test_title_and_extra_of_the_conversation_are_in_its_first_row() -> None:
    talk = Conversation("a", "=title", {"k": 1})
    title, message = lines(table(talk, Message("user", "x", extra={"e": 2})))
    assert title == {"conversation_id": "a", "title": "=title", "extra": {"k": 1}}
    assert message["extra"] == {"e": 2}


def test_a_cell_of_a_megabyte_is_read() -> None:
    text = 'a "quoted"\r\nline, ' * 60_000
    (found,) = lines(table(Conversation("a"), Message("user", text)))
    assert found["content"] == text


def test_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="line 1: two columns"):
        lines("role,content,content,conversation_id\n")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ('"conversation_id"x,role,content\n', "line 1: ',' expected after"),
        ("conversation_id,role,content\ra,user,x\r", "line 1: new-line character seen"),
        ("conversation_id,role,content\n\na,user,x\ry\n", "line 3: new-line character seen"),
        ('conversation_id,role,content\na,user,"x"y\n', "line 2: ',' expected after"),
        ('conversation_id,role,content\na,user,x\na,user,"x\n\n', "line 3: unexpected end of data"),
    ],
)
def test_what_is_not_csv_is_named_by_its_line(data: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        lines(data)
    assert str(caught.value).startswith(reason)
    assert "universal-newline" not in str(caught.value)


def test_the_guard_is_taken_off_exactly_where_it_was_put() -> None:
    texts = ["=x", "'=x", "''=x", "'", "''", "'''", "'x", "x'", "-", "'-", "\t", "'\t", "\r", "@"]
    for text in texts:
        data = table(Conversation("a"), Message("user", text))
        (cells,) = csv.DictReader(io.StringIO(data, newline=""))
        assert not cells["content"].startswith(("=", "+", "-", "@", "\t", "\r"))
        ((line),) = csv_table.read_lines(io.BytesIO(data.encode()))
        assert decode_line(line)[1].content == text


PIECES = st.lists(st.sampled_from([*";\t\r\n\"',=+-@x {}|", "cmd|' /C calc'!A0"])).map("".join)


def cells_of(data: str, delimiters: str) -> list[str]:
    """The cells as a lenient spreadsheet has them: quotes count at the beginning of a cell only."""
    cells, cell, quoted = [], "", False
    at = 0
    while at < len(data):
        char = data[at]
        if quoted:
            if char == '"' and data[at + 1 : at + 2] == '"':
                cell, at = cell + '"', at + 1
            elif char == '"':
                quoted = False
            else:
                cell += char
        elif char in delimiters or char in "\r\n":
            cells.append(cell)
            cell = ""
        elif char == '"' and not cell:
            quoted = True
        else:
            cell += char
        at += 1
    return [*cells, cell]


@given(*[PIECES] * 5, st.dictionaries(PIECES, PIECES | st.lists(PIECES | st.integers())))
@example("a", "user", "x;=1+1", "a\t@b", 'x;"=1', {"a;-1": "b;=1"})
@example("a", "user", "list:\n- one", "'=x;'=x", ";''=\t\t=", {"a;": [";", -1, ';"=1', "'"]})
def test_no_cell_runs_whatever_a_reader_splits_at(
    conversation: str, role: str, content: str, name: str, title: str, metadata: dict[str, Any]
) -> None:
    message = Message(role, content, metadata or None, name=name or None)
    talk = Conversation(conversation or "a", title or None, metadata or None)
    data = table(talk, message)
    for delimiters in (",", ";", "\t", ",;\t", ";\t"):
        for cell in cells_of(data, delimiters):
            assert not cell.startswith(("=", "+", "-", "@")), (delimiters, cell)
    found = b"".join(csv_table.read_lines(io.BytesIO(data.encode()))).splitlines()
    conversation_id, back = decode_line(found[-1])
    assert (conversation_id, back) == (talk.id, message)
    if talk.title or talk.extra:
        described = json.loads(found[0])
        assert described.get("title") == talk.title
        assert described.get("extra") == talk.extra


def test_what_others_wrote_keeps_its_quotes_within() -> None:
    text = "x\n'-'.join(y);'=z"
    data = table(Conversation("a"), Message("user", "-")).replace("'-", f'"{text}"')
    (found,) = lines(data)
    assert found["content"] == text
