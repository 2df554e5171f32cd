"""Context: what would be sent to a model, by the strategy that was named."""

import math
from dataclasses import dataclass

from synmem.errors import UsageError
from synmem.notes import Notes
from synmem.store import Store
from synmem.strategies.context import Background, Context, Strategy
from synmem.strategies.smart import Smart, search_part
from synmem.strategies.window import Window

STRATEGIES = ("smart", "window", "tokens", "all")
LATER = ("summary-buffer", "hybrid", "entity", "vector")
SUMMARY = "summary"
"""The name of the note that `summarize` writes and `smart` reads."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for; a limit that is None is the strategy's own."""

    strategy: str = "smart"
    max_tokens: int | None = None
    max_search_tokens: int = 2000
    window: int | None = None
    system: str | None = None
    search_results: str | None = None


@dataclass(frozen=True)
class Built:
    """The context, and whether there is a summary that no longer fits the conversation."""

    context: Context
    stale_summary: bool = False


async def build(store: Store, conversation: str, wanted: Wanted, notes: Notes) -> Built:
    """What would be sent. UsageError for a strategy that is not known, or not yet.

    ConversationNotFound where there is no such conversation. Asks no model and writes nothing.
    """
    check(wanted)
    if wanted.strategy != "smart":
        return Built(await _plain(wanted).context(store, conversation))
    noted = await notes.read(conversation, SUMMARY)
    note, fits = noted if noted else (None, False)
    strategy = _smart(wanted, note.value.get("text") if note and fits else None)
    context = await strategy.context(store, conversation)
    return Built(context, stale_summary=note is not None and not fits)


def check(wanted: Wanted) -> None:
    """UsageError where something that was asked for makes no sense."""
    if wanted.strategy in LATER:
        raise UsageError(
            f"--strategy {wanted.strategy} comes with a later version",
            hint=f"now: {', '.join(STRATEGIES)}",
        )
    if wanted.strategy not in STRATEGIES:
        raise UsageError(
            f"--strategy {wanted.strategy!r} is not known", hint=f"one of {', '.join(STRATEGIES)}"
        )
    for name in ("max_tokens", "max_search_tokens", "window"):
        value = getattr(wanted, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be >= 1")


def _plain(wanted: Wanted) -> Strategy:
    background = []
    if wanted.system:
        background.append(Background("system prompt", wanted.system, cached=True))
    if wanted.search_results:
        background.append(search_part(wanted.search_results, wanted.max_search_tokens))
    window = 10 if wanted.strategy == "window" and wanted.window is None else wanted.window
    return Window(
        messages=math.inf if window is None else window,
        max_tokens=_max_tokens(wanted),
        background=tuple(background),
    )


def _smart(wanted: Wanted, summary: str | None) -> Strategy:
    return Smart(
        max_tokens=_max_tokens(wanted),
        max_search_tokens=wanted.max_search_tokens,
        system=wanted.system,
        summary=summary,
        search_results=wanted.search_results,
        messages=math.inf if wanted.window is None else wanted.window,
    )


def _max_tokens(wanted: Wanted) -> float:
    if wanted.max_tokens is not None:
        return wanted.max_tokens
    return math.inf if wanted.strategy == "all" else 4000
