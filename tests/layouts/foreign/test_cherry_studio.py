"""Cherry Studio's backup."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import contents, read, unfolded
from tests.layouts.foreign.wholes import FIXTURES


def said(id_: str, role: str, *blocks: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "role": role,
        "topicId": "t",
        "blocks": [*blocks],
        "createdAt": "2026-01-01T00:00:00.000Z",
        **more,
    }


def block(id_: str, kind: str = "main_text", **more: Any) -> dict[str, Any]:
    return {"id": id_, "type": kind, "content": id_, "status": "success", **more}


def backup(*messages: Any, blocks: Any = (), prompt: str = "", name: str = "T") -> Any:
    topics = [{"id": "t", "name": name, "messages": []}]
    assistants = {"assistants": [{"prompt": prompt, "topics": topics}]}
    storage = {
        "persist:cherry-studio": json.dumps(
            {"assistants": json.dumps(assistants), "llm": '{"apiKey": "secret"}'}
        )
    }
    database = {"topics": [{"id": "t", "messages": [*messages]}], "message_blocks": [*blocks]}
    value = {"time": 1, "version": 4, "localStorage": storage, "indexedDB": database}
    return unfolded("cherry_studio", {"data.json": value})["t"]


def test_a_topic_has_its_name_the_prompt_of_its_assistant_and_its_blocks() -> None:
    found = backup(said("1", "user", "b", "a"), blocks=[block("a"), block("b")], prompt="S")
    assert [(m.role, m.content) for m in found.messages] == [("system", "S"), ("user", "b\na")]
    assert (found.title, found.leaf) == ("T", "1")
    assert "secret" not in repr(found)


def test_the_answer_that_was_chosen_is_read_or_the_last_and_the_others_are_branches() -> None:
    blocks = [block(each) for each in "abcdef"]
    turns = [
        said("1", "user", "a"),
        said("2", "assistant", "b", askId="1", foldSelected=True),
        said("3", "assistant", "c", askId="1"),
        said("4", "user", "d"),
        said("5", "assistant", "e", askId="4"),
        said("6", "assistant", "f", askId="4"),
    ]
    found = backup(*turns, blocks=blocks)
    assert contents(found.messages) == ["a", "b", "d", "f"]
    assert {leaf: contents(branch) for leaf, branch in found.branches.items()} == {
        "3": ["a", "c"], "5": ["a", "b", "d", "e"],
    }  # fmt: skip


def test_a_tool_is_a_call_and_its_result_and_a_mark_says_nothing() -> None:
    tool = block(
        "x",
        "tool",
        toolId="c",
        toolName="f",
        arguments={"n": 1},
        content={"content": [{"type": "text", "text": "r"}]},
    )
    found = backup(
        said("1", "assistant", "a", "x", "b"), said("2", "user", type="clear"),
        blocks=[tool, block("a"), block("b")],
    )  # fmt: skip
    assert [(m.role, m.content) for m in found.messages] == [
        ("assistant", "a"),
        ("tool", "r"),
        ("assistant", "b"),
    ]
    assert found.messages[0].tool_calls == [{"id": "c", "name": "f", "arguments": {"n": 1}}]


def test_a_question_that_is_only_a_file_is_a_message() -> None:
    file = block("f", "file", file={"name": "a.pdf"})
    [message] = backup(said("1", "user", "f"), blocks=[file]).messages
    assert message.content == ""
    assert message.extra["cherry_studio"]["blocks"] == [file]


def test_in_version_1_a_message_has_its_content() -> None:
    entry = {
        "key": "topic:t",
        "value": json.dumps({"messages": [{"id": "1", "role": "user", "content": "a"}]}),
    }
    value = {
        "time": 1,
        "version": 1,
        "localStorage": {},
        "indexedDB": [entry, {"key": "image:1", "value": "x"}],
    }
    assert contents(unfolded("cherry_studio", {"data.json": value})["t"].messages) == ["a"]


def test_a_block_that_is_gone_and_a_message_that_is_none_hide_nothing() -> None:
    found = backup(
        said("1", "assistant", "gone", "a"), 3, said("2", "user", "a"), blocks=[block("a")]
    )
    assert [type(each) for each in found.messages] == [Message, Unreadable, Message]
    assert {"missing": "gone"} in found.messages[0].extra["cherry_studio"]["blocks"]
    [question] = backup(said("1", "user", "gone")).messages
    assert (question.role, question.content) == ("user", "")


@pytest.mark.parametrize("odd", ["a", {"0": "a"}, 3])
def test_blocks_that_are_no_list_are_named_and_hide_no_other_message(odd: Any) -> None:
    damaged = said("1", "assistant") | {"blocks": odd}
    found = backup(damaged, said("2", "user", "a"), blocks=[block("a")])
    assert contents(found.messages) == ["!", "a"]


def topics(*listed: Any) -> list[list[str]]:
    database = {"topics": [*listed], "message_blocks": [block("a"), block("b")]}
    value = {"time": 1, "version": 4, "localStorage": {}, "indexedDB": database}
    return [
        contents(each.messages) for each in unfolded("cherry_studio", {"data.json": value}).values()
    ]


@pytest.mark.parametrize("odd", [{"id": ["u"], "messages": []}, {"id": "u", "messages": "x"}, 5])
def test_a_topic_that_cannot_be_read_is_named_and_hides_no_other(odd: Any) -> None:
    whole = {"id": "t", "messages": [said("1", "user", "a")]}
    assert topics(odd, whole) == [["a"], ["!"]]


def test_a_topic_that_is_there_twice_is_named() -> None:
    one, two = said("1", "user", "a"), said("2", "user", "b")
    assert topics({"id": "t", "messages": [one, two]}, {"id": "t", "messages": [two]}) == [
        ["a", "b"],
        ["!"],
    ]


def test_a_topic_of_version_1_that_is_no_json_is_named() -> None:
    entries = [{"key": "topic:t", "value": '{"messages": ['}, {"key": "topic:u", "value": "{}"}]
    value = {"time": 1, "version": 1, "localStorage": {}, "indexedDB": entries}
    found = unfolded("cherry_studio", {"data.json": value})
    assert {id_: contents(each.messages) for id_, each in found.items()} == {"t": ["!"]}


def test_a_backup_is_read_in_its_archive(tmp_path: Path) -> None:
    data = (FIXTURES / "cherry-studio-backup" / "data.json").read_bytes()
    with zipfile.ZipFile(tmp_path / "cherry-studio.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("data.json", data)
        packed.writestr("Data/Files/x.json", b"[1]")
    assert len(read(tmp_path / "cherry-studio.zip", "15a51bd7-6948-4e37-80be-3f650116f384")) == 5
