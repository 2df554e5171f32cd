"""`synmem search`: the messages that hold every word."""

from typing import TYPE_CHECKING, Annotated

import typer

from synmem.cli import completing, render
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import StoreNotFound, UsageError

if TYPE_CHECKING:
    from synmem.operations.search import Found, Hit
    from synmem.operations.words import Query

QueryArgument = Annotated[
    str,
    typer.Argument(
        metavar="QUERY", help="Words, all of which must be there; or a phrase: '\"like this\"'."
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

_AROUND = 70  # characters of a snippet before and after the match
_MATCH, _HEAD = "1;31", "35"
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


@command
async def search(
    session: Session,
    query: QueryArgument,
    conversation: ConversationOption = None,
    k: CountOption = 5,
) -> int | None:
    """Find messages by their words. Words are whole, whatever their case and accents.

    The best come first. In a pipe a line for each: conversation, position, role and content, tabs
    between them; inside of them a tab, newline or backslash is escaped, as C does it.

    \b
    synmem search 'redis cluster'
    synmem search '"hash tag" redis' --conversation user-1 -k 20
    """
    if k < 1:
        raise UsageError("-k must be >= 1")
    found = await _found(session, query, conversation, k)
    _print(session, found, query)
    for each in found.unreadable:
        where = f"{each.conversation_id}, message {each.position}"
        render.note(f"{render.visible_line(where)} cannot be read: {each.reason}")
    return PARTLY if found.unreadable else None


async def _found(session: Session, query: str, conversation: str | None, k: int) -> "Found":
    from synmem.operations.derived import index_file
    from synmem.operations.search import Found, search
    from synmem.operations.words import Query

    Query(query)  # a query without words is told before any store is opened
    profile = session.resolve()
    index = index_file(profile.identity)
    try:
        async with session.open_profile(profile) as store:
            return await search(
                store, query, conversation=conversation, k=k, index=index, note=session.note
            )
    except StoreNotFound:
        # The default store is made by the first `add`: until then it is simply empty.
        if conversation is not None or profile.origins.get("db_path") != "default":
            raise
        return Found([], [])


def _print(session: Session, found: "Found", text: str) -> None:
    if session.json:
        import msgspec

        render.json_line([msgspec.to_builtins(hit) for hit in found.hits])
    elif render.is_terminal():
        from synmem.operations.words import Query

        query = Query(text)
        for hit in found.hits:
            _show(hit, query)
        if not found.hits:
            session.note("nothing found")
    else:
        for hit in found.hits:
            fields = (hit.conversation_id, str(hit.position), hit.role, hit.content)
            render.line("\t".join(field.translate(_ESCAPES) for field in fields))


def _show(hit: "Hit", query: "Query") -> None:
    """Where it stands, and the line around the match: for a person."""
    from synmem.operations.words import find

    start, end = find(hit.content, query)
    first = max(hit.content.rfind("\n", 0, start) + 1, start - _AROUND)
    stop = hit.content.find("\n", end)
    last = min(len(hit.content) if stop < 0 else stop, end + _AROUND)
    before, match, after = (
        render.visible_line(hit.content[slice(*part)])
        for part in ((first, start), (start, end), (end, last))
    )
    head = render.visible_line(f"{hit.conversation_id}  {hit.position}  {hit.role}")
    before = ("..." if first > 0 and hit.content[first - 1] != "\n" else "") + before
    after += "..." if last < (len(hit.content) if stop < 0 else stop) else ""
    if render.colored():
        head, match = render.styled(head, _HEAD), render.styled(match, _MATCH)
    render.write(f"{head}\n  {before}{match}{after}\n".encode("utf-8", "backslashreplace"))
