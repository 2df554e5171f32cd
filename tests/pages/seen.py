"""What a terminal shows in the end, as text: colours go, and so does what was written over."""

import re
from typing import Final

_PIECE: Final = re.compile(
    r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|([^\x1b])"
)


def as_seen(written: str) -> str:
    """The lines that are left on a terminal that never scrolls."""
    lines, row, column = [""], 0, 0
    for piece in _PIECE.finditer(written):
        number, action, character = piece[1], piece[2], piece[3]
        if character == "\n":
            row, column = row + 1, column
            lines += [""] * (row + 1 - len(lines))
        elif character == "\r":
            column = 0
        elif character is not None:
            kept = lines[row].ljust(column)
            lines[row] = kept[:column] + character + kept[column + 1 :]
            column += 1
        elif action == "A":
            row = max(0, row - int(number or 1))
        elif action == "K":
            lines[row] = "" if number == "2" else lines[row][:column]
    return "\n".join(lines)
