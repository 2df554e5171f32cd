"""The question before anything is removed: every destructive command asks it here."""

import sys

from synmem.cli import render
from synmem.cli.run import hearing_interrupts
from synmem.errors import Refused


def confirm(
    name: str,
    what: str,
    *,
    yes: bool,
    confirmed: str | None = None,
    protected: bool = False,
    by_name: bool = False,
) -> None:
    """Return where the person agrees to `what`; Refused (exit 8) where not.

    `yes` agrees. With `by_name` only the profile's name does, typed or given as `confirmed`;
    a `protected` profile needs both. Without a terminal nothing is asked.
    """
    if confirmed is not None and confirmed != name:
        raise Refused(f"--confirm {confirmed!r} is not the profile's name: nothing was done")
    asking = all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))
    needs_yes = not yes and not by_name
    needs_name = (by_name or protected) and confirmed is None
    if not asking and (needs_yes or needs_name):
        flags = ["--yes"] * needs_yes + [f"--confirm {name}"] * needs_name
        raise Refused(f"{what}: not without {' and '.join(flags)}", hint="nothing was done")
    if needs_yes and not needs_name and _ask(what, "? [y/N] ").lower() not in ("y", "yes"):
        raise Refused("not confirmed: nothing was done")
    if needs_name and _ask(f"{what}? Type the profile's name, {name}", ", to go on: ") != name:
        raise Refused("not confirmed: nothing was done")


def _ask(question: str, end: str) -> str:
    with hearing_interrupts():
        sys.stderr.write(render.fitted(render.visible(question), spare=len(end)) + end)
        sys.stderr.flush()
        answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        sys.stderr.write("\n")
    return answer.strip()
