"""`synmem ls` as a person sees it: the newest first, each row on one line, however wide."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from typer.testing import CliRunner
from wcwidth import width

from synmem.backends.inmemory import InMemoryStore
from synmem.cli.app import app
from synmem.cli.listed import Listed, draw
from synmem.cli.session import Session
from synmem.errors import StoreUnavailable
from synmem.messages import Conversation, Message
from synmem.operations.glances import glances
from synmem.store import ConversationInfo, Page, Part
from tests.cli.processes import in_pipe, on_terminal

LONG = "conversation-" + "x" * 900 + "-end"
TITLES = {
    "cjk": "日本の首都はどこですか、教えてください" * 3, "emoji": "👩\u200d👩\u200d👧 trip 🇩🇪 👋🏽" * 9,
    "rtl": "مرحبا كيف حالك اليوم يا صديقي" * 3, "combining": "e\u0301te\u0301 " * 30,
    LONG: "title " * 30, "日本-会話": "x", "hostile\x1b[2J": "[red]x[/red] \x1b[2J\u202e",
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Conversations with and without titles, the first added the oldest."""
    lines: list[dict[str, Any]] = []
    for day, (name, title) in enumerate(TITLES.items(), 1):
        lines.append({"conversation_id": name, "title": title})
        lines.append({"conversation_id": name, "role": "user", "content": "x",
                      "created_at": f"2026-01-{day:02}T12:00:00Z"})  # fmt: skip
    for role, text in (("system", "be kind"), ("user", "\n"), ("user", "first\n  words")):
        lines.append({"conversation_id": "untitled", "role": role, "content": text})
    file = tmp_path / "chat.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)


def shown(*arguments: str, columns: int = 80, **environment: str) -> list[str]:
    code, text = on_terminal("ls", *arguments, columns=columns, NO_COLOR="1", **environment)
    assert code == 0, text
    return text.replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("columns", [50, 80, 110, 200])
def test_every_row_is_one_line(store: str, columns: int) -> None:
    for more in ([], ["-l"]):
        head, *rows = shown(store, *more, columns=columns)[: len(TITLES) + 2]
        assert head.startswith("conversation")
        assert len(rows) == len(TITLES) + 1
        assert all(width(line) <= columns for line in (head, *rows))
        place = head.index("title")
        assert rows[0].startswith("hostile^[[2J")
        for row in rows:  # the titles begin below each other
            assert width(row.rpartition("  ")[0]) + 2 == place


def test_the_newest_stand_first_and_those_without_times_last(store: str) -> None:
    rows = shown(store)[1:]
    assert [row.split()[0] for row in rows[1:-3]] == ["日本-会話", rows[2].split()[0], "combining", "rtl", "emoji", "cjk"]  # fmt: skip
    assert rows[2].startswith("conversation-x")
    assert "-end" in rows[2].split()[0]
    assert rows[-3].split() == ["untitled", "3", "first", "words"]
    by_id = shown(store, "--sort", "id")[1:]
    assert by_id[0].split()[0] == "cjk"
    assert [row.split()[0] for row in shown(store, "--limit", "1")[1:2]] == ["hostile^[[2J"]


def test_a_last_line_counts_and_names_the_next_command(store: str) -> None:
    *_, counts, command = shown(store, columns=50)
    assert (counts, command.replace("'", "")) == ("8 conversations, 10 messages", f"synmem show {store} ID")  # fmt: skip
    assert shown(store, columns=250)[-1] == f"{counts} · {command}"
    assert shown(store, "-q")[-1].split()[0] == "untitled"


def test_under_60_columns_a_column_goes(store: str) -> None:
    assert shown(store, columns=80)[0].split() == ["conversation", "messages", "last", "title"]
    assert shown(store, columns=50)[0].split() == ["conversation", "last", "title"]
    assert shown(store, columns=40)[0].split() == ["conversation", "title"]
    assert shown(store, columns=30)[0].split() == ["conversation"]  # which nothing goes without


def test_an_id_is_whole_where_it_has_room(tmp_path: Path) -> None:
    name = "project/2026/session-" + "0123456789" * 4
    file = tmp_path / "chat.jsonl"
    file.write_text(json.dumps({"conversation_id": name, "role": "user", "content": "x"}) + "\n")
    assert shown(str(file), columns=200)[1].split() == [name, "1", "x"]
    assert "…" in shown(str(file), columns=80)[1].split()[0]


def test_a_row_without_words_is_a_row_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_text('{"conversation_id":"a","role":"user","content":""}\n')
    assert shown(str(file))[:2] == ["conversation  messages  title", "a                    1"]


def test_dash_l_adds_first_time_role_and_size(store: str) -> None:
    head, *rows = shown(store, "-l", columns=110)
    assert head.split() == ["conversation", "messages", "size", "first", "last", "role", "title"]
    assert rows[-3].split() == ["untitled", "3", "21", "B", "user", "first", "words"]
    assert rows[0].split()[:6] == ["hostile^[[2J", "1", "1", "B", "2026-01-07", "2026-01-07"]


def test_in_json_dash_l_adds_role_and_bytes_and_in_a_pipe_of_ids_nothing(store: str) -> None:
    run = CliRunner().invoke
    plain = json.loads(run(app, ["ls", store, "--json"]).stdout)
    long = json.loads(run(app, ["ls", store, "--json", "-l"]).stdout)
    sizes = [21 if each["conversation_id"] == "untitled" else 1 for each in plain]
    assert long == [
        each | {"last_role": "user", "bytes": size} for each, size in zip(plain, sizes, strict=True)
    ]
    lines = run(app, ["ls", store, "-f", "jsonl", "--long"]).stdout.splitlines()
    assert list(map(json.loads, lines)) == long
    assert in_pipe("ls", store, "-l").stdout == in_pipe("ls", store).stdout


def test_a_table_in_a_pipe_is_not_cut(store: str) -> None:
    table = in_pipe("ls", store, "-f", "table", COLUMNS="40").stdout.decode()
    assert LONG in table
    assert TITLES["cjk"] in table


class Counting(InMemoryStore):
    """A store that counts how often it is read."""

    reads = 0
    broken = False

    async def read(self, conversations: Sequence[str], **how: Any) -> AsyncIterator[Page]:
        self.reads += 1
        if self.broken:
            raise StoreUnavailable("the server \x1bis gone")
        async for page in super().read(conversations, **how):
            yield page


def draw_many(store: Counting, *, long: bool = False) -> None:
    """`ls` of 300 conversations, which are drawn 50 at once."""
    found = [ConversationInfo(id=f"c{number}") for number in range(300)]
    session = Session(profile="memory:", config=None, json=False, quiet=False, verbose=False)
    asyncio.run(draw(session, Listed(found, [store] * len(found), None, False), long=long))


def test_who_leaves_the_pager_early_has_no_more_read() -> None:
    @contextlib.contextmanager
    def left(*_: object, **__: object) -> Iterator[Callable[[bytes], object]]:
        seen: list[bytes] = []

        def out(data: bytes) -> None:
            if len(seen) == 2:
                raise BrokenPipeError
            seen.append(data)

        with contextlib.suppress(BrokenPipeError):
            yield out

    store = Counting()
    with patch("synmem.cli.render.paged", left):
        draw_many(store)
    assert store.reads == 2


@pytest.mark.parametrize(
    ("long", "what"), [(False, "first words"), (True, "sizes and first words")]
)
def test_a_store_that_is_gone_meanwhile_is_not_asked_again_and_the_list_is_whole(
    capsys: pytest.CaptureFixture[str], long: bool, what: str
) -> None:
    store = Counting()
    store.broken = True
    draw_many(store, long=long)
    out, err = capsys.readouterr()
    assert store.reads == 1
    assert len(out.splitlines()) == 301
    assert err.splitlines()[0] == f"{what} are left out: the server ^[is gone"


def test_who_leaves_the_pager_early_is_told_how_many_there_are(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text(
        "".join(
            json.dumps({"conversation_id": f"c{number:05}", "role": "user", "content": "x" * 90}) + "\n"
            for number in range(20_000)
        )
    )  # fmt: skip
    code, text = on_terminal("ls", str(file), PAGER="head -n 3", NO_COLOR="1")
    assert code == 0
    assert len(text.splitlines()) == 5
    assert text.splitlines()[-2] == "20,000 conversations, 20,000 messages"


def test_dates_of_rows_far_below_are_whole(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    file = tmp_path / "many.jsonl"
    file.write_text(
        "".join(
            json.dumps({"conversation_id": f"c{days}", "role": "user", "content": "x",
                        "created_at": (now - timedelta(hours=days // 2)).isoformat()}) + "\n"
            for days in range(1500)
        )
    )  # fmt: skip
    rows = shown(str(file), "-q")[1:]
    assert len(rows) == 1500
    assert not [row for row in rows if "…" in row]


async def _three() -> InMemoryStore:
    store = InMemoryStore()
    said = {
        "a": [("system", "be kind"), ("assistant", "  "), ("user", "hello\tworld\n!"), ("user", "no")],
        "b": [("assistant", "only I"), ("tool", "é" * 10)],
        "c": [("user", "")],
    }  # fmt: skip
    parts = [
        Part(Conversation(name), [Message(role=role, content=text) for role, text in messages])
        for name, messages in said.items()
    ]
    await store.append(parts)
    return store


def test_first_words_are_the_users_else_the_first_that_there_are() -> None:
    async def work() -> None:
        store = await _three()
        found = await glances(store, ["a", "b", "c", "absent"])
        assert {name: each.words for name, each in found.items()} == {
            "a": "hello world !", "b": "only I", "c": "",
        }  # fmt: skip
        assert {each.bytes for each in found.values()} == {None}
        whole = await glances(store, ["a", "b"], whole=True)
        assert [(each.last_role, each.bytes) for each in whole.values()] == [("user", 24), ("tool", 26)]  # fmt: skip

    asyncio.run(work())


def test_of_how_many_a_limit_shows_some_is_told(store: str) -> None:
    everything = len(TITLES) + 1
    last = shown(store, "--limit", "2", columns=300)[-1]
    assert last.startswith(f"2 of {everything} conversations · ")
    last = shown(store, "--limit", "99", columns=300)[-1]
    assert last.startswith(f"{everything} conversations, ")
