"""The contract where LlamaIndex's memory is stored, whatever database holds it: what a row of it has
no place for is left out of the suite's messages."""

from typing import Any

from msgspec import structs

from synmem.layouts.foreign.llamaindex import SHAPES
from synmem.layouts.shapes import Rows
from synmem.messages import Conversation, Message, canonical
from synmem.store import Part, Store
from tests.backends.openai_agents import WritingItems
from tests.conformance import AT, items

AT_NS = int(AT.timestamp()) * 10**9 + 123_456_789
CALL = {"id": "call_1", "name": "f", "arguments": {"city": "Zürich", "n": 2**70}}
LLAMAS = [
    Message("system", "be brief"),
    Message("user", "a\x00b \ud83d", name="alice", tool_call_id="x"),
    Message("assistant", "", tool_calls=[CALL]),
    Message("tool", "result", tool_call_id="call_1", name=""),
    Message("user", "an image", parts=[{"type": "text", "text": "an image"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]),
    Message("user", "timed", created_at=AT),
    Message("user", "archived", created_at=AT, extra={"llamaindex": {"row": {"status": "archived", "role": "x"}}}),
    Message("user", "finer", created_at=AT, extra={"llamaindex": {"row": {"timestamp": AT_NS}}}),
]  # fmt: skip
"""All that rows of it are."""


class WritingMemory(WritingItems):
    """As with OpenAI Agents', each row has a time, and no metadata."""

    timed = stamped = True
    backend = ""
    """The database."""

    def can_hold(self, message: Message) -> bool:
        shape = SHAPES[self.backend][0]
        assert isinstance(shape, Rows)
        assert shape.write is not None
        return shape.write.refusal(message) is None

    def _as_held(self, messages: list[Message]) -> list[Message]:
        return [structs.replace(message, metadata=None) for message in messages]

    def test_every_field_survives(self, tmp_path: Any) -> None:
        async def test(store: Store) -> None:
            found = self.without_times(await items(store, "a"), LLAMAS)
            holds = store.holds  # blocks of calls and images are made
            assert [canonical(each, holds) for each in found] == [canonical(each, holds) for each in LLAMAS]  # fmt: skip

        assert all(map(self.can_hold, LLAMAS))
        self.check(tmp_path, [Part(Conversation("a"), LLAMAS)], test)

    def test_what_one_wrote_another_reads(self, tmp_path: Any) -> None:
        self.test_every_field_survives(tmp_path)
