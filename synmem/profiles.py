"""Where a store is: a profile of config.toml, a URL or a path, each made a `Profile`.

A bare word is always a profile's name; what holds `/` or ends like a file is a path. For each
key the first that is set counts: the URL itself, SYNMEM_PROFILE_<NAME>_<KEY>, config.toml, the
default. Nothing here opens a store.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from synmem import folders
from synmem.backends import BACKENDS, SCHEMES
from synmem.errors import ProfileError, ProfileNotFound
from synmem.masking import (
    SECRET_KEY,
    mask,
    mask_settings,
    mask_text,
    secret_spans,
    secrets_of,
    unquoted,
    userinfo_end,
    with_password,
    without_user,
)  # fmt: skip

__all__ = ["Config", "Profile", "is_address", "load", "mask", "mask_text", "names", "resolve",
           "secrets_of"]  # fmt: skip

DEFAULT: Final = "default"
"""The name of the profile that there is without any configuration."""

_ROLLING: Final = {"timestamps": bool, "max_messages": int, "window": int}
_SECRET: Final = {"password": str, "password_command": str}

KEYS: Final[dict[str, dict[str, type]]] = {
    "memory": {**_ROLLING},
    "sqlite": {"db_path": str, "layout": str, **_ROLLING},
    "file": {"path": str, "layout": str, "format": str},
    "redis": {
        "url": str, "prefix": str, "ttl_seconds": int, "cluster": bool, "layout": str,
        **_ROLLING, **_SECRET,
    },
    "postgres": {
        "dsn": str, "schema": str, "table": str, "layout": str, **_ROLLING, **_SECRET,
    },
    "mongo": {
        "uri": str, "db_name": str, "collection_name": str, "layout": str,
        **_ROLLING, **_SECRET,
    },
    "dynamodb": {
        "table_name": str, "region": str, "endpoint_url": str, "create": bool,
        "aws_profile": str, "layout": str, **_ROLLING,
    },
}  # fmt: skip
"""The keys of each backend and their types; a number is 1 or more. `window` counts pairs."""

PLACE: Final = {
    "sqlite": "db_path", "file": "path", "redis": "url", "postgres": "dsn", "mongo": "uri",
    "dynamodb": "table_name",
}  # fmt: skip
"""The key that says where the store is; a profile must have it."""

_URL_KEYS: Final = {"url", "dsn", "uri", "endpoint_url"}
_PATH_KEYS: Final = {"db_path", "path"}
_TABLES: Final = {"llm", "embeddings", "tokens"}

_SQLITE_ENDINGS: Final = {".db", ".db3", ".s3db", ".sqlite", ".sqlite3"}
_FILE_ENDINGS: Final = {
    ".jsonl", ".ndjson", ".json", ".zip", ".csv", ".gz", ".txt", ".md", ".html", ".parquet",
}  # fmt: skip

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_PASSWORD_SECONDS = 60


class Profile(msgspec.Struct, frozen=True):
    """A store that can be opened: its backend and settings as they were written.

    `name` is what output calls it: the profile's, or the last part of a path, or a URL's
    database or host. `origins` says for each key where it comes from: `flag`, `env`, `config`
    or `default`.
    """

    name: str
    backend: str
    settings: dict[str, Any]
    protected: bool = False
    origins: dict[str, str] = msgspec.field(default_factory=dict)

    def connection(self) -> dict[str, Any]:
        """The settings to open it with: variables and `~` expanded, the password in the URL.

        Runs `password_command`. ProfileError where a variable is not set or the command fails.
        """
        settings = self._expanded()
        password = settings.pop("password", None)
        command = settings.pop("password_command", None)
        if password is None and command is not None:
            password = _run_for_password(command, self.name)
        if password is not None:
            place = PLACE[self.backend]
            settings[place] = with_password(settings[place], password)
        return settings

    @property
    def identity(self) -> str:
        """What tells this store from every other, without user, password and variables.

        Two names of one file have one identity. Notes and backups are filed under it.
        """
        settings = self._expanded()
        place = settings.get(PLACE.get(self.backend, ""), "")
        if self.backend in ("sqlite", "file"):
            return f"{self.backend}:{Path(place).resolve()}"
        if PLACE.get(self.backend) in _URL_KEYS:
            place = _hosts_and_path(place)
        inner = ("prefix", "schema", "table", "db_name", "collection_name", "region",
                 "endpoint_url")  # fmt: skip
        parts = [f"{key}={mask(settings[key])}" for key in inner if key in settings]
        return " ".join([f"{self.backend}:{place}", *parts])

    @property
    def where(self) -> str:
        """The path or URL, masked; for people."""
        if self.backend == "dynamodb":
            return f"dynamodb://{self.settings.get('region', '')}/{self.settings['table_name']}"
        return mask(self.settings.get(PLACE.get(self.backend, ""), "memory:"))

    def described(self) -> dict[str, Any]:
        """The settings, masked."""
        return mask_settings(self.settings)

    def _expanded(self) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for key, value in self.settings.items():
            # A path that was typed was expanded by the shell: what is left is its own.
            typed = key in _PATH_KEYS and self.origins.get(key) == "flag"
            if isinstance(value, str) and key != "password_command" and not typed:
                value = _expand(value, self.name, key)
            settings[key] = _home(value) if key in _PATH_KEYS else value
        if PLACE.get(self.backend) in _URL_KEYS:
            place = PLACE[self.backend]
            _check_scheme(self.backend, settings[place], self.name)
            url, own = _without_own(self.backend, settings[place])
            own.pop("protected", None)  # decided before variables are looked at
            settings = {**own, **settings, place: url}
        return settings


# --- the configuration ----------------------------------------------------------------------


class Config(msgspec.Struct, frozen=True):
    """What config.toml says; empty where there is none."""

    file: Path
    default_profile: str | None = None
    profiles: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


def load(config: Path | None = None) -> Config:
    """Read the configuration: of this file, which then must be there, or of the usual place."""
    file = folders.config_file() if config is None else config
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        if config is None:
            return Config(file)
        raise ProfileNotFound(f"there is no configuration file {file}") from None
    except OSError as error:
        raise ProfileError(f"{file}: {error.strerror}") from error
    parsed = parse(data, file)
    if has_secret(parsed) and os.name == "posix" and file.stat().st_mode & 0o077:
        raise ProfileError(
            f"{file} holds a password and can be read by others", hint=f"chmod 600 {file}"
        )
    return _config(parsed, file)


def parse(data: bytes, file: Path) -> dict[str, Any]:
    """The TOML of a configuration file; ProfileError says file, line and column."""
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{file} is not TOML: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProfileError(f"{file} is not UTF-8 (at line {line})") from None


def _config(data: dict[str, Any], file: Path) -> Config:
    known = {"default_profile", "profiles"} | _TABLES
    if unknown := sorted(set(data) - known):
        raise ProfileError(f"{file}: unknown key {unknown[0]!r}", hint=_known(known))
    default = data.get("default_profile")
    if default is not None and not (isinstance(default, str) and default):
        raise ProfileError(f"{file}: default_profile is not a profile's name")
    tables = {key: value for key, value in data.items() if key != "default_profile"}
    for key, value in tables.items():
        if not isinstance(value, dict):
            raise ProfileError(f"{file}: {key!r} is not a table: [{key}]")
    profiles = tables.pop("profiles", {})
    for name, values in profiles.items():
        if not isinstance(values, dict):
            raise ProfileError(f"{file}: profile {name!r} is not a table: [profiles.{name}]")
    return Config(file, default, profiles, tables)


def has_secret(value: Any, key: str = "") -> bool:
    """Whether a password stands in it literally: `${ENV}` is none."""
    if isinstance(value, Mapping):
        return any(has_secret(item, name) for name, item in value.items())
    if isinstance(value, list):
        return any(has_secret(item, key) for item in value)
    if not isinstance(value, str) or key == "password_command":
        return False
    spans = [(0, len(value))] if SECRET_KEY.search(key) else secret_spans(value)
    return any(_VARIABLE.sub("", value[start:end]) for start, end in spans)


def names(config: Config) -> list[str]:
    """The profiles that there are: of the file, of the environment, and where none of these is
    the default, the built-in one."""
    found = dict.fromkeys(config.profiles)
    taken = {_env_name(name) for name in found}
    for variable in sorted(os.environ):
        match = re.fullmatch("SYNMEM_PROFILE_(.+)_BACKEND", variable)
        if match and match[1] not in taken:
            found[match[1].lower()] = None
    if (config.default_profile or DEFAULT) == DEFAULT:
        found.setdefault(DEFAULT)
    return list(found)


# --- a target -> a profile ------------------------------------------------------------------


def resolve(target: str | None, config: Path | None = None) -> Profile:
    """The profile that a name, URL or path stands for; without one, the default profile."""
    if target is not None and is_address(target):
        return from_address(target)
    loaded = load(config)
    if target is None:
        return named(loaded.default_profile or DEFAULT, loaded)
    return named(target, loaded)


def is_address(target: str) -> bool:
    """Whether it is a URL or a path; if not, it is a profile's name."""
    return _scheme(target) is not None or _is_path(target) or _path_and_keys(target) is not None


def is_name(text: str) -> bool:
    """Whether a profile may be called so: not every word can be told from a path or a URL."""
    return re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]*", text) is not None and not is_address(text)


def named(name: str, config: Config) -> Profile:
    """The profile of that name, of the file and the environment together."""
    table = config.profiles.get(name)
    backend = _environment(name, "backend") or (table or {}).get("backend")
    if table is None and backend is None:
        if name != DEFAULT:
            raise _not_found(name, config)
        backend = "sqlite"
    if backend not in BACKENDS:
        what = "names no backend" if backend is None else "names a backend that there is not"
        raise ProfileError(f"profile {name!r} {what}", hint=_known(BACKENDS))
    settings, origins = _merged(name, backend, table or {})
    origins["backend"] = "env" if _environment(name, "backend") else "config"
    if table is None and name == DEFAULT and backend == "sqlite":
        if "db_path" not in settings:
            settings["db_path"], origins["db_path"] = str(folders.default_database()), "default"
        if origins["backend"] == "config":
            origins["backend"] = "default"
    place = PLACE.get(backend)
    if place is not None and place not in settings:
        raise ProfileError(f"profile {name!r} has no {place}, which {backend} needs")
    if place in _URL_KEYS:
        _check_scheme(backend, settings[place], name)
        url, own = _without_own(backend, settings[place])
        origins = {**dict.fromkeys(own, origins[place]), **origins}
        settings = {**own, **settings, place: url}
    return Profile(name, backend, settings, settings.pop("protected", False), origins)


def _merged(
    name: str, backend: str, table: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of a profile and where each comes from: the environment before the file."""
    kinds = {**KEYS[backend], "protected": bool}
    settings: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, value in table.items():
        if key != "backend":
            settings[key] = checked(backend, key, value, f"profile {name!r}")
            origins[key] = "config"
    for key, kind in kinds.items():
        if (text := _environment(name, key)) is not None:
            variable = f"SYNMEM_PROFILE_{_env_name(name)}_{key.upper()}"
            settings[key] = checked(backend, key, from_text(text, kind), variable)
            origins[key] = "env"
    return settings, origins


def _environment(name: str, key: str) -> str | None:
    # As everywhere in Unix, a variable that is set but empty is not set.
    return os.environ.get(f"SYNMEM_PROFILE_{_env_name(name)}_{key.upper()}") or None


def _env_name(name: str) -> str:
    return re.sub("[^A-Z0-9]", "_", name.upper())


def _not_found(name: str, config: Config) -> ProfileNotFound:
    if _status(Path(name)) is not None:
        hint = f"a file of that name is ./{name}"
    elif known := names(config):
        hint = _known(known)
    else:
        hint = "`synmem profile add NAME URL` makes one"
    shown = mask(f"x://{name}").removeprefix("x://")  # it may be an address without its scheme
    return ProfileNotFound(f"there is no profile {shown!r} in {config.file}", hint=hint)


def _known(words: Any) -> str:
    return f"there are: {', '.join(sorted(words))}"


# --- values ---------------------------------------------------------------------------------


def from_text(text: str, kind: type) -> Any:
    """A value of a URL, a variable or `--set`; what does not fit stays text, for `checked`."""
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "on": True,
                 "false": False, "0": False, "no": False, "off": False}  # fmt: skip
        return words.get(text.lower(), text)
    if kind is int and re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    return text


def checked(backend: str, key: str, value: Any, origin: str) -> Any:
    """The value, if the backend knows the key and this is what it takes; values are not shown."""
    kind = {**KEYS[backend], "protected": bool}.get(key)
    if kind is None:
        raise ProfileError(
            f"{origin}: {backend} has no key {key!r}", hint=_known([*KEYS[backend], "protected"])
        )
    if kind is bool and type(value) is not bool:
        raise ProfileError(f"{origin}: {key} must be true or false")
    if kind is int and (type(value) is not int or value < 1):
        raise ProfileError(f"{origin}: {key} must be a whole number, 1 or more")
    if kind is str and (type(value) is not str or not value):
        raise ProfileError(f"{origin}: {key} must be text, and not empty")
    return value


def _expand(text: str, profile: str, key: str) -> str:
    """`${ENV}` by its value: in a URL's user and password quoted, as it stands for the word."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ProfileError(f"the variable {match[1]} is not set; {key} of {profile!r} needs it")
        if start <= match.start() < end:
            from urllib.parse import quote

            return quote(found, safe="")
        return found

    if "${" not in text:
        return text
    start = end = -1
    if key in _URL_KEYS:
        start, end = text.find("://") + 3, userinfo_end(text)
    return _VARIABLE.sub(value, text)


def _home(path: str) -> str:
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise ProfileError(f"{path}: there is no such home folder") from error


def _run_for_password(command: str, profile: str) -> str:
    """The first line that the command prints; what it says is never shown."""
    import shlex
    import subprocess

    failed = ProfileError(f"the password_command of {profile!r} failed")
    try:
        words = [_expand(word, profile, "password_command") for word in shlex.split(command)]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PASSWORD_SECONDS
        )
        lines = done.stdout.decode().splitlines()
    except subprocess.TimeoutExpired:
        failed.hint = f"it took more than {_PASSWORD_SECONDS} s"
        raise failed from None
    except FileNotFoundError:
        failed.hint = "there is no such program"
        raise failed from None
    except (OSError, ValueError, IndexError):
        failed.hint = "it cannot be run, or what it prints is not text"
        raise failed from None
    if done.returncode:
        failed.hint = f"exit code {done.returncode}"
        raise failed
    if not lines or not lines[0]:
        failed.hint = "it printed nothing"
        raise failed
    return lines[0]


# --- URLs and paths -------------------------------------------------------------------------


def from_address(target: str) -> Profile:
    """The profile that a URL or a path stands for."""
    scheme = _scheme(target)
    if scheme is None:
        return _from_path(target)
    if scheme not in SCHEMES:
        raise ProfileError(
            f"synmem knows no {scheme}: stores",
            hint=f"it knows {', '.join(SCHEMES)}; a file is ./NAME",
        )
    backend = SCHEMES[scheme]
    if backend in ("sqlite", "file"):
        return _from_file_url(backend, target)
    url, own = _without_own(backend, target)
    if backend == "memory":
        if url not in ("memory:", "memory://"):
            raise _malformed(url, "memory:")
        return _flagged("memory", backend, own)
    if backend == "dynamodb":
        return _from_dynamodb(url, own)
    if "://" not in url:
        raise _malformed(url, f"{scheme}://...")
    return _flagged(_url_name(url), backend, {PLACE[backend]: url, **own})


def _flagged(name: str, backend: str, settings: dict[str, Any]) -> Profile:
    origins = dict.fromkeys(["backend", *settings], "flag")
    return Profile(name, backend, settings, settings.pop("protected", False), origins)


def _from_file_url(backend: str, target: str) -> Profile:
    url, parameters = _parted(target)
    place = url.partition(":")[2]
    if place.startswith("//"):
        host, slash, place = place[2:].partition("/")
        if backend == "file":
            place = slash + place
        if host not in (["", "localhost"] if backend == "file" else [""]):
            place = ""
    if place in ("", "/", ":memory:"):
        raise _malformed(target, f"{backend}:///FILE, or memory:")
    path = unquoted(place)
    backend = backend if backend == "sqlite" else _backend_of(path)
    return _at_path(path, backend, _own(backend, parameters))


def _from_path(target: str) -> Profile:
    path, own = _path_and_keys(target) or (target, [])
    backend = _backend_of(path)
    return _at_path(path, backend, _own(backend, own))


def _at_path(path: str, backend: str, own: dict[str, Any]) -> Profile:
    name = Path(path).name or Path(path).resolve().name or path
    return _flagged(name, backend, {PLACE[backend]: path, **own})


def _from_dynamodb(url: str, own: dict[str, Any]) -> Profile:
    region, _, table = url.partition("://")[2].partition("/")
    if not table or "/" in table or "?" in table or "@" in region:
        raise _malformed(url, "dynamodb://REGION/TABLE")
    settings = {"table_name": unquoted(table), **({"region": region} if region else {}), **own}
    return _flagged(settings["table_name"], "dynamodb", settings)


def _malformed(url: str, form: str) -> ProfileError:
    # Without "//" nobody can tell where a password would be: only the scheme is shown.
    shown = mask(url) if "://" in url else f"{url.partition(':')[0]}:..."
    return ProfileError(f"{shown} is not the address of a store", hint=f"it is: {form}")


def _scheme(target: str) -> str | None:
    match = _SCHEME.match(target)
    if match is None:
        return None
    scheme = match[1].lower()
    return scheme if match[2] or scheme in SCHEMES else None


def _is_path(target: str) -> bool:
    if "/" in target or target in (".", ".."):
        return True
    ending = Path(target).suffix.lower()
    return ending in _SQLITE_ENDINGS or ending in _FILE_ENDINGS


def _path_and_keys(target: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Path and keys of `chat.db?layout=...`; None where that `?` is the name's own."""
    path, mark, query = target.partition("?")
    if not mark or not _is_path(path) or _status(Path(target)) is not None:
        return None
    parameters = _parameters(query)
    known = {*KEYS[_backend_of(path)], "protected"}
    if _is_path(target) and not all(key in known for key, _ in parameters):
        return None
    return path, parameters


_looked_like_sqlite: set[tuple[str, int, int]] = set()


def _backend_of(path: str) -> str:
    """The backend for a path, by its ending; of a file of another ending, by its first bytes."""
    place = Path(_home(path))
    ending = place.suffix.lower()
    status = _status(place)
    if path.endswith("/") or (status and stat.S_ISDIR(status.st_mode)):
        return "file"
    # A database's own file is never opened for a look: closing that descriptor would drop the
    # locks that this process may hold on it.
    if ending in _SQLITE_ENDINGS or (status and _starts_as_sqlite(place, status)):
        return "sqlite"
    if ending in _FILE_ENDINGS:
        return "file"
    return "file" if status and (status.st_size or not stat.S_ISREG(status.st_mode)) else "sqlite"


def _starts_as_sqlite(path: Path, status: os.stat_result) -> bool:
    key = (str(path), status.st_dev, status.st_ino)
    if key in _looked_like_sqlite:  # it may be open by now: see above
        return True
    if not stat.S_ISREG(status.st_mode):
        return False
    try:
        with path.open("rb") as file:
            found = file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False  # whoever opens the store will say what is wrong with it
    if found:
        _looked_like_sqlite.add(key)
    return found


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _without_own(backend: str, url: str) -> tuple[str, dict[str, Any]]:
    """The URL as its driver shall see it, and our own parameters."""
    head, mark, rest = url.partition("?")
    if not mark:
        return url, {}
    query, hash_mark, fragment = rest.partition("#")
    kinds = {**KEYS[backend], "protected": bool}
    ours: list[tuple[str, str]] = []
    theirs: list[str] = []
    for part in query.split("&"):
        key, value = _parameter(part)
        # A driver's own `password` stays with the driver.
        if key in kinds and key not in _SECRET and key != PLACE.get(backend):
            ours.append((key, value))
        else:
            theirs.append(part)
    own = _own(backend, ours)
    if not any(theirs):
        return head + hash_mark + fragment, own
    if backend in ("memory", "dynamodb"):
        raise _unknown_parameter(backend, _parameter(theirs[0])[0])
    return f"{head}?{'&'.join(theirs)}{hash_mark}{fragment}", own


def _own(backend: str, parameters: list[tuple[str, str]]) -> dict[str, Any]:
    kinds = {**KEYS[backend], "protected": bool}
    settings: dict[str, Any] = {}
    for key, text in parameters:
        if key not in kinds or key == PLACE.get(backend):
            raise _unknown_parameter(backend, key)
        settings[key] = checked(backend, key, from_text(text, kinds[key]), "the URL")
    return settings


def _unknown_parameter(backend: str, key: str) -> ProfileError:
    known = [name for name in KEYS[backend] if name != PLACE.get(backend)]
    return ProfileError(f"the URL: {backend} has no key {key!r}", hint=_known(known))


def _parted(url: str) -> tuple[str, list[tuple[str, str]]]:
    head, _, query = url.partition("?")
    return head, _parameters(query)


def _parameters(query: str) -> list[tuple[str, str]]:
    return [_parameter(part) for part in query.split("&") if part]


def _parameter(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return unquoted(key), unquoted(value)


def _url_name(url: str) -> str:
    """A URL's database, else its host."""
    head = _hosts_and_path(url).partition("?")[0].partition("#")[0]
    host, _, path = head.partition("/")
    last = path.rstrip("/").rpartition("/")[2]
    # Redis numbers its databases: a number names nothing.
    return last if last and not last.isdecimal() else host or url.partition(":")[0]


def _hosts_and_path(url: str) -> str:
    """Host, path and, for a socket, its folder: what is left when nobody's name is in it."""
    head, _, query = without_user(url).partition("?")
    hosts = [part for part in query.split("&") if part.partition("=")[0] in ("host", "port")]
    return head + ("?" + "&".join(hosts) if hosts else "")


def _check_scheme(backend: str, url: str, profile: str) -> None:
    scheme = _scheme(url)
    if url.startswith("${") or (scheme is not None and SCHEMES.get(scheme) == backend):
        return
    forms = [name for name, kind in SCHEMES.items() if kind == backend]
    raise ProfileError(
        f"the {PLACE[backend]} of {profile!r} is not the URL of a {backend} store",
        hint=f"it begins with {' or '.join(form + '://' for form in forms)}",
    )
