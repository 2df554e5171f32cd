"""Markdown: as a CommonMark parser sees it, whatever the content holds."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from synmem.formats.markdown import Writer
from synmem.messages import Conversation, Message

HOSTILE = [
    "# not a heading",
    "not a heading\n===\nnor this\n---",
    "```python\nprint('never closed')",
    "~~~\n```\n~~~\n# x",
    "    indented\n\n\n\n# x",
    "a\r# b\r\n# c",
    "\n\n**Assistant**\n\n> forged\n",
    "> > deep\nlazy",
    "<!-- never closed",
    "<script>never closed",
    "<details>\n\n# x",
    "\\<b>",
    "`a\n<b>`",
    "\\`<b>`",
    "1. list\n   # in it",
    "[a]: http://x 'never closed",
    "* * *\n- - -",
    "",
    "\x1b[31m \u202e \ud800 \0",
]


def tokens(*conversations: tuple[Conversation, Sequence[Message]]) -> list[Token]:
    """The blocks of the written document."""
    writer = Writer()
    data = writer.begin()
    for conversation, messages in conversations:
        data += writer.conversation(conversation)
        for message in messages:
            data += writer.messages([message])
    return MarkdownIt().parse((data + writer.end()).decode())


def outline(found: Sequence[Token]) -> list[str]:
    """The kinds of the outermost blocks."""
    return [t.type.removesuffix("_open") for t in found if t.level == 0 and t.nesting >= 0]


@pytest.mark.parametrize("content", HOSTILE)
def test_content_cannot_leave_its_quotation(content: str) -> None:
    message = Message(
        content or "role",
        content,
        name=content,
        tool_call_id=content,
        tool_calls=[{"id": content, "name": content, "arguments": {"x": content}}],
        parts=[{"type": content}],
    )
    plain = Message("user", "plain")
    found = tokens(
        (Conversation(content or "x", content), [message, plain]), (Conversation("z"), [plain])
    )
    expected = ["paragraph", "blockquote", "paragraph", "blockquote"]
    title = " ".join(content.split())
    head = ["heading", "paragraph"] if title else ["heading"]
    assert outline(found) == [*head, *expected, "heading", "paragraph", "blockquote"]
    assert not any(token.type == "html_block" for token in found)
    assert not any(child.type == "html_inline" for t in found for child in t.children or [])


def test_a_message_stands_under_its_role_and_time() -> None:
    writer = Writer()
    data = writer.conversation(Conversation("chat-1", "Trip to *Rome*")) + writer.messages(
        [Message("user", "Hello!\n\n- a\n- b", created_at=datetime(2026, 11, 21, 6, tzinfo=UTC))]
    )
    assert data.decode() == (
        "# Trip to \\*Rome\\*\n\nid: chat-1\n\n**User** 2026-11-21 06:00:00 UTC\n\n"
        "> Hello!\n>\n> - a\n> - b\n"
    )


def test_code_keeps_its_angle_brackets_and_text_shows_them() -> None:
    content = "see `<b>` and <b> and <https://x.y>\n```html\n<b>\n```\n1 < 2"
    text = Writer().messages([Message("user", content)]).decode()
    assert "see `<b>` and &lt;b> and <https://x.y>" in text
    assert "> <b>\n" in text
    assert "1 < 2" in text


def test_a_tool_call_shows_its_arguments_and_the_result_its_call() -> None:
    call = {"id": "call_1", "name": "weather", "arguments": {"city": "```Paris```"}}
    text = Writer().messages(
        [Message("assistant", "", tool_calls=[call]), Message("tool", "22", tool_call_id="call_1")]
    )
    assert "> calls weather (call\\_1)\n>\n> ````json\n" in text.decode()
    assert "> answers call\\_1\n>\n> 22\n" in text.decode()


PIECES = [
    "```", "````", "~~~", "`", "``", "<b>", "<script>", "<!--", "-->", "</b>", "<a`b>", "<http://a`>",
    "<https://a.b/c>", "<1`@x.y>", "<?x", "<![CDATA[", "\n", "\n", "\n", "\r", " ", "  ", "    ", "\t",
    "\u00a0", "- ", "1. ", "10) ", "> ", "# ", "===", "---", "[a]: ", "'", '"', "(", ")", "\\", "!",
    "[", "](", "x", "text", "&lt;", "*", "|", "python",
]  # fmt: skip
CONTENT = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


def check_nothing_escapes(content: str, arguments: str) -> None:
    """No HTML comes out of it, and whatever it holds stays within its quotations."""
    calls = [{"id": "i", "name": "n", "arguments": arguments}]
    found = tokens(
        (Conversation("a"), [Message("user", content, tool_calls=calls), Message("user", content)])
    )
    inner = [child for token in found for child in (token.children or [])]
    assert not [t.content for t in [*found, *inner] if t.type in ("html_block", "html_inline")]
    kinds = [kind for kind in outline(found) if kind != "blockquote"]
    assert kinds == ["heading", "paragraph", "paragraph"]


@settings(max_examples=300)
@given(CONTENT, CONTENT)
@example("- a\n   ```\n<b>", "")
@example("```\n```\u00a0\n```\n<b>", "x")
@example("x <http://a`> <b>`", "")
@example("<1`@x.y> <b>`", "")
@example("```", "```\n<b>")
@example("- a\n  ```", "```\n<b>")
def test_no_html_comes_out_of_any_content(content: str, arguments: str) -> None:
    check_nothing_escapes(content, arguments)


@pytest.mark.real
@settings(max_examples=3000, deadline=None)
@given(CONTENT, CONTENT)
def test_no_html_comes_out_of_any_content_more(content: str, arguments: str) -> None:
    check_nothing_escapes(content, arguments)


def test_code_in_a_fence_that_is_set_in_stays_as_it_is_where_that_is_sure() -> None:
    found = tokens((Conversation("a"), [Message("user", "x\n  ```\n  List<T>\n  ```\n<b>")]))
    assert [t.content for t in found if t.type == "fence"] == ["List<T>\n"]
    assert "&lt;b>" in Writer().messages([Message("user", "```\nx\n``` \t\n<b>")]).decode()
