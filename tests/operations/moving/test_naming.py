"""Names in a destination of several sources: each conversation has one, and none has two."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import UsageError
from synmem.operations.moving.naming import PLAIN, Naming, layout_of, template
from tests.backends.sqlite.test_store import opened
from tests.conformance import run
from tests.layouts.foreign.wholes import FIXTURES

VALUES = {"host": "h", "layout": "l", "profile": "p"}
_SHORT = st.text("a#/", max_size=3)


@given(_SHORT, _SHORT, st.text("a#/", min_size=1, max_size=4), st.text("a#/", max_size=6))
def test_a_name_is_turned_back_and_no_other_is_taken_for_one(
    before: str, behind: str, conversation: str, name: str
) -> None:
    naming = Naming(before, behind)
    assert naming.here(naming.there(conversation)) == conversation
    found = naming.here(name)
    assert found is None or (found and naming.there(found) == name)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("{id}", "c"),
        ("{host}/{layout}/{id}", "h/l/c"),
        ("{id}@{host}", "c@h"),
        ("{host}{host}-{id}-{profile}", "hh-c-p"),
        ("{{{id}}}", "{c}"),
        ("é{id}", "éc"),
    ],
)
def test_a_template_is_filled_in(text: str, there: str) -> None:
    found = template(text)
    assert found.text == text
    assert found.naming(VALUES).there("c") == there


def test_a_value_is_no_template() -> None:
    naming = template("{host}/{id}").naming({**VALUES, "host": "{id}"})
    assert naming.there("{host}") == "{id}/{host}"


@pytest.mark.parametrize(
    "text",
    ["", "x", "{host}", "{id}{id}", "{ID}", "{id:5}", "{id!r}", "{id.x}", "{id[0]}", "{}", "{id", "id}", "\udcff{id}"],
)  # fmt: skip
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--id-as"):
        template(text)


def test_a_name_that_no_store_can_hold_is_told() -> None:
    assert PLAIN.refusal("x" * 2000) is None  # its own id: that is the store's to say
    assert Naming("h/").refusal("x" * 1022) is None
    assert "1025 bytes" in (Naming("h/").refusal("x" * 1023) or "")


def test_the_layout_is_that_of_another_program_or_none() -> None:
    async def main(place: Path) -> str | None:
        async with opened(place) as store:
            return layout_of(store)

    assert run(main(FIXTURES / "open-webui" / "webui.db")) == "open_webui"
    assert run(main(FIXTURES / "langchain-sql-sqlite" / "message_store.db")) == "langchain"
    assert run(main(FIXTURES / "synapsekit-sqlite" / "conversations.db")) is None
    assert layout_of(InMemoryStore()) is None
