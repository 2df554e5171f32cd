"""What --json prints is what docs/json.md says, key by key; and is what it was."""

import json
from typing import Any

import pytest

from tests import json_page
from tests.json_page import GOLDEN, PAGE, Printed, Table, printed, tables

HOW = "python -m tests.json_page writes it anew: keys may come, none may go or change its type"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What every run prints; made once, in folders of its own."""
    folder = tmp_path_factory.mktemp("json").resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        for name in ("CONFIG", "STATE", "DATA", "CACHE"):
            patch.setenv(f"XDG_{name}_HOME", str(folder / "home" / name.lower()))
        for name in ("SYNMEM_PROFILE", "SYNMEM_CONFIG"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        yield printed(folder)


@pytest.mark.parametrize("name", [run.name for run in json_page.RUNS])
def test_what_is_printed_is_what_it_was(name: str, runs: dict[str, Printed]) -> None:
    assert runs[name].data == json.loads((GOLDEN / f"{name}.json").read_text()), HOW


def test_there_is_no_golden_file_that_nothing_prints() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {run.name for run in json_page.RUNS}


def test_the_examples_of_the_page_are_what_is_printed(runs: dict[str, Printed]) -> None:
    assert PAGE.read_text() == json_page.page(runs), HOW


def test_every_run_stands_on_the_page_once() -> None:
    named = [name for table in tables() for name in table.runs]
    assert sorted(named) == sorted(run.name for run in json_page.RUNS)


def test_every_command_that_prints_json_is_run() -> None:
    from synmem.cli.app import COMMANDS

    ran = {run.words.split()[0] for run in json_page.RUNS}
    others = {"help", "browse", "list-conversations", "list", "cat"}
    assert set(COMMANDS) - ran - others == set()


class Seen:
    """What was seen of the keys that a table names."""

    def __init__(self, table: Table) -> None:
        self._keys = table.keys
        self.types: dict[str, set[str]] = {}
        self.missing: set[str] = set()

    def take(self, value: Any, path: str = "") -> None:
        """A value, at that path."""
        if isinstance(value, list):
            for each in value:
                self.take(each, f"{path}[]" if path else "")
            return
        begins = f"{path}." if path else ""
        for key, each in value.items():
            self._key(f"{begins}{key}", each)
        own = {
            k for k in self._keys if k.startswith(begins) and not set(".[") & {*k[len(begins) :]}
        }
        self.missing |= {key for key in own if key.removeprefix(begins) not in value}

    def _key(self, path: str, value: Any) -> None:
        deeper = isinstance(value, dict) and self._has(f"{path}.")
        deeper = deeper or (isinstance(value, list) and self._has(f"{path}[]."))
        if not deeper or path in self._keys:
            self.types.setdefault(path, set()).add(_type(value))
        if deeper:
            self.take(value, path)

    def _has(self, begins: str) -> bool:
        return any(key.startswith(begins) for key in self._keys)


def _type(value: Any) -> str:
    names = {str: "text", bool: "true/false", type(None): "null", dict: "object", list: "array"}
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return "array of text"
    return names.get(type(value), "number")


def _fits(seen: str, said: str) -> bool:
    kinds = [kind.removeprefix("any ") for kind in said.partition(",")[0].split(" or ")]
    return seen in kinds or (seen.startswith("array") and any(k.startswith("array") for k in kinds))


@pytest.mark.parametrize("table", [t for t in tables() if t.keys], ids=lambda t: t.runs[0])
def test_a_table_names_exactly_the_keys_that_are_seen(
    table: Table, runs: dict[str, Printed]
) -> None:
    seen = Seen(table)
    for name in table.runs:
        seen.take(runs[name].data)
    shown = {key: said for key, said in table.keys.items() if "not shown" not in said}
    assert set(seen.types) == set(shown)
    for key, types in seen.types.items():
        assert all(_fits(each, shown[key]) for each in types), (key, types)
    assert seen.missing <= {
        k for k, said in table.keys.items() if "absent" in said or k not in shown
    }


def test_a_key_that_is_not_named_is_found() -> None:
    seen = Seen(Table({"a": "text", "b[].c": "number", "d": "any object"}, []))
    seen.take([{"a": "x", "b": [{"c": 1}, {"e": None}], "d": {"f": 1}}, {"b": []}])
    assert seen.types == {"a": {"text"}, "b[].c": {"number"}, "b[].e": {"null"}, "d": {"object"}}
    assert seen.missing == {"a", "d", "b[].c"}
