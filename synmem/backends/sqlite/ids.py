"""How the ids of conversations lie in SQLite, which keeps in a column whatever it is given.

In a table as we make it they are text, compared byte for byte, and what is asked is as plain as
that. In somebody's own the column may be declared a number, have a collation (NOCASE, or one that
only its program knows), or no type at all; there every question says COLLATE BINARY and of which
kind the value is. A number is read as its text (`1001`, `0.5`), from which the number can be told
again; where that text is another conversation's id, its rows belong to none. So do BLOBs, NULL,
the empty text, and text that is not UTF-8.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from synmem.layouts.own.sqlite_columns import NUMBER, affinity

_INTEGER: Final = re.compile(r"-?[1-9][0-9]{0,18}|0")


class NotUtf8(bytes):
    """Text that is not UTF-8: no BLOB."""


def text_or_bytes(data: bytes) -> str | NotUtf8:
    """What text in a file is read as: for a connection's `text_factory`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return NotUtf8(data)


class Ids(NamedTuple):
    """How the column conversation_id of a table keeps ids."""

    plain: bool = True
    """As text, compared by its bytes: every value is its own id."""
    affinity: str = "TEXT"
    through: bool = False
    """Whether an index of it may compare by NOCASE or RTRIM: what has the same bytes is found
    through that, too."""
    sought: bool = True
    """Whether an index finds the rows of a conversation; else every question reads the whole table,
    and is asked of many at once."""

    @property
    def order(self) -> str:
        """What to sort or group by, so that the rows of a conversation stand together."""
        if self.plain:
            return "conversation_id"
        return "conversation_id COLLATE BINARY, typeof(conversation_id)"

    def match(self, value: str) -> str:
        """The condition of being the conversation of this SQL expression, a value from a query."""
        if self.plain:
            return f"conversation_id = {value}"
        exact = f"conversation_id = {value} COLLATE BINARY"
        exact += f" AND typeof(conversation_id) = typeof({value})"
        return f"conversation_id = {value} AND {exact}" if self.through else exact

    @property
    def joined(self) -> str:
        """What FROM takes to find the rows of the conversations that are `wanted_v` of `wanted`."""
        if self.sought:
            return f"wanted CROSS JOIN messages ON {self.match('wanted_v')}"
        # Without the plus, which takes the column's type away, SQLite would not sort `wanted`.
        return (
            "messages CROSS JOIN wanted ON +conversation_id = wanted_v COLLATE BINARY "
            "AND typeof(conversation_id) = typeof(wanted_v)"
        )

    def where(self, values: Sequence[Any]) -> tuple[str, list[Any]]:
        """The condition of being one of these conversations, as they lie there, and what goes into
        its placeholders."""
        if self.plain:
            return f"conversation_id {_one_of(values)}", [*values]
        terms: list[str] = []
        given: list[Any] = []
        for kind, of_kind in (("text", str), ("integer", int), ("real", float)):
            if some := [value for value in values if type(value) is of_kind]:
                term = f"conversation_id COLLATE BINARY {_one_of(some)}"
                term += f" AND typeof(conversation_id) = '{kind}'"
                given += some
                if self.through:
                    term += f" AND conversation_id {_one_of(some)}"
                    given += some
                terms.append(term)
        return f"({' OR '.join(terms) or '0'})", given

    def candidates(self, conversation: str) -> list[Any]:
        """As what a conversation may lie there, the likeliest first."""
        found: list[Any] = [conversation]
        if _INTEGER.fullmatch(conversation) and -(2**63) <= int(conversation) < 2**63:
            found.append(int(conversation))
        elif (number := _real(conversation)) is not None:
            found.append(number)
        return found

    def stored(self, conversation: str) -> Any:
        """As what a new conversation is written."""
        found = self.candidates(conversation)
        return found[-1] if self.affinity in ("NUMERIC", "REAL") else conversation

    def refusal(self, conversation: str) -> str | None:
        """Why the column would make another id of this one, or None."""
        if self.affinity not in ("NUMERIC", "REAL") or not NUMBER.fullmatch(conversation):
            return None
        value = self.stored(conversation)
        if type(value) is not str and shown(_stored(self.affinity, value)) == conversation:
            return None
        return "the table's column 'conversation_id' is one of numbers, and makes another id of it"


def _stored(affinity: str, value: float) -> float:
    """What a column of numbers makes of a number."""
    if affinity == "REAL":
        return float(value)
    whole = type(value) is float and value.is_integer() and abs(value) < 2**63
    return int(value) if whole else value


def _one_of(values: Sequence[Any]) -> str:
    return "= ?" if len(values) == 1 else f"IN ({', '.join('?' * len(values))})"


def _real(text: str) -> float | None:
    """The number of which this is the text; None where it is of none."""
    if not text[-1:].isdecimal() and text not in ("inf", "-inf"):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if not math.isnan(number) and repr(number) == text else None


def shown(value: Any) -> str | None:
    """The id that a value is; None where it is of no conversation."""
    if type(value) is str:
        return value or None
    if type(value) is int:
        return str(value)
    return repr(value) if type(value) is float else None


def ids_of(kind: str, sql: str, encoding: str, declared: str) -> Ids:
    """How a table or a view keeps them, from its statement and the declared type of the column."""
    collations = set(re.findall(r"collate\W+(\w+)", sql.lower()))
    if "collate" in sql.lower() and not collations:
        collations = {"?"}
    kept = affinity(declared) if kind == "table" else "BLOB"
    plain = kind == "table" and kept == "TEXT" and not collations and encoding == "UTF-8"
    return Ids(plain, kept, bool(collations) and collations <= {"nocase", "rtrim", "binary"})


class Group(NamedTuple):
    """The rows that have the same value in conversation_id: how many, the lowest and highest of
    their numbers, and where asked for the times of these two."""

    value: Any
    rows: int
    low: Any
    high: Any
    times: tuple[Any, Any] = (None, None)


def told_apart(groups: Sequence[Group]) -> tuple[dict[str, Group], list[tuple[Group, str]]]:
    """The conversations among all the groups of a table, and why the others are none; but those
    that are found without looking at all: NULL, BLOBs, and the empty text."""
    texts = {group.value for group in groups if type(group.value) is str}
    found: dict[str, Group] = {}
    strays: list[tuple[Group, str]] = []
    for group in groups:
        conversation = shown(group.value)
        if isinstance(group.value, NotUtf8):
            strays.append((group, f"its conversation_id is not UTF-8: {bytes(group.value)[:40]!r}"))
        elif conversation is None:
            continue
        elif type(group.value) is not str and conversation in texts:
            why = f"its conversation_id is a number, and the text {conversation!r} another one's"
            strays.append((group, why))
        else:
            found[conversation] = group
    return found, strays


def chosen(wanted: Mapping[str, Sequence[Any]], there: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Of the candidates for each conversation the first one that is there, if any is: `there` are
    (conversation, which of them)."""
    found: dict[str, int] = {}
    for conversation, which in there:
        found[conversation] = min(which, found.get(conversation, which))
    return {conversation: wanted[conversation][which] for conversation, which in found.items()}
