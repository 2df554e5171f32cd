"""Odd records under every command: what another program, or an accident, may have left in a store.

Whatever they are, every command ends with a documented exit code and no Python exception's text,
every sound conversation is shown, and what is not shown is named (exit 6).
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.testing import Result

from tests.cli.moved import run

SOUND = {name: [f"{name} soundly {n}" for n in range(3)] for name in ("sound-1", "sound-2")}
"""Conversations to lay into a store beside the odd ones; see `synmem import`."""

_CODES = {0, 1, 3, 6, 7, 8}
"""What odd records may lead to. 2, 4 and 5 blame the user, the server and the rights."""
_PYTHON = re.compile(
    r"Traceback|\b(Key|Type|Value|Attribute|Index|Overflow|Assertion|Name|Runtime|Recursion)Error\b"
    r"|UnicodeDecodeError|UnicodeEncodeError|InvalidOperation|NoneType|object (is not|has no)"
    r"|unhashable|not subscriptable|coroutine|bytes-like"
)


def nothing_is_hidden(
    place: str,
    folder: Path,
    *,
    odd: Collection[str] = (),
    marks: Collection[str] = (),
    sound: Mapping[str, Sequence[str]] = SOUND,
    writes: bool = True,
) -> None:
    """Run every command on a store that holds the `sound` conversations and odd records.

    `odd`: ids that an odd record could be known by, there or not. `marks`: texts of which each
    is in one odd record and in nothing else: where `export` (or `migrate`) does not write one,
    it says exit 6, and so does `check`. `folder` is an empty one, for copies. `writes`: also run
    what writes to the store itself; the sound conversations are then as they were before.
    """
    for arguments in _asking(place, [*sound, *odd]):
        ordinary(run(*arguments), arguments)
    _listed(place, sound)
    _exported(place, sound, marks)
    _searched(place, sound)
    _migrated(place, folder, sound, marks)
    if writes:
        _written(place, sound, odd)
        _exported(place, sound, ())


def ordinary(result: Result, arguments: Sequence[Any] = ()) -> Result:
    """The result, which is no bug's: a documented exit code, and nothing of Python's."""
    said = (arguments, result.exit_code, result.output[-2000:], repr(result.exception))
    assert result.exception is None or isinstance(result.exception, SystemExit), said
    assert result.exit_code in _CODES, said
    assert not _PYTHON.search(result.stderr), said
    return result


def _asking(place: str, ids: Sequence[str]) -> Iterator[list[Any]]:
    """Commands that only ask, of the whole store and of each conversation."""
    at = ["-p", place]
    yield from ([*command, *at] for command in (["ls", "--idle", "1d"], ["stats", "--json"]))
    yield from (["ls", "--sort", key, *at] for key in ("messages", "updated"))
    yield ["clear", "--all", "--dry-run", *at]
    yield ["clear", "--match", "*", "--keep-last", "1", "--dry-run", *at]
    yield ["clear", "--match", "*", "--older-than", "1d", "--dry-run", *at]
    for each in ids:
        yield ["show", *at, "-f", "json", "--", each]
        yield ["show", *at, "--last", "1", "--", each]
        yield ["context", *at, "--", each]
        yield ["search", *at, "-c", each, "soundly"]
        yield ["export", *at, "-f", "markdown", "--", each]
        yield ["clear", *at, "--dry-run", "--", each]
        yield ["summarize", *at, "--method", "extractive", "--max-messages", "1", "--", each]


def _listed(place: str, sound: Mapping[str, Sequence[str]]) -> None:
    for form in ("ids", "json", "jsonl", "table"):
        listed = ordinary(run("ls", "-p", place, "-f", form), [form])
        assert listed.exit_code in (0, 6), listed.output
        assert all(each in listed.stdout for each in sound), (form, listed.output)
    counted = ordinary(run("stats", "-p", place))
    assert counted.exit_code in (0, 6), counted.output
    match = ["clear", "--match", "sound*", "--dry-run", "-p", place]
    matched = ordinary(run(*match), match)
    assert matched.exit_code == 0, matched.output


def _exported(place: str, sound: Mapping[str, Sequence[str]], marks: Collection[str]) -> None:
    for form in ("json", "csv", "markdown", "jsonl"):
        exported = ordinary(run("export", "-p", place, "-f", form), [form])
        assert exported.exit_code in (0, 6), (form, exported.output)
        hidden = [t for texts in sound.values() for t in texts if t not in exported.stdout]
        assert not hidden, (form, hidden, exported.stderr)
    checked = ordinary(run("check", place))
    missing = [each for each in marks if each not in exported.stdout]
    if missing:
        assert exported.exit_code == 6, ("hidden by export", missing, exported.stderr)
        assert checked.exit_code in (6, 7), ("hidden by check", missing, checked.output)
    else:
        assert checked.exit_code in (0, 6, 7), checked.output
    for each, texts in sound.items():
        shown = ordinary(run("show", "-p", place, "-f", "json", "--", each), [each])
        assert shown.exit_code == 0, shown.output
        assert [message["content"] for message in json.loads(shown.stdout)] == list(texts)


def _searched(place: str, sound: Mapping[str, Sequence[str]]) -> None:
    found = ordinary(run("search", "-p", place, "-k", "100", "soundly"))
    assert found.exit_code in (0, 6), found.output
    assert all(t in found.stdout for texts in sound.values() for t in texts), found.output


def _migrated(
    place: str, folder: Path, sound: Mapping[str, Sequence[str]], marks: Collection[str]
) -> None:
    copy = folder / "copy.db"
    tried = ordinary(run("migrate", place, copy, "--dry-run"), ["migrate --dry-run"])
    assert tried.exit_code in (0, 6), tried.output
    migrated = ordinary(run("migrate", place, copy), ["migrate"])
    assert migrated.exit_code in (0, 6), migrated.output
    copied = run("export", "-p", copy)
    assert all(t in copied.stdout for texts in sound.values() for t in texts), migrated.stderr
    missing = [each for each in marks if each not in copied.stdout]
    assert not missing or migrated.exit_code == 6, (missing, migrated.output)
    compared = ordinary(run("check", place, copy), ["check A B"])
    assert compared.exit_code in ((0, 6, 7) if marks else (0, 6)), compared.output


def _written(place: str, sound: Mapping[str, Sequence[str]], odd: Collection[str]) -> None:
    """Writes to sound conversations are done and undone; to odd ones done, or refused."""
    at = ["-p", place]
    for each in sound:
        assert ordinary(run("clear", *at, "--yes", "--", each), ["clear", each]).exit_code == 0
        undone = ordinary(run("undo", *at), ["undo", each])
        assert undone.exit_code == 0, undone.output
    first = next(iter(sound))
    texts = sound[first]
    assert ordinary(run("add", *at, "--", first, "one more"), ["add"]).exit_code == 0
    shown = json.loads(run("show", *at, "-f", "json", "--", first).stdout)
    assert [message["content"] for message in shown] == [*texts, "one more"]
    trim = ["clear", *at, "--keep-last", "1", "--yes", "--no-backup", "--", first]
    assert ordinary(run(*trim), trim).exit_code == 0
    for arguments in (
        ["clear", *at, "--yes", "--no-backup", "--", first],
        ["import", *at],
    ):  # as it was, and without a backup that an `undo` below would bring back
        lines = [
            json.dumps({"conversation_id": first, "role": "user", "content": t}) for t in texts
        ]
        result = ordinary(run(*arguments, stdin="\n".join(lines).encode()), arguments)
        assert result.exit_code in (0, 6), result.output
    for each in odd:
        for arguments in (
            ["add", *at, "--", each, "added"],
            ["clear", *at, "--keep-last", "1", "--yes", "--", each],
            ["clear", *at, "--yes", "--", each],
            ["undo", *at],
            ["clear", *at, "--yes", "--no-backup", "--", each],
        ):
            ordinary(run(*arguments), arguments)
