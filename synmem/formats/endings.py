"""What the name of a file says of its form."""

from pathlib import PurePath


def stem_and_ending(name: str) -> tuple[str, str]:
    """A file's name, without its folders, and its ending: `.jsonl`, or `.jsonl.gz` of a packed
    one; "" where it has none."""
    path = PurePath(name)
    if path.suffix.lower() != ".gz":
        return path.stem, path.suffix
    inner = PurePath(path.stem)
    return inner.stem, inner.suffix + path.suffix


def form_ending(name: str) -> str:
    """The ending that says the form, in small letters: `.jsonl` of `x.JSONL.gz`."""
    return stem_and_ending(name)[1].lower().removesuffix(".gz")


def is_packed(name: str) -> bool:
    """Whether the name is that of a file which is compressed with gzip."""
    return PurePath(name).suffix.lower() == ".gz"
