"""Where the messages stand that are read for a person."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest

from synmem.errors import Changed, ConversationNotFound, MessageNotFound
from synmem.messages import Message
from synmem.operations.show import Filter, Item, Reading
from synmem.store import START, Page, Position, Store


class Told:
    """What `read` promises, of a list that a test may change; pages of two."""

    name = "told"

    def __init__(self, *texts: str) -> None:
        self.texts = [*texts]

    async def read(
        self, ids: Sequence[str], *, after: Position = START, reverse: bool = False, limit: int = 99
    ) -> AsyncIterator[Page]:
        places = [f"{i}:{text}" for i, text in enumerate(self.texts)][:: -1 if reverse else 1]
        if after != START and after not in places:
            raise Changed("changed")
        rest = places[0 if after == START else places.index(after) + 1 :][:limit]
        for start in range(0, len(rest), 2):
            page = rest[start : start + 2]
            items = [Message("user" if "u" in each else "tool", each[2:]) for each in page]
            yield Page(ids[0], cast(list[Item], items), page.__getitem__)


def reading(told: Told, *roles: str) -> Reading:
    return Reading(cast(Store, told), "a", Filter(roles))


def texts(items: Sequence[Item]) -> str:
    return " ".join(item.content for item in items if isinstance(item, Message))


async def positions(told: Told, *roles: str) -> list[tuple[str, list[int]]]:
    read = reading(told, *roles)
    return [(texts(items), [*read.numbers]) async for items in read.all()]


def test_positions_count_what_a_filter_leaves_out() -> None:
    told = Told("u1", "t2", "t3", "u4", "u5")
    assert asyncio.run(positions(told)) == [("u1 t2", [1, 2]), ("t3 u4", [3, 4]), ("u5", [5])]
    assert asyncio.run(positions(told, "user")) == [("u1", [1]), ("u4", [4]), ("u5", [5])]
    read = reading(told, "user")
    assert texts(asyncio.run(read.last(2))) == "u4 u5" and read.numbers == [2, 1]


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_around_gives_the_message_and_its_neighbours(number: int) -> None:
    read = reading(Told("u1", "t2", "t3", "u4", "u5"))
    items = asyncio.run(read.around(number, 1))
    assert [*read.numbers] == [i for i in range(number - 1, number + 2) if 1 <= i <= 5]
    assert texts(items).split()[[*read.numbers].index(number)].endswith(str(number))


@pytest.mark.parametrize("number", [6, 7, 8, 100])
def test_around_says_how_many_there_are(number: int) -> None:
    with pytest.raises(MessageNotFound, match="it has 5"):
        asyncio.run(reading(Told("u1", "t2", "t3", "u4", "u5")).around(number, 1))
    with pytest.raises(ConversationNotFound):
        asyncio.run(reading(Told()).around(number, 1))


def test_a_message_that_is_written_further_comes_again_and_is_told_to() -> None:
    async def follow() -> None:
        told = Told("u1", "u2")
        read = reading(told)
        assert texts(await read.last(2)) == "u1 u2"
        arriving = read.new(every_s=0)
        told.texts.append("u3")
        assert texts(await anext(arriving)) == "u3" and not read.again
        told.texts[-1] = "u3+"
        assert texts(await anext(arriving)) == "u3+" and read.again
        told.texts.append("u4")
        assert texts(await anext(arriving)) == "u4" and not read.again

    asyncio.run(follow())
