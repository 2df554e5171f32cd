"""Measure synmem against the native tools in one run, as ratios.

    python -m benchmarks [--messages 200000] [--runs 5] [--only NAME ...]

Absolute times mean nothing on a shared machine; the ratio of two commands run in turn does.
Exits 1 where a bar that is due is missed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import benchmarks.exports
import benchmarks.foreign
import benchmarks.places
import benchmarks.servers
import benchmarks.sessions  # noqa: F401 - they register their own
from benchmarks import data, native
from benchmarks.bench import BENCHMARKS, Bench, benchmark
from benchmarks.measure import (
    Result,
    Work,
    beyond,
    command,
    peak_mb,
    prepared,
    remove,
    sync,
    telling,
)
from tests.services import Missing


@benchmark
def start(b: Bench) -> Iterator[Result]:
    """Start-up against a two-command Typer program, in an environment without extras."""
    program = [str(b.bare / "python"), b.program("TYPER")[1], "hello"]
    synmem, chat = str(b.bare / "synmem"), str(b.folder / "small.db")
    subprocess.run([synmem, "add", "c", "hello", "-p", chat], check=True)
    many = Bench(b.folder, b.messages, max(b.runs, 15), b.stack)
    low = {"speed": False}
    yield many.compare(
        "--version / typer", [synmem, "--version"], program, first=1.2, goal=1.1, **low
    )
    yield many.compare("show / typer", [synmem, "show", "c", "-p", chat, "--last", "1"], program, first=1.7, goal=1.4, **low)  # fmt: skip
    yield many.compare("add / typer", [synmem, "add", "c", "x", "-p", chat], program, first=1.7, goal=1.4, **low)  # fmt: skip


@benchmark
def llm(b: Bench) -> Iterator[Result]:
    """`show --last 10` against `llm logs -n 10`, each on ten thousand messages."""
    folder = b.environment("llm", "llm")
    logs = b.folder / "logs.db"
    subprocess.run([str(folder / "python"), "-c", _LLM_ROWS, str(logs)], check=True)
    chat = data.synapsekit_file(b.folder / "one.db", 10_000, 1)
    yield b.compare(
        "show --last 10 / llm logs -n 10",
        b.synmem("show", "user-000000", "--last", "10", "-p", chat),
        [str(folder / "llm"), "logs", "-n", "10", "-d", str(logs)],
        first=4, goal=6, speed=True,
    )  # fmt: skip


_LLM_ROWS = """
import sqlite_utils, sys
from llm.migrations import migrate
db = sqlite_utils.Database(sys.argv[1])
migrate(db)
db["conversations"].insert({"id": "c", "name": "c", "model": "m"})
db["responses"].insert_all({"id": f"r{n:06}", "model": "m", "prompt": "a question " * 10,
    "response": "an answer " * 10, "conversation_id": "c", "datetime_utc": "2026-11-21T00:00:00"}
    for n in range(5000))
"""


EXPORT_TIMES = 5
"""Exported are so many times the messages: a million where nothing else is asked."""


@benchmark
def export(b: Bench) -> Iterator[Result]:
    """`export` to JSON Lines against `sqlite3 -json`, from both kinds of file.

    What counts is rows a second: of so many that starting Python is little beside them.
    """
    count = b.messages * EXPORT_TIMES
    theirs = data.synapsekit_file(b.folder / "export.db", count, count // 20)
    own = data.own_file(b.folder / "export-own.db", theirs)
    for name, path in (("a SynapseKit file", theirs), ("our own file", own)):
        select = "SELECT conversation_id, role, content, metadata FROM messages"
        yield b.compare(
            f"export {name} / sqlite3 -json",
            b.synmem("export", "-q", "-p", path), ["sqlite3", "-json", str(path), select],
            first=0.5, goal=1.0, speed=True,
        )  # fmt: skip


@benchmark
def imports(b: Bench) -> Iterator[Result]:
    """`import` of JSON Lines against the shortest loop with one executemany transaction."""
    lines, target, other = b.folder / "all.jsonl", b.folder / "in.db", b.folder / "loop.db"
    subprocess.run(b.synmem("export", "-q", "-p", b.source, "-o", lines), check=True)
    yield b.compare(
        "import / executemany loop",
        prepared(lambda: (remove(target), sync()), command(b.synmem("import", "-q", lines, "-p", target))),
        prepared(lambda: (remove(other), sync()), command([*b.program("IMPORT_LOOP"), str(lines), str(other)])),
        first=0.6, goal=0.9, speed=True,
    )  # fmt: skip


@benchmark
def migrate(b: Bench) -> Iterator[Result]:
    """`migrate`, verified, against ATTACH and INSERT SELECT."""
    target, other = b.folder / "moved.db", b.folder / "attached.db"
    yield b.compare(
        "migrate / ATTACH + INSERT SELECT",
        prepared(lambda: (remove(target), sync()), command(b.synmem("migrate", "-q", b.source, target))),
        prepared(lambda: (remove(other), sync()), command([*b.program("ATTACH"), str(b.source), str(other)])),
        first=0.12, goal=0.6, speed=True,
    )  # fmt: skip


@benchmark
def memory(b: Bench) -> Iterator[Result]:
    """Peak memory of `migrate`: all the messages against a tenth of them, in megabytes."""
    small = data.synapsekit_file(b.folder / "tenth.db", b.messages // 10, b.messages // 200)
    for target in ("m1.db", "m2.db"):
        remove(b.folder / target)
    large_mb = peak_mb(b.synmem("migrate", "-q", b.source, b.folder / "m1.db"))
    small_mb = peak_mb(b.synmem("migrate", "-q", small, b.folder / "m2.db"))
    yield Result(f"peak MB, {b.messages:,} / a tenth", large_mb, small_mb, large_mb / small_mb, None, 1.1, 1.1, False)  # fmt: skip


@benchmark
def long(b: Bench) -> Iterator[Result]:
    """`show --last 10` and `context` on a long conversation against one of ten messages."""
    long = data.synapsekit_file(b.folder / "long.db", b.messages, 1)
    short = data.synapsekit_file(b.folder / "short.db", 10, 1)
    bar = {"first": 1.5, "goal": 1.2, "speed": False}
    for name, words in (("show --last 10", ("show", "user-000000", "--last", "10")), ("context", ("context", "user-000000"))):  # fmt: skip
        yield b.compare(f"{name}, {b.messages:,} / 10 messages", b.synmem(*words, "-p", long), b.synmem(*words, "-p", short), **bar)  # fmt: skip


@benchmark
def listing(b: Bench) -> Iterator[Result]:
    """`ls` of many conversations against SQL for the same columns, each beyond its start-up."""
    many = data.synapsekit_file(b.folder / "many.db", b.messages, min(100_000, b.messages // 2))
    own = data.own_file(b.folder / "many-own.db", many)
    few = data.own_file(b.folder / "few-own.db", data.synapsekit_file(b.folder / "few.db", 10, 1))
    bar = {"first": 1.5, "goal": 1.2, "speed": False}

    def beyond_start(arguments: Callable[[Path], list[str]]) -> Work:
        return beyond(command(arguments(few)), command(arguments(own)))

    yield b.compare(
        "ls / SELECT DISTINCT",
        beyond_start(lambda path: b.synmem("ls", "-p", path)),
        beyond_start(lambda path: [*b.program("SELECT"), str(path), native.DISTINCT]),
        **bar,
    )
    yield b.compare(
        "ls --json / GROUP BY",
        beyond_start(lambda path: b.synmem("ls", "--json", "-p", path)),
        beyond_start(lambda path: [*b.program("SELECT"), str(path), native.GROUP]),
        **bar,
    )


@benchmark
def add(b: Bench) -> Iterator[Result]:
    """Appending in a loop from Python against SynapseKit's own class, on its own file."""

    def loop(how: str) -> Work:
        path = b.folder / f"add-{how}.db"
        return prepared(
            lambda: (remove(path), data.synapsekit_file(path, 20, 1)),
            telling([*b.program("ADD_LOOP"), str(path), how, "500"]),
        )

    yield b.compare("add in a loop / SynapseKit", loop("synmem"), loop("synapsekit"), first=0.6, goal=1.0, speed=True)  # fmt: skip


def main() -> int:
    """Run what was asked for and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=BENCHMARKS, default=list(BENCHMARKS))
    asked = parser.parse_args()
    if shutil.which("sqlite3") is None:
        parser.error("the sqlite3 command is what synmem is measured against: install it")
    missed = 0
    print(f"{'':48} {'ours':>8} {'theirs':>8} {'ratio':>6} {'of CPU':>7}  {'first':>7} {'goal':>6}")
    with tempfile.TemporaryDirectory(prefix="synmem-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), asked.messages, asked.runs, stack)
        for name in asked.only:
            try:
                for result in BENCHMARKS[name](bench):
                    print(_row(result), flush=True)
                    missed += not result.met
            except Missing as missing:
                print(f"{name}: not measured: {missing}", flush=True)
    return 1 if missed else 0


def _row(r: Result) -> str:
    sign, cpu = ">=" if r.at_least else "<=", "" if r.cpu_ratio is None else f"{r.cpu_ratio:.2f}"
    bars = f"{sign}{r.first:5} {r.goal:6}{'' if r.met else '  MISSED'}"
    return f"{r.name:48} {r.ours:8.3f} {r.theirs:8.3f} {r.ratio:6.2f} {cpu:>7}  {bars}"


if __name__ == "__main__":
    sys.exit(main())
