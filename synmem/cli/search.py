"""`synmem search`: the messages that hold every word, or those nearest in meaning."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.damage import name_unreadable
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.searching import Sought
from synmem.cli.several import Sources, sources_of
from synmem.errors import UsageError

if TYPE_CHECKING:
    from synmem.operations.searching.search import Hit
    from synmem.operations.searching.words import Query

QueryArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="QUERY",
        help="Words, all of which must be there; a phrase: '\"like this\"'; with --semantic "
        "any text.",
        show_default=False,
    ),
]
ConversationOption = Annotated[
    str | None,
    typer.Option(
        "--conversation", "-c", metavar="ID", help="Only in this conversation.",
        autocompletion=completing.conversations,
    ),
]  # fmt: skip
CountOption = Annotated[int, typer.Option("-k", metavar="N", help="The best N.")]
SemanticOption = Annotated[
    bool, typer.Option("--semantic", help="By meaning, not by words: the nearest N.")
]
RebuildOption = Annotated[
    bool,
    typer.Option("--rebuild", help="Make the index of this store anew, then search."),
]
ForgetOption = Annotated[
    bool, typer.Option("--forget", help="Remove the indexes of this store, and search nothing.")
]

_AROUND = 70  # characters of a snippet before and after the match
_MATCH, _HEAD = "1;31", "35"


@command("layout", "branches", "everywhere", "servers", store_first=True)
async def search(
    session: Session,
    query: QueryArgument = None,
    conversation: ConversationOption = None,
    k: CountOption = 5,
    semantic: SemanticOption = False,
    rebuild: RebuildOption = False,
    forget: ForgetOption = False,
) -> int | None:
    """Find messages by their words. Words are whole, whatever their case and accents.

    The best come first. In a pipe a line for each: conversation, position, role and content, tabs
    between them; inside of them a tab, newline or backslash is escaped, as C does it.

    With --semantic, those nearest in meaning. The first search takes the whole store in, later
    ones what is new. Offline, unless [embedding] in the configuration names a server.

    Of several stores (-p more than once, or --everywhere) the best of all come first, each with the
    store that it is in. With --everywhere meanings are always sought offline.

    Redis, MongoDB and DynamoDB do not tell what another program has changed in the middle of a
    conversation since it was indexed: --rebuild takes all in anew. SQLite, PostgreSQL and files do.

    \b
    synmem search 'redis cluster'
    synmem search '"hash tag" redis' --conversation user-1 -k 20
    synmem search --semantic 'why was the customer angry?'
    synmem search --semantic refund --rebuild
    synmem search --everywhere 'stripe webhook'
    """
    several = sources_of(session)
    if forget:
        return _forget(session, several, query)
    if query is None:
        raise UsageError("what is to be looked for?", hint=session.typing("search", "WORDS"))
    sought = Sought(query, conversation, k, semantic, rebuild)
    sought.check()
    hits, partly = await _hits(session, sought, several)
    _print(session, hits, None if semantic else query)
    return PARTLY if partly else None


async def _hits(
    session: Session, sought: Sought, several: Sources | None
) -> "tuple[Sequence[tuple[str | None, Hit]], bool]":
    """What was found, with its store where there are several; and whether something could not be
    read. Words are indexed before a person's eyes, where that takes long."""
    from synmem.cli.progress import late_progress

    quiet = session.quiet or sought.semantic  # by meaning, each store has a bar of its own
    async with late_progress("Indexing messages", quiet=quiet) as sought.bar:
        if several is not None:
            return await sought.found_in(session, several)
        found, strays = await sought.found(session, session.resolve())
    return [(None, hit) for hit in found.hits], name_unreadable(found.unreadable) or strays


def _forget(session: Session, several: "Sources | None", query: str | None) -> int | None:
    """Remove the indexes, and say which."""
    from synmem.cli.words import size
    from synmem.operations.derived import forget_indexes

    if query is not None:
        raise UsageError("--forget looks for nothing", hint="leave out the words, or --forget")
    profiles = (
        [session.resolve()] if several is None else [each.profile for each in several.sources]
    )
    gone = [each for profile in profiles for each in forget_indexes(profile.identity, profile.file)]
    for each in gone:
        session.note(f"removed the index of {each.kind}: {each.path} ({size(each.bytes)})")
    if not gone:
        session.note("there was no index")
    if session.json:
        render.json_line([{"kind": e.kind, "path": str(e.path), "bytes": e.bytes} for e in gone])
    return PARTLY if several is not None and several.broken else None


# --- printing -------------------------------------------------------------------------------


def _print(session: Session, hits: "Sequence[tuple[str | None, Hit]]", text: str | None) -> None:
    """`text`: the words that were looked for, to be shown in their place."""
    if session.json:
        import msgspec

        render.json_line([_named(store) | msgspec.to_builtins(hit) for store, hit in hits])
    elif render.is_terminal():
        from synmem.operations.searching.words import Query

        query = None if text is None else Query(text)
        for store, hit in hits:
            _show(store, hit, query)
        if not hits:
            session.note("nothing found")
    else:
        for store, hit in hits:
            whose = [] if store is None else [store]
            render.fields(*whose, hit.conversation_id, str(hit.position), hit.role, hit.content)


def _named(store: str | None) -> dict[str, str]:
    return {} if store is None else {"store": store}


def _show(store: str | None, hit: "Hit", query: "Query | None") -> None:
    """Where it stands, and the line around the match, or how it begins: for a person."""
    from synmem.operations.searching.words import find

    if query is not None:
        start, end = find(hit.content, query)
        beyond = _AROUND
    else:
        start = end = len(hit.content) - len(hit.content.lstrip())
        beyond = 2 * _AROUND
    first = max(hit.content.rfind("\n", 0, start) + 1, start - _AROUND)
    stop = hit.content.find("\n", end)
    last = min(len(hit.content) if stop < 0 else stop, end + beyond)
    before, match, after = (
        render.visible_line(hit.content[slice(*part)])
        for part in ((first, start), (start, end), (end, last))
    )
    nearness = "" if query is not None else f"  {hit.score:.2f}"
    whose = "" if store is None else f"{store}  "
    place = f"{whose}{hit.conversation_id}  {hit.position}  {hit.role}{nearness}"
    head = render.visible_line(place)
    before = ("..." if first > 0 and hit.content[first - 1] != "\n" else "") + before
    after += "..." if last < (len(hit.content) if stop < 0 else stop) else ""
    if render.colored():
        head = render.styled(head, _HEAD)
        match = render.styled(match, _MATCH) if match else ""
    render.write(f"{head}\n  {before}{match}{after}\n".encode("utf-8", "backslashreplace"))
