"""What a setting only points at: `${NAME}`, the variable's value; and a command that prints a
password or a key."""

import os
import re
from typing import Final

from synmem.errors import ProfileError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""`${NAME}` in a setting: the value of that variable."""

_SECONDS: Final = 60


def expanded(text: str, what: str, quoted: tuple[int, int] = (-1, -1)) -> str:
    """The text, each `${NAME}` replaced; between these two places quoted as in a URL.

    `what` is the setting, for the error: ProfileError where a variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ProfileError(f"the variable {match[1]} is not set; {what} needs it")
        if quoted[0] <= match.start() < quoted[1]:
            from urllib.parse import quote

            return quote(found, safe="")
        return found

    return VARIABLE.sub(value, text) if "${" in text else text


def words(command: str, what: str) -> list[str]:
    """A command as the words that are run, without a shell; ValueError where a quote is open."""
    import shlex

    return [expanded(word, what) for word in shlex.split(command)]


def first_line_of(command: str, what: str) -> str:
    """The first line that the command prints; what it says is never shown."""
    import subprocess

    failed = ProfileError(f"the {what} failed")
    try:
        done = subprocess.run(
            words(command, what), stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS
        )
        lines = done.stdout.decode().splitlines()
    except subprocess.TimeoutExpired:
        failed.hint = f"it took more than {_SECONDS} s"
        raise failed from None
    except FileNotFoundError:
        failed.hint = "there is no such program"
        raise failed from None
    except (OSError, ValueError, IndexError):
        failed.hint = "it cannot be run, or what it prints is not text"
        raise failed from None
    if done.returncode:
        failed.hint = f"exit code {done.returncode}"
        raise failed
    if not lines or not lines[0]:
        failed.hint = "it printed nothing"
        raise failed
    return lines[0]
