"""kill -9 in everything that destroys, and in undo: at any step, on every store; and two undos at
once. When all is undone each conversation is exactly what it was."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from synmem.operations.keeping import backups
from tests import services
from tests.cli.moved import run
from tests.cli.places import BACKENDS, EVERY, Places, proxied
from tests.cli.processes import start

KILLS = 60
"""On each store: half of them in what destroys, half in undo."""
DOUBLES = 12
ROOT = Path(__file__).parents[2]

COMMANDS: dict[str, Callable[[str, Path], list[str]]] = {
    "clear": lambda place, folder: ["clear", "--match", "*", "--yes", "-p", place],
    "trim": lambda place, folder: ["clear", "--match", "*", "--keep-last", "7", "--yes", "-p", place],
    "replace": lambda place, folder: [
        "import", str(folder / "other.jsonl"), "--on-conflict", "replace", "-p", place,
    ],
    "summarize": lambda place, folder: [
        "summarize", "--match", "*", "--replace", "--yes", "--max-messages", "5", "-p", place,
        "--method", "extractive",
    ],
    "move": lambda place, folder: [
        "migrate", place, str(folder / "moved.db"), "--move", "--yes",
    ],
}  # fmt: skip
NAMES = ("pings", "talk", "odd/\n*")


def lines(prefix: str, count: int) -> str:
    """Three conversations: one says the same again and again."""
    messages = [
        {"conversation_id": name, "role": "user", "content": f"{prefix}{'ping' if name == 'pings' else n}"}
        for name in NAMES
        for n in range(count)
    ]  # fmt: skip
    return "".join(json.dumps(each) + "\n" for each in messages)


def conversations(place: str) -> dict[str, list[object]]:
    """Everything in the store, in order."""
    done = run("export", "-p", place)
    assert done.exit_code == 0, done.stderr
    found: dict[str, list[object]] = {}
    for line in done.stdout.split("\n")[:-1]:
        message = json.loads(line)
        if "role" in message:
            found.setdefault(message.pop("conversation_id"), []).append(message)
    return found


class Killer:
    """Kills commands at steps of chance, of so many as each has taken."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.kills = 0
        self._random = random.Random(backend)
        self._steps: Counter[str] = Counter()
        self._told = folder / "steps"

    def kill(self, what: str, arguments: list[str]) -> bool:
        """Whether it died on the way; else it came to its end."""
        at = self._random.randint(1, self._steps[what] or 300)
        environment = {**os.environ, "DYING_AT": str(at), "DYING_STEPS": str(self._told)}
        done = subprocess.run(
            [sys.executable, "-m", "tests.cli.dying", *arguments], cwd=ROOT, env=environment,
            capture_output=True, timeout=120,
        )  # fmt: skip
        if done.returncode < 0:
            self.kills += 1
            return True
        assert done.returncode in (0, 6), done.stderr
        self._steps[what] = int(self._told.read_text())
        return False


def undo_all(place: str) -> None:
    """Undo, until there is nothing more."""
    for _ in range(10):
        done = run("undo", "-p", place)
        if done.exit_code == 1 and "nothing to undo" in done.stderr:
            return
        assert done.exit_code == 0, done.stderr
    raise AssertionError("there is always more to undo")


def filled(place: str, tmp_path: Path) -> dict[str, list[object]]:
    (tmp_path / "said.jsonl").write_text(lines("", 30))
    (tmp_path / "other.jsonl").write_text(lines("other ", 11))
    assert run("import", str(tmp_path / "said.jsonl"), "-p", place).exit_code == 0
    return conversations(place)


@pytest.mark.real
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("backend", EVERY)
def test_killed_at_any_step_nothing_is_lost_or_doubled(
    places: Places, tmp_path: Path, backend: str
) -> None:
    place = places.of(backend)
    said = filled(place, tmp_path)
    killer = Killer(backend, tmp_path)
    trial = 0
    while killer.kills < KILLS:
        what = [*COMMANDS][trial % len(COMMANDS)]
        trial += 1
        (tmp_path / "moved.db").unlink(missing_ok=True)
        command = COMMANDS[what](place, tmp_path)
        if killer.kill(what, command):
            again = run(*command)
            assert again.exit_code in (0, 3), (what, again.stderr)
        killer.kill("undo", ["undo", "-p", place])
        undo_all(place)
        assert conversations(place) == said, (what, trial)
    assert all(backups.is_undone(each) for each in backups.backups())


@pytest.mark.real
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backend", EVERY)
def test_the_same_undo_twice_at_once_is_one_undo(
    places: Places, tmp_path: Path, backend: str
) -> None:
    place = places.of(backend)
    said = filled(place, tmp_path)
    for number in range(DOUBLES):
        what = ("clear", "trim", "replace")[number % 3]
        assert run(*COMMANDS[what](place, tmp_path)).exit_code == 0
        newest = backups.backups()[0].id
        both = [start("undo", newest, "-p", place) for _ in range(2)]
        outcomes = [(each.communicate(timeout=120)[1], each.returncode) for each in both]
        codes = sorted(code for _, code in outcomes)
        assert codes == [0, 0], outcomes  # the second says that it is undone already
        assert conversations(place) == said, what


@pytest.mark.real
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_through_a_connection_that_breaks_again_and_again(
    places: Places, tmp_path: Path, backend: str
) -> None:
    place = places.new(backend)
    said = filled(place, tmp_path)
    chance = random.Random(backend)
    with proxied(place) as (proxy, through):
        for number in range(10):
            what = ("clear", "trim", "replace", "summarize")[number % 4]
            for arguments in (COMMANDS[what](through, tmp_path), ["undo", "-p", through]):
                running = start(*arguments)
                while running.poll() is None:
                    time.sleep(chance.uniform(0.02, 0.4))
                    chance.choice([proxy.cut, proxy.half_close])()
                _, errors = running.communicate()
                assert running.returncode in (0, 1, 4, 6), errors  # 1: nothing to undo
                assert b"Traceback" not in errors
            undo_all(through)
            assert conversations(place) == said, what


@pytest.mark.real
@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_server_that_is_killed_under_undo_and_started_again(
    places: Places, tmp_path: Path, backend: str
) -> None:
    with services.running(backend, tmp_path / backend) as server:
        if not getattr(server, "keeps", True):
            pytest.skip(f"{server.what} keeps nothing when it is killed")
        place = places.new(backend, server.url)
        said = filled(place, tmp_path)
        for number, after_s in enumerate((0.3, 0.5, 0.7, 0.9)):
            what = ("clear", "trim")[number % 2]
            assert run(*COMMANDS[what](place, tmp_path)).exit_code == 0
            running = start("undo", "-p", place)
            time.sleep(after_s)
            server.kill()
            _, errors = running.communicate(timeout=60)
            assert running.returncode in (0, 4), errors  # 0: it was done already
            assert b"Traceback" not in errors
            server.start()
            undo_all(place)
            assert conversations(place) == said, what
