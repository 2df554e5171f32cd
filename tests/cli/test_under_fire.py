"""migrate under fire, between every pair of stores: killed at any moment, twice at once, while the
source grows, through a connection that breaks. One more run always ends in an equal store."""

import itertools
import os
import random
import time
from pathlib import Path

import pytest

from tests import services
from tests.cli.moved import make, run
from tests.cli.places import BACKENDS, Places, proxied
from tests.cli.processes import in_pipe, start

PAIRS = list(itertools.product(BACKENDS, BACKENDS))
KILLS = int(os.environ.get("SYNMEM_TEST_KILLS", "1"))
"""How many processes are killed for each pair; ten times as many in `make test-real`."""

SIZES = {**{f"small {n}": n % 5 + 1 for n in range(40)}, "large": 1100}
FEWER = {**{f"small {n}": n % 5 + 1 for n in range(40)}, "large": 500}


@pytest.fixture(scope="module")
def source_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The conversations that are moved, in an SQLite file."""
    return file_of(SIZES, tmp_path_factory.mktemp("source") / "source.db")


def file_of(sizes: dict[str, int], path: Path) -> Path:
    """An SQLite file of such conversations."""
    return make(path, {i: [f"{i}: {n}" for n in range(size)] for i, size in sizes.items()})


def filled(places: Places, backend: str, source_file: Path) -> str:
    """A store of this backend that holds them."""
    if backend == "sqlite":
        return str(source_file)
    place = places.new(backend)
    moved = run("migrate", source_file, place)
    assert moved.exit_code == 0, moved.stderr
    return place


def proven(source: str, dest: str, sizes: dict[str, int] = SIZES) -> None:
    """Equal, conversation by conversation, and nothing beside."""
    checked = run("check", source, dest)
    assert checked.exit_code == 0, checked.stdout + checked.stderr
    assert f"{len(sizes):,} conversations: {len(sizes):,} equal" in checked.stderr


def _pairs(pairs: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("ours", "theirs"), pairs, ids=[f"{a} to {b}" for a, b in pairs])


EVERY_PAIR = _pairs(PAIRS)
SOME_PAIRS = _pairs([pair for pair in PAIRS if "sqlite" in pair])
"""To each store and from each; between any two of them with `make test-real`."""


@SOME_PAIRS
def test_killed_at_any_moment_and_run_again_at_once_it_is_equal(
    places: Places, source_file: Path, ours: str, theirs: str
) -> None:
    _kill(places, filled(places, ours, source_file), theirs, KILLS, SIZES)


@pytest.mark.real
@pytest.mark.timeout(1200)
@EVERY_PAIR
def test_killed_again_and_again_it_is_equal(
    places: Places, tmp_path: Path, ours: str, theirs: str
) -> None:
    source = filled(places, ours, file_of(FEWER, tmp_path / "source.db"))
    _kill(places, source, theirs, KILLS * 10, FEWER)


def _kill(places: Places, source: str, theirs: str, kills: int, sizes: dict[str, int]) -> None:
    began = time.monotonic()
    done = in_pipe("migrate", source, places.new(theirs))
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    for _ in range(kills):
        dest = places.new(theirs)
        first = start("migrate", source, dest)
        time.sleep(random.uniform(0.2, 1) * took)
        first.kill()  # and in the same breath, while the server may still be at work for it:
        second = in_pipe("migrate", source, dest)
        first.communicate()
        assert second.returncode == 0, second.stderr
        proven(source, dest, sizes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_runs_side_by_side_end_equal(places: Places, source_file: Path, backend: str) -> None:
    dest = places.new(backend)
    runs = [start("migrate", str(source_file), dest) for _ in range(2)]
    ends = [(each.communicate(timeout=120), each.returncode)[::-1] for each in runs]
    assert [code for code, _ in ends] == [0, 0], ends
    proven(str(source_file), dest)


@pytest.mark.parametrize("backend", BACKENDS)
def test_messages_that_arrive_meanwhile_come_with_this_run_or_the_next(
    places: Places, source_file: Path, backend: str
) -> None:
    source, dest = filled(places, backend, source_file), places.new("sqlite")
    if backend == "sqlite":
        source = str(
            make(Path(places.new("sqlite")), {"large": ["0"], **{i: ["x"] for i in SIZES}})
        )
    running = start("migrate", source, dest)
    added = 0
    while running.poll() is None:
        result = run("add", "large", f"new {added}", "-p", source)
        assert result.exit_code == 0, result.stderr
        added += 1
    _, errors = running.communicate()
    assert running.returncode in (0, 6), errors  # 6: it grew between the copy and the proof
    assert added
    assert in_pipe("migrate", source, dest).returncode == 0
    proven(source, dest)
    said = run("show", "large", "-p", dest, "--last", str(added), "-f", "text").stdout
    assert [f"new {n}" in said for n in range(added)] == [True] * added


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_through_a_connection_that_breaks_again_and_again_nothing_is_lost_or_doubled(
    places: Places, source_file: Path, backend: str
) -> None:
    dest = places.new(backend)
    with proxied(dest) as (proxy, through):
        running = start("migrate", str(source_file), through)
        while running.poll() is None:
            time.sleep(random.uniform(0.1, 0.6))
            proxy.delay_s = random.choice([0, 0, 0.02])
            random.choice([proxy.cut, proxy.half_close])()
        _, errors = running.communicate()
    assert running.returncode in (0, 4), errors
    assert b"Traceback" not in errors
    assert in_pipe("migrate", str(source_file), dest).returncode == 0
    proven(str(source_file), dest)


@pytest.mark.real
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_server_that_is_killed_under_it_and_started_again(
    places: Places, source_file: Path, tmp_path: Path, backend: str
) -> None:
    with services.running(backend, tmp_path / backend) as server:
        if not getattr(server, "keeps", True):
            pytest.skip(f"{server.what} keeps nothing when it is killed")
        dest = places.new(backend, server.url)
        assert in_pipe("migrate", str(source_file), dest, "--match", "small 1*").returncode == 0
        running = start("migrate", str(source_file), dest)
        time.sleep(random.uniform(0.3, 0.9))
        server.kill()
        began = time.monotonic()
        _, errors = running.communicate(timeout=60)
        assert running.returncode in (0, 4), errors  # 0: it was done already
        assert time.monotonic() - began < 30
        assert b"Traceback" not in errors
        server.start()
        again = in_pipe("migrate", str(source_file), dest)
        assert again.returncode == 0, again.stderr
        proven(str(source_file), dest)
