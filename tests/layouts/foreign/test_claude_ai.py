"""Claude.ai's export: blocks of an answer, the tree, older exports of texts alone, and files."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.messages import Message, Unreadable
from tests.cli.moved import exported, run
from tests.layouts.foreign.exports import check_spoiled, spoiled, told_one, values_of
from tests.layouts.foreign.folders import put, texts
from tests.layouts.foreign.odd import JSON, document
from tests.layouts.foreign.wholes import FIXTURES

FIXTURE = FIXTURES / "claude-ai-export" / "conversations.json"
ROOT = "00000000-0000-4000-8000-000000000000"
AT = "2026-01-01T00:00:01.500000Z"


def record(id_: str, text: str, *blocks: Any, sender: str = "assistant", **more: Any) -> Any:
    content = {"content": [*blocks]} if blocks else {}
    return {"uuid": id_, "text": text, "sender": sender, **content, "created_at": AT, **more}


def conversation(*records: Any, **more: Any) -> Any:
    return {"uuid": "c", "name": "t", "chat_messages": [*records], **more}


def told(*records: Any, **more: Any) -> Any:
    return told_one("claude_ai", conversation(*records, **more))


def own(message: Message) -> Any:
    assert message.extra is not None
    return message.extra["claude_ai"]


def test_the_blocks_of_one_answer_are_several_messages_in_their_order() -> None:
    said = told(
        record(
            "a",
            "```\nThis block is not supported on your current device yet.\n```\n\ndone",
            {"type": "thinking", "thinking": "hm", "summaries": [{"summary": "s"}]},
            {"type": "text", "text": "looking", "citations": []},
            {"type": "tool_use", "id": "1", "name": "search", "input": {"q": 1}},
            {"type": "tool_use", "id": "2", "name": "fetch", "input": {}},
            {"type": "tool_result", "tool_use_id": "2", "name": "fetch", "content": [{"type": "text", "text": "two"}], "is_error": True},
            {"type": "tool_result", "tool_use_id": "1", "name": "search", "content": []},
            {"type": "token_budget", "remaining": 5},
            {"type": "text", "text": "done"},
        )
    ).messages  # fmt: skip
    assert [(m.role, m.content, m.tool_call_id) for m in said] == [
        ("assistant", "looking", None),
        ("tool", "two", "2"),
        ("tool", "", "1"),
        ("assistant", "done", None),
    ]
    assert said[0].tool_calls == [
        {"id": "1", "name": "search", "arguments": {"q": 1}},
        {"id": "2", "name": "fetch", "arguments": {}},
    ]
    assert own(said[0])["blocks"] == [
        {"type": "thinking", "thinking": "hm", "summaries": [{"summary": "s"}]},
        {"type": "token_budget", "remaining": 5},
    ]
    assert own(said[1]) == {"uuid": "a", "blocks": [{"is_error": True}]}
    assert all(m.created_at == datetime(2026, 1, 1, 0, 0, 1, 500000, tzinfo=UTC) for m in said)


UNSHOWN = "```\nThis block is not supported on your current device yet.\n```\n\n"
NEW = {"type": "new", "x": 1}


@pytest.mark.parametrize(
    ("blocks", "text", "shown", "left"),
    [
        ([NEW], "", "", None),
        ([NEW], UNSHOWN, "", None),
        ([NEW], f"{UNSHOWN}words", "words", None),
        ([{"type": "text", "text": "a b"}], "", "a b", None),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\n\nb", "a\nb", None),
        ([{"type": "text", "text": "a"}], "other", "a", "other"),
    ],
)
@pytest.mark.parametrize("sender", ["human", "assistant"])
def test_the_text_counts_where_blocks_say_nothing_and_stays_where_they_say_other(
    blocks: Any, text: str, shown: str, left: str | None, sender: str
) -> None:
    (said,) = told(record("a", text, *blocks, sender=sender)).messages
    assert said.content == shown
    assert own(said).get("text") == left


def test_a_parent_that_is_no_id_hides_no_message() -> None:
    said = told(
        record("a", "one", parent_message_uuid=ROOT),
        record("b", "two", parent_message_uuid=7),
        record("c", "three", parent_message_uuid="b"),
    )
    assert [m.content for m in said.messages] == ["one", "two", "three"]
    assert dict(said.branches) == {}


def test_texts_alone_are_read_in_their_order_where_nothing_says_where_they_stand() -> None:
    said = told(record("a", "one", sender="human"), record("b", "two"), record("c", "", sender="human"))  # fmt: skip
    assert texts(said.messages) == [("user", "one"), ("assistant", "two"), ("user", "")]
    assert (said.leaf, dict(said.branches)) == ("c", {})


def test_what_was_said_anew_is_another_branch_and_the_last_message_is_of_the_current_one() -> None:
    said = told(
        record("q1", "first", sender="human", parent_message_uuid=ROOT),
        record("a1", "old", parent_message_uuid="q1"),
        record("a2", "again", parent_message_uuid="q1"),
        record("q2", "second", sender="human", parent_message_uuid=ROOT),
        record("a3", "new", parent_message_uuid="q2"),
    )
    assert [m.content for m in said.messages] == ["second", "new"]
    assert {leaf: [m.content for m in way] for leaf, way in said.branches.items()} == {
        "a1": ["first", "old"],
        "a2": ["first", "again"],
    }
    assert said.leaf == "a3"


def test_messages_of_before_the_tree_stand_one_behind_the_other() -> None:
    said = told(record("a", "one"), record("b", "two"), record("c", "three", parent_message_uuid="b"))  # fmt: skip
    assert [m.content for m in said.messages] == ["one", "two", "three"]


def test_what_was_pasted_and_uploaded_is_kept_with_its_text() -> None:
    paste = {"file_name": "paste.txt", "file_size": 11, "extracted_content": "pasted text"}
    picture = {"file_kind": "image", "file_name": "cat.png", "file_uuid": "u"}
    (said,) = told(
        record("a", "", sender="human", attachments=[paste], files=[picture, {"file_name": "x"}])
    ).messages
    assert (said.role, said.content) == ("user", "")
    assert said.parts == [
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": "cat.png"}},
    ]
    assert own(said)["blocks"] == [
        {"type": "file", "file": paste},
        {"type": "file", "file": picture},
        {"type": "file", "file": {"file_name": "x"}},
    ]


def test_what_a_conversation_says_beside_is_kept_and_no_name_is_no_title() -> None:
    said = told(record("a", "x"), name="", summary="s", account={"uuid": "u"}, project=None)
    assert said.title is None
    assert said.extra == {"claude_ai": {"summary": "s", "account": {"uuid": "u"}}}


def test_what_cannot_be_read_is_named_in_its_place() -> None:
    said = told(
        record("a", "one", sender="human"),
        record("b", 7),  # type: ignore[arg-type]
        {"text": "lost", "sender": "human"},
        record("d", "x", "no block"),
        record("e", "end"),
    )
    assert [each if isinstance(each, Unreadable) else each.content for each in said.messages] == [
        "one",
        Unreadable("b", "message b: its text is no text"),
        Unreadable("2", "message 2: its uuid is no text"),
        Unreadable("d", "message d: its content's blocks are no list of objects"),
        "end",
    ]


@pytest.mark.parametrize(
    ("change", "why"), [({"uuid": 3}, "its uuid"), ({"chat_messages": {}}, "its chat_messages")]
)
def test_a_conversation_of_which_nothing_can_be_read_says_why(change: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        told_one("claude_ai", {**conversation(record("a", "x")), **change})


def test_conversations_without_messages_are_said_to_be_like_it(tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(FIXTURE.read_text().replace('"chat_messages"', '"messages"'))
    done = run("ls", "-p", path)
    assert done.exit_code == 1
    assert "is like claude_ai's: its conversations have no chat_messages" in done.stderr
    path.write_text('[{"uuid": "u", "name": "a project", "created_at": "x", "docs": []}]')
    assert "is like claude_ai's" not in run("ls", "-p", path).stderr


def test_the_archive_as_it_was_downloaded_says_the_same(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data-2026-01-01.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(FIXTURE, "conversations.json")
        packed.writestr("users.json", '[{"uuid": "u", "email_address": "a@example.com"}]')
        packed.writestr("projects.json", '[{"uuid": "p", "docs": []}]')
    assert exported(tmp_path / "data-2026-01-01.zip") == exported(FIXTURE)


def test_beside_chatgpts_export_each_is_read_by_its_name(tmp_path: Path) -> None:
    put(tmp_path, {"claude/conversations.json": FIXTURE.read_bytes(), "chatgpt/conversations.json": (FIXTURES / "chatgpt-export" / "conversations.json").read_bytes()})  # fmt: skip
    done = run("ls", "-p", tmp_path)
    assert done.exit_code == 2
    assert "?layout=chatgpt or ?layout=claude_ai" in done.stderr
    for layout, count in (("chatgpt", 7), ("claude_ai", 8)):
        done = run("ls", "-p", f"{tmp_path}?layout={layout}")
        assert done.exit_code == 0, done.stderr
        assert len(done.stdout.split()) == count


def test_a_file_that_is_cut_short_tells_what_is_whole_and_that_it_is_cut(tmp_path: Path) -> None:
    data = FIXTURE.read_bytes()
    whole = {each["conversation_id"]: each for each in exported(FIXTURE)}
    for length in range(1000, len(data) - 1, 1301):
        path = tmp_path / "conversations.json"
        path.write_bytes(data[:length])
        done = run("export", "-p", path, "--json")
        assert done.exit_code == 6
        assert "the file ends in the middle" in done.stderr
        assert all(each == whole[each["conversation_id"]] for each in json.loads(done.stdout))


@given(some.data())
@settings(deadline=None)
def test_whatever_stands_in_an_export_is_told_or_named(data: some.DataObject) -> None:
    values = values_of("claude_ai", "claude-ai-export", "conversations.json")
    check_spoiled("claude_ai", data.draw(spoiled(values)))


@given(document("type", "text", "thinking", "content", "input", "tool_use_id"), JSON, JSON)
def test_any_blocks_and_files_are_told_or_named(block: Any, files: Any, attachments: Any) -> None:
    said = record("a", "x", block, files=files, attachments=attachments)
    check_spoiled("claude_ai", ("", json.dumps(conversation(said)).encode()))
