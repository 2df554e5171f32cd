"""`synmem search`: the messages that hold every word, or those nearest in meaning."""

from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import StoreNotFound, UsageError

if TYPE_CHECKING:
    from synmem.operations.searching.search import Found, Hit
    from synmem.operations.searching.words import Query
    from synmem.profiles import Profile
    from synmem.store import Store

QueryArgument = Annotated[
    str,
    typer.Argument(
        metavar="QUERY",
        help="Words, all of which must be there; a phrase: '\"like this\"'; with --semantic "
        "any text.",
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

_AROUND = 70  # characters of a snippet before and after the match
_MATCH, _HEAD = "1;31", "35"


@command("layout", "branches")
async def search(
    session: Session,
    query: QueryArgument,
    conversation: ConversationOption = None,
    k: CountOption = 5,
    semantic: SemanticOption = False,
    rebuild: RebuildOption = False,
) -> int | None:
    """Find messages by their words. Words are whole, whatever their case and accents.

    The best come first. In a pipe a line for each: conversation, position, role and content, tabs
    between them; inside of them a tab, newline or backslash is escaped, as C does it.

    With --semantic, those nearest in meaning. The first search takes the whole store in, later
    ones what is new. Offline, unless [embedding] in the configuration names a server.

    Redis, MongoDB and DynamoDB do not tell what another program has changed in the middle of a
    conversation since it was indexed: --rebuild takes all in anew. SQLite, PostgreSQL and files do.

    \b
    synmem search 'redis cluster'
    synmem search '"hash tag" redis' --conversation user-1 -k 20
    synmem search --semantic 'why was the customer angry?'
    synmem search --semantic refund --rebuild
    """
    if k < 1:
        raise UsageError("-k must be >= 1")
    _check(query, semantic=semantic)
    found, strays = await _found(
        session, query, conversation, k, semantic=semantic, rebuild=rebuild
    )
    _print(session, found, None if semantic else query)
    for each in found.unreadable:
        where = f"{each.conversation_id}, message {each.position}"
        render.note(f"{render.visible_line(where)} cannot be read: {each.reason}")
    return PARTLY if found.unreadable or strays else None


def _check(query: str, *, semantic: bool) -> None:
    """UsageError for a query that asks for nothing, before any store is opened."""
    from synmem.operations.searching.words import Query

    if not semantic:
        Query(query)
    elif not query.strip():
        raise UsageError("there is nothing to look for: the query is empty")


async def _found(
    session: Session,
    query: str,
    conversation: str | None,
    k: int,
    *,
    semantic: bool,
    rebuild: bool,
) -> "tuple[Found, bool]":
    """What was found; and whether records belong to no conversation, which are named."""
    from synmem.cli.damage import name_strays
    from synmem.operations.searching.search import Found

    profile = session.resolve()
    by = _by_meaning if semantic else _by_words
    try:
        async with session.open_profile(profile) as store:
            found = await by(session, profile, store, query, conversation, k, rebuild)
            return found, conversation is None and await name_strays(store)
    except StoreNotFound:
        if conversation is not None or not session.nothing_yet(profile):
            raise
        return Found([], []), False


async def _by_words(
    session: Session, profile: "Profile", store: "Store", query: str,
    conversation: str | None, k: int, rebuild: bool,
) -> "Found":  # fmt: skip
    from synmem.operations.derived import word_file
    from synmem.operations.searching.search import search

    index = word_file(profile.identity)
    return await search(
        store, query, conversation=conversation, k=k, index=index, rebuild=rebuild,
        note=session.note,
    )  # fmt: skip


async def _by_meaning(
    session: Session, profile: "Profile", store: "Store", query: str,
    conversation: str | None, k: int, rebuild: bool,
) -> "Found":  # fmt: skip
    from synmem.cli.recalling import recalling

    with recalling(session, profile, store, rebuild=rebuild) as meanings:
        return await meanings.search(query, conversation=conversation, k=k)


def _print(session: Session, found: "Found", text: str | None) -> None:
    """`text`: the words that were looked for, to be shown in their place."""
    if session.json:
        import msgspec

        render.json_line([msgspec.to_builtins(hit) for hit in found.hits])
    elif render.is_terminal():
        from synmem.operations.searching.words import Query

        query = None if text is None else Query(text)
        for hit in found.hits:
            _show(hit, query)
        if not found.hits:
            session.note("nothing found")
    else:
        for hit in found.hits:
            render.fields(hit.conversation_id, str(hit.position), hit.role, hit.content)


def _show(hit: "Hit", query: "Query | None") -> None:
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
    head = render.visible_line(f"{hit.conversation_id}  {hit.position}  {hit.role}{nearness}")
    before = ("..." if first > 0 and hit.content[first - 1] != "\n" else "") + before
    after += "..." if last < (len(hit.content) if stop < 0 else stop) else ""
    if render.colored():
        head = render.styled(head, _HEAD)
        match = render.styled(match, _MATCH) if match else ""
    render.write(f"{head}\n  {before}{match}{after}\n".encode("utf-8", "backslashreplace"))
