"""What those who train models read our exports with: datasets, TRL, DuckDB, pandas."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from synmem.formats import open_writer
from synmem.messages import Conversation, Message
from tests.formats.test_formats import written
from tests.services import framework

AT = datetime(2026, 11, 21, 6, 0, 0, 123456, tzinfo=UTC)
CALL = {"id": "c1", "name": "f", "arguments": {"n": 1}}
TALK = [
    (Conversation("a"), [
        Message("system", "s"), Message("user", "q é 👋🏽", {"n": 1}, AT), Message("assistant", "", tool_calls=[CALL]),
        Message("tool", '{"r": 1}', tool_call_id="c1"), Message("assistant", "a"),
    ]),
    (Conversation("b"), [Message("user", "x\n\u2028"), Message("assistant", "y")]),
]  # fmt: skip

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def readers() -> Iterator[framework.Framework]:
    packages = ("datasets==5.2.0", "duckdb==2.0.1", "pandas==3.1.1", "transformers==5.24.0")
    alone = ("trl==1.16.0", "accelerate==1.15.0")
    with framework.running(
        packages, "data_sets_program.py", alone=alone, HF_HUB_OFFLINE="1"
    ) as running:
        yield running


def conversations(readers: framework.Framework, form: str, tmp_path: Path) -> Any:
    file = tmp_path / "train.jsonl"
    file.write_bytes(written(open_writer(form), TALK))
    return readers.ask("conversations", path=str(file), cache=str(tmp_path / "cache"))


@pytest.mark.parametrize("form", ["openai", "anthropic", "sharegpt"])
def test_data_sets_load_it_and_trl_sees_conversations(
    readers: framework.Framework, form: str, tmp_path: Path
) -> None:
    found = conversations(readers, form, tmp_path)
    assert [is_conversational for _, is_conversational in found] == [True, True]
    roles = [[message["role"] for message in messages] for messages, _ in found]
    assert (
        roles
        == {
            "openai": [["system", "user", "assistant", "tool", "assistant"], ["user", "assistant"]],
            "anthropic": [["user", "assistant", "user", "assistant"], ["user", "assistant"]],
            "sharegpt": [
                ["system", "human", "function_call", "observation", "gpt"],
                ["human", "gpt"],
            ],
        }[form]
    )
    [[first, _], [second, _]] = found
    if form == "openai":
        [call] = first[2]["tool_calls"]
        assert (call["id"], call["function"]) == ("c1", {"name": "f", "arguments": '{"n":1}'})
        assert first[3]["tool_call_id"] == "c1"
    assert [message["content"] for message in second] == ["x\n\u2028", "y"]


def test_parquet_is_read_by_all_of_them(readers: framework.Framework, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    file.write_bytes(written(open_writer("parquet"), TALK))
    found = readers.ask("contents", path=str(file), cache=str(tmp_path / "cache"))
    wanted = [
        [conversation.id, number, message.content]
        for conversation, messages in TALK
        for number, message in enumerate(messages, 1)
    ]
    assert found["pandas"] == found["datasets"] == wanted
    assert found["times"] == [None, AT.isoformat(), *[None] * 5]
    beside = [[None, None], ["2026-11-21T06:00:00.123456", "1"], *[[None, None]] * 5]
    assert found["duckdb"] == [[*one, *other] for one, other in zip(wanted, beside, strict=True)]
