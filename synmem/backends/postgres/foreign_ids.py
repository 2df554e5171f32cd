"""How a column of another framework's table has the ids of conversations: as texts, UUIDs, numbers,
or whatever else the server makes a text of."""

import re
from collections.abc import Sequence
from typing import Any, Final

from synmem.backends.postgres.encoding import NO_ENCODING, UTF_8, lacking
from synmem.backends.postgres.table import identifier

_UUID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INTEGER: Final = re.compile("0|-?[1-9][0-9]{0,17}")

_TEXTS: Final = ("text", "character varying")
_INTEGERS: Final = ("smallint", "integer", "bigint")


class IdColumn:
    """The column of that name and type. Ids are compared by their bytes, whatever its collation."""

    def __init__(
        self, name: str, kind: str, *, exact: bool, most: int | None, encoding: str
    ) -> None:
        """`exact`: whether texts that are equal there are the same. `most`: so many characters an
        id has at most. `encoding`: the database's."""
        self.name = name
        self._kind = kind
        self._most = most
        column = identifier(name)
        self.text = column if kind in _TEXTS and exact else f'({column}::text COLLATE "C")'
        """The id as text."""
        self.is_native = kind in ("uuid", *_INTEGERS) or (kind in _TEXTS and exact)
        """Whether its values are compared as they are, so that an index of it is of use."""
        self.readable = "true"
        """The condition that it is text at all: a database of no encoding holds any bytes."""
        if encoding == NO_ENCODING:
            self.readable = f"{self.text} COLLATE \"C\" ~ '{UTF_8}'"
        self._encoding = encoding
        folds = kind == "citext" or (kind in (*_TEXTS, "bpchar") and not exact)
        self.same = f"{{row}}.{column} = {{value}}::{kind}" if folds else None
        """The condition that a row's id is this one to the column itself, to which others are it
        too; None where only its own bytes are."""
        self._left = column if self.is_native else self.text
        self.type = kind if kind == "uuid" else "bigint" if kind in _INTEGERS else "text"
        """The type of what `values` gives."""

    def equals(self, value: str) -> str:
        """The condition that it is this one."""
        return f"{self._left} = {value}"

    def among(self, values: str) -> str:
        """The condition that it is one of this array."""
        return f"{self._left} = ANY({values}::{self.type}[])"

    def values(self, ids: Sequence[str]) -> list[Any]:
        """Those of these ids that can be there, as the driver takes them."""
        if self._kind in _INTEGERS:
            return [int(each) for each in ids if _INTEGER.fullmatch(each)]
        return [each for each in ids if self.refusal(each) is None]

    def refusal(self, id_: str) -> str | None:
        """Why the column cannot have this id as it is, or None."""
        if self._kind == "uuid" and _UUID.fullmatch(id_) is None:
            return f"it is no UUID in small letters, as the column {self.name!r} has them"
        if self._kind in _INTEGERS and _INTEGER.fullmatch(id_) is None:
            return f"it is no number, as the column {self.name!r} has them"
        if self._most is not None and len(id_) > self._most:
            return (
                f"it is longer than {self._most} characters, as the column {self.name!r} has them"
            )
        if "\x00" in id_:
            return "it has NUL, which no text in PostgreSQL can hold"
        return lacking(self._encoding, id_)
