"""Cline's sessions and tasks, and Roo Code's tasks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.cli.moved import run
from tests.layouts.foreign.folders import files_of, put, texts, unfolded

MS = 1_790_000_000_000
AT = datetime.fromtimestamp(MS / 1000, UTC)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*blocks: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [*blocks], **more}


def answer(*blocks: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [*blocks], **more}


def task(*history: Any, **beside: Any) -> dict[str, Any]:
    """The one conversation of a task's folder: id, title, messages, extra."""
    files = {f"{name}.json": said for name, said in beside.items()}
    found = unfolded(
        "cline",
        {
            f"tasks/t1/{name}": said
            for name, said in {"api_conversation_history.json": [*history], **files}.items()
        },
    )
    [(id_, told)] = found.items()
    assert id_ == "t1"
    return {"title": told.title, "said": [*told.messages], "extra": told.extra}


def shown(say: str, words: str, ts: int = MS) -> dict[str, Any]:
    return {"ts": ts, "type": "say", "say": say, "text": words}


# --- tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "typed"),
    [
        ("<task>\nhello\n</task>", "hello"),
        ("<task>hello</task>\n", "hello"),
        ("<task>\n\nhello\n\n</task>", "\nhello\n"),
        ("<feedback>\nno\n</feedback>", "no"),
        ("<user_message>\nyes\n</user_message>", "yes"),
        ("<task>\n\n</task>", ""),
        ("hello <task> x </task>", "hello <task> x </task>"),
        ("<task>a</task> and <task>b</task>", "a</task> and <task>b"),
        ("# task_progressive rock", "# task_progressive rock"),
        ("\n# task_progress RECOMMENDED\nx", None),
        ("[TASK RESUMPTION] This task was interrupted", None),
        ("<environment_details>\nx\n</environment_details>", None),
        ("<environment_details> is a tag", "<environment_details> is a tag"),
        (
            "[execute_command for 'ls'] Result:\nok",
            ("tool", "[execute_command for 'ls'] Result:\nok"),
        ),
    ],
)
def test_of_what_stands_in_a_users_block_there_are_the_words(block: str, typed: Any) -> None:
    said = task(user(text("x")), user(text(block)))["said"]
    wanted = [] if typed is None else [typed if isinstance(typed, tuple) else ("user", typed)]
    assert texts(said) == [("user", "x"), *wanted]


def test_a_result_of_which_there_is_only_the_head_is_what_follows() -> None:
    said = task(
        user(
            text("[read_file for 'a'] Result:"),
            text("content"),
            text("[list_files for '.'] Result:"),
            text("[ask] Result:\nfine"),
            text("<feedback>\nno\n</feedback>"),
        )
    )["said"]
    assert texts(said) == [
        ("tool", "[read_file for 'a'] Result:\ncontent"),
        ("tool", "[list_files for '.'] Result:"),
        ("tool", "[ask] Result:\nfine"),
        ("user", "no"),
    ]


def test_blocks_of_calls_and_results_are_read_as_such() -> None:
    call = {"type": "tool_use", "id": "c1", "name": "f", "input": {"n": 1}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [text("r")]}
    details = text("<environment_details>x</environment_details>")
    said = task(
        user(text("<task>a</task>"), ts=MS), answer(call, ts=MS), user(result, details, ts=MS)
    )["said"]
    assert said[1].tool_calls == [{"id": "c1", "name": "f", "arguments": {"n": 1}}]
    assert said[2] == Message("tool", "r", created_at=AT, tool_call_id="c1")


def test_thoughts_that_are_items_and_what_is_hidden_from_the_model_are_listed() -> None:
    said = task(
        user(text("a"), condenseParent="p"),
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "ts": MS},
        answer(text("s"), isSummary=True, condenseId="p"),
    )["said"]
    assert texts(said) == [("user", "a"), ("reasoning", "hm"), ("assistant", "s")]
    assert said[0].extra == {"cline": {"condenseParent": "p"}}
    assert said[1].created_at == AT
    assert said[2].extra == {"cline": {"isSummary": True, "condenseId": "p"}}


@pytest.mark.parametrize(
    ("history", "panel", "last"),
    [
        ([user(text("a"), ts=MS)], [shown("completion_result", "b", MS + 1)], "b"),
        ([user(text("a"), ts=MS)], [shown("completion_result", "bHAS_CHANGES", MS + 1)], "b"),
        ([user(text("a"), ts=MS)], [shown("completion_result", "b", MS)], "a"),
        ([user(text("a"))], [shown("completion_result", "b")], "b"),
        ([user(text("a"), ts=MS), answer(text("c"), ts=MS)], [shown("completion_result", "b", MS + 9)], "c"),
        ([user(text("a"), ts=MS)], [shown("text", "b", MS + 1), 3], "a"),
    ],
)  # fmt: skip
def test_the_last_answer_is_the_panels_where_it_is_nowhere_else(
    history: Any, panel: Any, last: str
) -> None:
    assert task(*history, ui_messages=panel)["said"][-1].content == last


def test_the_title_is_the_task_as_it_is_listed_or_as_it_was_asked() -> None:
    hello = user(text("<task>\nhello\n</task>"))
    asked = [shown("task", "hello\nthere")]
    assert task(hello, ui_messages=asked)["title"] == "hello\nthere"
    item = {"id": "t1", "task": "renamed", "parentTaskId": "t0", "number": 3}
    found = task(hello, ui_messages=asked, history_item=item)
    assert found["title"] == "renamed"
    own = {"task": {"parentTaskId": "t0", "number": 3}, "parent": "t0"}
    assert found["extra"] == {"cline": own}
    assert task(hello)["title"] is None


def test_very_early_there_were_other_names() -> None:
    old = {"tasks/1/claude_messages.json": [user(text("a"))]}
    assert texts([*unfolded("cline", old)["1"].messages]) == [("user", "a")]
    both = {
        "1/api_conversation_history.json": [user(text("a"))],
        "1/claude_messages.json": [shown("completion_result", "b")],
    }
    told = unfolded("cline", both)["1"]
    assert texts([*told.messages]) == [("user", "a"), ("assistant", "b")]


def test_a_file_beside_that_is_broken_is_named_and_hides_nothing() -> None:
    said = task(user(text("a")), ui_messages=b'[{"ts"', history_item=b"3")["said"]
    assert [type(each) for each in said] == [Message, Unreadable, Unreadable]
    assert "tasks/t1/ui_messages.json: not JSON" in said[1].reason


def test_a_conversation_of_which_nothing_else_is_known_has_no_extra() -> None:
    said = [{"role": "user", "content": "x"}]
    task = unfolded("cline", {"t/api_conversation_history.json": said})["t"]
    session = unfolded("cline", {"s.messages.json": {"sessionId": "s", "messages": said}})["s"]
    assert (task.extra, session.extra) == (None, None)


def test_a_message_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    said = task(user(text("a")), {"role": "user"}, 3, user(3), answer(text("b")))["said"]
    assert [type(each) for each in said] == [Message, *[Unreadable] * 3, Message]


# --- sessions -------------------------------------------------------------------------------


def session(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"version": 1, "sessionId": "s1", "agent": "lead", "messages": [*messages], **more}


def test_the_words_that_were_typed_stand_in_a_tag() -> None:
    typed = text('<user_input mode="act">\n</user_input> a\n</user_input>')
    found = unfolded("cline", {"s1/s1.messages.json": session(user(typed), system_prompt="long")})
    assert texts([*found["s1"].messages]) == [("user", "\n</user_input> a\n")]
    assert found["s1"].extra == {"cline": {"version": 1, "agent": "lead"}}


def test_a_sub_agents_session_is_a_conversation_of_its_own_and_names_its_parent() -> None:
    origin = {"source": "cli", "sessionId": "s1__a1", "parentThreadId": "s1"}
    sub = session(answer(text("b")), sessionId="s1__a1", agent="subagent", origin=origin)
    found = unfolded(
        "cline",
        {
            "s1/s1.messages.json": session(user(text("a"))),
            "s1/s1.json": {"session_id": "s1", "cwd": "/x", "metadata": {"title": "T"}},
            "s1/a1.messages.json": sub,
        },
    )
    assert found.keys() == {"s1", "s1__a1"}
    assert found["s1"].title == "T"
    assert found["s1__a1"].extra is not None
    assert found["s1__a1"].extra["cline"]["parent"] == "s1"


def test_a_session_and_a_task_in_one_place_are_both_read(tmp_path: Path) -> None:
    place = put(
        tmp_path,
        {
            "data/sessions/s1/s1.messages.json": session(user(text("a"))),
            "data/tasks/t1/api_conversation_history.json": [user(text("<task>b</task>"))],
            "data/settings/providers.json": {"key": "secret"},
            "data/tasks/t2/api_conversation_history.json": {"no": "history"},
        },
    )
    assert run("ls", "-p", str(place)).stdout.split() == ["s1", "t1"]
    checked = run("check", "-p", str(place))
    assert "data/tasks/t2/api_conversation_history.json" in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("files", "less"),
    [
        ("cline-sessions", ""),
        ("cline-sessions", "sessions/"),
        ("cline-sessions", "sessions/1795893784986_51nm8/"),
        ("cline-tasks", ""),
        ("cline-tasks", "tasks/"),
    ],
)
def test_a_folder_within_is_read_as_all_of_it_is(files: str, less: str) -> None:
    all_of = files_of(files)
    whole = unfolded("cline", all_of)
    some = {name.removeprefix(less): d for name, d in all_of.items() if name.startswith(less)}
    part = unfolded("cline", some)
    assert part
    assert all(told.title == whole[id_].title for id_, told in part.items())
    assert all([*told.messages] == [*whole[id_].messages] for id_, told in part.items())
