"""Tables of other frameworks whose columns are of types that somebody chose: which ids and texts
they cut or hold to be the same, and times that Python has none of."""

import pytest

from synmem.errors import Rejected
from synmem.messages import Message
from tests.backends.postgres.test_foreign_odd import Base, base, human, said
from tests.conformance import add, numbered, run

__all__ = ["base"]  # a fixture


def made(base: Base, kind: str, *names: str, message: str = "JSONB") -> None:
    """LangChain's table with ids of a type, and a row of each of these conversations."""
    base.run(
        f"CREATE TABLE message_store (id SERIAL PRIMARY KEY, session_id {kind}, message {message})",
        "SELECT",
    )
    for name in names:
        base.run(
            "INSERT INTO message_store (session_id, message) VALUES ($1, $2)",
            values=[name, human("message 0")],
        )


# --- what a column cuts or changes ----------------------------------------------------------


@pytest.mark.parametrize("kind", ["char(3)", "bpchar", "varchar(3)"])
def test_an_id_is_written_as_it_is_or_refused(base: Base, kind: str) -> None:
    made(base, kind, "a", "abc")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            await add(store, "abc", numbered(1, 1))
            await add(store, "ab", numbered(1))
            for name in ("abcd", "ab ", "abc "):
                if (name, kind) in (("ab ", "varchar(3)"), ("abcd", "bpchar")):
                    continue  # there it is an id as any other
                with pytest.raises(Rejected, match="session_id") as caught:
                    await add(store, name, numbered(1))
                assert [each[0] for each in caught.value.reasons] == [name]

    run(main())
    assert base.contents() == said({"a": 1, "ab": 1, "abc": 2})


def test_a_message_that_its_column_has_no_room_for_is_refused(base: Base) -> None:
    made(base, "text", "a", message="varchar(300)")

    async def main() -> None:
        async with base.opened(write=True, layout="langchain") as store:
            long = Message("user", "x" * 300)
            assert "'message'" in store.refusal(long)
            with pytest.raises(Rejected, match="'message'") as caught:
                await add(store, "a", [*numbered(1, 1), long])
            assert [each[:2] for each in caught.value.reasons] == [("a", 1)]
            await add(store, "a", numbered(1, 1))

    run(main())
    assert base.contents() == said({"a": 2})
