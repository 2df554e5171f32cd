"""Jan's threads."""

from datetime import UTC, datetime
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import files_of, lines, texts, unfolded

MS = 1_790_000_000_000
AT = datetime.fromtimestamp(MS / 1000, UTC)


def text(words: str, kind: str = "text") -> dict[str, Any]:
    return {"type": kind, "text": {"value": words, "annotations": []}}


def said(role: str, *content: Any, **more: Any) -> dict[str, Any]:
    message = {"object": "thread.message", "thread_id": "t1", "role": role, "content": [*content]}
    return {**message, "status": "ready", "created_at": MS, "metadata": {}, **more}


def thread(data: bytes, about: Any = None) -> Any:
    files = {"threads/t1/messages.jsonl": data}
    if about is not None:
        files["threads/t1/thread.json"] = about
    return unfolded("jan", files)["t1"]


def told(*messages: Any) -> list[Any]:
    return [*thread(lines(*messages)).messages]


@pytest.mark.parametrize("at", [MS, MS // 1000])
def test_times_are_milliseconds_or_seconds_as_they_are_large(at: int) -> None:
    assert told(said("user", text("a"), created_at=at)) == [Message("user", "a", created_at=AT)]


def test_an_answer_is_a_run_of_which_a_call_has_its_result_in_it() -> None:
    call = {"type": "tool_call", "tool_call_id": "c1", "tool_name": "f", "input": '{"n": 1}',
            "output": {"r": 2}}  # fmt: skip
    thought = text("hm", "reasoning")
    found = told(said("assistant", thought, text("a"), call, {**call, "output": None}, text("b")))
    ours = [{"id": "c1", "name": "f", "arguments": {"n": 1}}] * 2
    assert found == [
        Message(
            "assistant", "a", created_at=AT, tool_calls=ours, extra={"jan": {"blocks": [thought]}}
        ),
        Message("tool", '{"r":2}', created_at=AT, tool_call_id="c1", name="f"),
        Message("assistant", "b", created_at=AT),
    ]


def test_before_calls_lay_beside_the_message() -> None:
    function = {"name": "f", "arguments": '{"n": 1}'}
    response = {"content": [{"type": "text", "text": "r"}, "odd"]}
    calls = [{"tool": {"id": "c1", "function": function}, "response": response, "state": "ready"}]
    asked, result = told(said("assistant", text("a"), metadata={"tool_calls": calls, "k": 1}))
    assert asked.tool_calls == [{"id": "c1", "name": "f", "arguments": {"n": 1}}]
    assert asked.extra == {"jan": {"metadata": {"k": 1}, "blocks": [{"state": "ready"}]}}
    assert (result.role, result.content, result.tool_call_id) == ("tool", "r", "c1")


def test_what_a_part_says_beside_its_text_is_kept() -> None:
    own = {"citations": ["a"]}
    [found] = told(said("user", {**text("x"), **own}, {"type": "text", "text": "y", **own}))
    assert found.extra == {"jan": {"blocks": [own, own]}}


def test_images_and_files_are_sent() -> None:
    image = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AA==", "detail": "auto"},
    }
    [found] = told(said("user", image, text("look"), {"type": "file", "file": {"id": "f"}}))
    assert found.parts == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "text", "text": "look"},
    ]
    assert found.extra == {"jan": {"blocks": [{"type": "file", "file": {"id": "f"}}]}}


def test_a_message_that_is_there_twice_counts_as_it_was_written_last() -> None:
    found = told(
        said("user", text("a"), id="1"),
        said("assistant", text("b"), id="2"),
        said("user", text("A"), id="1"),
        said("assistant", text("c")),
        said("assistant", text("d")),
    )
    assert [m.content for m in found] == ["A", "b", "c", "d"]


def test_the_instructions_of_the_assistant_come_first_and_the_rest_is_kept() -> None:
    about = {"id": "t1", "object": "thread", "title": "T", "updated": 3,
             "assistants": [{"id": "jan", "instructions": "be terse"}]}  # fmt: skip
    found = thread(lines(said("user", text("a"))), about)
    assert texts([*found.messages]) == [("system", "be terse"), ("user", "a")]
    assert found.title == "T"
    assert found.extra == {"jan": {"updated": 3, "assistants": [{"id": "jan"}]}}


def test_a_thread_in_which_nothing_was_said_is_none() -> None:
    about = {"id": "t1", "assistants": [{"instructions": "be terse"}]}
    files = {"t1/messages.jsonl": b"", "t1/thread.json": about, "t2/thread.json": about}
    assert unfolded("jan", files) == {}


def test_what_cannot_be_read_is_named_and_hides_nothing() -> None:
    data = lines(said("user", text("a")), b'{"id": ', 3, said("user", 3), said("user", text("b")))
    found = [*thread(data + b'{"id": "torn', b'{"id').messages]
    assert [type(each) for each in found] == [Unreadable, Message, *[Unreadable] * 3, Message]
    assert found[0].reason.startswith("threads/t1/thread.json: not JSON")
    assert found[2].reason.startswith("threads/t1/messages.jsonl, line 2: ")


@pytest.mark.parametrize("less", ["threads/", "threads/e6888d49-739a-4c01-a783-51de4e089a8e/"])
def test_a_folder_within_is_read_as_all_of_it_is(less: str) -> None:
    files = files_of("jan-threads")
    whole = unfolded("jan", files)
    some = {n.removeprefix(less): d for n, d in files.items() if n.startswith(less)}
    part = unfolded("jan", some)
    assert part
    assert all([*told.messages] == [*whole[id_].messages] for id_, told in part.items())
    alone = {n: d for n, d in some.items() if n.endswith("messages.jsonl")}
    assert unfolded("jan", alone).keys() == part.keys()
