"""Which steps are done or called off, remembered in `messages_meta` of an SQLite file of ours."""

from collections.abc import Collection, Sequence

from synmem.backends.paging import called_off
from synmem.backends.sqlite.beside import set_beside
from synmem.backends.sqlite.place import IDS_A_QUERY, Place, marks
from synmem.errors import Unsupported
from synmem.layouts.own.beside import read_beside
from synmem.messages import ascii_json, chunks
from synmem.store import Step


class Steps:
    """The tokens of writes; see `SupportsSteps`."""

    def __init__(self, place: Place) -> None:
        self._name = place.name
        self._place = place
        self._file = place.file

    def check(self, token: str | None) -> None:
        """Unsupported, where there is no place in which to remember one."""
        if token is not None and not self._place.keeps_beside:
            raise Unsupported(f"{self._name} belongs to SynapseKit: it remembers no step of ours")

    async def done(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.steps_done`."""
        async with self._file.step():
            return await self._done(steps)

    async def call_off(self, steps: Collection[Step]) -> set[Step]:
        """See `SupportsSteps.call_off`."""
        if not steps:
            return set()
        async with self._place.transaction():
            await self._file.many(
                "INSERT INTO messages_meta (conversation_id, name, value) VALUES ('', ?, ?) "
                "ON CONFLICT DO NOTHING",
                [(f"step:{step.token}", ascii_json("off")) for step in steps],
            )
            return await self._done(steps)

    async def forget(self, steps: Collection[Step]) -> None:
        """See `SupportsSteps.forget_steps`."""
        if not steps or not self._file.made:
            return
        async with self._place.transaction():
            await set_beside(self._file, [("", f"step:{step.token}", None) for step in steps])

    async def _done(self, steps: Collection[Step]) -> set[Step]:
        """Those that were done."""
        words = await self._words([step.token for step in steps])
        return {step for step in steps if words.get(step.token) == "done"}

    async def _words(self, tokens: Sequence[str]) -> dict[str, str]:
        """What is remembered of these tokens: done, or called off."""
        words: dict[str, str] = {}
        for some in chunks(tokens, IDS_A_QUERY):
            names = [f"step:{token}" for token in some]
            rows = await self._file.rows(
                "SELECT name, value FROM messages_meta "
                f"WHERE conversation_id = '' AND name IN ({marks(names)})",
                names,
            )
            words.update((name.removeprefix("step:"), read_beside(name, v)) for name, v in rows)
        return words

    async def is_known(self, token: str | None) -> bool:
        """Whether a write with this token was done; Changed where it was called off."""
        word = None if token is None else (await self._words([token])).get(token)
        if word is not None and word != "done":
            raise called_off(self._name)
        return word is not None

    async def remember(self, token: str | None) -> None:
        """Remember that the write with this token is done."""
        if token is not None:
            insert = "INSERT INTO messages_meta VALUES ('', ?, ?)"
            await self._file.execute(insert, [f"step:{token}", ascii_json("done")])
