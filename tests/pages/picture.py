"""The picture at the top of the README, for light and dark: what a terminal shows of a few commands.

`make picture` makes it anew.
"""

import tempfile
from pathlib import Path
from typing import Final

from tests import pictures
from tests.pages import scenes
from tests.pages.blocks import ROOT, Step
from tests.pages.shell import Stage, run
from tests.screens import Screen

DOCS: Final = ROOT / "docs"
THEMES: Final = {"picture.svg": pictures.LIGHT, "picture-dark.svg": pictures.DARK}

_COMMANDS: Final = (
    "synmem ls chat.db",
    "synmem show chat.db user-2",
    "synmem search chat.db zurich",
    "synmem migrate chat.db copy.db",
    "synmem check chat.db copy.db",
)


def drawn(folder: Path) -> dict[str, str]:
    """Both pictures by their names; the commands are run in the folder."""
    stage = Stage(folder / "ada")
    stage.home.mkdir()
    scenes.chats(stage, None)
    ran = run([Step(command, "", True, 0) for command in _COMMANDS], stage)
    assert not any(each.code for each in ran)
    screen = Screen(80)
    for command, each in zip(_COMMANDS, ran, strict=True):
        screen.feed(f"\x1b[1m$ {command}\x1b[0m\r\n{each.written}\r\n")
    return {name: pictures.svg(screen, theme=theme) for name, theme in THEMES.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for picture, text in drawn(Path(made)).items():
            (DOCS / picture).write_text(text)
