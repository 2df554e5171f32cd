"""The forms that are read and written, and what tests of all of them have."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from anthropic.types import MessageParam, TextBlockParam
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from synmem.formats import open_writer
from synmem.formats.losses import Losses
from synmem.layouts.interchange import anthropic, jsonl, openai, sharegpt
from synmem.layouts.interchange.objects import same
from synmem.messages import Conversation, Message, decode_line

FORMS: Final[dict[str, ModuleType]] = {
    "openai": openai,
    "anthropic": anthropic,
    "sharegpt": sharegpt,
}
FIXTURES: Final = Path(__file__).parents[2] / "fixtures"
FILES: Final = {
    "openai": ("openai-chat-jsonl/train.jsonl",),
    "anthropic": ("anthropic-messages/requests.jsonl",),
    "sharegpt": ("sharegpt/sharegpt.jsonl", "sharegpt/sharegpt.json"),
}

Talk = list[tuple[Conversation, list[Message]]]


def jsonl_of(*objects: Any) -> bytes:
    """A file of these, a line each."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


def told(form: str, data: bytes, **how: Any) -> tuple[Talk, list[tuple[str, str, str]]]:
    """The conversations in a file of that form; and of what cannot be read the conversation, where
    it stands, and why."""
    found: dict[str, tuple[Conversation, list[Message]]] = {}
    bad = []
    lines = b"".join(FORMS[form].read_lines(io.BytesIO(data), **how)).split(b"\n")
    for line in filter(None, lines):
        value = json.loads(line)
        name = value["conversation_id"]
        there = found.setdefault(name, (Conversation(name), []))
        if mark := jsonl.mark_of(line):
            bad.append((name, mark.position, mark.reason))
        elif jsonl.is_title(value):
            found[name] = (jsonl.title_of(value), there[1])
        else:
            there[1].append(decode_line(line)[1])
    return [each for each in found.values() if each[1]], bad


def written(form: str, talk: Iterable[tuple[Conversation, Sequence[Message]]]) -> bytes:
    """What is written of it, where nothing may be left out."""
    data, losses = exported(form, talk)
    assert not losses.left_out
    return data


def exported(
    form: str, talk: Iterable[tuple[Conversation, Sequence[Message]]], page: int = 2
) -> tuple[bytes, Losses]:
    """What is written of it, in pages of so many messages; and what is lost."""
    losses = Losses()
    writer = open_writer(form, losses=losses)
    pieces = [writer.begin()]
    for conversation, messages in talk:
        pieces.append(writer.conversation(conversation))
        for start in range(0, len(messages), page):
            pieces.append(writer.messages(messages[start : start + page]))
    return b"".join([*pieces, writer.end()]), losses


def objects(data: bytes) -> list[Any]:
    """The lines of a file."""
    return [json.loads(line) for line in data.split(b"\n") if line]


def one(form: str, *messages: Message) -> Any:
    """The object of one conversation of these messages."""
    [found] = objects(written(form, [(Conversation("c"), messages)]))
    return found


def unchanged(one: Any, other: Any) -> bool:
    """Whether two files hold the same JSON, in whatever order keys are."""
    return same(one, other)


def check_written_back(form: str, data: bytes, page: int) -> None:
    """All of a file can be read, and is written in pages of so many messages as it was; and what
    is written so is written so again."""
    found, bad = told(form, data)
    assert not bad
    back, losses = exported(form, found, page)
    assert not losses.left_out
    assert unchanged(objects(back), objects(data))
    assert written(form, told(form, back)[0]) == back


# --- what its types want --------------------------------------------------------------------

_OPENAI: Final = TypeAdapter(list[ChatCompletionMessageParam])
_ANTHROPIC: Final = TypeAdapter(list[MessageParam])
_SYSTEM: Final = TypeAdapter(str | list[TextBlockParam])
_SHAREGPT: Final = TypeAdapter(list[dict[Literal["from", "value"], str]])


def check_valid(form: str, found: Any) -> None:
    """That an object is one that the types of that form take, down to its last part."""
    if form == "openai":
        _walk(_OPENAI.validate_python(found["messages"], strict=True))
    elif form == "anthropic":
        _walk(_ANTHROPIC.validate_python(found["messages"], strict=True))
        _walk(_SYSTEM.validate_python(found.get("system", ""), strict=True))
    else:
        _SHAREGPT.validate_python(found["conversations"], strict=True)


def _walk(value: Any) -> None:
    """Come to the end of a value: what is any iterable there, is only looked at meanwhile."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        for each in value.values() if isinstance(value, dict) else value:
            _walk(each)


# --- anything -------------------------------------------------------------------------------

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ANY_TEXT: Final = st.text(st.characters(), max_size=6).map(
    lambda text: json.loads(json.dumps(text))  # what pairs of surrogates are in JSON
)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
OBJECT: Final = st.dictionaries(TEXT, JSON, max_size=2)
