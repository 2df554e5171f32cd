"""What the real Spring AI saved on PostgreSQL, in both forms of its table, beside what it reads of it
itself."""

import asyncio
import contextlib
import functools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from synmem.errors import Changed
from tests.backends.postgres.test_foreign_odd import Base, base
from tests.cli.moved import run as cli
from tests.cli.moved import said
from tests.cli.test_langchain import done
from tests.conformance import contents, items, run
from tests.services import Missing
from tests.services.framework import Framework
from tests.services.spring_ai import VERSIONS, ZONE, spring_ai

pytestmark = pytest.mark.real
__all__ = ["base"]  # a fixture

NEW, OLD = VERSIONS
TALK = [
    {"type": "SYSTEM", "text": "be brief"},
    {"type": "USER", "text": "Grüße 👋🏽 é e\u0301\r\n\t\u2028 'x' \"y\" \\n %s {} ? $1"},
    {"type": "CALL", "text": "Let me look."},
    {"type": "TOOL", "text": "21"},
    {"type": "ASSISTANT", "text": ""},
    {"type": "ASSISTANT", "text": "It is 21 °C. " * 9000},
]
IDS = ["a", "A", " b' ", "user:42/ü 👋🏽", "%_*?[a]", '"; --', "\\n{}", "é", "e\u0301", "👋" * 36]


class Memory:
    """Spring AI's memory in a database."""

    def __init__(self, real: Framework, base: Base) -> None:
        self._real = real
        self.url = base.url
        parts = urlsplit(base.url)
        self._where = {
            "url": f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}",
            "user": parts.username,
            "password": unquote(parts.password or ""),
        }

    def ask(self, do: str, **asked: Any) -> Any:
        return self._real.ask(do, **self._where, **asked)

    def theirs(self, conversation: str) -> list[tuple[str, str]]:
        """The roles and texts that Spring AI finds."""
        found = self.ask("find", conversation=conversation)
        return [(each["type"].lower(), each["text"]) for each in found]

    def ours(self) -> dict[str, list[Any]]:
        """The messages of every conversation, as the command line exports them."""
        told = json.loads(done("export", "--json", "-p", self.url))
        return {each["conversation_id"]: each["messages"] for each in told}

    def texts(self) -> dict[str, list[tuple[str, str]]]:
        """Their roles and texts."""
        return {
            name: [(each["role"], each["content"]) for each in talk]
            for name, talk in self.ours().items()
        }


Real = Callable[[str], Framework]


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    """Spring AI of a version, from when it is first asked for."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda version: stack.enter_context(spring_ai(version)))


def made(real: Real, version: str, base: Base) -> Memory:
    try:
        memory = Memory(real(version), base)
    except Missing as missing:
        pytest.skip(f"no Spring AI: {missing}")
    memory.ask("create")
    return memory


@pytest.fixture(params=VERSIONS)
def memory(request: pytest.FixtureRequest, real: Real, base: Base) -> Memory:
    """With its table, as its own script makes it."""
    return made(real, request.param, base)


@pytest.fixture
def new(real: Real, base: Base) -> Memory:
    """The same of version 2."""
    return made(real, NEW, base)


def numbers(count: int, start: int = 0) -> list[dict[str, str]]:
    """A question and an answer in turn."""
    return [
        {"type": "ASSISTANT" if n % 2 else "USER", "text": f"message {n}"}
        for n in range(start, start + count)
    ]


def is_numbered(base: Base) -> bool:
    """Whether the table is that of version 2."""
    return bool(base.run("SELECT FROM pg_attribute WHERE attname = 'sequence_id'"))


def test_what_it_saved_is_read_as_it_reads_it_itself(memory: Memory, base: Base) -> None:
    for name in IDS:
        memory.ask("save", conversation=name, messages=[*TALK, {"type": "USER", "text": name}])
    assert sorted(memory.ask("ids")) == sorted(IDS)
    kept = [("system", TALK[0]["text"]), ("user", TALK[1]["text"])]
    if not is_numbered(base):  # it kept the text beside a call, and that there was a result
        kept += [("assistant", "Let me look."), ("tool", "")]
    kept += [("assistant", ""), ("assistant", TALK[5]["text"])]
    expected = {name: [*kept, ("user", name)] for name in IDS}
    assert {name: memory.theirs(name) for name in IDS} == expected
    assert memory.texts() == expected
    before = base.run("SELECT *, xmin FROM spring_ai_chat_memory ORDER BY ctid")
    told = json.loads(done("ls", "--json", "-p", memory.url))
    assert {each["conversation_id"]: each["messages"] for each in told} == dict.fromkeys(
        IDS, len(kept) + 1
    )
    for name in IDS:
        shown = json.loads(done("show", name, "--json", "-p", memory.url))
        assert [(m["role"], m["content"]) for m in shown] == expected[name]
    assert base.run("SELECT *, xmin FROM spring_ai_chat_memory ORDER BY ctid") == before
    version = "2.x" if is_numbered(base) else "1.x"
    assert f"layout spring_ai ({version})" in done("profile", "test", memory.url)


def test_a_time_is_told_as_it_stands_there(new: Memory) -> None:
    """In the zone of its Java machine, to the microsecond: that which a message brings, or that of
    the save which was its first."""
    at = "2026-01-02T03:04:05.123456789Z"
    new.ask("save", conversation="a", messages=[{"type": "USER", "text": "x", "at": at}])
    new.ask("add", conversation="a", most=9, messages=numbers(3))
    ours = new.ours()["a"]
    assert ours[0]["extra"]["spring_ai"] == {"timestamp": "2026-01-02T08:34:05.123457"}
    theirs = [each["at"] for each in new.ask("find", conversation="a")]
    assert [datetime.fromisoformat(each) for each in theirs] == [
        datetime.fromisoformat(each["extra"]["spring_ai"]["timestamp"]).replace(tzinfo=ZONE)
        for each in ours
    ]
    assert not any("created_at" in each for each in ours)
    new.ask("add", conversation="a", most=9, messages=numbers(2, start=3))
    assert new.ours()["a"][:4] == ours


def test_the_times_of_version_1_are_a_second_apart(real: Real, base: Base) -> None:
    memory = made(real, OLD, base)
    began = datetime.now(UTC).astimezone(ZONE).replace(microsecond=0, tzinfo=None)
    memory.ask("save", conversation="a", messages=numbers(70))
    ours = memory.ours()["a"]
    assert [each["content"] for each in ours] == [f"message {n}" for n in range(70)]
    times = [datetime.fromisoformat(each["extra"]["spring_ai"]["timestamp"]) for each in ours]
    assert times == [times[0] + timedelta(seconds=n) for n in range(70)]
    assert began <= times[0] < began + timedelta(minutes=5)


def test_a_window_that_is_saved_again_and_again_is_read_whole(memory: Memory, base: Base) -> None:
    """Each time all its rows are others; who had read to its end goes on or is told."""

    async def after(seen: str) -> list[str]:
        async with base.opened() as store:
            return await contents(store, "a", after=seen)

    async def end() -> str:
        async with base.opened() as store:
            return [page.position(-1) async for page in store.read(["a"])][-1]

    add = functools.partial(memory.ask, "add", conversation="a", most=6)
    add(messages=[TALK[0], *numbers(2)])
    first = run(end())
    add(messages=numbers(3, start=2))
    assert memory.texts() == {"a": memory.theirs("a")}
    if is_numbered(base):  # else each save gives all of them new times
        assert run(after(first)) == ["message 2", "message 3", "message 4"]
    second = run(end())
    add(messages=numbers(2, start=5))
    assert memory.texts() == {"a": memory.theirs("a")}
    assert ("user", "message 0") not in memory.theirs("a")
    with pytest.raises(Changed):
        run(after(second))
    memory.ask("save", conversation="b", messages=numbers(1))
    memory.ask("save", conversation="a", messages=[])
    assert memory.texts() == {"b": [("user", "message 0")]}
    memory.ask("delete", conversation="b")
    assert memory.texts() == {}


def test_a_copy_is_whole_and_goes_on_after_each_save(
    memory: Memory, base: Base, tmp_path: Path
) -> None:
    """Also of what the window lost meanwhile."""
    own = tmp_path / "own.db"
    memory.ask("save", conversation="long", messages=numbers(2500))
    memory.ask("add", conversation="a", most=6, messages=numbers(4))
    # As if all that had been an hour ago.
    base.run(
        'UPDATE spring_ai_chat_memory SET "timestamp" = "timestamp" - interval \'1 hour\'', "SELECT"
    )
    done("migrate", memory.url, own)
    assert cli("check", memory.url, own).exit_code == 0
    memory.ask("add", conversation="a", most=6, messages=numbers(2, start=4))
    done("migrate", memory.url, own)
    memory.ask("add", conversation="a", most=6, messages=numbers(2, start=6))
    done("migrate", memory.url, own, "--on-conflict", "extend")
    assert [text for _, text in memory.theirs("a")] == [f"message {n}" for n in range(2, 8)]
    every = [f"message {n}" for n in range(2500)]
    assert said(own) == {"a": every[:8], "long": every}
    memory.ask("save", conversation="a", messages=TALK)
    assert cli("check", memory.url, own).exit_code == 7


def test_a_table_of_version_1_is_read_on_while_it_becomes_one_of_version_2(
    real: Real, base: Base
) -> None:
    """By the steps of Spring AI's notes on the upgrade, each of which needs the table for itself;
    while somebody has read a page of it."""
    old = made(real, OLD, base)
    old.ask("save", conversation="b", messages=numbers(9))
    old.ask("save", conversation="a", messages=numbers(9))
    expected = [f"message {n}" for n in range(9)]

    def alter(*statements: str) -> None:
        base.run("SET lock_timeout = '1s'", *statements, "SELECT")
        assert {name: [text for _, text in talk] for name, talk in old.texts().items()} == {
            "a": expected, "b": expected
        }  # fmt: skip

    async def main() -> None:
        async with base.opened() as store:
            found = []
            async for page in store.read(["a"]):
                found += [each.content for each in page.items]
                if len(found) == 2:
                    await asyncio.to_thread(
                        alter, "ALTER TABLE spring_ai_chat_memory ADD COLUMN sequence_id BIGINT"
                    )
            assert found == expected

    run(main())
    alter(
        "UPDATE spring_ai_chat_memory AS m SET sequence_id = n - 1 FROM (SELECT ctid AS row, "
        'row_number() OVER (PARTITION BY conversation_id ORDER BY "timestamp") AS n '
        "FROM spring_ai_chat_memory) AS numbered WHERE m.ctid = row"
    )
    alter("ALTER TABLE spring_ai_chat_memory ALTER COLUMN sequence_id SET NOT NULL")
    new = made(real, NEW, base)
    assert new.texts() == {name: new.theirs(name) for name in ("a", "b")}
    new.ask("add", conversation="a", most=20, messages=numbers(2, start=9))
    assert new.texts() == {name: new.theirs(name) for name in ("a", "b")}
    assert new.theirs("a")[-1] == ("user", "message 10")


def in_a_run(texts: Sequence[str]) -> bool:
    """Whether it is what one save left: a window of what follows each other, ending in an answer."""
    seen = [int(text.removeprefix("live ")) for text in texts]
    return seen[-1] % 2 == 1 and seen == [*range(max(0, seen[-1] - 19), seen[-1] + 1)]


def test_it_never_waits_for_a_reader_who_sees_what_one_save_left(
    memory: Memory, base: Base
) -> None:
    for n in range(4):
        memory.ask("save", conversation=f"long {n}", messages=numbers(2500))
    longest: list[float] = []
    thread = threading.Thread(
        target=lambda: longest.append(memory.ask("live", conversation="live", most=20, times=400))
    )

    async def by_pages() -> None:
        async with base.opened() as store:
            with contextlib.suppress(Changed):
                found = await items(store, "live")
                assert not found or in_a_run([each.content for each in found])

    thread.start()
    count = 0
    while thread.is_alive():
        told = memory.ours()
        assert [len(told[f"long {n}"]) for n in range(4)] == [2500] * 4
        if "live" in told:
            assert in_a_run([each["content"] for each in told["live"]])
        done("ls", "--json", "-p", memory.url)
        run(by_pages())
        count += 1
    assert longest[0] < 1, "it waited for over a second"
    assert count > 1
