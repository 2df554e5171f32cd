"""`synmem profile`: the connection profiles of config.toml."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synmem.cli import completing, render
from synmem.cli.run import PARTLY, Session, command
from synmem.cli.usage import Command, Group
from synmem.errors import ProfileError, ProfileNotFound, Refused, StoreNotFound, UsageError

if TYPE_CHECKING:
    from synmem.config import Config
    from synmem.profiles import Profile
    from synmem.store import Store

_LOOKED_INTO, _LOOKED_AT = 20, 50
"""Of so many conversations `profile test` reads so many messages, the first."""

app = typer.Typer(
    cls=Group,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Name the stores that you use. They are the profiles of config.toml.",
)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", autocompletion=completing.profiles, show_default=False)
]
MaybeNameArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME", autocompletion=completing.profiles, show_default=False),
]


# --- looking --------------------------------------------------------------------------------


@app.command("list", cls=Command)
@command()
async def list_(session: Session) -> int | None:
    """The profiles: a table, or in a pipe one name a line.

    \b
    Example: synmem profile list --json
    """
    from synmem.config import load
    from synmem.profiles import DEFAULT, named, names

    config = load(session.config)
    default = config.default_profile or DEFAULT
    rows, broken = [], False
    for name in names(config):
        try:
            rows.append(_row(named(name, config), default))
        except ProfileError as error:
            broken = True
            rows.append({"name": name, "error": str(error)})
            render.note(f"synmem: {error}")
    _show_rows(session, rows)
    for row in rows:
        _warn_of_name(session, row["name"])
    return PARTLY if broken else None


def _warn_of_name(session: Session, name: str) -> None:
    """Say where a profile, as older versions made it, is called like a command."""
    from synmem.cli.commands import COMMANDS

    if name in COMMANDS:
        session.note(
            f"{name} is a command's name too: `synmem {name}` is that, -p {name} the store"
        )


def _row(profile: "Profile", default: str) -> dict[str, Any]:
    return {
        "name": profile.name,
        "backend": profile.backend,
        "default": profile.name == default,
        "protected": profile.protected,
        "where": profile.where,
    }


def _show_rows(session: Session, rows: list[dict[str, Any]]) -> None:
    if session.json:
        render.json_line(rows)
    elif not render.is_terminal():
        for row in rows:
            render.line(row["name"])
    else:
        _table(rows)


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    from synmem.cli.screen.styles import BAD, DIM, STRONG
    from synmem.cli.screen.tables import Column, show_table

    columns = [
        Column(""),
        Column("profile", least=10, middle=True),
        Column("backend", goes=2, style=DIM),
        Column("where", least=20, middle=True),
        Column("protected", goes=1, style=DIM),
    ]
    cells = [
        (
            "*" if row.get("default") else "",
            row["name"],
            row.get("backend", ""),
            row.get("where") or f"broken: {row.get('error', '')}",
            "protected" if row.get("protected") else "",
        )
        for row in rows
    ]
    styles = [
        {1: STRONG} if row.get("default") else {3: BAD} if "error" in row else {} for row in rows
    ]
    show_table(columns, cells, styles=styles)


@app.command("show", cls=Command)
@command()
async def show(session: Session, name: MaybeNameArgument = None) -> None:
    """A profile's settings, passwords masked, and where each comes from.

    \b
    Example: synmem profile show prod
    """
    from synmem.config import load
    from synmem.profiles import DEFAULT

    profile = session.resolve(name)
    _warn_of_name(session, profile.name)
    settings = {
        "backend": profile.backend,
        **profile.described(),
        "protected": profile.protected,
        **({} if profile.everywhere else {"everywhere": False}),
    }
    origins = {key: profile.origins.get(key, "default") for key in settings}
    if session.json:
        default = load(session.config).default_profile or DEFAULT
        data = _row(profile, default)
        render.json_line({**data, "settings": settings, "origins": origins})
        return
    shown = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in settings.items()
    }
    if render.is_terminal():
        _draw([(key, value, f"({origins[key]})") for key, value in shown.items()])
        return
    width = max(map(len, settings))
    for key, value in shown.items():
        render.line(f"{key.ljust(width)}  {value}  ({origins[key]})")


def _draw(rows: Sequence[tuple[str, str, str]]) -> None:
    """Keys and their values, aligned; a value that is long goes on below itself, whole."""
    from synmem.cli.screen.columns import cells, folded, prose_width
    from synmem.cli.screen.styles import DIM, painted

    wide = max(len(key) for key, _, _ in rows)
    room = prose_width() - wide - 2
    for key, value, beside in rows:
        first, *more = folded(render.visible_line(value), room)
        fits = not more and cells(first) + 2 + cells(beside) <= room
        lines = [first + (f"  {painted(beside, DIM)}" if beside and fits else ""), *more]
        lines += [painted(beside, DIM)] if beside and not fits else []
        for number, text in enumerate(lines):
            head = painted(key.ljust(wide), DIM) if number == 0 else " " * wide
            render.write(f"{head}  {text}\n".encode("utf-8", "backslashreplace"))


@app.command("test", cls=Command)
@command("layout", "branches")
async def test(session: Session, name: MaybeNameArgument = None) -> int | None:
    """Open a profile's store. It is only read: a page of it is listed, and of 20 conversations the
    first 50 messages are read. `check` reads all.

    \b
    Example: synmem profile test prod
    """
    from synmem.cli.damage import name_strays
    from synmem.store import ConversationInfo, SupportsRemark

    profile = session.resolve(name)
    unreadable: list[str] = []
    strays = False
    try:
        async with session.open_profile(profile) as store:
            pages = store.conversations()
            page = await anext(pages, list[ConversationInfo]())
            count, complete = len(page), not await anext(pages, [])
            where = store.name
            remark = store.remark() if isinstance(store, SupportsRemark) else None
            unreadable = await _unreadable(store, [info.id for info in page[:_LOOKED_INTO]])
            strays = await name_strays(store, quiet=session.quiet)
            await session.tell_others(store)
    except StoreNotFound:
        if profile.origins.get("db_path") == "default" or not session.nothing_yet(profile):
            raise
        count, complete, where, remark = 0, True, profile.where, "nothing there yet"
    if session.json:
        data = {"name": profile.name, "backend": profile.backend, "ok": True, "where": where}
        data |= {"conversations": count, "complete": complete}
        data |= {} if remark is None else {"remark": remark}
        render.json_line(data | ({"unreadable": unreadable} if unreadable else {}))
    else:
        counted = f"{count:,} conversation{'' if count == 1 else 's'}"
        counted = counted if complete else f"more than {counted}"
        if render.is_terminal():
            found = {"ok": profile.name, "backend": profile.backend, "where": where}
            found |= {"holds": counted} | ({"remark": remark} if remark is not None else {})
            _draw([(key, value, "") for key, value in found.items()])
        else:
            also = "" if remark is None else f", {remark}"
            render.line(f"ok: {profile.name} ({profile.backend}), {counted}, {where}{also}")
    for each in unreadable:
        render.note(f"unreadable: {render.visible_line(each)}")
    return PARTLY if unreadable or strays else None


async def _unreadable(store: "Store", conversations: Sequence[str]) -> list[str]:
    """What of the first messages of these conversations cannot be read, and why."""
    from synmem.messages import Unreadable

    return [
        f"{page.conversation}: {item.reason}"
        async for page in store.read(conversations, limit=_LOOKED_AT)
        for item in page.items
        if isinstance(item, Unreadable)
    ]


@app.command("path", cls=Command)
@command()
async def path(session: Session) -> None:
    """Where the configuration file is, or would be.

    \b
    Example: $EDITOR "$(synmem profile path)"
    """
    file = _file(session)
    if session.json:
        render.json_line({"path": str(file), "exists": file.exists()})
    else:
        render.line(str(file))


# --- changing -------------------------------------------------------------------------------


@app.command("add", cls=Command)
@command()
async def add(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What to call it.", show_default=False)
    ],
    target: Annotated[
        str, typer.Argument(metavar="URL|PATH", help="Where the store is.", show_default=False)
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the backend's; repeatable."),
    ] = None,
    protected: Annotated[
        bool, typer.Option("--protected", help="Destructive commands ask for its name.")
    ] = False,
    create: Annotated[
        bool, typer.Option("--create", help="DynamoDB: make the table when it is missing.")
    ] = False,
    default: Annotated[bool, typer.Option("--default", help="Make it the default.")] = False,
) -> None:
    """Add a profile to config.toml; what stands there is not touched.

    \b
    Examples:
      synmem profile add local ~/chat.db --default
      synmem profile add prod 'postgresql://app:${PGPASSWORD}@db/chat' --protected
    """
    from synmem.config import Edit

    values = _values(name, target, settings or [], protected=protected, create=create)
    edit = Edit(_file(session))
    edit.add(name, values, default=default)
    _say_added(session, edit.config, name, values, default=default)


def _values(
    name: str, target: str, settings: list[str], *, protected: bool, create: bool
) -> dict[str, Any]:
    """The profile's table, as it is written: every key known, every value of its type."""
    from synmem import profiles
    from synmem.cli.adding import absolute
    from synmem.cli.commands import COMMANDS
    from synmem.config import Config
    from synmem.settings import checked, from_text, kinds

    if not profiles.is_name(name):
        raise UsageError(
            "a profile's name is made of letters, digits, - and _, and does not end like a file"
        )
    if name in COMMANDS:
        raise UsageError(f"{name} is a command's name", hint="call the profile something else")
    if not profiles.is_address(target):
        raise UsageError(
            f"{target!r} is neither a URL nor a path", hint=f"a file of that name is ./{target}"
        )
    profile = profiles.from_address(target)
    values = {"backend": profile.backend, **absolute(profile)}
    if profile.protected or protected:
        values["protected"] = True
    if create:
        values["create"] = checked(profile.backend, "create", True, "--create")
    for item in settings:
        key, equals, text = item.partition("=")
        if not equals:
            raise UsageError("--set takes KEY=VALUE")
        value = from_text(text, kinds(profile.backend).get(key, str))
        values[key] = checked(profile.backend, key, value, "--set")
    profiles.named(name, Config(Path(), profiles={name: values}))
    return values


def _say_added(
    session: Session,
    config: "Config",
    name: str,
    values: Mapping[str, Any],
    *,
    default: bool,
) -> None:
    from synmem.config import has_secret

    file = config.file
    session.note(f"added {name} to {file}" + (", as the default" if default else ""))
    if not default and not config.profiles and config.default_profile is None:
        session.note(f"`synmem profile use {name}` makes it the default")
    if has_secret(values):
        session.note(
            "its password stands in that file; a variable, ${NAME}, or --set "
            "password_command=... keeps it out"
        )
    if session.json:
        from synmem.masking import mask_settings

        render.json_line({"name": name, "settings": mask_settings(values), "file": str(file)})


@app.command("use", cls=Command)
@command()
async def use(session: Session, name: NameArgument) -> None:
    """Make a profile the default; the file's comments stay.

    \b
    Example: synmem profile use local
    """
    from synmem.config import Edit
    from synmem.profiles import named

    edit = Edit(_file(session))
    named(name, edit.config)  # which must be there, and whole
    edit.use(name)
    session.note(f"{name} is the default")
    if session.json:
        render.json_line({"default": name, "file": str(edit.config.file)})


@app.command("remove", cls=Command)
@command()
async def remove(
    session: Session,
    name: NameArgument,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="NAME", help="The name again, if it is protected."),
    ] = None,
) -> None:
    """Remove a profile from config.toml. Its store and the file's comments stay.

    \b
    Example: synmem profile remove old
    """
    from synmem.config import Edit

    file = _file(session)
    edit = Edit(file)
    config = edit.config
    table = config.profiles.get(name)
    if table is None:
        known = ", ".join(config.profiles) or "none"
        raise ProfileNotFound(f"there is no profile {name!r} in {file}", hint=f"there are: {known}")
    if confirm is not None and confirm != name:
        raise Refused(f"--confirm {confirm!r} is not {name!r}: nothing was done")
    if table.get("protected") and confirm is None:
        raise Refused(f"{name} is protected", hint=f"--confirm {name}")
    was_default = config.default_profile == name
    edit.remove(name)
    session.note(f"removed {name}; its store is untouched")
    if was_default:
        session.note("it was the default: now there is none but the built-in one")
    if session.json:
        render.json_line({"removed": name, "was_default": was_default, "file": str(file)})


def _file(session: Session) -> Path:
    from synmem import folders

    return folders.config_file() if session.config is None else session.config
