"""Conversations that are called as the files that they lie in."""

from collections.abc import Callable, Mapping, Sequence


def each_ending(*endings: str) -> Callable[[Sequence[str]], Mapping[str, Sequence[str]]]:
    """The `Folder.group` of a layout of which each file that ends so stands by itself."""

    def group(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {name: (name,) for name in names if name.lower().endswith(endings)}

    return group


def stem(name: str) -> str:
    """What a file is called, less the folders that it is in and its ending."""
    last = name.rpartition("/")[2]
    return last.rpartition(".")[0] or last
