"""What things cost of a budget, in tokens: everything that is printed counts."""

from dataclasses import dataclass

from synmem.messages import JSONObject, Message, dump_json
from synmem.models.tokens import Count, cut, estimate_tokens
from synmem.strategies.lines import message_line, role_line


@dataclass(frozen=True)
class Meter:
    """Counts texts and messages; exactly, where `count` does.

    `labelled`: they are printed as `Role: content` lines, and the labels count too.
    """

    count: Count = estimate_tokens
    labelled: bool = False

    def message(self, message: Message) -> float:
        """What is sent of a message: its text or parts, its name, and its tool calls."""
        if self.labelled:
            return self.count(message_line(message) + "\n")
        tokens = self.count(message.name) if message.name else 0
        if message.parts:
            tokens += sum(self.count(_part_text(part)) for part in message.parts)
        else:
            tokens += self.count(message.content)
        if message.tool_calls:
            tokens += self.count(dump_json(message.tool_calls).decode())
        return tokens

    def background(self, text: str) -> float:
        """What a text in front of the messages costs."""
        return self.count(role_line("system", text) + "\n" if self.labelled else text)

    def cut(self, text: str, tokens: float) -> str:
        """The longest beginning of a background that costs no more."""
        kept = cut(text, tokens - (self.background("") if self.labelled else 0), self.count)
        while kept and self.background(kept) > tokens:  # a vocabulary may join text and label
            kept = kept[:-1]
        return kept


def _part_text(part: JSONObject) -> str:
    text = part.get("text") if part.get("type") == "text" else None
    return text if isinstance(text, str) else dump_json(part).decode()
