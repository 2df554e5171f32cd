"""The program, as a process that is killed (SIGKILL) at its n-th step.

A step is a callback of the event loop, so whatever is awaited, and a file that is synced or put in
its place. `DYING_AT` says at which; where it ends by itself before, the file `DYING_STEPS` is told
how many steps it took. `python -m tests.cli.dying ARGUMENTS`
"""

import asyncio.events
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the program, to its last step."""
    left = at = int(os.environ["DYING_AT"])

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Any) -> Any:
        def counting(*arguments: Any, **named: Any) -> Any:
            step()
            return function(*arguments, **named)

        return counting

    asyncio.events.Handle._run = counted(asyncio.events.Handle._run)  # type: ignore[method-assign]
    os.fsync = counted(os.fsync)
    os.replace = counted(os.replace)
    from synmem.__main__ import main as program

    try:
        program()
    finally:
        Path(os.environ["DYING_STEPS"]).write_text(str(at - left))


if __name__ == "__main__":
    sys.exit(main())
