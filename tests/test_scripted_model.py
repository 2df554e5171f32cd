"""The model of the tests: what the vendors' own clients make of its answers."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.services.scripted_model import Answer, Call, ScriptedModel, scripted_model

CALL = Call("get_weather", {"city": "Zürich"})
SCRIPT = {
    "weather": [Answer("Let me check.", "Need the weather.", [CALL]), Answer("It is 21 °C.")],
    "Hello": [Answer("Hi.")],
}
ASK = {"role": "user", "content": "the weather?"}
TOOL: Any = {"name": "get_weather", "description": "x", "input_schema": {"type": "object"}}


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with scripted_model(SCRIPT) as model:
        yield model


@pytest.mark.parametrize("stream", [False, True])
def test_openais_client_reads_chat_completions(model: ScriptedModel, stream: bool) -> None:
    messages: list[Any] = [ASK]
    with openai.OpenAI(base_url=model.url, api_key="x") as client:
        if stream:
            with client.chat.completions.stream(model="mock-1", messages=messages) as events:
                first = events.get_final_completion().choices[0].message
        else:
            done = client.chat.completions.create(model="mock-1", messages=messages)
            first = done.choices[0].message
        assert first.content == "Let me check."
        [call] = first.tool_calls or ()
        assert call.type == "function"
        assert (call.id, call.function.name) == ("call_1", "get_weather")
        assert json.loads(call.function.arguments) == {"city": "Zürich"}
        asked = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": "Let me check.", "tool_calls": [asked]},
            {"role": "tool", "tool_call_id": "call_1", "content": "21"},
        ]
        done = client.chat.completions.create(model="mock-1", messages=messages)
        assert done.choices[0].message.content == "It is 21 °C."
        assert done.choices[0].finish_reason == "stop"
        messages += [
            {"role": "assistant", "content": "It is 21 °C."},
            {"role": "user", "content": "Hello"},
        ]
        done = client.chat.completions.create(model="mock-1", messages=messages)
        assert done.choices[0].message.content == "Hi."
        assert done.usage is not None
        assert done.usage.total_tokens == 15


@pytest.mark.parametrize("stream", [False, True])
def test_openais_client_reads_responses(model: ScriptedModel, stream: bool) -> None:
    items: list[Any] = [ASK]
    with openai.OpenAI(base_url=model.url, api_key="x") as client:
        if stream:
            with client.responses.stream(model="mock-1", input=items) as events:
                first = events.get_final_response()
        else:
            first = client.responses.create(model="mock-1", input=items)
        assert first.output_text == "Let me check."
        assert [each.type for each in first.output] == ["reasoning", "message", "function_call"]
        call: Any = first.output[-1]
        assert json.loads(call.arguments) == {"city": "Zürich"}
        items += [
            {
                "type": "function_call",
                "call_id": "call_1",
                "name": "get_weather",
                "arguments": "{}",
            },
            {"type": "function_call_output", "call_id": "call_1", "output": "21"},
        ]
        done = client.responses.create(model="mock-1", input=items)
        assert done.output_text == "It is 21 °C."
        assert client.responses.create(model="mock-1", input="Hello").output_text == "Hi."


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_client_reads_messages(model: ScriptedModel, stream: bool) -> None:
    said: Any = {"model": "mock-1", "max_tokens": 100, "messages": [ASK], "tools": [TOOL]}
    with anthropic.Anthropic(base_url=model.root, api_key="x") as client:
        if stream:
            with client.messages.stream(**said) as events:
                first = events.get_final_message()
        else:
            first = client.messages.create(**said)
        thought, text, use = first.content
        assert thought.type == "thinking"
        assert thought.thinking == "Need the weather."
        assert text.type == "text"
        assert text.text == "Let me check."
        assert use.type == "tool_use"
        assert (use.id, use.name, use.input) == ("call_1", "get_weather", {"city": "Zürich"})
        said["messages"] += [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "21"}],
            },
        ]
        done = client.messages.create(**said).content[0]
        assert done.type == "text"
        assert done.text == "It is 21 °C."
        tokens = client.messages.count_tokens(model="mock-1", messages=said["messages"])
        assert tokens.input_tokens == 10


def post(url: str, body: Any) -> str:
    asked = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(asked) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    ("way", "begin", "end"),
    [
        ("generateContent", "", ""),
        ("streamGenerateContent", "[", "]"),
        ("streamGenerateContent?alt=sse", "data: ", "\n\n"),
    ],
)
def test_geminis_contents_are_one_piece_a_list_or_events(
    model: ScriptedModel, way: str, begin: str, end: str
) -> None:
    url = f"{model.root}/v1beta/models/mock-1:{way}"
    contents: list[Any] = [{"role": "user", "parts": [{"text": "the weather?"}]}]
    found = post(url, {"contents": contents})
    [candidate] = json.loads(found.removeprefix(begin).removesuffix(end))["candidates"]
    assert candidate["content"]["parts"] == [
        {"text": "Need the weather.", "thought": True}, {"text": "Let me check."},
        {"functionCall": {"id": "call_1", "name": "get_weather", "args": {"city": "Zürich"}}},
    ]  # fmt: skip
    contents += [
        candidate["content"],
        {"role": "user", "parts": [{"functionResponse": {"name": "get_weather", "response": {}}}]},
    ]
    assert '"It is 21 \\u00b0C."' in post(url, {"contents": contents})


def test_what_is_not_in_the_script_and_what_has_no_tools_has_another_answer() -> None:
    with scripted_model(SCRIPT, tools_only=True, side="A title") as model:
        url = f"{model.url}/chat/completions"
        tools = [{"type": "function", "function": {"name": "f"}}]
        for text, offered, expected in (
            ("the weather?", tools, "Let me check."), ("the weather?", [], "A title"), ("other", tools, "A title"),
        ):  # fmt: skip
            body = {
                "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}],
                "tools": offered,
            }
            assert json.loads(post(url, body))["choices"][0]["message"]["content"] == expected
        assert [path for path, _ in model.asked] == ["/v1/chat/completions"] * 3
