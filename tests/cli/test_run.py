"""Errors become JSON where JSON was asked for, and every error has its exit code."""

import asyncio
import gc
import json

import pytest
from typer.testing import CliRunner

from synmem import errors
from synmem.cli.app import app
from synmem.cli.run import _run_async, exit_code


@pytest.mark.parametrize(
    "how", [["--json"], ["-f", "json"], ["--format", "json"], ["--format=json"]]
)
def test_with_json_an_error_is_json(how: list[str]) -> None:
    result = CliRunner().invoke(app, ["show", "none", "-p", "none.db", *how])
    assert result.exit_code == 3
    error = json.loads(result.stderr)["error"]
    assert error.keys() == {"kind", "message", "hint", "retryable"}
    assert (error["kind"], error["retryable"]) == ("not_found", False)


@pytest.mark.parametrize("how", [[], ["-f", "jsonl"], ["--", "--json"]])
def test_without_it_is_a_line(how: list[str]) -> None:
    result = CliRunner().invoke(app, ["show", "-p", "none.db", *(how or ["none"])])
    assert result.exit_code in (2, 3)
    assert result.stderr.startswith("synmem: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(errors.SynmemError("x"), 1), (errors.UsageError("x"), 2), (errors.ProfileError("x"), 1),
     (errors.ProfileNotFound("x"), 3), (errors.MissingExtra("x"), 1), (errors.StoreNotFound("x"), 3),
     (errors.ConversationNotFound("c", "s"), 3), (errors.StoreUnavailable("x"), 4),
     (errors.Changed("x"), 4), (errors.AccessDenied("x"), 5), (errors.Refused("x"), 8),
     (errors.CorruptData("x"), 1), (errors.Unsupported("x"), 1), (errors.ModelError("x"), 1)],
)  # fmt: skip
def test_every_error_has_its_exit_code(error: errors.SynmemError, code: int) -> None:
    assert exit_code(error) == code


def test_an_interrupt_before_a_command_begins_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        return 0

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run_async(main())
    gc.collect()  # a coroutine that was never awaited would be warned of here
