"""ChatGPT's export: the tree, what is hidden, what is sent to tools, and files that lie beside."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.messages import Message, Unreadable
from tests.cli.moved import exported, run
from tests.layouts.foreign.exports import check_spoiled, spoiled, told_one, values_of
from tests.layouts.foreign.folders import put, read, texts
from tests.layouts.foreign.odd import JSON, document
from tests.layouts.foreign.wholes import FIXTURES

FIXTURE = FIXTURES / "chatgpt-export"
UNSET: Any = object()


def node(
    id_: str, parent: str | None, content: Any = UNSET, role: str = "user", **more: Any
) -> dict[str, Any]:
    """A record of the mapping; without a content, one that has no message."""
    if content is UNSET:
        return {"id": id_, "message": None, "parent": parent, "children": []}
    said = {"content_type": "text", "parts": [content]} if isinstance(content, str) else content
    message = {"id": id_, "author": {"role": role, "name": None}, "content": said, **more}
    return {"id": id_, "message": message, "parent": parent, "children": []}


def conversation(*nodes: Any, current: str | None = None, **more: Any) -> dict[str, Any]:
    mapping = {each["id"] if isinstance(each, dict) else "odd": each for each in nodes}
    return {"title": "t", "mapping": mapping, "current_node": current, "id": "c", **more}


def told(*nodes: Any, current: str | None = None, **more: Any) -> Any:
    return told_one("chatgpt", conversation(*nodes, current=current, **more))


def one(content: Any, role: str = "assistant", **more: Any) -> Message:
    """The message of which a conversation has nothing else."""
    (said,) = told(node("a", None, content, role, **more)).messages
    assert isinstance(said, Message)
    return said


def own(message: Message) -> Any:
    assert message.extra is not None
    return message.extra["chatgpt"]


# --- the tree -------------------------------------------------------------------------------


def test_the_current_branch_leads_to_the_current_node_and_the_others_are_kept() -> None:
    said = told(
        node("root", None),
        node("q", "root", "question"),
        node("a1", "q", "first", "assistant"),
        node("a2", "q", "second", "assistant"),
        node("q2", "a1", "more"),
        current="a1",
    )
    assert texts(said.messages) == [("user", "question"), ("assistant", "first")]
    assert said.leaf == "a1"
    assert {leaf: [m.content for m in way] for leaf, way in said.branches.items()} == {
        "a2": ["question", "second"],
        "q2": ["question", "first", "more"],
    }


@pytest.mark.parametrize(
    ("times", "leaf"), [((1.0, 3.0, 2.0), "b"), ((None, None, None), "c"), ((1.0, None, None), "a")]
)
def test_without_a_current_node_the_newest_leaf_ends_the_conversation(
    times: tuple[float | None, ...], leaf: str
) -> None:
    leaves = [
        node(name, "q", name, create_time=time) for name, time in zip("abc", times, strict=True)
    ]
    for current in (None, "nothing"):
        assert told(node("q", None, "question"), *leaves, current=current).leaf == leaf


def test_what_was_hidden_is_left_out_and_counted_and_its_followers_stay() -> None:
    hidden = {"is_visually_hidden_from_conversation": True}
    context = {"content_type": "user_editable_context", "user_profile": "Likes tea"}
    said = told(
        node("root", None),
        node("s", "root", "", "system", metadata=hidden),
        node("u", "s", context, metadata=hidden),
        node("q", "u", "question"),
        node("r", "q", {"content_type": "reasoning_recap", "content": "Thought"}, "assistant"),
        node("e", "r", "", "system"),
        node("a", "e", "answer", "assistant"),
        current="a",
    )
    assert texts(said.messages) == [("user", "question"), ("assistant", "answer")]
    assert said.branches == {}
    assert said.extra["chatgpt"]["hidden"] == 1


def test_a_leaf_that_is_not_shown_makes_no_branch_of_its_own() -> None:
    said = told(
        node("q", None, "question"),
        node("a", "q", "answer", "assistant"),
        node("empty", "q"),
        node("end", "a", "", "system"),
        current="end",
    )
    assert (said.leaf, dict(said.branches)) == ("a", {})


def test_newer_exports_without_children_and_recipients_are_read() -> None:
    said = told(
        {"id": "a", "parent": None, "message": {"id": "a", "author": {"role": "user"}, "content": {"content_type": "text", "parts": ["x"]}}},
        {"id": "b", "parent": "a", "message": {"id": "b", "author": {"role": "assistant"}, "content": {"content_type": "text", "parts": ["y"]}}},
        current="b",
    )  # fmt: skip
    assert texts(said.messages) == [("user", "x"), ("assistant", "y")]


def test_parents_that_go_round_in_a_circle_or_are_not_there_end_somewhere() -> None:
    shown = told(node("a", "b", "a"), node("b", "a", "b"), current="b")
    assert sorted(m.content for m in shown.messages) == ["a", "b"]
    hidden = told(node("x", "y"), node("y", "x"), node("a", "x", "a"), node("b", "gone", "b"))
    assert {m.content for m in hidden.messages} | {
        m.content for way in hidden.branches.values() for m in way
    } == {"a", "b"}


def test_a_long_conversation_is_walked_in_a_moment() -> None:
    nodes = [node("0", None, "0")]
    for number in range(1, 20_000):
        nodes.append(node(str(number), str(number - 1), str(number)) if number % 2 else node(str(number), str(number - 1)))  # fmt: skip
    said = told(*nodes, current="19999")
    assert len(said.messages) == 10_001
    assert said.messages[-1].content == "19999"


# --- a message ------------------------------------------------------------------------------


def test_what_is_sent_to_a_tool_keeps_its_text_and_recipient_and_is_no_call() -> None:
    code = {"content_type": "code", "language": "python", "text": "1+1"}
    said = one(code, recipient="python", create_time=1767225602.125, metadata={})
    assert (said.content, said.tool_calls) == ("1+1", None)
    assert said.created_at == datetime(2026, 1, 1, 0, 0, 2, 125000, tzinfo=UTC)
    assert own(said) == {
        "id": "a",
        "recipient": "python",
        "content": {"content_type": "code", "language": "python"},
    }


def test_what_the_model_thought_is_kept_apart_from_what_it_said() -> None:
    thoughts = [{"summary": "One", "content": "first"}, {"summary": "Two", "content": "second"}]
    said = one({"content_type": "thoughts", "thoughts": thoughts})
    assert said.content == ""
    assert own(said)["blocks"] == [{"type": "thinking", "thinking": "first\nsecond"}]
    assert own(said)["content"]["thoughts"] == thoughts


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"content_type": "execution_output", "text": "1024\n"}, "1024\n"),
        ({"content_type": "tether_quote", "url": "u", "title": "t", "text": "quoted"}, "quoted"),
        ({"content_type": "tether_browsing_display", "result": "found", "summary": None}, "found"),
        ({"content_type": "system_error", "name": "Timeout", "text": "too long"}, "too long"),
        ({"content_type": "something_new", "content": "words"}, "words"),
        ({"content_type": "something_new", "value": 7}, ""),
        ({"content_type": "text", "parts": []}, ""),
        ({"content_type": "text", "parts": ["a", "b"]}, "a\nb"),
        (None, ""),
    ],
)
def test_every_kind_of_content_has_its_text_and_keeps_the_rest(content: Any, text: str) -> None:
    said = one(content)
    assert said.content == text
    kept = own(said).get("content", {})
    for key, value in (content or {}).items():
        told = value in (text, []) or (key, value) == ("content_type", "text") or value is None
        assert told or kept[key] == value


def test_a_talk_is_told_by_its_words_and_names_what_was_heard_and_seen() -> None:
    sound = {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://file_00ab#x"}
    talk = {
        "content_type": "real_time_user_audio_video_asset_pointer",
        "audio_asset_pointer": sound,
        "frames_asset_pointers": [
            {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_00cd"}
        ],
    }
    words = {"content_type": "audio_transcription", "text": "hello", "direction": "in"}
    said = one({"content_type": "multimodal_text", "parts": [words, talk]}, "user")
    assert said.content == "hello"
    assert said.parts == [
        {"type": "text", "text": "hello"},
        {"type": "file", "file": {"filename": "sediment://file_00ab#x"}},
        {"type": "image_url", "image_url": {"url": "sediment://file_00cd"}},
    ]
    assert own(said)["content"]["parts"] == [words, talk]


def test_what_cannot_be_read_is_named_in_its_place() -> None:
    said = told(
        node("a", None, "one"),
        node("b", "a", {"content_type": "text", "parts": ["x"]}, role=7),  # type: ignore[arg-type]
        node("c", "b", "three"),
        {"id": "d", "message": "text", "parent": "c"},
        current="d",
    )
    assert said.messages[1:] == [
        Unreadable("b", "message b: its role is no text"),
        Message("user", "three", extra={"chatgpt": {"id": "c"}}),
        Unreadable("d", "message d: it is no object"),
    ]
    assert isinstance(told(node("a", None, "one"), "text").messages[-1], Unreadable)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"mapping": None}, "its mapping"), ({"id": None}, "its id"), ({"id": 3}, "its id")],
)
def test_a_conversation_of_which_nothing_can_be_read_says_why(change: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        told_one("chatgpt", {**conversation(node("a", None, "x")), **change})


# --- files beside ---------------------------------------------------------------------------

PICTURE = {
    "content_type": "multimodal_text",
    "parts": [
        "look",
        {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-AbC123"},
        {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_0000abcd"},
        {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_gone"},
    ],
}
ATTACHED = {
    "attachments": [
        {"id": "file-AbC123", "name": "cat.png", "mime_type": "image/png"},
        {"id": "file-Pdf1", "name": "paper.pdf", "mimeType": "application/pdf"},
        {"id": "file-Pdf2", "name": "lost.pdf"},
        "odd",
    ]
}
MEDIA = {
    "file-AbC123-cat.png": b"",
    "user-1/file_0000abcd-1.dat": b"",
    "file-Pdf1-paper.pdf": b"",
    "file-AbC1234-other.png": b"",
    "chat.html": b"",
    "user.json": b"{}",
}


def placed(tmp_path: Path) -> Path:
    chat = conversation(node("a", None, PICTURE, metadata=ATTACHED), current="a")
    return put(tmp_path / "export", {"conversations.json": [chat], **MEDIA})


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for each in sorted(folder.rglob("*")):
            packed.write(each, each.relative_to(folder))
    return path


@pytest.mark.parametrize("how", ["folder", "above", "file", "zip"])
def test_a_file_that_lies_beside_the_export_is_named_by_its_path(tmp_path: Path, how: str) -> None:
    folder = placed(tmp_path)
    place = {
        "folder": folder,
        "above": tmp_path,
        "file": folder / "conversations.json",
        "zip": zipped(folder, tmp_path / "chatgpt.zip"),
    }[how]
    if how == "above":
        (tmp_path / "chatgpt.zip").unlink()
    (said,) = read(place, "c")
    assert said.parts == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "file-AbC123-cat.png"}},
        {"type": "image_url", "image_url": {"url": "user-1/file_0000abcd-1.dat"}},
        {"type": "image_url", "image_url": {"url": "sediment://file_gone"}},
        {"type": "file", "file": {"filename": "file-Pdf1-paper.pdf"}},
        {"type": "file", "file": {"filename": "lost.pdf"}},
    ]


def test_a_name_in_an_archive_that_leads_out_of_it_names_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    chat = conversation(node("a", None, PICTURE), current="a")
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("conversations.json", json.dumps([chat]))
        packed.writestr("../../file-AbC123-cat.png", b"")
        packed.writestr("/file_0000abcd.png", b"")
    (said,) = read(path, "c")
    urls = [part["image_url"]["url"] for part in said.parts[1:]]
    assert urls == [
        "file-service://file-AbC123",
        "sediment://file_0000abcd",
        "sediment://file_gone",
    ]


# --- files of conversations -----------------------------------------------------------------


def sorted_of(place: Path) -> list[Any]:
    """Every conversation, by its id."""
    return sorted(exported(place), key=lambda each: str(each["conversation_id"]))


def test_one_file_shards_and_archives_say_the_same(tmp_path: Path) -> None:
    whole = sorted_of(FIXTURE / "conversations.json")
    assert len(whole) == 7
    assert sorted_of(FIXTURE / "sharded") == whole
    assert sorted_of(zipped(FIXTURE / "sharded", tmp_path / "shards.zip")) == whole
    with zipfile.ZipFile(tmp_path / "one.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(FIXTURE / "conversations.json", "export/conversations.json")
        packed.writestr("export/user.json", "{}")
        packed.writestr("export/shared_conversations.json", '[{"id": "x", "title": "t"}]')
    assert sorted_of(tmp_path / "one.zip") == whole


def test_a_file_that_is_cut_short_tells_what_is_whole_and_that_it_is_cut(tmp_path: Path) -> None:
    data = (FIXTURE / "conversations.json").read_bytes()
    whole = {each["conversation_id"]: each for each in sorted_of(FIXTURE / "conversations.json")}
    for length in range(4000, len(data) - 1, 1009):
        path = tmp_path / "conversations.json"
        path.write_bytes(data[:length])
        done = run("export", "-p", path, "--json")
        assert done.exit_code == 6
        assert "the file ends in the middle" in done.stderr
        found = json.loads(done.stdout)
        assert all(each == whole[each["conversation_id"]] for each in found)
        assert len(found) == data[:length].count(b'"id": "00000000-0000-4000-8000-0000000000')


def test_one_shard_that_is_damaged_hides_no_other(tmp_path: Path) -> None:
    shards = {each.name: each.read_bytes() for each in (FIXTURE / "sharded").iterdir()}
    put(tmp_path, {**shards, "conversations-000.json": b"[nonsense"})
    done = run("ls", "-p", tmp_path)
    assert done.exit_code == 6
    assert "conversations-000.json" in done.stderr
    assert len(done.stdout.split()) == 3


@given(some.data())
@settings(deadline=None)
def test_whatever_stands_in_an_export_is_told_or_named(data: some.DataObject) -> None:
    values = values_of("chatgpt", "chatgpt-export", "conversations.json")
    check_spoiled("chatgpt", data.draw(spoiled(values)))


@given(document("content_type", "parts", "text", "thoughts", "result"), JSON)
def test_any_content_and_metadata_are_told_or_named(content: Any, metadata: Any) -> None:
    check_spoiled("chatgpt", ("", json.dumps(conversation(node("a", None, content, metadata=metadata))).encode()))  # fmt: skip


def test_of_two_conversations_of_one_id_what_one_alone_says_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    one = conversation(node("a", None, "one"), node("b", "a", "two"), current="b")
    for texts_, code in ((["one"], 0), (["one", "two"], 0), (["one", "three"], 6), (["four"], 6)):
        ids = ["x", "y"][: len(texts_)]
        nodes = [
            node(id_, parent, text)
            for id_, parent, text in zip(ids, [None, *ids], texts_, strict=False)
        ]
        path.write_text(json.dumps([conversation(*nodes, current=ids[-1]), one]))
        for command in (["ls"], ["export", "--json"], ["check", "-p"]):
            done = run(command[0], "-p", path, *command[2:])
            assert done.exit_code == code, (texts_, command, done.output)
            assert ("lacks 1 of the messages" in done.stderr) is (code == 6)


WHOLE = conversation(node("a", None, "one"), create_time=1.5, update_time=2.5)
BARE = {key: value for key, value in WHOLE.items() if key != "mapping"}


@pytest.mark.parametrize("named", [[], ["--layout", "chatgpt"]])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (WHOLE, "it is one conversation, not a list of them"),
        ([BARE], "its conversations have no mapping"),
        ([BARE, {**BARE, "x": "y" * 70_000}], "its conversations have no mapping"),
        ([{**WHOLE, "mapping": {"a": {"said": 1}}}], "the mapping of its conversations has no m"),
    ],
)
def test_what_is_almost_such_an_export_is_said(
    tmp_path: Path, value: Any, why: str, named: list[str]
) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps(value))
    done = run("export", "-p", path, *named)
    assert done.exit_code == 1
    assert why in done.stderr


@pytest.mark.parametrize("odd", [5, {**WHOLE, "mapping": None}, {**WHOLE, "mapping": [1]}])
def test_a_first_conversation_that_is_none_hides_no_other(tmp_path: Path, odd: Any) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([odd, {**WHOLE, "id": "d"}]))
    done = run("export", "-p", path, "--json")
    assert done.exit_code == 6
    assert [each["conversation_id"] for each in json.loads(done.stdout)] == ["d"]
