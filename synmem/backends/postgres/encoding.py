"""What the encoding of a database lacks, where it is another one than UTF-8."""

import codecs
import functools
from typing import Any, Final

from synmem.messages import parse_json

NO_ENCODING: Final = "SQL_ASCII"
"""What a database says of its encoding that holds any bytes as text. Where they are no UTF-8, the
server refuses to tell them as text, and that ends the transaction."""


@functools.cache
def _codec(encoding: str) -> codecs.CodecInfo | None:
    if encoding in (NO_ENCODING, "UTF8"):
        return None
    try:
        return codecs.lookup(encoding.replace("WIN", "cp"))
    except LookupError:  # what Python does not know the server refuses
        return None


def lacking(encoding: str, text: str) -> str | None:
    """Why the database cannot hold a text: the first character that its encoding lacks."""
    codec = _codec(encoding)
    if codec is None:
        return None
    try:
        codec.encode(text)
    except UnicodeEncodeError as error:
        char = text[error.start]
        return f"the database is in {encoding}, which lacks U+{ord(char):04X} ({char!r})"
    return None


def lacking_in(encoding: str, kind: str, value: Any) -> str | None:
    """The same of what is written to a column of that type: JSONB is not kept as it is written, and
    has each character itself where JSON has an escape."""
    if not isinstance(value, str) or _codec(encoding) is None:
        return None
    return lacking(encoding, _unescaped(value) if kind == "jsonb" else value)


def _unescaped(text: str) -> str:
    found: list[str] = []
    waiting = [parse_json(text)]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
    return "".join(reversed(found))
