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
    if sys.argv[1:] == ["--version"]:
        # Scripts ask this often: answered before Typer is loaded.
        from synmem import __version__

        sys.stdout.write(f"synmem {__version__}\n")
        return
    from synmem.cli.app import app

    app(prog_name="synmem")


def _open_standard_streams() -> None:
    """Give a stream that the caller closed (`>&-`) somewhere to go: else the next file that is
    opened, perhaps a database, would take its number, and Python has None in its place."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    main()
