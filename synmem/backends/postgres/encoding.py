"""The encoding of a database, where it is another one than UTF-8: what it lacks, and what is no
text."""

import codecs
import contextlib
import functools
from typing import Any, Final

from synmem.messages import parse_json

NO_ENCODING: Final = "SQL_ASCII"
"""What a database says of its encoding that holds any bytes as text. Where they are no UTF-8, the
server refuses to tell them as text, and that ends the transaction."""

UTF_8: Final = (
    r"^([\x01-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    r"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}"
    r"|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*$"
)
"""Bytes that are UTF-8, to a server that takes each of them for a character."""


def is_text_sql(value: str) -> str:
    """The condition that the server can tell a value as text; of NULL it is NULL."""
    encoded = f"current_setting('server_encoding') <> '{NO_ENCODING}'"
    return f"({encoded} OR ({value})::text COLLATE \"C\" ~ '{UTF_8}')"


def bytes_sql(value: str) -> str:
    """The bytes of a text in UTF-8, or as they lie in a database of no encoding."""
    held = "current_setting('server_encoding')"
    to = f"CASE {held} WHEN '{NO_ENCODING}' THEN {held} ELSE 'UTF8' END"
    return f"convert_to({value}::text, {to})"


def text_of(value: Any) -> Any:
    """Bytes as the text that they are, if they are UTF-8."""
    with contextlib.suppress(UnicodeDecodeError, AttributeError):
        return value.decode()
    return value


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
