"""Hostile conversations through every store and back: equal to the last character."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from synmem.backends import open_store
from tests.cli.moved import run
from tests.cli.places import BACKENDS, Places
from tests.hostile import hostile


def made(path: Path) -> Path:
    async def main() -> None:
        async with open_store("sqlite", {"db_path": str(path)}, write=True) as store:
            await store.append(hostile())

    asyncio.run(main())
    return path


def exported(path: Path) -> dict[str, str]:
    """Each conversation as text that tells 1 from 1.0, and has no order of keys."""
    result = run("export", "-p", path, "--json")
    assert result.exit_code == 0, result.stderr
    return {
        each["conversation_id"]: json.dumps(each, sort_keys=True)
        for each in json.loads(result.stdout)
    }


@pytest.mark.real
def test_hostile_conversations_come_back_equal_from_every_store(
    tmp_path: Path, places: Places
) -> None:
    first, last = made(tmp_path / "first.db"), tmp_path / "last.db"
    chain = [places.new(backend) for backend in BACKENDS[1:]]
    for source, dest in itertools.pairwise([str(first), *chain, str(last)]):
        moved = run("migrate", source, dest)
        assert moved.exit_code == 0, (source, moved.stderr, moved.exception)
        assert "not compared" not in moved.stderr
        again = run("migrate", source, dest)
        assert again.exit_code == 0, (source, again.stderr)
        assert again.stderr.endswith("equal already; 0 messages written\n"), again.stderr
    compared = run("check", first, last, "--json")
    assert compared.exit_code == 0, compared.stdout
    assert json.loads(compared.stdout)["counts"]["="] == len(hostile())
    assert exported(first) == exported(last)
    for stop in chain:
        assert run("check", stop).exit_code == 0
        sealed = tmp_path / "sealed.jsonl"
        assert run("export", "-p", stop, "--seal", "-o", sealed).exit_code == 0
        assert run("check", first, sealed).exit_code == 0
