"""Which stores there are to choose from: profiles, and the places of known programs."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from synmem.cli.browsing.aside import Aside
from synmem.cli.browsing.doing import quiet
from synmem.cli.session import Session
from synmem.cli.several import sources_of
from synmem.errors import ProfileError
from synmem.profiles import Profile
from synmem.tool import open_profile

EVERYWHERE = ("everywhere", "all that is on this machine")


class Offer(NamedTuple):
    """A store that can be opened, and where it is."""

    name: str
    where: str
    profile: Profile


def offers(session: Session) -> list[Offer]:
    """Every profile that can be read, then what known programs have here, each store once."""
    from synmem.cli.finding import known_places
    from synmem.profiles import load, named, names

    config = load(session.config)
    found: dict[str, Offer] = {}
    for name in names(config):
        try:
            profile = named(name, config)
            if profile.origins.get("db_path") == "default" and not Path(profile.where).exists():
                continue
            found.setdefault(profile.identity, Offer(name, profile.where, profile))
        except ProfileError:
            continue  # one whose variable is not set hides no other
    for find in known_places().finds:
        offer = Offer(find.profile.name, find.profile.where, find.profile)
        found.setdefault(find.profile.identity, offer)
    return list(found.values())


def opened(session: Session, offer: Offer) -> Aside:
    """That store, with the branches that were asked for; a layout was asked of another."""
    profile = dataclasses.replace(session, layout=None).adapted(offer.profile)
    return Aside(offer.name, profile, open_profile)


def all_here(session: Session) -> list[Aside]:
    """All stores that are on this machine."""
    everywhere = dataclasses.replace(
        quiet(session), everywhere=True, profile=None, branches=session.branches
    )
    several = sources_of(everywhere)
    assert several is not None
    return [Aside(each.label, each.profile, open_profile) for each in several.sources]
