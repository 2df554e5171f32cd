"""opencode's folders of JSON files."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import (
    as_bytes,
    check_spoiled,
    files_of,
    folder_of,
    spoiled,
    texts,
    unfolded,
)

BRANCH = "ses_ddc4ecdaeffeL845u4a7eOHnmF"
TOOLS = "ses_ddc4ecf23ffeJ347FS7WMzoqpV"
FILES = files_of("opencode-json", "storage")


def of(id_: str) -> dict[str, bytes]:
    """The files of one session of the fixture."""
    [found] = [
        each for each in folder_of("opencode").group(sorted(FILES)).values() if id_ in each[0]
    ]
    return {name: FILES[name] for name in found}


def about(**more: Any) -> dict[str, Any]:
    return {"id": "s", "projectID": "p", "title": "T", "time": {"created": 1}, **more}


def message(role: str, at: int | None = 1, **more: Any) -> dict[str, Any]:
    time = {} if at is None else {"created": at}
    return {"id": "old", "sessionID": "old", "role": role, "time": time, **more}


def part(text: str) -> dict[str, Any]:
    return {"id": "old", "messageID": "old", "type": "text", "text": text}


def told(**files: Any) -> Told:
    """The session `s`, of files in which `__` stands for `/`."""
    named = {f"{name.replace('__', '/')}.json": said for name, said in files.items()}
    found = unfolded("opencode", {"session/p/s.json": about(), **named})
    assert [*found] == ["s"]
    return found["s"]


@pytest.mark.parametrize("under", ["", "storage/", "home/opencode/storage/"])
def test_a_session_is_found_from_wherever_one_looks(under: str) -> None:
    found = unfolded("opencode", {under + name: data for name, data in FILES.items()})
    assert len(found) == 7
    assert texts([*found[BRANCH].messages]) == [("user", "Pick a colour"), ("assistant", "Blue")]


def test_what_was_reverted_is_a_branch_and_counted() -> None:
    found = unfolded("opencode", of(BRANCH))[BRANCH]
    [(leaf, branch)] = found.branches.items()
    assert texts([*branch])[2:] == [("user", "Why?"), ("assistant", "It is calm.")]
    assert leaf == "msg_223b13284001Kpp6NbjIGF39Uc"
    assert found.leaf == "msg_223b13255001LMtstc1d0g20DH"
    assert found.extra is not None
    assert found.extra["opencode"]["reverted"] == 2
    assert found.extra["opencode"]["directory"] == "/home/dev/oc"


def test_names_say_whose_a_file_is_and_not_the_ids_in_it() -> None:
    found = told(message__s__m1=message("user"), part__m1__p1=part("a"), part__m1__p2=part("b"))
    (said,) = found.messages
    assert isinstance(said, Message)
    assert said.content == "a\nb"
    assert said.extra is not None
    assert said.extra["opencode"]["id"] == "m1"


def test_messages_come_by_their_times_and_then_by_their_ids() -> None:
    found = told(
        message__s__m1=message("user", 3000), part__m1__p=part("third"),
        message__s__m2=message("user", 1000), part__m2__p=part("first"),
        message__s__m3=message("user", 1000), part__m3__p=part("second"),
        message__s__m4=message("user", None), part__m4__p=part("behind the one before it"),
    )  # fmt: skip
    assert [each[1] for each in texts([*found.messages])] == [
        "first", "second", "behind the one before it", "third"
    ]  # fmt: skip


def test_messages_without_times_come_by_their_ids() -> None:
    found = told(
        message__s__m2=message("user", None), part__m2__p=part("b"),
        message__s__m1=message("user", None), part__m1__p=part("a"),
    )  # fmt: skip
    assert [each[1] for each in texts([*found.messages])] == ["a", "b"]


def test_a_session_of_which_only_the_messages_are_left_is_read() -> None:
    files = {"message/s/m.json": message("user"), "part/m/p.json": part("a")}
    [(id_, found)] = unfolded("opencode", files).items()
    assert (id_, found.title, texts([*found.messages])) == ("s", None, [("user", "a")])


def test_a_session_in_which_nothing_was_said_is_none() -> None:
    assert unfolded("opencode", {"session/p/s.json": about()}) == {}


def test_sessions_of_two_folders_are_kept_apart() -> None:
    files: Mapping[str, Any] = {
        f"{at}/{name}": said
        for at in ("a", "b")
        for name, said in (
            ("session/p/s.json", about()),
            ("message/s/m.json", message("user")),
            ("part/m/p.json", part(at)),
        )
    }
    groups = folder_of("opencode").group(sorted(files))
    assert sorted(groups) == ["a/session/p/s.json", "b/session/p/s.json"]
    assert all(len({name[0] for name in members}) == 1 for members in groups.values())


def test_a_file_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    found = told(
        session__p__s=b'{"id": "s", "projectID": "p", "time": {}, "title": "T", oops',
        message__s__m1=message("user"), part__m1__p1=part("a"), part__m1__p2=b"{",
        message__s__m2=b"[]",
        message__s__m3=message("user"), part__m3__p1=part("b"),
    ).messages  # fmt: skip
    names = ["session/p/s.json", "", "part/m1/p2.json", "message/s/m2.json", ""]
    assert [isinstance(each, Unreadable) for each in found] == [bool(name) for name in names]
    for each, name in zip(found, names, strict=True):
        assert not isinstance(each, Unreadable) or name in each.reason


def test_what_is_no_session_is_not_taken_for_one() -> None:
    for other in (
        [],
        {"id": "s"},
        {**message("user"), "sessionID": 3},
        {**message("user"), "id": 3},
    ):
        assert unfolded("opencode", {"session/p/s.json": about(), "message/s/m.json": other}) == {}


@pytest.mark.parametrize("name", sorted(of(TOOLS)))
def test_a_file_that_ends_at_any_byte_hides_only_what_is_in_it(name: str) -> None:
    files = of(TOOLS)
    whole = unfolded("opencode", files)[TOOLS].messages
    [group] = folder_of("opencode").group(sorted(files)).values()
    for length in range(len(files[name])):
        found = unfolded("opencode", {**files, name: files[name][:length]})
        if name == group[0] and not found:
            continue  # by this one they are known
        odd = [each for each in found[TOOLS].messages if isinstance(each, Unreadable)]
        assert [name in each.reason for each in odd] == [True]
        if not name.startswith("part/"):
            assert all(each in whole for each in found[TOOLS].messages if each not in odd)


@given(some.data())
@settings(deadline=None, max_examples=60)
def test_whatever_stands_in_files_is_told_or_named(data: some.DataObject) -> None:
    check_spoiled("opencode", data.draw(spoiled(of(TOOLS))))


def test_times_of_any_kind_are_borne() -> None:
    for at in ("x", 10**400, [], {}, True, -1):
        data = json.loads(as_bytes(message("user")))
        data["time"] = {"created": at}
        found = told(message__s__m1=data, part__m1__p1=part("a"))
        assert len(found.messages) == 1
