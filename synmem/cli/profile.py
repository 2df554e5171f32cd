"""`synmem profile`: the connection profiles of config.toml."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synmem.cli import completing, render
from synmem.cli.run import PARTLY, Session, command
from synmem.errors import ProfileError, ProfileNotFound, Refused, UsageError

if TYPE_CHECKING:
    from synmem.profiles import Config, Profile

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Name the stores that you use: the profiles of config.toml.",
)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", autocompletion=completing.profiles, show_default=False)
]
MaybeNameArgument = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", autocompletion=completing.profiles, show_default=False),
]


# --- looking --------------------------------------------------------------------------------


@app.command("list")
@command
async def list_(session: Session) -> int | None:
    """The profiles: a table, or in a pipe one name a line.

    \b
    Example: synmem profile list --json
    """
    from synmem.profiles import DEFAULT, load, named, names

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
    return PARTLY if broken else None


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
        cells = [
            (row["name"], row.get("backend", "?"), row.get("where", ""), _marks(row))
            for row in rows
        ]
        _columns(("PROFILE", "BACKEND", "WHERE", ""), cells)


def _marks(row: Mapping[str, Any]) -> str:
    return ", ".join(word for word in ("default", "protected", "error") if row.get(word))


def _columns(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    lines = [titles, *(tuple(render.visible_line(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        render.line("  ".join(padded).rstrip())


@app.command("show")
@command
async def show(session: Session, name: MaybeNameArgument = None) -> None:
    """A profile's settings, passwords masked, and where each comes from.

    \b
    Example: synmem profile show prod
    """
    from synmem.profiles import DEFAULT, load

    profile = session.resolve(name)
    settings = {
        "backend": profile.backend,
        **profile.described(),
        "protected": profile.protected,
    }
    origins = {key: profile.origins.get(key, "default") for key in settings}
    if session.json:
        default = load(session.config).default_profile or DEFAULT
        data = _row(profile, default)
        render.json_line({**data, "settings": settings, "origins": origins})
        return
    width = max(map(len, settings))
    for key, value in settings.items():
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        render.line(f"{key.ljust(width)}  {shown}  ({origins[key]})")


@app.command("test")
@command
async def test(session: Session, name: MaybeNameArgument = None) -> None:
    """Open a profile's store, reading only, and list a page of its conversations.

    \b
    Example: synmem profile test prod
    """
    profile = session.resolve(name)
    async with session.open_profile(profile) as store:
        pages = store.conversations()
        count = len(await anext(pages, []))
        complete = not await anext(pages, [])
        where = store.name
    if session.json:
        data = {"name": profile.name, "backend": profile.backend, "ok": True, "where": where}
        render.json_line({**data, "conversations": count, "complete": complete})
        return
    counted = f"{count:,} conversation{'' if count == 1 else 's'}"
    counted = counted if complete else f"more than {counted}"
    render.line(f"ok: {profile.name} ({profile.backend}), {counted}, {where}")


@app.command("path")
@command
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


@app.command("add")
@command
async def add(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="URL|PATH", show_default=False)],
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
    import tomli_w

    values = _values(name, target, settings or [], protected=protected, create=create)
    file = _file(session)
    before = _text(file)
    config = _loaded(file)
    if name in config.profiles:
        raise ProfileError(
            f"there is a profile {name!r} already", hint=f"`synmem profile remove {name}`"
        )
    addition = tomli_w.dumps({"profiles": {name: values}}).encode()
    gap = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
    after = _with_default(before + gap + addition, name) if default else before + gap + addition
    default_name = name if default else config.default_profile
    _check(after, _data(config, default_name, {**config.profiles, name: values}), file)
    _write(file, before, after)
    _say_added(session, config, name, values, file, default=default)


def _values(
    name: str, target: str, settings: list[str], *, protected: bool, create: bool
) -> dict[str, Any]:
    """The profile's table, as it is written: every key known, every value of its type."""
    from synmem import profiles

    if not profiles.is_name(name):
        raise UsageError(
            "a profile's name is made of letters, digits, - and _, and does not end like a file"
        )
    if not profiles.is_address(target):
        raise UsageError(
            f"{target!r} is neither a URL nor a path", hint=f"a file of that name is ./{target}"
        )
    profile = profiles.from_address(target)
    values = {"backend": profile.backend, **_absolute(profile)}
    if profile.protected or protected:
        values["protected"] = True
    given = [*settings, *(["create=true"] if create else [])]
    for item in given:
        key, equals, text = item.partition("=")
        if not equals:
            raise UsageError("--set takes KEY=VALUE")
        kind = {**profiles.KEYS[profile.backend], "protected": bool}.get(key, str)
        value = profiles.from_text(text, kind)
        values[key] = profiles.checked(profile.backend, key, value, "--set")
    profiles.named(name, profiles.Config(Path(), profiles={name: values}))
    return values


def _absolute(profile: "Profile") -> dict[str, Any]:
    """A typed path is written as it is found from any folder; `~` stays."""
    settings = dict(profile.settings)
    for key in {"db_path", "path"} & set(settings):
        if not settings[key].startswith("~"):
            settings[key] = os.path.normpath(Path(settings[key]).absolute())
        # In the file a "${" would be a variable; a path that was typed has none.
        if "${" in settings[key]:
            raise ProfileError("a path with ${ in it cannot stand in a profile")
    return settings


def _say_added(
    session: Session,
    config: "Config",
    name: str,
    values: Mapping[str, Any],
    file: Path,
    *,
    default: bool,
) -> None:
    from synmem.profiles import has_secret

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


@app.command("use")
@command
async def use(session: Session, name: NameArgument) -> None:
    """Make a profile the default; the file's comments stay.

    \b
    Example: synmem profile use local
    """
    from synmem import profiles

    file = _file(session)
    config = _loaded(file)
    profiles.named(name, config)  # which must be there, and whole
    before = _text(file)
    after = _with_default(before, name)
    _check(after, _data(config, name, config.profiles), file)
    _write(file, before, after)
    session.note(f"{name} is the default")
    if session.json:
        render.json_line({"default": name, "file": str(file)})


@app.command("remove")
@command
async def remove(
    session: Session,
    name: NameArgument,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="NAME", help="The name again, if it is protected."),
    ] = None,
) -> None:
    """Remove a profile from config.toml; its store and the file's comments stay.

    \b
    Example: synmem profile remove old
    """
    file = _file(session)
    config = _loaded(file)
    table = config.profiles.get(name)
    if table is None:
        known = ", ".join(config.profiles) or "none"
        raise ProfileNotFound(f"there is no profile {name!r} in {file}", hint=f"there is: {known}")
    if confirm is not None and confirm != name:
        raise Refused(f"--confirm {confirm!r} is not {name!r}: nothing was done")
    if table.get("protected") and confirm is None:
        raise Refused(f"{name} is protected", hint=f"--confirm {name}")
    was_default = config.default_profile == name
    before = _text(file)
    after = _removed(before, name, was_default=was_default)
    kept = {key: value for key, value in config.profiles.items() if key != name}
    _check(after, _data(config, None if was_default else config.default_profile, kept), file)
    _write(file, before, after)
    session.note(f"removed {name}; its store is untouched")
    if was_default:
        session.note("it was the default: now there is none but the built-in one")
    if session.json:
        render.json_line({"removed": name, "was_default": was_default, "file": str(file)})


# --- the file -------------------------------------------------------------------------------


def _file(session: Session) -> Path:
    from synmem import folders

    return folders.config_file() if session.config is None else session.config


def _loaded(file: Path) -> "Config":
    """What the file says; nothing where it is not there yet, even if `--config` names it."""
    from synmem.profiles import Config, load

    try:
        return load(file)
    except ProfileNotFound:
        return Config(file)


def _text(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ProfileError(f"{file}: {error.strerror}") from error


def _with_default(text: bytes, name: str) -> bytes:
    def edit(document: Any) -> None:
        document["default_profile"] = name

    return _edited(text, edit)


def _removed(text: bytes, name: str, *, was_default: bool) -> bytes:
    def edit(document: Any) -> None:
        del document["profiles"][name]

    def edit_default(document: Any) -> None:
        del document["default_profile"]

    after = _edited(text, edit)
    after = _with_comments_kept(text, after)
    return _edited(after, edit_default) if was_default else after


def _edited(text: bytes, edit: Callable[[Any], None]) -> bytes:
    import tomlkit

    document = tomlkit.parse(text.decode("utf-8-sig"))
    edit(document)
    return tomlkit.dumps(document).encode()


def _with_comments_kept(before: bytes, after: bytes) -> bytes:
    """Give back the comments behind a removed table: to a reader they head the next one."""
    same = next(
        (i for i, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]),
        len(after),
    )
    front = before.rfind(b"\n", 0, same) + 1
    back = front + len(before) - len(after)
    if before[back:] != after[front:]:
        return after  # more than one piece went
    lines = before[front:back].splitlines(keepends=True)
    kept: list[bytes] = []
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith(b"#")):
        kept.insert(0, lines.pop())
    if not any(line.strip() for line in kept):
        return after
    return after[:front] + b"".join(kept).lstrip() + after[front:]


def _data(config: "Config", default: str | None, profiles: Mapping[str, Any]) -> dict[str, Any]:
    """What the file must say, as TOML is read."""
    data: dict[str, Any] = dict(config.tables)
    if default is not None:
        data["default_profile"] = default
    if profiles:
        data["profiles"] = profiles
    return data


def _check(text: bytes, wanted: dict[str, Any], file: Path) -> None:
    """ProfileError unless the new text says exactly this, and may hold it."""
    from synmem.profiles import has_secret, parse

    try:
        found = parse(text, file)
    except ProfileError as error:
        raise _unwritable(file) from error
    if not found.get("profiles", True):
        del found["profiles"]
    if found != wanted:
        raise _unwritable(file)
    if file.exists() and os.name == "posix" and file.stat().st_mode & 0o077 and has_secret(found):
        raise ProfileError(
            f"{file} can be read by others, and would hold a password", hint=f"chmod 600 {file}"
        )


def _unwritable(file: Path) -> ProfileError:
    return ProfileError(
        f"{file} is written in a way that cannot be changed safely: nothing was done",
        hint="edit it by hand; each profile is a table [profiles.NAME]",
    )


def _write(file: Path, before: bytes, after: bytes) -> None:
    """The whole file or nothing of it, its mode kept (0600 if it is new), links followed."""
    import tempfile

    file = file.resolve()
    temporary = None
    try:
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o600
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(after)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        if _text(file) != before:
            raise ProfileError(f"{file} was changed meanwhile: nothing was done", hint="run again")
        Path(temporary).replace(file)
    except OSError as error:
        raise ProfileError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
