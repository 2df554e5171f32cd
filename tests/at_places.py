"""Fixtures where their programs would have them."""

import shutil
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"


def put(fixture: str, target: Path) -> Path:
    """A copy of a fixture's file at that path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(FIXTURES / fixture, target)
    return target
