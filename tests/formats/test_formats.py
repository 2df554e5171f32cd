"""The writers: what each format looks like; that it reads back is tested with the file store."""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from synmem.errors import UsageError
from synmem.formats import FORMATS, Writer, open_writer
from synmem.messages import Conversation, Message

AT = datetime(2026, 11, 21, 6, 0, 0, 123456, tzinfo=UTC)
TALK = [
    (
        Conversation("a", "A title", {"k": 1}),
        [Message("user", "Hi", {"n": 1}, AT), Message("assistant", "Hello ü")],
    ),
    (Conversation("b"), [Message("user", "null")]),
]


def written(writer: Writer, talk: Sequence[tuple[Conversation, Sequence[Message]]]) -> bytes:
    """What the writer makes of it, a page a message."""
    chunks = [writer.begin()]
    for conversation, messages in talk:
        chunks.append(writer.conversation(conversation))
        chunks += [writer.messages([message]) for message in messages]
    return b"".join([*chunks, writer.end()])


def test_the_formats_are_those_of_this_version() -> None:
    known = [
        "jsonl", "json", "markdown", "html", "csv", "openai", "anthropic", "sharegpt", "parquet",
    ]  # fmt: skip
    assert list(FORMATS) == known
    for name in FORMATS:
        assert written(open_writer(name), TALK)


def test_an_unknown_format_and_an_option_of_another_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="'xml'") as caught:
        open_writer("xml")
    assert "jsonl, json, markdown, html, csv" in str(caught.value.hint)
    with pytest.raises(UsageError, match="--seal"):
        open_writer("csv", seal=True)
    with pytest.raises(UsageError, match="--csv-raw"):
        open_writer("jsonl", raw=True)


@pytest.mark.parametrize("name", FORMATS)
def test_the_size_of_the_pages_makes_no_difference(name: str) -> None:
    whole = open_writer(name)
    at_once = [whole.begin()]
    for conversation, messages in TALK:
        at_once += [whole.conversation(conversation), whole.messages(messages), whole.messages([])]
    at_once.append(whole.end())
    assert b"".join(at_once) == written(open_writer(name), TALK)


def test_jsonl_is_a_line_a_message_and_a_title_line() -> None:
    lines = written(open_writer("jsonl"), TALK).decode().split("\n")
    assert lines == [
        '{"conversation_id":"a","title":"A title","extra":{"k":1}}',
        '{"conversation_id":"a","role":"user","content":"Hi","metadata":{"n":1},'
        '"created_at":"2026-11-21T06:00:00.123456Z"}',
        '{"conversation_id":"a","role":"assistant","content":"Hello ü"}',
        '{"conversation_id":"b","role":"user","content":"null"}',
        "",
    ]


def test_a_seal_counts_and_digests_the_bytes_between() -> None:
    data = written(open_writer("jsonl", seal=True), TALK)
    opening, *lines, seal = data.splitlines(True)
    assert opening == b'{"synmem": {"sealed": 1}}\n'
    assert b"".join(lines) == written(open_writer("jsonl"), TALK)
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    assert json.loads(seal) == {
        "synmem": {"conversations": 2, "messages": 3, "digest": f"sha256:{digest}"}
    }


def test_a_conversation_without_messages_is_not_written_to_jsonl() -> None:
    data = written(open_writer("jsonl", seal=True), [(Conversation("x", "title"), [])])
    assert data.count(b"\n") == 2
    assert json.loads(data.splitlines()[-1])["synmem"]["conversations"] == 0


def test_json_is_one_array_of_conversations() -> None:
    assert json.loads(written(open_writer("json"), TALK)) == [
        {
            "conversation_id": "a",
            "title": "A title",
            "extra": {"k": 1},
            "messages": [
                {
                    "role": "user",
                    "content": "Hi",
                    "metadata": {"n": 1},
                    "created_at": "2026-11-21T06:00:00.123456Z",
                },
                {"role": "assistant", "content": "Hello ü"},
            ],
        },
        {
            "conversation_id": "b",
            "title": None,
            "messages": [{"role": "user", "content": "null"}],
        },
    ]
    assert json.loads(written(open_writer("json"), [])) == []


def rows(data: bytes) -> list[dict[str, str]]:
    """A table as a spreadsheet would see it."""
    assert data.endswith(b"\r\n")
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def test_csv_has_a_header_and_a_row_a_message() -> None:
    found = rows(written(open_writer("csv"), TALK))
    assert list(found[0]) == [
        "conversation_id", "role", "content", "created_at", "metadata", "tool_calls",
        "tool_call_id", "name", "parts", "extra", "title",
    ]  # fmt: skip
    assert found[0]["metadata"] == '{"n":1}'
    assert found[0]["created_at"] == "2026-11-21T06:00:00.123456Z"
    assert [row["title"] for row in found] == ["A title", "", ""]
    assert [row["content"] for row in found] == ["Hi", "Hello ü", "null"]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), ("\tx", "'\tx"),
        ("\rx", "'\rx"), ("'=1", "''=1"), ("''", "'''"), ("'", "'"), ("'quoted'", "'quoted'"),
        ("a=1", "a=1"), ("a\r\nb\nc\rd", "a\r\nb\nc\rd"), ('say "x", y', 'say "x", y'), ("", ""),
        ("nul \0 broken \ud800", "nul \u2400 broken \ufffd"),
    ],
)  # fmt: skip
def test_a_cell_that_a_spreadsheet_would_run_is_guarded(text: str, cell: str) -> None:
    talk = [(Conversation("a"), [Message("user", text)])]
    (found,) = rows(written(open_writer("csv"), talk))
    assert found["content"] == cell
    (found,) = rows(written(open_writer("csv", raw=True), talk))
    assert found["content"] == (cell if "\0" in text else text)


def test_every_text_cell_is_guarded() -> None:
    message = Message("=r", "=c", name="=n", tool_call_id="=t")
    (found,) = rows(written(open_writer("csv"), [(Conversation("=a", "=title"), [message])]))
    cells = {value for value in found.values() if value}
    assert cells == {"'=a", "'=r", "'=c", "'=n", "'=t", "'=title"}
