"""Tables of other frameworks in a PostgreSQL database: the shapes of `layouts/shapes.py`, for all
layouts."""

from collections.abc import Mapping
from typing import Any

from synmem.backends.postgres.finding import check_known, find
from synmem.backends.postgres.opening import Database
from synmem.errors import Unsupported
from synmem.layouts.registry import Fit, WholeFit
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
    if isinstance(found.fit, WholeFit):
        from synmem.backends.postgres.foreign_whole import PostgresSource
        from synmem.backends.whole import WholeStore

        source = PostgresSource(database, found, found.fit, page_size=page_size)
        return WholeStore(
            source,
            found.fit.shape.holds,
            _remark(found.fit),
            branches=bool(settings.get("branches")),
            page_size=page_size,
        )
    raise Unsupported(f"{database.name}: {found.fit.layout}'s cannot be read here yet")


def _remark(fit: Fit) -> str:
    """Whose tables they are."""
    version = f" ({fit.shape.version})" if fit.shape.version else ""
    return f"{fit.layout}'s{version}, in its table {fit.table}"
