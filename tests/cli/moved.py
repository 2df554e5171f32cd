"""What the tests of migrate, import, export and check share."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from synmem.backends import open_store
from synmem.cli.app import app
from synmem.messages import Conversation, Message
from synmem.store import Part


def run(*arguments: Any, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)


def make(path: Path, said: Mapping[str, Sequence[str]], **own: Any) -> Path:
    """An SQLite store in which these conversations say this."""

    async def main() -> None:
        async with open_store("sqlite", {"db_path": str(path)}, write=True) as store:
            for name, texts in said.items():
                messages = [Message("user", text) for text in texts]
                await store.append([Part(Conversation(name, **own), messages)])

    asyncio.run(main())
    return path


def said(path: Path) -> dict[str, list[str]]:
    """What is said in a store, by conversation."""
    return {
        each["conversation_id"]: [message["content"] for message in each["messages"]]
        for each in exported(path)
    }


def exported(place: Path) -> list[dict[str, Any]]:
    """Every conversation of a place, as it is exported."""
    result = run("export", "-p", place, "--json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def check_copy(place: Path, own: Path) -> None:
    """All of a place can be brought into a store of our own."""
    for command in ("migrate", "check"):
        result = run(command, place, own)
        assert result.exit_code == 0, result.stderr
    assert said(own) == said(place)


def lines(said: Mapping[str, Sequence[str]]) -> bytes:
    """The same as JSON Lines."""
    return b"".join(
        json.dumps({"conversation_id": name, "role": "user", "content": text}).encode() + b"\n"
        for name, texts in said.items()
        for text in texts
    )
