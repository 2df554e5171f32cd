"""VS Code's chats."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.cli.moved import run
from tests.layouts.foreign.folders import files_of, lines, messages, put, read, texts, unfolded

MS = 1_790_000_000_000
AT = datetime.fromtimestamp(MS / 1000, UTC)
NAME = "workspaceStorage/ab/chatSessions/s1.json"


def request(text: Any, *response: Any, **more: Any) -> dict[str, Any]:
    return {"requestId": f"r-{text}", "message": {"text": text}, "response": [*response], **more}


def state(*requests: Any, **more: Any) -> dict[str, Any]:
    said = {"version": 3, "sessionId": "s1", "responderUsername": "GitHub Copilot"}
    return {**said, "requests": [*requests], **more}


def rounds(*each: Any, **results: Any) -> dict[str, Any]:
    found = {id_: {"content": [{"$mid": 21, "value": said}]} for id_, said in results.items()}
    metadata = {"toolCallRounds": [*each], "toolCallResults": found, "renderedUserMessage": "long"}
    return {"metadata": metadata}


def turn(response: str, *calls: Any, **more: Any) -> dict[str, Any]:
    return {"response": response, "toolCalls": [*calls], **more}


def call(id_: str) -> dict[str, str]:
    return {"id": id_, "name": f"f-{id_}", "arguments": '{"n": 1}'}


def invoked(id_: str, **more: Any) -> dict[str, Any]:
    return {"kind": "toolInvocationSerialized", "toolCallId": f"shown-{id_}", "toolId": "t", **more}


def answer(*response: Any, **more: Any) -> list[Any]:
    """What is said behind the question."""
    [asked, *said] = messages("vscode_chat", {NAME: state(request("q", *response, **more))})
    assert asked.content == "q"
    return said


def ours(*ids: str) -> list[dict[str, Any]]:
    return [{"id": id_, "name": f"f-{id_}", "arguments": {"n": 1}} for id_ in ids]


def test_neighbouring_texts_are_one_and_references_stand_there_by_name() -> None:
    file = {"kind": "inlineReference", "inlineReference": {"path": "/x/a.py", "scheme": "file"}}
    place = {"kind": "inlineReference", "inlineReference": {"uri": {"path": "/x/b.py"}}}
    symbol = {"kind": "inlineReference", "name": "f", "inlineReference": {"name": "g"}}
    silent = {"kind": "codeblockUri", "uri": {}}
    edit = {"kind": "textEditGroup", "edits": [[{"text": "x"}]]}
    [found] = answer({"value": "see "}, file, {"value": ", "}, silent, place, " and ", symbol,
                     edit, {"value": "done", "baseUri": {}})  # fmt: skip
    assert found.content == "see a.py, b.py and f\ndone"
    assert found.extra == {"vscode_chat": {"blocks": [silent, edit]}}


def test_the_nth_tool_that_was_shown_is_the_nth_call_of_all_rounds() -> None:
    said = answer(
        {"kind": "thinking", "value": "hm", "id": "th"},
        {"kind": "thinking", "value": "", "id": ""},
        {"value": "Let me check."},
        invoked("1"),
        invoked("2"),
        {"value": "Done."},
        invoked("3"),
        {"value": "Bye."},
        result=rounds(
            turn("Let me check.", call("c1"), call("c2")), turn("Done.", call("c3")), turn("Bye."),
            c1="one", c2="two", c3="three",
        ),
        timestamp=MS,
    )  # fmt: skip
    assert [(m.role, m.content, m.tool_call_id) for m in said] == [
        ("assistant", "Let me check.", None),
        ("tool", "one", "c1"),
        ("tool", "two", "c2"),
        ("assistant", "Done.", None),
        ("tool", "three", "c3"),
        ("assistant", "Bye.", None),
    ]
    assert [m.tool_calls for m in said if m.tool_calls] == [ours("c1", "c2"), ours("c3")]
    assert {m.created_at for m in said} == {AT}
    thought = {"kind": "thinking", "value": "hm", "id": "th"}
    assert said[0].extra == {"vscode_chat": {"blocks": [thought]}}


def test_where_the_rounds_have_other_calls_they_alone_are_told() -> None:
    said = answer(
        {"value": "Shown."},
        invoked("1"),
        result=rounds(
            turn("A", call("c1"), thinking={"id": "t", "text": "hm"}), turn("B", call("c2")), c1="x"
        ),
    )
    assert texts(said) == [("assistant", "A"), ("tool", "x"), ("assistant", "B")]
    assert said[0].extra["vscode_chat"]["blocks"][0]["text"] == "hm"
    assert said[2].tool_calls == ours("c2")


def test_of_other_extensions_there_is_what_was_shown() -> None:
    details = {"input": '{"q": 1}', "output": [{"type": "embed", "value": "r"}]}
    said = answer(invoked("1", resultDetails=details), invoked("2"), {"value": "ok"})
    assert said[0].tool_calls == [
        {"id": "shown-1", "name": "t", "arguments": {"q": 1}},
        {"id": "shown-2", "name": "t", "arguments": {}},
    ]
    assert texts(said[1:]) == [("tool", "r"), ("assistant", "ok")]


def test_a_result_that_is_a_tree_is_the_text_of_its_leaves() -> None:
    leaves = [
        {"type": 2, "text": "a"},
        {"type": 1, "children": [{"type": 2, "text": "b", "lineBreakBefore": True}]},
        {"type": 2, "text": "c"},
    ]
    tree = {"node": {"type": 1, "children": leaves}}
    [asked, found] = answer(invoked("1"), result=rounds(turn("", call("c1")), c1=tree))
    assert asked.tool_calls == ours("c1")
    assert (found.role, found.content) == ("tool", "a\nbc")
    assert found.extra["vscode_chat"]["blocks"][0]["content"][0]["value"] == tree


def test_an_answer_that_failed_is_one_and_one_that_did_not_come_is_none() -> None:
    [found] = answer(result={"errorDetails": {"message": "quota"}})
    own = {"errorDetails": {"message": "quota"}}
    assert found == Message("assistant", "", extra={"vscode_chat": own})
    assert answer() == []


def test_what_else_a_request_and_its_result_say_is_kept() -> None:
    asked = {
        "slashCommand": {"name": "fix"},
        "editedFileEvents": [{"uri": {"path": "/x/a.py"}, "eventKind": 1}],
        "isCanceled": True,
    }
    answered = {
        "contentReferences": [{"kind": "reference", "reference": {"path": "/x/b.py"}}],
        "codeCitations": [{"license": "MIT"}],
        "followups": [{"kind": "reply", "message": "More?"}],
        "voteDownReason": "other",
    }
    known = {"summary": {"text": "They talked."}, "promptTokens": 12}
    large = {
        "renderedUserMessage": "long",
        "renderedGlobalContext": "long",
        "codeBlocks": [{"code": "x"}],
    }
    result = {"details": "GPT · 1x", "metadata": {**known, **large, "toolCallRounds": []}}
    empty = {"usedContext": None, "timings": {}, "confirmation": "", "variableData": {}}
    one = request("q", {"value": "A"}, result=result, **asked, **answered, **empty)
    question, answer = messages("vscode_chat", {NAME: state(one)})
    assert question.extra == {"vscode_chat": {"requestId": "r-q", **asked}}
    own = {"details": "GPT · 1x", **answered, "metadata": known}
    assert answer.extra == {"vscode_chat": own}


def test_of_a_request_without_an_answer_all_stands_beside_the_question() -> None:
    cancelled = {"modelState": {"value": 2}, "responseId": "x"}
    [question] = messages("vscode_chat", {NAME: state(request("q", **cancelled))})
    assert question.extra == {"vscode_chat": {"requestId": "r-q", **cancelled}}


def test_images_files_and_selections_go_with_a_question() -> None:
    image = {
        "kind": "image",
        "name": "a.png",
        "mimeType": "image/png",
        "value": {"$base64": "AA=="},
    }
    at = {"kind": "image", "value": {"scheme": "file", "path": "/x/b.png"}}
    file = {"kind": "file", "name": "a.py", "value": {"path": "/x/a.py"}}
    [found] = messages(
        "vscode_chat", {NAME: state(request("q", variableData={"variables": [image, at, file]}))}
    )
    assert [part["image_url"]["url"] for part in found.parts[1:]] == [
        "data:image/png;base64,AA==",
        "/x/b.png",
    ]
    assert file in found.extra["vscode_chat"]["blocks"]


def test_a_request_that_was_taken_back_is_counted_and_a_branch() -> None:
    hidden = request("b", {"value": "no"}, isHidden=True)
    found = unfolded("vscode_chat", {NAME: state(request("a", {"value": "yes"}), hidden)})["s1"]
    assert texts([*found.messages]) == [("user", "a"), ("assistant", "yes")]
    assert found.extra is not None
    assert found.extra["vscode_chat"]["hidden"] == 2
    [(leaf, way)] = found.branches.items()
    assert (leaf, len(way)) == ("r-b", 4)


@pytest.mark.parametrize(
    ("more", "title"),
    [({"customTitle": "T", "computedTitle": "C"}, "T"), ({"computedTitle": "C"}, "C"), ({}, None)],
)
def test_the_title_is_the_users_or_else_the_computed_one(more: Any, title: Any) -> None:
    found = unfolded("vscode_chat", {NAME: state(request("a"), **more)})["s1"]
    assert found.title == title


def test_where_both_forms_are_there_the_newer_counts(tmp_path: Path) -> None:
    older = state(request("a"), request("undone"))
    newer = [{"kind": 0, "v": older}, {"kind": 2, "k": ["requests"], "i": 1}]
    place = put(tmp_path, {NAME: older, NAME + "l": lines(*newer), "ab/settings.json": {"x": 1}})
    assert [m.content for m in read(place, "s1")] == ["a"]
    assert run("ls", "-p", str(place)).stdout.split() == ["s1"]
    put(tmp_path, {NAME + "l": b""})  # begun, and nothing sent
    assert [m.content for m in read(place, "s1")] == ["a", "undone"]


def test_the_folder_that_was_open_is_named() -> None:
    files = {
        NAME: state(request("a"), inputState={"inputText": "draft"}),
        "workspaceStorage/ab/workspace.json": {"folder": "file:///x"},
        "workspaceStorage/cd/chatSessions/s2.json": b"",
    }
    found = unfolded("vscode_chat", files)["s1"]
    own = {
        "version": 3,
        "responderUsername": "GitHub Copilot",
        "workspace": {"folder": "file:///x"},
    }
    assert found.extra == {"vscode_chat": own}


def test_a_session_of_an_early_version_is_read() -> None:
    early = {"responderUsername": "Copilot", "requests": [
        {"message": "hi", "response": [{"value": "hello"}, {"kind": "x"}]}
    ]}  # fmt: skip
    found = unfolded("vscode_chat", {"chatSessions/old.json": early})
    assert texts([*found["old"].messages]) == [("user", "hi"), ("assistant", "hello")]


@pytest.mark.parametrize(
    "less",
    [
        "",
        "workspaceStorage/",
        "workspaceStorage/0123abcd/",
        "workspaceStorage/0123abcd/chatSessions/",
    ],
)
def test_a_folder_within_is_read_as_all_of_it_is(less: str) -> None:
    files = files_of("vscode-chat-sessions")
    whole = unfolded("vscode_chat", files)
    part = unfolded("vscode_chat", {n.removeprefix(less): d for n, d in files.items()})
    assert len(part) == 7
    assert all([*told.messages] == [*whole[id_].messages] for id_, told in part.items())


def test_what_cannot_be_read_is_named_and_hides_nothing() -> None:
    odd = [
        3,
        {"message": {}},
        request(3),
        request("x", 4),
        {"message": {"text": "y"}, "response": 5},
    ]
    said = messages("vscode_chat", {NAME: state(request("a"), *odd, request("b"))})
    assert texts([m for m in said if isinstance(m, Message)]) == [
        ("user", "a"), ("user", ""), ("user", "b"),
    ]  # fmt: skip
    assert sum(isinstance(m, Unreadable) for m in said) == 4
    log = lines({"kind": 0, "v": state(request("a"))}, {"kind": 9}, {"kind": 1, "k": ["x"], "v": 1})
    found = messages("vscode_chat", {NAME + "l": log})
    assert [type(each) for each in found] == [Message, Unreadable]
    assert "s1.jsonl, line 2" in found[1].reason


def test_a_session_that_is_nested_too_deeply_is_named(tmp_path: Path) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    put(tmp_path, {NAME: state(request("a")), "chatSessions/x.json": b'{"requests":' + deep + b"}"})
    done = run("check", "-p", str(tmp_path))
    assert done.exit_code == 6
    assert "chatSessions/x.json" in done.stdout + done.stderr
    assert run("ls", "-p", str(tmp_path)).stdout.split() == ["s1"]


def test_other_files_beside_an_exported_chat_are_not_taken_for_chats(tmp_path: Path) -> None:
    place = put(tmp_path, {"chat.json": state(request("a"))})
    assert run("ls", "-p", str(place / "chat.json")).stdout.split() == ["s1"]
    assert "chat.json" not in unfolded("vscode_chat", {"chat.json": state(), "other.json": {}})
