"""The real packages of frameworks that keep conversations in files."""

import contextlib
from collections.abc import Iterator

from tests.services import framework, langchain, llamaindex
from tests.services.framework import Framework

PACKAGES = {
    "agent_framework": ("agent-framework-core==1.23.0",),
    "haystack": ("haystack-ai==3.4.1",),
    "langchain": langchain.PACKAGES,
    "llamaindex": llamaindex.CORE,
    "pydantic_ai": ("pydantic-ai-slim==2.68.0",),
    "strands": ("strands-agents==1.62.0",),
}
"""By layout; those that wrote the fixtures, or the next ones."""


@contextlib.contextmanager
def running(layout: str) -> Iterator[Framework]:
    """The framework of that layout, until the end."""
    with framework.running(PACKAGES[layout], "files_program.py") as running:
        yield running
