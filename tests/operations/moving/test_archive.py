"""An archive outlives its source: what is new comes, what the source drops stays, nothing is lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synmem.backends.inmemory import InMemoryStore
from synmem.backends.whole import WholeStore
from synmem.errors import UsageError
from synmem.layouts.shapes import Told
from synmem.messages import Conversation, Holds, Message, Unreadable
from synmem.operations.moving.check import check
from synmem.operations.moving.naming import Naming
from synmem.store import Part, Store
from tests.backends.test_whole import HOLDS, Dict
from tests.conformance import AT
from tests.operations.moving.test_transfer import Outcome, fill, messages, run, texts

Archived = dict[str, list[str]]


class Sources:
    """A source of which the conversations are set; a tree tells the leaf of each."""

    def __init__(self, *, tree: bool = False) -> None:
        self.told = Dict()
        self.tree = tree

    def says(self, conversation: str, *said: str, leaf: str | None = None, **own: Any) -> None:
        """A conversation is now this. Where a tree has no other leaf, the last text is it."""
        leaf = leaf or (said[-1] if said else None)
        told = Told(messages=messages(*said), leaf=leaf if self.tree else None, **own)
        self.told.there[conversation] = told

    def store(self, *, branches: bool = False) -> Store:
        return WholeStore(self.told, HOLDS, "theirs", branches=branches, page_size=2)


class Archive(InMemoryStore):
    """Counts what is written to it, takes three messages a call, and gives way to others."""

    holds = Holds(call_messages=3)

    def __init__(self) -> None:
        super().__init__(page_size=2)
        self.calls = 0
        self.last = 10**9
        """After so many calls whoever writes is killed."""

    async def append(self, parts: Sequence[Part], **how: Any) -> list[str]:
        await asyncio.sleep(0)
        if self.calls >= self.last:
            raise Killed
        self.calls += 1
        return await super().append(parts, **how)

    async def conversations(self, *ids: Any, **how: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        async for page in super().conversations(*ids, **how):
            yield page


class Killed(BaseException):
    """The process is gone."""


async def held(store: Store) -> Archived:
    """What is in a store."""
    ids = [info.id async for page in store.conversations() for info in page]
    return {id_: await texts(store, id_) for id_ in sorted(ids)}


async def titles(store: Store) -> dict[str, Any]:
    found = [info async for page in store.conversations(details=True) for info in page]
    return {info.id: info.title for info in found}


async def archived(source: Sources, dest: Archive, **options: Any) -> Outcome:
    """One run, after which another one does nothing."""
    outcome = await run(source.store(), dest, archive=True, exact=True, **options)
    assert not [entry for entry in outcome.entries.values() if entry.kind]
    assert len(outcome.receipt["conversations"]) == len(source.told.there)
    before = await held(dest), await titles(dest), dest.calls
    again = await run(source.store(), dest, archive=True, exact=True, **options)
    assert (await held(dest), await titles(dest), dest.calls) == before
    assert {entry.action for entry in again.entries.values()} <= {"equal", "ahead"}
    assert not [entry for entry in again.entries.values() if entry.kind]
    return outcome


# --- case by case ---------------------------------------------------------------------------


@pytest.mark.parametrize("tree", [False, True])
def test_what_the_source_drops_is_kept(tree: bool) -> None:
    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        source.says("gone", "a", "b")
        source.says("stays", "a")
        await archived(source, dest)
        del source.told.there["gone"]
        source.says("stays", "a", "b")
        source.says("new", "x")
        outcome = await archived(source, dest)
        assert await held(dest) == {"gone": ["a", "b"], "new": ["x"], "stays": ["a", "b"]}
        assert outcome.counts == {
            "conversations": 2, "messages": 2, "copied": 1, "appended": 1,
        }  # fmt: skip

    asyncio.run(main())


@pytest.mark.parametrize("tree", [False, True])
def test_a_rewind_that_went_on_is_a_branch_which_grows_and_is_found_again(tree: bool) -> None:
    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        source.says("a", "1", "2", "3", title="T")
        await archived(source, dest)
        source.says("a", "1", "2", title="T")  # rewound, and nothing said yet
        assert (await archived(source, dest)).entries["a"].action == "ahead"
        source.says("a", "1", "2", "x", "y", "z", title="T")
        outcome = await archived(source, dest)
        (branch,) = {*await held(dest)} - {"a"}
        assert branch == "a#z" if tree else branch.startswith("a#")
        entry = outcome.entries[branch]
        assert (entry.source, entry.action, entry.written) == ("a", "branched", 5)
        assert (await titles(dest))[branch] == "T"
        source.says("a", "1", "2", "x", "y", "z", "w", title="T")
        outcome = await archived(source, dest)
        assert (outcome.entries[branch].action, outcome.entries[branch].written) == ("appended", 1)
        source.says("a", "1", "2", "3", "4", title="T")  # the first one is taken up again
        await archived(source, dest)
        assert await held(dest) == {
            "a": ["1", "2", "3", "4"], branch: ["1", "2", "x", "y", "z", "w"],
        }  # fmt: skip

    asyncio.run(main())


@pytest.mark.parametrize("tree", [False, True])
def test_what_is_edited_compacted_or_begun_again_is_kept_as_it_was(tree: bool) -> None:
    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        for said in (
            ("1", "2", "3"),
            ("1", "2 edited", "3"),  # and the leaf has the same id
            ("1", "2 edited again", "3"),
            ("summary of 1 to 3", "4"),
            ("hello",),
        ):
            source.says("a", *said)
            await archived(source, dest)
        source.says("a", "summary of 1 to 3", "4", "5")
        await archived(source, dest)
        found = await held(dest)
        assert found.pop("a") == ["1", "2", "3"]
        assert all(name.startswith("a#") for name in found)
        assert sorted(found.values()) == [
            ["1", "2 edited", "3"],
            ["1", "2 edited again", "3"],
            ["hello"],
            ["summary of 1 to 3", "4", "5"],
        ]
        assert not tree or {"a#3", "a#4", "a#hello"} <= {*found}

    asyncio.run(main())


def test_a_newer_title_or_extra_takes_the_place_of_the_old_but_not_where_the_archive_has_more() -> None:  # fmt: skip
    async def main() -> None:
        source, dest = Sources(), Archive()
        source.says("a", "1", "2", title="old", extra={"k": 1})
        source.says("grows", "1", title="old")
        await archived(source, dest)
        source.says("a", "1", "2", title="new", extra={"k": 2})
        source.says("grows", "1", "2", title="new")
        outcome = await archived(source, dest)
        assert outcome.entries["a"].written == 0
        infos = {i.id: i async for page in dest.conversations(details=True) for i in page}
        assert (infos["a"].title, infos["a"].extra) == ("new", {"k": 2})
        assert infos["grows"].title == "new"
        source.says("a", "1", title="of an older export", extra={"k": 1})
        source.says("grows", "1", "2")  # has none any more
        outcome = await archived(source, dest)
        assert outcome.entries["a"].description == {}
        assert await titles(dest) == {"a": "new", "grows": "new"}

    asyncio.run(main())


@pytest.mark.parametrize("tree", [False, True])
def test_a_conversation_that_was_pruned_is_ahead_in_the_archive(tree: bool) -> None:
    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        whole = [f"m{n}" for n in range(9)]
        source.says("a", *whole, title="T")
        await archived(source, dest)
        for part in (whole[4:], whole[:5], whole[2:6], whole[8:]):
            source.says("a", *part, title="T")
            outcome = await archived(source, dest)
            entry = outcome.entries["a"]
            assert (entry.action, entry.written, entry.messages) == ("ahead", 0, len(part))
            assert entry.at == whole.index(part[0])
            assert await held(dest) == {"a": whole}

    asyncio.run(main())


@pytest.mark.parametrize("tree", [False, True])
def test_a_rolling_window_is_appended_where_it_overlaps_and_a_branch_where_not(tree: bool) -> None:
    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        said = [f"m{n}" for n in range(20)]
        source.says("a", *said[:8], title="T")
        await archived(source, dest)
        source.says("a", *said[4:12], title="new")
        outcome = await archived(source, dest)
        entry = outcome.entries["a"]
        assert (entry.action, entry.written, entry.at, entry.messages) == ("extended", 4, 4, 8)
        assert (await held(dest), await titles(dest)) == ({"a": said[:12]}, {"a": "new"})
        source.says("a", *said[9:14])  # an overlap of three
        await archived(source, dest)
        source.says("a", *said[10:16])  # the window of the branch goes on
        outcome = await archived(source, dest)
        (branch,) = {*await held(dest)} - {"a"}
        assert outcome.entries[branch].action == "extended"
        assert await held(dest) == {"a": said[:12], branch: said[9:16]}

    asyncio.run(main())


def test_the_end_of_the_archive_has_the_newer_title_also_where_the_front_was_removed() -> None:
    async def main() -> None:
        source, dest = Sources(), Archive()
        said = [f"m{n}" for n in range(6)]
        source.says("a", *said, title="old")
        await archived(source, dest)
        source.says("a", *said[2:], title="new")
        await archived(source, dest)
        assert (await held(dest), await titles(dest)) == ({"a": said}, {"a": "new"})

    asyncio.run(main())


@pytest.mark.parametrize("leaf", ["\ud800", "x" * 2000, ""])
def test_a_leaf_that_no_id_can_have_is_not_in_it(leaf: str) -> None:
    async def main() -> None:
        source, dest = Sources(tree=True), Archive()
        source.says("a", "1", "2")
        await archived(source, dest)
        source.told.there["a"] = Told(messages=messages("1", "x"), leaf=leaf)
        await archived(source, dest)
        (branch,) = {*await held(dest)} - {"a"}
        assert len(branch) == len("a#") + 12

    asyncio.run(main())


def test_where_no_id_can_be_made_it_is_named_and_nothing_lost() -> None:
    async def main() -> None:
        source, dest = Sources(), Archive()
        name = "a" * 1020
        source.says(name, "1", "2")
        await archived(source, dest)
        source.says(name, "1", "x")
        outcome = await run(source.store(), dest, archive=True)
        assert outcome.entries[name].kind == "rejected"
        problem = outcome.entries[name].problem or ""
        assert problem.startswith("message 2: content; as a branch of its own, the id has 1033")
        assert await held(dest) == {name: ["1", "2"]}

    asyncio.run(main())


def test_another_conversation_of_the_source_is_no_branch_of_this_one() -> None:
    async def main() -> None:
        source, dest = Sources(tree=True), Archive()
        source.says("room", "1", "2")
        source.says("room#9", "1")  # a conversation of that id, and not a branch
        await archived(source, dest)
        source.says("room", "1", "x", "9")
        source.says("room#9", "1", "x")
        await archived(source, dest)
        found = await held(dest)
        (branch,) = {*found} - {"room", "room#9"}
        assert branch.startswith("room#")
        assert found == {"room": ["1", "2"], "room#9": ["1", "x"], branch: ["1", "x", "9"]}
        source.says("room", "1", "x", "9", "10")
        await archived(source, dest)
        assert (await held(dest))[branch] == ["1", "x", "9", "10"]

    asyncio.run(main())


def test_with_branches_each_is_a_conversation_and_one_that_becomes_current_is_found() -> None:
    async def main() -> None:
        source, dest = Sources(tree=True), Archive()
        both = {"b": messages("1", "b")}, {"a": messages("1", "a")}
        for branches, said in zip(both * 2, ("a", "b") * 2, strict=True):
            source.says("c", "1", said, branches=branches)
            outcome = await run(source.store(branches=True), dest, archive=True)
            assert not [entry for entry in outcome.entries.values() if entry.kind]
        assert await held(dest) == {"c": ["1", "a"], "c#a": ["1", "a"], "c#b": ["1", "b"]}

    asyncio.run(main())


# --- what was still being written -----------------------------------------------------------


def streamed(*said: Any) -> list[Message]:
    """Messages a second apart: texts, or the fields of an answer."""
    return [
        Message(
            "user" if isinstance(each, str) else "assistant",
            created_at=AT + timedelta(seconds=n),
            **({"content": each} if isinstance(each, str) else each),
        )
        for n, each in enumerate(said)
    ]


def call(id_: str) -> dict[str, Any]:
    return {"id": id_, "name": "f", "arguments": {}}


HALF = {"content": "Let", "tool_calls": [call("1")], "extra": {"usage": 1}}
WHOLE = {"content": "Let me", "tool_calls": [call("1"), call("2")], "extra": {"usage": 5, "n": 2}}


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize(
    ("before", "then"),
    [
        (["q", {"content": ""}], ["q", {"content": "An answer"}]),
        (["q", HALF], ["q", WHOLE]),
        (["q", HALF, "r1"], ["q", WHOLE, "r1", "r2", "more", "and more", "x", "y"]),
        (
            [{"content": "a", "parts": [{"type": "x"}, {"type": "text", "text": "a"}]}],
            [
                {
                    "content": "ab",
                    "parts": [{"type": "x"}, {"type": "text", "text": "ab"}, {"type": "y"}],
                }
            ],
        ),
    ],
)
def test_an_answer_that_was_half_there_is_completed_in_its_place(
    tree: bool, before: list[Any], then: list[Any]
) -> None:
    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        for said, title in ((before, "old"), (then, "new")):
            told = Told(messages=streamed(*said), title=title, leaf="l" if tree else None)
            source.told.there["a"] = told
            outcome = await archived(source, dest)
        assert [item async for page in dest.read(["a"]) for item in page.items] == streamed(*then)
        assert (await titles(dest)) == {"a": "new"}
        entry = outcome.entries["a"]
        assert (entry.action, entry.messages) == ("appended", len(then))
        same = sum(one == other for one, other in zip(before, then, strict=False) if one == "q")
        assert entry.written == outcome.transfer.written == len(then) - same

    asyncio.run(main())


@pytest.mark.parametrize(
    ("before", "then"),
    [
        (["q", {"content": "Yes, but"}], ["q", {"content": "Yes"}]),  # undone
        (["q", {"content": "Yes"}], ["q", {"content": "No"}]),
        (["q", {"content": "Yes"}, "r"], ["q", {"content": "Yes, but"}, "s"]),
        (["q", {"content": "Yes"}, "r"], ["q", {"content": "Yes, but"}]),
        (["q", HALF], ["q", {**WHOLE, "tool_calls": [call("2"), call("1")]}]),
        (["q", HALF], ["q", {**WHOLE, "tool_calls": None}]),
        (["q", HALF], ["q", {**WHOLE, "name": "other"}]),
        (["q", HALF], ["q", {**WHOLE, "extra": {"n": 2}}]),  # what stood beside it is gone
        (["q", HALF], ["q", {**WHOLE, "extra": None}]),
        (["q", WHOLE], ["q", {**WHOLE, "extra": {"usage": 1, "n": 2}}]),  # an older copy
        *(
            (
                ["q", {"content": "a", "extra": {"k": old}}],
                ["q", {"content": "a", "extra": {"k": new}}],
            )
            for old, new in [("output " * 20, "pruned"), ([1, 2], [1]), ({"a": 1}, {}), (5, "x")]
        ),
        ([{"content": "a"}, *map(str, range(64))], [{"content": "ab"}, *map(str, range(64))]),
    ],
)
def test_what_says_something_else_is_no_longer_answer(before: list[Any], then: list[Any]) -> None:
    async def main() -> None:
        source, dest = Sources(), Archive()
        for said in (before, then):
            source.told.there["a"] = Told(messages=streamed(*said))
            await archived(source, dest)
        assert len(await held(dest)) == 2
        assert [item async for page in dest.read(["a"]) for item in page.items] == streamed(*before)

    asyncio.run(main())


def test_without_a_time_nothing_tells_that_it_is_the_same_message() -> None:
    async def main() -> None:
        source, dest = Sources(), Archive()
        for said in ("Yes", "Yes, but"):
            source.says("a", "q", said)
            await archived(source, dest)
        assert len(await held(dest)) == 2

    asyncio.run(main())


def test_a_half_answer_of_a_branch_is_completed_there_and_a_dry_run_only_says_so() -> None:
    async def main() -> None:
        source, dest = Sources(tree=True), Archive()
        source.says("a", "1", "2")
        await archived(source, dest)
        source.told.there["a"] = Told(messages=streamed("q", HALF), leaf="x")
        await archived(source, dest)
        source.told.there["a"] = Told(messages=streamed("q", WHOLE, "more"), leaf="y")
        before = await held(dest)
        outcome = await run(source.store(), dest, archive=True, dry_run=True)
        assert [(e.conversation, e.action, e.written) for e in outcome.entries.values()] == [
            ("a#x", "appended", 2)
        ]
        assert await held(dest) == before
        runs = (run(source.store(), dest, archive=True) for _ in range(2))
        for outcome in await asyncio.gather(*runs):
            assert not [entry for entry in outcome.entries.values() if entry.kind]
        await archived(source, dest)
        assert await held(dest) == {"a": ["1", "2"], "a#x": ["q", "Let me", "more"]}

    asyncio.run(main())


# --- what cannot be read --------------------------------------------------------------------


def test_what_cannot_be_read_is_named_and_comes_later_when_it_can() -> None:
    async def main() -> None:
        source, dest = Sources(tree=True), Archive()
        source.says("a", "1", "2", "3")
        await archived(source, dest)
        bad = Unreadable("2", "half a line")
        source.told.there["a"] = Told(messages=[*messages("1", "x"), bad], leaf="end")
        for _ in range(2):
            outcome = await run(source.store(), dest, archive=True)
            assert outcome.entries["a#end"].kind == "unreadable"
            assert await held(dest) == {"a": ["1", "2", "3"], "a#end": ["1", "x"]}
        source.says("a", "1", "x", "y")
        await archived(source, dest)
        source.told.there["a"] = Told(messages=[*messages("1", "x"), bad], leaf="y")
        outcome = await run(source.store(), dest, archive=True)
        (entry,) = outcome.entries.values()
        assert (entry.kind, entry.source) == ("unreadable", "a")
        assert await held(dest) == {"a": ["1", "2", "3"], "a#end": ["1", "x", "y"]}

    asyncio.run(main())


def test_an_archived_branch_that_is_damaged_is_passed_over() -> None:
    async def main() -> None:
        source, dest = Sources(tree=True), Archive()
        source.says("a", "1", "2")
        await archived(source, dest)
        source.says("a", "1", "x")
        await archived(source, dest)
        dest._held["a#x"].messages[1] = Unreadable("1", "not JSON")
        await archived(source, dest)
        found = await held(dest)
        assert found.pop("a") == ["1", "2"]
        assert found.pop("a#x") == ["1", "?"]
        assert [*found.values()] == [["1", "x"]]

    asyncio.run(main())


# --- cut short, and two at once -------------------------------------------------------------


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("last", range(1, 7))
def test_what_was_cut_short_goes_on_wherever_that_was(tree: bool, last: int) -> None:
    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        for id_ in "abc":
            source.says(id_, *(f"{n}" for n in range(6)))
        await archived(source, dest)
        for id_ in "abc":
            source.says(id_, "0", "1", *(f"{id_}{n}" for n in range(7)), title="new")
        dest.last = dest.calls + last
        with pytest.raises(Killed):
            await run(source.store(), dest, archive=True)
        dest.last = 10**9
        await archived(source, dest)
        found = await held(dest)
        assert len(found) == 6
        for id_ in "abc":
            assert found.pop(id_) == [f"{n}" for n in range(6)]
        assert sorted(found.values()) == sorted(
            ["0", "1", *(f"{id_}{n}" for n in range(7))] for id_ in "abc"
        )

    asyncio.run(main())


@pytest.mark.parametrize("tree", [False, True])
def test_of_two_runs_at_once_none_makes_a_second_copy(tree: bool) -> None:
    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        for id_ in "abcd":
            source.says(id_, *(f"{n}" for n in range(5)))
        await archived(source, dest)
        for id_ in "abcd":
            source.says(id_, "0", *(f"{id_}{n}" for n in range(8)), title="new")
        runs = (run(source.store(), dest, archive=True) for _ in range(3))
        for outcome in await asyncio.gather(*runs):
            assert not [entry for entry in outcome.entries.values() if entry.kind]
        await archived(source, dest)
        assert len(await held(dest)) == 8

    asyncio.run(main())


# --- any history at all ---------------------------------------------------------------------

_TEXTS = st.sampled_from("abcdef")
_CHANGES = st.one_of(
    st.tuples(st.just("say"), st.lists(_TEXTS, min_size=1, max_size=6)),
    st.tuples(st.just("rewind"), st.integers(0, 8)),
    st.tuples(st.just("prune"), st.integers(0, 8)),
    st.tuples(st.just("edit"), st.integers(0, 8)),
    st.tuples(st.just("title"), _TEXTS),
    st.tuples(st.just("gone"), st.none()),
    st.tuples(st.just("killed"), st.integers(0, 3)),
    st.tuples(st.just("run"), st.none()),
)


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(_CHANGES, max_size=25),
    tree=st.booleans(),
    numbered=st.booleans(),
    naming=st.sampled_from([Naming(), Naming("h/", ""), Naming("", "#"), Naming("#", "#x")]),
)
def test_whatever_a_source_goes_through_is_in_its_archive(
    changes: list[tuple[str, Any]], tree: bool, numbered: bool, naming: Naming
) -> None:
    """Each message is another one where `numbered`; else the same text is the same message."""

    async def main() -> None:
        source, dest = Sources(tree=tree), Archive()
        said: list[str] = []
        title, count = None, 0
        for change, value in [*changes, ("run", None)]:
            match change:
                case "say":
                    said = said + [
                        f"{v}{count + i}" if numbered else v for i, v in enumerate(value)
                    ]
                    count += len(value)
                case "rewind":
                    said = said[:value]
                case "prune":
                    said = said[value:]
                case "edit" if said:
                    said = [*said]
                    said[value % len(said)] += "!"
                case "title":
                    title = value
                case "gone":
                    said = []
            source.told.there = {"other#a": Told(messages=messages("o"))}
            if said:
                leaf = f"l{len(said)}{said[-1]}"
                source.says("c", *said, leaf=leaf, title=title)
            before = await held(dest)
            if change == "killed":
                dest.last = dest.calls + value
                with contextlib.suppress(Killed):
                    await run(source.store(), dest, archive=True, naming=naming)
                dest.last = 10**9
            if change == "run":
                await archived(source, dest, naming=naming)
                found = [naming.here(name) for name in await held(dest)]
                assert all(each and each.split("#")[0] in ("c", "other") for each in found)
                assert not said or any(
                    _within(said, there) for there in (await held(dest)).values()
                )
            after = await held(dest)
            assert all(after[name][: len(there)] == there for name, there in before.items())

    asyncio.run(main())


def _within(said: list[str], there: list[str]) -> bool:
    return any(there[i : i + len(said)] == said for i in range(len(there)))


# --- other names, and what goes with it ------------------------------------------------------


def test_under_other_names_two_sources_do_not_meet_and_their_branches_have_these_too() -> None:
    async def main() -> None:
        one, other, dest = Sources(tree=True), Sources(tree=True), Archive()
        one.says("a", "1", "2", title="T")
        other.says("a", "3")
        await archived(one, dest, naming=Naming("one/", "!"))
        await archived(other, dest, naming=Naming("other/"))
        one.says("a", "1", "x", title="T")
        outcome = await archived(one, dest, naming=Naming("one/", "!"))
        assert outcome.entries["one/a#x!"].source == "a"
        found = {each.conversation: (each.state, each.there)
                 async for page in check(one.store(), dest, naming=Naming("one/", "!"))
                 for each in page}  # fmt: skip
        assert found == {"a": ("*", "one/a!"), "a#x": ("-", "one/a#x!")}
        one.says("b", "1")
        found = {each.conversation: (each.state, each.there)
                 async for page in check(one.store(), dest, naming=Naming("one/", "!"),
                                         match="b", quick=True)
                 for each in page}  # fmt: skip
        assert found == {"b": ("+", "one/b!")}
        assert sorted(await held(dest)) == ["one/a!", "one/a#x!", "other/a"]

    asyncio.run(main())


@pytest.mark.parametrize("way", ["rename", "replace", "extend"])
def test_each_way_to_end_a_conflict_goes_by_the_other_name(way: str) -> None:
    async def main() -> None:
        source, dest = InMemoryStore(page_size=2), InMemoryStore(page_size=2)
        await fill(source, "a", *"34567")
        await fill(source, "b", "1")
        await fill(dest, "x/a", *"123456")
        await fill(dest, "a", "other")
        for _ in range(2):
            outcome = await run(
                source, dest, on_conflict=way, naming=Naming("x/"), label="L", exact=True
            )
            assert not [entry for entry in outcome.entries.values() if entry.kind]
        expected = {"a": ["other"], "x/a": [*"123456"], "x/b": ["1"]}
        expected |= {
            "rename": {"x/a (from L)": [*"34567"]},
            "replace": {"x/a": [*"34567"]},
            "extend": {"x/a": [*"1234567"]},
        }[way]
        assert await held(dest) == expected

    asyncio.run(main())


def test_a_name_that_is_too_long_is_rejected_with_all_that_it_would_hold() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        await fill(source, "a" * 1020, "1", "2")
        await fill(source, "b", "1")
        outcome = await run(source, dest, naming=Naming("host/"))
        assert outcome.entries["host/" + "a" * 1020].kind == "rejected"
        assert [each[1:] for each in outcome.rejected] == [
            (0, Message("user", "1"), outcome.rejected[0][3]),
            (1, Message("user", "2"), outcome.rejected[1][3]),
        ]
        assert "the id has 1025 bytes" in outcome.rejected[0][3]
        assert await held(dest) == {"host/b": ["1"]}

    asyncio.run(main())


def test_what_is_moved_to_an_archive_leaves_the_source_only_where_all_of_it_is_there() -> None:
    async def main() -> None:
        source, dest = InMemoryStore(), InMemoryStore()
        naming = Naming("h/")
        for id_, said in {"new": "12", "equal": "12", "less": "1", "other": "1x"}.items():
            await source.append([Part(Conversation(id_, "T"), messages(*said))])
        for id_ in ("equal", "less", "other"):
            title = "another" if id_ == "less" else "T"
            await dest.append([Part(Conversation(f"h/{id_}", title), messages("1", "2"))])
        outcome = await run(source, dest, archive=True, move=True, naming=naming)
        assert {e.source: e.kind for e in outcome.entries.values() if e.kind} == {"less": "left"}
        assert await held(source) == {"less": ["1"]}
        found = await held(dest)
        assert sorted(found.values()) == [["1", "2"]] * 4 + [["1", "x"]]

    asyncio.run(main())


def test_a_dry_run_tells_all_of_it_and_writes_nothing() -> None:
    async def main() -> None:
        source, dest = Sources(tree=True), Archive()
        source.says("a", "1", "2")
        source.says("t", "1", title="old")
        await archived(source, dest)
        calls, before = dest.calls, await held(dest)
        source.says("a", "1", "x")
        source.says("t", "1", title="new")
        outcome = await run(source.store(), dest, archive=True, dry_run=True)
        assert {e.conversation: (e.action, e.written) for e in outcome.entries.values()} == {
            "a#x": ("branched", 2), "t": ("appended", 0),
        }  # fmt: skip
        assert (dest.calls, await held(dest)) == (calls, before)

    asyncio.run(main())


def test_an_archive_has_no_conflicts_to_end_otherwise() -> None:
    with pytest.raises(UsageError, match="keeps both"):
        asyncio.run(run(InMemoryStore(), InMemoryStore(), archive=True, on_conflict="replace"))
