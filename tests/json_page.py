"""What every command prints with --json, by real runs; and docs/json.md, which shows it.

`python -m tests.json_page` writes what was printed into tests/cli/golden/ and into the page.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from synmem.cli.app import app
from synmem.layouts.interchange import jsonl
from tests.at_places import FIXTURES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "json.md"
GOLDEN = Path(__file__).parent / "cli" / "golden"

SOURCE = r"""
{"conversation_id": "user-1", "title": "Refund", "extra": {"app": {"tag": "vip"}}}
{"conversation_id": "user-1", "role": "user", "content": "Where is my refund?", "created_at": "2026-11-01T09:00:00.25Z", "metadata": {"source": "web"}}
{"conversation_id": "user-1", "role": "assistant", "content": "", "created_at": "2026-11-01T09:00:02Z", "tool_calls": [{"id": "c1", "name": "find_order", "arguments": {"user": 1}}]}
{"conversation_id": "user-1", "role": "tool", "content": "paid back", "created_at": "2026-11-01T09:00:03Z", "tool_call_id": "c1", "name": "find_order"}
{"conversation_id": "user-1", "role": "assistant", "content": "It was paid back today.", "created_at": "2026-11-01T09:00:05Z", "parts": [{"type": "text", "text": "It was paid back today."}], "extra": {"app": {"id": 7}}}
{"conversation_id": "user-2", "role": "user", "content": "Hello"}
"""
"""What the store of the examples holds."""

BROKEN = """
{"conversation_id": "user-3", "role": "user", "content": "readable"}
{"conversation_id": "user-3", "role": "user"}
"""

LLM = """
[profiles.local]
backend = "sqlite"
db_path = "chat.db"

[llm]
provider = "command"
command = "echo Refund"
"""


class Run(NamedTuple):
    """A command, what it is called among the examples, and how it ends."""

    name: str
    words: str
    code: int = 0


RUNS = [
    Run("import", "import chat.jsonl -p chat.db --json"),
    Run("add", "add user-2 Anyone? --at 2026-11-02T10:00:00Z -p chat.db --json"),
    Run("show", "show user-1 -p chat.db --json"),
    Run("ls", "ls -p chat.db --json"),
    Run("ls-long", "ls -l -p chat.db --json"),
    Run("ls-several", "ls -p chat.db -p chat.jsonl --limit 1 --json"),
    Run("export", "export user-1 -p chat.db --json"),
    Run("search", "search refund -p chat.db --json"),
    Run("search-several", "search refund -p chat.db -p chat.jsonl -k 1 --json"),
    Run("stats", "stats -p chat.db --json"),
    Run("stats-logs", "stats logs.db --json"),
    Run("stats-several", "stats -p chat.db -p chat.jsonl --json"),
    Run("search-forget", "search --forget -p chat.db --json"),
    Run("check-one", "check chat.db --json"),
    Run("check-broken", "check broken.jsonl --json", 6),
    Run("check-altered", "check altered.jsonl --json", 6),
    Run("check-logs", "check logs.db --json"),
    Run("check-two", "check chat.db chat.jsonl --json", 7),
    Run("check-quick", "check chat.db chat.jsonl --quick --json", 7),
    Run("migrate-dry-run", "migrate chat.db new.db --dry-run --json"),
    Run("migrate", "migrate chat.db new.db --receipt receipt.json --json"),
    Run("migrate-archive", "migrate chat.jsonl old.db --id-as x/{id} --archive --json"),
    Run("migrate-logs", "migrate logs.db llm.db --match none --json"),
    Run("import-half", "import chat.jsonl -p half.db --json"),
    Run("migrate-behind", "migrate chat.db half.db --json"),
    Run("migrate-conflict", "migrate other.jsonl new.db --json", 6),
    Run("check-as", "check chat.jsonl old.db --id-as x/{id} --json"),
    Run("check-receipt", "check new.db --receipt receipt.json --json"),
    Run("context", "context user-1 -p chat.db --json"),
    Run("context-anthropic", "context user-1 -p chat.db -f anthropic"),
    Run(
        "summarize",
        "summarize user-1 user-2 -p chat.db --method extractive --max-messages 2 --json",
    ),
    Run("entities", "entities user-1 -p chat.db --json"),
    Run("clear-dry-run", "clear user-2 --dry-run -p new.db --json"),
    Run("clear", "clear user-2 --yes -p new.db --json"),
    Run("clear-failed", "clear user-2 -p nowhere.db --yes --json", 3),
    Run("undo-list", "undo --list --json"),
    Run("undo-dry-run", "undo --dry-run --json"),
    Run("undo", "undo --json"),
    Run("discover", "discover found --json", 6),
    Run("discover-add", "discover found --add --json", 6),
    Run("profile-list", "profile list --json"),
    Run("profile-show", "profile show local --json"),
    Run("profile-test", "profile test local --json"),
    Run("profile-test-logs", "profile test logs.db --json"),
    Run("profile-test-broken", "profile test broken.jsonl --json", 6),
    Run("profile-path", "profile path --json"),
    Run("profile-add", "profile add work work.db --json"),
    Run("profile-use", "profile use work --json"),
    Run("profile-remove", "profile remove work --json"),
    Run("error-usage", "clear -p chat.db --json", 2),
    Run("error", "show nobody -p chat.db --json", 3),
]


class Printed(NamedTuple):
    """A run, and what it printed: on stdout, or its error on stderr."""

    run: Run
    data: Any


def printed(folder: Path) -> dict[str, Printed]:
    """What every run prints, one after the other, in an empty folder that is where we stand."""
    from synmem import folders

    (folder / "chat.jsonl").write_text(SOURCE.strip() + "\n")
    (folder / "broken.jsonl").write_text(BROKEN.strip() + "\n")
    other = SOURCE.replace("Where is", "Who has").strip() + "\n"
    (folder / "other.jsonl").write_text(other)
    altered = jsonl.OPENING + SOURCE.strip().encode() + b"\n" + jsonl.seal_line(2, 5, "0" * 64)
    (folder / "altered.jsonl").write_bytes(altered)
    shutil.copy(FIXTURES / "llm-logs-new" / "logs.db", folder)
    (folder / "found").mkdir()
    (folder / "found" / "bad.db").write_bytes(b"SQLite format 3\0" + b"?" * 5000)
    (folder / "found" / "chat.jsonl").write_text(SOURCE.strip() + "\n")
    config = folders.config_file()
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(LLM)
    config.chmod(0o600)
    return {run.name: Printed(run, _printed(run, folder)) for run in RUNS}


def _printed(run: Run, folder: Path) -> Any:
    result = CliRunner().invoke(app, run.words.split())
    assert result.exit_code == run.code, (run.words, result.stderr)
    text = result.stdout if result.stdout.strip() else result.stderr.splitlines()[-1]
    return _plain(json.loads(text), str(folder))


_BACKUP = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{4}")
_SAME = {"bytes": 4096, "score": 1.5, "at": "2026-11-21T06:00:00.123456Z"}
"""What is of one machine or moment, and what stands for it."""


def _plain(value: Any, folder: str, key: str = "") -> Any:
    """The value, the same for every run: without places, moments and sizes of this one."""
    if isinstance(value, dict):
        return {name: _plain(each, folder, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, folder, key) for each in value]
    if key in _SAME and type(value) is type(_SAME[key]):
        return _SAME[key]
    if isinstance(value, str):
        value = value.replace(str(sys.executable), "python").replace(folder, "/home/me")
        return _BACKUP.sub("20261121-060000-123456-5b37", value)
    return value


# --- the page -------------------------------------------------------------------------------

_WIDE = 100
_EXAMPLE = re.compile(r"<!-- run: (\S+) -->\n\n(?:`synmem .*`:\n\n```json\n(?s:.*?)\n```\n\n?)?")


def pretty(value: Any, indent: str = "") -> str:
    """JSON for a person: what fits stands on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= _WIDE or not isinstance(value, dict | list) or not value:
        return line
    deeper = indent + "  "
    if isinstance(value, list):
        rows = [pretty(each, deeper) for each in value]
    else:
        rows = [f"{json.dumps(name)}: {pretty(each, deeper)}" for name, each in value.items()]
    inner = ",\n".join(deeper + row for row in rows)
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return f"{opening}\n{inner}\n{indent}{closing}"


def page(runs: dict[str, Printed]) -> str:
    """docs/json.md, with these examples."""

    def example(found: re.Match[str]) -> str:
        run, data = runs[found[1]]
        return (
            f"<!-- run: {run.name} -->\n\n`synmem {run.words}`:\n\n```json\n{pretty(data)}\n```\n\n"
        )

    return _EXAMPLE.sub(example, PAGE.read_text()).rstrip() + "\n"


class Table(NamedTuple):
    """The keys that a table of the page names, with their types, and the runs that show them."""

    keys: dict[str, str]
    runs: list[str]


def tables() -> list[Table]:
    """All tables of the page."""
    found: list[Table] = []
    for line in PAGE.read_text().split("\n"):
        if line.startswith(("## ", "| key |")):
            found.append(Table({}, []))
        elif row := re.match(r"\| `(.+?)` \| (.*?) \|", line):
            found[-1].keys[row[1]] = row[2]
        elif marker := re.match(r"<!-- (?:run|also): (.+) -->", line):
            found[-1].runs.extend(marker[1].split())
    return [table for table in found if table.runs]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        os.environ["HOME"] = f"{folder}/home"
        for name in ("CONFIG", "STATE", "DATA", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = f"{folder}/home/{name.lower()}"
        os.chdir(folder)
        runs = printed(folder)
        os.chdir(ROOT)
    PAGE.write_text(page(runs))
    GOLDEN.mkdir(exist_ok=True)
    for each in runs.values():
        (GOLDEN / f"{each.run.name}.json").write_text(pretty(each.data) + "\n")
