"""What tests of commands on any store have: places to put one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.places import Places


@pytest.fixture
def places(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Places]:
    """The stores of one test."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    made = Places(request, tmp_path)
    yield made
    made.clear()
