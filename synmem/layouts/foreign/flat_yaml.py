"""What programs write beside their files as YAML: keys, each with one value."""

import re
from collections.abc import Iterator
from typing import Any, Final

from synmem.layouts.heads import BOM

_KEY: Final = re.compile(r"([A-Za-z_][\w-]*):(?:[ \t]+(.*))?$", re.DOTALL)
_BLOCK: Final = re.compile(r"[|>][0-9]?([+-]?)[0-9]?[ \t]*")
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_ESCAPED: Final = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r",
    "e": "\x1b", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_PLAIN: Final = {"true": True, "false": False, "null": None, "~": None, "": None}


def values(data: bytes) -> dict[str, Any]:
    """The values of the keys at the top: texts, whole numbers, true, false and null. What is of
    another form is the text that stands there."""
    text = data.removeprefix(BOM).decode("utf-8", "replace")
    return {key: _value(first, more) for key, first, more in _entries(text.split("\n"))}


def _entries(lines: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Each key, what stands beside it, and the lines below that are further in."""
    key, first, more = "", "", list[str]()
    for line in (each.removesuffix("\r") for each in lines):
        found = _KEY.match(line)
        if found is None:
            more.append(line)
            continue
        if key:
            yield key, first, more
        key, first, more = found[1], found[2] or "", []
    if key:
        yield key, first, more


def _value(first: str, more: list[str]) -> Any:
    while more and not more[-1].strip():
        more.pop()
    if block := _BLOCK.fullmatch(first):
        return _block(more, first[0], block[1])
    text = _folded([first, *more]).strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return _whole(_ESCAPE.sub(_unescaped, text[1:-1]))
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if text in _PLAIN:
        return _PLAIN[text]
    return int(text) if re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text) else text


def _block(lines: list[str], style: str, chomping: str) -> str:
    """A text on lines of its own."""
    if not lines:
        return ""
    depth = min((len(each) - len(each.lstrip(" ")) for each in lines if each.strip()), default=0)
    inner = [each[depth:] for each in lines]
    text = "\n".join(inner) if style == "|" else _folded(inner)
    return text if chomping == "-" else text + "\n"


def _folded(lines: list[str]) -> str:
    """Lines that are one: the end of one is a blank, unless it is escaped, and an empty one is the
    end of a line."""
    found = lines[0].strip()
    for line in (each.strip() for each in lines[1:]):
        if not line:
            found += "\n"
        elif found.endswith("\\"):
            found = found[:-1] + line
        else:
            found += line if found.endswith("\n") else f" {line}"
    return found


def _unescaped(found: re.Match[str]) -> str:
    number = int(found[1] or found[2] or found[3] or "110000", 16)
    if number < 0x110000:
        return chr(number)
    return _ESCAPED.get(found[4], found[4]) if found[4] else found[0]


def _whole(text: str) -> str:
    """With each character that is written as two halves put together."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
