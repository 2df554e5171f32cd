"""Where synmem keeps its own files: the configuration, the default store, and its state.

platformdirs is loaded when a folder is asked for: a command on a named file asks for none.
"""

import os
from pathlib import Path


def config_file() -> Path:
    """`config.toml` in the platform's config folder; it need not exist."""
    import platformdirs

    return platformdirs.user_config_path("synmem", appauthor=False) / "config.toml"


def default_database() -> Path:
    """The SQLite file of the default profile where nothing is configured; it need not exist."""
    import platformdirs

    return platformdirs.user_data_path("synmem", appauthor=False) / "conversations.db"


def state_path(*parts: str) -> Path:
    """Where a folder for what synmem remembers is; it need not exist."""
    import platformdirs

    return platformdirs.user_state_path("synmem", appauthor=False).joinpath(*parts)


def state_folder(*parts: str) -> Path:
    """A folder for what synmem remembers (backups, notes, indexes), made private if missing."""
    folder = state_path(*parts)
    private(folder)
    return folder


def listing_file(place: Path, layout: str) -> Path:
    """Where is remembered what a listing saw of the files at a place; it need not exist."""
    return state_path("listings", f"{_hashed(place)}-{layout}.json")


def listing_files(place: Path) -> list[Path]:
    """What is remembered of the files at a place, as whichever layout."""
    return sorted(state_path("listings").glob(f"{_hashed(place)}-*.json"))


def _hashed(place: Path) -> str:
    import hashlib

    return hashlib.sha256(os.fsencode(place.resolve())).hexdigest()[:32]


def private(folder: Path) -> None:
    """Make a folder and those that it lies in, as far as they are missing, each for this user
    only: `mkdir` leaves the outer ones to the umask. OSError where one cannot be made."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
