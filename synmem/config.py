"""config.toml: what it says, and changing it so that the user's own text stays.

A change is made of the text, read back as TOML and compared with what it must say; only then does
it take the file's place, and only if nobody else changed the file meanwhile.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from synmem import durable, folders, leftovers
from synmem.errors import AccessDenied, ProfileError, ProfileNotFound, SynmemError
from synmem.masking import SECRET_KEY, secret_spans
from synmem.settings import known
from synmem.variables import VARIABLE

_TABLES: Final = {"llm", "embedding"}


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
        raise _unreadable(file, error) from error
    return _loaded(data, file)


def _loaded(data: bytes, file: Path) -> Config:
    parsed = _parse(data, file)
    if has_secret(parsed) and _others_may_read(file):
        raise ProfileError(
            f"{file} holds a password and can be read by others", hint=f"chmod 600 {file}"
        )
    return _config(parsed, file)


def _others_may_read(file: Path) -> bool:
    return os.name == "posix" and bool(file.stat().st_mode & 0o077)


def _parse(data: bytes, file: Path) -> dict[str, Any]:
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
    keys = {"default_profile", "profiles"} | _TABLES
    if unknown := sorted(set(data) - keys):
        raise ProfileError(f"{file}: unknown key {unknown[0]!r}", hint=known(keys))
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
    if not isinstance(value, str) or key.endswith("_command"):
        return False
    spans = [(0, len(value))] if SECRET_KEY.search(key) else secret_spans(value)
    return any(VARIABLE.sub("", value[start:end]) for start, end in spans)


# --- changing it ----------------------------------------------------------------------------


class Edit:
    """Changes of a configuration file; `config` is what it says before, nothing where it is new."""

    def __init__(self, file: Path) -> None:
        self._before = _text(file)
        self.config = _loaded(self._before, file)

    def add(self, name: str, values: Mapping[str, Any], *, default: bool = False) -> None:
        """Write a profile behind all that stands there, which is not touched."""
        import tomli_w

        if name in self.config.profiles:
            raise ProfileError(
                f"there is a profile {name!r} already", hint=f"`synmem profile remove {name}`"
            )
        before = self._before
        gap = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
        try:
            added = tomli_w.dumps({"profiles": {name: values}}).encode()
        except UnicodeEncodeError as error:
            raise ProfileError(
                "a path or a value that is not UTF-8 cannot stand in a configuration file",
                hint="rename the file",
            ) from error
        after = before + gap + added
        if default:
            after = _with_default(after, name)
        chosen = name if default else self.config.default_profile
        self._write(after, chosen, {**self.config.profiles, name: values})

    def use(self, name: str) -> None:
        """Make a profile the default."""
        self._write(_with_default(self._before, name), name, self.config.profiles)

    def remove(self, name: str) -> None:
        """Take a profile out; where it was the default, there is none then."""
        was_default = self.config.default_profile == name
        after = _removed(self._before, name, was_default=was_default)
        kept = {key: value for key, value in self.config.profiles.items() if key != name}
        self._write(after, None if was_default else self.config.default_profile, kept)

    def _write(self, after: bytes, default: str | None, profiles: Mapping[str, Any]) -> None:
        """Write the new text, once it is known to say this and nothing else."""
        wanted: dict[str, Any] = dict(self.config.tables)
        if default is not None:
            wanted["default_profile"] = default
        if profiles:
            wanted["profiles"] = profiles
        _check(after, wanted, self.config.file)
        _replace(self.config.file, self._before, after)


def _text(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> SynmemError:
    if isinstance(error, PermissionError):
        return AccessDenied(f"{file}: {error.strerror}", hint="check its permissions")
    return ProfileError(f"{file}: {error.strerror}")


def _with_default(text: bytes, name: str) -> bytes:
    def edit(document: Any) -> None:
        document["default_profile"] = name

    return _edited(text, edit)


def _removed(text: bytes, name: str, *, was_default: bool) -> bytes:
    def edit(document: Any) -> None:
        del document["profiles"][name]

    def edit_default(document: Any) -> None:
        del document["default_profile"]

    after = _with_comments_kept(text, _edited(text, edit))
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


def _check(text: bytes, wanted: dict[str, Any], file: Path) -> None:
    """ProfileError unless the new text says exactly this, and may hold it."""
    try:
        found = _parse(text, file)
    except ProfileError as error:
        raise _unwritable(file) from error
    if not found.get("profiles", True):
        del found["profiles"]
    if found != wanted:
        raise _unwritable(file)
    if file.exists() and _others_may_read(file) and has_secret(found):
        raise ProfileError(
            f"{file} can be read by others, and would hold a password", hint=f"chmod 600 {file}"
        )


def _unwritable(file: Path) -> ProfileError:
    return ProfileError(
        f"{file} is written in a way that cannot be changed safely: nothing was done",
        hint="edit it by hand; each profile is a table [profiles.NAME]",
    )


def _replace(file: Path, before: bytes, after: bytes) -> None:
    """The whole file or nothing of it, its mode kept (0600 if it is new), links followed."""
    file = file.resolve()
    try:
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o600
        folders.private(file.parent)
        leftovers.sweep(file.parent)
        with leftovers.Claim(file.parent) as claim:
            fresh = claim.part(file.name)
            with durable.create(fresh) as stream:
                stream.write(after)
                durable.sync(stream)
            fresh.chmod(mode)
            if _text(file) != before:
                raise ProfileError(
                    f"{file} was changed meanwhile: nothing was done", hint="run again"
                )
            fresh.replace(file)
        durable.sync_folder(file.parent)
    except OSError as error:
        raise ProfileError(f"{file} cannot be written: {error.strerror}") from error
