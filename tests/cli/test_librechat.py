"""What the real LibreChat saves in MongoDB, through the commands that read."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.backends.mongo.place import Place, placed
from tests.cli.moved import run
from tests.cli.test_langchain import done
from tests.services import mongo
from tests.services.framework import Framework
from tests.services.librechat import librechat

pytestmark = pytest.mark.real

ROOT = "00000000-0000-0000-0000-000000000000"
ID = "6ccb94f7-9337-4da9-9fdc-e0a0e86f897a"
OTHER = "e29a26d2-7fab-4c95-8545-d9db1965a590"
WHO = {"userId": "65f000000000000000000001"}
TITLE = "Grüße 👋🏽 \u2028 'x'"
TEXT = "line1\r\nГрüße 👋🏽 👨‍👩‍👧‍👦 \u2028 𝔘 \\n"
IMAGE = {"file_id": "f1", "filename": "a.png", "filepath": "/images/a.png", "type": "image/png", "width": 2}  # fmt: skip
PDF = {"file_id": "f2", "filename": "b.pdf", "filepath": "/uploads/b.pdf", "type": "application/pdf"}  # fmt: skip
THINK = {"type": "think", "think": "hm"}
CALL = {
    "type": "tool_call",
    "tool_call": {
        "type": "tool_call", "id": "c1", "name": "f", "args": '{"city":"Zürich"}',
        "output": '{"temp": 21}', "progress": 1,
    },
}  # fmt: skip
CONTENT = [THINK, {"type": "text", "text": "Let me check."}, CALL, {"type": "text", "text": "21 °C"}]  # fmt: skip


def message(id_: str, parent: str, by_user: bool, **more: Any) -> dict[str, Any]:
    """What LibreChat is given to save."""
    return {
        "messageId": id_, "conversationId": ID, "parentMessageId": parent, "endpoint": "agents",
        "isCreatedByUser": by_user, "sender": "User" if by_user else "GPT", **more,
    }  # fmt: skip


QUESTION = message("m1", ROOT, True, text=TEXT, files=[IMAGE, PDF])
ANSWER = message("m2", "m1", False, text="", content=CONTENT, model="gpt-4o", tokenCount=7,
                 attachments=[{"type": "web_search", "toolCallId": "c1", "messageId": "m2"}])  # fmt: skip
ANEW = message("m3", "m1", False, text="two", model="gpt-4o")
THANKS = message("m4", "m3", True, text="")

SYSTEM = {"role": "system", "content": "be brief"}
SAID: dict[str, list[dict[str, Any]]] = {
    "m1": [
        {
            "role": "user", "content": TEXT,
            "parts": [
                {"type": "text", "text": TEXT},
                {"type": "image_url", "image_url": {"url": "/images/a.png"}},
            ],
            "blocks": [{"type": "file", "file": IMAGE}, {"type": "file", "file": PDF}],
        }
    ],
    "m2": [
        {
            "role": "assistant", "content": "Let me check.",
            "tool_calls": [{"id": "c1", "name": "f", "arguments": {"city": "Zürich"}}],
            "blocks": [THINK, {"type": "tool_call", "tool_call": {"type": "tool_call", "progress": 1}}],
        },
        {"role": "tool", "content": '{"temp": 21}', "tool_call_id": "c1", "name": "f"},
        {"role": "assistant", "content": "21 °C"},
    ],
    "m3": [{"role": "assistant", "content": "two"}],
    "m4": [{"role": "user", "content": ""}],
}  # fmt: skip
"""What synmem shows of each, but for its time, and what LibreChat keeps beside it."""


class Chats:
    """A database that LibreChat writes to."""

    def __init__(self, real: Framework, place: Place) -> None:
        self.real, self.place, self.url = real, place, place.cli_url

    def call(self, *calls: Any) -> Any:
        where = {"url": self.place.url, "database": self.place.name}
        return self.real.ask("call", calls=calls, **where)

    def stored(self) -> dict[str, Any]:
        """Its messages as they lie there, by id."""
        return {each["messageId"]: each for each in self.place.database["messages"].find()}

    def shown(self, id_: str, *how: str) -> Any:
        return json.loads(done("show", id_, *how, "--json", "-p", self.url))

    def expected(self, *ids: str) -> list[dict[str, Any]]:
        """What is to be shown of a way through the tree, with what lies there beside."""
        stored = self.stored()
        return [SYSTEM, *(each for id_ in ids for each in _expected(id_, stored[id_]))]


def _expected(id_: str, stored: dict[str, Any]) -> Iterator[dict[str, Any]]:
    said = ("_id", "__v", "_meiliIndex", "conversationId", "isCreatedByUser", "createdAt", "text", "content", "files")  # fmt: skip
    beside = {k: v for k, v in stored.items() if k not in said and v is not None}
    beside["updatedAt"] = _time(stored["updatedAt"], "microseconds")
    for index, each in enumerate(SAID[id_]):
        shown = {key: value for key, value in each.items() if key != "blocks"}
        own = {"messageId": id_} if index else beside
        if "blocks" in each:
            own["blocks"] = each["blocks"]
        yield {**shown, "created_at": _time(stored["createdAt"]), "extra": {"librechat": own}}


def _time(at: datetime, timespec: str = "auto") -> str:
    return at.replace(tzinfo=UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


@pytest.fixture(scope="module")
def real() -> Iterator[Framework]:
    with librechat() as running:
        yield running


@pytest.fixture
def chats(mongo_server: services.Server, real: Framework) -> Iterator[Chats]:
    with placed(mongo_server.url) as place:
        yield Chats(real, place)


@pytest.fixture(scope="module")
def patient(
    mongo_server: services.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[services.Server]:
    """A server that bears how LibreChat saves: FerretDB's findAndModify cannot leave fields out."""
    if not mongo_server.what.startswith("FerretDB"):
        yield mongo_server
        return
    try:
        with mongo.java(tmp_path_factory.mktemp("java")) as server:
            yield server
    except services.Missing as missing:
        pytest.skip(f"FerretDB has no findAndModify with fields, and there is {missing}")


@pytest.fixture
def live(patient: services.Server, real: Framework) -> Iterator[Chats]:
    with placed(patient.url) as place:
        yield Chats(real, place)


def convo(**more: Any) -> list[Any]:
    return ["saveConvo", WHO, {"conversationId": ID, "endpoint": "agents", **more}]


def listed(url: str, *how: str) -> dict[str, tuple[int, str]]:
    found = json.loads(done("ls", "--json", *how, "-p", url))
    return {each["conversation_id"]: (each["messages"], each["title"]) for each in found}


def test_what_it_saves_is_read_at_every_step(live: Chats, tmp_path: Path) -> None:
    live.call(
        ["saveMessage", WHO, QUESTION],
        convo(title="New Chat", promptPrefix="be brief", model="gpt-4o"),
        ["saveMessage", WHO, ANSWER],
        convo(title=TITLE),
    )
    assert listed(live.url) == {ID: (5, TITLE)}
    assert live.shown(ID) == live.expected("m1", "m2")
    live.call(["saveMessage", WHO, ANEW], convo())
    assert live.shown(ID) == live.expected("m1", "m3")
    live.call(["saveMessage", WHO, THANKS], convo())
    theirs = live.call(["getMessages", {"conversationId": ID}])[0]
    assert [each["messageId"] for each in theirs] == ["m1", "m2", "m3", "m4"]
    _check_the_fork(live, tmp_path)
    live.call(["updateMessageText", WHO["userId"], {"messageId": "m3", "text": "edited"}])
    assert [each["content"] for each in live.shown(ID)] == ["be brief", TEXT, "edited", ""]
    live.call(["deleteConvos", WHO["userId"], {"conversationId": ID}])
    assert listed(live.url) == {}


def test_what_it_imports_is_read_exactly(chats: Chats, tmp_path: Path) -> None:
    user = {"user": WHO["userId"]}
    at = [{"createdAt": f"2026-09-21T14:13:{20 + n}.{n}00Z", "updatedAt": f"2026-09-21T15:13:20.00{n}Z"} for n in range(4)]  # fmt: skip
    messages = [
        {**each, **user, **when}
        for each, when in zip((QUESTION, ANSWER, ANEW, THANKS), at, strict=True)
    ]
    other = {**messages[0], "messageId": "o1", "conversationId": OTHER}
    about = {"title": TITLE, "endpoint": "agents", **user, **at[0]}
    chats.call(
        ["bulkSaveConvos", [{"conversationId": ID, "promptPrefix": "be brief", **about}, {"conversationId": OTHER, **about}]],
        ["bulkSaveMessages", [*messages, other], True],
    )  # fmt: skip
    assert [_time(each["createdAt"]) for each in chats.stored().values()][:2] == [
        "2026-09-21T14:13:20Z",
        "2026-09-21T14:13:21.100000Z",
    ]
    assert listed(chats.url) == {ID: (4, TITLE), OTHER: (1, TITLE)}
    assert [each["content"] for each in chats.shown(OTHER)] == [TEXT]
    _check_the_fork(chats, tmp_path)


def _check_the_fork(chats: Chats, tmp_path: Path) -> None:
    """That the newest branch is read, and the other where it is asked for; in a copy as well."""
    assert "layout librechat" in done("profile", "test", chats.url)
    assert chats.shown(ID) == chats.expected("m1", "m3", "m4")
    assert "--branches" in run("export", "-p", chats.url).stderr
    all_of_it = listed(chats.url, "--branches")
    assert (all_of_it[ID], all_of_it[f"{ID}#m2"]) == ((4, TITLE), (5, TITLE))
    assert chats.shown(f"{ID}#m2", "--branches") == chats.expected("m1", "m2")
    own = tmp_path / "own.db"
    done("migrate", chats.url, own, "--branches")
    done("check", chats.url, own, "--branches")
    assert listed(str(own)) == all_of_it
