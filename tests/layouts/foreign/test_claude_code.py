"""Claude Code's sessions: their tree, their sub-agents, and what spoils them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable
from tests.cli.moved import run
from tests.layouts.foreign.folders import (
    check_spoiled,
    files_of,
    folder_of,
    groups,
    lines,
    put,
    read,
    spoiled,
    texts,
    unfolded,
)

SESSION = "11111111-2222-4333-8444-000000000000"
FILE = f"-home-dev/{SESSION}.jsonl"


def line(kind: str, uuid: str, parent: str | None, said: Any = None, **own: Any) -> dict[str, Any]:
    """A line as Claude Code writes it; of a second that its id says."""
    second = int("".join(filter(str.isdigit, uuid)) or 0)
    found = {
        "parentUuid": parent,
        "isSidechain": False,
        "cwd": "/home/dev",
        "sessionId": SESSION,
        "type": kind,
        "uuid": uuid,
        "timestamp": f"2026-11-21T07:{second // 60:02}:{second % 60:02}.000Z",
        **own,
    }
    return found if said is None else {**found, "message": said}


def asked(uuid: str, parent: str | None, content: Any, **own: Any) -> dict[str, Any]:
    return line("user", uuid, parent, {"role": "user", "content": content}, **own)


def answered(
    uuid: str, parent: str | None, content: Any, id_: str = "", **own: Any
) -> dict[str, Any]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    body = {"role": "assistant", "id": id_ or f"msg-{uuid}", "model": "m", "content": blocks}
    return line("assistant", uuid, parent, body, **own)


def call(id_: str, name: str = "Read") -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": {}}


def result(id_: str, text: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": text}


def told(*objects: Any, name: str = FILE, **others: bytes) -> dict[str, Told]:
    return unfolded("claude_code", {name: lines(*objects), **others})


def only(*objects: Any) -> Told:
    """What a session of these lines says."""
    found = told(*objects)
    assert [*found] == [SESSION]
    return found[SESSION]


def said(*objects: Any) -> list[tuple[str, str]]:
    return texts([*only(*objects).messages])


# --- one conversation -----------------------------------------------------------------------


def test_the_newest_end_is_the_current_branch_and_the_others_are_counted() -> None:
    found = only(
        asked("u1", None, "first"),
        answered("a2", "u1", "one"),
        asked("u3", "a2", "left"),
        answered("a4", "u3", "lost"),
        asked("u5", "a2", "second"),
        answered("a6", "u5", "two"),
    )
    assert [m for _, m in texts([*found.messages])] == ["first", "one", "second", "two"]
    assert found.leaf == "a6"
    assert {leaf: len(said) for leaf, said in found.branches.items()} == {"a4": 4}
    assert [m for _, m in texts([*found.branches["a4"]])] == ["first", "one", "left", "lost"]


def test_what_only_links_is_no_message_and_ends_no_branch() -> None:
    found = only(
        line("system", "s1", None, subtype="init"),
        line("attachment", "s2", "s1", attachment={"type": "date"}),
        asked("u3", "s2", "Caveat", isMeta=True),
        asked("u4", "u3", "hello"),
        line("attachment", "s5", "u4", attachment={"type": "x"}),
        answered("a6", "s5", "hi"),
        line("attachment", "s7", "a6", attachment={"type": "y"}),
        asked("u8", "a6", "[Image: source: /tmp/x.png]", isMeta=True),
        {"type": "queue-operation", "operation": "enqueue", "sessionId": SESSION},
    )
    assert texts([*found.messages]) == [("user", "hello"), ("assistant", "hi")]
    assert not found.branches
    assert found.leaf == "a6"


def test_calls_made_at_once_are_one_message_with_every_result_behind_it() -> None:
    found = only(
        asked("u1", None, "look"),
        answered("a2", "u1", [{"type": "thinking", "thinking": "hm"}], "m"),
        answered("a3", "a2", [call("t1")], "m"),
        answered("a4", "a3", [call("t2")], "m"),
        asked("r5", "a4", [result("t2", "two")]),
        asked("r6", "a3", [result("t1", [{"type": "text", "text": "one"}])]),
        answered("a7", "r5", "done", "n"),
    )
    user, answer, two, one, end = [*found.messages]
    assert isinstance(answer, Message)
    assert isinstance(two, Message)
    assert isinstance(one, Message)
    assert [each["id"] for each in answer.tool_calls or []] == ["t1", "t2"]
    assert [(m.tool_call_id, m.content) for m in (two, one)] == [("t2", "two"), ("t1", "one")]
    assert isinstance(end, Message)
    assert end.content == "done"
    assert isinstance(user, Message)
    assert not found.branches
    assert answer.extra is not None
    own = answer.extra["claude_code"]
    assert own["blocks"] == [{"type": "thinking", "thinking": "hm"}]
    assert [each["uuid"] for each in own["lines"]] == ["a3", "a4"]


def test_an_answer_whose_result_came_before_its_next_line_is_one_message() -> None:
    assert said(
        asked("u1", None, "look"),
        answered("a2", "u1", [call("t1")], "m"),
        asked("r3", "a2", [result("t1", "one")]),
        answered("a4", "a2", [call("t2")], "m"),
        asked("r5", "a4", [result("t2", "two")]),
        answered("a6", "r5", "done", "n"),
    ) == [("user", "look"), ("assistant", ""), ("tool", "one"), ("tool", "two"),
          ("assistant", "done")]  # fmt: skip


def test_an_id_that_comes_again_in_another_turn_is_another_answer() -> None:
    assert said(
        asked("u1", None, "q"),
        answered("a2", "u1", "one", "m"),
        asked("u3", "a2", "r"),
        answered("a4", "u3", "two", "m"),
        answered("a5", "a4", "three", "m"),
    ) == [("user", "q"), ("assistant", "one"), ("user", "r"), ("assistant", "two\nthree")]


def test_a_line_of_results_and_text_is_the_results_and_a_prompt() -> None:
    assert said(
        asked("u1", None, "q"),
        answered("a2", "u1", [call("t1"), call("t2")]),
        asked("u3", "a2", [result("t1", "1"), result("t2", "2"), {"type": "text", "text": "stop"}]),
    ) == [("user", "q"), ("assistant", ""), ("tool", "1"), ("tool", "2"), ("user", "stop")]


def test_a_result_of_no_call_that_is_there_stands_where_it_stands() -> None:
    assert said(
        asked("u1", None, "q"),
        asked("r2", "u1", [result("t9", "late")]),
        answered("a3", "r2", "so"),
    ) == [("user", "q"), ("tool", "late"), ("assistant", "so")]


def test_a_compacted_session_goes_on_behind_its_summary() -> None:
    found = only(
        asked("u1", None, "q"),
        answered("a2", "u1", "long"),
        line("system", "s3", None, subtype="compact_boundary", logicalParentUuid="a2"),
        asked("u4", "s3", "This session is being continued", isCompactSummary=True),
        asked("u5", "u4", "go on"),
    )
    assert [m for _, m in texts([*found.messages])] == [
        "q",
        "long",
        "This session is being continued",
        "go on",
    ]
    assert not found.branches
    last = found.messages[2]
    assert isinstance(last, Message)
    assert last.extra is not None
    assert last.extra["claude_code"]["isCompactSummary"] is True


def test_the_users_title_wins_over_the_programs_and_the_newest_over_older_ones() -> None:
    talk = [asked("u1", None, "q")]
    ai = {"type": "ai-title", "aiTitle": "Made", "sessionId": SESSION}
    own = {"type": "custom-title", "customTitle": "Mine", "sessionId": SESSION}
    old = {"type": "summary", "summary": "Old", "leafUuid": "u1"}
    other = {"type": "summary", "summary": "Another session's", "leafUuid": "u9"}
    assert only(*talk, ai, own, ai).title == "Mine"
    assert only(*talk, own, {**own, "customTitle": "Newer"}).title == "Newer"
    assert only(old, *talk, ai).title == "Made"
    assert only(other, old, *talk).title == "Old"
    assert only(other, *talk).title is None


def test_what_has_no_word_of_ours_is_kept_once() -> None:
    found = only(
        asked("u1", None, "q", promptId="p", version="1"),
        answered("a2", "u1", "a", requestId="r", version="2"),
        line("user", "u3", "a2", {"content": [result("c", "x")], "id": "m"}, version="1"),
    )
    assert found.extra == {"claude_code": {"cwd": "/home/dev", "version": "1"}}
    first, second, third = found.messages
    assert isinstance(third, Message)
    assert third.extra is not None
    assert third.extra["claude_code"]["message"] == {"id": "m"}
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert first.extra == {"claude_code": {"uuid": "u1", "promptId": "p"}}
    assert second.extra == {
        "claude_code": {
            "uuid": "a2",
            "parentUuid": "u1",
            "requestId": "r",
            "version": "2",
            "message": {"id": "msg-a2", "model": "m"},
        }
    }


def test_an_image_is_a_part_and_a_prompt_of_nothing_else_is_a_message() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    found = only(asked("u1", None, [{"type": "image", "source": source}]))
    (message,) = found.messages
    assert isinstance(message, Message)
    assert message.parts == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    ]


def test_a_prompt_of_no_blocks_is_none_and_an_answer_of_none_is_empty() -> None:
    chat = [asked("u1", None, []), answered("a2", "u1", []), asked("u3", "a2", [])]
    assert said(*chat) == [("assistant", "")]


def test_half_of_a_surrogate_hides_nothing() -> None:
    text = json.dumps(asked("u1", None, "\ud83d cut"))
    assert said(text, answered("a2", "u1", "ok")) == [("user", "\ud83d cut"), ("assistant", "ok")]


# --- several conversations ------------------------------------------------------------------


def test_sub_agents_in_a_session_are_conversations_that_name_it() -> None:
    found = told(
        asked("u1", None, "q"),
        asked("s2", None, "look", isSidechain=True),
        answered("s3", "s2", "seen", isSidechain=True),
        asked("s4", None, "again", isSidechain=True, agentId="abc"),
        answered("s5", "s4", "yes", isSidechain=True, agentId="abc"),
        answered("a6", "u1", "so"),
        asked("t7", "a6", "hey", teamName="red"),
    )
    assert {id_: [m for _, m in texts([*each.messages])] for id_, each in found.items()} == {
        SESSION: ["q", "so"],
        f"agent-s2@{SESSION}": ["look", "seen"],
        f"agent-abc@{SESSION}": ["again", "yes"],
        f"team-red@{SESSION}": ["hey"],
    }
    extra = found[f"agent-abc@{SESSION}"].extra
    assert extra is not None
    assert extra["claude_code"]["parent"] == SESSION


def test_a_sub_agents_file_says_what_is_known_of_it_beside() -> None:
    name = f"-home-dev/{SESSION}/subagents/agent-abc.jsonl"
    beside = name.replace(".jsonl", ".meta.json")
    talk = [asked("s1", None, "look", isSidechain=True, agentId="abc")]
    known = {"agentType": "Explore", "description": "Find it", "toolUseId": "t1"}
    found = told(*talk, name=name, **{beside: json.dumps(known).encode()})[f"agent-abc@{SESSION}"]
    assert found.title == "Find it"
    assert found.extra == {
        "claude_code": {"cwd": "/home/dev", "agentType": "Explore", "toolUseId": "t1",
                        "parent": SESSION}
    }  # fmt: skip
    nested = json.dumps({"parentAgentId": "xyz"}).encode()
    extra = told(*talk, name=name, **{beside: nested})[f"agent-abc@{SESSION}"].extra
    assert extra is not None
    assert extra["claude_code"]["parent"] == f"agent-xyz@{SESSION}"
    for bad in (b"", b"[]", b'{"description": 7'):
        odd = told(*talk, name=name, **{beside: bad})[f"agent-abc@{SESSION}"]
        assert [type(each) for each in odd.messages] == [Message, Unreadable]
        assert beside in odd.messages[1].reason  # type: ignore[union-attr]


def test_a_session_is_called_as_its_file_or_as_its_newest_line_says() -> None:
    old = asked("u1", None, "q", sessionId="older")
    assert [*told(old, asked("u2", "u1", "r"), name="copy.jsonl")] == [SESSION]
    assert [*told(old, asked("u2", "u1", "r", sessionId="newer"))] == [SESSION]


@pytest.mark.parametrize("under", ["", "projects", "projects/-home-dev", "one"])
def test_a_session_is_found_from_wherever_one_looks(under: str, tmp_path: Path) -> None:
    talk = lines(asked("u1", None, "q"), answered("a2", "u1", "a"))
    put(tmp_path, {f"projects/{FILE}": talk, "history.jsonl": '{"display": "q"}\n'})
    place = tmp_path / under if under != "one" else tmp_path / "projects" / FILE
    assert texts(read(place, SESSION)) == [("user", "q"), ("assistant", "a")]


# --- what is spoilt -------------------------------------------------------------------------


def test_a_line_that_is_being_written_is_left_out_and_a_spoilt_one_is_named() -> None:
    whole = lines(asked("u1", None, "q"), answered("a2", "u1", "a"))
    assert len(unfolded("claude_code", {FILE: whole + b'{"type":"us'})[SESSION].messages) == 2
    torn = whole.replace(b"\n", b'\n{"type":"us\n', 1)
    first, odd, last = unfolded("claude_code", {FILE: torn})[SESSION].messages
    assert isinstance(odd, Unreadable)
    assert "line 2" in odd.reason
    assert texts([first, last]) == [("user", "q"), ("assistant", "a")]


@pytest.mark.parametrize(
    "spoilt",
    [
        {"message": None},
        {"message": 7},
        {"message": {"role": "user"}},
        {"message": {"content": 7}},
        {"message": {"content": [7]}},
        {"message": {"content": [{"type": "text"}]}},
        {"message": {"content": [{"type": "text", "text": 7}]}},
        {"message": {"content": [{"type": 7}]}},
    ],
)
def test_a_line_of_which_nothing_can_be_made_is_named_and_hides_nothing(spoilt: Any) -> None:
    first, odd, last = only(
        asked("u1", None, "q"), {**asked("u2", "u1", "x"), **spoilt}, answered("a3", "u2", "a")
    ).messages
    assert isinstance(odd, Unreadable)
    assert texts([first, last]) == [("user", "q"), ("assistant", "a")]


def test_values_of_another_kind_where_they_tell_nothing_change_nothing() -> None:
    assert said(
        asked("u1", None, "q", isMeta=0, agentId=7, timestamp="now", cwd=[]),
        answered("a2", "u1", "a", teamName=None, isSidechain="no"),
    ) == [("user", "q"), ("assistant", "a")]


def test_a_line_that_stands_behind_itself_or_behind_nothing_begins() -> None:
    assert said(asked("u1", "u2", "q"), answered("a2", "u1", "a"), asked("u2", "a2", "r")) == [
        ("user", "q"), ("assistant", "a"), ("user", "r")
    ]  # fmt: skip
    assert said(asked("u1", "gone", "q")) == [("user", "q")]
    assert said(asked("u1", "u1", "q")) == [("user", "q")]


def test_lines_in_another_order_and_twice_are_the_same() -> None:
    talk = [asked("u1", None, "q"), answered("a2", "u1", "a"), asked("u3", "a2", "r")]
    wanted = [("user", "q"), ("assistant", "a"), ("user", "r")]
    assert said(*reversed(talk)) == wanted
    assert said(*talk, *talk) == wanted


def test_what_says_something_else_under_the_same_id_is_another_branch() -> None:
    found = only(
        asked("u1", None, "q"), answered("a2", "u1", "a"), asked("u3", "a2", "first"),
        asked("u3", "a2", "second"), answered("a4", "u3", "b"),
    )  # fmt: skip
    assert [text for _, text in texts(found.messages)] == ["q", "a", "second", "b"]
    assert [[text for _, text in texts(each)] for each in found.branches.values()] == [
        ["q", "a", "first"]
    ]


def test_an_answer_that_was_written_anew_is_told_once() -> None:
    talk = [asked("u1", None, "q"), answered("a2", "u1", "a"), answered("a2", "u1", "a and b")]
    assert said(*talk) == [("user", "q"), ("assistant", "a and b")]
    assert not only(*talk).branches


def test_a_long_chain_and_many_empty_lines_are_borne() -> None:
    talk = [asked(f"u{n}", f"u{n - 1}" if n else None, str(n)) for n in range(20_000)]
    found = unfolded("claude_code", {FILE: lines(*reversed(talk)) + b"\n" * 1_000_000})[SESSION]
    assert len(found.messages) == 20_000
    assert texts([found.messages[0], found.messages[-1]]) == [("user", "0"), ("user", "19999")]


def test_many_lines_of_a_sub_agents_file_that_cannot_be_read_are_its_own() -> None:
    agent = {"isSidechain": True, "agentId": "abc"}
    talk = [asked("s1", None, "look", **agent), answered("s2", "s1", "seen", **agent)]
    name = f"-home-dev/{SESSION}/subagents/agent-abc.jsonl"
    data = lines(talk[0]) + b"{\n" * 20_000 + lines(talk[1])
    found = unfolded("claude_code", {name: data})
    assert {id_: len(each.messages) for id_, each in found.items()} == {
        f"agent-abc@{SESSION}": 20_002
    }
    begins = unfolded("claude_code", {name: b"{\n" + lines(*talk)})
    assert {id_: len(each.messages) for id_, each in begins.items()} == {f"agent-abc@{SESSION}": 3}


FIXTURE = "projects/-home-user-work"
TOOLS = "69d50646-deaf-4a1b-bea1-d6c7a17fd975.jsonl"


def test_a_file_that_ends_at_any_byte_tells_what_it_says_up_to_there() -> None:
    whole = files_of("claude-code", FIXTURE)[TOOLS]
    (session,) = unfolded("claude_code", {TOOLS: whole}).values()
    wanted = [*session.messages]
    for length in range(0, len(whole), 3):
        found = unfolded("claude_code", {TOOLS: whole[:length]})
        assert found.keys() <= {TOOLS.removesuffix(".jsonl")}
        for each in found.values():
            for ours, theirs in zip(each.messages, wanted, strict=False):
                assert isinstance(ours, Message)
                assert isinstance(theirs, Message)
                assert ours.role == theirs.role
                assert theirs.content.startswith(ours.content)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.data())
def test_whatever_stands_in_lines_is_told_or_named(data: some.DataObject) -> None:
    files = data.draw(spoiled(files_of("claude-code", FIXTURE)))
    check_spoiled("claude_code", files)
    for group in groups("claude_code", files):
        for each in folder_of("claude_code").unfold(group).values():
            assert len([*each.messages]) == len(each.messages)
            for branch in each.branches.values():
                assert len([*branch]) == len(branch)


# --- as its user sees it --------------------------------------------------------------------


def test_a_session_that_grows_is_followed_and_migrated_again(tmp_path: Path) -> None:
    path = tmp_path / FILE
    put(tmp_path, {FILE: lines(asked("u1", None, "q"))})
    archive = str(tmp_path / "archive.db")
    assert run("migrate", str(tmp_path / "-home-dev"), archive).exit_code == 0
    with path.open("ab") as file:
        file.write(lines(answered("a2", "u1", "a"), asked("u3", "a2", "r")))
    assert run("migrate", str(tmp_path / "-home-dev"), archive).exit_code == 0
    done = run("check", str(tmp_path / "-home-dev"), archive)
    assert done.exit_code == 0, done.stdout
    shown = run("show", "-p", archive, SESSION).stdout
    assert [each.split(":")[0] for each in shown.splitlines() if each] == [
        "User",
        "Assistant",
        "User",
    ]
