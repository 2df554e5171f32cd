"""AnythingLLM's rows: what makes a conversation, what was cleared, responses of any form."""

import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from synmem.layouts.foreign.anythingllm import unfold
from synmem.messages import Message, Unreadable
from tests.backends.sqlite.test_store import opened
from tests.conformance import details, ids, run
from tests.layouts.foreign.odd import JSON, document, is_well_told
from tests.layouts.foreign.wholes import (
    FIXTURES,
    check,
    database,
    read,
    rows_of,
    spoiled,
)

ANYTHING = FIXTURES / "anythingllm" / "anythingllm.db"
AT = datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC)
MS = 1790000001000
BRANCH = "13248ddd-430a-48d3-a7e4-22539b8fa72c"


def chat(response: Any, **more: Any) -> dict[str, Any]:
    said = response if isinstance(response, str | None) else json.dumps(response)
    return {"id": 1, "workspaceId": 1, "prompt": "Hi", "response": said, "include": 1, "createdAt": MS, **more}  # fmt: skip


WORKSPACE = json.dumps({"id": 1, "slug": "demo", "name": "Demo", "pfpFilename": "x"})


def told(*chats: Any) -> Any:
    return unfold("demo", {"chats": [[json.dumps(each), WORKSPACE, None] for each in chats]})


# --- a row ----------------------------------------------------------------------------------


def test_a_row_is_a_question_and_its_answer_and_keeps_what_it_has() -> None:
    response = {
        "text": "<think>hm</think>Paris.", "sources": [], "type": "query", "metrics": {"model": "m"},
        "outputs": [{"type": "chart"}],
    }  # fmt: skip
    found = told(chat(response, user_id=3, feedbackScore=1, thread_id=None))
    assert found.extra == {"anythingllm": {"workspace": {"slug": "demo", "name": "Demo"}}}
    assert found.messages == [
        Message("user", "Hi", created_at=AT, extra={"anythingllm": {"id": 1}}),
        Message(
            "assistant", "<think>hm</think>Paris.", created_at=AT,
            extra={"anythingllm": {
                "id": 1, "type": "query", "metrics": {"model": "m"}, "outputs": [{"type": "chart"}],
                "user_id": 3, "feedbackScore": 1,
            }},
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "moment"),
    [(MS, AT), ("2026-09-21 14:13:21", AT), ("2026-09-21T14:13:21.000Z", AT), ("soon", None)],
)
def test_times_are_numbers_or_texts(at: Any, moment: Any) -> None:
    question, answer = told(chat({"text": "x"}, createdAt=at)).messages
    assert (question.created_at, answer.created_at) == (moment, moment)
    assert answer.extra["anythingllm"].get("createdAt") == (None if moment else at)


def test_what_was_attached_is_the_questions() -> None:
    files = [
        {"name": "a.png", "mime": "image/png", "contentString": "data:image/png;base64,AA"},
        {"name": "a.pdf", "mime": "application/pdf", "contentString": "data:application/pdf;base64,AA"},
    ]  # fmt: skip
    question, answer = told(chat({"text": "x", "attachments": files})).messages
    assert question.parts == [
        {"type": "text", "text": "Hi"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]
    assert [block["attachment"] for block in question.extra["anythingllm"]["blocks"]] == [
        {"name": "a.png", "mime": "image/png"}, files[1],
    ]  # fmt: skip
    assert answer.parts is None


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ("{oops", "its response is not JSON"),
        ("5", "its response is no object"),
        (None, "its response is no object"),
        ("{}", "the text of its response is no text"),
        ({"text": 5}, "the text of its response is no text"),
        ({"text": "x", "attachments": 5}, "its attachments are no list of objects"),
    ],
)
def test_an_answer_that_cannot_be_read_leaves_its_question(response: Any, why: str) -> None:
    question, odd, *rest = told(chat(response), chat({"text": "two"})).messages
    assert question.content == "Hi"
    assert isinstance(odd, Unreadable)
    assert odd.reason.startswith(f"chat 1: {why}")
    assert [each.content for each in rest] == ["Hi", "two"]


def test_a_row_that_cannot_be_read_is_named() -> None:
    found = told(chat({"text": "x"}, prompt=5), "no row", chat({"text": "y"})).messages
    assert found[:2] == [
        Unreadable("1", "chat 1: its prompt is no text"),
        Unreadable("chat", "the row cannot be read: the row is no object"),
    ]
    assert len(found) == 4


def test_what_is_not_part_of_the_chat_is_counted() -> None:
    found = told(
        chat({"text": "cleared"}, include=0), chat("{}", include=0), chat(None, include=False),
        chat({"text": "x"}, include="0"), chat({"text": "shown"}, include=True),
    )  # fmt: skip
    assert [each.content for each in found.messages] == ["Hi", "shown"]
    about = found.extra["anythingllm"]
    assert (about["excluded_rows"], about["unfinished_rows"]) == (2, 2)


# --- what makes a conversation --------------------------------------------------------------


def copied(tmp_path: Path) -> Path:
    """The fixture, to be changed."""
    return Path(shutil.copy(ANYTHING, tmp_path / "anythingllm.db"))


def add(
    db: sqlite3.Connection, prompt: str, table: str = "workspace_chats", **columns: Any
) -> None:
    """A row, of the first workspace."""
    first = {"workspaceId": 1} if table == "workspace_chats" else {}
    values = {**first, "prompt": prompt, "response": '{"text": "x"}', "createdAt": MS, **columns}
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", [*values.values()])


def asked(path: Path, conversation: str) -> list[str]:
    return [each.content for each in read(path, conversation) if each.role == "user"]


def listed(path: Path) -> list[str]:
    async def main() -> list[str]:
        async with opened(path) as store:
            return await ids(store)

    found: list[str] = run(main())
    return found


def test_the_workspaces_own_conversation_is_one_for_each_user(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("INSERT INTO users (id, password) VALUES (3, 'x')")
        add(db, "of a user", user_id=3)
        add(db, "of a user in a thread", user_id=3, thread_id=7)
    assert {"demo", "demo/3"} <= {*listed(path)}
    assert asked(path, "demo/3") == ["of a user"]
    assert asked(path, "demo") == ["Hello, what is the capital of France?", "And of Japan?"]
    assert asked(path, BRANCH)[-1] == "of a user in a thread"


def test_sessions_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        db.execute("INSERT INTO workspaces (id, name, slug) VALUES (2, 'Other', 'other')")
        db.execute("INSERT INTO embed_configs (id, uuid, workspace_id) VALUES (1, 'u', 1)")
        add(db, "elsewhere", workspaceId=2, api_session_id="api-tricky")
        add(db, "a session in a thread", api_session_id="s", thread_id=7)
        add(db, "an empty one", api_session_id="")
        add(db, "on a website", "embed_chats", session_id="visitor", embed_id=1)
        add(db, "on another", "embed_chats", session_id="api-tricky", embed_id=1)
    found = listed(path)
    assert {"demo/api-tricky", "other/api-tricky", "embed-1/api-tricky", "s", "visitor"} <= {*found}
    assert "api-tricky" not in found
    assert asked(path, "other/api-tricky") == ["elsewhere"]
    assert asked(path, "embed-1/api-tricky") == ["on another"]
    assert asked(path, "visitor") == ["on a website"]
    assert asked(path, "s") == ["a session in a thread"]
    assert asked(path, "demo")[-1] == "an empty one"
    assert "a session in a thread" not in asked(path, BRANCH)

    async def main() -> None:
        async with opened(path) as store:
            about = (await details(store))["other/api-tricky"].extra["anythingllm"]
            assert about["workspace"]["name"] == "Other"

    run(main())


def test_rows_of_what_is_gone_are_named(tmp_path: Path) -> None:
    path = copied(tmp_path)
    with database(path) as db:
        add(db, "x", workspaceId=9)
        add(db, "x", thread_id=99)

    async def main() -> None:
        async with opened(path) as store:
            found = await store.strays()
            assert [(each.position, each.reason) for each in found] == [
                ("workspace_chats of thread_id 99", "there is no such row in workspace_threads (1 such)"),
                ("workspace_chats of workspaceId 9", "there is no such row in workspaces (1 such)"),
            ]  # fmt: skip
            assert len(await ids(store)) == 7

    run(main())


def test_the_first_version_has_neither_threads_nor_sessions(tmp_path: Path) -> None:
    path = tmp_path / "anythingllm.db"
    with database(path) as db:
        db.executescript(
            "CREATE TABLE workspaces (id INTEGER PRIMARY KEY, name TEXT, slug TEXT);"
            "CREATE TABLE workspace_chats (id INTEGER PRIMARY KEY, workspaceId INTEGER, prompt TEXT,"
            " response TEXT, include BOOL DEFAULT true, createdAt TEXT DEFAULT CURRENT_TIMESTAMP);"
            "INSERT INTO workspaces VALUES (1, 'Demo', 'demo');"
        )
        add(db, "one")
    assert asked(path, "demo") == ["one"]


@settings(max_examples=200, deadline=None)
@given(spoiled(rows_of(ANYTHING, "anythingllm")))
def test_whatever_stands_there_is_messages_or_unreadable(found: Any) -> None:
    check(unfold, *found)


@given(
    document("id", "prompt", "response", "include", "createdAt", "user_id"),
    document("text", "attachments", "type", "sources"),
    JSON,
)
def test_anything_at_all_is_told_or_named(row: Any, response: Any, other: Any) -> None:
    for each in (row, {**row, "prompt": "a", "response": json.dumps(response)}, other):
        for beside in (json.dumps(other), other, None):
            found = {"chats": [[json.dumps(each), beside, beside], [other, None, None]]}
            assert is_well_told(lambda found=found: unfold("s", found))  # type: ignore[misc]
