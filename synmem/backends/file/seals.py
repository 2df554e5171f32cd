"""The seals of a JSON Lines file: whether each sealed stretch is whole and as it was written."""

import hashlib
from array import array

from synmem.layouts.interchange import jsonl as jsonlines
from synmem.layouts.interchange.jsonl import PartOf
from synmem.messages import Damage


class Seals:
    """Follows the sealed stretches of a file: from an opening to its seal."""

    def __init__(self) -> None:
        self.damage: list[Damage] = []
        self.seen = False
        self.stretch_of = array("I")  # by conversation: the stretch in which it was seen last
        self._stretch = 0
        self._opened_at = 0  # the line; 0 where no stretch is open
        self._hash = hashlib.sha256()
        self._conversations = self._messages = 0
        self._part: PartOf | None = None
        self._torn_at = 0

    def take(self, lines: list[bytes]) -> None:
        """Whole lines between openings and seals."""
        if self._opened_at and lines:
            self._hash.update(b"\n".join(lines) + b"\n")

    def count(self, number: int, lines: int) -> None:
        """So many messages of this conversation."""
        self._messages += lines
        if self.stretch_of[number] != self._stretch:
            self.stretch_of[number] = self._stretch
            self._conversations += 1

    def control(self, line: bytes, at: int) -> PartOf | bool:
        """An opening, or what should be a seal; which of these, as `jsonlines.opening_of`."""
        self.seen = True
        opening = jsonlines.opening_of(line)
        if opening is not False:
            self.damage += self.unfinished(at - 1)
            self._opened_at = at
            self._stretch += 1
            self._hash = hashlib.sha256()
            self._conversations = self._messages = 0
            self._part = opening if isinstance(opening, PartOf) else None
            return opening
        begun, self._opened_at = self._opened_at, 0
        if not begun:
            self._report("altered", at, f"the seal at line {at} has no opening that fits it")
            return opening
        fitting = jsonlines.seal_line(
            self._conversations, self._messages, self._hash.hexdigest(), self._part
        )
        if line + b"\n" == fitting:
            self._report("cut short", begun, "its last newline is missing")
        elif line != fitting:
            self._report("altered", begun, f"lines {begun} to {at} do not fit their seal")
        return opening

    def torn(self, at: int) -> None:
        """The file ends in the middle of an opening, or of what should be a seal."""
        self.seen = True
        self._torn_at = at
        if not self._opened_at:
            self._report("cut short", at, f"the line of a sealed export at line {at} is torn")

    def unfinished(self, last_line: int) -> list[Damage]:
        """The stretch that is still open, as damage."""
        if not self._opened_at:
            return []
        which = f"the sealed export that begins at line {self._opened_at}"
        if self._torn_at:
            why = f"the seal of {which}, at line {self._torn_at}, is torn"
        else:
            why = f"{which} has no seal: it ends at line {last_line}"
        return [Damage("cut short", str(self._opened_at), why)]

    def _report(self, kind: str, at: int, why: str) -> None:
        self.damage.append(Damage(kind, str(at), why))
