"""The file store: the contract on every form, and what can go wrong with a file."""

import asyncio
import contextlib
import gc
import os
import random
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synmem.backends.file import slices
from synmem.backends.file import store as file
from synmem.backends.file.opening import BLOCK
from synmem.backends.file.store import FileStore
from synmem.errors import (
    AccessDenied,
    Changed,
    CorruptData,
    StoreError,
    StoreNotFound,
    Unsupported,
    UsageError,
)
from synmem.formats import open_writer
from synmem.formats.jsonl import Writer
from synmem.messages import (
    SEVERAL,
    Conversation,
    Damage,
    Message,
    Unreadable,
    encode_line,
    line_prefix,
)
from synmem.store import Part, Store, SupportsDamage, once
from tests.conformance import AT, PAGE_SIZE, Reading, contents, ids, items, numbered, run
from tests.nobody import as_nobody

Contents = Sequence[tuple[Conversation, Sequence[Message]]]


def written(form: str, conversations: Contents, **options: bool) -> bytes:
    """What `export -f FORM` makes of them, in pages of two."""
    writer = open_writer(form, **options)
    chunks = [writer.begin()]
    for conversation, messages in conversations:
        chunks.append(writer.conversation(conversation))
        for start in range(0, len(messages), 2):
            chunks.append(writer.messages(messages[start : start + 2]))
    return b"".join([*chunks, writer.end()])


@contextlib.asynccontextmanager
async def opened(path: Path, **how: Any) -> AsyncIterator[FileStore]:
    """The store over this file, with pages of two."""
    store = await file.open({"path": str(path), **how}, page_size=PAGE_SIZE)
    try:
        yield store
    finally:
        await store.close()


def everything(path: Path, **how: Any) -> dict[str, tuple[Any, Any, list[Any]]]:
    """What a file holds: by id the title, the extra and the messages."""

    async def main() -> dict[str, tuple[Any, Any, list[Any]]]:
        async with opened(path, **how) as store:
            pages = store.conversations(details=True)
            infos = {info.id: info async for page in pages for info in page}
            found: dict[str, list[Any]] = {name: [] for name in infos}
            async for page in store.read(list(infos)):
                found[page.conversation] += page.items
            for name, info in infos.items():
                assert info.messages == len(found[name])
            return {name: (i.title, i.extra, found[name]) for name, i in infos.items()}

    result: dict[str, tuple[Any, Any, list[Any]]] = asyncio.run(main())
    return result


def said(path: Path, **how: Any) -> dict[str, list[Any]]:
    """By id what the messages say; of what is unreadable position and reason."""
    return {
        name: [
            (item.position, item.reason) if isinstance(item, Unreadable) else item.content
            for item in found
        ]
        for name, (_, _, found) in everything(path, **how).items()
    }


def damage(path: Path, **how: Any) -> list[Damage]:
    """What the file itself says is wrong with it."""

    async def main() -> list[Damage]:
        async with opened(path, **how) as store:
            assert isinstance(store, SupportsDamage)
            return await store.damage()

    found: list[Damage] = asyncio.run(main())
    return found


def line(conversation: str, text: str, **fields: Any) -> bytes:
    """A message as a line."""
    return encode_line(line_prefix(conversation), Message("user", text, **fields))


# --- the contract, on every form ------------------------------------------------------------


class FileContract(Reading):
    """The contract over a file of one form."""

    form = ""
    options: dict[str, bool] = {}  # noqa: RUF012

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[Part], tmp_path: Any) -> AsyncIterator[Store]:
        path = tmp_path / f"export.{self.form}"
        path.write_bytes(
            written(self.form, [(p.conversation, p.messages) for p in parts], **self.options)
        )
        before = path.read_bytes(), path.stat()
        async with opened(path) as store:
            yield store
            with contextlib.suppress(StoreError):  # where the test has closed it
                if path.suffix == ".jsonl":
                    assert await store.damage() == []
        assert (path.read_bytes(), path.stat().st_mtime_ns) == (before[0], before[1].st_mtime_ns)


class TestJsonLines(FileContract):
    form = "jsonl"

    def test_close_twice_is_close_once(self, tmp_path: Any) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(line("a", "x"))

        async def main() -> None:
            store = await file.open({"path": path})
            await store.close()
            await store.close()

        run(main())


class TestSealedJsonLines(TestJsonLines):
    options = {"seal": True}  # noqa: RUF012


class TestJson(FileContract):
    form = "json"


class TestCsv(FileContract):
    form = "csv"


class TestRawCsv(FileContract):
    form = "csv"
    options = {"raw": True}  # noqa: RUF012


# --- any conversation, through every form ---------------------------------------------------

text = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["", "\0", "\ud800", "\u2028\x85\x0b", "=1+1", "'=1", "''", "'", "\t", "\r", "a\r\nb\nc\rd",
     '"', ",", '""', "null", "\ufeff", "👋🏽", "-1", "\r\n=1"]
)  # fmt: skip
text = text.filter(lambda t: t == t.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"))  # fmt: skip
number = st.integers() | st.floats() | st.sampled_from([2**70, -(2**70), 1, 1.0, -0.0, 5e-324])
value = st.recursive(
    st.none() | st.booleans() | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
data = st.none() | st.dictionaries(text | st.sampled_from(["synmem", "jsonl", "csv"]), value, max_size=3)  # fmt: skip
objects = st.none() | st.lists(st.dictionaries(text, value, max_size=2), max_size=2)
message = st.builds(
    Message,
    role=st.sampled_from(["user", "assistant", "=role"]) | text,
    content=text,
    metadata=data,
    created_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    tool_calls=objects,
    tool_call_id=st.none() | text,
    name=st.none() | text,
    parts=objects,
    extra=data,
)
plain = st.builds(Message, role=st.sampled_from(["user", "assistant"]), content=text)
identifier = text.filter(
    lambda t: (
        1 <= len(t.encode("utf-8", "replace")) <= 1024
        and not any("\ud800" <= c <= "\udfff" for c in t)
    )
)
conversations = st.dictionaries(
    identifier,
    st.tuples(st.none() | text, data, st.lists(message | plain, min_size=1, max_size=5)),
    max_size=4,
)
here = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def as_contents(held: dict[str, Any]) -> Contents:
    return [(Conversation(name, title, extra), list_) for name, (title, extra, list_) in held.items()]  # fmt: skip


def normal(held: dict[str, Any]) -> dict[str, Any]:
    """With an extra that is empty as none, and extras comparable though they hold NaN."""
    return {
        name: (title, repr(extra) if extra else None, messages)
        for name, (title, extra, messages) in held.items()
    }


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
@here
@given(held=conversations)
def test_what_is_written_is_read(form: str, tmp_path: Path, held: dict[str, Any]) -> None:
    path = tmp_path / f"a.{form}"
    path.write_bytes(written(form, as_contents(held)))
    assert normal(everything(path)) == normal(held)
    assert damage(path) == []


@here
@given(held=conversations)
def test_a_csv_without_guard_is_read_as_well(tmp_path: Path, held: dict[str, Any]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(written("csv", as_contents(held), raw=True))
    assert normal(everything(path)) == normal(everything(path, raw=True)) == normal(held)


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
@here
@given(held=conversations)
def test_the_form_is_found_without_a_name(form: str, tmp_path: Path, held: dict[str, Any]) -> None:
    path = tmp_path / "stdin-spool"
    path.write_bytes(written(form, as_contents(held)))
    assert normal(everything(path)) == normal(held)


@here
@given(held=conversations, seed=st.integers())
def test_lines_of_a_conversation_belong_together_wherever_they_stand(
    tmp_path: Path, held: dict[str, Any], seed: int
) -> None:
    lines = {name: written("jsonl", [c]).splitlines(True) for name, c in zip(held, as_contents(held), strict=True)}  # fmt: skip
    order = [name for name in lines for _ in lines[name]]
    random.Random(seed).shuffle(order)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(lines[name].pop(0) for name in order))
    assert normal(everything(path)) == normal(held)


def test_many_shuffled_conversations_read_as_they_should_across_blocks(tmp_path: Path) -> None:
    names = [f"c{n % 97}" for n in range(20_000)]
    random.Random(1).shuffle(names)
    path = tmp_path / "a.jsonl"
    filler = "x" * 100  # some blocks' worth
    path.write_bytes(b"".join(line(name, f"{n} {filler}") for n, name in enumerate(names)))
    expected: dict[str, list[str]] = {}
    for n, name in enumerate(names):
        expected.setdefault(name, []).append(f"{n} {filler}")
    assert said(path) == expected

    async def main() -> None:
        store = await file.open({"path": path}, page_size=100)
        newest = [m.content async for p in store.read(["c5"], reverse=True, limit=150) for m in p.items]  # type: ignore[union-attr]  # fmt: skip
        assert newest == expected["c5"][::-1][:150]
        pages = [page async for page in store.read(["c5"])]
        rest = [m async for p in store.read(["c5"], after=pages[1].position(7)) for m in p.items]
        assert [m.content for m in rest] == expected["c5"][108:]  # type: ignore[union-attr]
        await store.close()

    run(main())


# --- seals ----------------------------------------------------------------------------------

SEALED = written(
    "jsonl",
    [
        (Conversation("a", "Ä title", {"k": 1}), [Message("user", "hellö"), *numbered(2)]),
        (Conversation("b"), [Message("assistant", "x", {"n": None}, AT)]),
    ],
    seal=True,
)


def test_a_sealed_export_is_what_the_design_says() -> None:
    lines = SEALED.splitlines()
    assert lines[0] == b'{"synmem": {"sealed": 1}}'
    assert lines[1].decode() == '{"conversation_id":"a","title":"Ä title","extra":{"k":1}}'
    assert lines[-1].startswith(b'{"synmem": {"conversations": 2, "messages": 4, "digest": "sha256:')  # fmt: skip


def test_a_sealed_file_cut_at_any_byte_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for size in range(1, len(SEALED)):
        path.write_bytes(SEALED[:size])
        if size < len(SEALED.splitlines()[0]):
            with pytest.raises(CorruptData, match="torn"):
                damage(path)
        else:
            assert "cut short" in [found.kind for found in damage(path)], size


def test_a_torn_seal_or_opening_is_blamed_on_no_conversation(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(SEALED)
    whole = said(path)
    for size in range(SEALED.rindex(b"\n", 0, -1) + 4, len(SEALED) - 2):
        path.write_bytes(SEALED[:size])
        assert said(path) == whole
        [why] = damage(path)
        assert (why.kind, why.position) == ("cut short", "1")
        assert why.reason == "the seal of the sealed export that begins at line 1, at line 7, is torn"  # fmt: skip
    path.write_bytes(SEALED + SEALED[:10])
    assert said(path) == whole
    [why] = damage(path)
    assert (why.kind, why.position) == ("cut short", "8")
    assert why.reason == "the line of a sealed export at line 8 is torn"


def test_a_byte_flipped_anywhere_in_a_sealed_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for at in range(len(SEALED)):
        for bit in (0, 5):
            flipped = bytearray(SEALED)
            flipped[at] ^= 1 << bit
            path.write_bytes(flipped)
            assert damage(path), (at, bit)


def test_exports_can_be_concatenated_sealed_or_not(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    whole = line("a", "first") + SEALED + line("c", "between") + SEALED + line("a", "z")
    path.write_bytes(whole)
    texts = ["hellö", "message 0", "message 1"]
    assert [each.kind for each in damage(path)] == [SEVERAL]
    assert exports(path) == [
        {"a": ["first", "z"], "c": ["between"]}, {"a": texts, "b": ["x"]}, {"a": texts, "b": ["x"]},
    ]  # fmt: skip
    assert said(path) == {"a": texts, "b": ["x"], "c": ["between"]}
    joined = {"a": ["first", *texts, *texts, "z"], "b": ["x", "x"], "c": ["between"]}
    assert said(path, joined=True) == joined
    assert exports(path, joined=True) == [joined]
    assert damage(path, joined=True) == []


def test_the_parts_of_a_split_export_are_one_where_they_stand_in_order(tmp_path: Path) -> None:
    one, two = (part("a", "0" * 16, number, 2, [str(number)]) for number in (1, 2))
    other = part("a", "1" * 16, 2, 2, ["other"])
    path = tmp_path / "a.jsonl"
    for data, expected in (
        (one + two, [["1", "2"]]),
        (one + two + one + two, [["1", "2"], ["1", "2"]]),
        (two + one, [["2"], ["1"]]),
        (one + other, [["1"], ["other"]]),
        (one + line("a", "x") + two, [["x"], ["1", "2"]]),
        (SEALED + one + two, [["hellö", "message 0", "message 1"], ["1", "2"]]),
    ):
        path.write_bytes(data)
        assert [each["a"] for each in exports(path)] == expected


def test_a_byte_flipped_in_the_opening_or_seal_of_a_part_is_found(tmp_path: Path) -> None:
    data = part("a", "0123456789abcdef", 1, 2, ["1"])
    path = tmp_path / "a.jsonl"
    total = data.index(b'"of": 2') + 6  # only the other parts can tell
    for at in set(range(len(data))) - {total}:
        flipped = bytearray(data)
        flipped[at] ^= 1
        path.write_bytes(flipped)
        assert damage(path), at


def part(conversation: str, name: str, number: int, of: int, texts: list[str]) -> bytes:
    """A part of a sealed export."""
    writer = Writer(seal=True)
    writer.part(name, number)
    data = writer.begin() + writer.conversation(Conversation(conversation))
    data += writer.messages([Message("user", text) for text in texts]) + writer.end()
    beginning = writer.beginning(number, of)
    return beginning + data[len(beginning) :]


def exports(path: Path, **how: Any) -> list[dict[str, list[str]]]:
    """What each export in a file says."""

    async def main() -> list[dict[str, list[str]]]:
        async with opened(path, **how) as store:
            found = []
            for each in await store.exports():
                said: dict[str, list[str]] = {name: [] for name in each.conversations}
                async for page in each.store.read(each.conversations):
                    said[page.conversation] += [
                        item.content for item in page.items if isinstance(item, Message)
                    ]
                found.append(said)
            return found

    return asyncio.run(main())


def test_a_cut_export_before_another_is_found_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    half = b"".join(SEALED.splitlines(True)[:3])
    path.write_bytes(half + SEALED)
    assert [(d.kind, d.position) for d in damage(path)] == [("cut short", "1")]
    path.write_bytes(SEALED + half)
    assert [(d.kind, d.position) for d in damage(path)] == [("cut short", "8")]


def test_a_line_more_or_less_or_moved_does_not_fit_the_seal(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    opening, *lines, seal = SEALED.splitlines(True)
    for altered in (lines[1:], [*lines, lines[-1]], [lines[1], lines[0], *lines[2:]]):
        path.write_bytes(b"".join([opening, *altered, seal]))
        assert [(d.kind, d.position) for d in damage(path)] == [("altered", "1")]
    path.write_bytes(b"".join([*lines, seal]))
    assert [(d.kind, d.position) for d in damage(path)] == [("altered", "6")]


def test_a_sealed_file_of_many_blocks_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    many = [(Conversation(f"c{n}", f"t{n}"), numbered(50)) for n in range(500)]
    path.write_bytes(written("jsonl", many, seal=True))
    assert path.stat().st_size > 5 * BLOCK
    assert damage(path) == []


# --- lines that are wrong -------------------------------------------------------------------


def test_a_bad_line_stands_in_its_place_and_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b"garbage\n" + line("a", "1") + b"{nonsense\n" + line("a", "2") + line("b", "3")
        + b'{"conversation_id": "b", "role": 5, "content": "x"}\n'
        + b'{"conversation_id": "a", "content": "no role"}\n'
        + b'{"conversation_id": "a", "role": "user", "content": "x", "created_at": "noon"}\n'
        + b'[1]\n{"role": "user", "content": "of nobody"}\n' + line("a", "4")
    )  # fmt: skip
    found = said(path)
    assert [x if isinstance(x, str) else x[0] for x in found["a"]] == [
        "1", "1", "3", "2", "7", "8", "9", "10", "4"
    ]  # fmt: skip
    assert found["b"] == ["3", ("6", "role is a JSON number")]
    assert found["a"][2] == ("3", "not JSON: Expecting property name enclosed in double quotes at column 2")  # fmt: skip
    assert [(d.kind, d.position) for d in damage(path)] == [("malformed", n) for n in ("1", "3", "9", "10")]  # fmt: skip


def test_the_last_line_without_its_newline_is_torn_where_it_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line("a", "1") + line("a", "2")[:-1])
    assert said(path) == {"a": ["1", "2"]}
    path.write_bytes(line("a", "1") + line("a", "2")[:-5])
    assert said(path) == {"a": ["1", ("2", "torn: the file ends in the middle of this line")]}
    assert [d.reason for d in damage(path)] == ["torn: the file ends in the middle of this line"]


def test_a_whole_object_without_its_newline_is_not_torn(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line("a", "1") + b'{"name":"x"}')
    assert said(path) == {"a": ["1", ("2", "no conversation_id")]}
    assert [d.reason for d in damage(path)] == ["no conversation_id"]


def test_bytes_that_are_not_utf8_spoil_only_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line("a", "1") + line("a", "é").replace(b"\xc3\xa9", b"\xe9") + line("a", "3"))
    first, bad, last = said(path)["a"]
    assert (first, bad[0], last) == ("1", "2", "3")
    assert "UTF-8" in bad[1]


@pytest.mark.parametrize("depth", [500, 5_000, 200_000])
def test_a_line_nested_too_deeply_spoils_only_itself(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "a.jsonl"
    deep = b'{"conversation_id":"a","role":"u","content":"x","extra":{"a":%s}}\n'
    path.write_bytes(line("a", "1") + deep % (b"[" * depth + b"]" * depth) + line("a", "3"))
    first, _, last = said(path)["a"]
    assert (first, last) == ("1", "3")


def test_blank_lines_a_bom_and_windows_newlines_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = (line("a", "1") + b"\n  \n" + line("a", "2")).replace(b"\n", b"\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + lines)
    assert said(path) == {"a": ["1", "2"]}
    assert damage(path) == []
    path.write_bytes(line("a", "1") + b"\xef\xbb\xbf" + line("a", "2"))
    assert said(path) == {"a": ["1", "2"]}  # two such files, concatenated


def test_the_last_title_and_the_last_extra_count(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"conversation_id":"a","title":"old","extra":{"k":1}}\n' + line("a", "1")
        + b'{"conversation_id":"nobody","title":"without messages"}\n'
        + b'{"conversation_id":"a","title":"new","tags":["x"]}\n'
    )  # fmt: skip
    (title, extra, messages) = everything(path)["a"]
    assert (title, extra, len(messages)) == ("new", {"jsonl": {"tags": ["x"]}}, 1)
    assert list(everything(path)) == ["a"]


def test_malformed_lines_beyond_a_thousand_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line("a", "1") + b"x\n" * 2_500)
    found = damage(path)
    assert len(found) == 1_001
    assert found[-1].reason == "1500 more such lines"
    assert len(said(path)["a"]) == 2_501


JUNK = [b"\n", b"{", b"}", b"]", b'"', b"\\ud800", b"NaN", b"\r", b"\0", b"\xff", b'{"synmem":1}\n', b"9" * 5000]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "openai", "anthropic", "sharegpt"])
def test_a_damaged_file_is_read_consistently_or_refused_with_our_errors(
    form: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    talk = [
        (Conversation("a", "t", {"k": 1}), [Message("user", 'é=\n"x"', {"n": 1.5}, AT), *numbered(2)]),
        (Conversation("b"), [Message("tool", "=y\0", tool_calls=[{"id": "1"}], name="")]),
    ]  # fmt: skip
    whole = written(form, talk)
    for n in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data) - 50)
            if chance.random() < 0.5:
                data[at : at + chance.randint(0, 20)] = chance.choice(JUNK)
            else:
                data[at] = chance.randrange(256)
        path = tmp_path / (f"a.{form}" if n % 2 else "spool")
        path.write_bytes(data)
        with contextlib.suppress(CorruptData):
            everything(path)  # compares the counts of the listing with what is read


# --- files that are not ours ----------------------------------------------------------------


def test_an_empty_file_is_an_empty_store(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.json", "a.csv", "a"):
        (tmp_path / name).write_bytes(b"")
        assert everything(tmp_path / name) == {}


def test_a_missing_file_is_not_found_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match=r"missing\.jsonl"):
        everything(tmp_path / "missing.jsonl")
    assert not (tmp_path / "missing.jsonl").exists()


def test_a_folder_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CorruptData, match="is a folder") as caught:
        everything(tmp_path)
    assert "haystack" in str(caught.value.hint)


def test_a_file_that_may_not_be_read_is_access_denied() -> None:
    with as_nobody() as folder:
        path = folder / "a.jsonl"
        path.write_bytes(line("a", "1"))
        path.chmod(0)
        with pytest.raises(AccessDenied):
            everything(path)


def test_an_sqlite_file_gets_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(CorruptData, match="SQLite") as caught:
        everything(path)
    assert "sqlite:///" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"messages": []}\n{"messages": []}\n', "line 1 has no conversation_id"),
        ("stdin", b'{"messages": []}\n{"messages": []}\n', "line 1 has no conversation_id"),
        ("a.jsonl", b'{"role": "user", "content": "x"}\n', "line 1 has no conversation_id"),
        ("a.jsonl", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is binary"),
        ("a.jsonl", b"\xff\xfe{\0", "UTF-16"),
        ("a.jsonl", b"\x1f\x8b\x08rest", "is compressed, and cannot be unpacked"),
        ("a.txt", b"Dear diary,\ntoday nothing happened.\n", "not a synmem export: line 1: not JSON"),
        ("a.jsonl", b"[1, 2]\n", "line 1: not a JSON object"),
        ("a.json", b'[{"conversation_id": "a", "messages": [}]', "line 1, column 40: Expecting value"),
        ("a.json", b'[\n{"conversation_id": "a"', "line 2, column 24: ',' or '}' expected, but the file ends"),
        ("a.json", b"[] x", "line 1, column 4: something follows"),
        ("a.json", b'[{"role": "user", "content": "x"}]', "line 1:2 has no conversation_id"),
        ("a.json", b'[{"title": "x", "turns": {}}]', "no conversations that synmem knows: its first object has title, turns"),
        ("a.json", b'[{"conversation_id": "a", "title": "x", "turns": {}}]', "has conversation_id, title, turns"),
        ("a.jsonl", b'{"conversation_id": "a", "turns": []}\n', "has conversation_id, turns"),
        ("a.jsonl", b'{"messages": [{"role": "user", "text": "x"}]}\n', "like openai's, but message 1 has 'text'"),
        ("a.json", b'[{"messages": [{"role": "human", "content": "x"}]}]', "like openai's, but message 1 has the role 'human'"),
        ("a.json", b'{"system": "s", "messages": [{"role": "user"}, {"content": "x"}]}', "like anthropic's, but message 1 has no content"),
        ("a.json", b'{"conversations": [{"role": "user", "content": "x"}]}', "like sharegpt's, but turn 1 has no text 'from'"),
        ("a.csv", b"a,b\n1,2\n", "line 1: no columns role and content"),
        ("a.csv", b"role,content\nuser,x\n", "line 1: no column conversation_id"),
        ("a.csv", b'conversation_id,role,content\na,user,x\na,user,"open\n', "line 3: unexpected end"),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CorruptData) as caught:
        everything(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_lines_without_an_id_are_taken_into_the_conversation_that_is_named(tmp_path: Path) -> None:
    lines = b'{"role": "user", "content": "x", "model": "m"}\n{"role": "tool", "content": "y"}\n'
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines + line("b", "z"))
    found = everything(path, conversation="mine")
    assert {name: len(messages) for name, (_, _, messages) in found.items()} == {"mine": 2, "b": 1}
    assert found["mine"][2][0].extra == {"jsonl": {"model": "m"}}
    path.write_bytes(b'{"messages": []}\n')
    with pytest.raises(CorruptData, match="line 1 has no role"):
        everything(path, conversation="mine")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"conversation_id": "a", "messages": [\n{"role": "user", "content": "x"}\n]}\n', ["x"]),
        (b'{"conversation_id": "a", "messages": [{"role": "user", "content": "x"}]}', ["x"]),
        (b'{\n  "conversation_id": "a",\n  "messages": []\n}', None),
        (line("a", "x"), ["x"]),
        (b"\n" + line("a", "x"), ["x"]),
        (b'{"conversation_id": "a", "ro\n' + line("a", "x"), ["1", "x"]),
        (line("a", "x" * 100_000), ["x" * 100_000]),
        (b"\xef\xbb\xbf" + line("a", "x"), ["x"]),
        (b"\xef\xbb\xbfconversation_id;role;content\r\na;user;x\r\n", ["x"]),
        (b"  \n[\n]\n", None),
    ],
)
def test_the_form_is_found_by_how_a_file_begins(
    tmp_path: Path, content: bytes, expected: list[str] | None
) -> None:
    for name in ("spool", "a.json"):
        path = tmp_path / name
        path.write_bytes(content)
        found = [x if isinstance(x, str) else x[0] for x in said(path).get("a", [])]
        assert found == (expected or [])


def test_the_name_that_is_given_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(b"nonsense\n")
    with pytest.raises(CorruptData, match=r"^stdin is not a synmem export"):
        everything(path, name="stdin")


def test_an_unknown_format_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'xml'"):
        everything(tmp_path / "a.jsonl", format="xml")


def test_a_format_that_is_named_beats_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(line("a", "1"))
    assert said(path, format="jsonl") == {"a": ["1"]}


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    async def main() -> None:
        writing = asyncio.create_task(asyncio.to_thread(path.write_bytes, line("a", "1")))
        async with opened(path) as store:
            await writing
            assert await contents(store, "a") == ["1"]

    run(main())


def test_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line("a", "1"))

    async def main() -> None:
        async with opened(path) as store:
            for refused in (
                store.append([Part(Conversation("a"), [])]),
                store.delete("a"),
                store.replace(Conversation("a"), once([]), upto=""),
                file.open({"path": path}, write=True),
            ):
                with pytest.raises(Unsupported, match=r"a\.jsonl"):
                    await refused
            assert store.refusal(Message("user", "x"))

    run(main())
    assert path.read_bytes() == line("a", "1")


# --- files that change ----------------------------------------------------------------------


def test_lines_that_are_appended_are_read_next(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line("a", "1") + line("b", "2"))

    async def main() -> None:
        async with opened(path) as store:
            (page,) = [page async for page in store.read(["a"])]
            for n in range(3, 6):
                with path.open("ab") as growing:
                    growing.write(line("a", f"{n}") + line(f"new {n}", "x"))
                since = await contents(store, "a", after=page.position(-1))
                assert since == [str(k) for k in range(3, n + 1)]
            assert await ids(store) == ["a", "b", "new 3", "new 4", "new 5"]

    run(main())


def test_a_torn_line_that_goes_on_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    second = line("a", "2")
    path.write_bytes(line("a", "1") + second[:20])

    async def main() -> None:
        async with opened(path) as store:
            assert isinstance((await items(store, "a"))[1], Unreadable)
            with path.open("ab") as growing:
                growing.write(second[20:] + line("a", "3"))
            assert await contents(store, "a") == ["1", "2", "3"]

    run(main())


@pytest.mark.parametrize("change", ["rewritten", "replaced", "shorter", "longer", "gone"])
def test_a_file_that_changed_says_so(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(line("a", f"{n}") for n in range(5)))

    def alter() -> None:
        text = path.read_bytes()
        if change == "gone":
            path.unlink()
        elif change == "replaced":
            shutil.copy(path, tmp_path / "copy")
            (tmp_path / "copy").rename(path)
        else:
            other = {"rewritten": text.replace(b"3", b"7"), "shorter": text[:-30], "longer": b"x" + text}  # fmt: skip
            path.write_bytes(other[change])
            os.utime(path, ns=(1, 1))

    async def main() -> None:
        async with opened(path) as store:
            pages = store.read(["a"])
            await anext(pages)
            alter()
            if change != "longer":  # seen at the next look
                with pytest.raises(Changed):
                    await anext(pages)
            with pytest.raises(Changed, match=r"a\.jsonl changed"):
                await contents(store, "a")

    run(main())


def test_an_anchor_that_is_no_line_of_the_conversation_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line("a", "1") + line("b", "2") + line("a", "3"))

    async def main() -> None:
        async with opened(path) as store:
            for conversation, anchor in (
                ("a", "2"),
                ("a", "4"),
                ("a", "x"),
                ("a", "0"),
                ("z", "1"),
            ):
                with pytest.raises(Changed):
                    await contents(store, conversation, after=anchor)
            assert await contents(store, "a", after="1") == ["3"]

    run(main())


def test_an_interrupt_while_opening_is_heard_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    talk = [(Conversation("a"), numbered(20_000))]
    path.write_bytes(written("csv", talk))
    monkeypatch.setattr(slices, "_SLICE_S", 0.001)

    async def main() -> None:
        opening = asyncio.create_task(file.open({"path": path}))
        await asyncio.sleep(0.01)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    run(main())
    gc.collect()  # a file that is still open would warn, and fail


def test_two_tasks_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(line(f"c{n % 3}", f"{n}") for n in range(300)))

    async def main() -> None:
        async with opened(path) as store:
            found = await asyncio.gather(*(contents(store, f"c{n % 3}") for n in range(9)))
            assert found == [[f"{k}" for k in range(n % 3, 300, 3)] for n in range(9)]

    run(main())


def test_first_and_last_time_are_those_of_the_first_and_last_message(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    at = [datetime(2026, 1, day, tzinfo=UTC) for day in (3, 1, 2)]
    path.write_bytes(
        line("a", "1", created_at=at[0]) + line("b", "x") + line("a", "2", created_at=at[1])
        + line("b", "y", created_at=at[1]) + line("a", "3", created_at=at[2])[:-1]
    )  # fmt: skip

    async def main() -> None:
        async with opened(path) as store:
            (page,) = [page async for page in store.conversations(details=True)]
            assert [(i.id, i.first_at, i.last_at) for i in page] == [
                ("a", at[0], at[2]), ("b", None, at[1])
            ]  # fmt: skip

    run(main())


def test_an_interrupt_leaves_no_file_open_even_where_it_was_read_just_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"conversation_id": "a", "role": "user", "content": "x"}\n')
    working, cancelled = threading.Event(), threading.Event()
    results: list[Any] = []
    advance = slices._advance

    def slow(steps: Any) -> Any:
        if steps.__name__ != "opening":
            return advance(steps)
        working.set()
        assert cancelled.wait(10)
        results.append(advance(steps))
        return results[-1]

    monkeypatch.setattr(slices, "_advance", slow)

    async def main() -> None:
        task = asyncio.ensure_future(file.open({"path": str(path)}))
        await asyncio.to_thread(working.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    ((opened,),) = results
    assert opened.file.closed


# --- the form that is asked for -------------------------------------------------------------


@pytest.mark.parametrize("key", ["layout", "format"])
def test_the_form_may_be_named_by_either_word(tmp_path: Path, key: str) -> None:
    path = tmp_path / "table.txt"
    path.write_bytes(written("csv", [(Conversation("a"), numbered(1))]))

    async def names(**how: Any) -> list[str]:
        async with opened(path, **how) as store:
            return await ids(store)

    assert asyncio.run(names(**{key: "csv"})) == ["a"]
    with pytest.raises(CorruptData):
        asyncio.run(names(**{key: "json"}))
    with pytest.raises(UsageError, match="'langgraph'"):
        asyncio.run(names(**{key: "langgraph"}))


def test_two_forms_are_no_form(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.touch()

    async def main() -> None:
        async with opened(path, layout="csv", format="json"):
            pass

    with pytest.raises(UsageError, match="csv and json"):
        asyncio.run(main())
