"""The contexts that ask a model for what came before the newest messages.

What it answers is remembered in the state folder: the next context pays only for what is new.
"""

from dataclasses import replace
from typing import Final

from synmem.errors import SynmemError
from synmem.messages import Message
from synmem.notes import SUMMARY, Note, Notes
from synmem.operations.context import Built, Wanted, smart_of
from synmem.operations.covering import Newest, NewestTokens
from synmem.operations.entities import learn
from synmem.operations.running import Asking, Run, best_note
from synmem.store import Store
from synmem.strategies.context import Strategy
from synmem.strategies.entities import known_lines
from synmem.strategies.history import asks, read_history
from synmem.strategies.summary import SUMMARY_HEAD, within

HYBRID: Final = "hybrid"
BUFFER: Final = "summary-buffer"
"""The names of the notes that these strategies make."""

_PAIRS: Final = 5  # of a hybrid's window
_ROOM: Final = 500  # tokens that a summary is given, or a quarter of the budget if that is less


class ModelContext:
    """The strategies that ask a model for what came before the newest messages."""

    def __init__(
        self, store: Store, conversation: str, wanted: Wanted, notes: Notes, asking: Asking
    ) -> None:
        self._store = store
        self._conversation = conversation
        self._wanted = wanted
        self._notes = notes
        self._asking = asking
        self._smart = smart_of(wanted)
        self._remarks: list[str] = []

    async def hybrid(self) -> Built:
        """A window, and a summary of what came before it: HybridMemory's."""
        window = self._wanted.window or 2 * _PAIRS
        asking = replace(self._asking, prompt=within(self._wanted.summary_max_tokens))
        summary = await self._summary(HYBRID, asking, Newest(window))
        return await self._built(replace(self._smart, summary=summary, messages=window))

    async def summary_buffer(self) -> Built:
        """The newest messages that fit, and a summary of the others: SummaryBufferMemory's."""
        summary = await self._summary(BUFFER, self._asking, None)
        return await self._built(replace(self._smart, summary=summary))

    async def entity(self) -> Built:
        """What is known of the entities, and the newest messages: EntityMemory's."""
        known = await learn(
            self._store, self._conversation, self._notes, self._asking.llm,
            max_entities=self._wanted.max_entities, max_characters=self._asking.max_characters,
        )  # fmt: skip
        self._stale("what is known of the entities", known.stale)
        if known.unsaved is not None:
            self._remarks.append(str(known.unsaved))
        return await self._built(replace(self._smart, known=self._fitting(known.entities)))

    def _fitting(self, known: dict[str, str]) -> str | None:
        """The last updated that take no more than a quarter of the budget."""
        left = dict(known)
        while left:
            text = "\n".join(known_lines(left))
            if self._smart.meter.background(text) <= self._smart.max_tokens / 4:
                break
            del left[next(iter(left))]
        if len(left) < len(known):
            self._remarks.append(f"{len(known) - len(left)} of {len(known)} entities do not fit")
        return "\n".join(known_lines(left)) or None

    async def _summary(self, name: str, asking: Asking, newest: Newest | None) -> str | None:
        """The summary of all but the newest; without them of what does not fit in the budget."""
        names = dict.fromkeys((name, SUMMARY, HYBRID, BUFFER))  # whoever made it, it is paid for
        note, stale = await best_note(self._notes, self._conversation, list(names), asking)
        self._stale("the summary", stale)

        async def save(new: Note) -> None:
            try:
                await self._notes.write(self._conversation, name, new, beside=False)
            except SynmemError as error:
                self._remarks.append(str(error))

        run = await Run.begin(self._store, self._conversation, note, asking, save)
        if newest is not None:
            await run.read(newest)
        else:
            await self._fill_buffer(run)
        return run.text or None

    async def _fill_buffer(self, run: Run) -> None:
        """Keep the newest that fit beside the summary, and beside what the user said last, which
        is sent wherever it stands; where the summary grew, fewer."""
        most = await self._room()
        needed = self._cost(run.text)
        reserve = max(needed, min(_ROOM, most / 4))
        newest = NewestTokens(most - needed, most - reserve, self._smart.meter)
        history = await read_history(
            self._store, self._conversation, messages=1, meter=self._smart.meter
        )
        await run.read(newest)
        more = True
        while more:
            left = most - self._cost(run.text)
            asked = history.asked_apart
            if asked and not any(
                isinstance(each, Message) and asks(each) for _, each in newest.items
            ):
                rest = left - asked.tokens
                left = rest if rest >= history.newest_tokens else left
            newest.shrink(left)
            more = await run.shrink(newest)

    def _cost(self, summary: str) -> float:
        return self._smart.meter.background(SUMMARY_HEAD + summary) if summary else 0

    async def _room(self) -> float:
        """What is left of the budget for summary and messages."""
        parts = await self._smart.parts(self._store, self._conversation)
        meter = self._smart.meter
        asked = meter.opening([])  # the newest are not read yet, and may not begin with the user
        return self._smart.max_tokens - asked - sum(meter.background(each.text) for each in parts)

    def _stale(self, what: str, stale: bool) -> None:
        if stale:
            self._remarks.append(f"{what} was stale, and is made anew")

    async def _built(self, strategy: Strategy) -> Built:
        context = await strategy.context(self._store, self._conversation)
        return Built(context, remarks=tuple(dict.fromkeys(self._remarks)))
