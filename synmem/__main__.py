"""`python -m synmem`, and the `synmem` command."""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        # Scripts ask this often: answered before Typer is loaded.
        from synmem import __version__

        sys.stdout.write(f"synmem {__version__}\n")
        return
    from synmem.cli.app import app

    app(prog_name="synmem")


if __name__ == "__main__":
    main()
