"""What the parts of a message say that are no text: what a model thought, where an image is."""

from collections.abc import Iterator
from typing import Final

from synmem.messages import JSONObject

_LONG: Final = 2_000  # characters of a name or address: what is longer is data
_REASONING: Final = frozenset(
    {"reasoning", "reasoning_content", "redacted_reasoning", "redacted_thinking",
     "redactedThinking", "thinking", "thoughts"}
)  # fmt: skip


def is_reasoning(kind: object) -> bool:
    """Whether a part or a message of that kind is what a model thought."""
    return isinstance(kind, str) and kind in _REASONING


def thoughts(part: JSONObject) -> str:
    """The text of a part that is reasoning, wherever it says it."""
    for key in ("text", "thinking", "reasoning", "content", "summary"):
        value = part.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list):
            texts = [each["text"] for each in value if isinstance(each, dict) and "text" in each]
            if found := "\n".join(text for text in texts if isinstance(text, str)):
                return found
    return ""


def urls(part: JSONObject) -> Iterator[str]:
    """Where the image of a part may be: as OpenAI, Anthropic and others say it."""
    for key in ("image_url", "url", "image", "data"):
        value = part.get(key)
        value = value.get("url") if isinstance(value, dict) else value
        if isinstance(value, str):
            yield value
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "base64":
        yield f"data:{source.get('media_type')};base64,{source.get('data')}"


def called(part: JSONObject) -> str:
    """What a part is called: a name, or where it lies."""
    for key in ("filename", "name", "title", "path", "file", "image_url", "url", "asset_pointer"):
        value = part.get(key)
        if isinstance(value, dict):
            value = value.get("url") or value.get("filename") or value.get("name")
        if isinstance(value, str) and value:
            return value[:_LONG]
    return ""
