"""What apps keep in the tables of a PostgreSQL database, through every command: read as it is,
copied with all that it has, never written; branches; what of it cannot be read."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.cli.moved import make, run
from tests.cli.test_langchain import done
from tests.layouts.test_fixtures import FIXTURES, LOADED

APPS = ("chainlit", "dify", "flowise", "lobechat", "vercel-ai")


class Place:
    """A database of its own, with the tables of a fixture."""

    def __init__(self, url: str, state: Callable[[], Any]) -> None:
        self.url = url
        self.state = state

    def sql(self, statement: str) -> str:
        """Have a statement done; what the server says of it."""

        async def main() -> str:
            connection = await asyncpg.connect(self.url)
            try:
                return str(await connection.execute(statement))
            finally:
                await connection.close()

        return asyncio.run(main())

    def free(self) -> None:
        """Have rows stay without those that they name, and columns without a value."""
        self.sql(
            """DO $$ DECLARE each record; BEGIN
            FOR each IN SELECT conrelid::regclass AS t, conname AS c FROM pg_constraint
                WHERE contype = 'f'
            LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', each.t, each.c); END LOOP;
            FOR each IN SELECT attrelid::regclass AS t, attname AS c FROM pg_attribute
                JOIN pg_class ON pg_class.oid = attrelid WHERE attnotnull AND attnum > 0
                AND relkind = 'r' AND relnamespace = 'public'::regnamespace AND attname <> 'id'
                AND NOT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = attrelid AND indisprimary
                    AND attnum = ANY (indkey))
            LOOP EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', each.t, each.c);
            END LOOP; END $$"""
        )

    def listed(self, *more: str) -> Mapping[str, int]:
        """How many messages each conversation has."""
        found = json.loads(done("ls", "--json", "-p", self.url, *more))
        return {each["conversation_id"]: each["messages"] for each in found}


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Of the app that the test names."""
    name = f"{request.param}-postgres"
    with LOADED["postgres"](FIXTURES / name / f"{name}.sql", request) as (url, state):
        yield Place(url, state)


@pytest.mark.parametrize("place", APPS, indirect=True)
def test_it_is_found_and_read_by_every_command_and_left_as_it_was(place: Place) -> None:
    before, found = place.state(), place.listed()
    for conversation, count in found.items():
        assert len(json.loads(done("show", conversation, "--json", "-p", place.url))) == count
    assert done("search", "Grüße", "-p", place.url)
    assert f"messages\t{sum(found.values())}" in done("stats", "-p", place.url)
    assert done("export", "-p", place.url)
    longest = max(found, key=found.__getitem__)
    assert done("summarize", longest, "--max-messages", "2", "-p", place.url)
    assert ", layout " in done("profile", "test", place.url)
    assert run("check", place.url).exit_code == 0
    assert place.state() == before


@pytest.mark.parametrize(
    ("place", "loses", "named"),
    [
        ("chainlit", "DELETE FROM threads", "steps of threadId "),
        ("chainlit", 'UPDATE steps SET "threadId" = NULL', "its threadId is NULL"),
        ("dify", "DELETE FROM conversations", "messages of conversation_id "),
        ("dify", "UPDATE messages SET conversation_id = NULL", "its conversation_id is NULL"),
        ("flowise", 'UPDATE chat_message SET "chatId" = NULL, "sessionId" = NULL', "is NULL"),
        ("lobechat", "DELETE FROM topics", "messages of topic_id "),
        ("vercel-ai", 'DELETE FROM "Chat"', "Message_v2 of chatId "),
    ],
    indirect=["place"],
)
def test_what_belongs_to_no_conversation_is_named(
    place: Place, loses: str, named: str, tmp_path: Path
) -> None:
    place.free()
    place.sql(loses)
    for command in (("ls", "-p", place.url), ("check", place.url), ("export", "-p", place.url)):
        result: Any = run(*command)
        assert result.exit_code == 6, result.stderr
        assert "stray: " in result.stderr
        assert named in result.stderr
    assert run("migrate", place.url, tmp_path / "ours.db").exit_code == 6


@pytest.mark.parametrize("place", APPS, indirect=True)
def test_it_is_copied_with_all_that_it_has_and_not_written(place: Place, tmp_path: Path) -> None:
    own, before = tmp_path / "own.db", place.state()
    done("migrate", place.url, own)
    done("check", place.url, own)
    assert json.loads(done("export", "--json", "-p", own)) == json.loads(
        done("export", "--json", "-p", place.url)
    )
    some, other = next(iter(place.listed())), make(tmp_path / "chat.db", {"b": ["x"]})
    for command in (
        ("add", "a", "x", "-p", place.url),
        ("clear", some, "--yes", "-p", place.url),
        ("migrate", other, place.url),
    ):
        result = run(*command)
        assert result.exit_code != 0
        assert "can be read, not written" in result.stderr
    assert place.state() == before


@pytest.mark.parametrize("place", ["dify"], indirect=True)
def test_other_branches_are_counted_and_given_where_they_are_asked_for(
    place: Place, tmp_path: Path
) -> None:
    trunk = "dcd853d6-ea93-4e61-8c10-5ca9c998b561"
    branch = f"{trunk}#239f88d7-6737-4123-9266-4eb4cd14969c"
    result = run("show", trunk, "-p", place.url)
    assert "Blue" in result.stdout
    assert "Red" not in result.stdout
    assert branch not in place.listed()
    assert place.listed("--branches")[branch] == 2
    assert "Red" in done("show", branch, "-p", place.url)
    assert "--branches" in run("migrate", place.url, tmp_path / "own.db").stderr


@pytest.mark.parametrize(
    ("place", "spoil", "conversation"),
    [
        ("flowise", "UPDATE chat_message SET \"usedTools\" = '5' WHERE content LIKE 'line1%'", "a6657129"),
        ("lobechat", "UPDATE messages SET tools = '{}' WHERE content LIKE 'line1%'", "tpc_91ca2eba2813"),
        ("vercel-ai", "UPDATE \"Message_v2\" SET parts = '5' WHERE parts::text LIKE '%line1%'", "4ea2b990"),
    ],
    indirect=["place"],
)  # fmt: skip
def test_what_cannot_be_read_is_named_and_hides_no_other(
    place: Place, spoil: str, conversation: str, tmp_path: Path
) -> None:
    count = len(place.listed())
    assert place.sql(spoil) == "UPDATE 1"
    assert len(place.listed()) == count
    for command in (("check", place.url), ("export", "-p", place.url, "-o", tmp_path / "x.jsonl")):
        result: Any = run(*command)
        assert result.exit_code == 6, result.stderr
        assert conversation in result.stdout + result.stderr
