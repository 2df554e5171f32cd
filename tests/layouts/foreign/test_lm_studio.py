"""LM Studio's conversations."""

from pathlib import Path
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.cli.moved import run
from tests.layouts.foreign.folders import put, texts, unfolded

NAME = "work/1790000000000.conversation.json"


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def user(*content: Any) -> dict[str, Any]:
    return {"type": "singleStep", "role": "user", "content": [*content]}


def step(*content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "contentBlock", "content": [*content], **more}


def answer(*steps: Any) -> dict[str, Any]:
    return {"type": "multiStep", "role": "assistant", "steps": [*steps]}


def versions(*each: Any, selected: Any = 0) -> dict[str, Any]:
    return {"versions": [*each], "currentlySelected": selected}


def conversation(*messages: Any, **more: Any) -> Any:
    said = {"name": "T", "systemPrompt": "", "messages": [*messages], **more}
    return unfolded("lm_studio", {NAME: said})["1790000000000"]


def one(version: Any) -> list[Any]:
    return [*conversation(versions(version)).messages]


def test_an_answer_is_its_steps_and_what_the_program_says_is_kept() -> None:
    thought = step(text("<think>", isStructural=True), text("hm"), style={"type": "thinking"})
    request = {"type": "toolCallRequest", "toolCallRequestId": "c1", "callId": 1, "name": "f",
               "arguments": '{"n": 1}'}  # fmt: skip
    result = {"type": "toolCallResult", "toolCallRequestId": "c1", "callId": 1, "content": "r"}
    status = {"type": "toolStatus", "callId": 1}
    found = one(
        answer(thought, step(text("a")), step(request), status, step(result), step(text("b")))
    )
    assert texts(found) == [("assistant", "a"), ("tool", "r"), ("assistant", "b")]
    assert found[0].tool_calls == [{"id": "c1", "name": "f", "arguments": {"n": 1}}]
    assert found[0].extra == {"lm_studio": {"blocks": [thought, {"callId": 1}, status]}}
    assert found[1].tool_call_id == "c1"


def test_of_a_step_is_kept_which_model_wrote_it_and_that_it_is_left_out() -> None:
    said = {"genInfo": {"identifier": "m", "stats": {"tokensPerSecond": 9}}}
    usual = {"stepIdentifier": "1-0", "defaultShouldIncludeInContext": True}
    cut = {"shouldIncludeInContext": False}
    [found] = one(answer(step(text("a"), **said, **usual), step(text("b"), **cut, **usual)))
    assert found.extra["lm_studio"]["blocks"] == [
        {"type": "contentBlock", **said},
        {"type": "contentBlock", **cut},
    ]


def test_images_and_files_are_sent_by_name() -> None:
    image = {"type": "file", "fileIdentifier": "a.png", "fileType": "image"}
    paper = {"type": "file", "fileIdentifier": "a.pdf", "fileType": "document"}
    [found] = one(user(text("look"), image, paper))
    assert found.parts == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "a.png"}},
    ]
    assert found.extra == {"lm_studio": {"blocks": [image, paper]}}


def test_a_version_that_is_not_selected_is_the_end_of_a_branch(tmp_path: Path) -> None:
    said = {
        "name": "T",
        "systemPrompt": "be terse",
        "messages": [
            versions(user(text("q")), user(text("Q")), selected=1),
            versions(answer(step(text("a"))), answer(step(text("b"))), answer(step(text("c"))), selected=1),
            versions(user(text("why"))),
        ],
    }  # fmt: skip
    told = unfolded("lm_studio", {NAME: said})["1790000000000"]
    assert [m.content for m in told.messages] == ["be terse", "Q", "b", "why"]
    assert {leaf: [m.content for m in way] for leaf, way in told.branches.items()} == {
        "0.0": ["be terse", "q"],
        "1.0": ["be terse", "Q", "a"],
        "1.2": ["be terse", "Q", "c"],
    }
    place = str(put(tmp_path, {NAME: said}))
    listed = run("ls", "-p", place, "--branches").stdout.split()
    assert listed == ["1790000000000", *(f"1790000000000#{leaf}" for leaf in ("0.0", "1.0", "1.2"))]


@pytest.mark.parametrize(
    ("more", "prompt"),
    [
        ({"systemPrompt": "a"}, ["a"]),
        ({}, []),
        ({"perChatPredictionConfig": {"fields": [3, {"key": "llm.prediction.systemPrompt", "value": "b"}]}}, ["b"]),
        ({"perChatPredictionConfig": {"fields": 3}}, []),
    ],
)  # fmt: skip
def test_the_system_prompt_stands_first_wherever_it_lies(more: Any, prompt: list[str]) -> None:
    found = conversation(versions(user(text("q"))), **more)
    assert [m.content for m in found.messages if m.role == "system"] == prompt


def test_a_conversation_says_its_name_and_no_draft() -> None:
    found = conversation(versions(user(text("q"))), createdAt=3, pinned=False, clientInput="dra")
    assert found.title == "T"
    assert found.extra == {"lm_studio": {"createdAt": 3, "pinned": False}}


def test_a_conversation_in_which_nothing_was_said_is_none() -> None:
    said = {"name": "T", "systemPrompt": "be terse", "messages": []}
    assert unfolded("lm_studio", {NAME: said}) == {}


@pytest.mark.parametrize("selected", [None, -1, 7, "1", True])
def test_where_the_selected_version_cannot_be_told_the_last_is_shown(selected: Any) -> None:
    found = conversation(versions(user(text("a")), user(text("b")), selected=selected))
    assert [m.content for m in found.messages] == ["b"]


def test_a_message_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    odd = [3, {"versions": []}, versions({"role": "user", "content": 3}), versions(answer(3))]
    said = [versions(user(text("a"))), *odd, versions(user(text("b")))]
    found = [*conversation(*said).messages]
    assert [type(each) for each in found] == [Message, *[Unreadable] * 4, Message]
    assert found[1].reason.startswith("message 1: ")


def test_a_file_that_is_called_so_and_is_no_conversation_is_named(tmp_path: Path) -> None:
    good = {"name": "T", "messages": [versions(user(text("a")))]}
    put(tmp_path, {NAME: good, "2.conversation.json": [1], "3.conversation.json": {"messages": 3}})
    done = run("check", "-p", str(tmp_path))
    assert done.exit_code == 6
    for name in ("2.conversation.json", "3.conversation.json"):
        assert name in done.stdout + done.stderr
