"""What a person sees, kept as text: see `screens.compare`."""

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.messages import Message
from tests.cli.browsing.screens import BEGAN, browsing, compare, fill, held, in_loop, shows

SIZES = ((50, 20), (80, 24), (110, 30), (200, 40))
CALL = {"id": "c1", "name": "get_weather", "arguments": '{"city":"Zürich","days":3}'}


def store() -> InMemoryStore:
    made = InMemoryStore()
    fill(
        made,
        "user-1",
        [
            "What is the weather in Zürich, and what should I wear for a long walk along the lake?",
            Message("assistant", "I shall look.", tool_calls=[CALL], created_at=BEGAN),
            Message("tool", "sunny\n23 degrees", tool_call_id="c1", created_at=BEGAN),
            Message(
                "assistant",
                "It is **sunny**:\n\n- a hat\n- `sunglasses`\n\n```python\nprint('23 degrees')\n```",
                created_at=BEGAN.replace(day=2),
            ),
        ],
        title="Weather in Zürich",
    )
    fill(made, "cjk", ["家族の写真 👨‍👩‍👧‍👦 を見せて", "いいですね"], began=BEGAN.replace(month=2))
    fill(made, "rtl", ["مرحبا بالعالم", "e\u0301t\u0301e"], began=BEGAN.replace(month=1))
    fill(
        made, "hostile \x1b[2J\u202e", [Message("assistant", "[bold]x[/]")], title="[/INST] :smile:"
    )
    return made


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@in_loop
async def test_the_screen_is_as_it_is_kept(size: tuple[int, int]) -> None:
    name = f"{size[0]}x{size[1]}"
    async with browsing(held(store(), "chat.db"), size=size) as (_, pilot):
        await shows(pilot, "Weather in Zürich", "[/INST]", "مرحبا")
        if size[0] >= 80:
            await shows(pilot, "#4")
        await compare(pilot, f"{name} list")
        await pilot.press("enter")
        await shows(pilot, "#4", "esc back")
        await compare(pilot, f"{name} messages")
        await pilot.press("escape", "question_mark")
        await shows(pilot, "unfold all messages")
        await compare(pilot, f"{name} help")
        await pilot.press("escape", "slash", *"zurich", "enter")
        await shows(pilot, "hits")
        await compare(pilot, f"{name} search")
        await pilot.press("escape", "d")
        await shows(pilot, "Remove 1 conversation (user-1)", "y yes")
        await compare(pilot, f"{name} delete")
        await pilot.press("n")


@in_loop
async def test_nothing_has_a_background_of_its_own_not_even_the_bar() -> None:
    async with browsing(held(store(), "chat.db"), size=(80, 10)) as (app, pilot):
        await pilot.press("enter")
        await shows(pilot, "a hat")
        assert app.messages.show_vertical_scrollbar
        strips = app.screen._compositor.render_strips()
        styles = [segment.style for strip in strips for segment in strip if segment.style]
        assert not [each for each in styles if each.bgcolor and not each.bgcolor.is_default]
