"""What a person would not see of a text, or not as it is: control, bidi and invisible characters.

Chat content is hostile: before it is shown, these are put in visible form.
"""

import re
from typing import Final

UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0"
    "\ufff0-\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Left as they are, because ordinary text needs them: the joiners of emoji and of Indic and
# Persian words (U+200C, U+200D) between visible characters, and U+FE0F, the emoji style.
_JOINERS: Final = "\u200c\u200d"


def visible(text: str) -> str:
    """The text, fit for a person: ESC as ^[, other hidden characters as <U+202E>."""
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE.sub(shown, text)


def shown(match: re.Match[str]) -> str:
    """What stands for one character that `UNSAFE` found."""
    character = match[0]
    code = ord(character)
    if code < 0x20:
        return "^" + chr(code + 0x40)
    if code == 0x7F:
        return "^?"
    if character in _JOINERS:
        before = match.string[match.start() - 1 : match.start()]
        after = match.string[match.end() : match.end() + 1]
        if before > "\x7f" and after > "\x7f" and not UNSAFE.match(after):
            return character
    return f"<U+{code:04X}>"
