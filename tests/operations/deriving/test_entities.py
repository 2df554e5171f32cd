"""Entities of a stored conversation: remembered, asked for new messages alone."""

import asyncio
from pathlib import Path

import pytest

from synmem.backends.inmemory import InMemoryStore
from synmem.errors import ConversationNotFound, ModelError
from synmem.messages import Conversation, Message
from synmem.notes import Notes
from synmem.operations.deriving.entities import Known, learn, remember
from synmem.store import Part
from tests.models.llms import Recording


def finds(prompt: str) -> str:
    message = prompt.rpartition("Message: ")[2]
    if prompt.startswith("Describe"):
        return f"said in: {message}"
    return ",".join(word for word in message.split() if word[0].isupper()) or "NONE"


def store_of(*texts: str) -> InMemoryStore:
    store = InMemoryStore(page_size=2)
    more(store, *[Message("user", text) for text in texts])
    return store


def more(store: InMemoryStore, *messages: Message) -> None:
    asyncio.run(store.append([Part(Conversation("c"), list(messages))]))


def run(store: InMemoryStore, folder: Path, llm: Recording, **options: int) -> Known:
    notes = Notes(store, folder / "notes")

    async def both() -> Known:
        known = await learn(store, "c", notes, llm, **options)
        await remember(known, notes, beside=True)
        return known

    return asyncio.run(both())


def test_only_new_messages_are_asked_about(tmp_path: Path) -> None:
    store, llm = store_of("Ann met Bob", "fine", "Cid came"), Recording(finds)
    first = run(store, tmp_path, llm)
    assert first.entities == {
        "Ann": "said in: Ann met Bob", "Bob": "said in: Ann met Bob", "Cid": "said in: Cid came",
    }  # fmt: skip
    assert (first.messages, len(llm.prompts)) == (3, 6)
    assert "entities" in store._held["c"].notes
    assert not list((tmp_path / "notes").iterdir())
    again = run(store, tmp_path, llm)
    assert (again.remembered, again.entities, len(llm.prompts)) == (True, first.entities, 6)
    more(store, Message("assistant", "and Ann went"))
    new = run(store, tmp_path, llm)
    assert list(new.entities) == ["Bob", "Cid", "Ann"]
    assert len(llm.prompts) == 8


def test_the_oldest_are_out(tmp_path: Path) -> None:
    store, llm = store_of("Ann", "Bob", "Cid"), Recording(finds)
    assert list(run(store, tmp_path, llm, max_entities=2).entities) == ["Bob", "Cid"]


def test_what_programs_say_is_not_asked_about(tmp_path: Path) -> None:
    store, llm = store_of("Ann"), Recording(finds)
    more(store, Message("tool", "Zed"), Message("system", "Yan"), Message("assistant", ""))
    assert list(run(store, tmp_path, llm).entities) == ["Ann"]
    assert len(llm.prompts) == 2


def test_a_long_message_is_asked_about_in_pieces(tmp_path: Path) -> None:
    llm = Recording(lambda prompt: "NONE")
    run(store_of("word " * 1000), tmp_path, llm, max_characters=1000)
    assert len(llm.prompts) == 5
    assert max(map(len, llm.prompts)) < 1400


def test_a_failing_model_leaves_the_store_and_keeps_what_was_learned(tmp_path: Path) -> None:
    store, llm = store_of("Ann", "Bob", "Cid"), Recording(finds, fail_at=6)
    with pytest.raises(ModelError):
        run(store, tmp_path, llm)
    assert store._held["c"].notes == {}
    again = Recording(finds)
    assert list(run(store, tmp_path, again).entities) == ["Ann", "Bob", "Cid"]
    assert len(again.prompts) == 2


def test_a_stale_note_is_made_anew(tmp_path: Path) -> None:
    store, llm = store_of("Ann", "Bob", "Cid"), Recording(finds)
    run(store, tmp_path, llm)
    asyncio.run(store.delete("c", upto="1"))
    known = run(store, tmp_path, llm)
    assert (known.stale, list(known.entities)) == (True, ["Bob", "Cid"])


def test_a_conversation_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ConversationNotFound):
        run(InMemoryStore(), tmp_path, Recording(finds))
