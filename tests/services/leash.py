"""Run a server that does not outlive whoever started it: `python leash.py COMMAND...`.

Prints the server's process id, then holds it on a leash: when our stdin ends (the test run is
over, or was itself killed), the server's whole process group is killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    server = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,  # our own stdout carries the process id and nothing else
        start_new_session=True,
    )
    print(server.pid, flush=True)
    os.dup2(2, 1)  # nobody reads our stdout from here on

    def watch() -> None:
        while os.read(0, 4096):
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
