"""What conversations are called in a destination that holds those of several sources: `--id-as`."""

import re
import string
from collections.abc import Mapping
from typing import Final

import msgspec

from synmem.errors import UsageError
from synmem.messages import Conversation, conversation_refusal
from synmem.store import Store, SupportsRemark

PLACEHOLDERS: Final = ("id", "host", "layout", "profile")
"""What may stand in a template: the conversation's id, this machine's name, whose conversations
they are (the layout, or else the backend), and what the source is called."""


class Naming(msgspec.Struct, frozen=True):
    """The id of a conversation, between these. So no two of a source ever get one name."""

    before: str = ""
    behind: str = ""

    @property
    def plain(self) -> bool:
        """Whether each keeps its own id."""
        return not self.before and not self.behind

    def there(self, conversation: str) -> str:
        """What a conversation of the source is called in the destination."""
        return f"{self.before}{conversation}{self.behind}"

    def here(self, name: str) -> str | None:
        """Which conversation of the source is called so; None where none would be."""
        if not (name.startswith(self.before) and name.endswith(self.behind)):
            return None
        return name[len(self.before) : len(name) - len(self.behind)] or None

    def refusal(self, conversation: str) -> str | None:
        """Why no store can hold a conversation of the name that this one would have, or None."""
        if self.plain or not (why := conversation_refusal(Conversation(self.there(conversation)))):
            return None
        return f"as {self.there(conversation)!r}, {why}"


PLAIN: Final = Naming()


class Template(msgspec.Struct, frozen=True):
    """A name with placeholders, as it was typed, and its parts: text, and what follows it."""

    text: str
    parts: list[tuple[str, str | None]]

    def naming(self, values: Mapping[str, str]) -> Naming:
        """The names that it stands for, where its placeholders but `{id}` have these values."""
        at = [name for _, name in self.parts].index("id")
        filled = [
            text + (values[name] if name not in (None, "id") else "") for text, name in self.parts
        ]
        return Naming("".join(filled[: at + 1]), "".join(filled[at + 1 :]))


def template(text: str) -> Template:
    """A template of names. UsageError where it is none, or where it has no `{id}`, or two."""
    hint = f"{{id}} once, and {', '.join(f'{{{name}}}' for name in PLACEHOLDERS[1:])}"
    try:
        found = [*string.Formatter().parse(text)]
    except ValueError as error:
        raise UsageError(f"--id-as {text!r}: {error}", hint=hint) from error
    for _, name, form, conversion in found:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            raise UsageError(f"--id-as {text!r}: no placeholder {{{name}}}", hint=hint)
    if [name for _, name, _, _ in found].count("id") != 1:
        raise UsageError(f"--id-as {text!r} names every conversation by {{id}}, once", hint=hint)
    made = Template(text, [(before, name) for before, name, _, _ in found])
    if why := made.naming(dict.fromkeys(PLACEHOLDERS[1:], "")).refusal("x"):
        raise UsageError(f"--id-as {text!r}: {why}", hint=hint)
    return made


def layout_of(store: Store) -> str | None:
    """The name of the layout in which another framework's conversations lie there."""
    remark = store.remark() if isinstance(store, SupportsRemark) else ""
    found = re.match(r"layout ([^\s,]+)", remark)
    return found[1] if found else None
