"""`python -m synmem`, and the `synmem` command."""

import gc
import os
import sys


def main() -> None:
    """Run the command line."""
    # A page is thousands of objects that soon go again: looked through every 700, as Python does
    # by itself, they took a quarter of a transfer's time.
    gc.set_threshold(10_000)
    _open_standard_streams()
    try:
        _run()
    except KeyboardInterrupt:  # while modules were loaded: a command's own is seen to in cli/run.py
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def _run() -> None:
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Scripts ask this often: answered before Typer is loaded.
        from synmem import __version__

        sys.exit(_said(f"synmem {__version__}\n"))
    from synmem.cli.app import app

    app(prog_name="synmem")


def _said(text: str) -> int:
    """The exit code of saying it: what nobody hears was not done."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        closed = isinstance(error, BrokenPipeError)
        if not closed:
            sys.stderr.write(f"synmem: stdout: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python's own last flush must not fail again
        return 141 if closed else 1
    return 0


def _open_standard_streams() -> None:
    """Give a stream that the caller closed (`>&-`) a place: else the next file that is opened,
    perhaps a database, would take its number, and Python has None in its place. What is written to
    a closed stdout fails there too; what is for the person only, on stderr, may go nowhere."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    main()
