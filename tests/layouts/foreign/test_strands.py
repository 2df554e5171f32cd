"""Strands' sessions, in folders."""

from datetime import UTC, datetime
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import files_of, messages, texts, unfolded

TIME = "2026-11-21T07:09:10.914877+00:00"
AT = datetime(2026, 11, 21, 7, 9, 10, 914877, UTC)
IMAGE = {"format": "png", "source": {"bytes": {"__bytes_encoded__": True, "data": "AA=="}}}


def said(number: int, role: str, *content: Any, **more: Any) -> dict[str, Any]:
    message = {"role": role, "content": [*content]}
    return {"message": message, "message_id": number, "redact_message": None, **more}


def session(*messages: Any, name: str = "s", agent: str = "default") -> dict[str, Any]:
    folder = f"session_{name}/agents/agent_{agent}/messages"
    return {f"{folder}/message_{each['message_id']}.json": each for each in messages}


def one(*content: Any, role: str = "assistant", **more: Any) -> list[Any]:
    return messages("strands", session(said(0, role, *content, **more)))


def test_messages_come_in_the_order_of_their_numbers() -> None:
    found = messages("strands", session(*(said(n, "user", {"text": f"{n}"}) for n in range(12))))
    assert [m.content for m in found] == [f"{n}" for n in range(12)]


def test_a_session_of_several_agents_is_a_conversation_for_each() -> None:
    files = {
        **session(said(0, "user", {"text": "a"})),
        **session(said(0, "user", {"text": "b"}), agent="other"),
        "session_s/session.json": {"session_id": "S 1", "session_type": "AGENT"},
        "session_s/agents/agent_other/agent.json": {"agent_id": "other", "state": {"k": 1}},
    }
    found = unfolded("strands", files)
    assert {id_: texts([*told.messages]) for id_, told in found.items()} == {
        "S 1/default": [("user", "a")],
        "S 1/other": [("user", "b")],
    }
    own = {"session_id": "S 1", "session_type": "AGENT"}
    assert found["S 1/default"].extra == {"strands": {"session": own}}
    agent = {"agent_id": "other", "state": {"k": 1}}
    assert found["S 1/other"].extra == {"strands": {"session": own, "agent": agent}}


@pytest.mark.parametrize(
    ("less", "id_"),
    [
        ("", "tools"),
        ("session_tools/", "tools"),
        ("session_tools/agents/", "default"),
        ("session_tools/agents/agent_default/", "default"),
        ("session_tools/agents/agent_default/messages/", "default"),
    ],
)
def test_a_folder_within_a_session_is_read_too(less: str, id_: str) -> None:
    files = {
        name.removeprefix(less): data
        for name, data in files_of("strands-files").items()
        if name.startswith("session_tools/" if less == "" else less)
    }
    [(found, told)] = unfolded("strands", files).items()
    assert (found, len(told.messages)) == (id_, 4)


def test_what_stands_for_a_redacted_message_is_it_and_what_it_was_is_nowhere() -> None:
    instead = {"role": "user", "content": [{"text": "[redacted]"}]}
    [found] = one({"text": "secret"}, redact_message=instead, created_at=TIME)
    own = {"strands": {"message_id": 0, "redacted": True}}
    assert found == Message("user", "[redacted]", created_at=AT, extra=own)


def test_blocks_are_text_images_files_calls_and_results() -> None:
    document = {"document": {"name": "d", "format": "pdf", "source": {}}}
    call = {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"n": 1}, "sig": "s"}}
    [found] = one({"text": "a"}, {"image": IMAGE}, document, call)
    assert found.content == "a"
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    assert found.parts == [{"type": "text", "text": "a"}, url]
    assert found.tool_calls == [{"id": "c1", "name": "f", "arguments": {"n": 1}}]
    assert found.extra["strands"]["blocks"] == [document, {"toolUse": {"sig": "s"}}]
    assert texts(one(document, role="user")) == [("user", "")]
    nothing = said(0, "user", {"cachePoint": {"type": "default"}})
    assert unfolded("strands", session(nothing)) == {}
    [damaged] = one({"text": ["a"]}, role="user")
    assert (damaged.role, damaged.content) == ("user", "")
    assert damaged.extra["strands"]["blocks"] == [{"text": ["a"]}]


def test_a_result_is_its_texts_and_keeps_the_rest() -> None:
    content = [{"text": "a"}, {"json": {"n": 1}}, {"image": IMAGE}]
    result = {"toolUseId": "c1", "status": "error", "content": content}
    [found] = one({"toolResult": result}, role="user")
    assert (found.role, found.content, found.tool_call_id) == ("tool", 'a\n{"n":1}', "c1")
    kept = {"toolResult": {"status": "error", "content": content}}
    assert found.extra["strands"]["blocks"] == [kept]


def test_reasoning_and_citations_are_kept_and_cited_text_is_text() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}
    cited = {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [{}]}}
    [found] = one(thought, cited)
    assert found.content == "ab"
    assert found.extra["strands"]["blocks"] == [thought, cited]


def test_a_message_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    files = session(said(0, "user", {"text": "a"}), said(2, "user", {"text": "b"}))
    folder = "session_s/agents/agent_default/messages"
    files[f"{folder}/message_1.json"] = b'{"message": {"role'
    files[f"{folder}/message_3.json"] = said(3, "user", "text")
    found = messages("strands", files)
    assert [type(each) for each in found] == [Message, Unreadable, Message, Unreadable]
    assert f"{folder}/message_1.json" in found[1].reason
