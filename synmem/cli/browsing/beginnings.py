"""How conversations without a title begin: what stands in the list in the place of one."""

import contextlib
from collections.abc import Sequence
from functools import partial

from synmem.cli.browsing.rows import Row
from synmem.errors import SynmemError
from synmem.operations.glances import glances


async def look_up(rows: Sequence[Row]) -> None:
    """Set `words` of these rows."""
    for store in {row.store for row in rows}:
        its = {row.info.id: row for row in rows if row.store is store}
        with contextlib.suppress(SynmemError):  # who opens one of them hears of it
            found = await store.ask(partial(glances, conversations=list(its)))
            for name, row in its.items():
                row.begins(found[name].words if name in found else "")
