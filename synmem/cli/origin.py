"""From which store a backup comes, and the way back to it."""

from pathlib import Path
from typing import TYPE_CHECKING

from synmem.cli.run import Session
from synmem.errors import ProfileError, ProfileNotFound, UsageError

WITHIN = ("layout", "table")
"""The keys that say what of a place is meant."""

if TYPE_CHECKING:
    from synmem.messages import JSONObject
    from synmem.operations.keeping.backup import Backup
    from synmem.operations.keeping.backups import Manifest, Origin
    from synmem.profiles import Profile


def origin_of(session: Session, profile: "Profile", command: str) -> "Origin":
    """What a backup remembers about its store, so that `undo` finds it from any folder.

    A profile of the configuration is found by its name; a URL or path by its settings, unless
    these hold a secret: then `undo` must be told with -p.
    """
    from synmem.config import has_secret
    from synmem.operations.keeping.backups import Origin

    named = profile.origins.get("backend") != "flag"
    settings = None
    if not named and not has_secret(profile.settings):
        settings = dict(profile.settings)
        for key in ("db_path", "path"):
            if key in settings:
                settings[key] = str(Path(settings[key]).expanduser().absolute())
    config = str(session.config.absolute()) if session.config else None
    return Origin(
        command=command,
        target=profile.name,
        where=profile.where,
        identity=profile.identity,
        backend=profile.backend,
        named=named,
        config=config,
        settings=settings,
        within={key: profile.settings[key] for key in WITHIN if key in profile.settings} or None,
    )


def undoing(backup: "Backup") -> str:
    """The command that brings it back, and which address has to be typed again for that."""
    origin = backup.origin
    again = "" if origin.is_found else f" ({origin.where}, with its secret)"
    return origin.undo(backup.id) + again


def is_of(profile: "Profile", origin: "Origin") -> bool:
    """Whether a backup comes from the store of this profile: of its layout, where it has one."""
    from synmem.settings import OWN_LAYOUTS

    _, layout = origin.place
    asked = profile.settings.get("layout")
    is_meant = asked in (None, layout) or (layout is None and asked in OWN_LAYOUTS)
    return is_meant and profile.covers(origin.identity, layout)


def _within(origin: "Origin") -> "JSONObject":
    """What of its place the store is; backups from before have it among their settings."""
    if origin.within is not None:
        return origin.within
    return {key: value for key, value in (origin.settings or {}).items() if key in WITHIN}


def within(profile: "Profile", origin: "Origin") -> "Profile":
    """The profile, with what of its place is meant where that is not said."""
    within = {k: v for k, v in _within(origin).items() if k not in profile.settings}
    return profile.given(**within)


def typed_profile(session: Session) -> str | None:
    """The store that was typed with -p; what SYNMEM_PROFILE says is for new work."""
    return session.profile if session.typed else None


def profile_of(session: Session, manifest: "Manifest") -> "Profile":
    """The store that a backup goes back to: the one it comes from, or the one typed with -p."""
    if (typed := typed_profile(session)) is not None:
        profile = session.resolve(typed)
        if not is_of(profile, manifest.origin):
            session.note(f"backup {manifest.id} comes from another store, {manifest.origin.where}")
            return profile
        return within(profile, manifest.origin)
    profile = _remembered(session, manifest)
    if profile.identity != manifest.origin.identity:
        raise ProfileError(
            f"profile {profile.name!r} is now another store than the one backup {manifest.id} "
            f"comes from, {manifest.origin.where}",
            hint="-p says where it shall go",
        )
    return profile


def _remembered(session: Session, manifest: "Manifest") -> "Profile":
    from synmem.profiles import Profile, resolve

    origin = manifest.origin
    if origin.settings is not None:
        flags = dict.fromkeys(["backend", *origin.settings], "flag")
        return Profile(origin.target, origin.backend, origin.settings, False, flags)
    if not origin.named:
        raise UsageError(
            f"backup {manifest.id} comes from {origin.where}, whose address holds a secret",
            hint="give it again with -p",
        )
    config = session.config or (Path(origin.config) if origin.config else None)
    try:
        return within(resolve(origin.target, config), origin)
    except ProfileNotFound as error:
        raise ProfileNotFound(
            f"backup {manifest.id} comes from profile {origin.target!r}, {origin.where}, and there "
            "is no such profile any more",
            hint="-p says where it shall go",
        ) from error
