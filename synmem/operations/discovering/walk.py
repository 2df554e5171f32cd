"""Looking below a folder: to a bounded depth, at a bounded number of entries, no link followed."""

import os
import time
from collections import deque
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final, NamedTuple

DEEPEST: Final = 12
"""So many folders stand one in another, below the one that is named."""

_PASSED_OVER: Final = frozenset({
    ".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", "site-packages", ".tox",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".cargo", ".rustup", "Trash", ".Trash",
})  # fmt: skip
"""Folders of programs, caches and what was thrown away."""

_OF_THE_SYSTEM: Final = ("/proc", "/sys", "/dev")

_SLICE_S: Final = 0.1


class Walked(NamedTuple):
    """The files below a folder, by their names from there; and whether there are more entries than
    were looked at."""

    names: list[str]
    is_cut: bool


async def walk(folder: Path, most: int) -> Walked:
    """Look below a folder, what is nearest first. OSError where the folder itself cannot be read;
    one in it that cannot is passed over."""
    import asyncio

    walking = _Walking(folder, most)
    while not await asyncio.to_thread(walking.advance):
        pass
    return Walked(walking.names, walking.is_cut)


class _Walking:
    """A walk, done a while at a time: an interrupt is heard between."""

    def __init__(self, folder: Path, most: int) -> None:
        self.names: list[str] = []
        self.entries = 0
        self.is_cut = False
        self._folder = folder
        self._most = most
        self._waiting = deque([("", 0)])

    def advance(self) -> bool:
        """Look for a while; whether that was all."""
        until = time.monotonic() + _SLICE_S
        while self._waiting and time.monotonic() < until:
            name, depth = self._waiting.popleft()
            try:
                self._look(name, depth)
            except OSError:
                if not name:
                    raise
        return not self._waiting

    def _look(self, folder: str, depth: int) -> None:
        path = self._folder / folder if folder else self._folder
        if any(path.absolute().is_relative_to(each) for each in _OF_THE_SYSTEM):
            return
        with os.scandir(path) as entries:
            for entry in entries:
                if self.entries >= self._most:
                    self.is_cut = True
                    self._waiting.clear()
                    return
                self.entries += 1
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if depth < DEEPEST and entry.name not in _PASSED_OVER:
                        self._waiting.append((name, depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    self.names.append(name)


def together(folders: Collection[str], names: Iterable[str]) -> list[str]:
    """Of folders in which alike files are, the smallest number of folders that have them all and
    nothing else: a folder stands for those in it, where each that has any of these `names` is one
    of them."""
    found = {folder for folder in folders if not _parents(folder) & {*folders}}
    holding: dict[str, set[str]] = {}
    for name in names:
        for parent in _parents(name):
            holding.setdefault(parent.rpartition("/")[0], set()).add(parent)
    while True:
        parents = {folder.rpartition("/")[0] for folder in found if folder}
        for parent in sorted(parents, key=len, reverse=True):
            its = {folder for folder in found if folder and folder.rpartition("/")[0] == parent}
            if len(its) > 1 and its >= holding.get(parent, its):
                found = found - its | {parent}
                break
        else:
            return sorted(found)


def _parents(name: str) -> set[str]:
    """The folders that a name stands in, below the one from which it is told."""
    parts = name.split("/")
    return {"/".join(parts[:n]) for n in range(1, len(parts))}
