"""Any program that reads a prompt on stdin and prints the answer: `ollama run gemma3`.

It is run without a shell, once for each prompt. Both ways it is UTF-8.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.errors import ModelError
from synmem.masking import mask_text
from synmem.models.answering import whole

_LONGEST: Final = 300


class Command:
    """A program, with its arguments. In errors only the program is named."""

    def __init__(self, words: Sequence[str], timeout_s: float) -> None:
        self._words = words
        self._timeout_s = timeout_s
        self._name = f"the program {words[0]}"

    async def generate(self, prompt: str) -> str:
        """See `LLM.generate`; given up, the program and its children are killed."""
        process = await self._start()
        try:
            async with asyncio.timeout(self._timeout_s):
                out, err = await process.communicate(prompt.encode())
        except TimeoutError:
            raise ModelError(
                f"{self._name} took more than {self._timeout_s} s", hint="timeout_s in [llm]"
            ) from None
        finally:
            await _end(process)
        if process.returncode:
            raise ModelError(f"{self._name} failed ({_code(process.returncode)}){_last(err)}")
        try:
            text = out.decode()
        except UnicodeDecodeError:
            raise ModelError(f"what {self._name} prints is not UTF-8") from None
        return whole(text, self._name, cut=False, limit=None)

    async def close(self) -> None:
        """Nothing stays open."""

    async def _start(self) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._words, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
            )
        except FileNotFoundError:
            raise ModelError(f"{self._name} is not there", hint="`command` in [llm]") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ModelError(f"{self._name} cannot be run: {why}") from error


async def _end(process: Process) -> None:
    """Kill what still runs, with its children; let its pipes go."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(OSError):
        await asyncio.shield(process.communicate())


def _code(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"killed by signal {-code}"


def _last(err: bytes) -> str:
    """The last lines that it said on stderr, as one line."""
    text = mask_text(" ".join(err.decode("utf-8", "replace").split()))
    if not text:
        return ""
    return ": " + (text if len(text) <= _LONGEST else "..." + text[-_LONGEST:])


def open(settings: Mapping[str, Any]) -> Command:
    """The program that these settings name, already split into words."""
    return Command(settings["command"], settings["timeout_s"])
