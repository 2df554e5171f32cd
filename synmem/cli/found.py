"""What a search found, on a terminal: where each hit stands, the words around it, and how many
there are in all."""

from typing import TYPE_CHECKING, Final

from synmem.cli import render
from synmem.cli.screen.columns import cells, cut, cut_middle, prose_width
from synmem.cli.screen.styles import DIM, STRONG, of_role, painted
from synmem.cli.session import Session
from synmem.cli.snippets import snippet

if TYPE_CHECKING:
    from synmem.cli.searching import Results
    from synmem.operations.searching.search import Hit
    from synmem.operations.searching.words import Query

_INDENT: Final = "  "
_GAP: Final = "  "
_NARROW: Final = 60  # columns, below which a title has a line for itself
_LEAST_ID: Final = 13
_MANY: Final = 100  # hits, of which nobody reads all


def show_hits(session: Session, found: "Results", query: "Query | None", k: int) -> None:
    """A block for each hit; and on stderr what was found in all, and how to go on.

    `query`: the words that were looked for, which are marked; None: a meaning was.
    """
    width = prose_width()
    for store, hit in found.hits:
        lines = [*_head(store, hit, width, nearness=query is None), *_body(hit, query, width), ""]
        render.write("\n".join([*lines, ""]).encode("utf-8", "backslashreplace"))
    if found.hits:
        _tell_rest(session, found, k)
    else:
        near = f"; near: {', '.join(found.near)}" if found.near else ""
        session.note(f"nothing found{near}")


# --- a hit ----------------------------------------------------------------------------------


def _head(store: str | None, hit: "Hit", width: int, *, nearness: bool) -> list[str]:
    """Title, store and id, position, role and time; the title above where the line is narrow."""
    title = "" if hit.is_title else render.visible_line(" ".join((hit.title or "").split()))
    whose = render.visible_line(store) + _GAP if store else ""
    name = render.visible_line(hit.conversation_id)
    facts = _facts(hit, nearness=nearness)
    left = width - sum(cells(fact) + len(_GAP) for fact, _ in facts)
    shown = _GAP.join(painted(fact, code) for fact, code in facts)
    above = []
    if title and (width < _NARROW or left < 2 * _LEAST_ID):
        above, title = [painted(cut(title, width), STRONG)], ""
    elif title:
        least = min(cells(whose + name), max(_LEAST_ID, left - cells(title) - len(_GAP)))
        title = cut(title, left - least - len(_GAP))
        left -= cells(title) + len(_GAP)
    place = painted(cut_middle(whose + name, max(1, left)), DIM if title or above else STRONG)
    return [*above, _GAP.join(filter(None, [painted(title, STRONG), place, shown]))]


def _facts(hit: "Hit", *, nearness: bool) -> list[tuple[str, str]]:
    """What else is said of a hit, and in which colours."""
    from synmem.cli.times import ago

    role = render.visible_line(hit.role)
    facts = [
        ("" if hit.is_title else f"#{hit.position}", DIM),
        (cut(role, 20), STRONG if hit.is_title else of_role(hit.role)),
        (ago(hit.created_at), DIM),
        (f"{hit.score:.2f}" if nearness else "", DIM),
    ]
    return [fact for fact in facts if fact[0]]


def _body(hit: "Hit", query: "Query | None", width: int) -> list[str]:
    """The words around the hits, and the tools whose names were looked for."""
    inner = width - len(_INDENT)
    lines = snippet(hit.content, query, inner) if hit.content.strip() else []
    if hit.tools and (not lines or (query is not None and _is_in_tools(hit, query))):
        tools = snippet(", ".join(dict.fromkeys(hit.tools)), query, inner - 3)
        arrow = "<-" if hit.role == "tool" else "->"
        lines += [f"{arrow} {tools[0]}", *(f"   {line}" for line in tools[1:])]
    return [_INDENT + line for line in lines]


def _is_in_tools(hit: "Hit", query: "Query") -> bool:
    """Whether a word that was looked for is part of a tool's name."""
    from synmem.operations.searching.words import normal

    names = [normal(name) for name in hit.tools]
    return any(phrase in name for phrase in query.phrases for name in names)


# --- all of them ----------------------------------------------------------------------------


def _tell_rest(session: Session, found: "Results", k: int) -> None:
    """How many there are in all, and the commands that show more."""
    store, hit = found.hits[0]
    parts = []
    if found.total is not None:
        parts.append(f"{len(found.hits):,} of {found.total:,}")
        if found.total > max(2 * k, _MANY):
            parts.append(f"-k {max(2 * k, _MANY)} for more")
        elif found.total > k:
            parts.append(f"-k {found.total} for all")
    around = render.visible_line(_command(session, store, hit))
    if cells(" · ".join([*parts, around])) <= prose_width():
        session.hint(" · ".join([*parts, around]))
        return
    if parts:
        session.hint(" · ".join(parts))
    session.hint(around)


def _command(session: Session, store: str | None, hit: "Hit") -> str:
    """What shows a hit in its conversation."""
    from synmem.cli import retyping

    words = [hit.conversation_id, "--around", str(hit.position)]
    if hit.conversation_id.startswith("-"):
        words = [*words[1:], "--", words[0]]
    if store is None:
        return session.typing("show", *words)
    return retyping.line(retyping.TypedStore(store), "show", *words)
