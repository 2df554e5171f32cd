"""A title that cannot be read, or where a conversation begins: it is named, it is never lost, and
the other conversations of its store are listed, exported, moved and removed as ever."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pymongo
import pytest
import redis

from tests.backends.dynamodb.place import client
from tests.cli.moved import run
from tests.cli.places import BACKENDS, Places

SAID = {name: [f"{name}: {n}" for n in range(3)] for name in "abc"}
TITLES = {name: f"Title of {name}" for name in SAID}
HEADED = ("mongo", "dynamodb")
"""Where a head says at which message a conversation begins."""


def lines(titles: dict[str, str], said: dict[str, list[str]]) -> bytes:
    """Conversations in the interchange form."""
    found: list[dict[str, str]] = [{"conversation_id": i, "title": t} for i, t in titles.items()]
    for name, texts in said.items():
        found += [{"conversation_id": name, "role": "user", "content": text} for text in texts]
    return b"".join(json.dumps(line).encode() + b"\n" for line in found)


def filled(places: Places, backend: str, said: dict[str, list[str]] = SAID) -> str:
    place = places.new(backend)
    result = run("import", "-p", place, stdin=lines({i: TITLES[i] for i in said}, said))
    assert result.exit_code == 0, result.stderr
    return place


def spoil(place: str, conversation: str, *, field: str = "title") -> None:
    """Make the raw record of its title, or of its head, one that cannot be read; in Redis, which
    has no heads, what lies beside it."""
    parts = urlsplit(place)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    match parts.scheme:
        case "redis":
            with redis.Redis.from_url(place.partition("?")[0]) as raw:
                raw.hset(f"{query['prefix']}{conversation}:synmem", field, "no")
                if field == "head":
                    raw.set(f"{query['prefix']}{conversation}:synmem", "another program's")
        case "postgresql":
            asyncio.run(_spoil_postgres(place, query["table"], conversation, field))
        case "mongodb":
            with pymongo.MongoClient[Any](place.partition("?")[0]) as raw_mongo:
                meta = raw_mongo[query["db_name"]]["conversations_meta"]
                meta.update_one({"_id": conversation}, {"$set": _spoiled(field, "no", 1)})
        case "dynamodb":
            _spoil_dynamodb(query["endpoint_url"], parts.path.strip("/"), conversation, field)
        case _:
            with contextlib.closing(sqlite3.connect(place)) as db:
                where = "conversation_id = ? AND name = ?"
                changed = f"UPDATE messages_meta SET value = 'no' WHERE {where}"
                assert db.execute(changed, (conversation, field)).rowcount == 1
                db.commit()


async def _spoil_postgres(dsn: str, table: str, conversation: str, field: str) -> None:
    raw = await asyncpg.connect(dsn.partition("?")[0] + _without_table(dsn))
    try:
        where = "session_id = $1 AND name = $2"
        changed = f"UPDATE \"{table}_meta\" SET value = 'no' WHERE {where}"
        assert await raw.execute(changed, conversation, field) == "UPDATE 1"
    finally:
        await raw.close()


def _without_table(dsn: str) -> str:
    rest = [each for each in urlsplit(dsn).query.split("&") if not each.startswith("table=")]
    return f"?{'&'.join(rest)}" if rest else ""


def _spoil_dynamodb(url: str, table: str, conversation: str, field: str) -> None:
    values = _spoiled(field, {"S": "no"}, {"N": "1"})
    with client(url) as boto:
        boto.update_item(
            TableName=table,
            Key={"session_id": {"S": conversation}, "n": {"N": str(-(10**37))}},
            UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )


def _spoiled(field: str, no: Any, one: Any) -> dict[str, Any]:
    return {"version": one, "begins": no} if field == "head" else {field: no}


def told(place: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """What is said in a store, and its titles, as far as both can be read."""
    exported = run("export", "-p", place, "-f", "json")
    said, titles = {}, {}
    for each in json.loads(exported.stdout):
        said[each["conversation_id"]] = [m["content"] for m in each["messages"]]
        if each["title"] is not None:
            titles[each["conversation_id"]] = each["title"]
    return said, titles


def without(name: str, of: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in of.items() if key != name}


@pytest.mark.parametrize("backend", BACKENDS)
def test_reading_commands_name_it_and_give_all_the_rest(places: Places, backend: str) -> None:
    place = filled(places, backend)
    spoil(place, "b")
    for form in ("json", "jsonl", "table"):
        listed = run("ls", "-p", place, "-f", form)
        assert listed.exit_code == 6
        assert "b: unreadable: title is not JSON" in listed.stderr
        assert [word in listed.stdout for word in ("Title of a", "b", "Title of c")] == [True] * 3
    assert run("ls", "-p", place).stdout == "a\nb\nc\n"
    exported = run("export", "-p", place)
    assert exported.exit_code == 6
    assert "b: written without: title is not JSON" in exported.stderr
    assert [exported.stdout.count(f'"{i}: ') for i in SAID] == [3, 3, 3]
    assert told(place) == (SAID, without("b", TITLES))
    sound = run("check", place)
    assert (sound.exit_code, sound.stdout[:20]) == (6, "! b  title is not JS")
    assert "3 conversations, 9 messages, 1 unreadable" in sound.stderr
    for command in (["show", "b"], ["search", "b"], ["stats"], ["context", "b"]):
        assert run(*command, "-p", place).exit_code == 0, command


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_moved_without_its_title_and_stays_in_the_source(
    places: Places, backend: str
) -> None:
    place, copy, moved = filled(places, backend), places.new("sqlite"), places.new(backend)
    spoil(place, "b")
    for _ in range(2):
        migrated = run("migrate", place, copy)
        assert migrated.exit_code == 6, migrated.stderr
        assert "b: unreadable: in the source: title is not JSON" in migrated.stderr
        assert told(copy) == (SAID, without("b", TITLES))
        checked = run("check", place, copy)
        assert (checked.exit_code, checked.stdout[:24]) == (6, "! b  in the source: titl")
        assert run("check", place, copy, "--quick").exit_code == 6
    away = run("migrate", place, moved, "--move", "--yes")
    assert away.exit_code == 6, away.stderr
    assert "2 conversations removed from the source" in away.stderr
    assert told(moved) == (SAID, without("b", TITLES))
    assert told(place) == ({"b": SAID["b"]}, {})


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_removed_only_without_a_backup(places: Places, backend: str) -> None:
    place = filled(places, backend)
    spoil(place, "b")
    assert run("clear", "b", "-p", place, "--keep-last", "2", "--yes").exit_code == 0
    cleared = run("clear", "a", "b", "-p", place, "--yes")
    assert cleared.exit_code == 6
    assert "not removed: conversation 'b', title is not JSON" in cleared.stderr
    assert "--no-backup removes it anyway" in cleared.stderr
    assert sorted(told(place)[0]) == ["b", "c"]
    assert run("clear", "b", "-p", place, "--yes", "--no-backup").exit_code == 0
    assert list(told(place)[0]) == ["c"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_in_the_destination_it_stays_as_it_is_and_its_messages_go_on(
    places: Places, backend: str
) -> None:
    source, place = filled(places, "sqlite"), filled(places, backend, {"b": SAID["b"][:1]})
    spoil(place, "b")
    for _ in range(2):
        migrated = run("migrate", source, place)
        assert migrated.exit_code == 6, migrated.stderr
        assert "b: unreadable: in the destination: title is not JSON" in migrated.stderr
        assert told(place) == (SAID, without("b", TITLES))
    other = {**SAID, "b": ["another"], "c": ["another"]}
    replaced = run(
        "migrate", filled(places, "sqlite", other), place, "--on-conflict", "replace", "--yes"
    )
    assert replaced.exit_code == 6, replaced.stderr
    assert "b: unreadable: conversation 'b', in the destination: title" in replaced.stderr
    assert told(place) == ({**SAID, "c": ["another"]}, without("b", TITLES))


@pytest.mark.parametrize("backend", HEADED)
def test_of_one_whose_beginning_is_not_known_nothing_is_shown_or_touched(
    places: Places, backend: str
) -> None:
    place, copy = filled(places, backend), places.new("sqlite")
    for name in SAID:  # trimmed, so that each has a head that hides something
        assert run("clear", name, "-p", place, "--keep-last", "2", "--yes").exit_code == 0
    left = {name: texts[1:] for name, texts in SAID.items()}
    spoil(place, "b", field="head")
    listed = run("ls", "--json", "-p", place)
    assert [each["messages"] for each in json.loads(listed.stdout)] == [2, None, 2]
    assert listed.exit_code == 6
    why = "its head, which says where it begins, cannot be read"
    assert f"b: unreadable: {why}" in listed.stderr
    sound = run("check", place)
    assert (sound.exit_code, sound.stdout.count(why)) == (6, 1)
    for command in (["export", "-p", place], ["show", "b", "-p", place], ["migrate", place, copy]):
        done = run(*command)
        assert (done.exit_code, done.stderr.count(why)) == (6, 1), command
    assert told(place) == told(copy) == (without("b", left), without("b", TITLES))
    cleared = run("clear", "b", "c", "-p", place, "--yes")
    assert (cleared.exit_code, cleared.stderr.count(why)) == (6, 1)
    erased = run("clear", "a", "b", "-p", place, "--yes", "--no-backup")
    assert (erased.exit_code, erased.stderr.count(why)) == (6, 1)
    assert run("ls", "-p", place).stdout == "b\n"
    again = run("migrate", filled(places, "sqlite"), place)
    assert (again.exit_code, again.stderr.count(why)) == (6, 1)
    assert told(place) == (without("b", SAID), without("b", TITLES))


@pytest.mark.parametrize("backend", [*HEADED, "redis"])
def test_what_cannot_be_begun_again_hides_nothing_of_the_same_call(
    places: Places, backend: str
) -> None:
    place = filled(places, backend)
    assert run("clear", "b", "-p", place, "--yes").exit_code == 0
    spoil(place, "b", field="head")  # what a deleted conversation has left
    assert run("ls", "-p", place).stdout == "a\nc\n"
    new = {name: ["anew"] for name in ("b", "d", "e")}
    imported = run("import", "-p", place, stdin=lines({}, new))
    assert imported.exit_code == 6, imported.stderr
    assert "b: unreadable: " in imported.stderr
    assert told(place)[0] == {**without("b", SAID), "d": ["anew"], "e": ["anew"]}


def test_a_receipt_says_that_it_cannot_be_compared(places: Places, tmp_path: Path) -> None:
    dest, receipt = places.new("sqlite"), tmp_path / "receipt.json"
    assert run("migrate", filled(places, "sqlite"), dest, "--receipt", receipt).exit_code == 0
    spoil(dest, "b")
    checked = run("check", dest, "--receipt", receipt)
    assert (checked.exit_code, checked.stdout[:20]) == (6, "! b  title is not JS")


def test_undo_lets_it_be_until_it_is_mended(places: Places) -> None:
    place = filled(places, "sqlite")
    assert run("clear", "a", "b", "-p", place, "--yes").exit_code == 0
    assert run("import", "-p", place, stdin=lines(TITLES, {"b": ["new"]})).exit_code == 0
    spoil(place, "b")
    undone = run("undo")
    assert undone.exit_code == 6
    assert "not brought back: conversation 'b': title is not JSON" in undone.stderr
    assert told(place) == ({**SAID, "b": ["new"]}, without("b", TITLES))
    with contextlib.closing(sqlite3.connect(place)) as db:
        db.execute("DELETE FROM messages_meta WHERE conversation_id = 'b'")
        db.commit()
    assert run("undo").exit_code == 0
    assert told(place) == ({**SAID, "b": [*SAID["b"], "new"]}, TITLES)
