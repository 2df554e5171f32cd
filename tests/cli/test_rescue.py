"""`export --rescue`: what lies on the sound pages of a damaged SQLite file comes out, in order,
what is lost is named, and nothing is invented."""

import asyncio
import json
import random
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from synmem.backends import open_store
from synmem.backends.sqlite import rescuing as sqlite_rescuing
from synmem.backends.sqlite.rescuing import _Found, _gathered
from synmem.store import SupportsRescue
from tests.cli.moved import make, run
from tests.cli.odd import ordinary
from tests.cli.test_undo_histories import SEED

_PAGE = 4096
_SAID = {
    f"c{n:02d}": [f"<c{n:02d} says {m}> " + "x" * (m * 37 % 900) for m in range(12)]
    for n in range(20)
}
_INTERIOR, _LEAF = 5, 13
"""Pages of a table: without the former SQLite does not find the way to the latter."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(tmp_path_factory.mktemp("whole") / "a.db", _SAID, title="a title").read_bytes()


def kind(data: bytes, page: int) -> int:
    return 0 if page == 0 else data[page * _PAGE]


def rescued(path: Path) -> tuple[int, dict[str, list[str]], str]:
    """How it ended, what came out, and what was said."""
    result = ordinary(run("export", "--rescue", "-p", path))
    found: dict[str, list[str]] = {}
    for line in result.stdout.splitlines():
        if "role" in (each := json.loads(line)):
            found.setdefault(each["conversation_id"], []).append(each["content"])
    return result.exit_code, found, result.stderr


def tried(path: Path, whole: bytes, chance: random.Random) -> None:
    """Overwrite some pages, and rescue."""
    data = bytearray(whole)
    pages = range(1, len(data) // _PAGE)
    bad = chance.sample(pages, chance.randint(1, 5))
    for page in bad:
        junk = chance.choice([chance.randbytes(_PAGE), bytes(_PAGE), b"\xff" * _PAGE])
        data[page * _PAGE : (page + 1) * _PAGE] = junk
    path.write_bytes(data)
    code, found, told = rescued(path)
    assert path.read_bytes() == bytes(data)
    for name, texts in found.items():
        there = iter(_SAID[name])
        assert all(text in there for text in texts), (bad, name)  # in order, and nothing else
    if any(kind(whole, page) == _INTERIOR for page in bad):
        return
    lost = False
    for name, texts in _SAID.items():
        for text in texts:
            page = whole.index(text.encode()) // _PAGE
            assert (text in found.get(name, [])) is (page not in bad), (bad, text)
            lost = lost or page in bad
    assert code == 6 or not lost, (bad, told)


def test_what_lies_on_sound_pages_comes_out(tmp_path: Path, whole: bytes) -> None:
    chance = random.Random(SEED)
    for _ in range(12):
        tried(tmp_path / "a.db", whole, chance)


@pytest.mark.real
def test_what_lies_on_sound_pages_comes_out_of_many(tmp_path: Path, whole: bytes) -> None:
    chance = random.Random(SEED + 1)
    for _ in range(120):
        tried(tmp_path / "a.db", whole, chance)


def test_what_is_lost_is_named_by_conversation_and_number(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.db"
    page = whole.index(b"<c07 says 3>") // _PAGE
    path.write_bytes(whole[: page * _PAGE] + bytes(_PAGE) + whole[(page + 1) * _PAGE :])
    code, _, told = rescued(path)
    assert code == 6
    assert "c07: message 4 cannot be read: row 88: its row lies on a damaged page" in told
    for arguments in (["export"], ["stats"], ["migrate", path, tmp_path / "to.db"]):
        at = [] if arguments[0] == "migrate" else ["-p", path]
        result = run(*arguments, *at)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"synmem: {path}: damaged: ")  # not the destination
        assert "`synmem export " in result.stderr and "--rescue`" in result.stderr


def test_a_sound_file_is_rescued_whole(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(whole)
    assert rescued(path) == (0, _SAID, "")
    plain, other = run("export", "-p", path), run("export", "--rescue", "-p", path)
    assert plain.stdout == other.stdout
    one = run("export", "--rescue", "c03", "-p", path)
    assert one.stdout.count("\n") == 13


def test_without_an_index_what_may_be_lost_is_named_by_its_rows(
    tmp_path: Path, whole: bytes
) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(whole)
    with sqlite3.connect(path) as db:
        db.execute("DROP INDEX idx_conv_id")
    db.close()
    data = path.read_bytes()
    page = data.index(b"<c07 says 3>") // _PAGE
    path.write_bytes(data[: page * _PAGE] + bytes(_PAGE) + data[(page + 1) * _PAGE :])
    code, found, told = rescued(path)
    assert code == 6
    assert "cannot be read, as far as there were any" in told
    assert sum(map(len, found.values())) < 240


def test_a_rescue_that_is_cancelled_between_two_queries_asks_no_more(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(whole)
    between, cancelled = threading.Event(), threading.Event()
    ends: list[int] = []

    def bounds(found: object, known: object) -> tuple[int, int]:
        between.set()
        cancelled.wait(60)
        return 1, 240

    def reads(found: _Found, *_: object, ascending: bool) -> bool:
        found._last = None
        found._db.execute("SELECT 1").fetchall()
        ends.append(1)
        return False

    monkeypatch.setattr(_Found, "_bounds", bounds)
    monkeypatch.setattr(_Found, "_reads", reads)

    async def main() -> None:
        async with open_store("sqlite", {"db_path": str(path)}) as store:
            assert isinstance(store, SupportsRescue)
            task = asyncio.ensure_future(anext(aiter(store.rescued().conversations())))
            await asyncio.to_thread(between.wait, 60)
            task.cancel()
            await asyncio.sleep(0)
            cancelled.set()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert ends == []


def test_other_stores_are_not_rescued(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"conversation_id": "a", "role": "user", "content": "x"}\n')
    result = run("export", "--rescue", "-p", path)
    assert result.exit_code == 1
    assert "only SQLite files are rescued" in result.stderr


def test_rows_of_others_are_not_read_again_for_each_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a.db", {"c": ["x"]})
    db = sqlite3.connect(path)
    db.executemany(
        "INSERT INTO messages (conversation_id, role, content) VALUES (?, 'user', ?)",
        [(f"c{n % 200:03}", f"{n}") for n in range(2000)],
    )
    db.commit()
    db.close()
    taken = 0

    def gathered(*given: Any) -> bool:
        nonlocal taken
        before = len(given[3])
        whole = _gathered(*given)
        taken += len(given[3]) - before
        return whole

    monkeypatch.setattr(sqlite_rescuing, "_gathered", gathered)
    code, found, _ = rescued(path)
    assert code == 0
    assert sum(map(len, found.values())) == 2001
    assert found["c007"] == [f"{n}" for n in range(7, 2000, 200)]
    assert taken < 3 * 2001  # by the index, and each row once
