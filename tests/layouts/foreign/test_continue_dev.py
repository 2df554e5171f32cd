"""Continue's sessions."""

from typing import Any

from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import texts, unfolded

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}}
DONE = {"toolCallId": "c1", "toolCall": CALL, "status": "done", "parsedArgs": {"n": 1}}
OUTPUT = [{"content": "r", "name": "Tool Result", "description": "d"}]


def said(role: str, content: Any = "", beside: Any = None, **more: Any) -> dict[str, Any]:
    message = {"role": role, "content": content, **more}
    return {"message": message, "contextItems": [], **(beside or {})}


def session(*history: Any, **more: Any) -> dict[str, Any]:
    return {
        "sessionId": "s1",
        "title": "T",
        "workspaceDirectory": "/x",
        "history": [*history],
        **more,
    }


def told(*history: Any) -> list[Any]:
    return [*unfolded("continue_dev", {"s1.json": session(*history)})["s1"].messages]


def test_a_result_that_lies_with_the_call_is_a_message_behind_it() -> None:
    found = told(
        said("assistant", "a", {"toolCallStates": [{**DONE, "output": OUTPUT}]}, toolCalls=[CALL])
    )
    ours = [{"id": "c1", "name": "f", "arguments": {"n": 1}}]
    assert found == [
        Message("assistant", "a", tool_calls=ours),
        Message("tool", "r", tool_call_id="c1", name="f"),
    ]


def test_a_result_that_is_a_message_too_is_told_once_where_that_stands() -> None:
    found = told(
        said("assistant", "", {"toolCallStates": [{**DONE, "output": OUTPUT}]}, toolCalls=[CALL]),
        said("tool", "R", toolCallId="c1"),
    )
    assert found[1:] == [Message("tool", "R", tool_call_id="c1")]


def test_a_result_that_names_no_call_hides_none_of_those_that_lie_with_calls() -> None:
    call = {key: value for key, value in CALL.items() if key != "id"}
    state = {"toolCall": call, "status": "done", "output": OUTPUT}
    found = told(
        said("assistant", "", {"toolCallStates": [state, state]}, toolCalls=[call, call]),
        said("tool", "R"),
    )
    assert texts(found) == [("assistant", ""), ("tool", "r"), ("tool", "r"), ("tool", "R")]


def test_what_a_part_says_beside_its_text_is_kept() -> None:
    own = {"cache_control": {"type": "ephemeral"}}
    image = {"type": "imageUrl", "imageUrl": {"url": "https://x/a.png"}}
    [found] = told(said("user", [{"type": "text", "text": "x", **own}, {**image, **own}]))
    assert found.extra == {"continue_dev": {"blocks": [own, own]}}


def test_a_result_of_parts_is_their_texts_and_what_is_none_is_kept() -> None:
    image = {"type": "imageUrl", "imageUrl": {"url": "data:image/png;base64,AA=="}}
    text = {"type": "text", "text": "R"}
    kept = {"continue_dev": {"blocks": [{"content": [text, image]}]}}
    assert told(
        said("tool", [text], toolCallId="c1"), said("tool", [text, image], toolCallId="c2")
    ) == [
        Message("tool", "R", tool_call_id="c1"),
        Message("tool", "R", tool_call_id="c2", extra=kept),
    ]


def test_a_call_that_was_not_done_says_so() -> None:
    state = {**DONE, "status": "canceled", "output": [*OUTPUT, {"content": "s", "icon": "x"}]}
    call, result = told(said("assistant", "", {"toolCallStates": [state]}, toolCalls=[CALL]))
    own = {"toolCallStates": [{"toolCallId": "c1", "status": "canceled"}]}
    assert call.extra == {"continue_dev": own}
    assert result.content == "r\ns"
    assert result.extra == {"continue_dev": {"blocks": [{"output": state["output"]}]}}


def test_parts_are_texts_and_images_and_what_stands_beside_is_kept() -> None:
    image = {"type": "imageUrl", "imageUrl": {"url": "data:image/png;base64,AA=="}}
    item = {"content": "def f(): pass", "name": "a.py"}
    [found] = told(
        said(
            "user",
            [{"type": "text", "text": "look"}, image],
            {"contextItems": [item], "editorState": {"type": "doc"}},
            id="m1",
        )
    )
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    assert found == Message(
        "user",
        "look",
        parts=[{"type": "text", "text": "look"}, url],
        extra={"continue_dev": {"id": "m1", "contextItems": [item]}},
    )


def test_thoughts_summaries_and_prompts_are_told_apart() -> None:
    found = told(
        said("system", "be terse"),
        said("thinking", "hm", signature="s"),
        said("assistant", "a", {"conversationSummary": "they talked", "reasoning": {"text": "t"}}),
    )
    assert texts(found) == [("system", "be terse"), ("reasoning", "hm"), ("assistant", "a")]
    assert found[1].extra == {"continue_dev": {"signature": "s"}}
    own = {"conversationSummary": "they talked", "reasoning": {"text": "t"}}
    assert found[2].extra == {"continue_dev": own}


def test_a_session_says_its_id_and_its_folder() -> None:
    files = {"renamed.json": session(said("user", "a"), mode="agent"), "sessions.json": [{}]}
    [(id_, found)] = unfolded("continue_dev", files).items()
    assert (id_, found.title) == ("s1", "T")
    assert found.extra == {"continue_dev": {"workspaceDirectory": "/x", "mode": "agent"}}


def test_a_session_in_which_nothing_was_said_yet_is_none() -> None:
    assert unfolded("continue_dev", {"s1.json": session()}) == {}


def test_what_is_no_session_is_not_taken_for_one() -> None:
    for other in (
        {"sessionId": "s", "history": "x", "title": "T"},
        {"history": [{"role": "user", "parts": []}], "authType": "x"},
        {"sessionId": "s", "messages": []},
    ):
        assert unfolded("continue_dev", {"a.json": other}) == {}


def test_a_message_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    found = told(said("user", "a"), {}, 3, said("user", 3), {"message": {}}, said("user", "b"))
    assert [type(each) for each in found] == [Message, *[Unreadable] * 4, Message]
