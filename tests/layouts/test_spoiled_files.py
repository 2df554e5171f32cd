"""Files that are cut off, or in which something else stands: of every layout of files."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.layouts.foreign.folders import check_cuts, check_spoiled, files_of, spoiled

SMALL = [
    ("agent_framework", "agent-framework-file", "", "tools.jsonl"),
    ("haystack", "haystack-json", "", "messages.json"),
    ("langchain", "langchain-file", "", "lc-extra.json"),
    ("pydantic_ai", "pydantic-ai-json", "", "tools.json"),
    (
        "strands",
        "strands-files",
        "session_tools",
        "agents/agent_default/messages/message_1.json",
    ),
    ("strands", "strands-files", "session_tools", "session.json"),
]
"""Layout, fixture, a folder in it, and a file there."""

FOLDERS = sorted({each[:3] for each in SMALL})


@pytest.mark.parametrize(("layout", "fixture", "under", "name"), SMALL)
def test_a_file_that_ends_at_any_byte_tells_no_wrong_conversation(
    layout: str, fixture: str, under: str, name: str
) -> None:
    files = files_of(fixture, under)
    if under == "":
        files = {name: files[name]}
    check_cuts(layout, files, name)


@pytest.mark.parametrize(("layout", "fixture", "under"), FOLDERS)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.data())
def test_whatever_stands_in_files_is_told_or_named(
    layout: str, fixture: str, under: str, data: some.DataObject
) -> None:
    check_spoiled(layout, data.draw(spoiled(files_of(fixture, under))))
