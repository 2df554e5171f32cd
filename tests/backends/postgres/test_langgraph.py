"""Checkpoints that the real LangGraph wrote into PostgreSQL."""

from urllib.parse import quote

import pytest

from synmem.layouts.foreign.langchain_messages import json_of
from tests.backends.postgres.test_foreign_whole import Place, place
from tests.conformance import ids, items, run
from tests.services import framework

__all__ = ["place"]  # a fixture

PACKAGES = (
    "langgraph==1.2.22", "langgraph-checkpoint-postgres==3.2.0", "psycopg[binary]",
)  # fmt: skip


@pytest.mark.real
def test_what_langgraph_writes_is_read_as_it_reads_it(place: Place) -> None:
    url = f"{place.url}?options={quote(f'-csearch_path={place.schema}')}"
    with framework.running(PACKAGES, "langgraph_program.py") as graph:
        written = graph.ask("write", path=url)

        async def main() -> None:
            async with place.opened() as store:
                assert store.remark() == "layout langgraph, table checkpoints"
                assert await ids(store) == sorted(written)
                for conversation in written:
                    expected = graph.ask("read", path=url, conversation=conversation)
                    found = await items(store, conversation)
                    assert [json_of(message) for message in found] == expected

        run(main())
