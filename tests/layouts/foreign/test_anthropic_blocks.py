"""Anthropic's content blocks, as programs keep them."""

from typing import Any

import pytest

from synmem.layouts.foreign.anthropic_blocks import piece
from synmem.layouts.foreign.runs import Call, File, Image, Other, Reasoning, Result, Text

PNG = {"type": "base64", "media_type": "image/png", "data": "AA=="}
BLOCKS: list[dict[str, Any]] = [{"type": "text", "text": "a"}, {"type": "image", "source": PNG}]


def block(kind: str, **said: Any) -> dict[str, Any]:
    return {"type": kind, **said}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (block("text", text="a"), Text("a")),
        (block("text", text="a", citations=[1]), Text("a", {"citations": [1]})),
        (block("text", text="a", cache_control=None), Text("a")),
        (block("thinking", thinking="hm"), Reasoning(block("thinking", thinking="hm"))),
        (block("redacted_thinking", data="x"), Reasoning(block("redacted_thinking", data="x"))),
        (block("tool_use", id="c", name="f", input={}), Call("c", "f", {})),
        (
            block("server_tool_use", id="c", name="f", input={}),
            Call("c", "f", {}, {"type": "server_tool_use"}),
        ),
        (block("tool_result", tool_use_id="c", content="r"), Result("c", None, "r")),
        (block("tool_result", tool_use_id="c"), Result("c", None, "")),
        (
            block("tool_result", tool_use_id="c", content=BLOCKS[:1], is_error=False),
            Result("c", None, "a"),
        ),
        (
            block("tool_result", tool_use_id="c", content=BLOCKS, is_error=True),
            Result("c", None, "a", {"content": BLOCKS, "is_error": True}),
        ),
        (
            block("web_search_tool_result", tool_use_id="c", content={"error_code": "x"}),
            Result(
                "c", None, "", {"content": {"error_code": "x"}, "type": "web_search_tool_result"}
            ),
        ),
        (block("image", source=PNG), Image("data:image/png;base64,AA==")),
        (block("image", source={"type": "url", "url": "u"}), Image("u")),
        (block("image", source=3), File(block("image", source=3))),
        (block("document", source=PNG), File(block("document", source=PNG))),
        (block("hologram", x=1), Other(block("hologram", x=1))),
        ({"x": 1}, Other({"x": 1})),
    ],
)
def test_a_block_says_what_it_is_and_loses_nothing(said: Any, told: Any) -> None:
    found = piece(said)
    assert (type(found), found) == (type(told), told)


def test_a_text_block_without_a_text_is_none() -> None:
    with pytest.raises(ValueError, match="no text"):
        piece(block("text", text=3))
