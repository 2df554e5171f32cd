"""What things cost of a budget, in tokens: everything that is printed counts."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from synmem.messages import JSONObject, Message, dump_json, parts_beside_calls
from synmem.models.tokens import Count, cut, estimate_tokens
from synmem.strategies.lines import message_line, prompt_line
from synmem.strategies.names import function_name, speaker

SYSTEM: Final = ("system", "developer")
"""The roles that give orders, and say nothing."""


@dataclass(frozen=True)
class Meter:
    """Counts texts and messages; exactly, where `count` does.

    `labelled`: they are printed as `Role: content` lines, and the labels count too. `question`:
    what is put in front where what is sent does not begin with the user.
    """

    count: Count = estimate_tokens
    labelled: bool = False
    question: str = ""

    def message(self, message: Message) -> float:
        """What is sent of a message: its text or parts, its name, and its tool calls."""
        if self.labelled:
            return self.count(message_line(message) + "\n")
        if not (message.name or message.parts or message.tool_calls):
            return self.count(message.content)
        name = speaker(message.name)
        tokens = self.count(name) if name else 0
        if message.parts:
            tokens += sum(self.count(_part_text(part)) for part in parts_beside_calls(message))
        else:
            tokens += self.count(message.content)
        if message.tool_calls:
            calls = [{**call, "name": function_name(call)} for call in message.tool_calls]
            tokens += self.count(dump_json(calls).decode())
        return tokens

    def background(self, text: str) -> float:
        """What a text in front of the messages costs."""
        return self.count(prompt_line("system", text) + "\n" if self.labelled else text)

    def opening(self, newest: Sequence[Message]) -> float:
        """What the question costs that may have to stand in front of the newest messages."""
        spoken = (each for each in newest if each.role not in SYSTEM)
        first = next(spoken, None)
        asked = first and first.role not in ("assistant", "tool") and first.content.strip()
        return 0 if asked or not self.question else self.count(self.question)

    def cut(self, text: str, tokens: float) -> str:
        """The longest beginning of a background that costs no more."""
        if not self.labelled:
            return cut(text, tokens, self.count)
        longest = len(cut(text, tokens - self.background(""), self.count))
        fits = range(longest + 1)
        n = bisect_right(fits, tokens, key=lambda n: self.background(text[:n]))
        kept = text[: max(n - 1, 0)]
        while kept and self.background(kept) > tokens:  # a vocabulary may join text and label
            kept = kept[:-1]
        return kept


def _part_text(part: JSONObject) -> str:
    text = part.get("text") if part.get("type") == "text" else None
    return text if isinstance(text, str) else dump_json(part).decode()
