"""What a message has beside its text: calls, reasoning, images, files, metadata. All is folded but
for images, which are shown where they stand in the message itself."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from synmem.formats.facts import count
from synmem.formats.html.text import attribute, code, line, plain
from synmem.formats.parts import called, is_reasoning, thoughts, urls
from synmem.messages import JSONObject, Message, flat_call, parse_json, parts_beside_calls

_RASTER: Final = re.compile(r"data:(image/(?:png|jpe?g|gif|webp));base64,([A-Za-z0-9+/]+={0,2})")
_LARGEST: Final = 16_000_000  # characters of an image: a browser decodes it whenever it is seen
_LONG: Final = 2_000  # characters of a value of a part: what is longer is no text, but data


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
    if is_reasoning(kind) and (text := thoughts(part)):
        return thought(text)
    name = line(str(kind or "part"), 100)
    if image := next(filter(None, map(_image, urls(part))), None):
        return image
    if said := called(part):
        name += f': <span class="w">{line(said, 200)}</span>'
    return folded("part", name, code(_pretty(_shortened(part))))


def _image(url: str) -> str | None:
    """An image whose bytes are in the URL; None where it is anything else."""
    found = _RASTER.fullmatch(url) if len(url) <= _LARGEST else None
    if found is None:
        return None
    what = f"{found[1]}, {len(found[2]) * 3 // 4:,} bytes"
    img = f'<img alt="{attribute(what)}" src="{attribute(url)}" decoding="async">'
    return f"<figure>{img}<figcaption>{plain(what)}</figcaption></figure>"


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
