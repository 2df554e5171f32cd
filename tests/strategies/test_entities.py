"""Entities: found, described, the last updated last, the oldest out."""

import asyncio

import pytest

from synmem.errors import ModelError
from synmem.strategies.entities import Entities, known_lines
from tests.models.llms import Recording


def knows(prompt: str) -> str:
    """Finds every word with a capital; describes by how often it was asked."""
    message = prompt.rpartition("Message: ")[2]
    if prompt.startswith("Describe"):
        name = prompt.split()[1]
        known = prompt.partition("Known so far: ")[2].partition("\n")[0]
        return f" {name} after <{known}>\n"
    return ", ".join(word for word in message.split() if word[0].isupper()) or "none."


def learn(entities: Entities, *texts: str, llm: Recording | None = None) -> Recording:
    llm = llm or Recording(knows)
    for text in texts:
        asyncio.run(entities.learn(llm, text))
    return llm


def test_entities_are_found_and_described() -> None:
    entities = Entities()
    llm = learn(entities, "Alice lives in Paris")
    assert entities.known == {"Alice": "Alice after <nothing>", "Paris": "Paris after <nothing>"}
    assert len(llm.prompts) == 3
    learn(entities, "and Alice works")
    assert list(entities.known) == ["Paris", "Alice"]
    assert entities.known["Alice"] == "Alice after <Alice after <nothing>>"


def test_where_there_are_none_nothing_more_is_asked() -> None:
    entities = Entities()
    assert len(learn(entities, "nothing at all").prompts) == 1
    assert entities.known == {}


def test_names_in_a_list_are_names_too() -> None:
    entities = Entities()
    learn(entities, "x", llm=Recording(lambda prompt: "- Ann\n* New York\n" * 2))
    assert list(entities.known) == ["Ann", "New York"]


def test_the_oldest_goes_first() -> None:
    entities = Entities(max_entities=2)
    learn(entities, "Ann and Bob", "then Cid", "and Bob")
    assert list(entities.known) == ["Cid", "Bob"]
    assert list(Entities(entities.known, max_entities=1).known) == ["Bob"]


def test_a_model_that_fails_changes_nothing() -> None:
    entities = Entities()
    learn(entities, "Ann")
    before = entities.known
    for call in (1, 2, 3):
        with pytest.raises(ModelError):
            learn(entities, "Ann met Bob", llm=Recording(knows, fail_at=call))
        assert entities.known == before


def test_braces_and_doubles_do_no_harm() -> None:
    entities = Entities()
    llm = learn(entities, "{Alice} {0} X , X")
    assert entities.known == {"X": "X after <nothing>"}
    assert "{Alice} {0}" in llm.prompts[0]


def test_the_form_of_what_is_known() -> None:
    assert known_lines({}) == []
    assert known_lines({"Ann": "a person", "Rome": "a city"}) == [
        "Known entities:", "  - Ann: a person", "  - Rome: a city",
    ]  # fmt: skip
