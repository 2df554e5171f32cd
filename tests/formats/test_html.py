"""HTML: whatever a conversation holds stands in the page as text, and nothing of it acts."""

import base64
import hashlib
import re
import time
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synmem.formats.html.index import Index
from synmem.formats.html.text import markdown, plain
from synmem.formats.html.writer import Writer
from synmem.hidden import visible
from synmem.messages import Conversation, Message
from synmem.store import ConversationInfo

AT = datetime(2026, 11, 21, 6, 0, 1, 123456, tzinfo=UTC)
PNG = "data:image/png;base64,iVBORw0KGgo="
ATTACKS = [
    "<script>window.pwned = 1</script>",
    "</title></style></script><script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "' onmouseover='window.pwned = 1",
    "<svg onload=window.pwned=1>",
    "javascript:window.pwned=1",
    "```html\n<script>window.pwned = 1</script>",
    "`<b>` **<i>** | <u> |\n| <s> |",
    "# <iframe src='javascript:window.pwned=1'>",
    "--><!-- <base href=https://evil.example>",
    "&lt;script&gt; &amp;#60;",
    "\x00 \x1b[31m \u202e \u2028 \ud800 \ufeff \x85",
    "</details></article></main><h1>forged</h1>",
]
TAGS = {
    "html", "head", "meta", "title", "style", "script", "body", "a", "div", "label", "input", "output",
    "button", "header", "h1", "h2", "h3", "p", "main", "section", "details", "summary", "span",
    "article", "time", "code", "strong", "b", "i", "figure", "img", "figcaption", "footer",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "type", "class", "href", "role", "hidden",
    "autocomplete", "spellcheck", "id", "dir", "datetime", "alt", "src", "decoding", "data-noun",
}  # fmt: skip


class Seen(HTMLParser):
    """What a parser sees of a page: its elements and attributes, and the text of those of a class."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.comments: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def page(
    *talk: tuple[Conversation, Sequence[Message]],
    alone: bool = False,
    info: ConversationInfo | None = None,
) -> str:
    """The page of these conversations."""
    writer = Writer()
    data = writer.begin()
    for conversation, messages in talk:
        writer.listed(info or ConversationInfo(id=conversation.id), alone=alone)
        data += writer.conversation(conversation)
        for message in messages:
            data += writer.messages([message])
    return (data + writer.end()).decode()


def batches(*talk: tuple[Conversation, Sequence[Message]]) -> str:
    """The same of several, each given as `export` does: its first messages together."""
    writer = Writer()
    data = writer.begin()
    for conversation, messages in talk:
        writer.listed(ConversationInfo(id=conversation.id), alone=False)
        data += writer.conversation(conversation)
        data += writer.messages(messages) if messages else b""
    return (data + writer.end()).decode()


def everything(text: str) -> Message:
    """A message that says the text wherever it can."""
    return Message(
        text,
        text,
        {text: [text, {text: text}]},
        AT,
        [
            {"id": text, "name": text, "arguments": {text: text}},
            {"id": text, "name": text, "arguments": text},
        ],
        name=text,
        parts=[
            {"type": text, text: text, "name": text},
            {"type": "image_url", "image_url": {"url": text}},
            {"type": "image", "source": {"type": "base64", "media_type": text, "data": text}},
            {"type": "reasoning", "text": text},
            {"type": "file", "filename": text, "file": {"filename": text}},
        ],
        extra={text: text},
    )


def harmless(text: str) -> Seen:
    """What is seen of a page in which nothing but what we wrote is an element."""
    seen = Seen(text)
    assert not seen.open
    assert not seen.comments
    assert {tag for tag, _ in seen.elements} <= TAGS
    assert {name for _, attributes in seen.elements for name in attributes} <= ATTRIBUTES
    assert [tag for tag, _ in seen.elements].count("script") == 1
    for tag, attributes in seen.elements:
        if "href" in attributes:
            assert re.fullmatch(r"#\S*|\./[\w.%~-]+", attributes["href"] or ""), tag
        if "src" in attributes:
            assert (attributes["src"] or "").startswith("data:image/")
        if "id" in attributes:
            assert re.fullmatch(r"main|c\d+|m\d+|c\d+-m\d+", attributes["id"] or "")
    return seen


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("alone", [True, False])
def test_whatever_a_conversation_holds_is_text(attack: str, alone: bool) -> None:
    messages = [everything(attack), Message("tool", attack, tool_call_id=attack)]
    messages += [Message("reasoning", attack)]
    info = ConversationInfo(id=attack, title=attack, messages=3, first_at=AT, last_at=AT)
    talk = (Conversation(attack, attack, {attack: attack}), messages)
    text = page(talk, alone=alone, info=info)
    seen = harmless(text)
    assert " ".join(visible(attack).split())[:60] in " ".join(seen.text.split())
    index = Index()
    listed = index.begin() + index.entry(info, "x%2F.html") + index.end()
    harmless(listed.decode())
    untitled = [Message("system", "s"), Message("user", attack)]
    seen = harmless(batches((Conversation("id"), untitled), (Conversation("b"), [])))
    assert " ".join(visible(attack).split())[:60] in " ".join(seen.text.split())
    entry = index.entry(ConversationInfo(id="id"), "x.html", untitled)
    harmless((index.begin() + entry + index.end()).decode())


@given(
    st.text()
    | st.lists(
        st.sampled_from([*ATTACKS, "\r\n", "\r", "\n", "```", "|", "`", "**", "# ", " ", "x"])
    ).map("".join)
)
@example("```\n```")
@example("```\na\n~~~\n```x\n```")
@example("| a |\r\n|\r\n")
@example("**`a**`")
def test_markdown_keeps_every_character(text: str) -> None:
    seen = Seen(markdown(text))
    assert not seen.open
    assert seen.text == "\r\n".join(map(visible, text.split("\r\n")))
    assert {tag for tag, _ in seen.elements} <= {"div", "span", "code", "b", "strong", "i"}


@pytest.mark.parametrize(
    "piece", ["`", "**a ", "**", "` ", "``a`", "| ", "```\n", "# ", "<", "\x1b", "*`"]
)
def test_no_text_takes_more_than_its_time(piece: str) -> None:
    begun = time.process_time()
    for text in (piece * 200_000, (piece * 500 + "\n") * 400):
        markdown(text)
    assert time.process_time() - begun < 5


def test_markdown_is_shown_as_what_it_is() -> None:
    shown = markdown(
        "# Plan\nuse **bold** and `x<y>`\n```py\na = 1\n```\n| a | b |\n| 1 | 2 |\nend"
    )
    assert shown == (
        '<b class="hd"># Plan\n</b>use <strong>**bold**</strong> and <code>`x&lt;y&gt;`</code>\n'
        '<div class="code"><span class="f">```py\n</span><code>a = 1\n</code>'
        '<span class="f">```\n</span></div>'
        '<div class="code">| a | b |\n| 1 | 2 |\n</div>end'
    )
    assert plain("a\x1bb\u202e") == 'a<i class="h">^[</i>b<i class="h">&lt;U+202E&gt;</i>'


def test_the_policy_names_the_script_and_the_style_by_their_hashes() -> None:
    text = page((Conversation("a"), [Message("user", "x")]), alone=True)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert text.index("Content-Security-Policy") < text.index("<title>")
    for kind, tag in (("style", "style"), ("script", 'script type="module"')):
        body = text.partition(f"<{tag}>")[2].partition(f"</{kind}>")[0]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy[1]
    assert policy[1].startswith("default-src 'none'; ")
    assert policy[1].endswith("img-src data:; base-uri 'none'; form-action 'none'")
    assert "unsafe" not in policy[1]
    assert "http" not in policy[1]


def test_a_message_has_its_role_time_and_number() -> None:
    info = ConversationInfo(id="a", title="T", messages=2, first_at=AT, last_at=AT + timedelta(1))
    talk = (Conversation("a", "T"), [Message("user", "Hi", created_at=AT), Message("Bot", "x")])
    text = page(talk, alone=True, info=info)
    when = '<time datetime="2026-11-21T06:00:01.123456+00:00">2026-11-21 06:00:01 UTC</time>'
    assert '<h1 dir="auto">T</h1>\n<p class="w"><code>a</code> · 2 messages · ' + when in text
    assert (
        '<article id="m1" class="user"><h2>user <span class="w"><a href="#m1">#1</a> ' + when
        in text
    )
    assert '<article id="m2" class="other"><h2>Bot ' in text
    assert '<footer class="w">1 conversation, 2 messages</footer>' in text
    several = page(talk, talk)
    assert '<section id="c2"><details class="c"><summary><h2 dir="auto">T</h2>' in several
    assert '<article id="c2-m1" class="user"><h3>user ' in several
    assert "<title>Conversations</title>" in several
    assert "0 conversations, 0 messages" in page()


def test_one_without_a_title_is_named_by_what_was_asked() -> None:
    asked = [Message("system", "s"), Message("user", "How\nmany " + "x" * 90), Message("user", "2")]
    several = batches((Conversation("a"), asked), (Conversation("b"), asked[:1]))
    name = f"How many {'x' * 70}…"
    assert f'<h2 dir="auto">{name}</h2> <span class="w"><code>a</code>' in several
    assert '<section id="c2"><details class="c"><summary><h2 dir="auto">b</h2>' in several
    entry = Index().entry(ConversationInfo(id="a"), "a.html", asked).decode()
    assert f'<a href="./a.html">{name}</a></h2><p class="w"><code>a</code>' in entry


def test_what_cannot_be_read_leaves_its_number() -> None:
    writer = Writer()
    writer.listed(ConversationInfo(id="a"), alone=True)
    data = writer.conversation(Conversation("a"))
    for number, text in ((1, "one"), (4, "four"), (5, "five")):
        writer.number(number)
        data += writer.messages([Message("user", text)])
    found = re.findall(r'<article id="(m\d)" class="(\w+)"', data.decode())
    assert found == [("m1", "user"), ("m2", "e"), ("m3", "e"), ("m4", "user"), ("m5", "user")]


def test_calls_results_and_reasoning_are_folded() -> None:
    calls = [{"id": "c1", "name": "weather", "arguments": '{"city":"Rome"}'}]
    said = [
        Message("assistant", "", {"k": 1}, tool_calls=calls, parts=[{"type": "thinking", "thinking": "Hm"}]),
        Message("tool", "line\n" * 100, tool_call_id="c1"),
        Message("reasoning", "I think"),
    ]  # fmt: skip
    text = page((Conversation("a"), said), alone=True)
    assert re.findall(r'<details class="(\w+)">', text) == [
        "thought",
        "call",
        "md",
        "result",
        "thought",
    ]
    assert (
        'calls <b>weather</b> <code class="w">{&quot;city&quot;: &quot;Rome&quot;}</code>' in text
    )
    assert "answers c1" in text
    assert '<span class="w">500 characters</span>' in text
    assert "(empty)" not in text


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"type": "image_url", "image_url": {"url": PNG}}, True),
        ({"type": "input_image", "image_url": PNG}, True),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, True),
        ({"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}, False),
        ({"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,AAAA"}}, False),
        ({"type": "image_url", "image_url": {"url": 'data:image/png;base64,AA"onerror=x'}}, False),
        ({"type": "image_url", "image_url": {"url": "data:text/html;base64,AAAA"}}, False),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 17_000_000}}, False),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, False),
    ],
)  # fmt: skip
def test_only_an_image_that_is_in_the_message_is_shown(
    part: dict[str, object], shown: bool
) -> None:
    text = page((Conversation("a"), [Message("user", "x", parts=[part])]), alone=True)
    assert ("<img " in text) == shown
    assert ('<details class="part"><summary>image' in text) != shown
    assert len(text) < 50_000


def test_memory_does_not_grow_with_the_conversation() -> None:
    def peak(pages: int) -> int:
        writer = Writer()
        messages = [Message("assistant", "# T\n\n**x** `y`\n" * 20, {"n": 1}, AT)] * 100
        writer.conversation(Conversation("a"))
        tracemalloc.start()
        for _ in range(pages):
            writer.messages(messages)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(60) <= 1.2 * peak(3)
