"""Copilot's command line: events, sub-agents, and what lies beside them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from synmem.layouts.foreign import flat_yaml
from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable
from tests.layouts.foreign.folders import files_of, lines, texts, unfolded

SESSION = "11111111-2222-4333-8444-555555555555"
START = {"sessionId": SESSION, "version": 1, "producer": "copilot-agent"}


def event(kind: str, data: Any, **own: Any) -> dict[str, Any]:
    base = {"id": "e", "timestamp": "2026-11-28T19:15:39.695Z", "parentId": None}
    return {"type": kind, "data": data, **base, **own}


def asked(content: Any, data: Any = None, **own: Any) -> dict[str, Any]:
    return event("user.message", {"content": content, **(data or {})}, **own)


def answered(content: Any, data: Any = None, **own: Any) -> dict[str, Any]:
    return event("assistant.message", {"content": content, **(data or {})}, **own)


def done(call: str, data: Any, **own: Any) -> dict[str, Any]:
    return event("tool.execution_complete", {"toolCallId": call, **data}, **own)


def requests(*names: str) -> dict[str, Any]:
    calls = [{"toolCallId": f"c-{n}", "name": n, "arguments": {}} for n in names]
    return {"toolRequests": calls}


def told(*events: Any, about: str | None = None) -> dict[str, Told]:
    files = {f"{SESSION}/events.jsonl": lines(event("session.start", START), *events)}
    if about is not None:
        files[f"{SESSION}/workspace.yaml"] = about.encode()
    return unfolded("copilot_cli", files)


def messages(*events: Any) -> list[Any]:
    return [*told(*events)[SESSION].messages]


def test_results_of_calls_made_at_once_stand_where_they_came() -> None:
    found = messages(
        answered("", requests("ls", "cat")),
        done("c-cat", {"success": True, "result": {"content": "c", "detailedContent": "c"}}),
        done("c-ls", {"success": False, "error": {"message": "no", "code": "x"}}),
        done("c-other", {"success": False}),
    )
    assert [(m.role, m.content, m.tool_call_id, m.name) for m in found] == [
        ("assistant", "", None, None),
        ("tool", "c", "c-cat", "cat"),
        ("tool", "no", "c-ls", "ls"),
        ("tool", "", "c-other", None),
    ]
    assert [call["id"] for call in found[0].tool_calls] == ["c-ls", "c-cat"]
    assert found[2].extra["copilot_cli"]["success"] is False
    assert found[2].extra["copilot_cli"]["blocks"] == [{"error": {"message": "no", "code": "x"}}]


def test_what_was_typed_is_told_and_what_a_skill_put_in_is_counted() -> None:
    found = told(
        asked("typed", {"transformedContent": "<tags>typed</tags>"}),
        asked("a long skill", {"source": "skill-pdf"}),
        answered("a"),
    )[SESSION]
    assert texts([*found.messages]) == [("user", "typed"), ("assistant", "a")]
    assert "tags" not in json.dumps(found.messages[0].extra)  # type: ignore[union-attr]
    assert found.extra == {"copilot_cli": {"version": 1, "producer": "copilot-agent", "hidden": 1}}


def test_what_was_sent_with_a_prompt_is_an_image_or_named() -> None:
    picture = {"type": "blob", "mimeType": "image/png", "data": "AA==", "displayName": "p"}
    file = {"type": "file", "path": "/x/a.py", "displayName": "a.py"}
    (found,) = messages(asked("look", {"attachments": [picture, file]}))
    assert found.parts == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    kept = [{"type": "blob", "mimeType": "image/png", "displayName": "p"}, file]
    assert found.extra["copilot_cli"]["blocks"] == kept


def test_what_a_sub_agent_said_is_a_conversation_that_names_who_asked() -> None:
    started = {"toolCallId": "c-task", "agentName": "explore", "agentDisplayName": "Explore"}
    found = told(
        asked("go"),
        answered("", requests("task")),
        event("subagent.started", started, agentId="a1"),
        asked("find", agentId="a1"),
        answered("", {"parentToolCallId": "c-task", **requests("grep")}),
        done("c-grep", {"parentToolCallId": "c-task", "result": {"content": "hit"}}),
        event("subagent.started", {"toolCallId": "c-2", "parentId": "a1"}),
        answered("inner", {"parentToolCallId": "c-2"}),
        done("c-task", {"result": {"content": "found"}}),
        answered("there"),
    )
    assert {id_: [m[1] for m in texts([*each.messages])] for id_, each in found.items()} == {
        SESSION: ["go", "", "found", "there"],
        f"agent-a1@{SESSION}": ["find", "", "hit"],
        f"agent-c-2@{SESSION}": ["inner"],
    }
    own = found[f"agent-a1@{SESSION}"]
    assert own.title == "Explore"
    assert own.extra == {"copilot_cli": {"parent": SESSION, "subagent": started}}
    inner = found[f"agent-c-2@{SESSION}"].extra
    assert inner is not None
    assert inner["copilot_cli"]["parent"] == f"agent-a1@{SESSION}"


def test_a_tool_that_the_user_ran_is_a_message_of_the_users() -> None:
    call = {"toolCallId": "c1", "toolName": "bash", "arguments": {"command": "ls"}}
    ran, result = messages(
        event("tool.user_requested", call), done("c1", {"result": {"content": "a.py"}})
    )
    ours = [{"id": "c1", "name": "bash", "arguments": {"command": "ls"}}]
    assert (ran.role, ran.content, ran.tool_calls) == ("user", "", ours)
    assert (result.name, result.content) == ("bash", "a.py")


def test_what_is_known_of_a_session_lies_beside_it() -> None:
    about = 'id: x\ncwd: /home/dev\nname: "A\\u00e9 \\x41\\n\\U0001F600"\nuser_named: true\nn: 3\n'
    found = told(asked("a"), about=about)[SESSION]
    assert found.title == "Aé A\n😀"
    own = {
        "version": 1,
        "producer": "copilot-agent",
        "cwd": "/home/dev",
        "user_named": True,
        "n": 3,
    }
    assert found.extra == {"copilot_cli": own}


def test_without_it_the_title_is_the_last_that_was_given() -> None:
    changed = [event("session.title_changed", {"title": each}) for each in ("A", "B", 3)]
    assert told(*changed, asked("a"))[SESSION].title == "B"


def test_a_session_is_called_as_its_folder_or_its_file_or_as_it_says() -> None:
    said = lines(event("session.start", START), asked("a"))
    other = SESSION.replace("1", "9")
    for name, id_ in (
        ("events.jsonl", SESSION),
        (f"{other}/events.jsonl", other),
        (f"session-state/{other}.jsonl", other),
        ("copy/events.jsonl", SESSION),
    ):
        assert [*unfolded("copilot_cli", {name: said})] == [id_], name


def test_what_is_no_session_of_its_is_not_taken_for_one() -> None:
    for first in ({"type": "session.start"}, {"type": "session.start", "data": []}, {"type": "x"}):
        assert unfolded("copilot_cli", {"events.jsonl": lines(first, asked("a"))}) == {}
    assert unfolded("copilot_cli", {"e.jsonl": lines(event("session.start", {}), asked("a"))}) == {}


@pytest.mark.parametrize(
    "spoilt",
    [
        "{", "[]", "3", '{"type": 3}', "{}",
        asked(3), asked("a", {"attachments": 3}), event("user.message", []),
        answered(None), answered("a", {"toolRequests": [3]}), answered("a", {"toolRequests": 3}),
        done("c", {"result": {"content": 3}}),
    ],
)  # fmt: skip
def test_an_event_that_cannot_be_read_is_named_and_hides_no_other(spoilt: Any) -> None:
    before, odd, after = messages(asked("a"), spoilt, answered("b"))
    assert (before.content, after.content) == ("a", "b")
    assert isinstance(odd, Unreadable)
    assert odd.position == f"{SESSION}/events.jsonl:3"
    assert "line 3" in odd.reason


def test_values_of_another_kind_where_they_tell_nothing_change_nothing() -> None:
    found = messages(
        event("session.usage_record", 3, agentId=3),
        asked("half \\ud83d", {"source": 3, "parentToolCallId": []}, agentId=[]),
        event("subagent.started", {"toolCallId": []}),
        event("tool.execution_start", {"toolCallId": {}, "toolName": 3}),
        event("a type that comes to be", {}),
    )
    assert [type(each) for each in found] == [Message]


def test_half_of_a_surrogate_hides_nothing() -> None:
    raw = json.dumps(asked("a \ud83d"), ensure_ascii=True)
    found = messages(raw, answered("b"))
    assert texts(found) == [("user", "a \ud83d"), ("assistant", "b")]


def test_a_line_that_is_being_written_is_left_out() -> None:
    whole = lines(event("session.start", START), asked("a"))
    torn = json.dumps(answered("bcd"))[:-5].encode()
    found = unfolded("copilot_cli", {f"{SESSION}/events.jsonl": whole + torn})
    assert texts([*found[SESSION].messages]) == [("user", "a")]


# --- YAML -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain text: with: colons # and more", "plain text: with: colons # and more"),
        ("'it''s'", "it's"),
        (r'"\"q\" \\ \t\e\L\P\_\N\0"', '"q" \\ \t\x1b\u2028\u2029\xa0\x85\0'),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\UFFFFFFFF \q"', r"\UFFFFFFFF q"),
        ("|-\n  one\n   two\n\n  three", "one\n two\n\nthree"),
        ("|\n  one", "one\n"),
        (">-\n  one\n  two\n\n  three", "one two\nthree"),
        ('"one\n  two\\\n  three"', "one twothree"),
        ("one\n  two", "one two"), (">", ""), ("|", ""), (">-\n\n", ""),
        ("\n  - a\n  - b", "- a - b"),
        ("true", True), ("null", None), ("", None), ("-12", -12), ("007", "007"), ("'7'", "7"),
        ('"', '"'), ("1.5", "1.5"),
    ],
)  # fmt: skip
def test_a_value_says_what_yaml_says(text: str, value: Any) -> None:
    found = flat_yaml.values(f"a: 1\nname: {text}\nz: 2\r\n".encode())
    assert found == {"a": 1, "name": value, "z": 2}


@given(some.binary() | some.text().map(lambda text: f"name: {text}".encode("utf-8", "replace")))
def test_whatever_stands_there_is_values(data: bytes) -> None:
    for each in flat_yaml.values(data).values():
        assert each is None or isinstance(each, str | bool | int)


def test_the_titles_of_the_fixture_are_what_was_asked_first() -> None:
    found = unfolded("copilot_cli", files_of("copilot-cli"))
    assert len(found) == 6
    for told in found.values():
        first = told.messages[0]
        assert isinstance(first, Message)
        assert told.title is not None
        squeezed = "".join(first.content.split())
        assert "".join(told.title.split()) == squeezed
