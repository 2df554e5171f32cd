"""Redis prefixes of which one begins with the other: what is the longer one's is not the shorter
one's to list, move or clear."""

import json

import pytest
import redis

from synmem.profiles import resolve
from tests.cli.moved import lines, run
from tests.cli.places import Places

OUTER = {"own": ["in the outer one"], "test:mine": ["outer, whatever its name"]}
INNER = {"other": ["in the inner one"], "own": ["inner, of the same name"]}


@pytest.fixture
def nested(places: Places) -> tuple[str, str]:
    """Two places, the prefix of the second beginning with that of the first."""
    outer = places.new("redis")
    inner = f"{outer}test:"
    for place, said in ((outer, OUTER), (inner, INNER)):
        assert run("import", "-p", place, stdin=lines(said)).exit_code == 0
    return outer, inner


def _said(place: str) -> dict[str, list[str]]:
    exported = run("export", "-p", place, "-f", "json")
    assert exported.exit_code == 0, exported.stderr
    return {
        each["conversation_id"]: [message["content"] for message in each["messages"]]
        for each in json.loads(exported.stdout)
    }


def test_each_has_its_own(nested: tuple[str, str]) -> None:
    outer, inner = nested
    assert (_said(outer), _said(inner)) == (OUTER, INNER)
    checked = run("check", outer)
    assert (checked.exit_code, "orphan" in checked.stderr) == (0, False)


def test_all_that_is_cleared_is_the_places_own(nested: tuple[str, str]) -> None:
    outer, inner = nested
    cleared = run("clear", "--all", "-p", outer, "--confirm", resolve(outer).name)
    assert cleared.exit_code == 0, cleared.stderr
    assert (_said(outer), _said(inner)) == ({}, INNER)


def test_an_orphan_is_named_before_it_goes(nested: tuple[str, str]) -> None:
    outer, inner = nested
    url, _, prefix = inner.partition("?prefix=")
    with redis.Redis.from_url(url) as raw:
        raw.delete(f"{prefix}conversations")  # nobody's index names them now
    for how in (["--all", "--dry-run"], ["--match", "*", "--yes"]):
        cleared = run("clear", "-p", outer, *how)
        assert cleared.exit_code == 0, cleared.stderr
        why = "would go too; has messages, but is not in the index"
        assert f"'test:other': {why}" in cleared.stderr
        assert f"'own': {why}" not in cleared.stderr
