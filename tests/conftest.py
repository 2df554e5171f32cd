"""What every test has: folders of its own, so that no test sees a person's configuration."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HOME and the XDG folders below tmp_path, and no SYNMEM_* or terminal setting."""
    import os

    home = tmp_path / "home"
    home.mkdir()
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("HOME", str(home))
    for name in [name for name in os.environ if name.startswith("SYNMEM_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    return home
