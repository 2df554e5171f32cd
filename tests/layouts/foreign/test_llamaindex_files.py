"""LlamaIndex's SimpleChatStore, as a file and as a text of JSON in a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.cli.moved import run
from tests.layouts.foreign.folders import put, read
from tests.layouts.foreign.wholes import FIXTURES
from tests.layouts.test_detection import fits


def said(content: str) -> dict[str, Any]:
    return {
        "role": "user",
        "additional_kwargs": {},
        "blocks": [{"block_type": "text", "text": content}],
    }


def stored(**store: Any) -> Any:
    return {"store": store, "class_name": "SimpleChatStore"}


def test_the_text_of_a_store_says_the_same_as_the_store() -> None:
    folder = FIXTURES / "llamaindex-simple-json"
    one, other = (
        json.loads(run("export", "-p", str(folder / name), "--json").stdout)
        for name in ("chat_store.json", "chat_store_double.json")
    )
    assert one == other
    assert len(one) == 7


@pytest.mark.parametrize("form", [json.dumps, lambda store: json.dumps(json.dumps(store))])
def test_a_message_that_cannot_be_read_is_named_and_hides_no_other(
    form: Any, tmp_path: Path
) -> None:
    store = stored(a=[said("a"), {"role": 3}, said("b")], b=[said("c")], none=[])
    put(tmp_path, {"s.json": form(store)})
    found = read(tmp_path / "s.json", "a")
    assert [type(each) for each in found] == [Message, Unreadable, Message]
    assert read(tmp_path / "s.json", "b") == [Message("user", "c")]
    assert run("ls", "-p", str(tmp_path / "s.json")).stdout.split() == ["a", "b"]


@pytest.mark.parametrize("form", [json.dumps, lambda store: json.dumps(json.dumps(store))])
def test_what_is_no_list_of_messages_is_named_and_the_rest_is_read(
    form: Any, tmp_path: Path
) -> None:
    put(tmp_path, {"s.json": form(stored(b=[said("c")], a="x"))})
    done = run("check", "-p", str(tmp_path / "s.json"))
    assert done.exit_code == 6
    assert "no list" in done.stdout + done.stderr
    assert read(tmp_path / "s.json", "b") == [Message("user", "c")]


@pytest.mark.parametrize(
    ("store", "is_one"),
    [
        (stored(a=[said("x" * 100_000)]), True),
        ({"store": {"a": [{"role": "user", "content": "x" * 100_000}]}}, True),
        ({"store": {"a": [], "b": [{"role": "user", "content": "x"}]}}, True),
        (stored(), True),
        ({"store": {}}, False),
        ({"store": {"a": [{"x": 1}]}}, False),
        ({"store": [said("x")]}, False),
        ("store", False),
        (json.dumps({"store": 1}), False),
        (json.dumps({"other": {}}), False),
    ],
)
def test_a_store_is_told_by_what_its_conversations_begin_with(
    store: Any, is_one: bool, tmp_path: Path
) -> None:
    put(tmp_path, {"s.json": json.dumps(store)})
    assert fits(tmp_path / "s.json") == ["llamaindex"] * is_one
