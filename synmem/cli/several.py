"""Several stores in one command: which, and what of them cannot be reached."""

import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from synmem.cli import render
from synmem.cli.run import Session
from synmem.errors import ProfileError, SynmemError, UsageError

if TYPE_CHECKING:
    from synmem.profiles import Profile

AT_ONCE: Final = 4
"""So many stores are read at once."""

T = TypeVar("T")


class Source(NamedTuple):
    """One of several stores: what it is called in the output, which is what -p takes; and the
    session whose notes say so."""

    label: str
    profile: "Profile"
    session: Session


class Sources(NamedTuple):
    """The stores that are meant, each once; whether others are, which cannot be opened and were
    named; and the session that says what concerns them all."""

    sources: list[Source]
    broken: bool
    session: Session

    async def gathered(
        self, work: Callable[[Source], Awaitable[T]], *, at_once: int = AT_ONCE
    ) -> tuple[list[tuple[Source, T]], bool]:
        """What the work gives for each store, some at once; and whether one could not be read,
        which is named and hides no other."""
        done: list[tuple[Source, T]] = []
        for source, result in await _results(self.sources, work, at_once):
            if isinstance(result, SynmemError):
                render.note_error(f"{source.label}: cannot be read", result)
            else:
                done.append((source, result))
        self.session.note_branches(sum(self.session.left_out))
        return done, self.broken or len(done) < len(self.sources)


def sources_of(session: Session) -> Sources | None:
    """The stores of several -p or of --everywhere; None where one is meant, as ever."""
    if session.servers and not session.everywhere:
        raise UsageError("--servers goes with --everywhere")
    if not session.everywhere:
        if len(session.targets) < 2:
            return None
        return Sources(_once(session, _typed(session)), broken=False, session=session)
    for option, said in (("-p", session.typed), ("--layout", session.layout)):
        if said:
            raise UsageError(f"--everywhere and {option}", hint="one of the two")
    broken: list[ProfileError] = []
    sources = _once(session, _everywhere(session, broken))
    for error in broken:
        render.note(f"left out: {error}")
    return Sources(sources, broken=bool(broken), session=session)


def _once(session: Session, named: "Iterator[tuple[str, Profile]]") -> list[Source]:
    """Each store once, under the first of its names; one that a profile leaves out not at all."""
    found: dict[str, Source | None] = {}
    for label, profile in named:
        adapted = session.adapted(profile)
        label = render.visible_line(label)
        its = dataclasses.replace(session, label=label, profile=label)
        wanted = profile.everywhere or not session.everywhere
        found.setdefault(profile.identity, Source(label, adapted, its) if wanted else None)
    return [source for source in found.values() if source is not None]


def _typed(session: Session) -> "Iterator[tuple[str, Profile]]":
    from synmem.masking import mask
    from synmem.profiles import is_address

    for target in session.targets:
        profile = session.resolve_other(target)
        yield mask(target) if is_address(target) else profile.name, profile


def _everywhere(session: Session, broken: list[ProfileError]) -> "Iterator[tuple[str, Profile]]":
    """The profiles of what is on this machine, and the places of known programs."""
    from synmem.cli.finding import known_places
    from synmem.profiles import load, named, names

    config = load(session.config)
    for name in names(config):
        try:
            profile = named(name, config)
            if _is_wanted(session, profile):
                yield name, profile
        except ProfileError as error:
            broken.append(error)
    for find in known_places().finds:
        yield find.profile.name, find.profile


def _is_wanted(session: Session, profile: "Profile") -> bool:
    """Whether a profile is of what is on this machine, or of a server and these are wanted too;
    of a file that the first `add` makes there is nothing yet."""
    file = profile.file
    if file is None:
        return session.servers and profile.backend != "memory"
    if profile.origins.get("db_path") == "default":
        return file.exists()
    return file.exists() or not (profile.backend == "sqlite" and file.parent.is_dir())


async def _results(
    sources: Sequence[Source], work: Callable[[Source], Awaitable[T]], at_once: int
) -> list[tuple[Source, T | SynmemError]]:
    import asyncio

    turns = asyncio.Semaphore(at_once)

    async def one(source: Source) -> T | SynmemError:
        async with turns:
            try:
                return await work(source)
            except SynmemError as error:
                return error

    results = await asyncio.gather(*map(one, sources))
    return list(zip(sources, results, strict=True))
