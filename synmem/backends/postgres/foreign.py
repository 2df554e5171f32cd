"""Tables of other frameworks in a PostgreSQL database: the shapes of `layouts/shapes.py`, for all
layouts."""

from collections.abc import Mapping
from typing import Any

from synmem.backends.postgres.finding import check_known, find
from synmem.backends.postgres.opening import Database
from synmem.errors import Unsupported
from synmem.layouts.registry import WholeFit
from synmem.store import Store


async def opened(
    database: Database, settings: Mapping[str, Any], *, write: bool, page_size: int
) -> Store | None:
    """The store of another framework's that is there, or is to be made; None where there is none
    and our own may be made."""
    layout = settings.get("layout")
    if layout is not None and layout != "synmem":
        check_known(database.name, layout)
    found = await find(database, layout, settings.get("table"), settings.get("schema"), write=write)
    if found is None:
        return None
    if isinstance(found.fit, WholeFit):  # its PostgresSource takes the database and what was found
        raise Unsupported(f"{database.name}: {found.fit.layout}'s cannot be read here yet")
    raise Unsupported(f"{database.name}: {found.fit.layout}'s cannot be read here yet")
