"""LangChain's file history: an array of messages, called as its file."""

from pathlib import Path

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import messages, put, read, unfolded


def human(content: str) -> dict[str, object]:
    return {"type": "human", "data": {"content": content}}


def test_a_message_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    found = messages("langchain", {"a.json": [human("a"), {"type": "human"}, 3, human("b")]})
    assert [type(each) for each in found] == [Message, Unreadable, Unreadable, Message]
    assert found[1].reason.startswith("message 1: ")


def test_a_history_in_which_nothing_was_said_yet_is_no_conversation() -> None:
    assert unfolded("langchain", {"a.json": []}) == {}


def test_a_first_message_longer_than_what_is_looked_at_is_no_hindrance(tmp_path: Path) -> None:
    put(tmp_path, {"a.json": [human("x" * 100_000), human("b")]})
    assert read(tmp_path, "a") == [Message("user", "x" * 100_000), Message("user", "b")]


def test_arrays_of_other_things_are_not_taken_for_messages() -> None:
    for other in ({"type": "human", "data": "x"}, {"type": "Point", "data": {"content": "x"}}, []):
        assert unfolded("langchain", {"a.json": [other]}) == {}


def test_files_of_one_name_in_several_folders_are_one_conversation(tmp_path: Path) -> None:
    """The one with more messages is it."""
    put(tmp_path, {"x/a.json": [human("a")], "y/a.json": [human("a"), human("b")]})
    assert [m.content for m in read(tmp_path, "a")] == ["a", "b"]
