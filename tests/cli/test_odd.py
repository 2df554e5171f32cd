"""Odd records on every store, under every command: see `odd.py`."""

from pathlib import Path

import pytest

from tests.cli.moved import lines, run
from tests.cli.odd import SOUND, nothing_is_hidden
from tests.cli.places import BACKENDS, Places


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_store_without_odd_records_passes(places: Places, backend: str, tmp_path: Path) -> None:
    place = places.new(backend)
    assert run("import", "-p", place, stdin=lines(SOUND)).exit_code == 0
    nothing_is_hidden(place, tmp_path, odd=["nobody"])
