"""Lines of other programs' files come from several processes, and are what one makes of them."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.file import lines, processes
from synmem.backends.file.foreign_source import Asked
from synmem.backends.file.processes import Process
from synmem.backends.file.remembered import Entry
from synmem.backends.file.store import open as open_file
from synmem.formats.jsonl import Writer
from synmem.messages import MAX_DEPTH
from synmem.operations.export import Export
from tests.at_places import FIXTURES
from tests.conformance import nested, run


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """Every place is worth two processes, which are asked for little at once; those begun."""
    monkeypatch.setattr(processes, "WORTH_IT", 1)
    monkeypatch.setattr(processes, "most", lambda: 2)
    monkeypatch.setattr(lines, "_BEGIN_AT", 1)
    monkeypatch.setattr(lines, "_PORTION", 2000)
    found: list[Process] = []
    begin = processes.begin

    def process(module: str) -> Process:
        found.append(begin(module))
        return found[-1]

    monkeypatch.setattr(processes, "begin", process)
    return found


def conversation(number: int, content: Any, **extra: Any) -> dict[str, Any]:
    message = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [content]}}
    nodes = {
        str(at): {"id": str(at), "message": {**message, **extra}, "parent": None} for at in (1,)
    }
    return {"title": f"t{number}", "create_time": 1.5, "mapping": nodes, "id": f"c{number}"}


@pytest.fixture
def export_file(tmp_path: Path) -> Path:
    """An export of ChatGPT's: in some conversations stands what is read more slowly, or not."""
    odd = {
        7: conversation(7, "half \ud83d of a pair"),
        31: conversation(31, "no time", weight=float("nan")),
        32: conversation(32, "too deep", metadata=nested(MAX_DEPTH)),
        33: conversation(33, "just so deep", metadata=nested(MAX_DEPTH - 3)),
        34: {**conversation(34, "nobody"), "mapping": {}},
        35: conversation(35, {"no": "text"}),
        59: {**conversation(59, ""), "mapping": {"1": {"message": {"author": {}}, "parent": None}}},
        90: 5,
        91: conversation(90, "of the id of another, which nothing can be read of"),
    }
    path = tmp_path / "conversations.json"
    values = [odd.get(n) or conversation(n, f"{n} " * 50, n=n) for n in range(130)]
    path.write_text(json.dumps(values))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of Haystack's files."""
    for number in range(50):
        path = tmp_path / f"d{number % 3}" / f"{number}.json"
        path.parent.mkdir(exist_ok=True)
        said = [
            {"role": "user", "meta": {}, "name": None, "content": [{"text": f"é {number} {n}"}]}
            for n in range(20)
        ]
        path.write_text(json.dumps(said) if number != 7 else '[{"role": 1, "meta"')
    return tmp_path


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Any]:
    store = await open_file({"path": str(path)}, page_size=10)
    try:
        yield store
    finally:
        await store.close()


def exported(path: Path, match: str | None = None) -> tuple[bytes, int, int, list[Any]]:
    """The file, how many conversations and messages are in it, and what could not be read."""

    async def main() -> tuple[bytes, int, int, list[Any]]:
        async with opened(path) as store:
            export = Export(store, Writer())
            data = b"".join([piece async for piece in export.pieces(match=match)])
            return data, export.conversations, export.messages, export.unreadable

    return run(main())


@pytest.mark.parametrize("place", ["export_file", "folder"])
@pytest.mark.parametrize("match", [None, "*1*"])
def test_several_processes_write_what_one_does(
    request: pytest.FixtureRequest,
    begun: list[Process],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    match: str | None,
) -> None:
    path = request.getfixturevalue(place)
    several = exported(path, match)
    assert len(begun) == 3  # one that has looked, and two that have made lines
    assert all(process.returncode is not None for process in begun)
    monkeypatch.setattr(processes, "most", lambda: 1)
    assert exported(path, match) == several
    assert len(begun) == 3
    assert several[1] > 10
    assert place == "folder" or len(several[3]) > 1 or match


@pytest.mark.parametrize(
    "fixture",
    [
        "agent-framework-file",
        "chatgpt-export",
        "claude-code",
        "codex-rollouts",
        "gemini-cli",
        "librechat-export",
        "llamaindex-simple-json",
        "opencode-json",
    ],
)
def test_every_form_is_made_as_one_does(
    begun: list[Process], monkeypatch: pytest.MonkeyPatch, fixture: str
) -> None:
    several = exported(FIXTURES / fixture)
    assert len(begun) >= 2
    monkeypatch.setattr(processes, "most", lambda: 1)
    assert exported(FIXTURES / fixture) == several


def test_what_is_made_is_made_by_the_processes(
    export_file: Path, begun: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    given = lines.LinesStore.read

    def counted(self: Any, conversations: Any, **options: Any) -> Any:
        read.extend(conversations)
        return given(self, conversations, **options)

    monkeypatch.setattr(lines.LinesStore, "read", counted)
    assert exported(export_file)[1] > 100
    assert {*read} == {"c7", "c31", "c32", "c59"}


@pytest.mark.parametrize("program", ["/nothing", "/bin/false", "/bin/cat", ""])
def test_processes_that_fail_leave_all_to_us(
    export_file: Path, begun: list[Process], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    whole = exported(export_file)
    monkeypatch.setattr(sys, "executable", program)
    assert exported(export_file) == whole


def test_a_process_that_answers_something_else_is_asked_nothing_more() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        asked = [Asked("c", "g", ["f"], [], Entry([]), 1)]
        assert lines._answers(process, asked) == ([None], b"")
        assert process.wait(30) != 0
        assert lines._answers(process, asked) == ([None], b"")
    finally:
        processes.end(process)


def test_a_process_that_is_killed_meanwhile_loses_nothing(
    export_file: Path, begun: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exported(export_file)
    asked = lines._answers
    count = 0

    def answers(process: Process, some: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            process.kill()
        return asked(process, some)

    monkeypatch.setattr(lines, "_answers", answers)
    assert exported(export_file) == whole
    assert count > 5


def test_what_was_written_over_meanwhile_is_not_mixed_up(
    export_file: Path, begun: list[Process]
) -> None:
    async def main() -> list[Any]:
        async with opened(export_file) as store:
            ids = [f"c{n}" for n in range(130)]
            said = []
            async for each in store.lines(ids):
                if not said:  # in its place another one of the same size
                    data = export_file.read_bytes()
                    other = export_file.with_name("other")
                    other.write_bytes(data.replace(b" 1", b" 9"))
                    other.replace(export_file)
                said.append(each)
            return said

    for each in run(main())[20:]:
        if isinstance(each, lines.Lines):
            found = json.loads(each.data.splitlines()[0])
            assert found["conversation_id"] == each.conversations[0]


def test_who_stops_reading_leaves_no_process_behind(
    export_file: Path, begun: list[Process]
) -> None:
    async def main() -> None:
        async with opened(export_file) as store:
            async for _ in store.lines([f"c{n}" for n in range(130)]):
                break

    run(main())
    assert len(begun) == 3
    assert all(process.returncode is not None for process in begun)


def test_who_is_cancelled_leaves_no_process_behind(
    export_file: Path, begun: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, asked = threading.Event(), lines._answers

    def answers(process: Process, some: Any) -> Any:
        at_work.set()
        return asked(process, some)

    monkeypatch.setattr(lines, "_answers", answers)

    async def main() -> None:
        async with opened(export_file) as store:
            export = Export(store, Writer())

            async def read() -> None:
                async for _ in export.pieces():
                    pass

            task = asyncio.ensure_future(read())
            await asyncio.to_thread(at_work.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())
    assert begun
    assert all(process.returncode is not None for process in begun)
