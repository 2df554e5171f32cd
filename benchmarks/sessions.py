"""Measurements of folders of session files: Claude Code's, of which each has thousands of lines that
are mostly what tools have answered."""

import json
import os
import random
import shutil
import subprocess
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, benchmark
from benchmarks.measure import Result, beyond, command, prepared, sync, telling

BYTES = 500_000_000
"""So much lies in the folder."""

_LOOP = """
import glob, resource, sys, time
import orjson
paths = glob.glob(sys.argv[1] + "/*/*.jsonl")
start, cpu = time.perf_counter(), time.process_time()
for path in paths:
    with open(path, "rb") as file:
        for line in file:
            orjson.loads(line)
print(time.perf_counter() - start, time.process_time() - cpu)
"""


@benchmark
def claude_code(b: Bench) -> Iterator[Result]:
    """The first `ls` of 500 MB of sessions against a loop of orjson over every line, start-up not
    counted; the second, where nothing has changed, against `ls` of a small store."""
    folder, state = b.folder / "projects", b.folder / "state"
    small = b.folder / "one"
    write(folder, BYTES)
    write(small, 1)
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    sync()

    def listing(place: Path) -> list[str]:
        return b.synmem("ls", "--json", "-p", place)

    def forget() -> None:
        shutil.rmtree(state, ignore_errors=True)

    first = prepared(forget, command(listing(folder), env=environment))
    start = prepared(forget, command(listing(small), env=environment))
    orjson = b.environment("orjson", "orjson") / "python"
    loop = telling([str(orjson), "-c", _LOOP, str(folder)])
    bar = {"first": 1, "goal": 3, "speed": True}
    yield b.compare("first ls of 500 MB / orjson", beyond(start, first), loop, **bar)

    subprocess.run(listing(folder), env=environment, check=True, capture_output=True)
    second = command(listing(folder), env=environment)
    few = command(b.synmem("ls", "--json", "-p", b.source))
    yield b.compare("second ls / of a small store", second, few, first=2, goal=1.2, speed=False)


# --- sessions as Claude Code writes them ----------------------------------------------------


def write(folder: Path, size: int) -> None:
    """Sessions of so many bytes, at least one: of some hundred kilobytes to tens of megabytes."""
    choose = random.Random(1)
    library = Path(sysconfig.get_path("stdlib"))
    texts = [path.read_text("utf-8", "replace") for path in sorted(library.glob("*.py"))]
    texts = [text for text in texts if len(text) > 2_000]
    written = number = 0
    while not written or written < size:
        session = _Session(choose, texts, _uuid(choose))
        path = folder / f"-home-dev-project{number % 20}" / f"{session.id}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            wanted = min(choose.lognormvariate(13.5, 1.2), 3e7, size)
            while not session.written or session.written < wanted:
                for line in session.turn():
                    file.write(line)
        written, number = written + session.written, number + 1


def _uuid(choose: random.Random) -> str:
    return str(uuid.UUID(int=choose.getrandbits(128), version=4))


class _Session:
    """The lines of a session, turn by turn."""

    def __init__(self, choose: random.Random, texts: list[str], id_: str) -> None:
        self.id = id_
        self.written = 0
        self._choose = choose
        self._texts = texts
        self._parent: str | None = None
        self._count = 0

    def turn(self) -> Iterator[str]:
        """A prompt, what is put beside it, some calls of tools, and an answer."""
        yield self._user(self._text(30, 600), promptId=_uuid(self._choose))
        for _ in range(2):
            said = {"type": "total_tokens_reminder", "text": self._text(200, 2_000)}
            yield self._line("attachment", attachment=said, renderedRole="system")
        for _ in range(self._choose.randint(2, 12)):
            yield from self._step()
        yield self._assistant(_uuid(self._choose), {"type": "text", "text": self._text(50, 3_000)})

    def _step(self) -> Iterator[str]:
        """An answer on several lines, of which the last calls a tool, and what that gave."""
        id_, call = _uuid(self._choose), f"toolu_{_uuid(self._choose)}"
        if self._choose.random() < 0.3:
            thought = {
                "type": "thinking",
                "thinking": self._text(100, 2_000),
                "signature": "c" * 400,
            }
            yield self._assistant(id_, thought)
        if self._choose.random() < 0.5:
            yield self._assistant(id_, {"type": "text", "text": self._text(50, 800)})
        name, given, said, own = self._tool()
        yield self._assistant(id_, {"type": "tool_use", "id": call, "name": name, "input": given})
        result = {"tool_use_id": call, "type": "tool_result", "content": said}
        yield self._user([result], toolUseResult=own)

    def _tool(self) -> tuple[str, dict[str, Any], str, dict[str, Any]]:
        """A tool, what it was given, what the model sees of it, and what the program keeps."""
        text, path = self._choose.choice(self._texts)[:200_000], "/home/dev/project/x.py"
        kind = self._choose.random()
        if kind < 0.3:
            lines = text.split("\n")
            shown = "\n".join(f"{n:6}\u2192{line}" for n, line in enumerate(lines, 1))
            file = {"filePath": path, "content": text, "numLines": len(lines), "startLine": 1}
            return "Read", {"file_path": path}, shown, {"type": "text", "file": file}
        if kind < 0.5:
            old = text[1_000:1_400]
            own = {"filePath": path, "oldString": old, "newString": f"{old}!", "originalFile": text}
            given = {"file_path": path, "old_string": old, "new_string": f"{old}!"}
            return "Edit", given, "The file has been updated.", own
        shown = text[: int(min(self._choose.lognormvariate(7.5, 1.3), 30_000))]
        own = {"stdout": shown, "stderr": "", "interrupted": False, "isImage": False}
        return "Bash", {"command": "git log -p | head -50", "description": "look"}, shown, own

    def _text(self, least: int, most: int) -> str:
        return self._choose.choice(self._texts)[: self._choose.randint(least, most)]

    def _user(self, content: Any, **own: Any) -> str:
        return self._line("user", message={"role": "user", "content": content}, **own)

    def _assistant(self, id_: str, block: dict[str, Any]) -> str:
        usage = {
            "input_tokens": 3, "cache_creation_input_tokens": 512, "output_tokens": 200,
            "cache_read_input_tokens": 20_000, "service_tier": "standard",
        }  # fmt: skip
        message = {
            "id": f"msg_{id_}", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [block], "stop_reason": None, "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        return self._line("assistant", message=message, requestId=f"req_{id_}")

    def _line(self, kind: str, **own: Any) -> str:
        self._count += 1
        minute, second = divmod(self._count, 60)
        uuid_, parent = _uuid(self._choose), self._parent
        said = {
            "parentUuid": parent, "isSidechain": False, "userType": "external",
            "cwd": "/home/dev/project", "sessionId": self.id, "version": "2.1.329",
            "gitBranch": "main", "type": kind, **own, "uuid": uuid_,
            "timestamp": f"2026-11-01T{minute // 60 % 24:02}:{minute % 60:02}:{second:02}.123Z",
        }  # fmt: skip
        self._parent = uuid_
        line = json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"
        self.written += len(line.encode())
        return line
