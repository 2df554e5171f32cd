"""Content blocks of Anthropic's messages, which several programs keep as they were sent."""

from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.values import kept, take_text, text_of
from synmem.messages import JSONObject

_CALLS: Final = ("tool_use", "server_tool_use", "mcp_tool_use")
_THOUGHTS: Final = ("thinking", "redacted_thinking", "reasoning")
_FILES: Final = ("document", "file", "container_upload", "image")


def piece(block: JSONObject) -> runs.Piece:
    """What a block says; one of a kind that is not known is kept as it is."""
    left = dict(block)
    kind = left.pop("type", None)
    if kind == "text":
        text = text_of(left.pop("text", None), "the text of a block")
        return runs.Text(text, (kept(left) or None) if left else None)
    if kind in _THOUGHTS:
        return runs.Reasoning(kept(block))
    if kind in _CALLS:
        own = left if kind == _CALLS[0] else {"type": kind, **left}
        id_, name = take_text(own, "id"), take_text(own, "name")
        arguments = own.pop("input", None)
        return runs.Call(id_, name, arguments, (kept(own) or None) if own else None)
    if isinstance(kind, str) and kind.endswith("tool_result"):
        return _result(kind, left)
    if kind == "image" and (url := _url(left.get("source"))):
        return runs.Image(url, kept(left, ["source"]) or None)
    return runs.File(kept(block)) if kind in _FILES else runs.Other(kept(block))


def _result(kind: str, left: JSONObject) -> runs.Result:
    """What a tool answered: a text, or the texts of blocks, which then are kept."""
    id_, name = take_text(left, "tool_use_id"), take_text(left, "name")
    content = left.pop("content", None)
    text = text_in(content)
    own = kept(left, ["is_error"] if left.get("is_error") is False else ())
    if content not in (None, text, [{"type": "text", "text": text}]):
        own["content"] = content
    if kind != "tool_result":
        own["type"] = kind
    return runs.Result(id_, name, text, own or None)


def text_in(content: Any) -> str:
    """The text that content is, or that stands in its blocks: in `text`, or in `result`, where a
    program lists what it did and how that went."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    said = [each.get("text", each.get("result")) for each in content if isinstance(each, dict)]
    return "\n".join(each for each in said if isinstance(each, str))


def _url(source: Any) -> str | None:
    """Where an image is, or all of it."""
    if not isinstance(source, dict):
        return None
    data, url = source.get("data"), source.get("url")
    if isinstance(data, str):
        return f"data:{source.get('media_type')};base64,{data}"
    return url if isinstance(url, str) else None
