"""The real packages that keep their conversations in Redis, where no other test needs them."""

import contextlib
from collections.abc import Iterator

from tests.services import framework
from tests.services.framework import Framework

LANGCHAIN = ("langchain-community==0.4.2", "langchain-core==1.7.2", "redis==8.1.0")
AGENT_FRAMEWORK = ("agent-framework-core==1.23.0", "agent-framework-redis==1.0.0b261022")
"""Those that wrote the fixtures."""


@contextlib.contextmanager
def langchain() -> Iterator[Framework]:
    """LangChain's history in Redis, until the end."""
    with framework.running(LANGCHAIN, "langchain_redis_program.py") as running:
        yield running


@contextlib.contextmanager
def agent_framework() -> Iterator[Framework]:
    """Agent Framework's, until the end."""
    with framework.running(AGENT_FRAMEWORK, "agent_framework_program.py") as running:
        yield running
