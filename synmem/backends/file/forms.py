"""The forms that a file of conversations may have: one line each, which detection, opening,
`format` and `layout` go by; and what else a file may be, which is told by its first bytes."""

from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from synmem.errors import CorruptData
from synmem.layouts.heads import BOM, SIZE, Head
from synmem.messages import Holds, JSONObject, parse_json

if TYPE_CHECKING:
    from synmem.layouts.interchange.dialects import Like

READABLE: Final = (
    "readable are files of JSON Lines, JSON or CSV, as `synmem export` writes them, of OpenAI's "
    "chat messages, Anthropic's requests and ShareGPT"
)

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"


class Form(NamedTuple):
    """A form: how a file of it is known, and what turns it into JSON Lines."""

    suffixes: tuple[str, ...]
    """Endings of names that decide."""
    begins: Callable[[bytes], bool]
    """Whether a file of another name that begins so is one: the first form that says so is it."""
    module: str | None = None
    """The module in `layouts.interchange` whose `read_lines` converts it; None: these are lines."""
    any_name: bool = False
    """Whether it is known by how it begins, whatever the name says."""

    @property
    def holds(self) -> Holds:
        """What messages and conversations have there."""
        if not self.any_name:
            return Holds()
        return cast(Holds, _module(self).HOLDS)

    def read_lines(self, file: BinaryIO, **told: Any) -> Iterator[bytes]:
        """The file as lines of the interchange form, where it has another."""
        return cast(Iterator[bytes], _module(self).read_lines(file, **told))


def _module(form: Form) -> ModuleType:
    return import_module(f"synmem.layouts.interchange.{form.module}")


def _speaks(name: str) -> Callable[[bytes], bool]:
    """Whether a file begins as one of the form of that name."""
    return lambda text: form_of(text) == name


def form_of(head: bytes) -> str | None:
    """The form of others of which a file is that begins so."""
    found = _like(head.removeprefix(BOM).lstrip())
    return found.form if found is not None and not found.misses else None


def _like(text: bytes) -> "Like | None":
    if b'"messages"' not in text and b'"conversations"' not in text:
        return None
    from synmem.layouts.interchange import dialects

    return dialects.of_head(text)


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
    "openai": Form((), _speaks("openai"), "openai", any_name=True),
    "anthropic": Form((), _speaks("anthropic"), "anthropic", any_name=True),
    "sharegpt": Form((), _speaks("sharegpt"), "sharegpt", any_name=True),
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
    found = next(by_head)
    return found if FORMS[found].any_name else next(by_name, found)


def is_json(line: bytes) -> bool:
    """Whether a line is a JSON object."""
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def is_ours(head: bytes, suffix: str) -> bool:
    """Whether a file that begins so is of one of these forms, and nothing else: what is JSON is
    where its first objects speak of conversations in our words."""
    text = head.removeprefix(BOM).lstrip()
    if not text.startswith((b"{", b"[", b'"')) or detect(head, suffix) not in ("json", "jsonl"):
        return not text.startswith(b"# aider ")
    return any(map(_is_of_ours, _objects(head)))


def refuse_others(head: bytes, form: str, name: str) -> None:
    """CorruptData, where a file of JSON, detected as of this form of ours, speaks of no
    conversations in our words; it says what it is like."""
    objects = _objects(head) if form in ("json", "jsonl") else []
    if not objects or any(map(_is_of_ours, objects)) or any("role" in each for each in objects):
        return
    if found := _like(head.removeprefix(BOM).lstrip()):
        why = f"it is like {found.form}'s, but {found.misses} (-f {found.form} takes it for one)"
    elif form == "json" or any("conversation_id" in each for each in objects):
        keys = [*objects[0]]
        why = f"its first object has {', '.join(keys[:5])}" + (", ..." if keys[5:] else "")
    else:
        return
    raise CorruptData(f"{name} has no conversations that synmem knows: {why}", hint=READABLE)


def _objects(head: bytes) -> list[JSONObject]:
    """The first lines, or the first element of an array, as far as they are objects."""
    begun = Head("", head, whole=len(head) < SIZE)
    first = begun.lines or [begun.element or begun.value]
    return [each for each in first if isinstance(each, dict)]


def _is_of_ours(data: JSONObject) -> bool:
    """Whether it is a message, a conversation, what stands beside one, or a seal, of ours."""
    if "conversation_id" not in data:
        return "synmem" in data
    return (
        "role" in data
        or "reason" in data
        or isinstance(data.get("messages"), list)
        or data.keys() <= {"conversation_id", "title", "extra"}
    )


# --- other files ----------------------------------------------------------------------------

_OTHER_KINDS: Final = (
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "a store, sqlite:///PATH: `synmem migrate PATH DEST` copies it",
    ),
    (b"PAR1", "a Parquet file", "`synmem export` writes such files, and reads none"),
    (GZIP, "compressed (gzip) twice", "unpack it first: gunzip -c FILE | synmem import"),
    (ZIP, "a ZIP archive in another", "unpack it first"),
    (b"PK\x05\x06", "a ZIP archive that holds no file", "is it all there?"),
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
