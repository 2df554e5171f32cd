"""What a message has beside its text: calls, reasoning, images, files, metadata. All is folded but
for images, which are shown where they stand in the message itself."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from synmem.formats.facts import count
from synmem.formats.html.text import attribute, code, line, plain
from synmem.messages import JSONObject, Message, flat_call, parse_json, parts_beside_calls

_RASTER: Final = re.compile(r"data:(image/(?:png|jpe?g|gif|webp));base64,([A-Za-z0-9+/]+={0,2})")
_LARGEST: Final = 16_000_000  # characters of an image: a browser decodes it whenever it is seen
_LONG: Final = 2_000  # characters of a value of a part: what is longer is no text, but data
_REASONING: Final = frozenset(
    {"reasoning", "reasoning_content", "redacted_reasoning", "redacted_thinking",
     "redactedThinking", "thinking", "thoughts"}
)  # fmt: skip


def is_reasoning(kind: object) -> bool:
    """Whether a part or a message of that kind is what a model thought."""
    return isinstance(kind, str) and kind in _REASONING


def folded(kind: str, summary: str, inner: str) -> str:
    """A detail of a message; `summary` and `inner` are HTML."""
    return f'<details class="{kind}"><summary>{summary}</summary>{inner}</details>'


def beside(message: Message) -> Iterator[str]:
    """The elements behind the message's text."""
    for part in parts_beside_calls(message):
        if part.get("type") != "text":
            yield _part(part)
    for call in message.tool_calls or ():
        yield _call(flat_call(call))
    if message.metadata:
        yield folded("md", "metadata", code(_pretty(message.metadata)))


def result(message: Message) -> str:
    """The content of a message that answers a call, folded."""
    text = message.content
    size = count(len(text), "character")
    summary = f'result <span class="w">{size}</span> <code class="w">{line(text, 100)}</code>'
    return folded("result", summary, code(text)) if text else folded("result", "result", "empty")


def thought(text: str) -> str:
    """What a model thought, folded."""
    summary = f'reasoning <span class="w">{line(text, 100)}</span>'
    return folded("thought", summary, f'<div class="t" dir="auto">{plain(text)}</div>')


def _call(call: JSONObject) -> str:
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        text = arguments
        try:
            arguments = parse_json(text)
        except ValueError:
            arguments = text
    shown = arguments if isinstance(arguments, str) else _pretty(arguments)
    name = line(str(call.get("name") or "(no name)"))
    summary = f'calls <b>{name}</b> <code class="w">{line(shown, 100)}</code>'
    ident = call.get("id")
    inner = f'<p class="w">{line(str(ident))}</p>' if ident else ""
    return folded("call", summary, inner + code(shown))


def _part(part: JSONObject) -> str:
    kind = part.get("type") or part.get("content_type")
    if is_reasoning(kind) and (text := _thoughts(part)):
        return thought(text)
    name = line(str(kind or "part"), 100)
    if image := next(filter(None, map(_image, _urls(part))), None):
        return image
    if said := _said(part):
        name += f': <span class="w">{line(said, 200)}</span>'
    return folded("part", name, code(_pretty(_shortened(part))))


def _thoughts(part: JSONObject) -> str:
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


def _urls(part: JSONObject) -> Iterator[str]:
    """Where the image of a part may be: as OpenAI, Anthropic and others say it."""
    for key in ("image_url", "url", "image", "data"):
        value = part.get(key)
        value = value.get("url") if isinstance(value, dict) else value
        if isinstance(value, str):
            yield value
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "base64":
        yield f"data:{source.get('media_type')};base64,{source.get('data')}"


def _image(url: str) -> str | None:
    """An image whose bytes are in the URL; None where it is anything else."""
    found = _RASTER.fullmatch(url) if len(url) <= _LARGEST else None
    if found is None:
        return None
    what = f"{found[1]}, {len(found[2]) * 3 // 4:,} bytes"
    img = f'<img alt="{attribute(what)}" src="{attribute(url)}" decoding="async">'
    return f"<figure>{img}<figcaption>{plain(what)}</figcaption></figure>"


def _said(part: JSONObject) -> str:
    """What a part is called: a name, or where it lies."""
    for key in ("filename", "name", "title", "path", "file", "image_url", "url", "asset_pointer"):
        value = part.get(key)
        if isinstance(value, dict):
            value = value.get("url") or value.get("filename") or value.get("name")
        if isinstance(value, str) and value:
            return value[:_LONG]
    return ""


def _shortened(value: Any) -> Any:
    """The same without the middle of what is too long to be text."""
    if isinstance(value, str) and len(value) > _LONG:
        return f"{value[:200]}… ({len(value):,} characters)"
    if isinstance(value, dict):
        return {key: _shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    return value


def _pretty(value: Any) -> str:
    short = json.dumps(value, ensure_ascii=False)
    return short if len(short) <= 80 else json.dumps(value, ensure_ascii=False, indent=2)
