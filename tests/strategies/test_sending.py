"""The forms of a context."""

from typing import Any

from synmem.messages import Message
from synmem.strategies.context import Background, Context
from synmem.strategies.sending import as_anthropic, as_openai, as_text


def made(*messages: Message, background: tuple[Background, ...] = ()) -> Context:
    return Context(list(background), list(messages), [], [], [], True)


CALL = Message(
    "assistant", "let me see", tool_calls=[{"id": "c1", "name": "look", "arguments": {"q": 1}}]
)
RESULT = Message("tool", "42", tool_call_id="c1")
ASK = Message("user", "what?")


def test_openai_has_calls_with_their_arguments_as_a_string() -> None:
    system, ask, call, result = as_openai(
        made(ASK, CALL, RESULT, background=(Background("system prompt", "be kind", True),))
    )
    assert system == {"role": "system", "content": "be kind"}
    assert ask == {"role": "user", "content": "what?"}
    assert call == {
        "role": "assistant",
        "content": "let me see",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
        ],
    }
    assert result == {"role": "tool", "content": "42", "tool_call_id": "c1"}


def test_openai_sends_parts_and_names() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]
    [sent] = as_openai(made(Message("user", "a", parts=parts, name="Ann")))
    assert sent == {"role": "user", "content": parts, "name": "Ann"}


def test_anthropic_has_system_apart_and_calls_as_blocks() -> None:
    background = (Background("a", "be kind", True), Background("b", "found"))
    body = as_anthropic(made(ASK, CALL, RESULT, Message("user", "and?"), background=background))
    assert body["system"] == [
        {"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "found"},
    ]
    assert body["messages"] == [
        {"role": "user", "content": "what?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "let me see"},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"q": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "42"},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


def messages(*given: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = as_anthropic(made(*given))["messages"]
    return found


def test_anthropic_begins_with_the_user() -> None:
    assert messages(Message("assistant", "hi"), ASK) == [{"role": "user", "content": "what?"}]
    assert messages(CALL, Message("human", "wait"), RESULT) == [{"role": "user", "content": "wait"}]
    assert [each["role"] for each in messages(Message("assistant", "hi"))] == ["user", "assistant"]


def test_anthropic_gets_system_messages_apart_wherever_they_stand() -> None:
    body = as_anthropic(made(ASK, Message("developer", "be brief"), Message("user", "so?")))
    assert body["system"] == [{"type": "text", "text": "be brief"}]
    assert [each["role"] for each in body["messages"]] == ["user"]


def test_anthropic_takes_images_as_data_or_url() -> None:
    url = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    data = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    [sent] = messages(Message("user", "", parts=[url, data, {"type": "input_audio"}]))
    assert sent["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "text", "text": "[input_audio]"},
    ]


def test_arguments_that_are_text_are_parsed_for_anthropic_and_left_for_openai() -> None:
    for text, parsed in (
        ('{"a": 1}', {"a": 1}),
        ("oops", {"arguments": "oops"}),
        ("[1]", {"arguments": [1]}),
    ):
        call = Message("assistant", "", tool_calls=[{"id": "c", "name": "f", "arguments": text}])
        assert messages(ASK, call)[1]["content"][0]["input"] == parsed
        assert as_openai(made(call))[0]["tool_calls"][0]["function"]["arguments"] == text


def test_results_stand_right_behind_their_calls_under_their_ids() -> None:
    """Both APIs answer 400 to anything else."""
    two = [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]
    talk = [
        ASK, CALL, Message("user", "hurry"), RESULT,
        Message("assistant", "", tool_calls=two), Message("tool", "one"), Message("tool", "two"),
        Message("assistant", "so"), Message("tool", "of no call"), Message("critic", "hm"),
    ]  # fmt: skip
    sent = as_openai(made(*talk))
    names = [each["id"] for each in sent[4]["tool_calls"]]
    assert len(set(names)) == 2
    assert [(each["role"], each["content"], each.get("tool_call_id")) for each in sent] == [
        ("user", "what?", None), ("assistant", "let me see", None), ("tool", "42", "c1"),
        ("user", "hurry", None), ("assistant", "", None), ("tool", "one", names[0]),
        ("tool", "two", names[1]), ("assistant", "so", None), ("user", "of no call", None),
        ("user", "hm", None),
    ]  # fmt: skip
    kinds = [
        each["content"]
        if isinstance(each["content"], str)
        else [b["type"] for b in each["content"]]
        for each in messages(*talk)
    ]
    assert kinds == [
        "what?", ["text", "tool_use"], ["tool_result", "text"], ["tool_use", "tool_use"],
        ["tool_result", "tool_result"], "so", ["text", "text"],
    ]  # fmt: skip


def test_a_call_that_nothing_answers_is_sent_only_where_its_result_may_still_come() -> None:
    assert as_openai(made(ASK, CALL))[1]["tool_calls"]
    later = as_openai(made(ASK, CALL, Message("user", "never mind")))
    assert [each.get("tool_calls") for each in later] == [None, None, None]


def test_anthropic_gets_no_message_that_it_refuses_for_its_text() -> None:
    empty = Message("user", "  ")
    assert messages(empty, ASK) == [{"role": "user", "content": "what?"}]
    assert messages(empty) == [{"role": "user", "content": "..."}]
    assert messages(ASK, Message("assistant", "so \n"))[1]["content"] == "so"


def test_text_is_role_and_content_lines() -> None:
    shown = as_text(made(ASK, CALL, RESULT, background=(Background("a", "be kind"),)))
    assert shown == (
        'System: be kind\nUser: what?\nAssistant: let me see\n-> look({"q":1})\nTool: 42'
    )
