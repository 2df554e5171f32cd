"""Run by the Python that has LangGraph: does what each line of its input asks, and answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import json
import sqlite3
import sys
from datetime import datetime
from typing import Annotated, Any, TypedDict
from uuid import UUID

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, message_to_dict
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages


class State(TypedDict):
    talk: Annotated[list, add_messages]
    at: Any


def answer(state: Any) -> Any:
    """Says what it was asked, after a tool did."""
    call = {"name": "weather", "args": {"city": "Zürich"}, "id": "c1", "type": "tool_call"}
    said = state["talk"][-1].content
    return {
        "talk": [
            AIMessage("", tool_calls=[call], response_metadata={"at": datetime(2026, 1, 1)}),
            ToolMessage("sunny", tool_call_id="c1", name="weather"),
            AIMessage(f"answer to {said}"),
        ],
        "at": {"when": datetime(2026, 1, 1), "ids": {1, 2}, "id": UUID(int=5)},
    }


def graph(path: str) -> Any:
    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(saver(path))


def saver(path: str) -> Any:
    """Of a file, or of a PostgreSQL database by its URL; each package brings one of them."""
    if "://" in path:
        from langgraph.checkpoint.postgres import PostgresSaver
        from psycopg import connect
        from psycopg.rows import dict_row

        there = PostgresSaver(connect(path, autocommit=True, row_factory=dict_row))
        there.setup()
        return there
    from langgraph.checkpoint.sqlite import SqliteSaver

    return SqliteSaver(sqlite3.connect(path, check_same_thread=False))


def write(path: str) -> Any:
    """Some threads; their ids."""
    threads = graph(path)
    for thread, asked in (
        ("one/ #", ["Hi 👋🏽 \u2028", "again"]),
        ("two", [[{"type": "text", "text": "x"}]]),
    ):
        for each in asked:
            how = {"configurable": {"thread_id": thread}}
            threads.invoke({"talk": [HumanMessage(each, name="me")]}, how)
    return ["one/ #", "two"]


def fork(path: str, conversation: str) -> None:
    """Ask something else than what was asked last, where that was asked."""
    threads = graph(path)
    before = [
        state
        for state in threads.get_state_history({"configurable": {"thread_id": conversation}})
        if not state.next
    ]
    threads.invoke({"talk": [HumanMessage("instead")]}, before[1].config)


def read(path: str, conversation: str) -> Any:
    """The messages of a thread, as LangChain stores them elsewhere."""
    state = graph(path).get_state({"configurable": {"thread_id": conversation}})
    return json.loads(json.dumps([message_to_dict(m) for m in state.values["talk"]], default=_text))


def _text(value: Any) -> str:
    return value.isoformat()


for line in sys.stdin:
    asked = json.loads(line)
    do = {"read": read, "write": write, "fork": fork}[asked.pop("do")]
    try:
        answered: Any = {"said": do(**asked)}
    except Exception as error:
        answered = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answered), flush=True)
