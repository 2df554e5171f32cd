"""Markdown: as a CommonMark parser sees it, whatever the content holds."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from synmem.formats.markdown import Writer
from synmem.messages import Conversation, Message
from synmem.store import ConversationInfo

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
    expected = ["heading", "blockquote", "heading", "blockquote"]
    title = " ".join(content.split())
    head = ["heading", "paragraph"] if title else ["heading"]
    assert outline(found) == [*head, *expected, "heading", "heading", "blockquote"]
    assert not any(token.type == "html_block" for token in found)
    assert not any(child.type == "html_inline" for t in found for child in t.children or [])


def test_a_message_stands_under_its_role_and_time() -> None:
    writer = Writer()
    data = writer.conversation(Conversation("chat-1", "Trip to *Rome*")) + writer.messages(
        [Message("user", "Hello!\n\n- a\n- b", created_at=datetime(2026, 11, 21, 6, tzinfo=UTC))]
    )
    assert data.decode() == (
        "# Trip to \\*Rome\\*\n\nid: chat-1\n\n## User 2026-11-21 06:00:00 UTC\n\n"
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
    assert kinds == ["heading", "heading", "heading"]


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


# --- front matter ---------------------------------------------------------------------------

AT = datetime(2026, 11, 21, 6, 0, 0, 123456, tzinfo=UTC)


def alone(conversation: Conversation, info: ConversationInfo | None = None) -> str:
    """The file of this conversation and a message."""
    writer = Writer()
    writer.listed(info or ConversationInfo(id=conversation.id), alone=True)
    return (writer.conversation(conversation) + writer.messages([Message("user", "x")])).decode()


def test_one_conversation_has_front_matter_and_a_heading_for_each_role() -> None:
    info = ConversationInfo(id="a", messages=1, first_at=AT, last_at=AT)
    assert alone(Conversation("chat-1", "Trip to *Rome*"), info) == (
        '---\nid: "chat-1"\ntitle: "Trip to *Rome*"\nfirst_at: 2026-11-21T06:00:00.123456Z\n'
        "last_at: 2026-11-21T06:00:00.123456Z\nmessages: 1\n---\n\n"
        "# Trip to \\*Rome\\*\n\n## User\n\n> x\n"
    )
    assert alone(Conversation("chat-1")).startswith('---\nid: "chat-1"\n---\n\n# chat-1\n\n## User')


@given(st.text(min_size=1), st.text(min_size=1))
@example("---\n---\n# x", '"\n...\n')
@example("\x00\x85\u2028\ufeff\ufffe\U0001fffe", "\\n \" '\t")
@example("😀 \U000e0001", " ")
@example("\ud800", "a\udfffb")
def test_front_matter_reads_back_as_what_it_was(ident: str, title: str) -> None:
    info = ConversationInfo(id=ident, messages=3, first_at=AT, last_at=None)
    text = alone(Conversation(ident, title), info)
    _, matter, rest = text.split("---\n", 2)
    assert rest.startswith("\n# ")
    read = [re.sub("[\ud800-\udfff]", "\ufffd", each) for each in (ident, title)]
    assert yaml.safe_load(matter) == {
        "id": read[0], "title": read[1], "first_at": AT, "messages": 3,
    }  # fmt: skip


def test_of_several_conversations_each_says_it_below_its_heading() -> None:
    writer = Writer()
    data = b""
    for name, title in (("a", "A"), ("b", None)):
        last = AT.replace(hour=7)
        writer.listed(
            ConversationInfo(id=name, messages=1200, first_at=AT, last_at=last), alone=False
        )
        data += writer.conversation(Conversation(name, title))
    assert data.decode() == (
        "# A\n\nid: a, 1,200 messages, 2026-11-21 06:00:00 UTC to 2026-11-21 07:00:00 UTC\n\n"
        "# b\n\n1,200 messages, 2026-11-21 06:00:00 UTC to 2026-11-21 07:00:00 UTC\n"
    )
