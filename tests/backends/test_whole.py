"""A store of whole conversations: where its messages stand, also once it changed under a reader, and
the branches of its trees."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from synmem.backends.telling import told_by
from synmem.backends.whole import WholeStore
from synmem.errors import Changed, Unsupported
from synmem.layouts.shapes import Told
from synmem.messages import Conversation, Damage, Holds, Message, Unreadable, chunks
from synmem.store import START, Part, SupportsBranches
from tests.backends.sqlite.test_store import opened
from tests.conformance import AT, PAGE_SIZE, contents, details, ids, items, numbered, run
from tests.layouts.foreign.wholes import FIXTURES

HOLDS = Holds(own=False)


class Dict:
    """A `Source` that is a dict, and says how many conversations each call asked for."""

    name = "there"

    def __init__(self, **there: Told) -> None:
        self.there = dict[str, Told](there)
        self.asked: list[int] = []
        self.names: list[str] = []

    async def ids(self) -> AsyncIterator[list[str]]:
        for some in chunks(sorted(self.there), 2):
            yield some

    async def told(self, ids: Sequence[str]) -> Mapping[str, Told]:
        self.asked.append(len(ids))
        self.names += ids
        return {id_: self.there[id_] for id_ in ids if id_ in self.there}

    async def strays(self) -> list[Damage]:
        return [Damage("stray", "row 7", "its id is NULL")]

    async def version(self) -> str | None:
        return "1"

    async def close(self) -> None:
        pass


def store(source: Dict, *, branches: bool = False) -> WholeStore:
    """The store of that source."""
    return WholeStore(source, HOLDS, "theirs", branches=branches, page_size=PAGE_SIZE)


def tree(count: int = 3, **branches: int) -> Told:
    """A conversation of so many messages, and its branches, of so many each."""
    of = {leaf: numbered(n, role=leaf) for leaf, n in branches.items()}
    return Told(messages=numbered(count), title="A title", extra={"k": 1}, branches=of)


async def nameless_of(whole: WholeStore) -> list[Damage]:
    """What is named beside what its source names."""
    strays = await whole.strays()
    assert await whole.damage() == strays
    source = await Dict().strays()
    assert strays[: len(source)] == source
    return strays[len(source) :]


async def positions(whole: WholeStore, conversation: str) -> list[str]:
    """Where its messages stand."""
    pages = [page async for page in whole.read([conversation])]
    return [page.position(i) for page in pages for i in range(len(page.items))]


# --- positions ------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [None, 0, 1, 2, 3, 9])
def test_reading_goes_on_behind_each_message_both_ways(reverse: bool, limit: int | None) -> None:
    async def main() -> None:
        whole = store(Dict(a=tree(7)))
        every = [f"message {n}" for n in range(7)]
        for n, position in enumerate(await positions(whole, "a")):
            rest = every[:n][::-1] if reverse else every[n + 1 :]
            found = await contents(whole, "a", after=position, reverse=reverse, limit=limit)
            assert found == rest[:limit]

    run(main())


def test_a_message_is_found_where_it_stands_now() -> None:
    async def main() -> None:
        source = Dict(a=Told(messages=numbered(40)))
        whole = store(source)
        at = (await positions(whole, "a"))[30]
        source.there["a"] = Told(messages=numbered(35, 5))  # the oldest five were removed
        assert await contents(whole, "a", after=at) == [f"message {n}" for n in range(31, 40)]
        assert (await contents(whole, "a", after=at, reverse=True))[0] == "message 29"

    run(main())


def test_what_is_written_behind_its_place_a_reader_sees() -> None:
    async def main() -> None:
        source = Dict(a=tree(2))
        whole = store(source)
        at = (await positions(whole, "a"))[-1]
        assert await contents(whole, "a", after=at) == []
        source.there["a"] = tree(4)
        assert await contents(whole, "a", after=at) == ["message 2", "message 3"]

    run(main())


@pytest.mark.parametrize(
    "now",
    [
        pytest.param([], id="no message is left"),
        pytest.param(numbered(2), id="it is gone"),
        pytest.param([*numbered(2), Message("user", "another")], id="it says something else"),
        pytest.param([Message("user", "before"), *numbered(1), *numbered(1, 2)], id="another is before it"),
    ],
)  # fmt: skip
def test_a_reader_whose_place_is_gone_is_told(now: list[Message]) -> None:
    async def main() -> None:
        source = Dict(a=tree(3))
        whole = store(source)
        at = (await positions(whole, "a"))[2]
        source.there["a"] = Told(messages=now)
        for reverse in (False, True):
            with pytest.raises(Changed, match="'a' in there"):
                await contents(whole, "a", after=at, reverse=reverse)
        del source.there["a"]
        with pytest.raises(Changed):
            await contents(whole, "a", after=at)

    run(main())


def test_of_two_places_that_look_the_same_none_is_guessed() -> None:
    async def main() -> None:
        same = [Message("user", "again")] * 40
        source = Dict(a=Told(messages=same))
        whole = store(source)
        at = (await positions(whole, "a"))[30]
        assert len(await items(whole, "a", after=at)) == 9
        source.there["a"] = Told(messages=same[:25])
        with pytest.raises(Changed):
            await items(whole, "a", after=at)

    run(main())


@pytest.mark.parametrize("position", ["x", "[]", "[1]", '["0", "x"]', "7", "null", '[0, "x", 1]'])
def test_what_is_no_position_is_said(position: str) -> None:
    with pytest.raises(ValueError, match="position"):
        run(items(store(Dict(a=tree())), "a", after=position))


def test_a_place_is_of_one_conversation() -> None:
    with pytest.raises(ValueError, match="one conversation"):
        store(Dict()).read(["a", "b"], after="x")


def test_an_unreadable_record_has_its_place_too() -> None:
    async def main() -> None:
        said = [*numbered(1), Unreadable("5", "no JSON", "oops"), *numbered(1, 1)]
        whole = store(Dict(a=Told(messages=said)))
        assert await items(whole, "a") == said
        for n, position in enumerate(await positions(whole, "a")):
            assert await items(whole, "a", after=position) == said[n + 1 :]

    run(main())


def test_what_no_message_can_be_is_unreadable() -> None:
    async def main() -> None:
        odd: Any = Message(None, "x")  # type: ignore[arg-type]
        branches = {"leaf": [odd]}
        whole = store(Dict(a=Told(messages=[odd, *numbered(1)], branches=branches)), branches=True)
        first, second = await items(whole, "a")
        assert "role" in first.reason
        assert second.content == "message 0"
        (first,) = await items(whole, "a#leaf")
        assert "role" in first.reason

    run(main())


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), TypeError(), AttributeError()])
def test_where_nothing_can_be_read_one_unreadable_stands(error: Exception) -> None:
    def unfold() -> Told:
        raise error

    (only,) = told_by(unfold).messages
    assert isinstance(only, Unreadable)


# --- many conversations ---------------------------------------------------------------------


def test_of_small_conversations_many_are_asked_for_at_once() -> None:
    async def main() -> None:
        source = Dict(**{f"c{n}": tree(1) for n in range(300)})
        whole = WholeStore(source, HOLDS, "theirs", branches=False, page_size=1000)
        found = [page.conversation async for page in whole.read([*source.there])]
        assert sorted(found) == sorted(source.there)
        assert source.asked[:4] == [1, 2, 4, 8]
        assert max(source.asked) == 100

    run(main())


def test_of_large_ones_each_is_asked_for_by_itself() -> None:
    async def main() -> None:
        source = Dict(**{f"c{n}": tree(3) for n in range(4)})
        async for _ in store(source).read([*source.there]):
            pass
        assert source.asked == [1, 1, 1, 1]

    run(main())


def test_one_without_messages_is_none() -> None:
    async def main() -> None:
        whole = store(Dict(a=Told(messages=[], title="empty"), b=tree(1)))
        assert await ids(whole) == ["b"]
        assert await items(whole, "a") == []
        assert [i.id async for page in whole.conversations(["a", "b"]) for i in page] == ["b"]

    run(main())


# --- branches -------------------------------------------------------------------------------


def test_a_branch_is_read_by_the_id_of_its_leaf() -> None:
    async def main() -> None:
        whole = store(Dict(a=tree(3, left=1, right=2)))
        assert await ids(whole) == ["a"]
        assert [m.role for m in await items(whole, "a#left")] == ["left"]
        assert [m.role for m in await items(whole, "a#right", reverse=True)] == ["right", "right"]
        assert await items(whole, "a#other") == []
        assert await items(whole, "b#left") == []
        (info,) = [i async for p in whole.conversations(["a#right"], details=True) for i in p]
        assert (info.id, info.messages, info.title, info.extra) == (
            "a#right",
            2,
            "A title",
            {"k": 1},
        )

    run(main())


@pytest.mark.parametrize(
    ("fixture", "leaves"),
    [("openai-agents-sqlite-advanced/advanced.db", {"main"}), ("open-webui/webui.db", {"bran-m2"})],
)
def test_where_the_conversations_of_a_real_store_end(fixture: str, leaves: set[str]) -> None:
    async def main() -> None:
        async with opened(FIXTURES / fixture) as whole:
            assert isinstance(whole, SupportsBranches)
            assert leaves <= {await whole.leaf(id_) for id_ in await ids(whole)}

    run(main())


def test_where_a_branch_ends_is_told_where_the_layout_says_it() -> None:
    async def main() -> None:
        source = Dict(a=msgspec.structs.replace(tree(3, left=1), leaf="mid"), b=tree(1))
        source.there["c"] = Told(messages=[], leaf="none")
        whole = store(source)
        assert isinstance(whole, SupportsBranches)
        found = {id_: await whole.leaf(id_) for id_ in ("a", "a#left", "b", "c", "d", "a#right")}
        assert found == {
            "a": "mid", "a#left": "left", "b": None, "c": None, "d": None, "a#right": None,
        }  # fmt: skip

    run(main())


def test_each_branch_is_a_conversation_where_that_is_asked_for() -> None:
    async def main() -> None:
        source = Dict(a=tree(3, left=1, right=2), b=tree(1))
        whole = store(source, branches=True)
        assert await ids(whole) == ["a", "a#left", "a#right", "b"]
        found = await details(whole)
        assert {id_: info.messages for id_, info in found.items()} == {
            "a": 3, "a#left": 1, "a#right": 2, "b": 1,
        }  # fmt: skip
        assert whole.passed_over() == 0
        assert len(await positions(whole, "a#right")) == 2
        at = (await positions(whole, "a#right"))[0]
        assert await contents(whole, "a#right", after=at) == ["message 1"]

    run(main())


def test_the_branches_of_what_was_read_or_listed_are_counted_once_each() -> None:
    async def main() -> None:
        whole = store(Dict(a=tree(3, left=1, right=2), b=tree(1, left=1), c=tree(1)))
        assert whole.passed_over() == 0
        await items(whole, "a")
        assert whole.passed_over() == 2
        await items(whole, "a")
        await ids(whole)
        assert whole.passed_over() == 2
        assert whole.passed_over(["b", "c"]) == 1
        assert whole.passed_over([]) == 0

    run(main())


def test_ids_and_leaves_may_have_a_number_sign_of_their_own() -> None:
    async def main() -> None:
        source = Dict()
        source.there = {"a#b": tree(1, **{"c#d": 2}), "a": tree(1, b=3), "#": tree(1, **{"#": 5})}
        whole = store(source, branches=True)
        sizes = {id_: len(await items(whole, id_)) for id_ in await ids(whole)}
        assert sizes == {"a#b": 1, "a#b#c#d": 2, "a": 1, "#": 1, "###": 5}
        assert whole.passed_over() == 0
        nameless = {each.position: each.reason for each in await nameless_of(whole)}
        assert nameless == {"'a#b'": "the id of this branch is that of another conversation"}
        assert await items(whole, "#a") == []

    run(main())


def test_an_id_that_could_be_of_two_branches_is_of_one_and_listed_once() -> None:
    async def main() -> None:
        source = Dict()
        source.there = {"a": tree(1, **{"b#c": 2}), "a#b": tree(1, c=3)}
        whole = store(source, branches=True)
        assert await ids(whole) == ["a", "a#b", "a#b#c"]
        assert len(await items(whole, "a#b#c")) == 2
        assert (await details(whole))["a#b#c"].messages == 2
        assert whole.passed_over(["a", "a#b", "a#b#c"]) == 0
        assert [each.position for each in await nameless_of(whole)] == ["'a#b#c'"]

    run(main())


def test_a_conversation_is_asked_for_once_for_all_its_branches() -> None:
    async def main() -> None:
        source = Dict(a=tree(3, **{f"b{n}": 40 for n in range(9)}), b=tree(30, c=40, d=40))
        whole = store(source, branches=True)
        names = await ids(whole)
        source.asked, source.names = [], []
        found = {page.conversation: page.items[0] async for page in whole.read(names)}
        assert [*found] == names
        assert source.names.count("a") == source.names.count("b") == 2
        source.there["a"] = tree(3, b7=41)
        assert len(await items(whole, "a#b7")) == 41

    run(main())


def test_a_listing_looks_at_no_message_of_a_branch_but_its_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[Message] = []

    def refuses(message: Message) -> None:
        looked_at.append(message)

    monkeypatch.setattr("synmem.backends.telling.refusal", refuses)

    async def main() -> None:
        source = Dict(a=tree(3, **{f"b{n}": 400 for n in range(50)}))
        whole = store(source, branches=True)
        assert len(await ids(whole)) == 51
        assert looked_at == []
        assert (await details(whole))["a#b7"].messages == 400
        assert len(looked_at) <= 2 + 51 * 2

    run(main())


def test_a_time_that_none_can_be_is_not_listed() -> None:
    async def main() -> None:
        bad: Any = Message(None, "x", created_at=AT)  # type: ignore[arg-type]
        told = Told(messages=numbered(1), branches={"b": [bad, Message("u", "x", created_at=AT)]})
        found = await details(store(Dict(a=told), branches=True))
        assert (found["a#b"].first_at, found["a#b"].last_at) == (None, AT)

    run(main())


# --- the rest -------------------------------------------------------------------------------


def test_it_is_only_read_and_says_what_it_is() -> None:
    async def main() -> None:
        whole = store(Dict(a=tree()))
        assert whole.remark() == "theirs"
        assert "theirs" in (whole.refusal(Message("user", "x")) or "")
        for write in (
            whole.append([Part(Conversation("a"), numbered(1))]),
            whole.delete("a"),
            whole.replace(Conversation("a"), None, upto=START),  # type: ignore[arg-type]
        ):
            with pytest.raises(Unsupported, match="can be read, not written"):
                await write

    run(main())


def test_a_version_is_of_what_is_read_as_what() -> None:
    async def main() -> None:
        one, two = (store(Dict(), branches=branches) for branches in (False, True))
        assert await one.version() != await two.version()
        assert (await one.strays())[0].position == "row 7"

    run(main())
