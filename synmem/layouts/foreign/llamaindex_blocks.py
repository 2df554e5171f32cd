"""What LlamaIndex's reader takes as it is, of a message in its own form: not what it raises on, and
not what it would drop or change."""

import re
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from synmem.messages import JSONObject, are_objects, ascii_json

READ: Final = frozenset(
    {"system", "developer", "user", "assistant", "tool", "chatbot", "model", "function"}
)
"""The roles that there are."""

DATA_URL: Final = re.compile(r"data:(?P<type>\w+/[\w.+-]+);base64,(?P<data>[\w+/]+=*)", re.ASCII)
"""A URL that has all of what it names."""


def misread(said: JSONObject) -> str | None:
    """On what LlamaIndex's reader would raise, or what it would drop or change."""
    if said["role"] not in READ:
        return f"there is no role {_shown(said['role'])}"
    if odd := said.keys() - {"role", "additional_kwargs", "blocks"}:
        return f"it drops {_shown(min(odd))}"
    more = said["additional_kwargs"]
    if not isinstance(more, dict) or more.get("images"):
        return "it cannot take its additional_kwargs"
    if not are_objects(said["blocks"]):
        return "its blocks are not a list of objects"
    return next((why for block in said["blocks"] if (why := _wrong(block))), None)


def _wrong(block: JSONObject, kinds: frozenset[str] | None = None) -> str | None:
    """What is wrong with a block, of these types where they are named."""
    kind = block.get("block_type")
    if not isinstance(kind, str) or kind not in (kinds or _KINDS):
        return f"there is no block of type {_shown(kind)} there"
    must, may = _KINDS[kind]
    if missing := must.keys() - block.keys():
        return f"a block of type {kind} has no {min(missing)!r}"
    for key, value in block.items():
        fits = must.get(key) or may.get(key)
        if key != "block_type" and (fits is None or not fits(value)):
            return f"in a block of type {kind}, {_shown(key)} cannot be {_shown(value)}"
    held = _HELD.get(kind)
    return None if held is None else _guessed(kind, block, *held)


def _guessed(kind: str, block: JSONObject, data: str, mimetype: str) -> str | None:
    """Whether LlamaIndex would say what it is by itself, as it does where nothing says it."""
    known = {"image": IMAGES, "audio": _AUDIO, "video": _VIDEO}[kind]
    url = block.get("url") or ""
    if not block.get(mimetype) and (
        block.get(data) or suffix(url) in known or url.startswith("data:")
    ):
        return f"it would guess the {mimetype} of a block of type {kind}"
    return None


def suffix(url: str) -> str:
    """As LlamaIndex finds it."""
    return PurePosixPath(url).suffix.replace(".", "")


IMAGES: Final = {
    "dwg": "image/vnd.dwg", "xcf": "image/x-xcf", "jpg": "image/jpeg", "jpx": "image/jpx",
    "apng": "image/apng", "png": "image/png", "gif": "image/gif", "webp": "image/webp",
    "tif": "image/tiff", "cr2": "image/x-canon-cr2", "bmp": "image/bmp",
    "jxr": "image/vnd.ms-photo", "psd": "image/vnd.adobe.photoshop", "ico": "image/x-icon",
    "heic": "image/heic", "avif": "image/avif",
}  # fmt: skip
_AUDIO: Final = frozenset({"aac", "mid", "mp3", "m4a", "ogg", "flac", "wav", "amr", "aiff"})
_VIDEO: Final = frozenset(
    {"3gp", "mp4", "m4v", "mkv", "webm", "mov", "avi", "wmv", "mpg", "flv"}
)  # fmt: skip
"""Of which endings of a URL LlamaIndex knows what they are."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_some_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_number_or_none(value: Any) -> bool:
    return value is None or type(value) is int


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_none(value: Any) -> bool:
    """What is None: of a path, its reader asks whether the file is there."""
    return value is None


def _is_data(value: Any) -> bool:
    return value is None or (isinstance(value, str) and is_base64(value.encode("utf-8", "replace")))


def is_base64(data: bytes) -> bool:
    """Whether it is base64, written in the one way that LlamaIndex does not write anew."""
    try:
        return b2a_base64(a2b_base64(data, strict_mode=True), newline=False) == data
    except NotBase64:
        return False


def as_base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


_SAME_URL: Final = re.compile(
    r"https?://(?!.*xn--)(?:localhost|(?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,})(?::[1-9]\d{3})?"
    r"/(?!(?:.*/)?(?:\.|%2[eE]){1,2}(?:[/?#]|$))[\w.~!$&()*+,;=:@%/?#-]*",
    re.ASCII,
)  # fmt: skip


def _is_url(value: Any) -> bool:
    """Whether it is a URL that is plainly in the form into which LlamaIndex brings any."""
    return value is None or (
        isinstance(value, str)
        and (_SAME_URL.fullmatch(value) or DATA_URL.fullmatch(value)) is not None
    )


def _is_cache_control(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _is_text(value.get("type"))
        and value.keys() <= {"type", "ttl"}
        and _is_text(value.get("ttl", ""))
    )


def _are_citable(value: Any) -> bool:
    return are_objects(value) and not any(_wrong(block, _CITABLE) for block in value)


def _is_cited(value: Any) -> bool:
    return isinstance(value, dict) and not _wrong(value, _CITABLE - {"document"})


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(type(each) is int for each in value.values())


_CITABLE: Final = frozenset({"text", "image", "document"})

_Fits = Mapping[str, Callable[[Any], bool]]

_KINDS: Final[Mapping[str, tuple[_Fits, _Fits]]] = {
    "text": ({"text": _is_text}, {}),
    "image": (
        {},
        {
            "image": _is_data, "path": _is_none, "url": _is_url,
            "image_mimetype": _is_text_or_none, "detail": _is_text_or_none,
        },
    ),
    "audio": (
        {},
        {"audio": _is_data, "path": _is_none, "url": _is_url, "format": _is_text_or_none},
    ),
    "video": (
        {},
        {
            "video": _is_data, "path": _is_none, "url": _is_url,
            "video_mimetype": _is_text_or_none, "detail": _is_text_or_none,
            "fps": _is_number_or_none,
        },
    ),
    "document": (
        # What is missing of these two, LlamaIndex would guess.
        {"title": _is_some_text, "document_mimetype": _is_some_text},
        {"data": _is_data, "path": _is_text_or_none, "url": _is_text_or_none},
    ),
    "cache": ({"cache_control": _is_cache_control}, {}),
    "citable": ({"title": _is_text, "source": _is_text, "content": _are_citable}, {}),
    "citation": (
        {
            "title": _is_text, "source": _is_text, "cited_content": _is_cited,
            "additional_location_info": _are_numbers,
        },
        {},
    ),
    "thinking": (
        {},
        {
            "content": _is_text_or_none, "num_tokens": _is_number_or_none,
            "additional_information": _is_object,
        },
    ),
    "tool_call": (
        {"tool_name": _is_text},
        {
            "tool_call_id": _is_text_or_none,
            "tool_kwargs": lambda value: isinstance(value, dict | str),
        },
    ),
}  # fmt: skip
"""Of each type of block, what it must have and what it may."""

_HELD: Final = {
    "image": ("image", "image_mimetype"),
    "audio": ("audio", "format"),
    "video": ("video", "video_mimetype"),
}
"""Where these have their bytes, and what these are."""


def _shown(value: Any) -> str:
    return ascii_json(value)[:50]
