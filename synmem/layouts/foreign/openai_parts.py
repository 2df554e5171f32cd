"""Content and calls in the form of OpenAI's chat API, which several programs keep as they were
sent."""

from collections.abc import Iterator
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.values import kept, object_of, objects_of, take_text, text_of
from synmem.messages import JSONObject

_IMAGES: Final = ("image_url", "imageUrl")
_FILES: Final = ("audio_url", "file", "input_audio", "video_url")


def pieces(content: Any) -> Iterator[runs.Piece]:
    """What content says: a text, or parts; one of a kind that is not known is kept as it is."""
    if content is None or isinstance(content, str):
        yield runs.Text(content or "")
        return
    for part in objects_of(content, "its contents"):
        yield _image(part) or _piece(part)


def _piece(part: JSONObject) -> runs.Piece:
    kind, text = part.get("type"), part.get("text")
    if kind == "text" or isinstance(text, str):
        own = kept(part, ["type", "text"])
        return runs.Text(text_of(text, "the text of a part"), own or None)
    if kind == "think":
        return runs.Reasoning(kept(part))
    return runs.File(part) if kind in _FILES else runs.Other(part)


def _image(part: JSONObject) -> runs.Piece | None:
    for key in _IMAGES:
        image = part.get(key)
        if isinstance(image, dict) and isinstance(url := image.get("url"), str):
            own = kept(part, ["type", key]) | kept(image, ["url"])
            return runs.Image(url, own or None)
    return None


def answer(id_: str | None, name: str | None, content: Any) -> runs.Result:
    """What a tool answered: a text, or parts of which some are texts; where others are, all are
    kept as they stand there."""
    if content is None or isinstance(content, str):
        return runs.Result(id_, name, content or "")
    parts = objects_of(content, "its contents")
    texts = [text for each in parts if isinstance(text := each.get("text"), str)]
    own = None if len(texts) == len(parts) else {"content": content}
    return runs.Result(id_, name, "\n".join(texts), own)


def call(said: JSONObject) -> runs.Call:
    """A call of a function; its arguments are JSON in a text."""
    left = kept(said)
    function = object_of(left.pop("function", {}), "the function of a call")
    id_, name = take_text(left, "id"), take_text(function, "name")
    arguments = runs.arguments_of(function.pop("arguments", None))
    own = {**left, **kept(function)}
    return runs.Call(id_, name, arguments, own if own.keys() - {"type"} else None)
