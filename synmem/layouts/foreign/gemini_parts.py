"""The parts of Gemini's contents: text, calls of functions and their responses, data within."""

from collections.abc import Iterator
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.values import as_json, object_of, objects_of, text_or_none
from synmem.messages import JSONObject

ROLES: Final = {"model": "assistant", "gemini": "assistant", "function": "tool"}
"""Words for a role that are not ours."""


def pieces(parts: Any) -> list[runs.Piece]:
    """What parts say: a list of them, a text alone, or one part."""
    if isinstance(parts, str):
        return [runs.Text(parts)]
    if isinstance(parts, dict):
        parts = [parts]
    if isinstance(parts, list):
        parts = [{"text": each} if isinstance(each, str) else each for each in parts]
    return [_piece(as_json(each)) for each in objects_of(parts, "its parts")]


def _piece(part: JSONObject) -> runs.Piece:
    """A part; one of a kind that is not known is kept as it is."""
    if isinstance(part.get("text"), str):
        if part.get("thought") is True:
            return runs.Reasoning(part)
        return runs.Text(part["text"], part if len(part) > 1 else None)
    for words, make in _KINDS:
        for word in words:
            if isinstance(part.get(word), dict):
                return make(word, part)
    return runs.Other(part)


def _call(word: str, part: JSONObject) -> runs.Piece:
    said = dict(part[word])
    id_, name = text_or_none(said.pop("id", None)), text_or_none(said.pop("name", None))
    return runs.Call(id_, name, said.pop("args", {}), _rest(word, part, said))


def _result(word: str, part: JSONObject) -> runs.Piece:
    said = dict(part[word])
    id_, name = text_or_none(said.pop("id", None)), text_or_none(said.pop("name", None))
    text, left = _said_by(said.pop("response", None))
    own = {"response": left} if left else {}
    return runs.Result(id_, name, text, _rest(word, part, {**said, **own}))


def _said_by(response: Any) -> tuple[str, JSONObject | None]:
    """The text of a response, and what else it says."""
    if isinstance(response, dict):
        for key in ("output", "result", "error", "content"):
            if isinstance(response.get(key), str):
                left = {name: value for name, value in response.items() if name != key}
                return response[key], {key: None, **left} if left or key != "output" else None
    return runs.compact(response), None


def _rest(word: str, part: JSONObject, left: JSONObject) -> JSONObject | None:
    """What a part says besides."""
    others = {key: value for key, value in part.items() if key != word}
    return {**others, word: left} if left or others else None


def _data(word: str, part: JSONObject) -> runs.Piece:
    said = object_of(part[word], "its data")
    kind = said.get("mimeType") or said.get("mime_type")
    data = said.get("data")
    url = said.get("fileUri") or said.get("file_uri")
    if isinstance(data, str):
        url = f"data:{kind};base64,{data}"
        part = {**part, word: {key: value for key, value in said.items() if key != "data"}}
    if isinstance(url, str) and isinstance(kind, str) and kind.startswith("image/"):
        return runs.Image(url, part)
    return runs.File({**part, word: said})


_KINDS: Final = (
    (("functionCall", "function_call"), _call),
    (("functionResponse", "function_response"), _result),
    (("inlineData", "inline_data", "fileData", "file_data"), _data),
)


def as_typed(typed: str | list[runs.Piece], sent: list[runs.Piece]) -> Iterator[runs.Piece]:
    """What a person typed, in the place of the text that was sent with what it names."""
    if isinstance(typed, str):
        yield runs.Text(typed)
    else:
        yield from typed
    for each in sent:
        if isinstance(each, runs.Text):
            yield runs.Aside(each.own or {"text": each.text})
        else:
            yield each
