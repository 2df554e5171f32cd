"""A message on a terminal: folded to what fits, and all of it when that is asked for."""

import json
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.cli.render import visible
from synmem.cli.screen.columns import cells
from synmem.cli.screen.messages import body, head, lines
from synmem.messages import Message
from tests.cli.screen.reading import SGR, missing
from tests.cli.screen.test_prose import TEXTS, WIDTHS, shown

HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202e[bold]x[/bold]\r\n## user"
AT = datetime(2026, 11, 21, 6, 0, 1, tzinfo=UTC)
CALL = {"id": "call_1", "name": "Read", "arguments": {"file_path": "/x", "more": "y" * 200}}
PNG = "data:image/png;base64," + "A" * 4000


def drawn(message: Message, width: int = 60, **options: Any) -> list[str]:
    with patch("synmem.cli.render.colored", lambda: True):
        return lines(message, width, **options)


def text(message: Message, width: int = 60, **options: Any) -> str:
    return "\n".join(SGR.sub("", line) for line in drawn(message, width, **options))


def test_its_head_is_role_name_position_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message("user", "hello", name="Ada", created_at=AT)
    assert SGR.sub("", head(message, 60, number=37)).startswith("user Ada  #37  ")
    assert text(message, number=37).split("\n")[1] == "  hello"
    assert drawn(message)[0].startswith("\x1b[1;36muser")
    assert text(Message("", "")) == "(no role)\n  (nothing)"


@pytest.mark.parametrize("said", ["```", "```\n```", "`" * 300, "> >", "[]()"])
def test_what_is_marks_alone_is_shown_and_not_called_nothing(said: str) -> None:
    of_it = text(Message("user", said)).split("\n")[1:]
    assert "".join(line.removeprefix("  ") for line in of_it) == said.replace("\n", "")
    assert text(Message("user", " \n")).endswith("(nothing)")


def test_content_cannot_pass_for_the_head_of_another_message() -> None:
    shown_lines = text(Message("user", "x\nassistant  #2  10:00:00\nyes")).split("\n")
    assert shown_lines[1:] == ["  x", "  assistant  #2  10:00:00", "  yes"]


def test_a_call_is_one_line_and_its_arguments_in_full() -> None:
    message = Message("assistant", "", tool_calls=[CALL])
    folded = text(message).split("\n")
    assert len(folded) == 2 and folded[1].startswith('  → Read({"file_path":"/x"')
    assert folded[1].endswith("…") and cells(folded[1]) <= 60
    full = text(message, full=True)
    assert "→ Read  call_1" in full and '"file_path": "/x"' in full
    assert full.replace("\n", "").replace(" ", "").count("y" * 200) == 1


def test_calls_that_a_model_got_wrong_are_shown() -> None:
    wrong = {"id": "1", "name": "f", "args": "{broken", "error": "not JSON"}
    message = Message("assistant", "", extra={"langchain": {"invalid_tool_calls": [wrong]}})
    assert "→ f (invalid)({broken)" in text(message)


def test_a_result_is_one_line_with_its_size() -> None:
    result = Message("tool", "first\n" + "line\n" * 300, tool_call_id="call_1")
    assert text(result, answers="Read").split("\n")[1] == "  ← Read 1.5 kB, 302 lines: first"
    assert text(result, full=True).count("line") == 301
    assert text(Message("tool", "ok")).split("\n")[1] == "  ← ok"
    assert text(Message("tool", "")).split("\n")[1] == "  ← (nothing)"


@pytest.mark.parametrize("width", [20, 50, 80, 200])
def test_what_a_model_thought_is_folded(width: int) -> None:
    part = {"type": "thinking", "thinking": "First this.\n" + "Then that. " * 50}
    message = Message("assistant", "Answer", parts=[part, {"type": "text", "text": "Answer"}])
    folded = text(message, width).split("\n")
    assert len(folded) == 3 and folded[1].startswith("  ◦ reasoning") and folded[2] == "  Answer"
    assert all(cells(line) <= width for line in folded)
    assert text(message, full=True).count("that.") == 50
    assert "◦ 1.8 kB" in text(Message("reasoning", "I think " * 230))


def test_images_and_files_are_named_and_never_their_bytes() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "wav"}},
        {"type": "file", "filename": "a.pdf"},
        {"type": "odd", "n": 1},
    ]
    for full in (False, True):
        shown_text = text(Message("user", "see", parts=parts), full=full)
        for part in ("[image 3.0 kB png]", "[image https://x/y.png]", "[audio 3.0 kB wav]"):
            assert part in shown_text
        assert "AAAA" not in shown_text and "[file a.pdf]" in shown_text and "[odd]" in shown_text


def test_metadata_is_shown_in_full_only() -> None:
    message = Message("user", "x", metadata={"source": "web"})
    assert "web" not in text(message)
    assert '"source": "web"' in text(message, full=True)


def test_raw_is_what_is_stored_through_the_gate_and_not_wrapped() -> None:
    message = Message("assistant", "**a** " * 50, metadata={"k": 1}, tool_calls=[CALL])
    raw = text(message, 20, raw=True).split("\n")
    assert raw[1] == "**a** " * 50
    assert raw[2] == f"-> {json.dumps(CALL, separators=(',', ':'))}"
    assert raw[3] == 'metadata {"k":1}'


MESSAGES = st.builds(
    Message, st.sampled_from(["user", "assistant", "tool", "system", HOSTILE]), TEXTS,
    metadata=st.none() | st.just({HOSTILE: HOSTILE}), name=st.none() | st.just(HOSTILE * 9),
    tool_calls=st.none() | st.just([CALL, {"name": HOSTILE, "arguments": HOSTILE, "id": HOSTILE}]),
    parts=st.none() | st.just([{"type": HOSTILE, HOSTILE: HOSTILE}, {"type": "thinking", "thinking": HOSTILE}]),
)  # fmt: skip


@given(TEXTS, WIDTHS, st.sampled_from(["user", "system", "reasoning"]))
def test_in_full_every_character_of_the_content_is_there(
    content: str, width: int, role: str
) -> None:
    made = drawn(Message(role, f"x{content}\ny"), width, full=True)[1:]
    if role == "reasoning":
        assert made.pop(0).startswith("  \x1b[2m◦")
    assert missing(shown(f"x{content}\ny"), made) is None


@given(TEXTS, WIDTHS)
def test_in_full_a_result_is_there_line_by_line(content: str, width: int) -> None:
    content = shown(f"x{content}\ny")
    made = text(Message("tool", content), width, full=True).split("\n")[2:]
    assert "".join("".join(made).split()) == "".join(content.split())


@given(MESSAGES, WIDTHS, st.booleans())
def test_every_line_fits_and_nothing_stored_is_the_terminals_own(
    message: Message, width: int, full: bool
) -> None:
    for line in drawn(message, width, full=full, number=1_000_000, answers=HOSTILE):
        assert cells(line) <= max(width, 20)
        assert not set("\x1b\x07\x9b\u202e\r\n\t") & set(SGR.sub("", line))


@given(TEXTS)
def test_in_raw_every_character_is_there_with_its_marks(content: str) -> None:
    assert "\n".join(body(Message("user", content), 20, raw=True)) == visible(content)
