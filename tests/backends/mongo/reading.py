"""The contract of a store to its readers, on documents that a test writes in a layout's own form."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from synmem.messages import Conversation
from synmem.store import Part, Store
from tests import conformance, services
from tests.backends.mongo.place import Place
from tests.conformance import TEXTS
from tests.layouts.foreign.reading import ReadingTheirs


class ReadingDocuments(ReadingTheirs):
    """The contract on documents; what BSON, or the server, cannot hold is left out."""

    @pytest.fixture(autouse=True)
    def _placed(self, place: Place, mongo_server: services.Server) -> None:
        self.place = place
        self.holds_nul = "FerretDB" not in mongo_server.what

    def fill(self, parts: Sequence[Part]) -> None:
        """Put these conversations there, in the place of older ones of their ids."""
        raise NotImplementedError

    def spoil(self) -> None:
        """Break the record of `message 1` in the conversation `a`."""
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        await self.put([*parts, Part(Conversation("nothing"), [])], tmp_path)
        async with self.place.opened() as store:
            yield store

    async def put(self, parts: Sequence[Part], tmp_path: Any) -> None:
        self.fill(parts)

    async def spoil_one(self, tmp_path: Any) -> None:
        self.spoil()

    def conversation_fields(self) -> frozenset[str]:
        return frozenset()

    @pytest.mark.parametrize("name", TEXTS)
    def test_text_survives(self, tmp_path: Any, name: str) -> None:
        if "surrogate" in name or (name == "nul" and not self.holds_nul):
            pytest.skip("this server does not hold it")
        super().test_text_survives(tmp_path, name)

    def test_ids_are_opaque(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        if not self.holds_nul:
            some_ids = [id_ for id_ in conformance.IDS if "\0" not in id_]
            monkeypatch.setattr(conformance, "IDS", some_ids)
        super().test_ids_are_opaque(tmp_path)
