"""LangChain's history in MongoDB, through every command: read as it is, and written so that
LangChain reads the same. What the real langchain-mongodb says to it is in the tests marked `real`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.backends.mongo.place import Place, placed
from tests.cli.moved import make, run
from tests.cli.test_langchain import LAYOUT, TALK, done, refuses_plans
from tests.layouts.foreign.test_langchain import said
from tests.services.framework import Framework
from tests.services.langchain_mongodb import langchain_mongodb

Read = Callable[[Place, str], list[Any]]


@pytest.fixture
def place(mongo_server: services.Server) -> Iterator[Place]:
    with placed(mongo_server.url) as there:
        yield there


@pytest.fixture
def new(mongo_server: services.Server) -> Iterator[Place]:
    """Another database."""
    with placed(mongo_server.url) as there:
        yield there


def store(place: Place, talks: dict[str, Any], collection: str = "message_store") -> str:
    """A collection as LangChain makes it; the URL of its database."""
    documents = [
        {"SessionId": name, "History": json.dumps(each)} for name, talk in talks.items() for each in talk
    ]  # fmt: skip
    place.database[collection].insert_many(documents)
    place.database[collection].create_index("SessionId")
    return place.cli_url


def stored(place: Place, session: str) -> list[Any]:
    """What LangChain would read of a session. It does not sort; mongo-java-server gives what is
    written next the place of what was deleted, which MongoDB does not."""
    found = place.database["message_store"].find({"SessionId": session}).sort("_id")
    return [json.loads(each["History"]) for each in found]


def state(place: Place) -> Any:
    return {
        name: ([*place.database[name].find()], place.database[name].index_information())
        for name in sorted(place.database.list_collection_names())
    }


def test_it_is_found_and_read_by_every_command_and_left_as_it_was(place: Place) -> None:
    url = store(place, {"a": TALK, "b:1/ü": TALK[:2]})
    before = state(place)
    assert done("ls", "-p", url).splitlines() == ["a", "b:1/ü"]
    assert [each["messages"] for each in json.loads(done("ls", "--json", "-p", url))] == [8, 2]
    assert "Grüße" in done("show", "a", "-p", url)
    assert len(json.loads(done("show", "a", "--last", "3", "--json", "-p", url))) == 3
    assert "a\t" in done("search", "brief", "-p", url)
    assert "messages\t10" in done("stats", "-p", url)
    assert "be brief" in done("context", "a", "-p", url)
    assert done("summarize", "a", "--max-messages", "2", "-p", url)
    assert done("export", "-p", url).count("\n") == 10
    assert run("check", url).exit_code == 0
    assert f"layout langchain, collection {place.name}.message_store" in done("profile", "test", url)  # fmt: skip
    assert state(place) == before


def journey(tmp_path: Path, place: Place, new: Place, read: Read) -> None:
    """Through other stores and back, trimmed, deleted, replaced, and undone."""
    url, own, named = place.cli_url, tmp_path / "chat.db", f"{new.cli_url}{LAYOUT}"
    talk = read(place, "a")
    assert len(talk) == len(TALK)
    done("migrate", url, own)
    done("check", url, own)
    done("migrate", own, named)
    done("check", url, new.cli_url)
    assert read(new, "a") == talk
    assert read(new, "b") == read(place, "b")
    done("clear", "a", "--keep-last", "3", "--yes", "-p", named)
    assert read(new, "a") == talk[-3:]
    done("add", "a", "later", "-p", named)
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    done("clear", "b", "--yes", "-p", named)
    assert read(new, "b") == []
    done("undo", "-p", named)
    assert read(new, "b") == read(place, "b")
    done("summarize", "a", "--replace", "--max-messages", "4", "--yes", "-p", named)
    assert read(new, "a")[-5:-1] != talk[-5:-1]
    assert read(new, "a")[-3:-1] == talk[-2:]
    done("undo", "-p", named)
    assert read(new, "a")[:-1] == talk
    assert run("check", url, new.cli_url).stdout.startswith("> a")


def test_its_way_through_other_stores_and_back(tmp_path: Path, place: Place, new: Place) -> None:
    store(place, {"a": TALK, "b": TALK[:2]})
    journey(tmp_path, place, new, stored)
    assert new.database.list_collection_names() == ["message_store"]
    assert {"_id", "SessionId", "History"} == {
        key for each in new.database["message_store"].find() for key in each
    }


def test_what_is_written_must_be_named(tmp_path: Path, place: Place) -> None:
    url = store(place, {"a": TALK})
    before = state(place)
    own = make(tmp_path / "chat.db", {"b": ["x"]})
    for command in (
        ("add", "a", "x", "-p", url), ("clear", "a", "--yes", "-p", url), ("migrate", own, url),
        ("summarize", "a", "--replace", "--max-messages", "2", "--yes", "-p", url),
    ):  # fmt: skip
        result = run(*command)
        assert result.exit_code == 2, command
        assert "--layout langchain;" in result.stderr
    refuses_plans(own, url, "langchain")
    assert state(place) == before
    done("profile", "add", "lc", f"{url}{LAYOUT}")
    done("add", "a", "y", "-p", "lc")
    assert [each["data"]["content"] for each in stored(place, "a")[-1:]] == ["y"]


def test_of_several_collections_one_must_be_chosen(place: Place) -> None:
    store(place, {"a": TALK})
    url = store(place, {"b": TALK[:1]}, "Other store")
    for command in (("ls",), ("show", "a"), ("export",), ("stats",)):
        result = run(*command, "-p", url)
        assert result.exit_code == 2
        assert "?layout=langchain&collection_name=message_store" in result.stderr
        assert "?layout=langchain&collection_name=Other%20store" in result.stderr
    other = f"{url}?collection_name=Other%20store"
    assert done("ls", "-p", other) == "b\n"
    assert run("add", "b", "x", "-p", other).exit_code == 2
    done("clear", "b", "--yes", "-p", f"{other}&layout=langchain")
    assert "brought back 1 conversation, 1" in run("undo", "-p", f"{other}&layout=langchain").stderr
    assert done("ls", "-p", other) == "b\n"


def test_beside_our_own_documents_it_is_another_store(place: Place) -> None:
    url = place.cli_url
    done("add", "ours", "x", "-p", url)
    done("add", "theirs", "y", "-p", f"{url}{LAYOUT}")
    result = run("ls", "-p", url)
    assert result.stdout == "ours\n"
    assert "other layouts' conversations (message_store: ?layout=langchain)" in result.stderr
    result = run("ls", "-p", f"{url}{LAYOUT}")
    assert (result.stdout, result.stderr) == ("theirs\n", "")


def test_a_record_that_cannot_be_read_hides_nothing_and_one_of_nobody_is_named(
    tmp_path: Path, place: Place
) -> None:
    url = store(place, {"a": TALK[:2], "b": TALK[:1]})
    documents = place.database["message_store"]
    first = documents.find_one({"SessionId": "a"})
    assert first is not None
    documents.update_one({"_id": first["_id"]}, {"$set": {"History": '{"type": oops'}})
    documents.insert_one({"History": "{}"})
    result = run("show", "a", "-p", url)
    assert result.exit_code == 6
    assert str(first["_id"]) in result.stderr
    assert "Grüße" in result.stdout
    result = run("ls", "-p", url)
    assert result.exit_code == 6
    assert result.stdout == "a\nb\n"
    assert "its SessionId is missing" in result.stderr
    assert run("migrate", url, tmp_path / "chat.db").exit_code == 6
    assert done("ls", "-p", tmp_path / "chat.db") == "b\n"


def test_what_would_not_come_back_is_not_removed(place: Place) -> None:
    url = store(place, {"a": TALK})
    place.database["message_store"].update_one({}, {"$set": {"rating": 5}})
    result = run("clear", "a", "--yes", "-p", f"{url}{LAYOUT}")
    assert result.exit_code != 0
    assert "rating" in result.stderr
    assert len(stored(place, "a")) == len(TALK)
    done("add", "a", "x", "-p", f"{url}{LAYOUT}")


def test_where_a_unique_index_may_refuse_what_comes_back_it_is_not_removed(place: Place) -> None:
    url = store(place, {"a": TALK})
    place.database["message_store"].create_index(
        [("SessionId", 1), ("History", 1)], name="once", unique=True
    )
    done("add", "a", "x", "-p", f"{url}{LAYOUT}")
    result = run("add", "a", "x", "-p", f"{url}{LAYOUT}")
    assert result.exit_code == 1
    assert "does not take it" in result.stderr
    for command in ("clear", "a", "--yes"), ("clear", "a", "--keep-last", "1", "--yes"):
        result = run(*command, "-p", f"{url}{LAYOUT}")
        assert result.exit_code != 0
        assert "a unique index (once): it may not take all of it back" in result.stderr
        assert len(stored(place, "a")) == len(TALK) + 1
    done("clear", "a", "--yes", "--no-backup", "-p", f"{url}{LAYOUT}")
    assert stored(place, "a") == []


def test_what_langchain_would_refuse_is_named(tmp_path: Path, place: Place) -> None:
    own = make(tmp_path / "chat.db", {"good": ["x"]})
    done("add", "bad", "no call", "--role", "tool", "-p", own)
    result = run("migrate", own, f"{place.cli_url}{LAYOUT}")
    assert result.exit_code == 6
    assert "tool_call_id" in result.stderr
    assert done("ls", "-p", place.cli_url) == "good\n"


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[Framework]:
    with langchain_mongodb() as running:
        yield running


@pytest.mark.real
def test_the_real_langchain_reads_the_same_after_every_step(
    tmp_path: Path, place: Place, new: Place, real: Framework, mongo_server: services.Server
) -> None:
    if "mongo-java-server" in mongo_server.what:
        pytest.skip("mongo-java-server gives what is written next the place of what was deleted")
    for session, talk in (("a", TALK), ("b", TALK[:2])):
        real.ask("add", url=place.url, database=place.name, session=session, messages=talk)
    assert stored(place, "a") == TALK
    journey(
        tmp_path, place, new,
        lambda at, name: real.ask("read", url=at.url, database=at.name, session=name),
    )  # fmt: skip


@pytest.mark.real
def test_the_real_langchain_writes_beside_us(place: Place, real: Framework) -> None:
    where = {"url": place.url, "database": place.name, "session": "a"}
    named = f"{place.cli_url}{LAYOUT}"
    done("add", "a", "ours", "-p", named)
    for n in range(3):
        real.ask("add", messages=[said("human", content=f"theirs {n}")], **where)
        done("add", "a", f"ours {n}", "-p", named)
    contents = [each["data"]["content"] for each in real.ask("read", **where)]
    assert contents == ["ours", "theirs 0", "ours 0", "theirs 1", "ours 1", "theirs 2", "ours 2"]
    found = json.loads(done("show", "a", "--json", "-p", named))
    assert sorted(each["content"] for each in found) == sorted(contents)
