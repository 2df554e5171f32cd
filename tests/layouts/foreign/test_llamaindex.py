"""LlamaIndex's messages: what is read of them, and written as they were; what its reader refuses."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.foreign.llamaindex_messages import HOLDS, json_of, message_of, refusal
from synmem.messages import Message, canonical
from tests.services.llamaindex import LlamaIndex, llamaindex

ROLES = (
    "system", "developer", "user", "assistant", "function", "tool", "chatbot", "model",
)  # fmt: skip
DATA = "aVZCT1J3MEtHZ28="
IMAGE = {
    "block_type": "image", "image": DATA, "path": None, "url": None, "image_mimetype": "image/png",
    "detail": None,
}  # fmt: skip
CALL = {
    "block_type": "tool_call", "tool_call_id": "call_1", "tool_name": "f",
    "tool_kwargs": {"city": "Zürich", "n": 2**70},
}  # fmt: skip
OURS = {"id": "call_1", "name": "f", "arguments": CALL["tool_kwargs"]}
THINKING = {
    "block_type": "thinking", "content": "hmm", "num_tokens": None, "additional_information": {},
}  # fmt: skip


def text(said: str) -> dict[str, Any]:
    """A text block."""
    return {"block_type": "text", "text": said}


def said(role: str = "user", *blocks: Any, **more: Any) -> dict[str, Any]:
    """What LlamaIndex stores of a message with these blocks, or with a text."""
    return {"role": role, "additional_kwargs": more, "blocks": [*blocks] or [text("x")]}


def own(**kept: Any) -> dict[str, Any]:
    """What of a message lies beside."""
    return {"llamaindex": kept}


def part(said: str) -> dict[str, Any]:
    """A text block as ours."""
    return {"type": "text", "text": said}


OLDER = {"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}, "type": "function"}
USED = {"id": "c", "type": "tool_use", "name": "f", "input": {"a": 1}}

READ = [
    (said(), Message("user", "x")),
    (said("system"), Message("system", "x")),
    (said("developer"), Message("developer", "x")),
    (said("chatbot"), Message("assistant", "x", extra=own(role="chatbot"))),
    (said("model"), Message("assistant", "x", extra=own(role="model"))),
    (said("function", name="f"), Message("tool", "x", name="f", extra=own(role="function"))),
    (
        said("tool", name="f", tool_call_id="c"),
        Message("tool", "x", tool_call_id="c", name="f"),
    ),
    (
        said("assistant", CALL),
        Message("assistant", "", tool_calls=[OURS], extra=own(blocks=[CALL])),
    ),
    (
        said("assistant", text("x"), CALL, k=1),
        Message(
            "assistant", "x", tool_calls=[OURS],
            extra=own(additional_kwargs={"k": 1}, blocks=[text("x"), CALL]),
        ),
    ),
    (
        {**said("assistant", tool_calls=[OLDER]), "blocks": []},
        Message(
            "assistant", "", tool_calls=[{"id": "c", "name": "f", "arguments": {"a": 1}}],
            extra=own(additional_kwargs={"tool_calls": [OLDER]}, blocks=[]),
        ),
    ),
    (
        said("assistant", tool_calls=[USED]),
        Message(
            "assistant", "x", tool_calls=[{"id": "c", "name": "f", "arguments": {"a": 1}}],
            extra=own(additional_kwargs={"tool_calls": [USED]}, blocks=[text("x")]),
        ),
    ),
    (
        said("assistant", CALL, tool_calls=[OLDER]),
        Message(
            "assistant", "", tool_calls=[OURS],
            extra=own(additional_kwargs={"tool_calls": [OLDER]}, blocks=[CALL]),
        ),
    ),
    (
        said("assistant", {**CALL, "tool_kwargs": '{"a": 1}'}),
        Message(
            "assistant", "", tool_calls=[{**OURS, "arguments": {"a": 1}}],
            extra=own(blocks=[{**CALL, "tool_kwargs": '{"a": 1}'}]),
        ),
    ),
    (
        said("assistant", {**CALL, "tool_kwargs": "{oops"}),
        Message(
            "assistant", "", tool_calls=[{**OURS, "arguments": "{oops"}],
            extra=own(blocks=[{**CALL, "tool_kwargs": "{oops"}]),
        ),
    ),
    (
        said("user", text("a"), IMAGE, text("b")),
        Message(
            "user", "a\nb",
            parts=[part("a"), {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}, part("b")],
            extra=own(blocks=[text("a"), IMAGE, text("b")]),
        ),
    ),
    (
        said("user", {**IMAGE, "image": None, "url": "https://ex.org/a.png", "detail": "low"}),
        Message(
            "user", "",
            parts=[{"type": "image_url", "image_url": {"url": "https://ex.org/a.png", "detail": "low"}}],
            extra=own(blocks=[{**IMAGE, "image": None, "url": "https://ex.org/a.png", "detail": "low"}]),
        ),
    ),
    (
        said("assistant", THINKING, text("x")),
        Message(
            "assistant", "x", parts=[{**THINKING, "type": "thinking"}, part("x")],
            extra=own(blocks=[THINKING, text("x")]),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), READ)
def test_what_is_read_is_written_as_it_was(theirs: Any, ours: Message) -> None:
    assert message_of(theirs) == ours
    assert refusal(ours) is None
    assert json.dumps(json_of(ours)) == json.dumps(theirs)


@pytest.mark.parametrize(
    ("older", "now"),
    [
        ({"role": "user", "content": "x", "additional_kwargs": {}}, said()),
        ({"role": "user", "content": "", "additional_kwargs": {}}, said("user", text(""))),
        ({"role": "user", "content": "x"}, said()),
        (
            {"role": "assistant", "content": None, "additional_kwargs": {"tool_calls": [OLDER]}},
            {**said("assistant", tool_calls=[OLDER]), "blocks": []},
        ),
        ({"role": "user", "content": None, "blocks": [text("x")]}, said()),
        ({"role": "user", "content": [text("x")]}, said()),
        ({"role": "user"}, {**said(), "blocks": []}),
    ],
)
def test_what_older_versions_wrote_is_the_same_as_what_is_written_now(older: Any, now: Any) -> None:
    assert message_of(older) == message_of(now)
    assert json_of(message_of(older)) == now


def test_where_there_are_both_content_counts_and_the_blocks_are_kept() -> None:
    message = message_of({**said("user", text("hidden")), "content": "x"})
    assert message == Message("user", "x", extra=own(content="x", blocks=[text("hidden")]))
    assert "content" in str(refusal(message))
    message = message_of({**said(), "content": 5})
    assert message == Message("user", "x", extra=own(content=5))
    assert refusal(message)


def test_bytes_are_the_base64_that_they_hold_or_are_made_so() -> None:
    """As BSON and DynamoDB have them."""
    message = message_of(said("user", {**IMAGE, "image": DATA.encode()}))
    assert message == message_of(said("user", IMAGE))
    message = message_of(said("user", {**IMAGE, "image": b"\x89PNG"}))
    assert message.extra == own(blocks=[{**IMAGE, "image": "iVBORw=="}])


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (5, "not an object"),
        ({"blocks": []}, "no role"),
        ({"role": 5, "blocks": []}, "no role"),
        ({"role": "user", "blocks": 5}, "not a list"),
        ({"role": "user", "blocks": [5]}, "not a list"),
        ({"role": "user", "blocks": [{}]}, "no block_type"),
        ({"role": "user", "blocks": [{"block_type": None}]}, "no block_type"),
        ({"role": "user", "blocks": [{"block_type": "text", "text": None}]}, "no text"),
        ({"role": "user", "content": [5]}, "not a list"),
    ],
)
def test_what_is_no_message_says_why(theirs: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        message_of(theirs)


@pytest.mark.parametrize(
    "message",
    [
        Message("narrator", "x"),
        Message("chatbot", "x"),
        Message("assistant", "", tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
        Message("assistant", "", tool_calls=[{**OURS, "arguments": '{"a": 1}'}]),
        Message("assistant", "", tool_calls=[{**OURS, "more": 1}]),
        Message("user", "another text", parts=[part("x"), part("y")]),
        Message("user", "x", parts=[part("x")]),
        Message("user", "", parts=[{"type": "input_audio", "input_audio": {}}]),
        Message("user", "", parts=[{"type": "image_url", "image_url": {"url": "http://EXAMPLE.org"}}]),
        Message("user", "x", extra={"llamaindex": 5}),
        Message("user", "x", extra=own(blocks=[text("y")])),
        Message("user", "x", extra=own(blocks=5)),
        Message("user", "x", extra=own(more=5)),
        Message("user", "x", name="n", extra=own(additional_kwargs={})),
        Message("user", "x", extra=own(role="model")),
    ],
)  # fmt: skip
def test_what_llamaindex_has_no_place_for_is_refused(message: Message) -> None:
    assert refusal(message)


@pytest.mark.parametrize(
    "message",
    [
        Message("assistant", "x", tool_calls=[OURS, {**OURS, "id": None}]),
        Message("assistant", "", tool_calls=[{**OURS, "arguments": "{oops"}]),
        Message("user", "a\nb", parts=[part("a"), part("b")]),
        Message("user", "", parts=[{"type": "image_url", "image_url": {"url": "https://ex.org/a.png?b=c", "detail": "low"}}]),
        Message("user", "x", parts=[part("x"), {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}]),
        Message("user", "x", {"k": 1}, extra={"other": {"a": 1}}),
    ],
)  # fmt: skip
def test_what_of_others_has_a_place_comes_back(message: Message) -> None:
    assert refusal(message) is None
    back = message_of(json_of(message))
    assert canonical(back, HOLDS) == canonical(message, HOLDS)


texts = some.text(max_size=3) | some.sampled_from(["\x00", "\ud800", "user", DATA])
json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | texts,
    lambda inner: some.lists(inner, max_size=2) | some.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = some.dictionaries(texts, json_values, max_size=2)
blocks = some.one_of(
    some.builds(text, texts),
    some.just(IMAGE) | some.just(CALL) | some.just(THINKING),
    some.fixed_dictionaries(
        {"block_type": some.sampled_from(["text", "image", "audio", "video", "document", "cache", "citable", "citation", "thinking", "tool_call"]) | texts},
        optional={
            key: json_values | some.builds(text, texts)
            for key in ("text", "image", "url", "image_mimetype", "detail", "audio", "format", "data", "title",
                        "document_mimetype", "source", "content", "cited_content", "cache_control",
                        "num_tokens", "tool_call_id", "tool_name", "tool_kwargs", "path", "more")
        },
    ),
    objects,
)  # fmt: skip
kwargs = objects | some.fixed_dictionaries(
    {},
    optional={
        "name": json_values, "tool_call_id": json_values,
        "tool_calls": some.lists(some.just(OLDER) | objects, max_size=2) | json_values,
    },
)  # fmt: skip
theirs = some.fixed_dictionaries(
    {"role": some.sampled_from(ROLES) | texts, "blocks": some.lists(blocks, max_size=3)},
    optional={"additional_kwargs": kwargs | json_values, "content": json_values, "more": texts},
)


def check_theirs(theirs: Any) -> None:
    """What is not refused is written back with every key as it was, and the rest as usual."""
    try:
        message = message_of(theirs)
    except ValueError:
        return
    if refusal(message) is None:
        written = json.loads(json.dumps(json_of(message)))
        same = {"additional_kwargs": {}, "blocks": [], **theirs}
        if isinstance(theirs.get("content"), str):
            same["blocks"] = [text(theirs["content"])]
        same.pop("content", None)
        assert json.dumps(written, sort_keys=True) == json.dumps(same, sort_keys=True)


@given(theirs)
def test_whatever_is_read_and_not_refused_is_written_back(theirs: Any) -> None:
    check_theirs(theirs)


@given(json_values | some.dictionaries(some.sampled_from(["role", "content", "blocks", "additional_kwargs"]), json_values))  # fmt: skip
def test_whatever_it_is_it_is_read_or_says_why_not(theirs: Any) -> None:
    check_theirs(theirs)


parts = some.one_of(
    some.builds(part, texts),
    some.sampled_from([
        {"type": "image_url", "image_url": {"url": "https://ex.org/a.png"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        {**THINKING, "type": "thinking"},
    ]),
    objects,
    some.fixed_dictionaries({"type": some.sampled_from(["text", "image_url", "image"])}, optional={"image_url": objects, "text": json_values}),
)  # fmt: skip
messages = some.builds(
    Message,
    some.sampled_from(ROLES) | texts,
    texts,
    tool_calls=some.none() | some.lists(some.fixed_dictionaries({"id": texts, "name": texts, "arguments": objects}) | objects, max_size=2),
    tool_call_id=some.none() | texts,
    name=some.none() | texts,
    parts=some.none() | some.lists(parts, max_size=2),
    extra=some.none() | some.fixed_dictionaries({"llamaindex": theirs | objects}),
)  # fmt: skip


def check_ours(message: Message) -> None:
    """A message that is not refused comes back equal."""
    if refusal(message) is None:
        back = message_of(json.loads(json.dumps(json_of(message))))
        assert canonical(back, HOLDS) == canonical(message, HOLDS)


@given(messages)
def test_whatever_is_not_refused_comes_back(message: Message) -> None:
    check_ours(message)


# --- the real one ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[LlamaIndex]:
    with llamaindex() as running:
        yield running


URLS = [
    "https://ex.org/a.png", "https://ex.org/a", "https://ex.org", "http://EX.org/", "x", "", 5,
    "https://ex.org:443/", "https://ex.org:8080/a", "https://ex.org/../a", "https://ex.org/%2e/a",
    "https://ex.org/a'b?c'd", "https://ex.org/ü", "https://xn--a.org/", "http://127.1/", "ftp://ex.org/",
    "https://ex.org/a b", f"data:image/png;base64,{DATA}", "data:image/png;base64,A A",
    "http://localhost:8080/a.png?b=/..", "https://a.ex.org/a.mp3#.mp4", "https://ex.org/a..b/c",
]  # fmt: skip
BASE64 = [None, "", DATA, "aVZC", "aVZ", "a b=", "aVZCT1J3MEtHZ28\n", "QR==", "ü", "\ud800", 5]
TEXTS_OR = [None, "", "x", 5, "\ud800"]
ODD: dict[str, dict[str, list[Any]]] = {
    "text": {"text": ["", None, 5, "\ud800"], "more": [1]},
    "image": {
        "image": BASE64, "url": URLS, "path": ["/nowhere", 5], "image_mimetype": TEXTS_OR,
        "detail": TEXTS_OR, "more": [1],
    },
    "audio": {"audio": BASE64, "url": URLS, "path": ["/nowhere"], "format": TEXTS_OR, "more": [1]},
    "video": {
        "video": BASE64, "url": URLS, "path": ["/nowhere"], "video_mimetype": TEXTS_OR, "detail": TEXTS_OR,
        "fps": [None, 5, 5.0, True, "5", 2**70], "more": [1],
    },
    "document": {
        "data": BASE64, "url": URLS, "path": ["/nowhere"], "title": TEXTS_OR, "document_mimetype": TEXTS_OR,
        "more": [1],
    },
    "cache": {
        "cache_control": [
            {"type": "ephemeral", "ttl": "5m"}, {"type": "ephemeral"}, {"type": 5}, {}, None,
            {"type": "a", "more": 1}, {"type": "a", "ttl": None},
        ]
    },
    "citable": {
        "title": TEXTS_OR, "source": TEXTS_OR,
        "content": [[], [text("a"), IMAGE], [THINKING], "x", [{**IMAGE, "more": 1}], None, [5]],
    },
    "citation": {
        "title": TEXTS_OR, "source": TEXTS_OR, "cited_content": [text("a"), IMAGE, THINKING, "x", [text("x")]],
        "additional_location_info": [{}, {"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}, None],
    },
    "thinking": {
        "content": TEXTS_OR, "num_tokens": [None, 5, 5.0, True, "5"],
        "additional_information": [{}, {"a": [None, 2**70, 1.5, "\ud800"]}, None, []],
    },
    "tool_call": {
        "tool_call_id": TEXTS_OR, "tool_name": TEXTS_OR,
        "tool_kwargs": [{}, {"a": [None, 2**70, 1.0, True]}, "{}", "{", None, 5, []],
    },
    "odd": {"text": ["x"]},
}  # fmt: skip
USUAL: dict[str, dict[str, Any]] = {
    "text": text("x"),
    "image": IMAGE,
    "audio": {"audio": DATA, "path": None, "url": None, "format": "mp3"},
    "video": {"video": DATA, "path": None, "url": None, "video_mimetype": "video/mp4", "detail": None, "fps": None},
    "document": {"data": DATA, "path": None, "url": None, "title": "t", "document_mimetype": "text/plain"},
    "cache": {},
    "citable": {"title": "t", "source": "s", "content": [text("c")]},
    "citation": {"title": "t", "source": "s", "cited_content": text("c"), "additional_location_info": {}},
    "thinking": THINKING,
    "tool_call": CALL,
    "odd": {},
}  # fmt: skip
MIMETYPES = {"format", "image_mimetype", "video_mimetype", "document_mimetype"}
OF_MESSAGE: dict[str, list[Any]] = {
    "role": [*ROLES, "USER", "x", ""],
    "additional_kwargs": [
        {}, {"a": [float("nan"), "\ud800", 2**70]}, None, [], {"images": []}, {"images": [1]},
        {"name": 5}, {"tool_call_id": None}, {"\ud800": 1},
    ],
    "blocks": [[], None, [5]],
    "content": ["x", None, [], 5],
    "more": [1],
}  # fmt: skip


def odd() -> Iterator[dict[str, Any]]:
    """Messages with each of these oddities; blocks without one of their keys, and with odd values:
    also of what says what they hold, for those that hold nothing."""
    for key, values in OF_MESSAGE.items():
        yield from ({**said(), key: value} for value in values)
    for kind, keys in ODD.items():
        usual = {"block_type": kind, **USUAL[kind]}
        for less in ("", *keys):
            yield said("user", {key: value for key, value in usual.items() if key != less})
        for key, values in keys.items():
            yield from (said("user", {**usual, key: value}) for value in values)
        if kind in ("image", "audio", "video", "document"):
            unsaid = {**usual, next(iter(USUAL[kind])): None}
            [mimetype] = MIMETYPES & usual.keys()
            yield from (said("user", {**unsaid, mimetype: None, "url": url}) for url in URLS)


def _same(there: Any, written: Any) -> bool:
    """Whether all that was written is there; what is there besides is empty."""
    if isinstance(there, dict) and isinstance(written, dict):
        more = [there[key] for key in there.keys() - written.keys()]
        return all(each in (None, {}, "5m") for each in more) and all(
            key in there and _same(there[key], written[key]) for key in written
        )
    if isinstance(there, list) and isinstance(written, list):
        return len(there) == len(written) and all(map(_same, there, written))
    return json.dumps(there) == json.dumps(written)


@pytest.mark.real
def test_it_reads_what_we_write_and_raises_on_what_we_refuse(real: LlamaIndex) -> None:
    """Of each odd message: what is not refused it reads as it is. What is refused it does not read,
    or reads otherwise, or it cannot be told that it would not."""
    cases = [*odd()]
    refused, written = [], []
    for theirs, read in zip(cases, real.ask("parse", messages=cases), strict=True):
        try:
            message = message_of(theirs)
        except ValueError:
            assert read is None or not _same(read, theirs), theirs
            continue
        if refusal(message) is None:
            written.append(json_of(message))
        elif read is not None and _same(read, theirs):
            refused.append(theirs)
    for ours, read in zip(written, real.ask("parse", messages=written), strict=True):
        assert read is not None, ours
        assert _same(read, ours), (ours, read)
    for [block] in (theirs["blocks"] for theirs in refused):
        unsaid = any(not block.get(key) for key in MIMETYPES if key in USUAL[block["block_type"]])
        assert unsaid or block["url"], block  # whether it would guess, or change a URL, is not told


@pytest.mark.real
@settings(max_examples=1000)
@given(theirs)
def test_whatever_is_read_and_not_refused_is_written_back_ten_times_as_often(theirs: Any) -> None:
    check_theirs(theirs)


@pytest.mark.real
@settings(max_examples=1000)
@given(messages)
def test_whatever_is_not_refused_comes_back_ten_times_as_often(message: Message) -> None:
    check_ours(message)


@pytest.mark.real
@settings(max_examples=300)
@given(some.lists(messages, min_size=5, max_size=5), some.lists(theirs, max_size=5))
def test_the_real_reader_takes_whatever_is_not_refused(
    real: LlamaIndex, many: list[Message], said: list[Any]
) -> None:
    for each in said:
        with contextlib.suppress(ValueError):
            many.append(message_of(each))
    taken = [message for message in many if refusal(message) is None]
    for message, read in zip(taken, real.ask("parse", messages=[*map(json_of, taken)]), strict=True):  # fmt: skip
        assert read is not None, json_of(message)
        assert canonical(message_of(read), HOLDS) == canonical(message, HOLDS)
