"""Codex's rollouts: their eras, forks and turns that were taken back, and what spoils them."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from synmem.layouts.shapes import Told
from synmem.messages import Message, Unreadable
from tests.cli.moved import run
from tests.layouts.foreign.folders import (
    check_cuts,
    check_spoiled,
    files_of,
    lines,
    put,
    read,
    spoiled,
    texts,
    unfolded,
)
from tests.layouts.packed import packed

SESSION = "11111111-2222-4333-8444-000000000000"
FILE = f"sessions/2026/11/21/rollout-2026-11-21T07-09-27-{SESSION}.jsonl"


def line(kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": "2026-11-21T07:09:27.440Z", "type": kind, "payload": payload}


def meta(id_: str = SESSION, **own: Any) -> dict[str, Any]:
    return line("session_meta", id=id_, cwd="/home/dev", **own)


def item(kind: str, **own: Any) -> dict[str, Any]:
    return line("response_item", type=kind, **own)


def says(role: str, *text: str, **own: Any) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return item("message", role=role, content=[{"type": kind, "text": t} for t in text], **own)


def only(*objects: Any, name: str = FILE) -> Told:
    """What a session of these lines says."""
    (told,) = unfolded("codex", {name: lines(meta(), *objects)}).values()
    return told


def said(*objects: Any) -> list[tuple[str, str]]:
    return texts([*only(*objects).messages])


# --- one session ----------------------------------------------------------------------------


def test_what_the_program_wrote_as_the_user_is_not_listed() -> None:
    kinds = {"content_item_kinds": ["environments.environment_context"]}
    typed = {"content_item_kinds": ["user.text"]}
    key = "internal_chat_message_metadata_passthrough"
    assert said(
        says("developer", "<permissions instructions>"),
        says("user", "<environment_context>\n</environment_context>"),
        says("user", "# AGENTS.md instructions for /home/dev"),
        says("user", "anything", **{key: kinds}),
        says("user", "<user_instructions> is what I typed", **{key: typed}),
        says("user", "plain"),
        says("user", "odd", **{key: 7}),
    ) == [("user", "<user_instructions> is what I typed"), ("user", "plain"), ("user", "odd")]


def test_events_and_what_is_not_said_are_passed_over() -> None:
    assert said(
        line("event_msg", type="user_message", message="hi"),
        says("user", "hi"),
        line("turn_context", cwd="/"),
        line("world_state", full=True),
        line("compacted", message="so far", replacement_history=[]),
        item("ghost_snapshot", ghost_commit={}),
        {"timestamp": "t", "type": "of a later version"},
        says("assistant", "yes"),
    ) == [("user", "hi"), ("assistant", "yes")]


def test_calls_of_every_kind_have_their_results() -> None:
    found = only(
        item("function_call", name="f", arguments='{"a": 1}', call_id="c1", id="fc"),
        item("function_call_output", call_id="c1", output="one"),
        item("custom_tool_call", name="apply_patch", input="*** Begin", call_id="c2", status="x"),
        item("custom_tool_call_output", call_id="c2", output="two"),
        item("local_shell_call", call_id="c3", action={"type": "exec", "command": ["ls"]}),
        item("function_call_output", call_id="c3", output={"content": "three", "success": True}),
        item("web_search_call", status="completed", action={"query": "q"}),
        item(
            "function_call_output",
            call_id="c4",
            output=[
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA"},
            ],
        ),
    )
    messages = [m for m in found.messages if isinstance(m, Message)]
    assert [(m.role, m.content, m.tool_call_id) for m in messages] == [
        ("assistant", "", None),
        ("tool", "one", "c1"),
        ("assistant", "", None),
        ("tool", "two", "c2"),
        ("assistant", "", None),
        ("tool", "three", "c3"),
        ("assistant", "", None),
        ("tool", "see", "c4"),
    ]
    assert [m.tool_calls for m in messages if m.tool_calls] == [
        [{"id": "c1", "name": "f", "arguments": {"a": 1}}],
        [{"id": "c2", "name": "apply_patch", "arguments": "*** Begin"}],
        [{"id": "c3", "name": "local_shell", "arguments": {"type": "exec", "command": ["ls"]}}],
    ]
    assert messages[5].extra == {"codex": {"result": {"success": True}}}
    assert messages[6].extra is not None
    assert messages[6].extra["codex"]["action"] == {"query": "q"}
    assert len(messages[7].parts or []) == 2


def test_what_stands_around_an_image_is_no_text() -> None:
    found = only(
        item(
            "message",
            role="user",
            content=[
                {"type": "input_text", "text": '<image name=[Image #1] path="/x.png">'},
                {"type": "input_image", "image_url": "data:image/png;base64,AA"},
                {"type": "input_text", "text": "</image>"},
                {"type": "input_text", "text": "What is it?"},
            ],
        ),
        says("user", "<image>"),
    )
    first, second = found.messages
    assert isinstance(first, Message)
    assert first.content == "What is it?"
    assert first.extra == {
        "codex": {"around": ['<image name=[Image #1] path="/x.png">', "</image>"]}
    }
    assert texts([second]) == [("user", "<image>")]


def test_turns_that_were_taken_back_are_another_branch() -> None:
    found = only(
        says("user", "one"),
        says("assistant", "1"),
        says("user", "two"),
        says("assistant", "2"),
        line("event_msg", type="thread_rolled_back", num_turns=1),
        says("user", "three"),
        line("event_msg", type="thread_rolled_back", num_turns="many"),
    )
    assert [text for _, text in texts([*found.messages])] == ["one", "1", "three"]
    (branch,) = found.branches.values()
    assert [text for _, text in texts([*branch])] == ["one", "1", "two", "2"]


def test_taking_back_more_turns_than_there_are_leaves_what_comes_then() -> None:
    found = only(
        says("user", "one"),
        line("event_msg", type="thread_rolled_back", num_turns=9),
        says("user", "two"),
    )
    assert texts([*found.messages]) == [("user", "two")]
    assert len(found.branches) == 1


def test_turns_that_are_taken_back_again_and_again_take_no_longer() -> None:
    back = line("event_msg", type="thread_rolled_back", num_turns=1)
    told = only(*(says("user", str(n)) for n in range(20_000)), *[back] * 19_999)
    assert texts([*told.messages]) == [("user", "0")]


def test_a_fork_is_called_by_its_first_line_and_a_sub_agent_names_who_asked() -> None:
    source = {"subagent": {"thread_spawn": {"parent_thread_id": "p", "depth": 1}}}
    talk = lines(
        meta("child", forked_from_id="p", source=source, base_instructions={"text": "long"}),
        meta("p"),
        says("user", "hi"),
    )
    (id_, told), *rest = unfolded("codex", {FILE: talk}).items()
    assert (id_, rest) == ("child", [])
    assert told.extra is not None
    own = told.extra["codex"]
    assert (own["parent"], own["forked_from_id"]) == ("p", "p")
    assert "base_instructions" not in own


def test_a_name_that_was_given_is_the_title() -> None:
    named = line("event_msg", type="thread_name_updated", thread_name="Mine")
    assert only(says("user", "hi"), named).title == "Mine"
    assert only(says("user", "hi")).title is None


def test_what_a_line_says_beside_its_item_is_kept() -> None:
    about = {"metadata": {"client_authored": False}}
    [message] = only({**says("user", "a"), "ordinal": 3, **about}).messages
    assert isinstance(message, Message)
    assert message.extra == {"codex": about}


def test_an_item_without_an_id_is_not_kept_twice() -> None:
    (message,) = only(says("assistant", "long text")).messages
    assert isinstance(message, Message)
    assert message.extra is None
    assert message.parts is None


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("under", ["", "sessions", "sessions/2026/11/21", "one"])
def test_a_session_is_found_from_wherever_one_looks(under: str, tmp_path: Path) -> None:
    put(tmp_path, {FILE: lines(meta(), says("user", "hi")), "history.jsonl": '{"text": "hi"}\n'})
    place = tmp_path / (FILE if under == "one" else under)
    assert texts(read(place, SESSION)) == [("user", "hi")]


def test_a_packed_session_is_read_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    data = packed(lines(meta(), says("user", "hi")))
    put(tmp_path, {f"{FILE}.zst": data, f"{FILE.replace('0000.', '0001.')}.zst": data[:-3]})
    assert texts(read(tmp_path, SESSION)) == [("user", "hi")]
    done = run("ls", str(tmp_path))
    assert (done.exit_code, done.stdout) == (6, f"{SESSION}\n")
    assert "cut short" in done.stderr


def test_without_what_unpacks_it_a_packed_session_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = packed(lines(meta(), says("user", "hi")))
    put(tmp_path, {f"{FILE}.zst": data})
    for name in ("backports", "backports.zstd", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    done = run("ls", str(tmp_path))
    assert done.exit_code == 6
    assert "synmem-cli[zstd]" in done.stderr


def test_of_two_files_of_a_session_the_one_with_more_is_read(tmp_path: Path) -> None:
    old = f"archived_sessions/rollout-2026-11-21T07-09-27-{SESSION}.jsonl"
    talk = [meta(), says("user", "hi")]
    put(tmp_path, {old: lines(*talk), FILE: lines(*talk, says("assistant", "yes"))})
    assert len(read(tmp_path, SESSION)) == 2


# --- what is spoilt -------------------------------------------------------------------------


def test_a_spoilt_line_is_named_and_hides_nothing() -> None:
    talk = lines(meta(), says("user", "hi"), '{"type"', item("function_call"), says("user", "r"))
    (told,) = unfolded("codex", {FILE: talk}).values()
    first, odd, other, last = told.messages
    assert isinstance(odd, Unreadable)
    assert isinstance(other, Unreadable)
    assert ("line 3" in odd.reason, "line 4" in other.reason) == (True, True)
    assert texts([first, last]) == [("user", "hi"), ("user", "r")]


def test_a_session_whose_first_line_is_spoilt_is_called_as_its_file() -> None:
    ((id_, told),) = unfolded("codex", {FILE: b"{\n" + lines(says("user", "hi"))}).items()
    assert id_ == SESSION
    assert texts([*told.messages])[-1] == ("user", "hi")
    assert isinstance(told.messages[0], Unreadable)


def test_a_file_that_ends_at_any_byte_tells_what_it_says_up_to_there() -> None:
    legacy = files_of("codex-rollouts-legacy")
    for name in legacy:
        check_cuts("codex", {name: legacy[name]}, name)


@pytest.mark.parametrize("fixture", ["codex-rollouts", "codex-rollouts-legacy"])
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.data())
def test_whatever_stands_in_lines_is_told_or_named(fixture: str, data: some.DataObject) -> None:
    check_spoiled("codex", data.draw(spoiled(files_of(fixture, "sessions"))))
