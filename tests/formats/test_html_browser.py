"""Pages in a real Chromium: they look up nothing, run nothing of what they hold, search and fold."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from synmem.formats.html.index import Index
from synmem.hidden import visible
from synmem.messages import Conversation, Message
from synmem.store import ConversationInfo
from tests.conformance import FULL, TEXTS
from tests.formats.test_html import AT, ATTACKS, everything, page
from tests.services.browser import Browser, Page, browser

pytestmark = pytest.mark.real

ESCAPE, ENTER = ("Escape", 27), ("Enter", 13)
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIA"
    "X8jx0gAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    found = chromium.page()
    yield found
    found.close()


def opened(tab: Page, file: Path, text: str, anchor: str = "") -> float:
    """Let the page hold this; how long it took."""
    file.write_bytes(text.encode())
    return tab.open(file.as_uri() + anchor)


def told(tab: Page) -> Any:
    """What the search says."""
    return tab.run("document.querySelector('output').textContent")


def shown(tab: Page) -> Any:
    """The anchors of the messages that are there to be seen."""
    return tab.run(
        "[...document.querySelectorAll('article')].filter((a) => a.checkVisibility()).map((a) => a.id)"
    )


def search(tab: Page, words: str) -> None:
    """Type them where is searched, and wait for what comes of it."""
    tab.run("document.activeElement.blur()")
    tab.type("/" + words)
    tab.run("new Promise((done) => setTimeout(done, 400))")


def talk(count: int) -> list[Message]:
    """A conversation with something of everything, over and over."""
    call = [{"id": "c", "name": "get_weather", "arguments": {"city": "Rome"}}]
    kinds: Sequence[Message] = [
        Message("user", "How do I deploy the webhook?"),
        Message("assistant", "# Plan\n\nUse **bold** and `code`.\n\n```py\nx = 1\n```\n", {"model": "m"},
                tool_calls=call, parts=[{"type": "thinking", "thinking": "a hidden thought"}]),
        Message("tool", "sunny, 22 degrees", tool_call_id="c"),
        Message("assistant", "lorem ipsum dolor sit amet " * 20),
    ]  # fmt: skip
    return [
        Message(m.role, f"{m.content} ({i})", m.metadata, AT + timedelta(minutes=i), m.tool_calls,
                m.tool_call_id, m.name, m.parts)
        for i in range(count)
        for m in [kinds[i % 4]]
    ]  # fmt: skip


@pytest.mark.parametrize("alone", [True, False])
def test_nothing_that_a_conversation_holds_acts(tab: Page, tmp_path: Path, alone: bool) -> None:
    messages = [everything(attack) for attack in ATTACKS] + [FULL]
    messages += [Message("tool", attack, tool_call_id=attack) for attack in ATTACKS]
    talks = [(Conversation(attack, attack), messages) for attack in ATTACKS[: 1 if alone else None]]
    file = tmp_path / "page.html"
    opened(tab, file, page(*talks, alone=alone))
    tab.run("document.querySelector('button').click()")
    for attack in ATTACKS:
        search(tab, attack.encode("ascii", "ignore").decode()[:20].replace("\0", ""))
    assert tab.alarms() == []
    assert tab.run("typeof window.pwned") == "undefined"
    assert tab.requests() == [file.as_uri()]
    assert tab.run("document.querySelectorAll('script, style').length") == 2
    assert (
        tab.run("document.querySelectorAll('iframe, svg, object, embed, base, link').length") == 0
    )


def test_what_stands_in_the_page_is_what_was_said(tab: Page, tmp_path: Path) -> None:
    texts = [text for text in [*TEXTS.values(), *ATTACKS] if text]
    opened(
        tab,
        tmp_path / "page.html",
        page((Conversation("a"), [Message("user", text) for text in texts])),
    )
    found = tab.run("[...document.querySelectorAll('.t')].map((each) => each.textContent)")
    assert found == ["\r\n".join(map(visible, text.split("\r\n"))) for text in texts]


def test_the_policy_stops_what_would_be_put_into_the_page(tab: Page, tmp_path: Path) -> None:
    text = page((Conversation("a"), [Message("user", "x")]))
    evil = '<script>window.pwned = 1</script><img src="https://example.invalid/x.png">'
    opened(tab, tmp_path / "page.html", text.replace("<main", f"{evil}<main"))
    assert tab.run("typeof window.pwned") == "undefined"
    assert len(tab.alarms()) >= 2
    assert tab.run("fetch('https://example.invalid/').catch(() => 'refused')") == "refused"


def test_search_shows_what_has_all_words_and_unfolds_it(tab: Page, tmp_path: Path) -> None:
    opened(tab, tmp_path / "page.html", page((Conversation("a"), talk(12)), alone=True))
    everyone = [f"m{n}" for n in range(1, 13)]
    assert shown(tab) == everyone
    search(tab, "HOW webhook")
    assert (told(tab), shown(tab)) == ("3 messages", ["m1", "m5", "m9"])
    assert tab.run("CSS.highlights.get('found').size") == 6
    tab.press(*ENTER)
    tab.press(*ENTER)
    assert told(tab) == "2 of 3 messages"
    assert tab.run("document.querySelector('.at').id") == "m5"
    tab.press(*ESCAPE)
    assert (told(tab), shown(tab)) == ("", everyone)
    search(tab, "hidden thought")
    assert tab.run("document.querySelectorAll('.thought[open]').length") == 3
    assert tab.run("document.querySelectorAll('.call[open]').length") == 0
    tab.press(*ESCAPE)
    assert tab.run("document.querySelectorAll('details[open]').length") == 0
    search(tab, "nowhere")
    assert (told(tab), shown(tab)) == ("0 messages", [])
    assert tab.alarms() == []


def test_several_conversations_are_an_index_that_unfolds(tab: Page, tmp_path: Path) -> None:
    talks = [(Conversation(name, f"On {name}"), talk(4)) for name in ("weather", "taxes", "cats")]
    talks[1][1].append(Message("user", "only here"))
    opened(tab, tmp_path / "page.html", page(*talks))
    assert shown(tab) == []
    search(tab, "only here")
    assert (told(tab), shown(tab)) == ("1 message", ["c2-m5"])
    search(tab, "")
    tab.press(*ESCAPE)
    assert shown(tab) == []
    search(tab, "cats")
    assert tab.run("[...document.querySelectorAll('section:not([hidden])')].map((s) => s.id)") == [
        "c3"
    ]
    tab.run("location.hash = '#c2-m5'")
    tab.run("new Promise((done) => setTimeout(done, 100))")
    assert "c2-m5" in shown(tab)
    opened(tab, tmp_path / "other.html", page(*talks), "#c2-m5")
    assert "c2-m5" in shown(tab)
    assert tab.run("document.querySelectorAll('.c[open]').length") == 1
    tab.run("document.querySelector('button').click()")
    assert len(shown(tab)) == 13
    tab.run("document.querySelector('button').click()")
    assert shown(tab) == []


def test_a_keyboard_is_enough(tab: Page, tmp_path: Path) -> None:
    opened(tab, tmp_path / "page.html", page((Conversation("a"), talk(4)), alone=True))
    reached = []
    for _ in range(8):
        tab.press("Tab", 9)
        reached.append(
            tab.run("document.activeElement.className || document.activeElement.localName")
        )
    assert reached[:3] == ["skip", "input", "button"]
    assert "summary" in reached
    while tab.run("document.activeElement.localName") != "summary":
        tab.press("Tab", 9)
    tab.type("\r")
    assert tab.run("document.activeElement.parentElement.open") is True


def test_the_page_has_its_landmarks_headings_and_names(tab: Page, tmp_path: Path) -> None:
    messages = [
        *talk(4),
        Message("user", "see", parts=[{"type": "image_url", "image_url": {"url": PNG}}]),
    ]
    opened(tab, tmp_path / "page.html", page((Conversation("a", "Title"), messages), alone=True))
    tree = tab.ask("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    assert {"main", "search", "searchbox", "heading", "article", "button", "contentinfo"} <= set(
        roles
    )
    named = {
        (n["role"]["value"], n["name"]["value"]) for n in tree if not n["ignored"] and n.get("name")
    }
    assert ("searchbox", "Search") in named
    assert ("image", "image/png, 72 bytes") in named
    levels = tab.run("[...document.querySelectorAll('h1,h2,h3')].map((h) => h.localName)")
    assert levels == ["h1"] + ["h2"] * 5


CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((c) => {
      c /= 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (each) => {
    for (; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
  };
  const all = [...document.querySelectorAll("body *")].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return Math.min(...all.map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
})()
"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_what_is_behind_it(
    tab: Page, tmp_path: Path, dark: bool
) -> None:
    tab.dark(dark)
    messages = [*talk(8), *(Message(role, "x \x1b") for role in ("system", "developer", "other"))]
    opened(tab, tmp_path / "page.html", page((Conversation("a", "T"), messages)))
    tab.run("document.querySelector('button').click()")
    assert tab.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(22, 24, 27)" if dark else "rgb(255, 255, 255)"
    )
    assert tab.run(CONTRAST) >= 4.5


def test_paper_has_all_unfolded_and_no_controls(tab: Page, tmp_path: Path) -> None:
    opened(
        tab,
        tmp_path / "page.html",
        page((Conversation("a", "One"), talk(8)), (Conversation("b"), talk(1))),
    )
    paper = tmp_path / "page.pdf"
    tab.printed(paper)
    assert paper.read_bytes().startswith(b"%PDF")
    assert tab.run("document.querySelectorAll('details[open]').length") == 0
    if shutil.which("pdftotext") is None:
        return
    text = subprocess.check_output(["pdftotext", "-layout", paper, "-"], text=True)
    for words in (
        "One",
        "How do I deploy",
        "a hidden thought",
        "get_weather",
        "sunny, 22 degrees",
        '"model"',
    ):
        assert words in text
    assert "Search" not in text
    assert "Unfold" not in text


def test_a_narrow_window_never_scrolls_sideways(tab: Page, tmp_path: Path) -> None:
    tab.size(320, 600)
    messages = [*talk(8), Message("user", "x" * 5000), Message("user", f"```\n{'y' * 5000}\n```")]
    info = ConversationInfo(id="i" * 300, title="t" * 300, messages=3, first_at=AT)
    opened(
        tab,
        tmp_path / "page.html",
        page((Conversation("i" * 300, "t" * 300), messages), alone=True, info=info),
    )
    tab.run("document.querySelector('button').click()")
    assert tab.run("document.documentElement.scrollWidth") <= 320


def test_an_index_leads_to_the_pages_and_is_searched(tab: Page, tmp_path: Path) -> None:
    index = Index()
    text = index.begin()
    for name in ("user:1/x", "100% <b>", "cats"):
        file = f"{re.sub('[^a-z0-9]', '%41', name)}.html"
        (tmp_path / file).write_text(
            page((Conversation(name), [Message("user", name)]), alone=True)
        )
        text += index.entry(ConversationInfo(id=name, title=f"On {name}", messages=1), file)
    opened(tab, tmp_path / "index.html", (text + index.end()).decode())
    search(tab, "100% <b>")
    assert told(tab) == "1 conversation"
    assert tab.run("document.querySelector('button').hidden") is True
    assert tab.alarms() == []
    tab.open(tab.run("document.querySelector('article:not([hidden]) a').href"))
    assert tab.run("document.querySelector('h1').textContent") == "100% <b>"


@pytest.mark.timeout(600)
def test_10000_messages_open_as_fast_as_plain_paragraphs_or_nearly(
    tab: Page, tmp_path: Path
) -> None:
    messages = talk(10_000)
    text = page((Conversation("a", "Long"), messages), alone=True)
    paragraphs = "".join(f"<p>{m.content}</p>" for m in messages)
    ours, plain = [], []
    for _ in range(3):
        ours.append(opened(tab, tmp_path / "page.html", text))
        plain.append(
            opened(tab, tmp_path / "plain.html", f"<!DOCTYPE html><meta charset=utf-8>{paragraphs}")
        )
    print(f"10,000 messages: {min(ours):.2f} s, as plain paragraphs {min(plain):.2f} s")
    assert min(ours) <= 5 * min(plain) + 1
    opened(tab, tmp_path / "page.html", text, "#m9000")
    top = tab.run("document.getElementById('m9000').getBoundingClientRect().top")
    assert 0 <= top < 400
    begun = time.monotonic()
    search(tab, "webhook (9996)")
    assert time.monotonic() - begun < 10 * min(ours) + 2
    assert (told(tab), shown(tab)) == ("1 message", ["m9997"])
    assert tab.alarms() == []
