"""Context: what would be sent to a model, by the strategy that was named."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from synmem.errors import ModelError, UsageError
from synmem.models.tokens import counter
from synmem.notes import SUMMARY, Notes
from synmem.store import Store
from synmem.strategies.context import Background, Context, Strategy
from synmem.strategies.meter import Meter
from synmem.strategies.smart import Smart, search_part
from synmem.strategies.window import Window

if TYPE_CHECKING:
    from synmem.operations.running import Asking
    from synmem.strategies.recall import Nearest

STRATEGIES: Final = (
    "smart", "window", "tokens", "summary-buffer", "hybrid", "entity", "vector", "all",
)  # fmt: skip
ASKING: Final = ("summary-buffer", "hybrid", "entity")
"""Those that ask a model; naming one is the consent."""
VECTOR: Final = "vector"
"""The one that recalls by meaning."""


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
    asking: "Asking | None" = None,
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
    from synmem.operations.model_context import ModelContext

    made = ModelContext(store, conversation, wanted, notes, asking)
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
            raise UsageError(f"--{name.replace('_', '-')} must be >= 1")
    if wanted.query is not None and wanted.strategy != VECTOR:
        raise UsageError(f"--query goes with --strategy {VECTOR}")
    if wanted.query is not None and not wanted.query.strip():
        raise UsageError("there is nothing to look for: --query is empty")
    counter(wanted.tokenizer)


async def _smart_built(store: Store, conversation: str, wanted: Wanted, notes: Notes) -> Built:
    noted = await notes.read(conversation, SUMMARY)
    note, fits = noted if noted else (None, False)
    smart = replace(smart_of(wanted), summary=note.value.get("text") if note and fits else None)
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


def smart_of(wanted: Wanted) -> Smart:
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
