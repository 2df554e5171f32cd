"""What the user said beside the command's own arguments; and how a command opens stores."""

import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from synmem.cli import render
from synmem.errors import UsageError

if TYPE_CHECKING:
    from synmem.cli.retyping import TypedStore
    from synmem.profiles import Profile
    from synmem.store import Store


@dataclass
class Session:
    """What the user said beside the command's own arguments; and how a command opens stores."""

    profile: str | None
    config: Path | None
    json: bool
    quiet: bool
    verbose: bool
    layout: str | None = None
    branches: bool = False
    typed: bool = False
    """Whether the profile was typed, and does not come from the environment."""
    targets: tuple[str, ...] = ()
    """The profiles that were typed, where a command takes several."""
    everywhere: bool = False
    servers: bool = False
    label: str | None = None
    """Whose notes these are, where a command works on several stores."""
    left_out: list[int] = field(default_factory=list)
    """How many branches each of several stores has which were not given: they are told together."""
    command: str = ""
    """The command, as it was typed, and what stood behind it."""
    line: tuple[str, ...] = ()
    stood_first: bool = False
    """Whether the store stood first, not behind `-p`."""

    def typing(self, command: str, *words: str) -> str:
        """The line that a hint names: `synmem show chat.db ID`, with the store where it was typed
        (`-p chat.db` where the command takes it so), as a shell takes it; secrets masked."""
        from synmem.cli.retyping import line

        return line(self._typed_store(), command, *words)

    def with_stores(self, text: str) -> str:
        """A text whose commands, each between backticks, name the store where it was typed."""
        if "`synmem " not in text:
            return text
        from synmem.cli.retyping import with_stores

        return with_stores(self._typed_store(), text)

    def _typed_store(self) -> "TypedStore":
        """The store that was typed, or is one of several that were; not that of the environment,
        which the next command has too."""
        from synmem.cli.retyping import TypedStore

        target = self.profile if self.typed or self.label is not None else None
        return TypedStore(target, self.layout, self.branches)

    @property
    def is_of_several(self) -> bool:
        """Whether several stores are meant."""
        return self.everywhere or len(self.targets) > 1

    def at(self, store: str | None) -> None:
        """Take the store that stands first in the line instead of that of `-p`."""
        if store is None:
            return
        if self.typed:
            from synmem.masking import mask

            raise UsageError(f"two stores: -p and {mask(store)}", hint="one of the two")
        self.profile, self.typed, self.stood_first = store, True, True

    def resolve(self, target: str | None = None) -> "Profile":
        """The profile of that name, URL or path; without one, of `-p` or the default. It has the
        layout that was asked for, and branches."""
        return self.adapted(self.resolve_other(target if target is not None else self.profile))

    def adapted(self, profile: "Profile") -> "Profile":
        """A profile with the layout that was asked for, and branches."""
        from synmem.settings import KEYS

        profile = profile.given(layout=self.layout)
        if self.branches and "branches" in KEYS[profile.backend]:
            return profile.given(branches=True)
        return profile

    def resolve_other(self, target: str | None, layout: str | None = None) -> "Profile":
        """The same of a second store, to which options do not apply."""
        from synmem.profiles import resolve

        return resolve(target, self.config).given(layout=layout)

    @contextlib.asynccontextmanager
    async def open(
        self, target: str | None = None, *, write: bool = False
    ) -> AsyncIterator["Store"]:
        """The store of a profile (see `resolve`), closed at the end."""
        profile = self.resolve(target)
        async with self.open_profile(profile, write=write) as store:
            yield store

    @contextlib.asynccontextmanager
    async def open_profile(
        self,
        profile: "Profile",
        *,
        write: bool = False,
        planning: bool = False,
        telling: bool = True,
    ) -> AsyncIterator["Store"]:
        """The store of this profile. `planning`: to say, or ask, what a write is to do. Without
        `telling` its branches are told of by whoever opens it."""
        from synmem.tool import open_profile

        async with open_profile(profile, write=write, planning=planning) as store:
            if self.verbose:
                render.note(f"{profile.name}: {store.name}")
            yield store
            if telling:
                self.tell_branches(store)

    def tell_branches(self, store: "Store", listed: Collection[str] | None = None) -> None:
        """How many branches were left out of what was read, or of those that are listed."""
        from synmem.store import SupportsBranches

        if not isinstance(store, SupportsBranches):
            return
        others = store.passed_over(listed)
        if self.label is None:
            self.note_branches(others)
        else:
            self.left_out.append(others)

    def note_branches(self, others: int) -> None:
        """Say how many branches were left out, where any were."""
        if others:
            what = "another branch" if others == 1 else f"{others:,} other branches"
            self.note(f"left out: {what} (--branches: each as a conversation of its own)")

    async def tell_others(self, store: "Store") -> None:
        """What other layouts' conversations lie beside ours, which are not shown."""
        from synmem.store import SupportsOthers

        if self.quiet or not isinstance(store, SupportsOthers):
            return
        if others := await store.others():
            self.note(f"left out: other layouts' conversations ({', '.join(others)})")

    def nothing_yet(self, profile: "Profile") -> bool:
        """Whether the first `add` makes this profile's file, which is told then.

        So it is with the default store, of which nothing is told, and with a configured one in a
        folder that is there; not where somebody typed a path, which may be mistyped.
        """
        origin = profile.origins.get("db_path")
        if origin == "default":
            return True
        file = profile.file if origin in ("config", "env") else None
        if file is None or file.exists() or not file.parent.is_dir():
            return False
        self.note(f"{profile.name}: nothing there yet; `synmem add` makes {file}")
        return True

    def json_or(self, form: str | None) -> str | None:
        """The format that is asked for; UsageError where `--json` and `-f` ask for two."""
        if self.json and form not in (None, "json"):
            raise UsageError(f"--json is -f json, not -f {form}", hint="one of the two")
        return "json" if self.json else form

    def tell_file(self, word: str, taken: str, does: str, *words: str) -> None:
        """Where a word is a file here, too, say as what it was `taken`, and what the command
        `does` with these words where the file is its store."""
        from synmem.addresses import is_file

        if is_file(word):
            from synmem.cli import retyping

            line = retyping.line(retyping.TypedStore(word), self.command, *words)
            self.note(f"{render.visible_line(word)} {taken}: `{line}` {does}")

    def hint(self, text: str) -> None:
        """What the person may go on with, dim on stderr; -q silences it."""
        if not self.quiet:
            render.hint(text)

    def note(self, text: str) -> None:
        """A line for the person on stderr; -q silences it."""
        if not self.quiet:
            whose = "" if self.label is None or text.startswith(self.label) else f"{self.label}: "
            render.note(whose + self.with_stores(text))
