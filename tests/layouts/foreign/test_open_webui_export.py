"""Open WebUI's chats as its page exports them: what the rows of its database say, in a list."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.messages import Unreadable
from tests.cli.moved import run
from tests.layouts.foreign.exports import check_spoiled, spoiled, told_one
from tests.layouts.foreign.folders import put
from tests.layouts.foreign.wholes import FIXTURES
from tests.layouts.test_detection import fits

WEBUI = FIXTURES / "open-webui" / "webui.db"
NAMES = (
    "id", "user_id", "title", "chat", "updated_at", "created_at", "share_id", "archived", "pinned",
    "meta", "folder_id",
)  # fmt: skip
"""What the page's answer has of a row of `chat`."""


def rows() -> list[dict[str, Any]]:
    """The chats of the fixture's database, as the page gives them out."""
    with contextlib.closing(sqlite3.connect(f"file:{WEBUI}?immutable=1", uri=True)) as db:
        found = db.execute(f"SELECT {', '.join(NAMES)} FROM chat").fetchall()
    whole = [dict(zip(NAMES, row, strict=True)) for row in found]
    return [
        {
            **row,
            "chat": json.loads(row["chat"]),
            "meta": json.loads(row["meta"] or "null"),
            "archived": bool(row["archived"]),
            "pinned": bool(row["pinned"]),
        }
        for row in whole
    ]


def said(place: Path) -> dict[str, Any]:
    done = run("export", "-q", "-p", f"{place}?branches=true", "--json")
    assert done.exit_code == 0, done.stderr
    return {
        each["conversation_id"]: (
            each.get("title"),
            [(m["role"], m["content"], m.get("created_at"), m.get("parts")) for m in each["messages"]],
        )
        for each in json.loads(done.stdout)
    }  # fmt: skip


def test_the_export_says_what_the_database_says_with_its_branches(tmp_path: Path) -> None:
    put(tmp_path, {"all-chats-export-1.json": rows()})
    assert said(tmp_path / "all-chats-export-1.json") == said(WEBUI)
    assert fits(tmp_path / "all-chats-export-1.json") == ["open_webui"]
    assert fits(tmp_path) == ["open_webui"]


def test_one_chat_is_exported_in_a_list_too(tmp_path: Path) -> None:
    for row in rows():
        put(tmp_path, {"chat.json": [row]})
        assert said(tmp_path / "chat.json").keys() <= said(WEBUI).keys()
        assert row["id"] in said(tmp_path / "chat.json")


def test_a_chat_of_before_there_were_branches_is_its_list() -> None:
    listed = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    told = told_one("open_webui", {"id": "c", "chat": {"title": "t", "messages": listed}})
    assert (told.title, [m.content for m in told.messages]) == ("t", ["one", "two"])


def test_what_cannot_be_read_is_named_and_hides_no_other_chat(tmp_path: Path) -> None:
    good, bad, odd = (json.loads(json.dumps(row)) for row in rows()[:3])
    bad["chat"] = "x"
    history = odd["chat"]["history"]
    history["messages"][history["currentId"]]["role"] = 7
    put(tmp_path, {"c.json": [good, bad, odd]})
    done = run("export", "-p", tmp_path / "c.json", "--json")
    assert done.exit_code == 6
    assert "its chat is no object" in done.stderr
    assert [each["conversation_id"] for each in json.loads(done.stdout)] == [good["id"], odd["id"]]
    told = told_one("open_webui", odd)
    assert isinstance(told.messages[-1], Unreadable)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"id": "c", "user_id": "u", "chat": {}}], "its chats have no history"),
        ([{"user_id": "u", "chat": {"history": {}}}], "its chats have no id"),
    ],
)
def test_what_is_almost_an_export_says_what_it_lacks(tmp_path: Path, rows: Any, why: str) -> None:
    put(tmp_path, {"c.json": rows})
    done = run("ls", "-p", tmp_path / "c.json")
    assert done.exit_code == 1
    assert f"is like open_webui's: {why}" in done.stderr


@given(some.data())
@settings(deadline=None)
def test_whatever_stands_in_an_export_is_told_or_named(data: some.DataObject) -> None:
    values = [("", json.dumps(row).encode()) for row in rows()]
    check_spoiled("open_webui", data.draw(spoiled(values)))
