"""Many files are looked at by several processes, which change nothing of what is seen."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from synmem.backends.file import processes
from synmem.backends.file.store import open as open_file
from synmem.store import ConversationInfo
from tests.conformance import details, run


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """Every folder is worth three processes; those that were begun."""
    monkeypatch.setattr(processes, "WORTH_IT", 1)
    monkeypatch.setattr(processes, "most", lambda: 3)
    found: list[subprocess.Popen[bytes]] = []
    begin = processes.begin

    def process(module: str) -> "subprocess.Popen[bytes]":
        found.append(begin(module))
        return found[-1]

    monkeypatch.setattr(processes, "begin", process)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    for number in range(40):
        path = place / f"d{number % 3}" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        message = {"role": "user", "meta": {}, "name": None, "content": [{"text": "\ud800 é"}]}
        path.write_text(
            json.dumps([message] * (number + 1)) if number != 7 else '[{"role": 1, "meta"'
        )
    return place


def listing(place: Path) -> tuple[dict[str, ConversationInfo], list[Any]]:
    async def main() -> tuple[dict[str, ConversationInfo], list[Any]]:
        store: Any = await open_file({"path": str(place), "layout": "haystack"})
        try:
            return await details(store), await store.strays()
        finally:
            await store.close()

    return run(main())


def test_several_processes_see_what_one_sees(
    folder: Path, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = listing(folder)
    assert len(begun) == 2
    assert all(process.returncode is not None for process in begun)
    monkeypatch.setattr(processes, "most", lambda: 1)
    assert listing(folder) == several
    assert len(several[0]) == 39
    assert {id_: info.messages for id_, info in several[0].items()}["39"] == 40
    assert len(begun) == 2


@pytest.mark.parametrize("program", ["/nothing", "/bin/false", "/bin/cat", ""])
def test_a_process_that_fails_leaves_its_share_to_us(
    folder: Path, begun: Any, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert len(listing(folder)[0]) == 39


def test_a_process_that_is_killed_leaves_its_share_to_us(
    folder: Path, begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = processes.begin

    def process(module: str) -> Any:
        found = given(module)
        found.kill()
        return found

    monkeypatch.setattr(processes, "begin", process)
    assert len(listing(folder)[0]) == 39


def test_who_is_cancelled_leaves_no_process_behind(
    folder: Path, begun: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, at_work = processes.begin, threading.Event()

    def process(module: str) -> Any:
        found = given(module)
        at_work.set()
        return found

    monkeypatch.setattr(processes, "begin", process)

    async def main() -> None:
        store: Any = await open_file({"path": str(folder), "layout": "haystack"})
        task = asyncio.ensure_future(details(store))
        await asyncio.to_thread(at_work.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.close()

    run(main())
    assert begun
    assert all(each.returncode is not None for each in begun)


def test_nothing_of_the_folder_where_we_stand_is_run(
    folder: Path, begun: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "msgspec.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert len(listing(folder)[0]) == 39
    assert not (tmp_path / "run").exists()
