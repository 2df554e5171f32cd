"""`synmem discover`: which stores there are on this machine."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from synmem.cli import render
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.words import size
from synmem.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from synmem.cli.finding import Find
    from synmem.operations.discovering.look import Seen, Spot


FoldersArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FOLDER", show_default=False,
        help="Look below these instead: files, and folders of sessions.",
    ),
]  # fmt: skip
MaxOption = Annotated[
    int, typer.Option("--max", metavar="N", help="Of a FOLDER, look at so many entries at most.")
]
AddOption = Annotated[bool, typer.Option("--add", help="Write a profile for each.")]


@command()
async def discover(
    session: Session,
    folders: FoldersArgument = None,
    most: MaxOption = 200_000,
    add: AddOption = False,
) -> int | None:
    """Find the conversations that other programs keep here.

    Each is listed with its layout, conversations, messages, size and last use. Its name is what -p
    takes. Nothing is opened for writing, and nothing leaves the machine. In a pipe a line for each,
    with tabs between.

    Below a FOLDER: databases, exports and session folders of all layouts, and our own; no link is
    followed, and .git, node_modules and the like are passed over.

    \b
    synmem discover
    synmem discover ~/Downloads /mnt/backup/home --add
    """
    if most < 1:
        raise UsageError("--max is 1 or more")
    from synmem.cli.progress import progress

    with progress("Looking at stores", quiet=session.quiet) as bar:
        finds = await _finds(session, folders, most)
        bar.expect(len(finds))
        found = await _look(session, finds, bar.advance)
    profiles = _add(session, found) if add else {}
    _print(session, found, profiles)
    _tell_more(session, found, below=bool(folders))
    lacking = add and any(_profile(find, profiles) is None for find, each in found if each.total)
    return PARTLY if _name_broken(found) or lacking else None


def _tell_more(session: Session, found: "Sequence[tuple[Find, Seen]]", *, below: bool) -> None:
    """What can be done with it, for a person."""
    if not found:
        below_one = "" if below else "; `synmem discover FOLDER` looks below a folder"
        session.note(f"nothing found{below_one}")
    elif render.is_terminal() and not session.json:
        import shlex

        name = shlex.quote(found[0][0].profile.name)
        more = "--add writes profiles" if below else "`synmem search --everywhere` finds in all"
        session.note(f"`synmem ls -p {name}` lists one; {more}")


async def _finds(session: Session, folders: Sequence[str] | None, most: int) -> "list[Find]":
    from synmem.cli.finding import Find

    if folders and _is_store(session, folders):
        session.at(folders[0])
        folders = None
    if session.typed:
        if folders:
            raise UsageError("-p and FOLDER", hint="one of the two")
        profile = session.resolve()
        if profile.file is None:
            raise UsageError("discover looks at files, not at servers", hint="synmem stats -p NAME")
        return [Find(profile, profile.name)]
    return await _below(session, folders, most) if folders else _known(session)


def _is_store(session: Session, folders: Sequence[str]) -> bool:
    """Whether that is a store, and no folder: a URL, or a name of which nothing is here."""
    from synmem.addresses import status
    from synmem.cli.meant import is_store

    one = folders[0]
    if len(folders) > 1 or status(Path(one)) is not None:
        return False
    return "://" in one or ("/" not in one and is_store(one, session.config))


def _known(session: Session) -> "list[Find]":
    from synmem.cli.finding import known_places

    known = known_places()
    for path in known.older:
        session.note(f"left out, since a newer one is there: {render.visible_line(str(path))}")
    return known.finds


async def _below(session: Session, folders: Sequence[str], most: int) -> "list[Find]":
    """What is below these folders, each store once."""
    from synmem.cli.finding import below, known_places

    known = known_places()
    finds: dict[str, Find] = {}
    for folder in folders:
        there = await below(Path(folder), most, known)
        for find in there.finds:
            finds.setdefault(_key(find), find)
        if there.is_cut:
            where = render.visible_line(folder)
            session.note(f"{where}: {most:,} entries were looked at, no more (--max N)")
    return sorted(finds.values(), key=lambda find: find.profile.name)


async def _look(
    session: Session, finds: "Sequence[Find]", heard: "Callable[[], object]"
) -> "list[tuple[Find, Seen]]":
    """What there is in each; what is none after all is left out."""
    from synmem import __version__
    from synmem.errors import UnknownLayout
    from synmem.operations.discovering.look import look
    from synmem.operations.discovering.totals import Remembered

    spots = [_spot(session, find) for find in finds]
    seen = await look(spots, Remembered(__version__), heard)
    return [
        (find, each)
        for find, each in zip(finds, seen, strict=True)
        if not (find.may_be and isinstance(each.error, UnknownLayout))
    ]


def _key(find: "Find") -> str:
    """What a store is remembered by."""
    return f"{find.profile.identity} {find.profile.settings.get('layout', '')}"


def _spot(session: Session, find: "Find") -> "Spot":
    from synmem.operations.discovering.look import Spot

    profile = find.profile
    assert profile.file is not None
    return Spot(_key(find), profile.file, find.holds, lambda: session.open_profile(profile))


def _add(session: Session, found: "Sequence[tuple[Find, Seen]]") -> dict[str, str]:
    from synmem.cli.adding import add_profiles

    return add_profiles(session, [find for find, seen in found if seen.total is not None])


def _profile(find: "Find", profiles: "Mapping[str, str]") -> str | None:
    return profiles.get(find.profile.identity)


# --- printing -------------------------------------------------------------------------------


def _print(
    session: Session, found: "Sequence[tuple[Find, Seen]]", profiles: "Mapping[str, str]"
) -> None:
    """`profiles`: those that were written, or were there, by identity."""
    if session.json:
        named = [{"profile": _profile(find, profiles)} if profiles else {} for find, _ in found]
        every = [_as_dict(*each) for each in found]
        render.json_line([a | b for a, b in zip(every, named, strict=True)])
    elif render.is_terminal():
        _table(found)
    else:
        for each in found:
            data = _as_dict(*each)
            if "error" not in data:
                data.pop("path")
                render.fields(*("" if value is None else str(value) for value in data.values()))


_NAME: Final = 42
"""So much of a name, which is a path below a FOLDER, stands before the size does."""


def _table(found: "Sequence[tuple[Find, Seen]]") -> None:
    """As many columns as the terminal has room for; the name and the numbers stay."""
    from synmem.cli.screen.styles import BAD, DIM
    from synmem.cli.screen.tables import Column, show_table

    columns = [
        Column("store", least=_NAME, middle=True),
        Column("layout", least=12, goes=5, style=DIM),
        Column("conversations", right=True),
        Column("messages", right=True, goes=1),
        Column("size", right=True, goes=4),
        Column("last used", goes=3, style=DIM),
        Column("path", least=20, middle=True, goes=6, style=DIM),
    ]
    places = _places(found)
    rows = [(*_cells(*each), where) for each, where in zip(found, places, strict=True)]
    broken = [{2: BAD} if seen.total is None else {} for _, seen in found]
    show_table(columns, rows, styles=broken)


def _places(found: "Sequence[tuple[Find, Seen]]") -> list[str]:
    """Where each is, if its name does not say it; below the home folder from ~ on."""
    home = str(Path.home())
    places = []
    for find, _ in found:
        name, path = find.profile.name, str(find.profile.file)
        if str(Path(name.partition("?")[0]).absolute()) == str(Path(path).absolute()):
            path = ""
        below = path.startswith(f"{home}/")
        places.append(f"~{path.removeprefix(home)}" if below else path)
    return places


def _as_dict(find: "Find", seen: "Seen") -> dict[str, Any]:
    from synmem.messages import format_time

    data: dict[str, Any] = {
        "store": find.profile.name,
        "layout": find.profile.settings.get("layout"),
        "conversations": None,
        "messages": None,
        "bytes": seen.footprint.size,
        "last_at": None,
        "path": str(find.profile.file),
    }
    if seen.total is None:
        return {**data, "error": str(seen.error)}
    total = seen.total
    last_at = _last_use(seen)
    return data | {
        "layout": total.layout or data["layout"],
        "conversations": total.conversations,
        "messages": total.messages,
        "last_at": format_time(last_at) if last_at else None,
    }


def _last_use(seen: "Seen") -> "datetime | None":
    """When the last message was; where messages have no times, when the file was last written."""
    from datetime import UTC, datetime

    if seen.total is not None and (seen.total.last_at or not seen.total.conversations):
        return seen.total.last_at
    written = seen.footprint.written
    return None if written is None else datetime.fromtimestamp(written, UTC)


def _cells(find: "Find", seen: "Seen") -> tuple[str, ...]:
    from synmem.cli.times import ago

    data = _as_dict(find, seen)
    counts = (data["conversations"], data["messages"])
    counted = ["" if number is None else f"{number:,}" for number in counts]
    if seen.total is None:
        counted[0] = "unreadable"
    last = ago(_last_use(seen))
    return (data["store"], data["layout"] or "", *counted, size(data["bytes"]), last)


def _name_broken(found: "Sequence[tuple[Find, Seen]]") -> bool:
    """Whether something cannot be read: named, with what tells more."""
    broken = False
    for find, each in found:
        name = render.visible_line(find.profile.name)
        if each.error is not None:
            render.note_error(f"{name}: cannot be read", each.error)
        elif each.total is not None and each.total.unreadable:
            from synmem.cli.words import count

            what = count(each.total.unreadable, "conversation")
            render.note(f"{name}: {what} cannot be read in part (`synmem ls -p {name}` names them)")
        else:
            continue
        broken = True
    return broken
