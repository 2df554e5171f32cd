"""The forms of a context."""

import re
from typing import Any

import pytest

from synmem.messages import Message
from synmem.strategies.context import Background, Context
from synmem.strategies.sending import as_anthropic, as_openai, as_text, from_user_on


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


def test_calls_that_nest_their_function_are_the_same_everywhere() -> None:
    nested = Message(
        "assistant", "let me see",
        tool_calls=[
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
        ],
    )  # fmt: skip
    for form in (as_openai, as_anthropic, as_text):
        assert form(made(ASK, nested, RESULT)) == form(made(ASK, CALL, RESULT))  # type: ignore[operator]
    assert openai_pairs(nested, RESULT)


def test_openai_sends_parts_and_names() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]
    [sent] = as_openai(made(Message("user", "a", parts=parts, name="Ann")))
    assert sent == {"role": "user", "content": parts, "name": "Ann"}


def test_a_call_that_stands_among_the_parts_too_is_sent_once() -> None:
    """As Anthropic answers, and LangChain stores it."""
    parts = [
        {"type": "text", "text": "let me see"},
        {"type": "tool_use", "id": "t1", "name": "zoom", "input": {"x": 1}},
        {"type": "tool_use", "id": "t2", "name": "other", "input": {}},
    ]
    call = {"id": "t1", "name": "zoom", "arguments": {"x": 1}}
    answer = Message("assistant", "let me see", parts=parts, tool_calls=[call])
    sent = made(ASK, answer, Message("tool", "1", tool_call_id="t1"))
    assert as_anthropic(sent)["messages"][1]["content"] == [
        {"type": "text", "text": "let me see"},
        {"type": "text", "text": "[tool_use]"},
        {"type": "tool_use", "id": "t1", "name": "zoom", "input": {"x": 1}},
    ]
    assert as_openai(sent)[1]["content"] == [parts[0], parts[2]]


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
    later = Message("assistant", "so")
    assert messages(CALL, Message("human", "wait"), RESULT, later) == [
        {"role": "user", "content": "wait"},
        {"role": "assistant", "content": "so"},
    ]
    assert [each["role"] for each in messages(Message("assistant", "hi"))] == ["user", "assistant"]
    assert messages(Message("user", " "), Message("assistant", "hi"), ASK) == [
        {"role": "user", "content": "what?"}
    ]


def test_anthropic_gets_the_newest_message_even_where_its_call_came_first() -> None:
    gone = Message("assistant", "", tool_calls=[{"id": "c0", "name": "look", "arguments": {}}])
    context = made(
        gone, Message("tool", "0", tool_call_id="c0"), CALL, Message("user", "wait"), RESULT
    )
    assert from_user_on(context).messages == context.messages[2:]
    assert as_anthropic(context)["messages"] == [
        {"role": "user", "content": "..."},
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
                {"type": "text", "text": "wait"},
            ],
        },
    ]


def test_a_result_is_left_out_with_its_own_call_and_not_with_another_of_that_id() -> None:
    [_, call, result] = messages(CALL, RESULT, ASK, CALL, Message("tool", "43", tool_call_id="c1"))
    assert call["content"][1]["id"] == result["content"][0]["tool_use_id"] == "c1"
    assert result["content"][0]["content"] == "43"


def test_anthropic_gets_system_messages_apart_wherever_they_stand() -> None:
    body = as_anthropic(made(ASK, Message("developer", "be brief"), Message("user", "so?")))
    assert body["system"] == [{"type": "text", "text": "be brief"}]
    assert [each["role"] for each in body["messages"]] == ["user"]


def test_the_images_of_a_system_message_are_the_users_at_anthropic() -> None:
    """`system` takes text alone."""
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    text = {"type": "text", "text": "look like this"}
    body = as_anthropic(made(ASK, Message("system", "", parts=[text, image]), CALL, RESULT))
    assert body["system"] == [text]
    asked, picture = body["messages"][0]["content"]
    assert (asked["text"], picture["type"]) == ("what?", "image")


def test_a_blank_background_is_not_sent_to_anthropic() -> None:
    blank = (Background("system prompt", " \n", True), Background("summary", ""))
    assert as_anthropic(made(ASK, background=blank)).keys() == {"messages"}


def test_a_part_of_no_text_is_left_out() -> None:
    parts = [{"type": "text", "text": None}, {"type": "text", "text": "a"}]
    said = Message("user", "a", parts=parts)
    assert messages(said) == [{"role": "user", "content": "a"}]
    assert as_openai(made(said))[0]["content"] == parts[1:]


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


def calling(*calls: dict[str, Any]) -> Message:
    return Message("assistant", "", tool_calls=[{"arguments": {}, **call} for call in calls])


def openai_pairs(*given: Message) -> list[tuple[str, str]]:
    """The function of each call and its result, as OpenAI reads them; ids are told apart."""
    found: list[tuple[str, str]] = []
    waiting: dict[str, str] = {}
    for each in as_openai(made(*given)):
        if each["role"] == "tool":
            found.append((waiting.pop(each["tool_call_id"]), each["content"]))
        for call in each.get("tool_calls", ()):
            assert call["id"] not in waiting
            waiting[call["id"]] = call["function"]["name"]
    return found


def anthropic_pairs(*given: Message) -> list[tuple[str, str]]:
    """As `openai_pairs`; no id is used twice in the whole conversation."""
    blocks = [
        block for each in messages(*given) for block in each["content"] if isinstance(block, dict)
    ]
    names = [(each["id"], each["name"]) for each in blocks if each["type"] == "tool_use"]
    assert len(dict(names)) == len(names)
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", text) for pair in names for text in pair)
    results = [each for each in blocks if each["type"] == "tool_result"]
    return [(dict(names)[each["tool_use_id"]], each["content"]) for each in results]


PAIRS = pytest.mark.parametrize("pairs", [openai_pairs, anthropic_pairs])


@PAIRS
def test_two_calls_of_one_id_have_the_results_in_their_order(pairs: Any) -> None:
    calls = calling({"id": "a", "name": "f"}, {"id": "a", "name": "g"})
    results = [Message("tool", text, tool_call_id="a") for text in ("one", "two")]
    assert pairs(ASK, calls, *results, ASK) == [("f", "one"), ("g", "two")]


@PAIRS
def test_ids_that_are_counted_anew_in_each_answer_are_told_apart(pairs: Any) -> None:
    talk = [ASK]
    for n in range(3):
        talk += [calling({"id": "0", "name": f"f{n}"}), Message("tool", f"{n}", tool_call_id="0")]
    assert pairs(*talk, ASK) == [("f0", "0"), ("f1", "1"), ("f2", "2")]


def test_an_id_is_another_only_where_it_has_to_be() -> None:
    ids = ["call_1_4", "functions.f:0", "toolu_01-A", "x" * 41, "call_1_4", ""]
    calls = calling(*({"id": each, "name": "f"} for each in ids))
    results = [Message("tool", each, tool_call_id=each) for each in ids]
    sent = as_openai(made(ASK, calls, *results))
    openai = [each["id"] for each in sent[1]["tool_calls"]]
    assert openai == [*ids[:3], "call_1_3", "call_1_4_", "call_1_5"]
    assert [each["tool_call_id"] for each in sent[2:]] == openai
    _, called, answered = messages(ASK, calls, *results)
    assert [each["id"] for each in called["content"]] == [
        "call_1_4", "call_1_1", "toolu_01-A", "x" * 41, "call_1_4_", "call_1_5",
    ]  # fmt: skip
    assert [each["content"] for each in answered["content"]] == [*ids[:5], ""]


@PAIRS
def test_a_call_without_a_name_and_one_that_no_api_takes(pairs: Any) -> None:
    calls = calling({"id": "a"}, {"id": "b", "name": None}, {"id": "c", "name": "files.read it"})
    results = [Message("tool", name, tool_call_id=name) for name in "abc"]
    names = ["unnamed", "unnamed", "files_read_it"]
    assert pairs(ASK, calls, *results) == list(zip(names, "abc", strict=True))


def test_openai_gets_the_name_of_a_speaker_as_it_takes_it() -> None:
    """It answers 400 to white space and `<|\\/>` in one."""
    for name, sent in (
        ("Ann", "Ann"), ("José_1", "José_1"), ("Ann Lee <a/b>", "Ann_Lee_a_b_"), (" ", None),
        ("x" * 65, "x" * 64),
    ):  # fmt: skip
        assert as_openai(made(Message("user", "hi", name=name)))[0].get("name") == sent


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
