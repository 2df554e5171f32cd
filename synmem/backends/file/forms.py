"""The forms that a file of conversations may have: one line each, which detection, opening,
`format` and `layout` go by; and what else a file may be, which is told by its first bytes."""

from collections.abc import Callable
from typing import Final, NamedTuple

from synmem.errors import CorruptData
from synmem.messages import JSONObject, parse_json

READABLE: Final = "readable are files of JSON Lines, JSON or CSV, as `synmem export` writes them"

BOM: Final = b"\xef\xbb\xbf"
GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"

SNIFFED: Final = 1 << 16
"""So many bytes of a file are looked at to tell its form."""


class Form(NamedTuple):
    """A form: how a file of it is known, and what turns it into JSON Lines."""

    suffixes: tuple[str, ...]
    """Endings of names that decide."""
    begins: Callable[[bytes], bool]
    """Whether a file of another name that begins so is one: the first form that says so is it."""
    module: str | None = None
    """The module in `layouts.interchange` whose `read_lines` converts it; None: these are lines."""


def _begins_csv(text: bytes) -> bool:
    from synmem.layouts.interchange import csv_table

    return csv_table.is_header(text.partition(b"\n")[0].decode("utf-8", "replace"))


def _begins_json(text: bytes) -> bool:
    if not text.startswith(b"{"):
        return text.startswith(b"[")
    lines = text.split(b"\n")
    if is_json(lines[0]):
        alone = not any(map(bytes.strip, lines[1:]))
        return alone and b'"messages"' in text
    if any(b'"conversation_id"' in line and is_json(line) for line in lines[1:]):
        return False  # JSON Lines of which only the first is broken
    return len(lines) > 1 or b'"messages"' in text


FORMS: Final[dict[str, Form]] = {
    "csv": Form((".csv",), _begins_csv, "csv_table"),
    "json": Form((), _begins_json, "json_array"),
    "jsonl": Form((".jsonl", ".ndjson"), lambda text: True),
}
"""By name; a file that looks like none of the others is taken for JSON Lines, the last."""


def detect(head: bytes, suffix: str) -> str:
    """The form of a file, by its name where that decides, else by how it begins."""
    text = head.removeprefix(BOM).lstrip()
    by_name = (name for name, form in FORMS.items() if suffix in form.suffixes)
    by_head = (name for name, form in FORMS.items() if form.begins(text))
    return next(by_name, None) or next(by_head)


def is_json(line: bytes) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def is_ours(head: bytes, suffix: str) -> bool:
    """Whether a file that begins so is of one of these forms, and nothing else: what is JSON is
    where its first object speaks of a conversation in our words."""
    text = head.removeprefix(BOM).lstrip()
    if not text.startswith((b"{", b"[", b'"')) or detect(head, suffix) not in ("json", "jsonl"):
        return not text.startswith(b"# aider ")
    from synmem.layouts.heads import Head

    begun = Head("", head, whole=len(head) < SNIFFED)
    first = begun.lines or [begun.element or begun.value]
    return any(isinstance(each, dict) and _speaks_our_words(each) for each in first)


def _speaks_our_words(first: JSONObject) -> bool:
    """ChatGPT has a `conversation_id` too, beside a `mapping`."""
    return "synmem" in first or ("conversation_id" in first and "mapping" not in first)


# --- other files ----------------------------------------------------------------------------

_OTHER_KINDS: Final = (
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "a store, sqlite:///PATH: `synmem migrate PATH DEST` copies it",
    ),
    (GZIP, "compressed (gzip) twice", "unpack it first: gunzip -c FILE | synmem import"),
    (ZIP, "a ZIP archive in another", "unpack it first"),
    (b"\xff\xfe", "UTF-16, not UTF-8", "convert it first: iconv -f UTF-16 -t UTF-8 FILE"),
    (b"\xfe\xff", "UTF-16, not UTF-8", "convert it first: iconv -f UTF-16 -t UTF-8 FILE"),
)


def refuse_other_kinds(head: bytes, name: str) -> None:
    """CorruptData, which says what it is and what to do."""
    for beginning, what, hint in _OTHER_KINDS:
        if head.startswith(beginning):
            raise CorruptData(f"{name} is {what}", hint=hint)
    if b"\0" in head and not head.lstrip().startswith((b"{", b"[")):
        raise CorruptData(f"{name} is binary, not text", hint=READABLE)
