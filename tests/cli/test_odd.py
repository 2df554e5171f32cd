"""Odd records on every server, under every command: see `odd.py`. For SQLite: `test_odd_rows.py`."""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import bson
import pymongo
import pytest
import redis
from bson import Decimal128, Int64, ObjectId
from pymongo.errors import PyMongoError

from tests.backends.dynamodb.place import client
from tests.cli.moved import lines, run
from tests.cli.odd import SOUND, nothing_is_hidden
from tests.cli.places import BACKENDS, Places

Laid = tuple[list[str], list[str]]
"""The ids that odd records could be known by, and the marks that are in them."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_store_without_odd_records_passes(places: Places, backend: str, tmp_path: Path) -> None:
    place = places.new(backend)
    assert run("import", "-p", place, stdin=lines(SOUND)).exit_code == 0
    nothing_is_hidden(place, tmp_path, odd=["nobody"])


def _query(place: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(place).query).items()}


def _values(dice: random.Random) -> list[Any]:
    return [
        None, True, 5, 5.5, "text", "", "\0\x01\u202e", [], ["text", 5], [["text"]], {}, {"a": 1},
        2**62, float("nan"), float("inf"), -1e300, dice.random(), dice.randrange(-(2**60), 2**60),
    ]  # fmt: skip


# --- MongoDB ----------------------------------------------------------------------------------


def _bson(dice: random.Random) -> list[Any]:
    return [
        *_values(dice), ObjectId(), datetime.now(UTC), b"\0\xff", Int64(7), Decimal128("7.5"),
        Decimal128("NaN"), Decimal128("9E6000"), bson.Regex("a("), bson.Timestamp(1, 1),
        bson.MinKey(), bson.MaxKey(), bson.Code("x"),
    ]  # fmt: skip


def _odd_documents(dice: random.Random, number: int) -> list[dict[str, Any]]:
    """Documents in which this and that is of another type; a mark in each."""
    sessions = [f"odd-{n}" for n in range(number)]
    found = []
    for n, session in enumerate(sessions):
        document: dict[str, Any] = {
            "_id": f"odd:{n}", "session_id": session, "n": 1, "role": "user", "content": f"mark<{n}>"
        }  # fmt: skip
        fields = [*document, "metadata", "tool_calls", "parts", "extra", "name", "created_at"]
        fields += ["created_us", "carried", "another"]
        for field in dice.sample(fields[1:], dice.choice([1, 1, 2])):
            document[field] = dice.choice(_bson(dice))
            if field not in ("session_id", "n") and dice.random() < 0.2:
                del document[field]
        if n % 7 == 0:
            document["session_id"] = [dice.choice(["sound-1", session]), 5]
        if n % 11 == 0:
            document["n"] = [1, 2]
        found.append({**document, "tag": f"mark<{n}>"})
    return found


def _lay_mongo(place: str, dice: random.Random) -> Laid:
    with pymongo.MongoClient[Any](place.partition("?")[0]) as raw:
        database = raw[_query(place)["db_name"]]
        documents = _odd_documents(dice, 60)
        for document in documents:
            with contextlib.suppress(PyMongoError):  # the index, or what this server does not hold
                database["conversations"].insert_one(document)
        there = {each["_id"] for each in database["conversations"].find({}, {"_id": 1})}
        head = {"version": "v", "begins": 1, "low": 1, "skips": [], "recent": ["v"], "steps": []}
        for n, field in enumerate(itertools.chain(head, ("notes", "title", "extra", "gone"))):
            session = f"headed-{n}"
            database["conversations"].insert_one(
                {"session_id": session, "n": 1, "role": "user", "content": f"mark<h{n}>"}
            )
            broken = {**head, field: dice.choice(_values(dice)[1:])}
            with contextlib.suppress(PyMongoError):
                database["conversations_meta"].insert_one({"_id": session, **broken})
    ids = [f"{name}-{n}" for name, many in (("headed", 10), ("odd", 60)) for n in range(many)]
    marks = [each["tag"] for each in documents if each["_id"] in there]
    return dice.sample(ids, 7), [*marks, *(f"mark<h{n}>" for n in range(10))]


# --- Redis --------------------------------------------------------------------------------------


def _odd_items(dice: random.Random, mark: str) -> bytes:
    item: dict[str, Any] = {"role": "user", "content": mark, "metadata": {}, "another": 1}
    for field in dice.sample([*item], dice.choice([1, 2])):
        item[field] = dice.choice(_values(dice))
        if dice.random() < 0.2:
            del item[field]
    whole = json.dumps({**item, "tag": mark}).encode()
    deep = b"[" * 100_000 + mark.encode() + b"]" * 100_000
    return dice.choice(
        [
            whole,
            whole,
            whole,
            whole[:-3],
            whole + b"\xff",
            mark.encode(),
            deep,
            b'["%s"]' % whole[:9],
        ]
    )


def _lay_redis(place: str, dice: random.Random) -> Laid:
    prefix, ids, marks = _query(place)["prefix"].encode(), [], []
    with redis.Redis.from_url(place.partition("?")[0]) as raw:
        index = prefix + b"conversations"
        raw.sadd(index, b"not-\xff-utf8", b"", b"a-ghost", "\u202e\0\n", b"x" * 2000)
        raw.rpush(prefix + b"bad-\xff:messages", b"mark<bad>")
        raw.rpush(prefix + b":messages", b"mark<empty>")
        for n in range(30):
            ids.append(f"odd-{n}")
            key = prefix + ids[-1].encode() + b":messages"
            items = [_odd_items(dice, f"mark<{n}.{at}>") for at in range(dice.choice([1, 3]))]
            kind = n if n < 5 else 5 + n % 2
            match kind:
                case 0:
                    raw.set(key, "mark<s>")
                case 1:
                    raw.hset(key, "mark<h>", "x")
                case 2:
                    raw.sadd(key, "mark<set>")
                case 3:
                    raw.zadd(key, {"mark<z>": 1})
                case 4:
                    raw.xadd(key, {"mark": "x"})
                case _:
                    raw.rpush(key, *items)
                    marks += [f"mark<{n}.{at}>" for at in range(len(items))]
            if n % 2:
                raw.sadd(index, ids[-1])
            beside = prefix + ids[-1].encode() + b":synmem"
            if n % 3 == 0:
                raw.hset(beside, "title", dice.choice(["no", "5", "[", b"\xff", "null", '"ok"']))
                raw.hset(beside, "note:summary", dice.choice(["no", "5", "[]", b"\xff", "{}"]))
            elif n % 7 == 0:
                raw.set(beside, "another program's")
    return dice.sample(ids, 7), [*marks, "mark<bad>", "mark<empty>"]


# --- PostgreSQL and DynamoDB --------------------------------------------------------------------


def _begun(place: str, many: int) -> tuple[list[str], list[str]]:
    """Conversations of one message each, and the marks in these."""
    ids = [f"odd-{n}" for n in range(many)]
    said = {each: [f"mark<first-{n}>"] for n, each in enumerate(ids)}
    assert run("import", "-p", place, stdin=lines(said)).exit_code == 0
    return ids, [texts[0] for texts in said.values()]


_JSONB = ["5", '"text"', "null", "[]", "[5]", "{}", '{"a": 1e400}', '[{"a": []}]', '{"synmem": 5}']
_SQL: dict[str, list[str]] = {
    "role": ["''", "NULL", "'human'", "E'\\n'"],
    "metadata": [f"'{each}'" for each in _JSONB],
    "tool_calls": [f"'{each}'" for each in _JSONB],
    "parts": [f"'{each}'" for each in _JSONB],
    "extra": [f"'{each}'" for each in _JSONB],
    "created_at": ["'infinity'", "'-infinity'", "'4000-01-01 BC'", "'20000-01-01'"],
    "carried": ["'no'", "'5'", "'{}'", "'{\"content\": 5}'", "'{\"nope\": 1}'", "''"],
    "theirs": ["ARRAY[1, NULL]", "NULL"],
    "id": ["-9223372036854775808", "9223372036854775000", "0"],
    "session_id": ["''", "repeat('x', 2000)", "E'\\x10'", "E'a\\x10Q'"],
}


def _lay_postgres(place: str, dice: random.Random) -> Laid:
    ids, marks = _begun(place, 40)
    statements = ["ALTER TABLE {t} ALTER role DROP NOT NULL, ADD theirs int[]"]
    for n, session in enumerate(ids):
        values = {"session_id": f"'{session}'", "role": "'user'", "content": f"'mark<{n}>'"}
        for column in dice.sample([*_SQL], dice.choice([1, 2])):
            values[column] = dice.choice(_SQL[column])
        names = ", ".join(values)
        statements.append(
            f"INSERT INTO {{t}} ({names}) VALUES ({', '.join(values.values())}) "
            "ON CONFLICT DO NOTHING"
        )
        if n % 4 == 0:
            beside = dice.choice(["no", "5", "[", "null", '"ok"'])
            for name in ("title", "note:summary"):
                statements.append(
                    f"INSERT INTO {{t}}_meta VALUES ('{session}', '{name}', '{beside}')"
                )
    _sql(place, *statements)
    marks += [content for (content,) in _sql(place, "SELECT content FROM {t} WHERE id IS NOT NULL")]
    return dice.sample(ids, 5), [mark for mark in marks if mark.startswith("mark")]


def _attributes(dice: random.Random) -> dict[str, Any]:
    return dice.choice(
        [
            {"S": "text"}, {"S": ""}, {"N": "5"}, {"N": "0.1234567890123456789"}, {"N": "1E+100"},
            {"B": b"\0\xff"}, {"BOOL": True}, {"NULL": True}, {"M": {}}, {"L": []}, {"SS": ["a"]},
            {"M": {"a": {"N": "1.5"}}}, {"L": [{"S": "a"}, {"B": b"x"}]}, {"NS": ["1"]},
        ]
    )  # fmt: skip


def _lay_dynamodb(place: str, dice: random.Random) -> Laid:
    ids, marks = _begun(place, 14)
    url, table = _query(place)["endpoint_url"], urlsplit(place).path.strip("/")
    with client(url) as boto:
        for n, session in enumerate(ids):
            item: dict[str, Any] = {"role": {"S": "user"}, "content": {"S": f"mark<{n}>"}}
            fields = [*item, "metadata", "tool_calls", "parts", "extra", "name", "created_at"]
            fields += ["carried", "call", "i", "another"]
            for field in dice.sample(fields, dice.choice([1, 2])):
                item[field] = _attributes(dice)
            number = dice.choice(["2", "2.5", "-3", "7E+20", "99999999999999999999999999999999"])
            key = {"session_id": {"S": session}, "n": {"N": number}}
            boto.put_item(TableName=table, Item={**item, **key, "tag": {"S": f"mark<{n}>"}})
            marks.append(f"mark<{n}>")
            if n % 2:
                head = ["version", "begins", "skip_from", "above", "steps", "title", "extra"]
                boto.update_item(
                    TableName=table,
                    Key={"session_id": {"S": session}, "n": {"N": str(-(10**37))}},
                    UpdateExpression="SET #f = :v",
                    ExpressionAttributeNames={"#f": head[n // 2 % 7]},
                    ExpressionAttributeValues={":v": _attributes(dice)},
                )
    return dice.sample(ids, 2), marks


LAY: dict[str, Callable[[str, random.Random], Laid]] = {
    "mongo": _lay_mongo,
    "redis": _lay_redis,
    "postgres": _lay_postgres,
    "dynamodb": _lay_dynamodb,
}


def _odd(places: Places, backend: str, folder: Path, seed: int) -> None:
    place = places.new(backend)
    assert run("import", "-p", place, stdin=lines(SOUND)).exit_code == 0
    ids, marks = LAY[backend](place, random.Random(seed))
    nothing_is_hidden(place, folder, odd=ids, marks=marks)


@pytest.mark.parametrize("backend", LAY)
def test_what_is_odd_is_named_and_hides_nothing(
    places: Places, backend: str, tmp_path: Path
) -> None:
    _odd(places, backend, tmp_path, 0)


@pytest.mark.real
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("backend", LAY)
def test_what_is_odd_is_named_and_hides_nothing_often(
    places: Places, backend: str, tmp_path: Path, seed: int
) -> None:
    _odd(places, backend, tmp_path, seed)


# --- what was seen ------------------------------------------------------------------------------


def _mongo(places: Places, *documents: dict[str, Any]) -> tuple[str, Callable[[], list[Any]]]:
    """A place with the sound conversations and these documents; what the latter are now."""
    place = places.new("mongo")
    assert run("import", "-p", place, stdin=lines(SOUND)).exit_code == 0

    def collection(raw: pymongo.MongoClient[Any]) -> Any:
        return raw[_query(place)["db_name"]]["conversations"]

    def others() -> list[Any]:
        with pymongo.MongoClient[Any](place.partition("?")[0]) as raw:
            return list(collection(raw).find({"mine": True}, {"mine": 0}).sort("_id", 1))

    with pymongo.MongoClient[Any](place.partition("?")[0]) as raw:
        for document in documents:
            said = {"role": "user", "content": "x", "mine": True}
            collection(raw).insert_one({**said, **document})
    return place, others


STRANGE = ("a\x10Q", "\x10", "b\x10")
"""Texts that no id is stored as: U+0010 stands in them otherwise than behind our own hand."""


def _strange_postgres(places: Places) -> tuple[str, int]:
    place = places.new("postgres")
    assert run("import", "-p", place, stdin=lines(SOUND)).exit_code == 0
    for text in STRANGE:
        values = f"(U&'{text.replace(chr(16), chr(92) + '0010')}', 'user', 'theirs')"
        _sql(place, f"INSERT INTO {{t}} (session_id, role, content) VALUES {values}")
    return place, len(STRANGE)


def _strange_mongo(places: Places) -> tuple[str, int]:
    place, others = _mongo(places, *({"session_id": text, "n": 1} for text in STRANGE))
    with pymongo.MongoClient[Any](place.partition("?")[0]) as raw:
        collection = raw[_query(place)["db_name"]]["conversations"]
        nul = {"session_id": "a\0b", "n": 1, "role": "user", "content": "x", "mine": True}
        with contextlib.suppress(PyMongoError):  # not every server takes it
            collection.insert_one(nul)
    return place, len(others())


@pytest.mark.parametrize("make", [_strange_postgres, _strange_mongo])
def test_an_id_that_is_none_as_we_store_it_is_named(
    places: Places, make: Callable[[Places], tuple[str, int]], tmp_path: Path
) -> None:
    place, count = make(places)
    for command in (["check", place], ["export", "-p", place], ["migrate", place, tmp_path / "x"]):
        result = run(*command)
        assert result.exit_code == 6, (command, result.output)
        assert result.stderr.count(" stray: ") == count, result.output
    listed = run("ls", "--json", "-p", place)
    assert [each["conversation_id"] for each in json.loads(listed.stdout)] == [*SOUND]
    assert listed.exit_code == (0 if "mongo" in place else 6)
    assert run("clear", "--match", "*", "-p", place, "--yes").exit_code == 0
    assert run("check", place).exit_code == 6


def test_mongo_names_documents_of_no_conversation_and_never_touches_them(places: Places) -> None:
    place, others = _mongo(
        places,
        {"_id": 1, "session_id": 7, "n": 1},
        {"_id": 2, "session_id": ["sound-1", 5], "n": 4},
        {"_id": 3, "session_id": "sound-1", "n": [5, 6]},
        {"_id": 4, "session_id": "sound-1", "n": "6"},
        {"_id": 5, "session_id": "sound-1", "n": 0},
        {"_id": 6, "session_id": None, "n": 1},
    )
    before = others()
    whys = [
        "document 1: stray: its session_id is a number: 7",
        "document 2: stray: its session_id is an array",
        "document 3: stray: its n is an array",
        "document 4: stray: its n is text",
        "document 5: stray: its n is 0: its conversation begins later",
        "document 6: stray: its session_id is missing",
    ]
    for command in (["check", place], ["export", "-p", place]):
        result = run(*command)
        assert result.exit_code == 6, result.output
        assert [why for why in whys if why not in result.stderr] == []
    no_text = [why for why in whys if "session_id" in why]
    for command in (["ls"], ["ls", "--json"], ["stats"], ["search", "soundly"]):
        result = run(*command, "-p", place)
        assert result.exit_code == 6, (command, result.output)
        assert [why for why in no_text if why not in result.stderr] == []
    longer = lines({"sound-1": [*SOUND["sound-1"], "one more"]})
    assert run("import", "-p", place, stdin=longer).exit_code == 0
    assert run("add", "sound-1", "2", "-p", place).exit_code == 0
    shown = run("show", "sound-1", "-p", place, "-f", "json").stdout
    said = [each["content"] for each in json.loads(shown)]
    assert said == [*SOUND["sound-1"], "one more", "2"]
    assert run("clear", "sound-1", "-p", place, "--keep-last", "1", "--yes").exit_code == 0
    assert run("clear", "sound-1", "-p", place, "--yes").exit_code == 0
    assert run("ls", "-p", place).stdout == "sound-2\n"
    assert others() == before


@pytest.mark.parametrize("number", [2**63 - 1, 2.0**63, 1e300])
def test_mongo_writes_nothing_behind_a_number_that_is_the_last(
    places: Places, number: float
) -> None:
    place, others = _mongo(places, {"_id": 1, "session_id": "sound-1", "n": number})
    for command in (["add", "sound-1", "x"], ["clear", "sound-1", "--yes", "--no-backup"]):
        refused = run(*command, "-p", place)
        assert refused.exit_code in (1, 6), refused.output
        assert "nothing can be put behind it" in refused.stderr
    assert len(others()) == 1
    shown = json.loads(run("show", "sound-1", "-p", place, "-f", "json").stdout)
    assert len(shown) == 4
    assert run("clear", "sound-2", "-p", place, "--yes").exit_code == 0


def test_mongo_makes_notes_anew_that_are_none(places: Places) -> None:
    place, _ = _mongo(places)
    with pymongo.MongoClient[Any](place.partition("?")[0]) as raw:
        raw[_query(place)["db_name"]]["conversations_meta"].insert_one(
            {"_id": "sound-1", "notes": "text"}
        )
    how = ["sound-1", "-p", place, "--method", "extractive", "--max-messages", "1"]
    for _ in range(2):
        assert run("summarize", *how).exit_code == 0
    assert "soundly" in run("context", "sound-1", "-p", place, "-f", "text").stdout


# --- PostgreSQL -----------------------------------------------------------------------------------


def _sql(place: str, *statements: str) -> list[Any]:
    """What the last of these statements finds; `{t}` in them is the table's name."""

    async def main() -> list[Any]:
        raw = await asyncpg.connect(_dsn(place))
        try:
            found: list[Any] = []
            for statement in statements:
                found = await raw.fetch(statement.replace("{t}", _query(place)["table"]))
            return found
        finally:
            await raw.close()

    return asyncio.run(main())


def _dsn(place: str) -> str:
    bare, _, query = place.partition("?")
    rest = "&".join(each for each in query.split("&") if not each.startswith("table="))
    return f"{bare}?{rest}" if rest else bare


@pytest.mark.parametrize("many", [1, 150])
def test_postgres_refuses_what_a_sequence_behind_its_table_would_put_first(
    places: Places, many: int
) -> None:
    place = places.new("postgres")
    assert run("import", "-p", place, stdin=lines(SOUND)).exit_code == 0
    _sql(place, "UPDATE {t} SET id = id + 1000")
    longer = lines({"sound-1": [*SOUND["sound-1"], *map(str, range(many))]})
    for command, stdin in ((["add", "sound-1", "new"], None), (["import"], longer)):
        refused = run(*command, "-p", place, stdin=stdin)
        assert refused.exit_code == 1, refused.output
        assert "is behind its table" in refused.stderr
        assert "SELECT setval(" in refused.stderr
    checked = run("check", place)
    assert checked.exit_code == 6
    assert '_seq":sequence' in checked.stderr.replace(": ", ":")
    assert run("export", "-p", place).exit_code == 0
    remedy = refused.stderr.partition("SELECT setval(")[2].partition("{t}))")[0].splitlines()[0]
    _sql(place, "SELECT setval(" + remedy.rstrip(")") + "))")
    assert run("check", place).exit_code == 0
    assert run("import", "-p", place, stdin=longer).exit_code == 0
    assert run("add", "sound-1", "new", "-p", place).exit_code == 0
    shown = json.loads(run("show", "sound-1", "-p", place, "-f", "json").stdout)
    said = [each["content"] for each in shown]
    assert said == [*SOUND["sound-1"], *map(str, range(many)), "new"]


def test_postgres_refuses_an_id_that_is_given_already_with_the_remedy(places: Places) -> None:
    place = places.new("postgres")
    assert run("import", "-p", place, stdin=lines(SOUND)).exit_code == 0
    trim = ["clear", "sound-1", "--yes", "-p", place, "--keep-last"]
    assert run(*trim, "1").exit_code == 0
    assert run("undo", "-p", place).exit_code == 0  # in front of the rest, with lower ids
    assert run(*trim, "2").exit_code == 0
    _sql(place, "SELECT setval('{t}_seq', 1)")
    for command in (["undo"], ["add", "sound-2", "new"]):
        refused = run(*command, "-p", place)
        assert refused.exit_code in (1, 6), refused.output
        assert "is behind its table" in refused.stderr, refused.output
    _sql(place, "SELECT setval('{t}_seq', 100)")
    assert run("undo", "-p", place).exit_code == 0
    shown = json.loads(run("show", "sound-1", "-p", place, "-f", "json").stdout)
    assert [each["content"] for each in shown] == SOUND["sound-1"]


@pytest.mark.parametrize("kind", ["citext", "text COLLATE folding"])
def test_postgres_compares_ids_as_bytes_whatever_their_column_does(
    places: Places, kind: str, tmp_path: Path
) -> None:
    place = places.new("postgres")
    said = {"bob": ["first"], "Bob": ["second"], "alice": ["third"], **SOUND}
    assert run("import", "-p", place, stdin=lines(said)).exit_code == 0
    made = {
        "citext": "CREATE EXTENSION IF NOT EXISTS citext",
        "text COLLATE folding": "CREATE COLLATION IF NOT EXISTS folding "
        "(provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    }
    try:
        _sql(place, made[kind], f"ALTER TABLE {{t}} ALTER session_id TYPE {kind}")
    except asyncpg.PostgresError as error:
        pytest.skip(f"this server has no such type: {error}")
    assert run("ls", "-p", place).stdout.split() == [
        "Bob",
        "alice",
        "bob",
        "sound-1",
        "sound-2",
    ]
    assert run("show", "bob", "-p", place).stdout == "User: first\n"
    assert run("add", "BOB", "other", "-p", place).exit_code == 0
    assert run("import", "-p", place, stdin=lines(said)).exit_code == 0
    cleared = run("clear", "bob", "-p", place, "--yes")
    assert cleared.exit_code == 0, cleared.output
    assert run("undo", "-p", place).exit_code == 0
    assert run("clear", "Bob", "-p", place, "--yes", "--no-backup").exit_code == 0
    assert run("ls", "-p", place).stdout.split() == [
        "BOB",
        "alice",
        "bob",
        "sound-1",
        "sound-2",
    ]
    nothing_is_hidden(place, tmp_path, odd=["Sound-1"])
