"""`synmem search`: the messages that hold every word, or those nearest in meaning."""

from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.searching import Results, Sought
from synmem.cli.several import Sources, sources_of
from synmem.cli.words import count
from synmem.errors import UsageError

if TYPE_CHECKING:
    from synmem.operations.searching.search import Hit
    from synmem.operations.searching.wanted import Wanted

QueryArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="QUERY",
        help="Words, all of which must be there; a phrase: '\"like this\"'; how a word begins: "
        "'pgb*'; with --semantic any text.",
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
RoleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--role", "-r", metavar="ROLE",
        help="Only of this role (title: titles alone); may be repeated.",
    ),
]  # fmt: skip
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="At this time or later: 2h, 2026-11-21."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Before this time.")
]
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


@command("layout", "branches", "everywhere", "servers", store_first=True)
async def search(
    session: Session,
    query: QueryArgument = None,
    conversation: ConversationOption = None,
    role: RoleOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    k: CountOption = 5,
    semantic: SemanticOption = False,
    rebuild: RebuildOption = False,
    forget: ForgetOption = False,
) -> int | None:
    """Find messages by their words. Words are whole, whatever their case and accents; 'pgb*' is
    each that begins so. Names of tools are searched too, and titles of conversations.

    The best come first. In a pipe a line for each: conversation, position, role and content, tabs
    between them; inside of them a tab, newline or backslash is escaped, as C does it. Where a title
    has all the words, the role is title, the content the title, and the position 1.

    With --semantic, those nearest in meaning. The first search takes the whole store in, later
    ones what is new. Offline, unless [embedding] in the configuration names a server.

    Of several stores (-p more than once, or --everywhere) the best of all come first, each with the
    store that it is in. With --everywhere meanings are always sought offline.

    Redis, MongoDB and DynamoDB do not tell what another program has changed in the middle of a
    conversation since it was indexed: --rebuild takes all in anew. SQLite, PostgreSQL and files do.

    \b
    synmem search 'redis cluster'
    synmem search '"hash tag" redis' --conversation user-1 -k 20
    synmem search 'pgb*' --role assistant --since 30d
    synmem search --semantic 'why was the customer angry?'
    synmem search --semantic refund --rebuild
    synmem search --everywhere 'stripe webhook'
    """
    several = sources_of(session)
    if forget:
        return _forget(session, several, query)
    if query is None:
        hint = f"`{session.typing('search', 'WORDS')}`"
        raise UsageError("what is to be looked for?", hint=hint)
    wanted = _wanted(role, since, until)
    near = _is_seen(session) and not session.quiet
    sought = Sought(query, conversation, k, semantic, rebuild, wanted, near)
    sought.check()
    found = await _found(session, sought, several)
    _print(session, sought, found)
    if found.untimed:
        session.note(f"left out {count(found.untimed, 'message')} without a time")
    if not session.typed:
        session.tell_file(
            query, "was looked for as words, and is a file, too", "looks in it", "WORDS"
        )
    return PARTLY if found.partly else None


def _is_seen(session: Session) -> bool:
    """Whether a person looks at what is found."""
    return render.is_terminal() and not session.json


def _wanted(role: list[str] | None, since: str | None, until: str | None) -> "Wanted":
    from synmem.cli.times import optional_moment
    from synmem.operations.searching.wanted import Wanted

    return Wanted(
        role or (),
        optional_moment(since, option="--since"),
        optional_moment(until, option="--until"),
    )


async def _found(session: Session, sought: Sought, several: Sources | None) -> Results:
    """What was found. Words are indexed before a person's eyes, where that takes long."""
    from synmem.cli.progress import progress

    quiet = session.quiet or sought.semantic  # by meaning, each store has a bar of its own
    with progress("Indexing messages", quiet=quiet) as sought.bar:
        if several is not None:
            return await sought.found_in(session, several)
        return await sought.found_alone(session)


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


def _print(session: Session, sought: Sought, found: Results) -> None:
    if session.json:
        render.json_line([_object(store, hit) for store, hit in found.hits])
    elif _is_seen(session):
        from synmem.cli.found import show_hits
        from synmem.operations.searching.words import Query

        show_hits(session, found, None if sought.semantic else Query(sought.query), sought.k)
        return
    else:
        for store, hit in found.hits:
            whose = [] if store is None else [store]
            render.fields(*whose, hit.conversation_id, str(hit.position), hit.role, hit.content)
    if session.verbose and found.total is not None:
        session.note(f"{len(found.hits):,} of {found.total:,}")


def _object(store: str | None, hit: "Hit") -> dict[str, object]:
    """A hit as --json prints it."""
    import msgspec

    from synmem.messages import format_time

    at = None if hit.created_at is None else format_time(hit.created_at)
    whose = {} if store is None else {"store": store}
    return whose | msgspec.structs.asdict(hit) | {"created_at": at}
