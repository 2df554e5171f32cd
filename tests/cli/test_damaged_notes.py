"""A note that cannot be read, or that speaks of places that are none: it is made anew."""

import asyncio
from typing import Any

import pytest

from synmem.backends import open_store
from synmem.profiles import resolve
from tests.cli.moved import lines, run
from tests.cli.places import BACKENDS, Places

SAID = {"a": [f"Sentence {n} of a long talk." for n in range(12)]}
NO_POSITIONS = ["", "abc", "9" * 30, "-1", "5-x", "\x01", "{}", "None", "1.5", "é"]
SUMMARIZE = ["summarize", "a", "--method", "extractive", "--max-messages", "4"]


def set_notes(place: str, value: Any) -> None:
    async def main() -> None:
        profile = resolve(place)
        async with open_store(profile.backend, profile.connection(), write=True) as store:
            for name in ("summary", "entities"):
                await store.set_note("a", name, value)  # type: ignore[attr-defined]

    asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_note_that_cannot_be_read_hinders_nothing(
    places: Places, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = places.new(backend)
    assert run("import", "-p", place, stdin=lines(SAID)).exit_code == 0
    asked = run("context", "a", "-p", place)
    for position in NO_POSITIONS:
        reach = {"position": position, "digest": "sha256:0", "before": position, "messages": 3}
        set_notes(place, {"value": {"version": 1, "text": "x"}, "reach": reach})
        result = run("context", "a", "-p", place)
        assert (result.exit_code, result.stdout) == (0, asked.stdout), (position, result.output)

    told = []

    def unreadable(field: str, text: Any) -> Any:
        told.append(field)
        raise ValueError(f"{field} is not JSON")

    with monkeypatch.context() as patched:
        module = "notes" if backend in ("postgres", "dynamodb") else "beside"
        patched.setattr(f"synmem.backends.{backend}.{module}.read_beside", unreadable)
        result = run("context", "a", "-p", place)
        assert (result.exit_code, result.stdout) == (0, asked.stdout)
        summary = run(*SUMMARIZE, "-p", place)
        assert summary.exit_code == 0
        assert told
    assert run(*SUMMARIZE, "-p", place).stdout == summary.stdout
