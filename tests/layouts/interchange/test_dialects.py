"""Which form a file of JSON has is told by its first objects, and never taken for another's."""

import json
from pathlib import Path
from typing import Any

import pytest

from synmem.layouts.interchange import dialects
from tests.layouts.interchange.forms import FILES, FIXTURES, jsonl_of

OWN = {file: form for form, files in FILES.items() for file in files}
OTHERS = sorted(
    str(path.relative_to(FIXTURES))
    for path in FIXTURES.rglob("*")
    if path.is_file()
    and path.name != "expected.json"
    and str(path.relative_to(FIXTURES)) not in OWN
)

USER = {"role": "user", "content": "x"}
BATCH = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"messages": [USER]},
}


def form_of(data: bytes) -> str | None:
    found = dialects.of_head(data[: 1 << 16])
    return found.form if found and not found.misses else None


@pytest.mark.parametrize("file", OTHERS)
def test_no_file_of_another_program_is_taken_for_one_of_these(file: str) -> None:
    assert form_of((FIXTURES / file).read_bytes()) is None


@pytest.mark.parametrize("file", OWN)
def test_a_file_is_known_by_any_beginning_that_has_a_whole_message(file: str) -> None:
    data = (FIXTURES / file).read_bytes()
    start = data.index(b"}") + 1
    assert {form_of(data[:end]) for end in range(start, len(data) + 1)} == {OWN[file]}


@pytest.mark.parametrize(
    ("objects", "form"),
    [
        ([{"messages": [USER]}], "openai"),
        ([{"messages": []}, {"messages": [USER]}], "openai"),
        ([{"system": "s", "messages": [USER]}], "anthropic"),
        ([{"model": "claude-x", "max_tokens": 1, "messages": [USER]}], "anthropic"),
        ([{"model": "x", "max_tokens": 1, "messages": [USER]}], "openai"),
        ([{"model": "claude-x", "messages": [USER]}], "openai"),
        ([{"model": "claude-x", "max_tokens": 1, "messages": [{"role": "system", "content": "s"}]}], "openai"),
        ([{"messages": [USER]}, {"messages": [USER, {"role": "tool", "content": "x"}]}], "openai"),
        ([{"messages": [USER]}, {"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]}], "anthropic"),
        ([{"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}], "anthropic"),
        ([{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}], "openai"),
        ([BATCH], "openai"), ([{**BATCH, "body": {"input": "x"}}], None),
        ([{**BATCH, "body": {"model": "claude-x", "max_tokens": 1, "messages": [USER]}}], "openai"),
        ([{**BATCH, "url": "x", "body": {"system": "s", "messages": [USER]}}], "openai"),
        ([{"custom_id": "a", "params": {"messages": [USER]}}], None),
        ([{"conversations": [{"from": "human", "value": "x"}]}], "sharegpt"),
        ([{"messages": [{**USER, "id": "x"}]}], None),
        ([{"messages": [{**USER, "parts": []}]}], None),
        ([{"messages": [{"role": "human", "content": "x"}]}], None),
        ([{"messages": [{"role": "user", "content": [{"text": "x"}]}]}], None),
        ([{"conversation_id": "a", "messages": [USER]}], None),
        ([{"messages": "x"}], None), ([{"messages": [7]}], None), ([{"messages": []}], None), ([], None),
        ([{"conversations": [{"role": "user", "content": "x"}]}], None),
        ([{"conversations": []}], None), ([{"conversations": [{"from": "human"}, {"from": "gpt", "value": "x"}]}], None),
    ],
)  # fmt: skip
def test_words_that_only_one_of_them_has_decide(objects: list[Any], form: str | None) -> None:
    for data in (jsonl_of(*objects), json.dumps(objects, indent=1).encode()):
        assert form_of(data) == form


def test_a_broken_first_line_hides_nothing() -> None:
    assert form_of(b'{"messages": [{"ro\n' + jsonl_of({"messages": [USER]})) == "openai"


@pytest.mark.parametrize("size", [70_000, 10_000_000])
def test_an_object_that_is_larger_than_what_is_looked_at_is_known(
    tmp_path: Path, size: int
) -> None:
    long = 'x, [{"\\' * (size // 7)
    assert form_of(jsonl_of({"messages": [{"role": "user", "content": long}]})) == "openai"
    image = {"type": "image_url", "image_url": {"url": long}}
    assert form_of(jsonl_of({"messages": [{"role": "user", "content": [image]}]})) == "openai"
    batch = {**BATCH, "body": {"messages": [{"role": "user", "content": long}]}}
    assert form_of(jsonl_of(batch)) == "openai"
    assert form_of(jsonl_of({"conversations": [{"from": "human", "value": long}]})) == "sharegpt"
    assert (
        form_of(jsonl_of({"system": "s", "messages": [{"role": "user", "content": long}]}))
        == "anthropic"
    )


@pytest.mark.parametrize(
    ("said", "misses"),
    [
        ({"messages": [{"content": "x"}]}, "message 1 has no role"),
        ({"messages": [USER, {**USER, "ts": 1}]}, "message 2 has 'ts', which none of OpenAI's has"),
        ({"messages": [USER, {"role": "user", "content": None}, USER]}, "message 2 has no content"),
        ({"system": "s", "messages": [{**USER, "name": "n"}]}, "message 1 has 'name', which none of Anthropic's has"),
        ({"messages": {}}, "its messages are no JSON array"),
        ({"messages": [[]]}, "message 1 is no JSON object"),
        ({"messages": [{"role": "user", "content": [{"type": []}]}]}, "message 1 has content that is neither text nor parts of a type"),
        ({"conversations": [{"from": 1, "value": "x"}]}, "turn 1 has no text 'from'"),
    ],
)  # fmt: skip
def test_what_is_almost_one_says_what_is_missing(said: Any, misses: str) -> None:
    found = dialects.of_head(jsonl_of(said))
    assert found is not None
    assert found.misses == misses
