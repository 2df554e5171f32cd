"""Context: what would be sent to a model, by the strategy that was named.

Some ask a model for what came before the newest messages. What it answers is remembered in the
state folder: the next context pays only for what is new.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from synmem.errors import ModelError, SynmemError, UsageError
from synmem.messages import Message
from synmem.models.tokens import counter
from synmem.notes import SUMMARY, Note, Notes
from synmem.operations.deriving.covering import Newest, NewestTokens
from synmem.operations.deriving.entities import learn
from synmem.operations.deriving.running import Asking, Run, best_note
from synmem.store import Store
from synmem.strategies.context import Background, Context, Strategy
from synmem.strategies.entities import known_lines
from synmem.strategies.history import asks, read_history
from synmem.strategies.meter import Meter
from synmem.strategies.smart import Smart, search_part
from synmem.strategies.summary import SUMMARY_HEAD, within
from synmem.strategies.window import Window

if TYPE_CHECKING:
    from synmem.strategies.recall import Nearest

STRATEGIES: Final = (
    "smart", "window", "tokens", "summary-buffer", "hybrid", "entity", "vector", "all",
)  # fmt: skip
ASKING: Final = ("summary-buffer", "hybrid", "entity")
"""Those that ask a model; naming one is the consent."""
VECTOR: Final = "vector"
"""The one that recalls by meaning."""

HYBRID: Final = "hybrid"
BUFFER: Final = "summary-buffer"
"""The names of the notes that these strategies make."""

_PAIRS: Final = 5  # of a hybrid's window
_ROOM: Final = 500  # tokens that a summary is given, or a quarter of the budget if that is less


@dataclass(frozen=True)
class Wanted:
    """What was asked for; a limit that is None is the strategy's own.

    `labelled`: it is printed as `Role: content` lines, and the labels count too. `question` is put
    in front where the user does not begin, and counts then.
    """

    strategy: str = "smart"
    max_tokens: int | None = None
    max_search_tokens: int = 2000
    window: int | None = None
    system: str | None = None
    search_results: str | None = None
    tokenizer: str | None = None
    labelled: bool = False
    summary_max_tokens: int = 200
    max_entities: int = 50
    query: str | None = None
    question: str = ""


@dataclass(frozen=True)
class Built:
    """The context; whether there is a summary that no longer fits the conversation and is left
    out; and what else is to be said."""

    context: Context
    stale_summary: bool = False
    remarks: tuple[str, ...] = ()


async def build(
    store: Store,
    conversation: str,
    wanted: Wanted,
    notes: Notes,
    asking: Asking | None = None,
    nearest: "Nearest | None" = None,
) -> Built:
    """What would be sent. UsageError for a strategy that is not known; `vector` asks `nearest`.

    ConversationNotFound where there is no such conversation; ModelError where the strategy asks a
    model, and there is none or it fails. What a model answers is remembered in the state folder;
    the store is not written.
    """
    check(wanted)
    if wanted.strategy == "smart":
        return await _smart_built(store, conversation, wanted, notes)
    if wanted.strategy == VECTOR:
        if nearest is None:
            raise ModelError("no embedding model is given")
        return Built(await _recalling(wanted, nearest).context(store, conversation))
    if wanted.strategy not in ASKING:
        return Built(await _plain(wanted).context(store, conversation))
    if asking is None:
        raise ModelError("no LLM is configured")
    made = _ModelContext(store, conversation, wanted, notes, asking)
    if wanted.strategy == "entity":
        return await made.entity()
    return await (made.hybrid() if wanted.strategy == "hybrid" else made.summary_buffer())


def check(wanted: Wanted) -> None:
    """UsageError where something that was asked for makes no sense."""
    if wanted.strategy not in STRATEGIES:
        raise UsageError(
            f"--strategy {wanted.strategy!r} is not known", hint=f"one of {', '.join(STRATEGIES)}"
        )
    for name in ("max_tokens", "max_search_tokens", "window"):
        value = getattr(wanted, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is 1 or more")
    if wanted.query is not None and wanted.strategy != VECTOR:
        raise UsageError(f"--query goes with --strategy {VECTOR}")
    if wanted.query is not None and not wanted.query.strip():
        raise UsageError("there is nothing to look for: --query is empty")
    counter(wanted.tokenizer)


async def _smart_built(store: Store, conversation: str, wanted: Wanted, notes: Notes) -> Built:
    noted = await notes.read(conversation, SUMMARY)
    note, fits = noted if noted else (None, False)
    smart = replace(_smart_of(wanted), summary=note.value.get("text") if note and fits else None)
    context = await smart.context(store, conversation)
    return Built(context, stale_summary=note is not None and not fits)


def _plain(wanted: Wanted) -> Strategy:
    window = 10 if wanted.strategy == "window" and wanted.window is None else wanted.window
    return Window(
        messages=math.inf if window is None else window,
        max_tokens=_max_tokens(wanted),
        background=_background(wanted),
        meter=_meter(wanted),
    )


def _recalling(wanted: Wanted, nearest: "Nearest") -> Strategy:
    from synmem.strategies.recall import Recall

    return Recall(
        nearest,
        query=wanted.query,
        messages=5 if wanted.window is None else wanted.window,
        max_tokens=_max_tokens(wanted),
        background=_background(wanted),
        meter=_meter(wanted),
    )


def _background(wanted: Wanted) -> tuple[Background, ...]:
    background = []
    if wanted.system:
        background.append(Background("system prompt", wanted.system, cached=True))
    if wanted.search_results:
        part = search_part(wanted.search_results, wanted.max_search_tokens, _meter(wanted))
        background.append(part)
    return tuple(background)


def _smart_of(wanted: Wanted) -> Smart:
    """The strategy `smart`, without a summary."""
    return Smart(
        max_tokens=_max_tokens(wanted),
        max_search_tokens=wanted.max_search_tokens,
        system=wanted.system,
        search_results=wanted.search_results,
        messages=math.inf if wanted.window is None else wanted.window,
        meter=_meter(wanted),
    )


def _meter(wanted: Wanted) -> Meter:
    return Meter(counter(wanted.tokenizer), labelled=wanted.labelled, question=wanted.question)


def _max_tokens(wanted: Wanted) -> float:
    if wanted.max_tokens is not None:
        return wanted.max_tokens
    return math.inf if wanted.strategy == "all" else 4000


class _ModelContext:
    """The strategies that ask a model for what came before the newest messages."""

    def __init__(
        self, store: Store, conversation: str, wanted: Wanted, notes: Notes, asking: Asking
    ) -> None:
        self._store = store
        self._conversation = conversation
        self._wanted = wanted
        self._notes = notes
        self._asking = asking
        self._smart = _smart_of(wanted)
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
