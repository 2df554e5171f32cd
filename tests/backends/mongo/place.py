"""A database of a test's own on a MongoDB server, with the driver's own way into it."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pymongo

from synmem.backends.mongo.store import open as open_mongo
from tests import services
from tests.conformance import PAGE_SIZE


class Place:
    """A database of the test's own on the server, with the driver's own way into it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = services.unique()
        self.client = pymongo.MongoClient[Any](url)
        self.database = self.client[self.name]
        self.collection = self.database["conversations"]

    @property
    def cli_url(self) -> str:
        """As a profile has it: the database is named in it."""
        return f"{self.url}/{self.name}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.collection.find().sort([("session_id", 1), ("n", 1)]))

    @property
    def meta(self) -> list[dict[str, Any]]:
        return list(self.database["conversations_meta"].find().sort("_id"))

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"uri": self.url, "db_name": self.name, **more}

    @contextlib.asynccontextmanager
    async def opened(
        self, *, write: bool = False, page_size: int = PAGE_SIZE, **more: Any
    ) -> AsyncIterator[Any]:
        store = await open_mongo(self.settings(**more), write=write, page_size=page_size)
        try:
            yield store
        finally:
            await store.close()


@contextlib.contextmanager
def placed(url: str) -> Iterator[Place]:
    place = Place(url)
    try:
        yield place
    finally:
        place.client.drop_database(place.name)
        place.client.close()
