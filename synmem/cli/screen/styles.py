"""The colours, by what they mean: 16 of them, no backgrounds, readable on light and on dark.

Each is the SGR codes of `render.styled`; `painted` puts them where colours are wanted.
"""

from typing import Final

from synmem.cli import render

STRONG: Final = "1"
DIM: Final = "2"
"""What is not content: times, counts, ids beside a title, rules, hints."""
EMPHASIS: Final = "3"
MATCH: Final = "1;31"
"""What was looked for, in what was found."""
CODE: Final = "95"
"""A few words in a line. Of those that no role has, the one that can be read on all of the usual
backgrounds: yellow (33) cannot on white, magenta (35) not on Windows' black."""
LINK: Final = "4"
GOOD: Final = "32"
BAD: Final = "31"
WARNING: Final = "95"

_ROLES: Final = {
    "user": "36", "assistant": "32", "tool": "35", "system": "34", "developer": "34",
}  # fmt: skip
_OTHER_ROLE: Final = STRONG


def of_role(role: str) -> str:
    """The colour of what this role says."""
    return _ROLES.get(role, _OTHER_ROLE)


def painted(text: str, *codes: str) -> str:
    """A text that passed the gate, in these colours; as it is where none are wanted."""
    codes = tuple(filter(None, codes))
    return render.styled(text, ";".join(codes)) if text and codes and render.colored() else text
