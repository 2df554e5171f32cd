"""The real OpenAI Agents SDK."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.services import framework
from tests.services.framework import Framework

PACKAGES = (
    "openai-agents==0.24.0", "openai==3.52.0", "sqlalchemy==2.1.9", "aiosqlite==0.22.1",
    "asyncpg==0.32.0", "redis==8.1.0", "pymongo==4.20.0", "greenlet", "cryptography",
)  # fmt: skip
"""Those that wrote the fixtures, and what they need for each kind of session."""

Agents = Framework


@contextlib.contextmanager
def agents() -> Iterator[Agents]:
    """It, until the end."""
    with framework.running(PACKAGES, "openai_agents_program.py") as running:
        yield running


def installed() -> Path:
    """The Python that has it."""
    return framework.installed(PACKAGES)
