"""The examples in the classes' docstrings, run as they stand."""

import asyncio
import doctest
import importlib
from pathlib import Path
from typing import Any

import pytest

import synmem.memory
from synmem.vectors import VectorStore
from tests.services import unique

NEEDS = {
    "RedisMemory": "redis",
    "RedisConversationMemory": "redis",
    "PostgresMemory": "postgres",
    "MongoMemory": "mongo",
    "DynamoDBMemory": "dynamodb",
}


class InShort:
    async def generate(self, prompt: str) -> str:
        return "in short"


class Names:
    async def generate(self, prompt: str) -> str:
        return "Alice, Paris" if "commas" in prompt else "described"


@pytest.mark.parametrize("name", synmem.memory.__all__)
def test_the_example_of_each_class_runs(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test")
    made = getattr(synmem.memory, name)
    server = request.getfixturevalue(f"{NEEDS[name]}_server").url if name in NEEDS else ""
    names: dict[str, Any] = {
        **{each: getattr(synmem.memory, each) for each in synmem.memory.__all__},
        "asyncio": asyncio, "path": str(tmp_path / "chat.db"), "table": unique(),
        **dict.fromkeys(("url", "dsn", "uri", "endpoint"), server),
        "llm": InShort(), "names": Names(), "vector_store": VectorStore(tmp_path / "v.db"),
    }  # fmt: skip
    module = importlib.import_module(made.__module__)
    (example,) = doctest.DocTestFinder(recurse=False).find(made, name, module=module, globs=names)
    assert example.examples, "no example"
    outcome = doctest.DocTestRunner().run(example)
    assert outcome.failed == 0
