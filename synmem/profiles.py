"""Where a store is: a profile of config.toml, a URL or a path, each made a `Profile`.

A bare word is always a name: a profile's, or else that of a place where a known program keeps its
conversations, which is only read. For each key the first that is set counts: the URL itself,
SYNMEM_PROFILE_<NAME>_<KEY>, config.toml, the default. Nothing here opens a store.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from synmem import addresses, folders
from synmem.addresses import check_scheme, home, hosts_and_path, is_address, without_own
from synmem.backends import BACKENDS
from synmem.config import Config, load
from synmem.errors import Emptied, ProfileError, ProfileNotFound, StoreNotFound, UsageError
from synmem.masking import mask, mask_settings, mask_with, userinfo_end, with_password
from synmem.settings import (
    KEYS,
    OF_PROFILE,
    PATH_KEYS,
    PLACE,
    URL_KEYS,
    checked,
    from_environment,
    kinds,
    known,
    variable,
)
from synmem.variables import expanded, first_line_of

if TYPE_CHECKING:
    from synmem.places import Found

__all__ = ["KEYS", "PLACE", "Config", "Profile", "is_address", "is_name", "load", "named", "names",
           "resolve"]  # fmt: skip

_WITHIN: Final = ("prefix", "schema", "table", "db_name", "collection_name")
"""Where on a server the store is, beside its URL."""

_NAMED: Final = 10
"""So many of a program's places are named, where one must be chosen."""

DEFAULT: Final = "default"
"""The name of the profile that there is without any configuration."""


class Profile(msgspec.Struct, frozen=True):
    """A store that can be opened: its backend and settings as they were written.

    `name` is what output calls it: the profile's, or the last part of a path, or a URL's
    database or host. `origins` says for each key where it comes from: `flag`, `env`, `config`,
    `place` or `default`. Unless `everywhere`, a search through all that there is leaves it out.
    `program` is the known one whose place it is: that is only read.
    """

    name: str
    backend: str
    settings: dict[str, Any]
    protected: bool = False
    origins: dict[str, str] = msgspec.field(default_factory=dict)
    program: str | None = None
    everywhere: bool = True

    @property
    def is_only_read(self) -> bool:
        """Whether nothing can be added: a known program's own, or files."""
        return self.program is not None or self.backend == "file"

    def connection(self) -> dict[str, Any]:
        """The settings to open it with: variables and `~` expanded, the password in the URL.

        Runs `password_command`. ProfileError where a variable is not set or the command fails.
        """
        settings = self._expanded()
        password = settings.pop("password", None)
        command = settings.pop("password_command", None)
        if password is None and command is not None:
            password = first_line_of(command, f"password_command of {self.name!r}")
        if password is not None:
            place = PLACE[self.backend]
            settings[place] = with_password(settings[place], password)
        return settings

    def given(self, **settings: Any) -> "Profile":
        """The same with these settings, as a flag gives them; those that are None are not given.
        ProfileError where the backend has no such key."""
        given = {
            key: checked(self.backend, key, value, f"--{key}")
            for key, value in settings.items()
            if value is not None
        }
        if not given:
            return self
        return msgspec.structs.replace(
            self,
            settings=self.settings | given,
            origins=self.origins | dict.fromkeys(given, "flag"),
        )

    @property
    def identity(self) -> str:
        """What tells this store from every other, without user, password and variables.

        Two names of one file have one identity, whether its layout is named or not; a table that is
        named is a store of its own. Notes and backups are filed under it.
        """
        settings = self._expanded()
        if self.file is not None:
            parts = [f"table={settings['table']}"] if "table" in settings else []
            return " ".join([f"{self.backend}:{self.file.resolve()}", *parts])
        place = settings.get(PLACE.get(self.backend, ""), "")
        if PLACE.get(self.backend) in URL_KEYS:
            place = hosts_and_path(place)
        inner = (*_WITHIN, "region", "endpoint_url")
        parts = [f"{key}={mask(settings[key])}" for key in inner if key in settings]
        return " ".join([f"{self.backend}:{place}", *parts])

    def covers(self, identity: str, layout: str | None = None) -> bool:
        """Whether this is the store of that identity, or the place in which it is a table; or a
        table of that layout, in the place of that identity."""
        own = self.identity
        if identity == own or identity.startswith(f"{own} table="):
            return True
        is_alike = layout is not None and layout == self.settings.get("layout")
        return is_alike and own.startswith(f"{identity} table=")

    @property
    def file(self) -> Path | None:
        """The file that the store lies in, whether it is there or not; None where it is none."""
        if self.backend not in ("sqlite", "file"):
            return None
        return Path(self._expanded()[PLACE[self.backend]])

    @property
    def where(self) -> str:
        """The path or URL, masked, with the prefix, table or collection that is set; for people."""
        if self.backend == "dynamodb":
            url = f"dynamodb://{self.settings.get('region', '')}/{self.settings['table_name']}"
            endpoint = self.settings.get("endpoint_url")
            return f"{url} at {mask(endpoint)}" if endpoint else url
        place = self.settings.get(PLACE.get(self.backend, ""), "memory:")
        return mask_with(place, self.settings, *_WITHIN)

    def described(self) -> dict[str, Any]:
        """The settings, masked."""
        return mask_settings(self.settings)

    def _expanded(self) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for key, value in self.settings.items():
            # A path that was typed was expanded by the shell: what is left is its own.
            typed = key in PATH_KEYS and self.origins.get(key) in ("flag", "place")
            if isinstance(value, str) and key != "password_command" and not typed:
                value = _expand(value, self.name, key)
            settings[key] = home(value) if key in PATH_KEYS else value
        if PLACE.get(self.backend) in URL_KEYS:
            place = PLACE[self.backend]
            check_scheme(self.backend, settings[place], self.name)
            url, own = without_own(self.backend, settings[place])
            own = {key: value for key, value in own.items() if key not in OF_PROFILE}
            settings = {**own, **settings, place: url}  # of the profile: decided before
        return settings


# --- a target -> a profile ------------------------------------------------------------------


def resolve(target: str | None, config: Path | None = None) -> Profile:
    """The profile that a name, URL or path stands for; without one, the default profile."""
    if target is not None and is_address(target):
        return from_address(target)
    loaded = load(config)
    if target is None:
        return named(loaded.default_profile or DEFAULT, loaded)
    return named(target, loaded)


def from_address(target: str) -> Profile:
    """The profile that a URL or a path stands for."""
    name, backend, settings = addresses.parse(target)
    origins = dict.fromkeys(["backend", *settings], "flag")
    return _made(name, backend, settings, origins)


def is_name(text: str) -> bool:
    """Whether a profile may be called so: not every word can be told from a path or a URL."""
    return re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]*", text) is not None and not is_address(text)


def named(name: str, config: Config) -> Profile:
    """The profile of that name, of the file and the environment together; else what is at the
    place of that name."""
    table = config.profiles.get(name)
    backend = variable(f"{_variables(name)}BACKEND") or (table or {}).get("backend")
    if table is None and backend is None:
        if name != DEFAULT:
            return _at_place(name, config)
        backend = "sqlite"
    if backend not in BACKENDS:
        what = "names no backend" if backend is None else "names a backend that there is not"
        raise ProfileError(f"profile {name!r} {what}", hint=known(BACKENDS))
    settings, origins = _merged(name, backend, table or {})
    origins["backend"] = "env" if variable(f"{_variables(name)}BACKEND") else "config"
    if table is None and name == DEFAULT and backend == "sqlite":
        if "db_path" not in settings:
            settings["db_path"], origins["db_path"] = str(folders.default_database()), "default"
        if origins["backend"] == "config":
            origins["backend"] = "default"
    place = PLACE.get(backend)
    if place is not None and place not in settings:
        raise ProfileError(f"profile {name!r} has no {place}, which {backend} needs")
    if place in URL_KEYS:
        check_scheme(backend, settings[place], name)
        url, own = without_own(backend, settings[place])
        origins = {**dict.fromkeys(own, origins[place]), **origins}
        settings = {**own, **settings, place: url}
    return _made(name, backend, settings, origins)


def _made(name: str, backend: str, settings: Mapping[str, Any], origins: dict[str, str]) -> Profile:
    of_profile = {key: settings[key] for key in OF_PROFILE if key in settings}
    rest = {key: value for key, value in settings.items() if key not in OF_PROFILE}
    return Profile(name, backend, rest, origins=origins, **of_profile)


def _merged(
    name: str, backend: str, table: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of a profile and where each comes from: the environment before the file."""
    settings: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in table.items():
        if key != "backend":
            settings[key] = checked(backend, key, value, f"profile {name!r}")
            origins[key] = "config"
    overrides = from_environment(_variables(name), kinds(backend))
    return settings | overrides, origins | dict.fromkeys(overrides, "env")


def _variables(name: str) -> str:
    """How the variables of this profile begin."""
    return f"SYNMEM_PROFILE_{_env_name(name)}_"


def _env_name(name: str) -> str:
    return re.sub("[^A-Z0-9]", "_", name.upper())


def _not_found(name: str, config: Config) -> ProfileNotFound:
    from synmem import places

    is_there = addresses.status(Path(name)) is not None
    if is_there:
        hint = f"a file of that name is ./{name}"
    elif near := _nearest(name, [*names(config), *places.PLACES]):
        hint = f"did you mean {' or '.join(near)}?"
    elif there := names(config):
        hint = known(there)
    else:
        hint = "`synmem profile add NAME URL` makes one"
    if ":" in name:
        hint = f"a server is named by its URL, like postgresql://HOST:PORT/DATABASE; {hint}"
    elif "." in name and not is_there:
        hint = f"{_similar(name)}; {hint}"
    if places_there := places.there():
        hint += f"; known places: {', '.join(places_there)}"
    shown = mask(f"x://{name}").removeprefix("x://")  # it may be an address without its scheme
    return ProfileNotFound(f"there is no profile {shown!r} in {config.file}", hint=hint)


def _similar(name: str) -> str:
    """Which file may have been meant; there is none of that name."""
    from difflib import get_close_matches

    with contextlib.suppress(OSError):
        files = [each.name for each in Path().iterdir() if is_address(each.name)]
        if near := get_close_matches(name, files, n=1):
            return f"did you mean {near[0]}?"
    return f"a file of that name would be ./{name}"


def names(config: Config) -> list[str]:
    """The profiles that there are: of the file, of the environment, and where none of these is
    the default, the built-in one."""
    found = dict.fromkeys(config.profiles)
    taken = {_env_name(name) for name in found}
    for each in sorted(os.environ):
        match = re.fullmatch("SYNMEM_PROFILE_(.+)_BACKEND", each)
        if match and match[1] not in taken:
            found[match[1].lower()] = None
    if (config.default_profile or DEFAULT) == DEFAULT:
        found.setdefault(DEFAULT)
    return list(found)


def _nearest(name: str, there: Iterable[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(name.lower().replace("_", "-"), there, n=3)


# --- the places of known programs -----------------------------------------------------------


def _at_place(name: str, config: Config) -> Profile:
    """What is at the place of that name; of several one must be chosen by its path."""
    from synmem import places

    place = places.place_of(name)
    if place is None:
        raise _not_found(name, config)
    title = places.PLACES[place].title
    there = places.found(place)
    chosen = [of_place(place, each) for each in places.meant(there)]
    if not chosen:
        raise _nothing_there(place, title, there)
    if len(chosen) > 1:
        import shlex

        ways = [f"-p {shlex.quote(address(each))}" for each in chosen]
        more = "" if len(ways) <= _NAMED else "; `synmem discover` names all"
        raise UsageError(
            f"{title} keeps conversations in {len(chosen)} places",
            hint=f"choose one: {' or '.join(ways[:_NAMED])}{more}",
        )
    return chosen[0]


def _nothing_there(place: str, title: str, there: "Sequence[Found]") -> StoreNotFound:
    from synmem.places import is_emptied, looked_at

    if there:
        return StoreNotFound(
            f"{title} has conversations in {there[0].path}, in a form that is not read yet"
        )
    looked = looked_at(place)
    if not looked:
        return StoreNotFound(
            f"{title} keeps its conversations in the folder of each project",
            hint="`synmem discover FOLDER` finds them",
        )
    kind = Emptied if is_emptied(place) else StoreNotFound
    return kind(
        f"no conversations of {title} are on this machine", hint=f"looked for {', '.join(looked)}"
    )


def of_place(place: str, there: "Found") -> Profile:
    """What was found at a place, under its name."""
    from synmem.places import PLACES

    backend = "sqlite" if there.is_database else "file"
    settings = {PLACE[backend]: str(there.path), "layout": there.layout}
    origins = dict.fromkeys(["backend", *settings], "place")
    return Profile(place, backend, settings, origins=origins, program=PLACES[place].title)


def address(profile: Profile) -> str:
    """What a file's profile is opened by without its name: its path, and its layout behind it."""
    layout = profile.settings.get("layout")
    path: str = profile.settings[PLACE[profile.backend]]
    return path + (f"?layout={layout}" if layout else "")


# --- to be opened ---------------------------------------------------------------------------


def _expand(text: str, profile: str, key: str) -> str:
    """`${ENV}` by its value: in a URL's user and password quoted, as it stands for the word."""
    quoted = (text.find("://") + 3, userinfo_end(text)) if key in URL_KEYS else (-1, -1)
    return expanded(text, f"{key} of {profile!r}", quoted)
