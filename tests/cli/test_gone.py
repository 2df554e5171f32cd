"""A conversation that goes while it is read, on every store: another program deletes it between two
steps of a command. It is left out, or said to have changed; it is never half there in silence."""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from synmem.backends import open_store
from synmem.backends.sqlite.file import File
from synmem.messages import Conversation, Message
from synmem.profiles import resolve
from synmem.store import Part
from tests.cli.moved import make, run
from tests.cli.odd import _PYTHON as NO_BUG
from tests.cli.places import BACKENDS, Places, proxied
from tests.cli.test_undo_histories import SEED

SWEPT = 250
"""Of so many messages SQLite makes lines in one sweep over its rows."""


def said(backend: str) -> dict[str, list[str]]:
    """What is in the store."""
    many = SWEPT if backend == "sqlite" else 6
    return {name: [f"{name}{n}" for n in range(many if name == "b" else 4)] for name in "abc"}


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("ls", "--json"),
    ("export",),
    ("export", "--json"),
    ("export", "-f", "csv"),
    ("export", "b"),
    ("stats", "--json"),
    ("show", "b"),
    ("show", "b", "--last", "2"),
    ("context", "b"),
    ("search", "b2"),
    ("check",),
    ("summarize", "b", "--method", "extractive", "--max-messages", "1"),
    ("clear", "--match", "*", "--keep-last", "2", "--dry-run"),
    ("migrate", "PLACE", "NEW"),
    ("migrate", "OTHER", "PLACE"),
    ("import", "FILE"),
    ("add", "b", "more"),
)

QUICK = [("ls", "--json"), ("export",), ("show", "b"), ("check",), ("migrate", "PLACE", "NEW")]
"""Those that are tried on servers in every run."""

_CODES = {0, 3, 4, 6, 7}
_PATIENCE_S = 1.0
"""So long a deletion waits for a lock that the command holds."""


def laid(place: str, said: Mapping[str, Sequence[str]]) -> None:
    """Bring these conversations back as they were."""

    async def main() -> None:
        profile = resolve(place)
        async with open_store(profile.backend, profile.connection(), write=True) as store:
            for name, texts in said.items():
                await store.delete(name)
                messages = [Message("user", text) for text in texts]
                await store.append(
                    [
                        Part(
                            Conversation(name, f"title of {name}" if name != "b" else None),
                            messages,
                        )
                    ]
                )

    asyncio.run(main())


def gone(place: str) -> None:
    """What another program does."""

    async def main() -> None:
        profile = resolve(place)
        async with open_store(profile.backend, profile.connection(), write=True) as store:
            await store.delete("b")

    with contextlib.suppress(TimeoutError):
        asyncio.run(asyncio.wait_for(main(), _PATIENCE_S))


class Steps:
    """The steps of what a command does with a store: how many, and where something comes between."""

    def __init__(self, proxy: Any = None) -> None:
        self.proxy = proxy
        self._count = 0
        self._awaited = 0
        self._act: Callable[[], object] = lambda: None

    def taken(self) -> int:
        return self._count if self.proxy is None else int(self.proxy.requests)

    def before(self, number: int, act: Callable[[], object]) -> None:
        if self.proxy is not None:
            self.proxy.before_request(number, act)
        self._awaited, self._act = self._count + number, act

    def step(self) -> None:
        self._count += 1
        if self._count == self._awaited:
            self._act()


@contextlib.contextmanager
def stepping(place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Steps, str]]:
    """The steps of commands on the store at this place, and by which address."""
    if "://" in place:
        with proxied(place) as (proxy, address):
            yield Steps(proxy), address
        return
    steps = Steps()
    look = File.look

    async def looked(file: File, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        if str(file.path) == place:
            steps.step()
        return await look(file, sql, values)

    monkeypatch.setattr(File, "look", looked)
    yield steps, place


def erased(place: str) -> None:
    """The same in an SQLite file, at once or not at all: the program itself may hold the lock."""
    import sqlite3

    locked = contextlib.suppress(sqlite3.OperationalError)
    with contextlib.closing(sqlite3.connect(place, timeout=0)) as db, locked:
        db.execute("DELETE FROM messages WHERE conversation_id = 'b'")
        db.execute("DELETE FROM messages_meta WHERE conversation_id = 'b'")
        db.commit()


def tried(
    places: Places,
    folder: Path,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    commands: Sequence[tuple[str, ...]] = COMMANDS,
) -> None:
    """Each command, with the deletion before so many of its steps."""
    place, there = places.new(backend), said(backend)
    laid(place, there)
    made = make(folder / "other.db", there)
    file = folder / "file.jsonl"
    assert run("export", "-p", made, "-o", file).exit_code == 0
    delete = erased if backend == "sqlite" else gone
    chance = random.Random(SEED)
    with stepping(place, monkeypatch) as (steps, address):
        for command in commands:
            words = {"PLACE": address, "OTHER": str(made), "FILE": str(file)}

            def ran(command: tuple[str, ...] = command, words: dict[str, str] = words) -> Any:
                new = folder / f"new{chance.random()}.db"
                arguments = [{**words, "NEW": new}.get(word, word) for word in command]
                if command[0] == "check":
                    arguments += [address, made]
                elif command[0] != "migrate":
                    arguments += ["-p", address]
                return run(*arguments)

            before = steps.taken()
            ran()
            most = steps.taken() - before
            for number in sorted(chance.sample(range(1, most + 1), min(count, most))):
                steps.before(number, lambda: delete(place))
                judged(ran(), there, (backend, command, number))
                steps.before(0, lambda: None)
                laid(place, there)


def judged(result: Any, said: Mapping[str, list[str]], what: Any) -> None:
    """It ended as it may, and half of the conversation is nowhere."""
    told = (*what, result.exit_code, result.output[-1500:])
    assert result.exception is None or isinstance(result.exception, SystemExit), told
    assert result.exit_code in _CODES, told
    assert not NO_BUG.search(result.stderr), told
    if result.exit_code == 0 and what[1][0] in ("export", "show") and "--last" not in what[1]:
        seen = [text for text in said["b"] if text in result.stdout]
        assert seen in ([], said["b"]), told
        if what[1][-1] != "b":
            others = [text for name in "ac" for text in said[name]]
            assert all(text in result.stdout for text in others), told
    if result.exit_code == 0 and what[1] == ("ls", "--json"):
        counts = {each["conversation_id"]: each["messages"] for each in json.loads(result.stdout)}
        assert counts.pop("b", None) in (len(said["b"]), None), told
        assert counts.keys() == {"a", "c"}, told


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_conversation_that_goes_between_two_steps(
    places: Places, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "sqlite":
        tried(places, tmp_path, backend, monkeypatch, 2)
    else:
        tried(places, tmp_path, backend, monkeypatch, 1, QUICK)


@pytest.mark.real
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_conversation_that_goes_between_any_two_steps(
    places: Places, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried(places, tmp_path, backend, monkeypatch, 4 if backend == "dynamodb" else 20)
