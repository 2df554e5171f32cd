"""What is looked for, in one store or in several."""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from synmem.cli import render
from synmem.cli.damage import name_strays, name_unreadable
from synmem.cli.progress import Bar
from synmem.cli.run import Session
from synmem.cli.several import AT_ONCE, Source, Sources
from synmem.errors import ConversationNotFound, StoreNotFound, SynmemError, UsageError

if TYPE_CHECKING:
    from synmem.cli.recalling import Model
    from synmem.operations.searching.search import Found, Hit
    from synmem.operations.searching.wanted import Wanted
    from synmem.profiles import Profile
    from synmem.store import Store

_LARGE: Final = 500
"""Where several stores are searched, one of so many messages gets an index: all are to answer in
the time of a moment."""


@dataclass(frozen=True)
class Results:
    """What was found, each hit with its store where there are several; the rest as in `Found`, of
    all stores together; and whether something could not be read, which was named."""

    hits: "list[tuple[str | None, Hit]]"
    total: int | None
    untimed: int
    near: Sequence[str]
    partly: bool


@dataclass
class Sought:
    """What is looked for: words, or with `semantic` a meaning; the best `k`."""

    query: str
    conversation: str | None
    k: int
    semantic: bool
    rebuild: bool
    wanted: "Wanted"
    near: bool = False
    """Whether words are wanted that are near, where there is nothing."""
    bar: "Bar" = field(default_factory=Bar)
    """What shows how many messages are indexed, where that takes long."""

    def check(self) -> None:
        """UsageError for a query that asks for nothing, before any store is opened."""
        from synmem.operations.searching.words import Query

        if self.k < 1:
            raise UsageError("-k is 1 or more")
        if not self.semantic:
            Query(self.query)
        elif not self.query.strip():
            raise UsageError("there is nothing to look for: the query is empty")

    async def found(
        self,
        session: Session,
        profile: "Profile",
        *,
        model: "Model | None" = None,
        large: int | None = None,
    ) -> "tuple[Found, bool]":
        """What was found in a store; and whether records belong to no conversation, which are
        named."""
        from synmem.operations.searching.search import Found

        try:
            async with session.open_profile(profile) as store:
                if self.semantic:
                    found = await self._by_meaning(session, profile, store, model)
                else:
                    found = await self._by_words(session, profile, store, large)
                if self.conversation is not None:
                    return found, False
                return found, await name_strays(store, quiet=session.quiet)
        except StoreNotFound:
            if self.conversation is not None or not session.nothing_yet(profile):
                raise
            return Found([], [], total=0), False

    async def found_alone(self, session: Session) -> Results:
        """What was found in the one store that is meant."""
        found, strays = await self.found(session, session.resolve())
        partly = name_unreadable(found.unreadable) or strays
        hits: list[tuple[str | None, Hit]] = [(None, hit) for hit in found.hits]
        return Results(hits, found.total, found.untimed, found.near, partly)

    async def found_in(self, session: Session, several: Sources) -> Results:
        """The best of several stores. ConversationNotFound where none has the one that is named."""
        model = self._model(session)

        async def work(source: Source) -> "tuple[Found, bool] | None":
            try:
                return await self.found(source.session, source.profile, model=model, large=_LARGE)
            except ConversationNotFound:
                return None  # it is in another

        done, partly = await several.gathered(work, at_once=1 if self.semantic else AT_ONCE)
        there = [(source, *result) for source, result in done if result is not None]
        if self.conversation is not None and done and not there:
            where = ", ".join(source.label for source, _ in done)
            raise ConversationNotFound(self.conversation, where)
        hits = [(source.label, hit) for source, found, _ in there for hit in found.hits]
        hits.sort(key=lambda pair: -pair[1].score)  # of equals, store by store
        unreadable = [name_unreadable(found.unreadable, f"{s.label}: ") for s, found, _ in there]
        partly = partly or any(unreadable) or any(strays for *_, strays in there)
        return Results(
            [*hits[: self.k]],
            None if self.semantic else sum(found.total or 0 for _, found, _ in there),
            sum(found.untimed for _, found, _ in there),
            [] if hits else await self._near([source for source, *_ in there]),
            partly,
        )

    async def _near(self, sources: Sequence[Source]) -> list[str]:
        """Words of these stores that are near, once none of them has what is looked for: to look
        for them takes longer than the search."""
        from synmem.operations.derived import word_file
        from synmem.operations.searching.search import search

        words: dict[str, None] = {}
        for source in sources if self.near and not self.semantic else ():
            # What is wrong with a store, or that it is not there yet, was told.
            with contextlib.suppress(SynmemError):
                async with source.session.open_profile(source.profile, telling=False) as store:
                    found = await search(
                        store, self.query, conversation=self.conversation, wanted=self.wanted,
                        near=True, index=word_file(source.profile.identity), large=_LARGE,
                    )  # fmt: skip
                words |= dict.fromkeys(found.near)
        return [*words]

    def _model(self, session: Session) -> "Model | None":
        from synmem.cli.recalling import model_of

        return model_of(session, offline=session.everywhere) if self.semantic else None

    async def _by_words(
        self, session: Session, profile: "Profile", store: "Store", large: int | None
    ) -> "Found":
        from synmem.operations.derived import word_file
        from synmem.operations.searching.following import UNNOTICED
        from synmem.operations.searching.search import search

        unnoticed = UNNOTICED.format(store.name, "")
        is_alone = large is None

        def heard(text: str) -> None:
            if is_alone or text != unnoticed:  # of many stores it would be said of most
                session.note(text)

        is_seen = is_alone and render.is_terminal(sys.stderr)  # it costs another listing
        expect = self.bar.expect if is_seen else None
        return await search(
            store, self.query, conversation=self.conversation, k=self.k, rebuild=self.rebuild,
            wanted=self.wanted, near=self.near and is_alone,
            index=word_file(profile.identity), large=large, note=heard, advance=self.bar.advance,
            expect=expect,
        )  # fmt: skip

    async def _by_meaning(
        self, session: Session, profile: "Profile", store: "Store", model: "Model | None"
    ) -> "Found":
        from synmem.cli.recalling import recalling

        with recalling(session, profile, store, rebuild=self.rebuild, model=model) as meanings:
            return await meanings.search(
                self.query, conversation=self.conversation, k=self.k, wanted=self.wanted
            )
