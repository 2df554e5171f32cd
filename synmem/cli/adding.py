"""Profiles of stores that were found, in config.toml."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synmem.cli import render
from synmem.cli.run import Session
from synmem.errors import ProfileError

if TYPE_CHECKING:
    from synmem.cli.finding import Find
    from synmem.config import Config
    from synmem.profiles import Profile


def add_profiles(session: Session, finds: "Sequence[Find]") -> dict[str, str]:
    """Write a profile for each store that has none yet; the profiles of all, by identity. One that
    cannot be written is named, and not among them."""
    from synmem import folders
    from synmem.cli.app import COMMANDS
    from synmem.config import Edit
    from synmem.places import PLACES
    from synmem.profiles import names

    file = folders.config_file() if session.config is None else session.config
    there = dict(_identities(Edit(file).config))
    for find in finds:
        identity = find.profile.identity
        if identity in there:
            continue
        others = PLACES.keys() - ({find.called} if find.profile.program else set())
        try:
            edit = Edit(file)
            name = _free(find.called, {*names(edit.config), *COMMANDS, *others})
            edit.add(name, _values(find))
        except ProfileError as error:
            render.note(f"{render.visible_line(find.profile.name)}: not added: {error}")
            continue
        there[identity] = name
        session.note(f"added {name}: {render.visible_line(find.profile.where)}")
    return there


def _identities(config: "Config") -> Iterator[tuple[str, str]]:
    """The identity of each profile that is whole, and its name."""
    from synmem.profiles import named, names

    for name in names(config):
        try:
            profile = named(name, config)
            if profile.origins.get("db_path") != "default":
                yield profile.identity, name
        except ProfileError:
            continue


def _free(called: str, taken: Collection[str]) -> str:
    """A profile's name that is not taken: this one, or one with a number behind it."""
    name = re.sub("[^A-Za-z0-9_]+", "-", called).strip("-") or "store"
    numbered = (name if n == 1 else f"{name}-{n}" for n in range(1, len(taken) + 2))
    return next(each for each in numbered if each not in taken)


def _values(find: "Find") -> dict[str, Any]:
    return {"backend": find.profile.backend, **absolute(find.profile)}


def absolute(profile: "Profile") -> dict[str, Any]:
    """A typed path is written as it is found from any folder; `~` stays."""
    settings = dict(profile.settings)
    for key in {"db_path", "path"} & set(settings):
        if not settings[key].startswith("~"):
            settings[key] = os.path.normpath(Path(settings[key]).absolute())
        # In the file a "${" would be a variable; a path that was typed has none.
        if "${" in settings[key]:
            raise ProfileError("a path with ${ in it cannot stand in a profile")
    return settings
