"""LangChain's histories on PostgreSQL, through every command: read as they are, and written so that
LangChain reads the same. What the real LangChain says to it is in the tests marked `real`."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from synmem.layouts.foreign.langchain import SHAPES
from synmem.layouts.shapes import Rows
from tests.backends.postgres.test_foreign_odd import Base, base
from tests.cli.moved import make, run
from tests.cli.test_langchain import TALK, done, refuses_plans
from tests.services.langchain import LangChain, langchain_on_postgres

__all__ = ["base"]  # a fixture

COMMUNITY, UUIDS, ALCHEMY, _JAVASCRIPT = SHAPES["postgres"]
KINDS = {"community": COMMUNITY, "uuids": UUIDS, "sqlalchemy": ALCHEMY}
PLAIN = [each for each in TALK if each["type"] in ("system", "human", "ai", "tool")]


class Table:
    """A table of LangChain's, made as it makes it; sessions are named as the kind of table wants."""

    def __init__(self, base: Base, kind: str) -> None:
        self.base = base
        self.kind = kind
        self.name = "histories"
        self.place = f"{base.url}?table={self.name}"
        self.named = f"{self.place}&layout=langchain"
        shape = KINDS[kind]
        assert isinstance(shape, Rows)
        assert shape.write is not None
        made = [each.replace("{table:idx_*_session_id}", "i") for each in shape.write.schema["postgres"]]  # fmt: skip
        base.run(*(each.format(table=self.name) for each in made), "SELECT")

    def session(self, name: str) -> str:
        return str(uuid5(NAMESPACE_URL, name)) if self.kind == "uuids" else name

    def put(self, talks: dict[str, Sequence[Any]]) -> None:
        for name, talk in talks.items():
            for each in talk:
                self.base.run(
                    f"INSERT INTO {self.name} (session_id, message) VALUES ($1, $2)",
                    values=[self.session(name), json.dumps(each)],
                )

    def stored(self, name: str) -> list[Any]:
        """What LangChain would read of a session."""
        sql = f"SELECT message FROM {self.name} WHERE session_id = $1 ORDER BY id"
        return [json.loads(row[0]) for row in self.base.run(sql, values=[self.session(name)])]


@pytest.fixture(params=KINDS)
def table(base: Base, request: pytest.FixtureRequest) -> Table:
    return Table(base, request.param)


def test_it_is_found_and_read_by_every_command_and_left_as_it_was(table: Table) -> None:
    table.put({"a": TALK, "b": TALK[:2]})
    a, place = table.session("a"), table.base.url
    before = table.base.run(f"SELECT *, xmin FROM {table.name} ORDER BY id")
    assert sorted(done("ls", "-p", place).splitlines()) == sorted([a, table.session("b")])
    assert sum(each["messages"] for each in json.loads(done("ls", "--json", "-p", place))) == 10
    assert "Grüße" in done("show", a, "-p", place)
    assert f"{a}\t" in done("search", "brief", "-p", place)
    assert "messages\t10" in done("stats", "-p", place)
    assert "be brief" in done("context", a, "-p", place)
    assert done("export", "-p", place).count("\n") == 10
    assert run("check", place).exit_code == 0
    told = done("profile", "test", place)
    assert f"layout langchain ({KINDS[table.kind].version}), table histories" in told
    assert table.base.run(f"SELECT *, xmin FROM {table.name} ORDER BY id") == before
    assert len(table.base.run("SELECT FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")) == 1  # fmt: skip


def test_what_is_removed_comes_back_to_its_layout_where_ours_is_there_too(table: Table) -> None:
    table.put({"a": TALK})
    a, url, talk = table.session("a"), table.base.url, table.stored("a")
    done("add", a, "ours", "-p", f"{url}?layout=synmem")
    cleared = run("clear", a, "--yes", "-p", table.named)
    assert run("undo").exit_code == 2  # its address holds a secret
    [told] = re.findall("synmem undo (.+?) -p ADDRESS", cleared.stderr)
    done("undo", told, "-p", url)
    assert table.stored("a") == talk
    assert done("show", a, "-p", url) == "User: ours\n"


def test_nothing_is_planned_in_what_must_be_named(table: Table, tmp_path: Any) -> None:
    table.put({"a": TALK})
    own = make(tmp_path / "chat.db", {"b": ["x"]})
    refuses_plans(own, table.place, "langchain", table.session("a"))
    assert len(table.stored("a")) == len(TALK)


def test_its_way_through_other_stores_and_back(table: Table, tmp_path: Any) -> None:
    table.put({"a": TALK, "b": TALK[:2]})
    own, talk, rest = tmp_path / "chat.db", table.stored("a"), table.stored("b")
    a, b, named = table.session("a"), table.session("b"), table.named
    done("migrate", table.place, own)
    done("check", table.place, own)
    done("clear", a, b, "--yes", "-p", named)
    assert table.stored("a") == []
    done("migrate", own, named)
    done("check", own, table.place)
    assert (table.stored("a"), table.stored("b")) == (talk, rest)
    done("clear", a, "--keep-last", "3", "--yes", "-p", named)
    assert table.stored("a") == talk[-3:]
    done("add", a, "later", "-p", named)
    done("undo", "-p", named)
    assert table.stored("a")[:-1] == talk
    done("clear", b, "--yes", "-p", named)
    assert table.stored("b") == []
    done("undo", "-p", named)
    assert table.stored("b") == rest
    done("summarize", a, "--replace", "--max-messages", "4", "--yes", "-p", named)
    assert table.stored("a")[-3:-1] == talk[-2:]
    done("undo", "-p", named)
    assert table.stored("a")[:-1] == talk
    columns = table.base.run("SELECT count(*) FROM pg_class WHERE relname LIKE '%synmem%'")
    assert columns == [(0,)]


def test_beside_our_own_table_it_is_said_to_be_there(base: Base) -> None:
    table = Table(base, "community")
    done("add", "ours", "x", "-p", f"{base.url}?layout=synmem")
    assert "other layouts" not in run("ls", "-p", f"{table.named}").stderr
    table.put({"theirs": TALK[:1]})
    result = run("ls", "-p", base.url)
    assert result.stdout == "ours\n"
    assert "histories: ?layout=langchain&table=histories" in result.stderr
    assert done("ls", "-p", table.named) == "theirs\n"


def test_what_is_idle_is_cleared_where_rows_have_times(base: Base) -> None:
    table = Table(base, "uuids")
    table.put({"old": TALK[:2], "new": TALK[:2]})
    base.run(f"UPDATE {table.name} SET created_at = now() - interval '40 days' WHERE id <= 2", "SELECT")  # fmt: skip
    done("clear", "--idle", "30d", "--yes", "-p", table.named)
    assert (table.stored("old"), len(table.stored("new"))) == ([], 2)
    done("undo", "-p", table.named)
    assert len(table.stored("old")) == 2
    [(age,)] = base.run(f"SELECT DISTINCT date_part('day', now() - created_at) FROM {table.name} WHERE session_id = '{table.session('old')}'")  # fmt: skip
    assert age == 40


def test_what_it_cannot_hold_is_said_by_name(base: Base, tmp_path: Any) -> None:
    own = make(tmp_path / "chat.db", {"a": ["x", "NUL \0"], str(uuid5(NAMESPACE_URL, "u")): ["y"]})
    table = Table(base, "community")
    result = run("migrate", own, table.named)
    assert result.exit_code == 6, result.stderr
    assert "jsonb cannot hold it" in result.stderr
    base.run("DROP TABLE histories", "SELECT")
    table = Table(base, "uuids")
    result = run("migrate", own, table.named)
    assert result.exit_code == 6, result.stderr
    assert "no UUID" in result.stderr
    assert [each.strip() for each in done("ls", "-p", table.place).splitlines()] == [str(uuid5(NAMESPACE_URL, "u"))]  # fmt: skip


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[LangChain]:
    with langchain_on_postgres() as running:
        yield running


@pytest.mark.real
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_real_one_wrote_is_read_and_what_we_write_it_reads(
    base: Base, real: LangChain, kind: str, tmp_path: Any
) -> None:
    name = str(uuid5(NAMESPACE_URL, "a")) if kind == "uuids" else "a:1/ü"
    where = {"kind": kind, "url": base.url, "session": name, "table": "message_store"}
    real.ask("add", messages=TALK, **where)
    before = real.ask("read", **where)
    assert before == TALK
    shown = json.loads(done("show", name, "--json", "-p", base.url))
    assert len(shown) == len(TALK)
    own, named = tmp_path / "chat.db", f"{base.url}?layout=langchain"
    done("migrate", base.url, own)
    done("clear", name, "--yes", "-p", named)
    assert real.ask("read", **where) == []
    done("migrate", own, named)
    assert real.ask("read", **where) == before
    real.ask("add", messages=TALK[:1], **where)
    assert real.ask("read", **where) == [*before, TALK[0]]
    done("clear", name, "--keep-last", "2", "--yes", "-p", named)
    done("undo", "-p", named)
    assert real.ask("read", **where) == [*before, TALK[0]]


@pytest.mark.real
@pytest.mark.parametrize("kind", ["community", "uuids"])
def test_where_we_make_the_table_the_real_one_goes_on(
    base: Base, real: LangChain, kind: str
) -> None:
    name = str(uuid5(NAMESPACE_URL, "a")) if kind == "uuids" else "a"
    table = "chat_history" if kind == "uuids" else "message_store"
    done("add", name, "hello", "-p", f"{base.url}?layout=langchain&table={table}")
    where = {"kind": kind, "url": base.url, "session": name, "table": table}
    real.ask("add", messages=TALK[:1], **where)
    assert [each["data"]["content"] for each in real.ask("read", **where)] == ["hello", "be brief"]


@pytest.mark.real
def test_a_live_program_never_waits_for_a_reader(base: Base, real: LangChain) -> None:
    import threading

    where = {"kind": "community", "url": base.url, "session": "a", "table": "message_store"}
    real.ask("add", messages=TALK * 50, **where)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(real.ask("live", seconds=4, **where)))
    thread.start()
    while thread.is_alive():
        done("export", "-p", base.url)
        done("ls", "--json", "-p", base.url)
    assert found[0]["errors"] == []
    assert found[0]["count"] > 3
