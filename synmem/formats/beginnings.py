"""How a file begins that `export` wrote: JSON Lines, JSON, CSV or a form of others."""

import re
from typing import Final

from synmem.formats import csv_table
from synmem.formats.sealed import part_in
from synmem.layouts.interchange import dialects
from synmem.layouts.interchange import jsonl as jsonlines


def part_of(head: bytes) -> int | None:
    """Which part of a sealed export a file says to be that begins so; None where it says none."""
    part = part_in(head.partition(b"\n")[0])
    return None if part is None else part.part


def is_ours(head: bytes) -> bool:
    """Whether a file that begins so is one that `export` may have written."""
    first, _, rest = head.partition(b"\n")
    if first == b"[":
        return rest.startswith(b'{"conversation_id":')
    line = first + b"\n"
    if line in (jsonlines.OPENING, csv_table.Writer().begin()):
        return True
    if first.startswith(b'{"conversation_id":'):
        return True
    like = dialects.of_head(head) if _OF_OTHERS.match(first) else None
    return like is not None and not like.misses


_OF_OTHERS: Final = re.compile(rb'\{"(?:messages|system|id)":')
