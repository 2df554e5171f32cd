"""What the real frameworks write into files is read as they read it themselves, and copied whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import exported, run
from tests.cli.test_langchain import done
from tests.services import frameworks_of_files

pytestmark = pytest.mark.real

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("agent_framework", {}, "."),
    ("agent_framework", {"serialization_format": "msgpack"}, "."),
    ("haystack", {}, "."),
    ("langchain", {}, "."),
    ("llamaindex", {}, "store.json"),
    ("llamaindex", {}, "text/text.json"),
    ("pydantic_ai", {}, "."),
    ("strands", {}, "."),
]


@pytest.mark.parametrize(("layout", "how", "place"), CASES)
def test_what_a_framework_writes_is_read_as_it_reads_it(
    layout: str, how: dict[str, Any], place: str, tmp_path: Path
) -> None:
    (theirs := tmp_path / "theirs").mkdir()
    with frameworks_of_files.running(layout) as real:
        wanted = real.ask(layout, folder=str(theirs), **how)
    where = theirs / place
    found = exported(where)
    assert {
        each["conversation_id"]: [[m["role"], m["content"]] for m in each["messages"]]
        for each in found
    } == wanted
    assert f"layout {layout}" in run("check", "-p", str(where)).stderr
    calls = [call for each in found for m in each["messages"] for call in m.get("tool_calls", ())]
    assert calls
    assert all(call == {"id": "c1", "name": "f", "arguments": {"city": "Zürich"}} for call in calls)
    assert "secret" not in json.dumps(found)
    own = tmp_path / "own.db"
    done("migrate", where, own)
    done("check", where, own)
