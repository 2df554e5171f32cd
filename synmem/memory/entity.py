"""EntityMemory: messages, and a running description of whoever and whatever they speak of."""

from synmem.memory.base import Said, at_least, formatted
from synmem.memory.buffer import BufferMemory
from synmem.memory.llm import checked
from synmem.memory.turn import Turn
from synmem.models import LLM
from synmem.strategies.entities import Entities, known_lines


class EntityMemory:
    """Tracks entities with a model (reference: EntityMemory); over `max_entities` the one whose
    last update is oldest goes.

    When the model fails, `add` raises what it raised: the message is kept, no entity changed. An
    answer with a line or a bullet for each name is understood too, which SynapseKit 2.0.1 takes
    for one name.

    >>> memory = EntityMemory(llm=names, max_entities=50)
    >>> asyncio.run(memory.add("user", "Alice works in Paris."))
    >>> print(memory.format_context())
    Known entities:
      - Alice: described
      - Paris: described
    <BLANKLINE>
    User: Alice works in Paris.
    """

    def __init__(self, llm: LLM, max_entities: int = 50) -> None:
        at_least(1, max_entities=max_entities)
        self._llm = checked(llm)
        self._buffer = BufferMemory()
        self._most = max_entities
        self._entities = Entities(max_entities=max_entities)
        self._turn = Turn()  # a description is gone on from, one message after the other

    async def add(self, role: str, content: str) -> None:
        """Append a message, and learn the entities that it speaks of."""
        self._buffer.add(role, content)
        entities = self._entities
        async with self._turn:
            if entities is self._entities:  # else the message was forgotten while it waited
                await entities.learn(self._llm, content)

    def get_messages(self) -> list[Said]:
        """All messages, as copies."""
        return self._buffer.get_messages()

    def get_entities(self) -> dict[str, str]:
        """Name -> description, that of the last update last."""
        return self._entities.known

    def format_context(self) -> str:
        """The entities, if there are any, a blank line, and the messages as lines."""
        known = known_lines(self._entities.known)
        lines = [*known, ""] if known else []
        if len(self._buffer):
            lines.append(formatted(self._buffer.get_messages()))
        return "\n".join(lines)

    def clear(self) -> None:
        """Forget messages and entities."""
        self._buffer.clear()
        self._entities = Entities(max_entities=self._most)  # not those that are being learned

    def __len__(self) -> int:
        return len(self._buffer)
