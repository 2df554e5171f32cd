"""URLs and paths of stores: what kind of store, which one, and the settings in them.

What holds `/` or ends like a file is a path. Our own parameters (`?layout=`) are taken off a URL
before its driver sees it. Nothing here opens a store.
"""

import os
import re
import stat
from pathlib import Path
from typing import Any, Final, NamedTuple

from synmem.backends import SCHEMES, backend_of
from synmem.errors import AddressError, ProfileError
from synmem.masking import mask, unquoted, without_user
from synmem.settings import KEYS, PLACE, SECRET, checked, from_text, kinds, known

_SQLITE_ENDINGS: Final = {".db", ".db3", ".s3db", ".sqlite", ".sqlite3"}
_FILE_ENDINGS: Final = {
    ".jsonl", ".ndjson", ".json", ".zip", ".csv", ".gz", ".txt", ".md", ".html", ".parquet",
}  # fmt: skip

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")


class Address(NamedTuple):
    """What a URL or a path says: the name to call it by, its backend and its settings."""

    name: str
    backend: str
    settings: dict[str, Any]


def is_address(target: str) -> bool:
    """Whether it is a URL or a path; if not, it is a profile's name."""
    return _scheme(target) is not None or _is_path(target) or _path_and_keys(target) is not None


def is_file(word: str) -> bool:
    """Whether that is called like a store's file, and is there."""
    return "\0" not in word and is_address(word) and status(Path(word)) is not None


def parse(target: str) -> Address:
    """What a URL or a path says; ProfileError where no store can be there."""
    scheme = _scheme(target)
    if target.lower().startswith("jdbc:"):  # its parameters may be secret: nothing of it is shown
        raise AddressError(
            "an address that begins with jdbc: is not one of a store",
            hint="leave that out, and put user and password before the host: "
            "postgresql://USER:PASSWORD@HOST/DATABASE",
        )
    if scheme is None:
        return _from_path(target)
    backend = backend_of(scheme)
    if backend is None:
        raise _unknown_scheme(scheme)
    if backend in ("sqlite", "file"):
        return _from_file_url(backend, target)
    url, own = without_own(backend, target)
    if backend == "memory":
        if url not in ("memory:", "memory://"):
            raise _malformed(url, "memory:")
        return Address("memory", backend, own)
    if backend == "dynamodb":
        return _from_dynamodb(url, own)
    if "://" not in url:
        raise _malformed(url, f"{scheme}://...")
    return Address(_url_name(url), backend, {PLACE[backend]: url, **own})


def _unknown_scheme(scheme: str) -> AddressError:
    name, plus, driver = scheme.partition("+")
    hint = f"it knows {', '.join(SCHEMES)}; a file is ./NAME"
    if plus and name in SCHEMES:
        hint = f"leave out +{driver}, if {name}:// leads there too"
    return AddressError(f"synmem knows no {scheme}: stores", hint=hint)


_OF_SQLITE: Final = frozenset({
    "check_same_thread", "timeout", "isolation_level", "detect_types", "cached_statements", "uri",
    "mode", "cache",
})  # fmt: skip
"""What SQLAlchemy's URLs say of how a file is opened: left out, for this program does as it does.
Their path is read as there: three slashes stand before a relative one, four before another."""


def _from_file_url(backend: str, target: str) -> Address:
    url, parameters = _parted(target)
    place = url.partition(":")[2]
    if backend == "sqlite":
        if ("uri", "true") in parameters:
            place = place.replace("///file:", "///", 1)
        parameters = [pair for pair in parameters if pair[0] not in _OF_SQLITE]
    if place.startswith("//"):
        host, slash, place = place[2:].partition("/")
        if backend == "file":
            place = slash + place
        if host not in (["", "localhost"] if backend == "file" else [""]):
            place = ""
    if place in ("", "/", ":memory:"):
        raise _malformed(target, f"{backend}:///FILE, or memory:")
    path = unquoted(place, "surrogateescape")
    backend = backend if backend == "sqlite" else _backend_of(path)
    return _at_path(path, backend, _own(backend, parameters))


def _from_path(target: str) -> Address:
    path, own = _path_and_keys(target) or (target, [])
    backend = _backend_of(path)
    return _at_path(path, backend, _own(backend, own))


def _at_path(path: str, backend: str, own: dict[str, Any]) -> Address:
    name = Path(path).name or Path(path).resolve().name or path
    return Address(name, backend, {PLACE[backend]: path, **own})


def _from_dynamodb(url: str, own: dict[str, Any]) -> Address:
    region, _, table = url.partition("://")[2].partition("/")
    if not table or "/" in table or "?" in table or "@" in region:
        raise _malformed(url, "dynamodb://REGION/TABLE")
    settings = {"table_name": unquoted(table), **({"region": region} if region else {}), **own}
    return Address(settings["table_name"], "dynamodb", settings)


def _malformed(url: str, form: str) -> AddressError:
    # Without "//" nobody can tell where a password would be: only the scheme is shown.
    shown = mask(url) if "://" in url else f"{url.partition(':')[0]}:..."
    return AddressError(f"{shown} is not the address of a store", hint=f"it is: {form}")


def _scheme(target: str) -> str | None:
    match = _SCHEME.match(target)
    if match is None:
        return None
    scheme = match[1].lower()
    return scheme if match[2] or backend_of(scheme) else None


def _is_path(target: str) -> bool:
    if "/" in target or target in (".", ".."):
        return True
    ending = Path(target).suffix.lower()
    return ending in _SQLITE_ENDINGS or ending in _FILE_ENDINGS


def _path_and_keys(target: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Path and keys of `chat.db?layout=...`; None where that `?` is the name's own."""
    path, mark, query = target.partition("?")
    if not mark or not _is_path(path) or status(Path(target)) is not None:
        return None
    parameters = _parameters(query)
    of_backend = kinds(_backend_of(path))
    if _is_path(target) and not all(key in of_backend for key, _ in parameters):
        return None
    return path, parameters


_looked_like_sqlite: set[tuple[str, int, int]] = set()


def _backend_of(path: str) -> str:
    """The backend for a path, by its ending; of a file of another ending, by its first bytes."""
    place = Path(home(path))
    ending = place.suffix.lower()
    found = status(place)
    if path.endswith("/") or (found and stat.S_ISDIR(found.st_mode)):
        return "file"
    # A database's own file is never opened for a look: closing that descriptor would drop the
    # locks that this process may hold on it.
    if ending in _SQLITE_ENDINGS or (found and _starts_as_sqlite(place, found)):
        return "sqlite"
    if ending in _FILE_ENDINGS:
        return "file"
    return "file" if found and (found.st_size or not stat.S_ISREG(found.st_mode)) else "sqlite"


def _starts_as_sqlite(path: Path, there: os.stat_result) -> bool:
    key = (str(path), there.st_dev, there.st_ino)
    if key in _looked_like_sqlite:  # it may be open by now: see above
        return True
    if not stat.S_ISREG(there.st_mode):
        return False
    try:
        with path.open("rb") as file:
            found = file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False  # whoever opens the store will say what is wrong with it
    if found:
        _looked_like_sqlite.add(key)
    return found


def home(path: str) -> str:
    """A path whose `~` is the home folder."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise ProfileError(f"{path}: there is no such home folder") from error


def status(path: Path) -> os.stat_result | None:
    """What is at a path, or None: nothing, or nothing that we may see."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def without_own(backend: str, url: str) -> tuple[str, dict[str, Any]]:
    """The URL as its driver shall see it, and our own parameters."""
    head, mark, rest = url.partition("?")
    if not mark:
        return url, {}
    query, hash_mark, fragment = rest.partition("#")
    of_backend = kinds(backend)
    ours: list[tuple[str, str]] = []
    theirs: list[str] = []
    for part in query.split("&"):
        key, value = _parameter(part)
        # A driver's own `password` stays with the driver.
        if key in of_backend and key not in SECRET and key != PLACE.get(backend):
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
    of_backend = kinds(backend)
    settings: dict[str, Any] = {}
    for key, text in parameters:
        if key not in of_backend or key == PLACE.get(backend):
            raise _unknown_parameter(backend, key)
        try:
            settings[key] = checked(backend, key, from_text(text, of_backend[key]), "the URL")
        except ProfileError as error:
            raise AddressError(str(error), hint=error.hint) from error
    return settings


def _unknown_parameter(backend: str, key: str) -> AddressError:
    ours = [name for name in KEYS[backend] if name != PLACE.get(backend)]
    return AddressError(f"the URL: {backend} has no key {key!r}", hint=known(ours))


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
    head = hosts_and_path(url).partition("?")[0].partition("#")[0]
    host, _, path = head.partition("/")
    last = path.rstrip("/").rpartition("/")[2]
    # Redis numbers its databases: a number names nothing.
    return last if last and not last.isdecimal() else host or url.partition(":")[0]


def hosts_and_path(url: str) -> str:
    """Host, path and, for a socket, its folder: what is left when nobody's name is in it."""
    head, _, query = without_user(url).partition("?")
    hosts = [part for part in query.split("&") if part.partition("=")[0] in ("host", "port")]
    return head + ("?" + "&".join(hosts) if hosts else "")


def check_scheme(backend: str, url: str, profile: str) -> None:
    """ProfileError where the URL in a profile is not one of its backend."""
    scheme = _scheme(url)
    if url.startswith("${") or (scheme is not None and backend_of(scheme) == backend):
        return
    forms = [name for name, kind in SCHEMES.items() if kind == backend]
    raise ProfileError(
        f"the {PLACE[backend]} of {profile!r} is not the URL of a {backend} store",
        hint=f"it begins with {' or '.join(form + '://' for form in forms)}",
    )
