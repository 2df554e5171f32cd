"""Replacing the front of a conversation in an SQLite file: staged in a temporary table, then put
there in one transaction."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from typing import Any

from synmem import messages as model
from synmem.backends.sqlite.beside import Beside
from synmem.backends.sqlite.errors import Refused
from synmem.backends.sqlite.place import Place, check_count, marks
from synmem.backends.sqlite.steps import Steps
from synmem.backends.sqlite.writing import by_columns, last_number, lowest_number
from synmem.errors import Rejected
from synmem.layouts.own.sqlite_tables import Table
from synmem.messages import Conversation, Message
from synmem.store import START, Position


class Replacer:
    """Puts messages in the place of the front of a conversation."""

    def __init__(self, place: Place, beside: Beside, steps: Steps) -> None:
        self._name = place.name
        self._place = place
        self._file, self._table, self._ids = place.file, place.table, place.ids
        self._beside = beside
        self._steps = steps
        self._staging = asyncio.Lock()  # one replace at a time has the temporary table

    async def replace(
        self,
        conversation: Conversation,
        messages: AsyncIterable[Sequence[Message]],
        *,
        upto: Position,
        begins: Position | None = None,
        token: str | None = None,
    ) -> None:
        """See `Store.replace`: staged in a temporary table, then one transaction."""
        self._steps.check(token)
        await self._place.make()
        if why := self._ids.refusal(conversation.id):
            raise Rejected([(conversation.id, 0, why)])
        async with self._staging:
            count, kinds = await self._stage(conversation, messages)
            try:
                async with self._place.transaction():
                    if await self._steps.is_known(token):
                        return
                    await self._place.check_begin(conversation.id, begins)
                    await self._put_in_front(conversation.id, upto, count, kinds)
                    if await self._place.ends([conversation.id]):
                        await self._beside.describe([conversation])
                    else:
                        await self._beside.forget(conversation.id)
                    await self._steps.remember(token)
            except Refused as error:
                index = await self._first_refused(conversation.id, upto, count, kinds)
                raise Rejected([(conversation.id, index, str(error))]) from error

    async def _put_in_front(
        self, conversation: str, upto: Position, count: int, kinds: Sequence[Sequence[str]]
    ) -> None:
        """Let the front give way to the first so many of the staged messages."""
        await self._place.check_there(conversation, upto)
        stored = (await self._place.stored([conversation]))[conversation]
        if upto != START:
            where, values = self._ids.where([stored])
            where += " AND id <= ?"
            values.append(self._place.number_at(upto))
            await self._file.execute(f"DELETE FROM messages WHERE {where}", values)
            await self._place.check_gone(where, values)
        await self._unstage(conversation, stored, count, kinds)

    async def _first_refused(
        self, conversation: str, upto: Position, count: int, kinds: Sequence[Sequence[str]]
    ) -> int:
        """The index of the first staged message that the file's tables refuse, tried out and rolled
        back; 0 where it is none by itself."""
        taken = 0
        refused = count + 1
        while refused - taken > 1:
            middle = (taken + refused) // 2
            try:
                async with self._place.transaction(keeps=False):
                    await self._put_in_front(conversation, upto, middle, kinds)
                taken = middle
            except Refused:
                refused = middle
        return taken if taken < count else 0

    async def _stage(
        self, conversation: Conversation, messages: AsyncIterable[Sequence[Message]]
    ) -> tuple[int, list[Sequence[str]]]:
        """Put the new messages where nobody sees them; tell how many, and which columns those of
        each kind fill. Temporary tables are a file of their own: the database is not locked while
        a slow source is read."""
        places = _places(self._table)
        async with self._file.step():
            await self._file.execute("DROP TABLE IF EXISTS temp.staged")
            await self._file.execute(
                "CREATE TEMP TABLE staged "
                f"(number INTEGER PRIMARY KEY, conversation_id, kind, {', '.join(places.values())})"
            )
        kinds: list[Sequence[str]] = []
        count = 0
        async for page in messages:
            if reasons := model.refusals([(conversation, page)], self._place.refusal):
                raise Rejected([(i, count + n, why) for i, n, why in reasons])
            rows = [
                (number, conversation.id, *self._table.encode(message))
                for number, message in enumerate(page, count + 1)
            ]
            for names, some in by_columns(self._table, rows):
                if names not in kinds:
                    kinds.append(names)
                columns = ["number", "conversation_id", *(places[name] for name in names), "kind"]
                values = f"{marks(columns[1:])}, {kinds.index(names)}"
                async with self._file.step():
                    await self._file.many(
                        f"INSERT INTO temp.staged ({', '.join(columns)}) VALUES ({values})", some
                    )
            count += len(page)
        return count, kinds

    async def _unstage(
        self, conversation: str, stored: Any, count: int, kinds: Sequence[Sequence[str]]
    ) -> None:
        """Put the first so many of the staged messages in front of the conversation's others, which
        lies there as that value."""
        if await self._place.ends([conversation]):
            base = await lowest_number(self._place, count + 1) - count - 1
        else:
            base = await last_number(self._place, count)
        places = _places(self._table)
        written = 0
        for kind, names in enumerate(kinds):
            taken = [places[name] for name in names]
            written += await self._file.execute(
                f"INSERT INTO messages ({', '.join(('id', 'conversation_id', *names))}) "
                f"SELECT {', '.join(('? + number', '?', *taken))} "
                "FROM temp.staged WHERE kind = ? AND number <= ? ORDER BY number",
                [base, stored, kind, count],
            )
            if not self._place.shape.exact or await self._file.is_watched():
                await self._check_unstaged(base, stored, kind, names, count)
        check_count(self._file, written, count)

    async def _check_unstaged(
        self, base: int, stored: Any, kind: int, names: Sequence[str], count: int
    ) -> None:
        """Refused, where what was put there is not as it was staged. What was left empty may be
        filled."""
        places = _places(self._table)
        same = " AND ".join(f"(s.{places[n]} IS NULL OR s.{places[n]} IS m.{n})" for n in names)
        rows = await self._file.rows(
            "SELECT 1 FROM temp.staged AS s LEFT JOIN messages AS m ON m.id = ? + s.number "
            "WHERE s.kind = ? AND s.number <= ? AND NOT (typeof(m.conversation_id) = typeof(?) "
            f"AND m.conversation_id = ? COLLATE BINARY AND {same}) LIMIT 1",
            [base, kind, count, stored, stored],
        )
        if rows:
            raise Refused(f"{self._name}: its table makes something else of what is put into it")


def _places(table: Table) -> dict[str, str]:
    """What each column is called in the temporary table: somebody's own may be called anything."""
    return {name: f"c{index}" for index, name in enumerate(table.columns)}
